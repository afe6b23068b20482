"""StyleGAN2: counts of weights, layers against what they are short for, styles, noise, path lengths, presets."""

import math

import pytest
import torch
from helpers import CONF, check_preset, config_of, fingerprint, made, play, trainer_of, weights, words_for
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

import gan_lab
from gan_lab.cli import main
from gan_lab.config.build import build_game
from gan_lab.config.compose import compose
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.losses.path_length import PathLength
from gan_lab.networks import stylegan2
from gan_lab.noise import Noise
from gan_lab.rows import Rows
from gan_lab.runs.run import help_of

sides = st.builds(lambda b, k: b << k, st.integers(4, 7), st.integers(0, 3))
architectures = st.sampled_from(stylegan2.ARCHITECTURES)
PLAYED = ["model=stylegan2", "loss=stylegan2", "model.generator.style_dim=8", "model.latent_dim=8"]
MODELS = ["stylegan2", "conditional_stylegan2", "stylegan"]
INSIDE = (..., slice(3, -3), slice(3, -3))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def generator(size=8, channels=3, **words):
    return stylegan2.Generator(6, channels, size, **{"style_dim": 5, "mapping_layers": 2, "width": 4, **words})


def critic(size=8, channels=3, **words):
    return stylegan2.Discriminator(channels, size, **{"width": 4, "mapping_layers": 2, **words})


# --- Weights ---------------------------------------------------------------------------------------------------------

COUNTS = {  # side, width and limit, layers of the mapping, architecture of the critic, conditions; weights of both
    "cifar": (32, 512, 1, 2, "orig", 0, 19_947_539, 20_720_641),
    "cifar, told the class": (32, 512, 1, 2, "orig", 10, 20_215_315, 23_089_664),
    "paper256": (256, 64, 8, 8, "resnet", 0, 24_767_458, 24_001_089),
    "auto at 32": (32, 512, 1, 2, "resnet", 0, 19_947_539, 21_507_073),
    "auto at 64": (64, 256, 2, 2, "resnet", 0, 22_243_608, 23_407_361),
    "auto at 128": (128, 128, 4, 2, "resnet", 0, 22_949_277, 23_882_369),
    "auto at 256": (256, 64, 8, 2, "resnet", 0, 23_191_522, 24_001_089),
    "config F": (1024, 32, 16, 8, "resnet", 0, 30_370_060, 29_012_513),
}


@pytest.mark.parametrize("name", COUNTS)
def test_weights_are_as_many_as_those_of_the_code(name):
    size, width, limit, layers, architecture, told, of_generator, of_critic = COUNTS[name]
    words = {"width": width, "limit": limit, "num_conditions": told}
    with torch.device("meta"):
        assert count(stylegan2.Generator(512, 3, size, mapping_layers=layers, **words)) == of_generator
        assert count(stylegan2.Discriminator(3, size, architecture=architecture, **words)) == of_critic


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["experiment=stylegan2_cifar10"], "cifar"),
        (["experiment=stylegan2_cifar10", "model=conditional_stylegan2"], "cifar, told the class"),
        (["experiment=stylegan2_paper256", "dataset.path=/pictures"], "paper256"),
    ],
)
def test_presets_build_these_networks(words, expected):
    with torch.device("meta"):
        game = build_game(compose(words))
    assert (count(game.generator), count(game.discriminator)) == COUNTS[expected][-2:]


# --- Shapes ----------------------------------------------------------------------------------------------------------


@given(sides, sides, st.integers(1, 4), architectures, architectures, st.integers(0, 3))
def test_any_size_any_number_of_channels_and_each_architecture(height, width, channels, of_generator, of_critic, told):
    size, words = [height, width], {"width": 2, "limit": 2, "num_conditions": told}
    makes = generator(size, channels, architecture=of_generator, **words)
    judges = critic(size, channels, architecture=of_critic, **words)
    condition = (torch.rand(3, told),) if told else ()
    images = makes(torch.randn(3, 6), *condition)
    assert images.shape == (3, channels, height, width)
    scores = judges(images, *condition)
    assert scores.shape == (3,)
    scores.sum().backward()
    for name, parameter in [*makes.named_parameters(), *judges.named_parameters()]:
        assert parameter.grad is not None, name


@pytest.mark.parametrize("architecture", stylegan2.ARCHITECTURES)
def test_a_penalty_of_the_slope_trains_every_weight(architecture):
    network, x = critic(architecture=architecture, num_conditions=2), torch.randn(4, 3, 8, 8, requires_grad=True)
    scores = network(x, torch.eye(2)[[0, 1, 0, 0]])
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    (scores.sum() + slope.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_slopes_of_slopes_are_right(double):
    """R1 and path lengths differentiate twice."""
    network, x = critic(4, 1, width=2, group_size=2), torch.randn(2, 1, 4, 4, requires_grad=True)
    assert torch.autograd.gradgradcheck(network, x)
    makes = generator(8, 1, width=2).synthesis
    styles = torch.randn(1, 4, 5, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda styles: makes(styles), styles)


def test_bfloat16_rounds_maps_and_neither_images_nor_scores():
    makes, judges = generator(16), critic(16)
    with torch.autocast("cpu", torch.bfloat16):
        styles = makes.styles(torch.randn(2, 6))
        images = makes.synthesis(styles)
        assert (styles.dtype, images.dtype, judges(images).dtype) == (torch.float32,) * 3
        assert judges.trunk(images).dtype == torch.bfloat16
    assert (images.bfloat16().float() != images).float().mean() > 0.9
    torch.testing.assert_close(images, makes.synthesis(styles), atol=0.1, rtol=0.1)


def test_channels_last_gives_the_same():
    makes, judges, z = generator(16), critic(16), torch.randn(2, 6)
    images, scores = makes(z), judges(makes(z))
    makes, judges = (network.to(memory_format=torch.channels_last) for network in (makes, judges))
    torch.testing.assert_close(makes(z), images, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(judges(images), scores, atol=1e-5, rtol=1e-4)


def test_a_compiler_sees_one_graph_in_each_part():
    makes, judges, told, z = generator(num_conditions=2), critic(num_conditions=2), torch.eye(2), torch.randn(2, 6)
    compiled = lambda network: torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(makes.mapping)(z, told), makes.mapping(z, told))
    styles = makes.styles(z, told)
    noise = [torch.randn(2, 1, *size) for size in makes.synthesis.noise_sizes]
    torch.testing.assert_close(compiled(makes.synthesis)(styles, noise), makes.synthesis(styles, noise))
    torch.testing.assert_close(compiled(judges)(makes(z, told), told), judges(makes(z, told), told))


def test_a_compiled_game_plays_as_a_plain_one():
    torch.compiler.reset()
    plain, compiled = (made(*PLAYED, "dataset.image_size=8") for _ in range(2))
    for network in ("generator", "discriminator"):
        getattr(compiled.game, network).compile(backend="eager")
    assert compiled.game.generator.synthesis._compiled_call_impl is not None
    torch.testing.assert_close(weights(play(plain, 2)), weights(play(compiled, 2)), atol=1e-5, rtol=1e-4)


# --- Layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("up", [False, True])
def test_a_modulated_convolution_is_one_with_weights_of_each_samples_own(up, double):
    layer = stylegan2.ModulatedConv(3, 4, style_dim=5, up=up)
    x, style = torch.randn(6, 3, 8, 7), torch.randn(6, 5)
    own = layer.weight / math.sqrt(27) * layer.to_scale(style)[:, None, :, None, None]  # [N, after, before, 3, 3]
    own = own / own.square().sum(dim=(2, 3, 4), keepdim=True).add(1e-8).sqrt()
    one = lambda x, w: layer.blur(conv_transpose2d(x, w.transpose(0, 1), stride=2)) if up else conv2d(x, w, padding=1)
    expected = torch.cat([one(x[i : i + 1], own[i]) for i in range(6)])
    torch.testing.assert_close(layer(x, style), expected)


def test_demodulation_brings_the_variance_back_whatever_the_style():
    layer, x = stylegan2.ModulatedConv(64, 64, style_dim=5), torch.randn(8, 64, 16, 16)
    for strength in (0.1, 10.0):
        y = layer(x, strength * torch.randn(8, 5))[..., 1:-1, 1:-1]
        assert y.std().item() == pytest.approx(1.0, abs=0.05)


def test_an_image_is_not_demodulated():
    layer = stylegan2.ToImage(3, 2, style_dim=5)
    x, style = torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    expected = conv2d(x * layer.to_scale(style)[..., None, None], layer.conv.weight / math.sqrt(3))
    torch.testing.assert_close(layer(x, style), expected)


def test_a_style_begins_as_the_factor_one():
    layer = stylegan2.ModulatedConv(3, 2, style_dim=5)
    torch.testing.assert_close(layer.to_scale(torch.zeros(1, 5)), torch.ones(1, 3))


def test_convolving_what_is_doubled_is_doubling_what_is_convolved(double):
    layer, x, style = stylegan2.ModulatedConv(3, 4, style_dim=5, up=True), torch.randn(2, 3, 8, 8), torch.randn(2, 5)
    flipped = layer.weight.flip(2, 3) / math.sqrt(27)  # a transposed convolution turns its weights around
    scale = layer.to_scale(style)
    y = conv2d(stylegan2.Up()(x * scale[..., None, None]), flipped, padding=1)
    y = y * stylegan2.demodulation(scale, flipped)[..., None, None]
    torch.testing.assert_close(layer(x, style)[INSIDE], y[INSIDE])


@pytest.mark.parametrize("layer", [stylegan2.Blur(padding=2), stylegan2.Up(), stylegan2.Down()])
def test_filters_keep_a_constant_within_the_border(layer):
    y = layer(torch.full((1, 2, 16, 16), 3.0))[INSIDE]
    torch.testing.assert_close(y, torch.full_like(y, 3.0))


def test_a_filter_keeps_a_ramp_straight():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    y = stylegan2.Blur(padding=2)(ramp)[INSIDE]
    torch.testing.assert_close(y.diff(dim=3), torch.ones_like(y.diff(dim=3)))
    assert y.diff(dim=2).abs().max() < 1e-5


def test_rates_are_equal():
    """Weights of all layers begin with a deviation of 1, and count 1 / sqrt(fan in) in use."""
    for network in (generator(16, width=16), critic(16, width=16)):
        for name, weight in network.named_parameters():
            if name.endswith("weight") and ".mapping." not in f".{name}" and weight.numel() > 500:
                assert weight.std().item() == pytest.approx(1.0, abs=0.1), name
    x = torch.randn(64, 8, 9, 9)
    layer = stylegan2.Conv(8, 32, 3)
    expected = leaky_relu(conv2d(x, layer.weight / math.sqrt(72), padding=1), 0.2) * math.sqrt(2)
    torch.testing.assert_close(layer(x), expected)
    assert expected[..., 1:-1, 1:-1].square().mean().item() == pytest.approx(1.0, abs=0.15), "the mean square stays"


def test_the_mapping_learns_at_a_hundredth_of_the_rate():
    x = torch.randn(1000, 64)
    usual, slow = stylegan2.Dense(64, 64), stylegan2.Dense(64, 64, rate=0.01)
    with torch.no_grad():
        slow.weight.copy_(usual.weight / 0.01)
        torch.testing.assert_close(slow(x), usual(x))
        steps = []
        for layer in (usual, slow):
            before = layer(x)
            layer.weight += 1e-2  # what an update of Adam does, of whatever gradient
            layer.bias += 1e-2
            steps.append(layer(x) - before)
    torch.testing.assert_close(steps[1], 0.01 * steps[0], atol=1e-4, rtol=1e-2)
    assert {layer.rate for layer in generator().mapping.layers} == {0.01}


def test_latents_are_taken_by_their_direction():
    makes, z = generator(), torch.randn(3, 6)
    torch.testing.assert_close(makes(5 * z), makes(z))


def test_skip_adds_up_images_of_all_sizes():
    makes, z = generator(16, architecture="skip"), torch.randn(2, 6)
    styles, whole = makes.styles(z), makes(z)
    first, second, third = makes.synthesis.blocks
    with torch.no_grad():
        for block in (second, third):
            block.to_image.conv.weight.zero_()
    _, small = first(makes.synthesis.start.expand(2, -1, -1, -1), None, styles[:, :2])
    alone = makes(z)
    torch.testing.assert_close(alone, stylegan2.Up()(stylegan2.Up()(small)))
    assert not torch.allclose(alone, whole)


def test_a_critic_of_skips_sees_the_image_at_each_size():
    network, x = critic(16, architecture="skip"), torch.randn(2, 3, 16, 16)
    assert len(network.trunk.from_image) == 3
    with torch.no_grad():
        for layer in network.trunk.from_image[:2]:
            layer.weight.zero_()
    assert not torch.allclose(network(x), network(-x)), "the smallest one is enough to tell"


def test_the_score_of_a_condition_is_a_projection():
    network, x = critic(num_conditions=3), torch.randn(4, 3, 8, 8)
    told = torch.eye(3)[[0, 1, 2, 0]]
    features = network.head(network.minibatch(network.trunk(x)))
    directions = network.score.mapping(told)
    torch.testing.assert_close(network(x, told), (features * directions).sum(dim=1) / math.sqrt(features.shape[1]))


def test_the_trunk_knows_no_other_samples_and_the_layer_behind_it_does():
    network, x = critic(), torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(network.trunk(x)[:2], network.trunk(x[:2]))
    assert not torch.allclose(network(x)[:2], network(x[:2]))
    apart = critic(group_size=0)
    torch.testing.assert_close(apart(x)[:2], apart(x[:2]))


# --- Styles and noise ------------------------------------------------------------------------------------------------


def game_of(*words, model="stylegan2"):
    small = ["model.latent_dim=8", "model.generator.style_dim=8"]
    return made(f"model={model}", "dataset=digits", *small, *words).game


def test_each_layer_takes_one_style_and_an_image_the_one_behind():
    makes = generator(16, architecture="skip")
    assert makes.num_styles == 6 and len(makes.synthesis.noise_sizes) == 5  # 1 + 2 + 2 layers, and the last image
    styles = makes.styles(torch.randn(1, 6)).detach().requires_grad_()
    for image, used in zip((8, 16), (4, 6), strict=True):
        blocks = list(makes.synthesis.blocks)[: image.bit_length() - 2]
        x, shown, place = makes.synthesis.start[None], None, 0
        for block in blocks:
            end = place + len(block.layers)
            x, shown = block(x, shown, styles[:, place : end + 1])
            place = end
        (slope,) = torch.autograd.grad(shown.sum(), styles)
        assert slope.square().sum(dim=2)[0].gt(0).tolist() == [i < used for i in range(6)]


@pytest.mark.parametrize("model", MODELS)
def test_a_mixed_batch_has_two_latents_styles_on_both_sides_of_one_place(model):
    game, seen = game_of("model.mixing=1.0", model=model), set()
    batch = Rows(image=torch.zeros(4, 1, 16, 16), label=torch.tensor([1, 2, 3, 4]))
    for step in range(30):
        game.noise.at(step, "generator", 0)
        rows = game.new(batch)
        plain, mixed = game.generator.styles(rows["latent"], **game.told(rows)), game.styles(rows)
        same = (plain == mixed).all(dim=2)  # [N, num_styles]
        assert (same == same[0]).all(), "one place for the whole batch"
        place = int(same[0].sum())
        assert same[0].tolist() == [i < place for i in range(len(same[0]))]
        assert (mixed[:, place:] == mixed[:, -1:]).all(), "what is behind it is one latent's"
        seen.add(place)
    assert seen == set(range(1, game.generator.num_styles)), "every place, and never all or nothing"


def test_a_share_of_the_batches_is_mixed():
    game = game_of("model.mixing=0.5")
    batch, mixed = {"image": torch.zeros(2, 1, 16, 16)}, []
    for step in range(200):
        game.noise.at(step, "discriminator", 0)
        styles = game.styles(game.new(batch))
        mixed.append(not torch.equal(styles[:, 0], styles[:, -1]))
    assert 0.4 < sum(mixed) / 200 < 0.6
    none = game_of("model.mixing=0.0")
    styles = none.styles(none.new(batch))
    assert torch.equal(styles[:, 0], styles[:, -1])


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_in_shards_is_the_whole_one(model, double):
    """Places of mixing and maps of noise are drawn for the whole batch, so that two ranks equal one."""
    game = game_of("model.mixing=1.0", "model.discriminator.group_size=0", "loss=non_saturating", model=model)
    with torch.no_grad():
        for layer in (m for m in game.modules() if isinstance(m, stylegan2.Layer)):
            layer.strength.fill_(1.0)
    batch = {"image": torch.randn(4, 1, 16, 16), "label": torch.tensor([3, 1, 4, 1])}
    for player in ("generator", "discriminator"):
        loss = getattr(game, f"{player}_loss")
        game.noise.at(0, player, 0)
        whole = loss(batch, 0).losses
        halves = []
        for i in range(2):
            game.noise.at(0, player, 0, shard=i, shards=2)
            halves.append(loss({k: v[2 * i : 2 * i + 2] for k, v in batch.items()}, 0).losses)
        for name, term in whole.items():
            torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, term)


def test_noise_has_no_strength_at_first_and_is_constant_in_samples():
    game = game_of()
    styles = game.generator.styles(torch.randn(2, 8))
    game.noise.at(0, "generator", 0)
    assert torch.equal(game.paint(styles), game.generator.synthesis(styles)), "strengths begin at 0"
    with torch.no_grad():
        for layer in (m for m in game.modules() if isinstance(m, stylegan2.Layer)):
            layer.strength.fill_(1.0)
    one, again, other = game.paint(styles), game.paint(styles), game.paint(styles, "again")
    assert torch.equal(one, again) and not torch.allclose(one, other), "drawn by name"
    game.noise.at(1, "generator", 0)
    assert not torch.allclose(game.paint(styles), one), "and by place"
    rows = game.draw([1, 2])
    samples = game.sample(rows)["image"]
    game.noise.at(2, "generator", 0)
    assert torch.equal(game.sample(rows)["image"], samples)
    torch.testing.assert_close(game.sample(rows.at([1]))["image"], samples[1:], atol=1e-5, rtol=1e-5)


def test_maps_of_noise_are_drawn_for_each_sample_and_shared_by_channels():
    layer = stylegan2.Layer(3, 4, (8, 8), style_dim=5)
    x, style, noise = torch.zeros(2, 3, 8, 8), torch.zeros(2, 5), torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        layer.strength.fill_(0.5)
    expected = leaky_relu(0.5 * noise, 0.2) * math.sqrt(2)
    torch.testing.assert_close(layer(x, style, noise), expected.expand(-1, 4, -1, -1))


@pytest.mark.parametrize("model", MODELS)
def test_truncation_moves_styles_towards_their_average(model):
    trainer = trainer_of(config_of(f"model={model}", "dataset=digits", "model.latent_dim=8"))
    game = play(trainer, 3).game.eval()
    average = game.generator.mapping.average
    assert average.any()
    rows = game.draw(range(4))
    told = game.told(rows)
    whole = game.generator.styles(rows["latent"], **told)
    half = game.generator.truncated(whole, 0.5)
    torch.testing.assert_close(half - average, 0.5 * (whole - average))
    assert torch.equal(game.sample(rows, truncation=1.0)["image"], game.sample(rows)["image"])
    none = game.sample(rows, truncation=0.0)["image"]
    torch.testing.assert_close(none, none[:1].expand_as(none), atol=1e-5, rtol=1e-5)


def test_the_average_follows_the_styles_of_training_and_of_nothing_else():
    game = game_of()
    batch = {"image": torch.zeros(64, 1, 16, 16)}
    game.noise.at(0, "generator", 0)
    style = game.generator.styles(game.new(batch)["latent"])[:, 0]
    game.styles(game.new(batch))
    torch.testing.assert_close(game.generator.mapping.average, 0.005 * style.mean(dim=0))
    before = game.generator.mapping.average.clone()
    game.sample(game.draw(range(4)))
    game.tables(game.draw(range(4)))
    assert torch.equal(game.generator.mapping.average, before)
    assert not game.generator.mapping.average.requires_grad


def test_averaged_weights_take_the_average_style_with_them():
    trainer = made(*PLAYED, rounds=3)
    assert torch.equal(trainer.ema.networks["generator"].mapping.average, trainer.game.generator.mapping.average)


@pytest.mark.parametrize("model", MODELS)
def test_the_preview_shows_coarse_styles_of_rows_and_fine_ones_of_columns(model):
    game = game_of(model=model).eval()
    rows = game.draw([1, 2, 3, 1, 2, 3])
    mixed = game.tables(rows)["mixed"]
    assert mixed.shape == (3, 3, 1, 16, 16)
    own = game.sample(rows.at(slice(3)))["image"]
    for i in range(3):
        torch.testing.assert_close(mixed[i, i], own[i], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(mixed[0, 1], mixed[1, 0])


def test_a_class_makes_another_sample():
    game = game_of(model="conditional_stylegan2").eval()
    rows = game.draw([1, 1]).changed(label=torch.tensor([0, 1]))
    one, other = game.sample(rows)["image"]
    assert not torch.allclose(one, other)


# --- Path lengths ----------------------------------------------------------------------------------------------------


def penalty_of(network, penalty, styles, seed=0):
    """The term from a mean of 0.5."""
    penalty.mean.fill_(0.5)
    return penalty(lambda rows: network(rows["style"]), Rows(style=styles), noise=Noise(seed))


def test_a_path_length_is_that_of_the_jacobian(double):
    network, penalty = generator(4, 2).synthesis, PathLength(shrink=2)
    styles = torch.randn(4, network.num_styles, 5)
    said = penalty_of(network, penalty, styles)
    y = Noise(0)("path_length", (2, 2, 4, 4)).double() / 4
    jacobian = torch.autograd.functional.jacobian(network, styles[:2])  # [N, C, h, w, N, L, D]
    own = torch.stack([torch.einsum("chw,chwld->ld", y[i], jacobian[i, :, :, :, i]) for i in range(2)])
    lengths = own.square().sum(dim=2).mean(dim=1).sqrt()
    mean = 0.5 + 0.01 * (lengths.mean() - 0.5)
    torch.testing.assert_close(said, (lengths - mean).square().mean())
    torch.testing.assert_close(penalty.mean, mean.detach())


def test_its_gradient_is_the_numerical_one(double):
    makes, penalty, z = generator(4, 1, width=2), PathLength(shrink=1), torch.randn(3, 6)
    due = lambda: penalty_of(makes.synthesis, penalty, makes.styles(z))
    due().backward()
    checked = 0
    for name, parameter in makes.named_parameters():
        if parameter.grad is None:
            assert name.endswith("bias"), f"{name} has no part in the slope"
            continue
        place = int(parameter.grad.abs().argmax())
        found, values = parameter.grad.flatten()[place].item(), parameter.data.view(-1)
        before, ends = values[place].item(), []
        for step in (1e-5, -1e-5):
            values[place] = before + step
            ends.append(due().item())
        values[place] = before
        assert found == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-8), name
        checked += found != 0
    assert checked >= 8


def test_it_is_taken_of_latents_where_there_are_no_styles():
    network = torch.nn.Linear(3, 8, bias=False)
    make = lambda rows: network(rows["latent"]).view(-1, 2, 2, 2)
    penalty, z = PathLength(decay=1.0, shrink=1), torch.randn(5, 3)
    penalty(make, Rows(latent=z), noise=Noise())
    y = Noise()("path_length", (5, 2, 2, 2)).flatten(1) / 2
    torch.testing.assert_close(penalty.mean, (y @ network.weight).norm(dim=1).mean().detach())
    assert not z.requires_grad


def test_it_is_owed_every_fourth_turn_and_counts_four_times():
    trainer = trainer_of(config_of(*PLAYED))
    assert [name for name, p in trainer.game.objective.penalties.items() if p.at == "regularise"] == ["path_length"]
    owed = []
    for _ in range(9):
        play(trainer, 1)
        owed.append("loss/generator/path_length" in trainer.report())
    assert owed == [i % 4 == 0 for i in range(9)]
    assert trainer.game.objective.penalties["path_length"].mean > 0


@pytest.mark.parametrize("model", MODELS)
def test_a_run_that_is_cut_within_a_lazy_interval_ends_in_the_same_bits(model):
    words = [f"model={model}", *PLAYED[1:], "loss.penalties.r1.every=6", "trainer.batch_size=4"]
    expected = fingerprint(made(*words, rounds=9).state_dict())
    for cut in (5, 7):  # between two path lengths, before R1 and behind it
        state = made(*words, rounds=cut).state_dict()
        resumed = made(*words)
        resumed.load_state_dict(state)
        assert fingerprint(play(resumed, 9 - cut).state_dict()) == expected
    state["game"]["objective.penalties.path_length.mean"] = torch.zeros(())
    forgetful = made(*words)
    forgetful.load_state_dict(state)
    assert fingerprint(play(forgetful, 2).state_dict()) != expected, "the running mean is part of the state"


# --- Presets and people ----------------------------------------------------------------------------------------------

READ = {  # NVlabs/stylegan2-ada-pytorch, train.py: cfg_specs
    "stylegan2_cifar10": {
        "trainer.batch_size": 64, "trainer.steps": 100_000_000 // 64, "model.discriminator.group_size": 32,
        "loss.penalties.r1.weight": 0.01, "trainer.ema_half_life_images": 500_000, "trainer.ema_ramp": 0.05,
        "model.generator.mapping_layers": 2, "model.mixing": 0.0, "model.discriminator.architecture": "orig",
    },
    "stylegan2_paper256": {
        "trainer.batch_size": 64, "trainer.steps": 25_000_000 // 64, "model.discriminator.group_size": 8,
        "loss.penalties.r1.weight": 1.0, "trainer.ema_half_life_images": 20_000, "trainer.ema_ramp": None,
        "model.generator.mapping_layers": 8, "model.mixing": 0.9, "model.discriminator.architecture": "resnet",
        "loss.penalties.path_length.weight": 2.0, "loss.penalties.path_length.decay": 0.01,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_presets_have_the_numbers_of_the_code(name):
    config = OmegaConf.load(CONF / "experiment" / f"{name}.yaml")
    facts = READ[name] | {"model.latent_dim": 512, "model.generator.style_dim": 512, "loss.penalties.r1.every": 16}
    assert {key: OmegaConf.select(config, key) for key in facts} == facts
    composed = compose([f"experiment={name}", *["dataset.path=/pictures"] * name.endswith("256")])
    assert ("path_length" in composed["loss"]["penalties"]) == name.endswith("256")


@pytest.mark.parametrize(("name", "rate"), [*((name, 0.0025) for name in READ), ("stylegan2_digits", 0.005)])
def test_rates_and_betas_are_corrected_for_lazy_terms(name, rate):
    config = OmegaConf.load(CONF / "experiment" / f"{name}.yaml")
    for node, every in ((config.optimizer, 4), (config.optimizer_overrides.discriminator, 16)):
        share = every / (every + 1)
        assert node.lr == pytest.approx(rate * share, rel=1e-5)
        assert list(node.betas) == pytest.approx([0.0, 0.99**share], rel=1e-5)


def test_the_papers_settings_are_played_with_narrow_networks():
    narrow = ["model.generator.width=8", "model.discriminator.width=8", "model.discriminator.group_size=2"]
    trainer = check_preset("stylegan2_cifar10", "dataset=digits", "dataset.image_size=32", *narrow)
    assert list(trainer.game.objective.penalties) == ["r1"]


@pytest.mark.slow
def test_cifar10_takes_two_steps_at_the_papers_width():
    trainer = check_preset("stylegan2_cifar10", "dataset=digits", "dataset.image_size=32")
    assert trainer.game.generator.synthesis.start.shape == (512, 4, 4)


def test_a_laptops_settings_are_played_as_they_are():
    check_preset("stylegan2_digits")


def test_truncation_is_a_word_of_sample(tmp_path, capsys):
    words = [*words_for("stylegan2"), "trainer.steps=1", "trainer.evaluate_every=null"]
    launch.train(config_of(*words, *PLAYED[2:]), tmp_path / "run")
    assert main(["sample", str(tmp_path / "run"), "n=2", "truncation=0.5", f"out={tmp_path / 'half.png'}"]) == 0
    assert (tmp_path / "half.png").is_file()
    assert main(["sample", str(tmp_path / "run"), "truncation=much"]) == 2
    assert "truncation=much must be a number" in capsys.readouterr().err
    run = gan_lab.load(tmp_path / "run")
    assert help_of(run.game)["truncation"].startswith("how far styles are from their average")
    assert run.sample(2, truncation=0.0).shape == (2, 1, 16, 16)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model.mixing=1.5"], r"mixing=1.5 must lie in \[0, 1\]"),
        (["model.generator.architecture=style"], "architecture=style is not known; choose one of orig, skip, resnet"),
        (["model.discriminator.architecture=style"], "architecture=style is not known"),
        (["model.generator.mapping_layers=0"], "mapping_layers=0 must be at least 1"),
        (["model.discriminator.group_size=-1"], "group_size=-1 must be at least 1"),
        (["dataset.image_size=30"], "28 and 32"),
        (["model.generator.num_conditions=10"], r"Set model\.generator\.num_conditions=0"),
        (["model.discriminator.num_conditions=10"], r"Set model\.discriminator\.num_conditions=0"),
        (["loss=stylegan2", "loss.penalties.path_length.decay=0"], r"decay=0 must lie in \(0, 1\]"),
        (["loss=stylegan2", "loss.penalties.path_length.shrink=0"], "shrink=0 must be at least 1"),
        (["loss=stylegan2", "loss.penalties.path_length.every=0"], "every=0 must be at least 1"),
    ],
)
def test_what_cannot_be_is_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        trainer_of(config_of("model=stylegan2", *words))
