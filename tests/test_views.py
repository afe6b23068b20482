"""What the critic is shown: each view does what it is named for, alike for real and fake; gradients pass."""

import math
import re

import pytest
import torch
from helpers import config_of, made, names, play, trainer_of, words_for

from gan_lab.errors import ConfigError
from gan_lab.losses.augment import DiffAugment, color, cutout, translation
from gan_lab.losses.replay import Replay
from gan_lab.losses.views import InstanceNoise, Packing
from gan_lab.noise import Noise
from gan_lab.rows import Rows


def through(view, real, fake, noise, step):
    """Images of both sides as a view shows them."""
    return [rows["image"] for rows in view(Rows(image=real), Rows(image=fake), noise, step)]


@pytest.fixture
def noise():
    return Noise().at(0, "discriminator", 0)


def images(n=8, channels=3, side=16, seed=0):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("name", names("loss/view"))
def test_a_view_lets_gradients_through_and_draws_the_same_again(name):
    (view,) = made(f"loss/view={name}").game.objective.views.values()
    noise = Noise().at(3, "generator", 0)
    real, fake = images(channels=1), images(channels=1, seed=1).requires_grad_()
    shown_real, shown = through(view, real, fake, noise, 3)
    assert shown_real.shape == shown.shape
    again = through(view, real, fake, noise, 3)
    if not view.judge_only:
        torch.testing.assert_close(again[1], shown)
        (gradient,) = torch.autograd.grad(shown.sum(), fake)
        assert (gradient != 0).any()


# --- Instance noise --------------------------------------------------------------------------------------------------


def test_instance_noise_fades_linearly_to_nothing(noise):
    view, zeros = InstanceNoise(std=0.4, fade_steps=100), torch.zeros(64, 1, 16, 16)
    for step, std in ((0, 0.4), (50, 0.2), (75, 0.1)):
        real, fake = through(view, zeros, zeros, noise, step)
        assert real.std().item() == pytest.approx(std, rel=0.05)
        assert fake.std().item() == pytest.approx(std, rel=0.05)
        assert not torch.equal(real, fake)
    assert torch.equal(through(view, zeros, zeros, noise, 100)[0], zeros)
    assert torch.equal(through(view, zeros, zeros, noise, 1000)[1], zeros)


def test_instance_noise_may_stay(noise):
    view = InstanceNoise(std=0.4, fade_steps=None)
    assert through(view, torch.zeros(64, 2), torch.zeros(64, 2), noise, 10**9)[0].std() > 0.3


# --- Packing ---------------------------------------------------------------------------------------------------------


def test_a_pack_holds_neighbours_side_by_side(noise):
    real, fake = images(), images(seed=1)
    packed, _ = through(Packing(size=4), real, fake, noise, 0)
    assert packed.shape == (2, 12, 16, 16)
    assert torch.equal(packed[0], torch.cat([real[0], real[1], real[2], real[3]]))
    points, _ = through(Packing(size=2), torch.arange(8.0).view(4, 2), torch.zeros(4, 2), noise, 0)
    assert points.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_packing_widens_the_critic_by_one_setting():
    game = made("loss/view=packing", "loss.views.packing.size=4", rounds=1).game
    assert game.discriminator.trunk[1].in_features == 4 * 16 * 16


def test_packs_that_do_not_come_out_even_are_a_sentence():
    with pytest.raises(ConfigError, match="Set trainer.batch_size=6"):
        trainer_of(config_of("loss/view=packing", "loss.views.packing.size=3", "trainer.batch_size=8"))


def test_an_uneven_batch_could_not_be_packed(noise):
    """What the complaint above saves the user from: samples that are never judged, here two of eight."""
    packed, _ = through(Packing(size=3), images(), images(), noise, 0)
    assert torch.equal(packed.reshape(-1, *images().shape[1:]), images()[:6])


# --- Replay ----------------------------------------------------------------------------------------------------------


def test_replay_shows_earlier_fakes_for_its_share_of_the_batch():
    view, noise = Replay(size=100, share=0.5), Noise()
    turns = [torch.full((8, 1), float(turn)) for turn in range(5)]
    for turn, fake in enumerate(turns):
        real, shown = through(view, torch.zeros(8, 1), fake, noise.at(turn, "discriminator", 0), turn)
        assert not real.any()
        assert (shown == turn).sum() == (8 if turn == 0 else 4)
        assert (shown <= turn).all()
    assert view.pools[""].count == 5 * 4


def test_a_full_pool_keeps_its_size_and_takes_new_fakes():
    view, noise = Replay(size=6, share=0.5), Noise()
    for turn in range(20):
        through(view, torch.zeros(8, 1), torch.full((8, 1), float(turn)), noise.at(turn, "discriminator", 0), turn)
    pool = view.pools[""]["image"].flatten()
    assert len(pool) == 6
    assert (pool == 19).sum() == 4
    assert pool.min() > 5, "what is old has gone"


def test_the_generator_is_judged_by_its_own_fakes():
    objective = made("loss/view=replay").game.objective
    for turn in range(3):
        seen = Rows(image=images(channels=1))
        objective.show(seen, seen, Noise().at(turn), turn, judging=True)
    fake = Rows(image=images(channels=1, seed=5).requires_grad_())
    _, shown = objective.show(seen, fake, Noise().at(9), 9)
    assert shown is fake


def test_a_preview_leaves_the_pool_alone():
    trainer = made("loss/view=replay", rounds=2)
    pool = trainer.game.objective.views["replay"].pools[""]["image"].clone()
    (batch,) = trainer.loader.batch(0)
    with trainer.game.using(dict(trainer.ema.networks)) as game:
        game.preview(batch, game.draw(range(8)), 2)
    assert torch.equal(trainer.game.objective.views["replay"].pools[""]["image"], pool)


# --- DiffAugment -----------------------------------------------------------------------------------------------------


def test_translation_moves_whole_pixels_and_fills_with_zeros(noise):
    x = images(n=64) + 3  # nothing is zero
    moved = translation(x, noise, "t")
    seen = set()
    for before, after in zip(x, moved, strict=True):
        rows, columns = (after != 0).any(dim=(0, 2)).nonzero(), (after != 0).any(dim=(0, 1)).nonzero()
        top, left = rows.min().item(), columns.min().item()
        height, width = len(rows), len(columns)
        down = top if top else height - 16
        right = left if left else width - 16
        expected = before[:, max(0, -down) : 16 - max(0, down), max(0, -right) : 16 - max(0, right)]
        assert torch.equal(after[:, top : top + height, left : left + width], expected)
        seen.add((down, right))
    assert {d for d, _ in seen} == {r for _, r in seen} == {-2, -1, 0, 1, 2}, "an eighth of 16 either way"


def test_cutout_makes_one_hole_of_at_most_half_of_each_side(noise):
    holes = cutout(torch.ones(64, 3, 16, 16), noise, "c") == 0
    assert torch.equal(holes[:, 0], holes[:, 2])
    sizes = holes[:, 0].flatten(1).sum(dim=1)
    assert sizes.max() == 8 * 8
    assert sizes.min() >= 4 * 4, "a corner of the hole, at least"
    assert holes[:, 0].any(dim=0).all(), "every pixel is hit now and then"


def test_colour_moves_brightness_saturation_and_contrast(noise):
    flat = torch.zeros(256, 3, 4, 4)
    lifted = color(flat, noise, "c").mean(dim=(1, 2, 3))
    assert -0.5 <= lifted.min() < -0.4
    assert 0.4 < lifted.max() <= 0.5
    grey = images(channels=1).expand(-1, 3, -1, -1)
    assert torch.allclose(*color(grey, noise, "c")[:, :2].unbind(1), atol=1e-6), "what is grey stays grey"


def test_real_and_fake_are_changed_apart(noise):
    same = images()
    real, fake = through(DiffAugment(), same, same, noise, 0)
    assert not torch.equal(real, fake)


def test_a_policy_is_taken_in_its_order_and_checked():
    assert DiffAugment(["cutout", "color"]).policy == ["cutout", "color"]
    for policy in ([], ["colour"]):
        with pytest.raises(ValueError, match="policy="):
            DiffAugment(policy)


def test_points_cannot_be_augmented_and_say_so():
    with pytest.raises(ConfigError, match=r"holds points. Set loss/view=\[\]"):
        trainer_of(config_of("dataset=ring8", "loss/view=diff_augment"))


# --- Rows and conditions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["replay", "instance_noise", "packing"])
@pytest.mark.parametrize("model", ["cgan", "acgan", "infogan", "bigan", "pix2pix", "sgan"])
def test_a_view_carries_conditions_with_their_samples(model, view):
    """Packs are of several conditions, for which the critic is to be as wide as its complaint says."""
    words = [*words_for(model), "loss=hinge", f"loss/view={view}"]
    try:
        trainer = trainer_of(config_of(*words))
    except ConfigError as error:
        remedy = re.search(r"Set (model\.discriminator\.\w+=\d+)\.", str(error))[1]
        assert view == "packing"
        trainer = trainer_of(config_of(*words, remedy))
    report = play(trainer, 2).report()
    assert all(math.isfinite(value) for value in report.values())


# --- What stands beside an image goes with it -------------------------------------------------------------------------


def labelled(n=8, start=0):
    """Images all of whose pixels are their label, as numbers and as what a network takes."""
    labels = torch.arange(start, start + n)
    return Rows(image=labels.float().view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone(), label=labels)


def test_replay_brings_back_fakes_with_what_belongs_to_them(noise):
    view = Replay(size=6, share=0.5)
    for turn in range(12):
        _, shown = view(labelled(), labelled(start=100 * turn), noise.at(turn, "discriminator", 0), turn)
        assert torch.equal(shown["image"][:, 0, 0, 0].long(), shown["label"])
    assert (shown["label"] < 1100).any() and (shown["label"] >= 1100).any()


def test_a_pack_has_the_labels_of_its_samples(noise):
    real, _ = Packing(size=2)(labelled(), labelled(), noise, 0)
    assert real["label"].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert torch.equal(real["image"][:, :, 0, 0].long(), real["label"])


def test_augmentation_moves_all_pictures_of_a_row_alike_and_colours_the_image_alone(noise):
    x = images(n=32) + 3
    moved, _ = DiffAugment(["translation", "cutout"])(Rows(image=x, source=x), Rows(image=x, source=x), noise, 0)
    assert torch.equal(moved["image"], moved["source"]) and not torch.equal(moved["image"], x)
    coloured, _ = DiffAugment(["color"])(Rows(image=x, source=x), Rows(image=x), noise, 0)
    assert torch.equal(coloured["source"], x) and not torch.equal(coloured["image"], x)


def test_instance_noise_lies_on_images_alone(noise):
    shown, _ = InstanceNoise(std=0.5, fade_steps=None)(labelled(), labelled(), noise, 0)
    assert torch.equal(shown["label"], labelled()["label"]) and not torch.equal(shown["image"], labelled()["image"])
