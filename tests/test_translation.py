"""Games that translate pictures: their networks, their terms, what they remember, and the command."""

import os
import re
import shutil
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import config_of, fingerprint, made, play, trainer_of, weights
from PIL import Image
from torch import nn

import gan_lab
from gan_lab.analysis.steganography import steganography
from gan_lab.cli import main
from gan_lab.config.build import build_dataset, build_game
from gan_lab.config.compose import compose
from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets.base import chosen
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.launch import launch
from gan_lab.losses import LeastSquares
from gan_lab.models import CycleGAN
from gan_lab.models.fakes import ImagePool
from gan_lab.models.sources import beside
from gan_lab.networks import autoencoder, patchgan, refiner, translator, unet, vgg
from gan_lab.noise import Noise
from gan_lab.storage import checkpoint
from gan_lab.training import assembly
from gan_lab.training.distributed import joined
from gan_lab.training.schedule import build_turns

PIX2PIX = ["model=pix2pix", "dataset=degraded", "dataset.by=downsample"]
DOMAINS = ["dataset=split_domains"]
CYCLE = ["model=cyclegan", *DOMAINS, "loss=least_squares"]
FEW = ["model.source_to_image.blocks=1", "model.image_to_source.blocks=1"]
QUIET = ["trainer.steps=2", "trainer.evaluate_every=null"]


# ---- networks -------------------------------------------------------------------------------------------------------


def test_a_unet_drops_when_it_samples_and_a_seed_chooses_what():
    torch.manual_seed(0)
    network = unet.Generator(1, 1, 16, width=8, norm="none").eval()
    x = torch.rand(3, 1, 16, 16) * 2 - 1
    with torch.no_grad():
        once, again = network(x), network(x)
        alone = network(x[1:2])
        assert unet.redraw(network, 7) == 3
        other = network(x)
        for drop in (m for m in network.modules() if isinstance(m, unet.Drop)):
            drop.share = 0.0
        whole = network(x)
    assert torch.equal(once, again), "a sample is the same in every call"
    torch.testing.assert_close(once[1:2], alone)
    assert not torch.allclose(once, other) and not torch.allclose(once, whole)


def test_drops_are_of_their_share_and_keep_the_mean():
    drop, x = unet.Drop(0.25), torch.ones(2, 64, 16, 16)
    torch.manual_seed(1)
    for mode in (True, False):
        y = drop.train(mode)(x)
        assert float((y == 0).double().mean()) == pytest.approx(0.25, abs=0.01)
        assert float(y.mean()) == pytest.approx(1, abs=0.02)
    assert not torch.equal(unet.Drop(0.25, 1).eval()(x), y), "each layer drops others"


@pytest.mark.parametrize("skips", [True, False])
def test_skips_hand_the_picture_across(skips):
    """With the innermost layer silenced nothing but what is handed across depends on the source."""
    network = unet.Generator(3, 1, 32, width=8, skips=skips, dropout=0.0).eval()
    nn.init.zeros_(network.down[-1][1].weight), nn.init.zeros_(network.down[-1][1].bias)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.allclose(network(x)[0], network(x)[1]) != skips


@pytest.mark.parametrize(
    ("size", "depth", "inner"), [(16, None, 1), ([32, 64], None, 1), (48, None, 3), (28, None, 7), (64, 3, 8)]
)
def test_a_unet_halves_until_one_pixel_or_as_often_as_it_is_told(size, depth, inner):
    network = unet.Generator(1, 3, size, width=8, depth=depth)
    height, width = (size, size) if isinstance(size, int) else size
    x = torch.zeros(2, 1, height, width)
    assert network(x).shape == (2, 3, height, width)
    for block in network.down:
        x = block(x)
    assert min(x.shape[2:]) == inner and network.multiple == height // x.shape[2]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: unet.Generator(1, 1, 30), "a side of 30 cannot .* 28 and 32. Set dataset.image_size=28 or 32."),
        (lambda: unet.Generator(1, 1, 100, depth=4), "be halved 4 times; .* 96 and 112."),
        (lambda: unet.Generator(1, 1, 16, depth=0), "depth=0 must be at least 1"),
        (lambda: unet.Generator(1, 1, 16, dropout=1.0), r"dropout=1.0 must lie in \[0, 1\)"),
        (lambda: translator.Generator(1, 1, 30), "a side of 30 .* 28 and 32."),
        (lambda: patchgan.Discriminator(1, 16, receptive_field=70), "leaves no score of a side of 16 .* least 24"),
        (lambda: patchgan.Discriminator(1, 64, receptive_field=64), "receptive_field=64 is not known; choose 1, 16"),
    ],
)
def test_a_size_that_fits_not_is_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("field", [1, 16, 34, 70])
def test_a_score_sees_as_many_pixels_as_it_is_told_to(field):
    critic = patchgan.Discriminator(1, 128, width=4, receptive_field=field, norm="none")
    x = torch.randn(1, 1, 128, 128, requires_grad=True)
    scores = critic(x)
    middle = scores.shape[2] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], x)
    rows, columns = gradient[0, 0].nonzero().T
    assert int(rows.max() - rows.min()) + 1 == field == int(columns.max() - columns.min()) + 1


@pytest.mark.parametrize(("size", "field"), [(16, 16), (32, 34), (64, 70), (256, 70), ([64, 128], 70)])
def test_a_patch_is_seventy_pixels_or_the_picture(size, field):
    assert patchgan.field_of(None, size) == field
    assert patchgan.field_of("image", size) >= (size if isinstance(size, int) else 64)


def test_a_translator_takes_any_multiple_of_four_and_mirrors_at_the_border():
    network = translator.Generator(3, 1, 64, width=4, blocks=1, norm="none").eval()
    assert network(torch.zeros(2, 3, 20, 36)).shape == (2, 1, 20, 36)
    flat = network(torch.full((1, 3, 32, 32), 0.5))[0, 0]
    zeros = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride == (1, 1) and m.padding != (0, 0)]
    assert not zeros, "no convolution that keeps the size looks at zeros"
    assert torch.isfinite(flat).all()


# ---- pix2pix --------------------------------------------------------------------------------------------------------


def test_the_critic_is_told_the_source_and_a_blind_one_is_not():
    image, source = torch.randn(2, 1, 16, 16), torch.randn(2, 1, 16, 16)
    for blind in (False, True):
        torch.manual_seed(0)
        critic = patchgan.Discriminator(1, 16, source_channels=1, width=8, blind=blind)
        assert torch.equal(critic(image, source), critic(image, source.flip(0))) == blind


def test_both_turns_show_the_critic_the_source_of_the_batch():
    trainer = made(*PIX2PIX)
    (batch,) = trainer.loader.batch(0)
    asked = []
    for move in ("judge", "fool"):
        original = getattr(trainer.game, move)
        setattr(
            trainer.game,
            move,
            lambda critic, *rest, f=original, **more: asked.append(rest[0]["source"]) or f(critic, *rest, **more),
        )
    play(trainer, 1)
    assert len(asked) == 2 and all(torch.equal(source, batch["source"]) for source in asked)


def test_l1_is_the_weighed_mean_difference_and_may_be_left_out():
    for weight in (100.0, 0.0):
        game = made(*PIX2PIX, f"model.l1={weight}").game
        game.generator = nn.Identity()
        batch = {"source": torch.full((2, 1, 16, 16), 0.25), "image": torch.full((2, 1, 16, 16), -0.5)}
        terms = game.generator_loss(batch, 0)
        assert ("l1" in terms.losses) == (weight > 0)
        assert (terms.losses | terms.logs)["l1"].item() == pytest.approx(0.75 * (weight or 1))
        assert "l2" not in terms.losses


def test_squared_error_is_a_weight_of_its_own():
    game = made(*PIX2PIX, "model.l1=0", "model.l2=30", "model.adversarial=0").game
    game.generator = nn.Identity()
    batch = {"source": torch.full((2, 1, 16, 16), 0.25), "image": torch.full((2, 1, 16, 16), -0.5)}
    terms = game.generator_loss(batch, 0)
    assert terms.losses["l2"].item() == pytest.approx(30 * 0.75**2)
    assert sum(terms.losses.values()).item() == pytest.approx(30 * 0.75**2)


@pytest.mark.parametrize("words", [PIX2PIX, [*CYCLE, *FEW]], ids=["pix2pix", "cyclegan"])
def test_fakes_that_are_handed_on_are_judged_in_the_same_round(words):
    trainer = made(*words, "model.reuse_fakes=true")
    assert [seat.name for seat in trainer.seats] == ["generator", "discriminator"]
    play(trainer, 2)
    assert trainer.game.last_fakes.fakes == []


# ---- what is remembered ---------------------------------------------------------------------------------------------


def test_samples_are_made_of_sources_of_the_data():
    trainer = made(*PIX2PIX, "model.remember=12")
    dataset = trainer.loader.dataset
    there = dataset.columns(chosen(len(dataset), 12), "source")["source"]
    for rounds in (0, 2):
        drawn = play(trainer, rounds).game.draw(range(24))["source"]
        assert torch.allclose(drawn, there.repeat(2, 1, 1, 1), atol=1e-6), "they are there from the start, and stay"


def test_tables_show_grey_and_colour_alike_and_the_first_of_several_pictures():
    grey, colour, film = torch.rand(9, 1, 4, 4), torch.rand(9, 3, 4, 4), torch.rand(9, 6, 4, 4)
    table = beside(grey, colour, film)
    assert table.shape == (8, 3, 3, 4, 4)
    assert torch.equal(table[:, 0, 0], table[:, 0, 2]) and torch.equal(table[:, 2], film[:8, :3])
    assert torch.equal(beside(grey, film[:, :2])[:, 1], film[:8, :1])


def test_previews_hold_input_output_and_truth_or_the_way_back():
    for words in (PIX2PIX, [*CYCLE, *FEW]):
        trainer = made(*words)
        (batch,) = trainer.loader.batch(0)
        game = trainer.game.eval()
        views = game.preview(batch, game.draw(range(8)), 0)
        table = views["fixed"]
        assert table.shape == (8, 3, 1, 16, 16) and torch.equal(table[:, 0], batch["source"])
        assert torch.equal(table[:, 1], game.translate(batch["source"]))
        if words is PIX2PIX:
            assert torch.equal(table[:, 2], batch["image"])
        else:
            assert torch.equal(table[:, 2], game.translate(table[:, 1], "back"))
            assert torch.equal(views["back"][:, 0], batch["image"])


# ---- the pool -------------------------------------------------------------------------------------------------------


def pictures_from(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1)


def test_a_pool_fills_first_and_then_shows_old_pictures_half_of_the_time():
    pool, noise, old = ImagePool(50, "image"), Noise(), []
    for step in range(300):
        fakes = pictures_from(4 * step, 4)
        shown = pool(fakes, noise.at(step))
        if step < 12:
            assert torch.equal(shown, fakes)
        elif step > 12:
            changed = shown != fakes
            old.append(changed.float().mean())
            assert bool((shown[changed] < 4 * step).all()), "what is shown instead was there before"
    assert len(pool.images) == 50 and len(pool.images.unique()) == 50
    assert float(torch.stack(old).mean()) == pytest.approx(0.5, abs=0.05)


def test_what_a_pool_gives_away_it_no_longer_has():
    pool = ImagePool(8, "image")
    pool(pictures_from(0, 8), Noise())
    shown = pool(pictures_from(8, 8), Noise().at(1))
    everything = torch.cat([shown.flatten(), pool.images.flatten()]).sort().values
    assert torch.equal(everything, torch.arange(16).float())


def test_a_pool_of_none_and_a_batch_beyond_the_pool():
    assert ImagePool(0, "image")(pictures_from(0, 4), Noise()).flatten().tolist() == [0, 1, 2, 3]
    pool = ImagePool(2, "image")
    shown = pool(pictures_from(0, 6), Noise())
    assert shown.flatten()[:2].tolist() == [0, 1] and shown.flatten()[4:].tolist() == [4, 5] and len(pool.images) == 2


def test_two_pools_draw_apart():
    drawn = []
    for name in ("source", "image"):
        pool = ImagePool(20, name)
        pool(pictures_from(0, 20), Noise())
        drawn.append(pool(pictures_from(20, 20), Noise().at(1)))
    assert not torch.equal(*drawn)


def test_pools_and_memory_resume_bit_for_bit(tmp_path):
    words = [*CYCLE, *FEW, "model.pool=12", "model.remember=20"]
    uncut = made(*words, rounds=6)
    checkpoint.save(tmp_path, made(*words, rounds=3).state_dict())
    state = checkpoint.load_newest(tmp_path)
    resumed, without = trainer_of(config_of(*words)), trainer_of(config_of(*words))
    resumed.load_state_dict(state)
    assert fingerprint(play(resumed, 3).state_dict()) == fingerprint(uncut.state_dict())
    blank = assembly.clone(state)
    blank["game"]["_extra_state"]["pools"] = {"source": {}, "image": {}}
    without.load_state_dict(blank)
    assert fingerprint(play(without, 3).state_dict()) != fingerprint(uncut.state_dict()), "dropping them is noticed"


# ---- cycles ---------------------------------------------------------------------------------------------------------


class Times(nn.Module):
    """A translator that multiplies, and can be undone by another."""

    multiple = 1

    def __init__(self, factor: float):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return self.factor * x


def cycle_of(forth: float, back: float, **words) -> CycleGAN:
    torch.manual_seed(0)
    critics = {name: patchgan.Discriminator(1, 16, width=4, norm="none") for name in ("critic_source", "critic_image")}
    facts = {"source_channels": 1, "channels": 1, "image_size": 16, "objective": LeastSquares()}
    return CycleGAN(source_to_image=Times(forth), image_to_source=Times(back), **critics, **facts, **words)


def batch_of(source: float, image: float) -> dict[str, torch.Tensor]:
    return {"source": torch.full((2, 1, 16, 16), source), "image": torch.full((2, 1, 16, 16), image)}


def costs(game, source: float, image: float, step: int = 0) -> dict[str, float]:
    """What the generators minimise, by name, for pictures of one brightness each."""
    return {name: term.item() for name, term in game.generator_loss(batch_of(source, image), step).losses.items()}


def test_ways_back_cost_nothing_where_one_translator_undoes_the_other():
    terms = costs(cycle_of(2.0, 0.5), 0.25, 0.5)
    assert terms["cycle_source"] == 0 == terms["cycle_image"]
    assert terms["identity_source"] == pytest.approx(5 * 0.125)  # 0.5 * 10 * |0.5 * 0.25 - 0.25|
    assert terms["identity_image"] == pytest.approx(5 * 0.5)  # 0.5 * 10 * |2 * 0.5 - 0.5|


def test_ways_back_cost_the_weighed_distance():
    terms = costs(cycle_of(2.0, 1.0, cycle=3.0, identity=0.0), 0.25, 0.5)
    assert terms["cycle_source"] == pytest.approx(3 * 0.25) and "identity_source" not in terms
    squared = costs(cycle_of(2.0, 1.0, cycle=3.0, identity=0.0, distance="l2"), 0.25, 0.5)
    assert squared["cycle_image"] == pytest.approx(3 * 0.5**2)


def test_each_critic_judges_its_own_kind():
    game, seen = cycle_of(2.0, -1.0, pool=0), {}
    for name in ("critic_source", "critic_image"):
        critic = getattr(game, name)
        critic.register_forward_hook(lambda m, x, out, name=name: seen.setdefault(name, []).append(x[0].mean().item()))
    game.discriminator_loss(batch_of(0.25, 0.5), 0)
    assert seen == {"critic_source": [0.25, -0.5], "critic_image": [0.5, 0.5]}


def test_discogans_share_changes_once():
    words = {"share": 0.5, "first_share": 0.01, "first_steps": 10, "cycle": 1.0, "identity": 0.0, "adversarial": 0.1}
    game = cycle_of(2.0, 1.0, feature_matching=0.9, distance="l2", **words)
    assert [game.balance(step) for step in (0, 9, 10, 99)] == [(0.99, 0.01)] * 2 + [(0.5, 0.5)] * 2
    early, late = (costs(game, 0.25, 0.5, step) for step in (0, 10))
    for name in ("adversarial_source", "features_source"):
        assert late[name] / early[name] == pytest.approx(0.5 / 0.99)
    assert late["cycle_source"] / early["cycle_source"] == pytest.approx(50)
    assert cycle_of(2.0, 1.0).balance(0) == (1.0, 1.0)


def test_features_of_a_copy_have_no_gap():
    game = cycle_of(1.0, 1.0, feature_matching=0.9)
    same = costs(game, 0.5, 0.5)
    other = costs(game, 0.5, -0.5)
    assert same["features_image"] == 0 < other["features_image"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"pool": -1}, "pool=-1 must not be negative"),
        ({"cycle": -1.0}, "cycle=-1.0 must not be negative"),
        ({"share": 1.0}, r"share=1.0 must lie in \[0, 1\)"),
        ({"distance": "l3"}, "distance=l3 is not known; choose l1 or l2"),
        ({"adversarial": 0.0}, "adversarial=0.0 must be greater than 0"),
        ({"remember": 0}, "remember=0 must be at least 1"),
    ],
)
def test_a_number_that_cannot_be_is_a_sentence(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        cycle_of(1.0, 1.0, **words)


# ---- one way --------------------------------------------------------------------------------------------------------


DIRECT = ["model=direct", *DOMAINS]


def test_a_direct_game_keeps_near_its_source_by_weight():
    for near in (10.0, 0.0):
        game = made(*DIRECT, f"model.near={near}").game
        game.generator = Times(2.0)
        terms = game.generator_loss(batch_of(0.25, -1.0), 0).losses
        assert terms["near"].item() == pytest.approx(10 * 0.25) if near else "near" not in terms


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A run whose networks others may borrow."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    launch.train(config_of("model=dcgan", *QUIET), folder)
    return folder


def borrowed(run, **words):
    return {"_target_": "gan_lab.models.FromRun", "run": str(run), **words}


def direct_with(guest) -> dict:
    config = config_of(*DIRECT, "trainer.batch_size=4")
    config["model"]["guest"] = guest
    return config


def test_a_guest_comes_from_a_run_and_stays_as_it_was(teacher):
    trainer = trainer_of(direct_with(borrowed(teacher, network="discriminator", part="trunk")))
    critic = gan_lab.load(teacher, weights="raw").game.discriminator
    guest, x = trainer.game.guest, torch.randn(4, 1, 16, 16)
    assert list(trainer.game.guests) == ["guest"]
    before = guest(x)
    torch.testing.assert_close(before, critic.trunk(x))
    play(trainer, 2)
    assert torch.equal(guest(x), before) and not any(p.requires_grad for p in guest.parameters())
    assert trainer.report()["loss/generator/near"] > 0
    averaged = trainer_of(direct_with(borrowed(teacher, network="discriminator"))).game.guest
    assert torch.allclose(averaged(x), critic(x)), "which no average follows: its plain weights"


def test_averaged_weights_are_the_guests_unless_raw_ones_are_asked_for(teacher):
    from gan_lab.config.build import build, with_guests

    z = torch.randn(2, 100)
    for weights_ in ("ema", "raw"):
        guest = build(with_guests(borrowed(teacher, network="generator", weights=weights_)), key="model.guest")
        assert torch.equal(guest(z), gan_lab.load(teacher, weights=weights_).game.generator(z))


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        ({"network": "critic"}, ConfigError, "network=critic is no network of .* it has generator, discriminator."),
        ({"network": "discriminator", "part": "torso"}, ConfigError, "part=torso is no part .* trunk, minibatch, head"),
        ({"network": "discriminator", "run": "nowhere"}, CheckpointError, "'nowhere' does not exist"),
    ],
)
def test_a_guest_that_is_not_there_is_a_sentence(teacher, words, error, sentence):
    with pytest.raises(error, match=sentence):
        trainer_of(direct_with({**borrowed(teacher), **words}))


def test_vgg_sees_what_torchvisions_sees(tmp_path):
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    theirs = make_layers(cfgs["D"][:6])
    torch.save({f"features.{name}": weight for name, weight in theirs.state_dict().items()}, tmp_path / "vgg.pt")
    mine = vgg.Features(str(tmp_path / "vgg.pt"), layer="relu2_2")
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (vgg.MEAN, vgg.STD))
    assert torch.allclose(mine(x), theirs[:9](((x + 1) / 2 - mean) / std), atol=1e-5)
    assert mine(torch.zeros(1, 1, 16, 16)).shape == (1, 128, 8, 8), "grey is a colour too"
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    for name, sentence in {
        "text.pt": "cannot be read",
        "nowhere.pt": "cannot be read",
        "other.pt": "no weights",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            vgg.Features(str(tmp_path / name))
    with pytest.raises(ValueError, match="layer=relu6_1 is not known"):
        vgg.Features(str(tmp_path / "vgg.pt"), layer="relu6_1")


@pytest.mark.parametrize(
    ("network", "size"),
    [(refiner.Generator(3, 1, width=4, blocks=1), (9, 7)), (autoencoder.Generator(3, 1, 32, width=4), (40, 8))],
)
def test_other_translators_take_the_sizes_that_they_name(network, size):
    assert all(side % network.multiple == 0 for side in size)
    made = network.eval()(torch.zeros(2, 3, *size))
    assert made.shape == (2, 1, *size) and made.abs().max() <= 1


# ---- what is hidden -------------------------------------------------------------------------------------------------


def looked_at(forth: float, back: float, **options) -> dict[str, float]:
    """The figures of a cycle whose translators multiply."""
    game, dataset = cycle_of(forth, back).eval(), build_dataset(config_of(*DOMAINS))
    run = SimpleNamespace(game=game, dataset=dataset, device=torch.device("cpu"))
    return steganography(run, n=20, **options).figures


def test_a_way_back_that_needs_faint_patterns_is_found_out():
    honest, hidden = looked_at(-1.0, -1.0), looked_at(0.01, 100.0)
    assert honest["error"] < 1e-6 and hidden["error"] < 1e-5, "both come back"
    assert honest["sensitivity"] == pytest.approx(1, abs=0.01)
    assert hidden["sensitivity"] == pytest.approx(100, rel=0.01)
    assert honest["error/4"] == pytest.approx(2 * 4 / 255, rel=0.02) and hidden["error/4"] > hidden["unrelated"]
    assert honest["error/bytes"] < 1e-5 and hidden["error/bytes"] > 0.1, "a file of eight bits loses the message"


def test_the_other_way_is_looked_at_where_it_is_asked_for():
    assert looked_at(2.0, 0.5, direction="back", level=3)["sensitivity"] == pytest.approx(2, rel=0.01)
    assert looked_at(2.0, 0.5, level=3)["sensitivity"] == pytest.approx(0.5, rel=0.01)
    with pytest.raises(ConfigError, match="direction=up is not known"):
        looked_at(1.0, 1.0, direction="up")


def test_the_command_looks_for_hidden_messages_in_both_ways_only(runs, capsys):
    assert main(["analyze", str(runs / "cycle"), "what=steganography", "n=8"]) == 0
    assert (runs / "cycle" / "analysis" / "steganography" / "steganography.png").is_file()
    assert "sensitivity" in capsys.readouterr().out
    assert main(["analyze", str(runs / "pix2pix"), "what=steganography"]) == 2
    assert "needs a run that translates in both directions" in capsys.readouterr().err
    assert main(["analyze", str(runs / "pix2pix"), "what=traversal"]) == 2
    assert "this run translates images" in capsys.readouterr().err


# ---- data that does not fit -----------------------------------------------------------------------------------------


def test_data_without_sources_is_told_of_some_that_has_them():
    with pytest.raises(ConfigError, match="needs source with each sample.*such as dataset=degraded"):
        made("model=pix2pix")


def test_pairs_are_asked_for_where_they_are_needed():
    with pytest.raises(ConfigError, match="learns from pairs.* Set model=cyclegan"):
        made("model=pix2pix", *DOMAINS)
    made(*CYCLE, *FEW)


def test_an_identity_needs_channels_that_agree():
    with pytest.raises(ConfigError, match="sources have 3 channels where images have 1. Set model.identity=0."):
        made(*CYCLE, "model.source_channels=3")


# ---- the papers' experiments ----------------------------------------------------------------------------------------


PAPERS = {
    "pix2pix_facades": (256, ["generator", "discriminator"]),
    "cyclegan_horse2zebra": (256, ["source_to_image", "image_to_source", "critic_source", "critic_image"]),
    "dualgan_facades": (256, ["source_to_image", "image_to_source", "critic_source", "critic_image"]),
    "discogan_edges2shoes": (64, ["source_to_image", "image_to_source", "critic_source", "critic_image"]),
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_experiments_take_a_step(name, tmp_path):
    """At their own size and depth, but with narrow networks: wide ones take ten seconds a step on one core."""
    size, networks = PAPERS[name]
    sides = ("train/A", "train/B") if name == "pix2pix_facades" else ("trainA", "trainB")
    for i, side in enumerate(sides):
        (tmp_path / side).mkdir(parents=True)
        for j in range(4):
            pixels = np.random.default_rng(4 * i + j).integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{j}.png")
    config = compose([f"experiment={name}", f"dataset.path={tmp_path}", "dataset.cache=never", "trainer.device=cpu"])
    for network in networks:
        config["model"][network]["width"] = 4
    batch = config["trainer"]["batch_size"]
    config["trainer"] |= {"batch_size": min(4, batch), "precision": "fp32"}
    trainer = play(trainer_of(config), 1)
    assert batch == (64 if size == 64 else 1)
    assert all(value == value for value in trainer.report().values())
    assert all(seat.report()[0] == 0 for seat in trainer.seats)


class Silent(nn.Module):
    """A critic whose score is 0, one from its target."""

    def forward(self, x):
        return 0 * x.mean(dim=(1, 2, 3))


def game_of(name: str, *words: str):
    """An experiment's settings and its game, with narrow networks."""
    config = compose([f"experiment={name}", *words])
    for network in (part for part in config["model"].values() if isinstance(part, dict)):
        network["width"] = 4
    return config, build_game(config)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cyclegan_horse2zebra", "dataset.path=."),
        ("cyclegan_digits", "dataset.seed=0"),
        ("proof/cyclegan", "dataset.of.path=."),
    ],
)
def test_the_critics_word_the_way_back_and_identity_count_as_in_cyclegans_code(name, path):
    config, game = game_of(name, path)
    game.source_to_image, game.image_to_source = Times(2.0), Times(2.0)
    game.critic_source, game.critic_image = Silent(), Silent()
    terms = costs(game, 0.1, 0.1)
    for side in ("source", "image"):
        relation = [terms[f"adversarial_{side}"], terms[f"cycle_{side}"] / 0.3, terms.get(f"identity_{side}", 0) / 0.1]
        assert relation == pytest.approx([1, 10, 0 if name == "cyclegan_digits" else 5])


def test_discogan_plays_its_codes_turns_and_weighs_pictures_as_if_they_lay_between_0_and_1():
    grey = ["dataset.channels=1", "dataset.source_channels=1", "dataset.image_size=16"]
    config, game = game_of("discogan_edges2shoes", "dataset.path=.", *grey)
    turns = build_turns(game, TrainerSettings(**config["trainer"]))
    moves = [player for step in range(6) for player in game.players for _ in range(turns[player](step))]
    assert moves == ["discriminator", "generator", "generator"] * 3
    assert game.first_steps == sum(i % 3 > 0 for i in range(10_000)), "of the generators in the code's first 10,000"
    game.source_to_image, game.image_to_source = Times(2.0), Times(2.0)
    missed = (3 * 0.1 / 2) ** 2  # of pictures in [0, 1]
    early, late = (costs(game, 0.1, 0.1, step)["cycle_source"] for step in (0, 10_000))
    assert [early, late] == pytest.approx([0.01 * missed, 0.5 * missed])


def test_who_moves_first_and_for_how_long_are_the_codes():
    pix2pix, game = game_of("pix2pix_facades", "dataset.path=.")
    assert list(game.players) == ["discriminator", "generator"] and pix2pix["trainer"]["epochs"] == 200
    cyclegan, game = game_of("cyclegan_horse2zebra", "dataset.path=.")
    assert list(game.players) == ["generator", "discriminator"] and cyclegan["trainer"]["epochs"] == 200
    dualgan, game = game_of("dualgan_facades", "dataset.path=.")
    assert list(game.players) == ["discriminator", "generator"] and dualgan["trainer"]["epochs"] == 50
    assert dualgan["optimizer"]["alpha"] == 0.9


# ---- two processes --------------------------------------------------------------------------------------------------


RANKS = {
    "equal": [*CYCLE, *FEW, "model.pool=0", "trainer.batch_size=4"],
    "pools": [*CYCLE, *FEW, "model.pool=2", "trainer.batch_size=4"],
    "drops": [*PIX2PIX, "trainer.batch_size=4"],
}


def work(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined(rank, 2, torch.device("cpu"), minutes=1.0) as world:
        torch.set_default_dtype(torch.float64)
        answers = {name: weights(play(trainer_of(config_of(*words), world), 2)) for name, words in RANKS.items()}
    torch.save(answers, f"{folder}/rank-{rank}.pt")


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes on one core")
def test_two_ranks_train_alike(tmp_path, double):
    from test_ddp import free_port

    for attempt in (1, 2):  # leaving a process group aborts about once in twenty runs
        try:
            torch.multiprocessing.spawn(work, (free_port(), str(tmp_path)), nprocs=2)
            break
        except torch.multiprocessing.ProcessExitedException:
            if attempt == 2:
                raise
    one, two = (torch.load(tmp_path / f"rank-{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert (one["equal"] - weights(made(*RANKS["equal"], rounds=2))).abs().max() < 1e-9


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    launch.train(config_of(*PIX2PIX, *QUIET), folder / "pix2pix")
    launch.train(config_of(*CYCLE, *FEW, *QUIET), folder / "cycle")
    return folder


@pytest.fixture
def pictures_of(tmp_path):
    """A folder with pictures of several sizes, modes and places."""
    folder = tmp_path / "in"
    for i, (name, size) in enumerate({"a.png": (16, 16), "b.jpg": (16, 32), "deep/c.png": (32, 16)}.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def sizes(folder):
    found = {}
    for path in sorted(folder.rglob("*.*")):
        with Image.open(path) as picture:
            found[path.relative_to(folder).as_posix()] = picture.size
    return found


def test_pictures_keep_their_names_and_sizes(runs, pictures_of, tmp_path, capsys):
    own = ["translate", str(runs / "cycle"), str(pictures_of), str(tmp_path / "out"), "size=own"]
    assert main(own) == 0
    assert sizes(tmp_path / "out") == {"a.png": (16, 16), "b.png": (32, 16), "deep/c.png": (16, 32)}
    assert "Translated 3 pictures" in capsys.readouterr().out
    shutil.make_archive(str(tmp_path / "zip"), "zip", pictures_of)
    assert zipfile.is_zipfile(tmp_path / "zip.zip")
    assert main(["translate", str(runs / "cycle"), str(tmp_path / "zip.zip"), str(tmp_path / "again"), "size=own"]) == 0
    for name in sizes(tmp_path / "out"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_one_picture_becomes_what_the_game_makes_of_it(runs, pictures_of, tmp_path):
    for words, direction in (([], "forth"), (["direction=back"], "back")):
        place = tmp_path / f"{direction}.png"
        assert main(["translate", str(runs / "cycle"), str(pictures_of / "a.png"), str(place), *words]) == 0
        with Image.open(pictures_of / "a.png") as opened:
            given = torch.from_numpy(np.array(opened.convert("L"))).float()[None, None] / 127.5 - 1
        expected = gan_lab.load(runs / "cycle").game.translate(given, direction)[0, 0]
        with Image.open(place) as opened:
            assert np.abs(np.array(opened.convert("L")) - (expected.numpy() + 1) * 127.5).max() <= 0.51


def test_nothing_is_overwritten_unless_it_is_asked_for(runs, pictures_of, tmp_path, capsys):
    words = ["translate", str(runs / "pix2pix"), str(pictures_of), str(tmp_path / "out"), "size=16"]
    assert main(words) == 0
    before = (tmp_path / "out" / "a.png").read_bytes()
    assert main([*words, "seed=3"]) == 2
    assert re.search("a.png' is there already: .* overwrite=true", capsys.readouterr().err)
    assert (tmp_path / "out" / "a.png").read_bytes() == before
    assert main([*words, "seed=3", "overwrite=true"]) == 0
    assert sizes(tmp_path / "out").keys() == {"a.png", "b.png", "deep/c.png"}
    assert (tmp_path / "out" / "a.png").read_bytes() != before, "another seed drops other features"


def test_pictures_become_as_large_as_those_of_the_training(runs, pictures_of, tmp_path):
    assert main(["translate", str(runs / "cycle"), str(pictures_of), str(tmp_path / "out")]) == 0
    assert set(sizes(tmp_path / "out").values()) == {(16, 16)}


def test_what_is_broken_is_found_before_the_first_is_written_and_left_out_on_request(
    runs, pictures_of, tmp_path, capsys
):
    whole = (pictures_of / "deep" / "c.png").read_bytes()
    (pictures_of / "zz.png").write_bytes(whole[: len(whole) // 2])  # its header is right
    (pictures_of / "z.png").write_bytes(b"no picture")
    words = ["translate", str(runs / "cycle"), str(pictures_of), str(tmp_path / "out")]
    assert main(words) == 3
    said = capsys.readouterr().err
    assert "z.png cannot be read as a picture" in said and "1 more" in said and "on_error=skip" in said
    assert not (tmp_path / "out").exists()
    assert main([*words, "on_error=skip"]) == 0
    said = capsys.readouterr().out
    assert "left out: z.png" in said and "left out: zz.png" in said and "Translated 3 pictures" in said
    assert len(sizes(tmp_path / "out")) == 3


def test_a_translation_that_was_interrupted_goes_on(runs, pictures_of, tmp_path, capsys):
    words = ["translate", str(runs / "cycle"), str(pictures_of), str(tmp_path / "out")]
    assert main(words) == 0
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    (tmp_path / "out" / "a.png").unlink()
    capsys.readouterr()
    assert main([*words, "resume=true"]) == 0
    assert "Translated 1 picture:" in capsys.readouterr().out
    kept = {path: time for path, time in made.items() if path.name != "a.png"}
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}.items()
    assert main([*words, "resume=true"]) == 0
    assert "translated already" in capsys.readouterr().out


def test_what_lies_in_the_output_is_not_translated_again(runs, pictures_of, tmp_path, capsys):
    words = ["translate", str(runs / "cycle"), str(pictures_of), str(pictures_of / "out")]
    assert main(words) == 0
    assert main([*words, "overwrite=true"]) == 0
    assert capsys.readouterr().out.count("Translated 3 pictures") == 2
    assert main([*words[:3], str(pictures_of), "overwrite=true"]) == 2
    assert "input and output at once" in capsys.readouterr().err


def test_planning_takes_as_long_as_there_are_files(tmp_path):
    from gan_lab.commands.translate import Options, planned

    for number in range(4000):
        (tmp_path / f"{number}.png").touch()
    began = time.process_time()
    assert len(planned(tmp_path, tmp_path / "out", Options())[1]) == 4000
    assert time.process_time() - began < 1.5  # pairs of 4,000 files took four seconds


def test_a_run_that_translates_says_at_its_end_how(tmp_path, capsys):
    launch.train(config_of(*PIX2PIX, *QUIET), tmp_path / "run")
    assert f"translate {tmp_path / 'run'} my_pictures out" in capsys.readouterr().out


WRONG = {
    "one_word": (["in"], "needs a run, what to translate and where to write"),
    "size": (["in", "out", "size=big"], "size=big must be one number, or height x width"),
    "missing": (["nowhere", "out"], "'nowhere' does not exist"),
    "several": (["in", "out.png"], "names one picture, and 'in' holds several"),
    "jpeg": (["in/a.png", "a.jpg"], "pictures are written as PNG"),
    "direction": (
        ["in", "out", "direction=back"],
        "direction=... asks for a condition, and this run has none: leave it out.",
    ),
    "multiple": (["in/odd.png", "out.png", "size=own"], "has 20 x 16 pixels, .* multiples of 16: set size=16x16"),
    "broken": (["in/broken.png", "out.png"], "broken.png cannot be read as a picture"),
    "twice": (["twice", "out"], "would both become"),
    "setting": (["in", "out", "sise=3"], "did you mean 'size'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_translated_is_a_sentence(runs, pictures_of, tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (16, 20)).save(pictures_of / "odd.png")
    (pictures_of / "broken.png").write_bytes(b"no picture")
    (tmp_path / "twice").mkdir()
    for name in ("x.png", "x.jpg"):
        Image.new("L", (16, 16)).save(tmp_path / "twice" / name)
    words, sentence = WRONG[case]
    assert main(["translate", str(runs / "pix2pix"), *words]) in (2, 3)
    said = capsys.readouterr().err
    assert re.search(sentence, said) and "Traceback" not in said
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.png").exists()


def test_a_run_whose_sources_are_no_picture_files_offers_no_translation(pictures_of, tmp_path, capsys):
    launch.train(config_of(*PIX2PIX, *QUIET, "dataset.by=mask"), tmp_path / "run")
    assert "translate" not in capsys.readouterr().out
    assert main(["translate", str(tmp_path / "run"), str(pictures_of), str(tmp_path / "out")]) == 2
    assert "have 2 channels, which no picture file has" in capsys.readouterr().err


def test_a_run_that_translates_nothing_says_so(tmp_path, pictures_of, capsys):
    launch.train(config_of(*QUIET), tmp_path / "run")
    assert main(["translate", str(tmp_path / "run"), str(pictures_of), str(tmp_path / "out")]) == 2
    assert "this run does not translate images" in capsys.readouterr().err


def test_samples_walk_between_sources(runs, tmp_path):
    assert main(["sample", str(runs / "pix2pix"), "n=4", f"out={tmp_path / 'grid.png'}"]) == 0
    assert (
        main(["sample", str(runs / "pix2pix"), "seeds=1-2", "interpolate=linear", f"out={tmp_path / 'walk.png'}"]) == 0
    )
