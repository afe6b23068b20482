"""StyleGAN: counts of weights, layers against what they are short for, growth and its fade, truncation, presets."""

import math

import pytest
import torch
from helpers import CONF, config_of, fingerprint, made, play, trainer_of
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from test_rounds import check_rounds_are_alike
from torch.nn.functional import avg_pool2d, conv2d, instance_norm, interpolate, leaky_relu

from gan_lab.config.build import build_game
from gan_lab.config.compose import compose
from gan_lab.errors import ConfigError
from gan_lab.networks import stylegan
from gan_lab.rows import Rows
from gan_lab.runs.run import help_of
from gan_lab.training.transfer import matches

bases, doublings = st.integers(4, 7), st.integers(0, 3)
SMALL = ["model=stylegan", "model.latent_dim=8", "model.generator.style_dim=8", "model.generator.mapping_layers=2"]
FADES = [*SMALL, "dataset.image_size=16", "model.generator.grows_to=16", "model.discriminator.grows_to=16"]
FADES += ["model.fade_images=64"]  # eight batches


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def generator(size=8, channels=3, **words):
    return stylegan.Generator(6, channels, size, **{"style_dim": 5, "mapping_layers": 2, "width": 4, **words})


def critic(size=8, channels=3, **words):
    return stylegan.Discriminator(channels, size, **{"width": 4, **words})


# --- Weights ---------------------------------------------------------------------------------------------------------

COUNTS = {  # side, width and limit, whether with layers from and to images of all sizes; weights of both
    "at 32": (32, 512, 1, False, 22_836_739, 20_720_641),
    "at 64": (64, 256, 2, False, 25_131_779, 22_489_857),
    "at 128": (128, 128, 4, False, 25_836_931, 22_932_097),
    "at 1024": (1024, 16, 32, False, 26_212_019, 23_077_137),
    "growing to 1024": (1024, 16, 32, True, 26_219_627, 23_087_249),
}


@pytest.mark.parametrize("name", COUNTS)
def test_weights_are_as_many_as_those_of_the_code(name):
    size, width, limit, grows, of_generator, of_critic = COUNTS[name]
    words = {"width": width, "limit": limit, "grows_to": size if grows else None}
    with torch.device("meta"):
        makes = stylegan.Generator(512, 3, size, **words)
        assert count(makes) == of_generator
        assert count(stylegan.Discriminator(3, size, **words)) == of_critic
    assert makes.num_styles == 2 * math.log2(size) - 2


def test_stages_of_the_preset_build_these_networks():
    stages = compose(["experiment=stylegan_ffhq128", "dataset.path=/pictures"])["stages"]
    with torch.device("meta"):
        games = [build_game(stage["config"]) for stage in stages.values()]
    assert [len(game.generator.synthesis.shares) for game in games] == [2, 3, 4, 5, 6]
    whole, smaller = games[-1], sum(3 * width + 3 for width in (512, 512, 512, 512, 256))
    assert count(whole.generator) == COUNTS["at 128"][-2] + smaller
    assert count(whole.discriminator) == COUNTS["at 128"][-1] + sum(4 * width for width in (512, 512, 512, 512, 256))


# --- Shapes ----------------------------------------------------------------------------------------------------------


@given(bases, bases, doublings, doublings, st.integers(1, 4), st.booleans())
def test_any_size_and_any_number_of_channels(base, other, doubled, longer, channels, grows):
    size = [base << doubled, other << doubled + longer % 2]
    words = {"width": 2, "limit": 2, "grows_to": [2 * side for side in size] if grows else None}
    makes, judges = generator(size, channels, **words), critic(size, channels, **words)
    images = makes(torch.randn(3, 6))
    assert images.shape == (3, channels, *size)
    scores = judges(images)
    assert scores.shape == (3,)
    scores.sum().backward()
    for name, parameter in [*makes.named_parameters(), *judges.named_parameters()]:
        assert parameter.grad is not None, name


def test_slopes_of_slopes_are_right(double):
    """R1 differentiates twice."""
    judges, x = critic(8, 1, width=2, group_size=2, grows_to=8), torch.randn(2, 1, 8, 8, requires_grad=True)
    judges.trunk.shares[-1] = 0.3
    assert torch.autograd.gradgradcheck(judges, x)
    makes = generator(8, 1, width=2, grows_to=8).synthesis
    with torch.no_grad():
        makes.start.normal_()
    assert torch.autograd.gradgradcheck(lambda styles: makes(styles), torch.randn(1, 4, 5, requires_grad=True))


def test_bfloat16_rounds_maps_and_neither_images_nor_scores():
    makes, judges = generator(16, grows_to=16), critic(16, grows_to=16)
    with torch.autocast("cpu", torch.bfloat16):
        images = makes(torch.randn(2, 6))
        assert (images.dtype, judges(images).dtype) == (torch.float32,) * 2
        assert judges.trunk(images).dtype == torch.bfloat16
    assert (images.bfloat16().float() != images).float().mean() > 0.9


def test_a_compiler_sees_one_graph_in_each_part():
    makes, judges, z = generator(grows_to=8), critic(grows_to=8), torch.randn(2, 6)
    compiled = lambda network: torch.compile(network, backend="eager", fullgraph=True)
    styles, noise = makes.styles(z), [torch.randn(2, 1, *size) for size in makes.synthesis.noise_sizes]
    images = makes.synthesis(styles, noise)
    torch.testing.assert_close(compiled(makes.synthesis)(styles, noise), images)
    torch.testing.assert_close(compiled(judges)(images), judges(images))


# --- Layers ----------------------------------------------------------------------------------------------------------


def test_convolutions_that_double_and_halve_are_two_steps_in_one(double):
    x = torch.randn(2, 3, 8, 6)
    up = stylegan.UpConv(3, 4, 3, bias=False, rectify=False)
    weight = up.weight.flip(2, 3) / math.sqrt(27)  # a transposed convolution turns its weights around
    torch.testing.assert_close(up(x), conv2d(interpolate(x, scale_factor=2), weight, padding=1))
    down = stylegan.DownConv(3, 4, 3)
    torch.nn.init.normal_(down.bias)
    whole = conv2d(x, down.weight / math.sqrt(27), down.bias, padding=1)
    torch.testing.assert_close(down(x), leaky_relu(avg_pool2d(whole, 2), 0.2) * math.sqrt(2))


def test_maps_are_smoothed_by_1_2_1():
    x = torch.zeros(1, 2, 5, 5)
    x[..., 2, 2] = 16
    side = torch.tensor([1.0, 2.0, 1.0])
    torch.testing.assert_close(stylegan.smooth()(x)[..., 1:4, 1:4], torch.outer(side, side).expand(1, 2, 3, 3))


def test_a_layer_adds_noise_to_each_channel_by_its_own_strength_and_then_normalises():
    layer, x, style = stylegan.Layer(3, 4, (8, 8), style_dim=5), torch.randn(2, 3, 8, 8), torch.randn(2, 5)
    noise, plain = torch.randn(2, 1, 8, 8), layer(x, style)
    assert layer.strength.shape == (4,) and torch.equal(layer(x, style, noise), plain), "strengths begin at 0"
    with torch.no_grad():
        layer.strength.copy_(torch.tensor([0.0, 0.5, 0.0, -2.0]))
        layer.bias.normal_()
    y = leaky_relu(layer.conv(x) + layer.strength[:, None, None] * noise + layer.bias[:, None, None], 0.2)
    factor, summand = layer.to_style(style)[..., None, None].chunk(2, dim=1)
    expected = instance_norm(y, eps=1e-8) * (factor + 1) + summand
    torch.testing.assert_close(layer(x, style, noise), expected, atol=1e-5, rtol=1e-4)


def test_what_is_learned_first_begins_at_one_and_is_noised_and_styled_too():
    makes = generator(8)
    assert torch.equal(makes.synthesis.start, torch.ones(8, 4, 4))
    assert isinstance(makes.synthesis.layers[0].conv, torch.nn.Identity)
    first = makes.synthesis.layers[0]
    styles = makes.styles(torch.randn(2, 6))
    x = first(makes.synthesis.start.expand(2, -1, -1, -1), styles[:, 0])
    summand = first.to_style(styles[:, 0])[:, 8:, None, None]
    torch.testing.assert_close(x, summand.expand_as(x))  # nothing else is left of a constant


# --- Growth ----------------------------------------------------------------------------------------------------------


def grown(share, size=16):
    """A game of half the size, the one of this size that starts from its weights with this share, and what fitted."""
    grows = [f"model.{network}.grows_to=32" for network in ("generator", "discriminator")]
    game_of = lambda size, *words: made(*SMALL, *grows, f"dataset.image_size={size}", *words).game.eval()
    below, game = game_of(size // 2), game_of(size, "model.fade_images=64")
    with torch.no_grad():
        for layer in below.generator.synthesis.layers:
            layer.strength.normal_()
    found = matches(game, below.state_dict(), "below")
    for shares in game.fading:
        assert shares.tolist() == [1.0] * (len(shares) - 1) + [0.0]
        shares[-1] = share
    return below, game, found


@pytest.mark.parametrize("size", [8, 16, 32])
def test_a_stage_goes_on_exactly_as_what_the_one_below_computes(size):
    below, game, found = grown(0.0, size)
    new = int(math.log2(size)) - 2
    layers = (f"synthesis.layers.{2 * new}.", f"synthesis.layers.{2 * new + 1}.", f"synthesis.to_image.{new}.")
    own = (*layers, f"trunk.from_image.{new}.", f"trunk.blocks.{new}.", "synthesis.shares", "trunk.shares")
    assert all(name.startswith(own) for match in found for name in match.missing)
    rows = game.draw(range(3))
    small, image = below.sample(rows)["image"], game.sample(rows)["image"]
    assert torch.equal(image, interpolate(small, scale_factor=2))
    x = torch.randn(4, 1, size, size)
    torch.testing.assert_close(game.discriminator(x), below.discriminator(avg_pool2d(x, 2)), atol=1e-6, rtol=1e-6)


def test_at_the_end_of_its_fade_a_size_is_all_there_is():
    below, game, _ = grown(1.0)
    rows, x = game.draw(range(3)), torch.randn(4, 1, 16, 16)
    image, scores = game.sample(rows)["image"], game.discriminator(x)
    with torch.no_grad():
        for layer in [*game.generator.synthesis.to_image[:-1], *list(game.discriminator.trunk.from_image.values())[1:]]:
            layer.weight.normal_()
    assert torch.equal(game.sample(rows)["image"], image) and torch.equal(game.discriminator(x), scores)


def test_in_between_images_and_maps_are_mixed():
    images = []
    for share in (0.0, 0.25, 1.0):
        torch.manual_seed(1)
        _, game, _ = grown(share)
        images.append(game.sample(game.draw(range(3)))["image"])
    torch.testing.assert_close(images[1], 0.75 * images[0] + 0.25 * images[2])


def test_shares_grow_with_the_images_seen_and_real_ones_fade_too():
    trainer = made(*FADES)  # batches of 8
    game, image = trainer.game, torch.randn(2, 1, 16, 16)
    half = interpolate(avg_pool2d(image, 2), scale_factor=2)
    for step in range(10):
        share = min(1.0, step / 8)
        assert [shares[-1].item() for shares in game.fading] == [share, share]
        torch.testing.assert_close(game.faded(Rows(image=image))["image"], torch.lerp(half, image, share))
        play(trainer, 1)
    assert torch.equal(game.faded(Rows(image=image))["image"], image)
    assert trainer.ema.networks["generator"].synthesis.shares[-1] == 1


def test_a_batch_in_parts_is_counted_once():
    whole, parts = made(*FADES, rounds=2), made(*FADES, "trainer.batch_size=2", "trainer.accumulate=4", rounds=2)
    assert whole.game.seen == parts.game.seen == 16


def test_both_sides_are_faded_before_the_critic_sees_them(monkeypatch):
    trainer, seen = made(*FADES), []
    judge = trainer.game.judge
    monkeypatch.setattr(trainer.game, "judge", lambda critic, *sides: seen.append(sides[:2]) or judge(critic, *sides))
    play(trainer, 1)
    for side in seen[0]:
        image = side["image"]
        torch.testing.assert_close(interpolate(avg_pool2d(image, 2), scale_factor=2), image)


@pytest.mark.parametrize("cut", [3, 5])
def test_a_fade_that_is_cut_in_the_middle_ends_in_the_same_bits(cut):
    words = [*FADES, "loss=logistic_r1", "loss.penalties.r1.every=6"]
    expected = made(*words, rounds=10)
    state = made(*words, rounds=cut).state_dict()
    resumed = made(*words)
    resumed.load_state_dict(state)
    assert fingerprint(play(resumed, 10 - cut).state_dict()) == fingerprint(expected.state_dict())
    state["game"]["seen"] = torch.zeros((), dtype=torch.long)
    forgetful = made(*words)
    forgetful.load_state_dict(state)
    assert fingerprint(play(forgetful, 2).state_dict()) != fingerprint(play(made(*words), cut + 2).state_dict())


def test_rounds_of_a_fade_are_alike():
    check_rounds_are_alike(*FADES, "model.fade_images=100000")


# --- Truncation ------------------------------------------------------------------------------------------------------


def test_truncation_ends_at_a_layer():
    game = made(*SMALL, "dataset.image_size=16", rounds=3).game.eval()
    rows, makes = game.draw(range(3)), game.generator
    styles, average = makes.styles(rows["latent"]), makes.mapping.average
    near = makes.truncated(styles, 0.7, 4)
    torch.testing.assert_close(near[:, :4], torch.lerp(average, styles, 0.7)[:, :4])
    assert torch.equal(near[:, 4:], styles[:, 4:])
    sample = lambda **words: game.sample(rows, **words)["image"]
    assert torch.equal(sample(truncation=0.7, cutoff=4), makes.synthesis(near))
    assert torch.equal(sample(truncation=0.7, cutoff=6), sample(truncation=0.7))
    assert torch.equal(sample(truncation=0.7, cutoff=8), sample(truncation=0.7)), "the code's 8 of a small network"
    assert torch.equal(sample(cutoff=4), sample())
    assert help_of(game)["cutoff"].startswith("how many layers are truncated")


# --- Presets and people ----------------------------------------------------------------------------------------------


def test_the_preset_has_the_numbers_of_the_code():
    config = OmegaConf.load(CONF / "experiment" / "stylegan_ffhq128.yaml")
    facts = {  # NVlabs/stylegan, train.py and training_loop.py: settings for 8 GPUs
        "model.latent_dim": 512, "model.mixing": 0.9, "model.generator.style_dim": 512,
        "model.generator.mapping_layers": 8, "model.discriminator.group_size": 4, "dataset.flip": True,
        "loss.penalties.r1.weight": 10.0, "loss.penalties.r1.every": 1, "optimizer.lr": 0.001,
        "optimizer.betas": [0.0, 0.99], "trainer.ema_half_life_images": 10_000,
        "stages.size128.optimizer.lr": 0.0015,
    }  # fmt: skip
    assert {key: OmegaConf.select(config, key) for key in facts} == facts
    sizes, batches = (8, 16, 32, 64, 128), (256, 128, 64, 32, 32)
    stages = list(config.stages.values())
    images = [stage.trainer.steps * stage.trainer.batch_size for stage in stages]
    assert [stage.dataset.image_size for stage in stages] == list(sizes)
    assert [stage.trainer.batch_size for stage in stages] == list(batches)
    assert images == pytest.approx([600_000, *[1_200_000] * 3, 20_800_000], rel=1e-3)
    assert sum(images) == pytest.approx(25_000_000, rel=1e-4)
    assert [OmegaConf.select(stage, "model.fade_images") for stage in stages] == [None, *[600_000] * 4]
    assert compose(["experiment=stylegan_ffhq128", "dataset.path=/pictures"])["loss"]["penalties"].keys() == {"r1"}


@pytest.mark.parametrize("size", [8, 16, 32])
def test_each_size_of_the_digits_is_played(size):
    stages = compose(["experiment=stylegan_growing_digits", "trainer.device=cpu", "trainer.threads=1"])["stages"]
    config = stages[f"size{size}"]["config"]
    config["trainer"] |= {"init_from": None, "batch_size": 4}
    trainer = play(trainer_of(config), 2)
    assert trainer.game.generator.synthesis.noise_sizes[-1] == (size, size)
    assert all(math.isfinite(value) for value in trainer.report().values())


def test_a_stage_of_the_papers_is_played_with_narrow_networks():
    config = compose(["experiment=stylegan_ffhq128", "dataset.path=/pictures"])["stages"]["size16"]["config"]
    model, words = config["model"], []
    assert model["generator"]["grows_to"] == model["discriminator"]["grows_to"] == 128
    for network in ("generator", "discriminator"):
        words += [f"model.{network}.{word}" for word in ("grows_to=128", "width=2", "limit=4")]
    penalty = [f"loss.penalties.r1.{word}" for word in ("weight=10.0", "every=1")]
    trainer = made("model=stylegan", "dataset.image_size=16", "loss=logistic_r1", *penalty, *words, rounds=2)
    assert all(math.isfinite(value) for value in trainer.report().values())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model.generator.grows_to=30"], "28 and 32"),
        (["model.generator.grows_to=8"], "grows_to=8 is reached by the sizes 4, 8, and image_size=16 is none"),
        (["model.generator.grows_to=56"], "grows_to=56 is reached by the sizes 7, 14, 28, 56, and image_size=16"),
        (["model.generator.grows_to=[16,32]"], r"sizes \[4,8\], \[8,16\], \[16,32\], and image_size=16 is none"),
        (["model.discriminator.grows_to=12"], "grows_to=12 is reached by the sizes 6, 12"),
        (["model.fade_images=10"], r"no smaller size to fade from. Set model\.fade_images=0"),
        (["model.fade_images=10", "model.generator.grows_to=16"], "no smaller size to fade from"),
        (["model.fade_images=-1"], "fade_images=-1 must be at least 0"),
        (["model.mixing=1.5"], r"mixing=1.5 must lie in \[0, 1\]"),
        (["model.generator.mapping_layers=0"], "mapping_layers=0 must be at least 1"),
        (["model.discriminator.group_size=-1"], "group_size=-1 must be at least 1"),
    ],
)
def test_what_cannot_be_is_a_sentence(words, sentence):
    alone = [] if any("discriminator.grows_to" in word for word in words) else ["model.discriminator.grows_to=null"]
    with pytest.raises(ConfigError, match=sentence):
        trainer_of(config_of("model=stylegan", "dataset.image_size=16", *alone, *words))
