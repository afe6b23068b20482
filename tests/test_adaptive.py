"""Adaptive augmentation: each step does what it is named for, and its strength follows the critic's scores."""

import math
from types import SimpleNamespace

import pytest
import torch
from helpers import config_of, fingerprint, made, play, trainer_of

from gan_lab.errors import ConfigError
from gan_lab.losses import Hinge, LeastSquares, NonSaturating, Relativistic, Wasserstein
from gan_lab.losses.adaptive import ADA, APA
from gan_lab.losses.base import Before
from gan_lab.losses.lecam import LeCam
from gan_lab.losses.penalties import R1
from gan_lab.losses.pipeline import (
    PARTS,
    PIPELINES,
    SYM6,
    Draws,
    Pipeline,
    coloured,
    colours,
    filtered,
    gains,
    kept,
    moved,
    octaves,
    sources,
)
from gan_lab.noise import Noise
from gan_lab.rows import Rows
from gan_lab.storage import checkpoint

TAPS = torch.tensor(SYM6)


@pytest.fixture
def noise():
    return Noise().at(0, "discriminator", 0)


def images(n=8, channels=3, side=16, seed=0):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def smooth(n=8, side=32):
    """Pictures without an edge, of which a turn loses nothing: a hill to the upper left of the middle."""
    place = torch.arange(side) / side
    hill = torch.exp(-20 * ((place[:, None] - 0.35) ** 2 + (place - 0.45) ** 2))
    return hill.expand(n, 1, side, side).clone()


def affine(*rows):
    return torch.tensor(rows, dtype=torch.float32)[None]


def draws(p, noise, n=4000):
    return Draws(n, torch.tensor(float(p)), noise, "test")


# --- The pipeline ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_changes_nothing_at_no_strength_and_much_at_full(name, noise):
    pipeline, x = Pipeline(PIPELINES[name]), images()
    still, changed = (pipeline(Rows(image=x), torch.tensor(p), noise, "x")["image"] for p in (0.0, 1.0))
    assert (still - x).abs().max() < 1e-5
    assert (changed - x).abs().mean() > 0.02
    assert changed.shape == x.shape


def test_pipelines_have_the_published_names_and_parts():
    assert [*PIPELINES] == [*PARTS, "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"]
    assert PIPELINES["bgc"] == {"blit", "geom", "color"} and PIPELINES["bgcfn"] == PIPELINES["bgcfnc"] - {"cutout"}


@pytest.mark.parametrize("sides", [(1, 1), (2, 3), (4, 8), (5, 7)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_it_takes_any_sides_and_channels(sides, channels, noise):
    x = torch.rand(3, channels, *sides)
    assert Pipeline(PIPELINES["bgcfnc"])(Rows(image=x), torch.tensor(1.0), noise, "x")["image"].isfinite().all()


def test_it_has_two_derivatives(noise, double):
    pipeline, x = Pipeline(PIPELINES["bgcfnc"]), torch.rand(2, 2, 4, 5, requires_grad=True)
    squared = lambda x: pipeline(Rows(image=x), torch.tensor(1.0), noise, "x")["image"].square()
    assert torch.autograd.gradcheck(squared, x) and torch.autograd.gradgradcheck(squared, x)


def test_a_shift_by_whole_pixels_is_exact_and_mirrors_what_comes_in():
    x = images()
    shown = moved(x, affine((1, 0, -3), (0, 1, 2)).expand(8, 2, 3), TAPS)  # to the right by 3, up by 2
    assert torch.allclose(shown[:, :, 1:-6, 6:], x[:, :, 3:-4, 3:-3], atol=1e-5)
    flat = torch.full((1, 1, 8, 8), 0.7)
    assert torch.allclose(moved(flat, affine((1, 0, -30), (0, 1, 50)), TAPS), flat, atol=1e-5)


@pytest.mark.parametrize(
    ("back", "expected"),
    [
        (((-1, 0, 0), (0, 1, 0)), lambda x: x.flip(3)),
        (((0, 1, 0), (-1, 0, 0)), lambda x: torch.rot90(x, 3, (2, 3))),
        (((-1, 0, 0), (0, -1, 0)), lambda x: x.flip(2, 3)),
    ],
)
def test_mirrored_and_turned_pictures_are_where_they_belong(back, expected):
    x = smooth(n=1)
    shown = moved(x, affine(*back), TAPS)
    assert (shown - expected(x)).abs().max() < 0.05 < 0.2 < (shown - x).abs().max()


def test_steps_that_move_happen_as_often_and_as_far_as_published(noise):
    none, half, all_ = (sources(draws(p, noise), (16, 32), {"blit"}) for p in (0, 0.5, 1))
    unit = affine((1, 0, 0), (0, 1, 0))[0]
    assert torch.equal(none, unit.expand_as(none))
    assert (all_[:, 0, 0].abs() - all_[:, 0, 1].abs()).abs().min() > 0.99, "quarters alone"
    at_rest = (half[:, :, :2] - unit[:, :2]).abs().flatten(1).max(dim=1).values < 0.1
    assert at_rest.float().mean() == pytest.approx(0.75 * 0.625 + 0.25 * 0.125, abs=0.05)
    shift = all_[:, :, 2].abs().max(dim=0).values
    assert shift.max() <= 4.001 and shift.max() > 3.9, "an eighth of the longer side"
    geom = sources(draws(1, noise), (16, 16), {"geom"})
    areas = torch.linalg.det(geom[:, :, :2]).log2()
    assert areas.std() == pytest.approx(0.4, rel=0.05), "of two sides by 2^N(0, 0.2); stretching keeps areas"


def test_half_of_all_pictures_are_turned_at_half_strength(noise):
    back = sources(draws(0.5, noise), (16, 16), {"geom"})[:, :, :2]
    cross = (back[:, 0] * back[:, 1]).sum(dim=1)
    is_turned = (back[:, 0, 1].abs() > 1e-6) | (cross.abs() > 1e-6)
    assert is_turned.float().mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_colours_keep_grey_grey_and_do_not_reach_for_more(channels, noise):
    matrix = colours(draws(1, noise, n=500), channels)
    assert matrix.shape == (500, channels + 1, channels + 1)
    assert torch.equal(matrix[:, -1], torch.eye(channels + 1)[-1].expand(500, -1))
    grey = coloured(torch.full((500, channels, 2, 2), 0.3), matrix)
    assert torch.allclose(grey, grey[:, :1].expand_as(grey), atol=1e-5)


def test_one_channel_is_what_grey_is_of_three(noise):
    x = images(n=500, channels=1, side=4)
    three = coloured(x.expand(-1, 3, -1, -1), colours(draws(1, noise, n=500), 3))
    assert torch.allclose(three[:, :1], coloured(x, colours(draws(1, noise, n=500), 1)), atol=1e-4)


def test_inverted_turned_and_bleached_colours_are_as_published(noise):
    """At full strength: half inverted, brightness by N(0, 0.2), contrast by 2^N(0, 0.5), hue all round."""
    matrix = colours(draws(1, noise), 3)[:, :3, :3]
    along = matrix.sum(dim=(1, 2)) / 3  # what becomes of grey: contrast, negative where inverted
    assert (along < 0).float().mean() == pytest.approx(0.5, abs=0.03)
    assert along.abs().log2().std() == pytest.approx(0.5, rel=0.05)
    grey = torch.ones(3) / math.sqrt(3)
    across = matrix - along.view(-1, 1, 1) * torch.outer(grey, grey)
    lengths = across.flatten(1).norm(dim=1) / math.sqrt(2) / along.abs()
    assert lengths.log2().std() == pytest.approx(1, rel=0.05), "saturation by 2^N(0, 1)"
    turn = (across.diagonal(dim1=1, dim2=2).sum(1) / 2 / (lengths * along.abs())).acos()
    assert turn.mean() == pytest.approx(math.pi / 2, rel=0.05)


def test_octaves_add_up_to_the_picture_and_keep_its_power(noise):
    bands = octaves(4)
    assert bands.shape == (4, 43)
    unit = torch.zeros(43)
    unit[21] = 1
    assert torch.allclose(bands.sum(dim=0), unit, atol=1e-6)
    x = images(side=8)
    assert torch.allclose(filtered(x, unit.expand(8, 43)), x)
    power = (gains(draws(1, noise)).square() * torch.tensor([10, 1, 1, 1]) / 13).sum(dim=1)
    assert power.median() == pytest.approx(1, abs=0.2)
    assert torch.allclose(gains(draws(0, noise)), torch.ones(4))


def test_a_hole_is_half_of_each_side_unless_it_lies_across_the_border(noise):
    holes = (~kept(draws(1, noise), (16, 8))).flatten(1).sum(dim=1)
    assert holes.max() == 8 * 4 and holes.min() >= 4 * 2
    assert kept(draws(0, noise), (16, 8)).all()
    assert kept(draws(0.5, noise), (16, 8)).flatten(1).all(dim=1).float().mean() == pytest.approx(0.5, abs=0.03)


def test_all_pictures_of_a_row_are_moved_alike_and_the_image_alone_is_coloured(noise):
    x, one = images(), torch.tensor(1.0)
    moved_ = Pipeline(PIPELINES["bg"])(Rows(image=x, source=x[:, :1]), one, noise, "x")
    assert torch.allclose(moved_["image"][:, :1], moved_["source"]) and not torch.allclose(moved_["source"], x[:, :1])
    coloured_ = Pipeline(PIPELINES["color"])(Rows(image=x, source=x), one, noise, "x")
    assert torch.equal(coloured_["source"], x) and not torch.equal(coloured_["image"], x)


# --- How strong ------------------------------------------------------------------------------------------------------


def told(view, *beliefs, images=100):
    """The strength of a view after rounds in each of which it heard so much."""
    for step, belief in enumerate(beliefs, start=1):
        view.hear(torch.tensor(belief))
        view.settle(step, images)
    return view.p.item()


def test_strength_moves_every_fourth_round_by_the_images_seen_and_the_mean_sign():
    assert told(ADA(kimg=1), *3 * [[5.0, 1.0]]) == 0, "it is not yet time"
    assert told(ADA(kimg=1), *4 * [[5.0, 1.0]]) == pytest.approx(0.4)
    assert told(ADA(kimg=1, p=0.5), *4 * [[5.0, -1.0]]) == pytest.approx(0.1), "mean sign 0 is below 0.6"
    assert told(ADA(kimg=1, p=0.1), *4 * [[-1.0]]) == 0, "never below 0"
    assert told(ADA(kimg=1, p=0.5), [9.0], [9.0], [9.0], [-9.0]) == pytest.approx(0.1), "0.5 is below 0.6"
    assert told(ADA(kimg=1), *3 * [[1.0, 2.0]], [-9.0, 2.0]) == pytest.approx(0.4), "0.75 is above; only signs count"
    assert told(ADA(kimg=1, target=None, p=0.3), *8 * [[5.0]]) == pytest.approx(0.3)


def test_rounds_without_the_critic_and_numbers_that_are_none_move_nothing():
    view = ADA(kimg=1, p=0.5)
    for step in range(1, 9):
        view.settle(step, 100)
    assert view.p == 0.5
    assert told(view, *4 * [[float("nan"), 1.0, 1.0, 1.0, 1.0]]) == pytest.approx(0.9)


def test_what_a_score_means_is_for_the_loss_to_say():
    real, fake = torch.tensor([0.3, 0.9]), torch.tensor([0.5, 0.5])
    for loss, expected in (
        (NonSaturating(), [0.3, 0.9]),
        (Hinge(), [0.3, 0.9]),
        (LeastSquares(), [-0.2, 0.4]),
        (LeastSquares(fake_target=-1.0), [0.3, 0.9]),
        (Relativistic(), [-0.2, 0.4]),
        (Wasserstein(), [-0.2, 0.4]),
    ):
        assert torch.allclose(loss.belief(real, fake), torch.tensor(expected)), loss
    patches = torch.tensor([[[-1.0, 0.0], [0.0, 0.0]], [[3.0, 1.0], [0.0, 0.0]]])
    assert torch.allclose(Hinge().belief(patches, patches), torch.tensor([-0.25, 1.0]))


FAST = ["loss.views.ada.kimg=0.1"]


def sure(*words):
    """A tiny trainer whose critic takes everything for real, and has just been made."""
    trainer = made(*words)
    torch.nn.init.constant_(trainer.game.discriminator.head.bias, 5.0)
    return trainer


@pytest.mark.parametrize(("loss", "turns"), [("hinge", 1), ("wgan_gp", 5)])
def test_the_critics_turns_are_heard_in_play_and_the_strength_is_reported(loss, turns):
    target = "loss.views.ada.target=-0.9"
    trainer = sure("model=gan", f"loss={loss}", "loss/view=ada", *FAST, target, "model.discriminator.norm=none")
    assert play(trainer, 3).report()["view/ada/p"] == 0
    assert play(trainer, 1).report()["view/ada/p"] == pytest.approx(4 * 8 * turns / 100)


def test_a_step_that_others_take_is_not_heard():
    view = made("model=gan", "loss/view=ada", rounds=1).game.objective.views["ada"]
    assert view.heard[1:].tolist() == [8, 8], "eight scores of the critic's turn, none of the generator's"


@pytest.mark.parametrize("cut", [5, 6, 8])
def test_a_run_cut_within_an_interval_ends_in_the_same_bits(cut, tmp_path):
    words = ["model=dcgan", "loss/view=ada+apa", "loss/penalty=lecam+r1", *FAST, "loss.views.apa.kimg=0.2"]
    words += ["model.discriminator.norm=layer"]
    uncut, trainer = sure(*words), sure(*words)
    checkpoint.save(tmp_path, play(trainer, cut).state_dict())
    again = trainer_of(config_of(*words))
    again.load_state_dict(checkpoint.load_newest(tmp_path))
    assert fingerprint(play(again, 11 - cut).state_dict()) == fingerprint(play(uncut, 11).state_dict())
    assert again.game.objective.views["ada"].p > 0
    state = {name: value for name, value in again.state_dict()["game"].items() if name.startswith("objective")}
    assert sum(value.numel() for value in state.values() if torch.is_tensor(value)) == 2 * 4 + 3, "and no constants"


# --- Through it ------------------------------------------------------------------------------------------------------


def test_a_slope_at_the_real_sample_is_taken_through_the_augmentation(noise):
    """The critic reads one pixel; where the picture is moved, the slope is at other pixels, and as steep on average."""
    views = {"ada": ADA("blit", p=1.0, target=None)}
    objective, real = Hinge(penalties={"r1": R1(weight=2.0, every=1)}, views=views), Rows(image=smooth(n=16))
    critic = lambda rows: rows["image"][:, 0, 11, 7]
    first, augment = objective.looks(noise, 0, judging=True)
    before = Before(*first(real, real), augment)
    terms = objective.penalise("judge", critic, *augment(*before[:2]), turn=0, noise=noise, before=before)
    assert terms["r1"].item() == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("words", [["dataset=ring8", "loss/view=ada"]])
def test_points_cannot_be_augmented_and_say_so(words):
    with pytest.raises(ConfigError, match=r"The view ada changes images, .* Set loss/view=\[\]"):
        trainer_of(config_of(*words))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("pipeline=bcg", "pipeline=bcg is not known; choose one of blit, .*bgcfnc"),
        ("target=2", "target=2 must lie between -1 and 1"),
        ("kimg=0", "kimg=0 must be greater than 0"),
        ("every=0", "every=0 must be at least 1"),
        ("p=1.5", r"p=1.5 must lie in \[0, 1\]"),
    ],
)
def test_a_wrong_number_is_a_sentence(setting, says):
    with pytest.raises(ConfigError, match=says):
        trainer_of(config_of("loss/view=ada", f"loss.views.ada.{setting}"))


def test_kernels_in_no_certain_order_are_a_sentence():
    parts = SimpleNamespace(
        dataset=SimpleNamespace(image_size=32), settings=SimpleNamespace(deterministic=True), device="cuda"
    )
    (complaint,) = ADA().complaints(parts, "ada")
    assert complaint.endswith("Set trainer.deterministic=false.")
    parts.device = "cpu"
    assert not [*ADA().complaints(parts, "ada")]


# --- APA -------------------------------------------------------------------------------------------------------------


def test_fakes_are_shown_as_real_for_their_share_with_their_labels(noise):
    real, fake = (Rows(image=torch.full((4000, 1, 2, 2), x), label=torch.full((4000,), int(x))) for x in (1.0, 0.0))
    shown, same = APA(p=0.3)(real, fake, noise, 0)
    assert same is fake
    assert torch.equal(shown["image"][:, 0, 0, 0].long(), shown["label"])
    assert shown["label"].float().mean() == pytest.approx(0.7, abs=0.03)
    assert torch.equal(APA(p=0.0)(real, fake, noise, 0)[0]["image"], real["image"])


def test_what_is_shown_as_real_is_heard_as_real():
    trainer = play(sure("model=gan", "loss/view=apa", "loss.views.apa.kimg=0.1", "optimizer.lr=0.00001"), 8)
    assert trainer.report()["view/apa/p"] == pytest.approx(0.64)


# --- LeCam -----------------------------------------------------------------------------------------------------------


def test_scores_are_held_near_the_past_of_the_other_side():
    penalty = LeCam(decay=0.9)
    first = penalty(torch.tensor([2.0, 4.0]), torch.tensor([-1.0, 1.0]), None)
    assert (penalty.real.item(), penalty.fake.item()) == (pytest.approx(3), pytest.approx(0)), "no bias towards zero"
    assert first.item() == pytest.approx((4 + 16) / 2 + (16 + 4) / 2)
    penalty(torch.tensor([0.0]), torch.tensor([0.0]), None)
    assert penalty.real.item() == pytest.approx(3 * 0.09 / 0.19)
    assert LeCam()(torch.tensor([-5.0]), torch.tensor([5.0]), None) == 0, "only what parts real from fake counts"


def test_its_means_are_constants_for_the_gradient_and_outlive_a_bad_turn():
    penalty, real = LeCam(decay=0.0), torch.tensor([1.0], requires_grad=True)
    (slope,) = torch.autograd.grad(penalty(real, torch.tensor([0.0]), None), real)
    assert slope.item() == pytest.approx(2)
    penalty(torch.tensor([float("inf")]), torch.tensor([0.0]), None)
    assert penalty.real == 1


def test_it_asks_the_critic_nothing():
    trainer, calls = made("model=gan", "loss/penalty=lecam"), []
    trainer.game.discriminator.register_forward_hook(lambda *_: calls.append(1))
    report = play(trainer, 1).report()
    assert len(calls) == 3, "real and fake in the critic's turn, fake in the generator's"
    assert report["penalty/lecam/real"] != 0 and "loss/discriminator/lecam" in report
