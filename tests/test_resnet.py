"""Residual networks, with and without norms: shapes, published sizes, closed forms, and games of the papers' widths."""

import math

import pytest
import torch
from helpers import check_preset, config_of, play, trainer_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn.functional import interpolate

from gan_lab.networks import r3gan, resnet
from gan_lab.networks.attention import SelfAttention
from gan_lab.networks.conditional import ConditionalBatchNorm, Projection
from gan_lab.networks.layers import MeanPool, SumPool

sides = st.builds(lambda b, k: b << k, st.integers(4, 7), st.integers(0, 3))
TINY = {"growth": 2, "width": 8}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


# --- Shapes ----------------------------------------------------------------------------------------------------------


@given(
    sides,
    sides,
    st.integers(1, 4),
    st.sampled_from(["batch", "instance", "layer", "group", "none"]),
    st.integers(1, 2),
    st.integers(1, 2),
    st.booleans(),
)
def test_resnet_at_any_size_with_any_number_of_channels(height, width, channels, norm, growth, depth, spectral):
    size, words = [height, width], {"width": 4, "growth": growth, "norm": norm, "spectral_norm": spectral}
    generator = resnet.Generator(6, channels, size, depth=depth, **words)
    images = generator(torch.randn(2, 6))
    assert images.shape == (2, channels, height, width)
    assert images.abs().max() <= 1
    critic = resnet.Discriminator(channels, size, **words)
    scores = critic(images)
    assert scores.shape == (2,)
    scores.sum().backward()
    for name, parameter in [*generator.named_parameters(), *critic.named_parameters()]:
        assert parameter.grad is not None, name


@given(sides, sides, st.integers(1, 4), st.integers(1, 2))
def test_r3gan_at_any_size_with_any_number_of_channels(height, width, channels, depth):
    generator = r3gan.Generator(6, channels, [height, width], width=8, limit=2, depth=depth)
    images = generator(torch.randn(2, 6))
    assert images.shape == (2, channels, height, width)
    critic = r3gan.Discriminator(channels, [height, width], width=8, limit=2, depth=depth)
    scores = critic(images)
    assert scores.shape == (2,)
    scores.sum().backward()
    for name, parameter in [*generator.named_parameters(), *critic.named_parameters()]:
        assert parameter.grad is not None, name


@pytest.mark.parametrize("module", [resnet, r3gan])
def test_the_trunk_gives_the_features_that_the_head_scores(module):
    critic = module.Discriminator(1, 16, width=8)
    x = torch.randn(3, 1, 16, 16)
    features = critic.trunk(x)
    assert features.dim() == 2
    torch.testing.assert_close(critic.head(features).flatten(), critic(x))


def test_channels_follow_growth_and_limit():
    generator = resnet.Generator(6, 3, 64, width=4, growth=2, limit=8)
    assert [b.conv1.in_channels for b in generator.blocks] == [32, 32, 16, 8]
    assert [b.conv2.out_channels for b in generator.blocks] == [32, 16, 8, 4]
    critic = resnet.Discriminator(3, 64, width=4, growth=2, limit=8)
    blocks = [m for m in critic.trunk if isinstance(m, resnet.DownBlock)]
    assert [b.conv2.out_channels for b in blocks] == [4, 8, 16, 32, 32]
    assert [b.conv1.out_channels for b in blocks] == [4, 4, 8, 16, 32], "a critic widens in the second convolution"


@pytest.mark.parametrize("module", [resnet, r3gan])
def test_channels_last_gives_the_same_samples(module):
    generator, critic = module.Generator(6, 3, 16, width=8).eval(), module.Discriminator(3, 16, width=8).eval()
    latents = torch.randn(2, 6)
    images, scores = generator(latents), critic(generator(latents))
    generator, critic = (m.to(memory_format=torch.channels_last) for m in (generator, critic))
    torch.testing.assert_close(generator(latents), images, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(critic(generator(latents)), scores, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("words", [{"norm": "batch"}, {"norm": "none", "spectral_norm": True, "attention": [8]}])
def test_in_eval_mode_each_sample_stands_for_itself(words):
    generator, critic = resnet.Generator(6, 1, 16, **TINY, **words), resnet.Discriminator(1, 16, **TINY, **words)
    latents = torch.randn(4, 6)
    critic(generator(latents))  # moves the running statistics
    generator.eval(), critic.eval()
    images = generator(latents)
    torch.testing.assert_close(generator(latents[:1]), images[:1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(critic(images[:1]), critic(images)[:1], atol=1e-5, rtol=1e-4)


# --- What is refused -------------------------------------------------------------------------------------------------

WRONG = {
    "attention": ({"attention": [5]}, "must name sides of maps; those of this network are 8, 16"),
    "init": ({"init": "he"}, "init=he is not known; choose one of xavier, orthogonal"),
    "norm": ({"norm": "bacth"}, "norm=bacth is not known"),
    "classes": ({"norm": "layer", "num_conditions": 3}, "num_conditions=3 needs a batch norm"),
    "width": ({"width": 0}, "width=0 must be at least 1"),
    "depth": ({"depth": 0}, "depth=0 must be at least 1"),
    "fewer than no classes": ({"num_conditions": -1}, "num_conditions=-1 must be at least 1"),
}
WRONG_CRITIC = {
    "attention": ({"attention": [16]}, "those of this network are 8, 4"),
    "pool": ({"pool": "max"}, "pool=max is not known; choose one of sum, mean"),
    "too often": ({"down_blocks": 5}, "down_blocks=5: an image of 16 can be halved 4 times at most"),
    "no block": ({"down_blocks": 0, "flat_blocks": 0}, "must not be negative, nor both 0"),
    "negative": ({"flat_blocks": -1}, "must not be negative"),
    "growth": ({"growth": 0}, "growth=0 must be at least 1"),
    "fewer than no classes": ({"num_conditions": -1}, "num_conditions=-1 must be at least 1"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_number_of_a_generator_is_a_sentence(words, said):
    with pytest.raises(ValueError, match=said):
        resnet.Generator(6, 1, 16, **{**TINY, **words})


@pytest.mark.parametrize(("words", "said"), WRONG_CRITIC.values(), ids=WRONG_CRITIC)
def test_a_wrong_number_of_a_critic_is_a_sentence(words, said):
    with pytest.raises(ValueError, match=said):
        resnet.Discriminator(1, 16, **{**TINY, **words})


def test_a_width_that_does_not_divide_into_groups_is_refused_with_the_step():
    with pytest.raises(ValueError, match="choose a width that is a multiple of 8"):
        r3gan.Generator(6, 1, 16, width=12)
    r3gan.Generator(6, 1, 16, width=24)


# --- Published sizes -------------------------------------------------------------------------------------------------


def convolution(before, after, kernel):
    return before * after * kernel**2 + after


def test_sngan_on_cifar10_has_the_published_number_of_weights():
    """4,276,739 and 1,053,825, as the widths of the paper give them by hand."""
    generator = resnet.Generator(128, 3, 32, width=256, growth=1)
    block = 2 * convolution(256, 256, 3) + convolution(256, 256, 1) + 2 * 512  # two batch norms
    assert count(generator) == 128 * 4096 + 4096 + 3 * block + 512 + convolution(256, 3, 3) == 4_276_739

    critic = resnet.Discriminator(3, 32, width=128, growth=1, down_blocks=2, flat_blocks=2, spectral_norm=True)
    first = convolution(3, 128, 3) + convolution(128, 128, 3) + convolution(3, 128, 1)
    second = 2 * convolution(128, 128, 3) + convolution(128, 128, 1)
    flat = 2 * convolution(128, 128, 3)
    assert count(critic) == first + second + 2 * flat + 129 == 1_053_825
    assert critic.trunk[:-2](torch.zeros(1, 3, 32, 32)).shape == (1, 128, 8, 8)


@pytest.mark.parametrize(
    ("size", "downs", "flats", "widest", "least"), [(48, 4, 1, 1024, 3), (64, 5, 0, 1024, 2), (128, 5, 1, 1024, 4)]
)
def test_the_docstrings_numbers_give_the_larger_critics_of_sngan(size, downs, flats, widest, least):
    with torch.device("meta"):
        critic = resnet.Discriminator(3, size, width=64, growth=2, down_blocks=downs, flat_blocks=flats)
        maps = critic.trunk[:-2](torch.zeros(1, 3, size, size))
    assert maps.shape == (1, widest, least, least)


@pytest.mark.parametrize(("size", "first"), [(48, 512), (64, 1024), (128, 1024)])
def test_the_docstrings_numbers_give_the_larger_generators_of_sngan(size, first):
    with torch.device("meta"):
        generator = resnet.Generator(128, 3, size, width=64, growth=2)
    assert generator.blocks[0].conv1.in_channels == first
    assert generator.blocks[-1].conv2.out_channels == 64


@pytest.mark.parametrize(("size", "width", "limit"), [(32, 768, 1), (64, 384, 2), (256, 96, 8)])
def test_the_docstrings_numbers_give_the_groups_and_widths_of_r3gan(size, width, limit):
    with torch.device("meta"):
        generator = r3gan.Generator(64, 3, size, width=width, limit=limit)
    blocks = [m for m in generator.grow if isinstance(m, r3gan.Block)]
    widths = [block.conv3.out_channels for block in blocks][::2]  # two blocks at each size
    assert widths == [768] * (7 - {32: 3, 64: 3, 256: 3}[size]) + [384, 192, 96][: {32: 0, 64: 1, 256: 3}[size]]
    assert [block.conv2.groups for block in blocks][::2] == [width // 8 for width in widths]


# --- Blocks ----------------------------------------------------------------------------------------------------------


def silence(*layers):
    with torch.no_grad():
        for layer in layers:
            layer.weight.zero_()
            layer.bias.zero_()


def test_an_up_block_without_its_branch_is_a_convolution_of_the_doubled_map():
    block = resnet.UpBlock(4, 6, nn.BatchNorm2d)
    silence(block.conv2)
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(block(x), block.shortcut(interpolate(x, scale_factor=2)))


@pytest.mark.parametrize("first", [True, False])
def test_a_down_block_without_its_branch_is_a_convolution_of_means(first):
    block = resnet.DownBlock(4, 6, lambda channels: nn.Identity(), first=first)
    silence(block.conv2)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x), nn.functional.avg_pool2d(block.shortcut(x), 2))


def test_only_the_first_block_of_a_critic_begins_without_norm_and_relu():
    critic = resnet.Discriminator(1, 16, **TINY, norm="layer")
    blocks = [m for m in critic.trunk if isinstance(m, resnet.DownBlock)]
    assert [isinstance(block.start, nn.Identity) for block in blocks] == [True, False, False]
    assert [isinstance(block.norm2, nn.Identity) for block in blocks] == [True, False, False]


def test_pools_are_sums_and_means_over_places():
    x = torch.ones(2, 3, 4, 5)
    torch.testing.assert_close(SumPool()(x), torch.full((2, 3), 20.0))
    torch.testing.assert_close(MeanPool()(x), torch.ones(2, 3))
    critic = resnet.Discriminator(1, 16, **TINY)
    mean = resnet.Discriminator(1, 16, **TINY, pool="mean")
    mean.load_state_dict(critic.state_dict())
    x = torch.randn(2, 1, 16, 16)
    torch.testing.assert_close(critic.trunk(x), 16 * mean.trunk(x))


def test_xavier_weights_have_the_gains_of_the_code():
    block = resnet.Generator(64, 3, 8, width=64, growth=1).blocks[0]
    fan = 2 * 64 * 9
    assert abs(block.conv1.weight.std() - math.sqrt(2) * math.sqrt(2 / fan)) < 1e-3
    assert abs(block.shortcut.weight.std() - math.sqrt(2 / 128)) < 3e-3
    assert not any(m.bias.any() for m in (block.conv1, block.conv2, block.shortcut))


def test_orthogonal_weights_keep_lengths():
    generator = resnet.Generator(8, 3, 8, width=8, growth=1, init="orthogonal")
    weight = generator.blocks[0].conv1.weight.flatten(1)
    torch.testing.assert_close(weight @ weight.T, torch.eye(8), atol=1e-5, rtol=0)


# --- Attention -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 7, 8])
def test_attention_begins_as_the_identity(side):
    x = torch.randn(2, 16, side, side)
    torch.testing.assert_close(SelfAttention(16)(x), x, atol=0, rtol=0)


def test_attention_with_equal_scores_adds_the_mean_of_values_everywhere():
    layer = SelfAttention(8)
    with torch.no_grad():
        layer.gamma.fill_(3.0)
        layer.query.weight.zero_()
    x = torch.randn(2, 8, 6, 4)
    pooled = nn.functional.max_pool2d(layer.value(x), 2).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(layer(x), x + 3 * layer.out(pooled), atol=1e-5, rtol=1e-4)


def test_attention_reaches_across_the_map():
    layer = SelfAttention(8)
    with torch.no_grad():
        layer.gamma.fill_(1.0)
    x = torch.randn(1, 8, 8, 8)
    moved = x.clone()
    moved[..., 7, 7] += 5
    change = (layer(moved) - layer(x)).abs().sum(dim=1)[0]
    assert change[0, 0] > 1e-4


def test_attention_stands_behind_the_block_that_reaches_its_size():
    generator = resnet.Generator(6, 3, 32, **TINY, depth=2, attention=[16])
    stands = [isinstance(block.attention, SelfAttention) for block in generator.blocks]
    assert stands == [False, False, True, False, False, False]
    critic = resnet.Discriminator(3, 32, **TINY, attention=[16, 4])
    blocks = [m for m in critic.trunk if isinstance(m, resnet.DownBlock)]
    assert [isinstance(block.attention, SelfAttention) for block in blocks] == [True, False, True, False]


# --- Conditions ------------------------------------------------------------------------------------------------------


def test_conditional_batch_norm_with_one_class_is_batch_norm():
    x, told = torch.randn(6, 4, 3, 3), torch.ones(6, 1)
    torch.testing.assert_close(ConditionalBatchNorm(4, 1)(x, told), nn.BatchNorm2d(4)(x))


def test_each_class_has_its_own_scale_and_shift():
    norm = ConditionalBatchNorm(4, 2)
    with torch.no_grad():
        norm.weight[1] = 2.0
        norm.bias[1] = -2.0
    x, plain = torch.randn(6, 4, 3, 3), nn.BatchNorm2d(4)
    y = norm(x, torch.eye(2).repeat(3, 1))
    torch.testing.assert_close(y[0::2], plain(x)[0::2])
    torch.testing.assert_close(y[1::2], 3 * plain(x)[1::2] - 2)


def test_projection_on_nothing_is_the_plain_critic():
    plain = resnet.Discriminator(1, 16, **TINY)
    critic = resnet.Discriminator(1, 16, **TINY, num_conditions=3)
    critic.trunk.load_state_dict(plain.trunk.state_dict())
    critic.head.load_state_dict(plain.head.state_dict())
    x, told = torch.randn(4, 1, 16, 16), torch.eye(3)[[0, 1, 2, 0]]
    assert (critic(x, told) - plain(x)).abs().min() > 1e-3
    nn.init.zeros_(critic.projection.vectors.weight)
    torch.testing.assert_close(critic(x, told), plain(x))


def test_the_projection_is_an_inner_product_with_the_conditions_vector():
    projection = Projection(2, 2)
    with torch.no_grad():
        projection.vectors.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 10.0]]))
    assert projection(torch.tensor([[3.0, 4.0], [3.0, 4.0]]), torch.eye(2)).tolist() == [3.0, 40.0]


def test_the_label_changes_sample_and_score():
    generator = resnet.Generator(6, 1, 16, **TINY, num_conditions=2)
    critic = resnet.Discriminator(1, 16, **TINY, num_conditions=2, spectral_norm=True)
    with torch.no_grad():
        for block in generator.blocks:
            block.norm1.bias[1] = 2.0
    latents, zero, one = torch.randn(4, 6), torch.eye(2)[[0] * 4], torch.eye(2)[[1] * 4]
    images = generator(latents, condition=zero)
    assert (images - generator(latents, condition=one)).abs().max() > 1e-2
    assert (critic(images, condition=zero) - critic(images, condition=one)).abs().min() > 1e-4


def test_a_condition_that_is_missing_or_too_many_is_a_type_error():
    x, told, latents = torch.randn(2, 1, 16, 16), torch.eye(2), torch.randn(2, 6)
    for network, argument, classes in [
        (resnet.Generator(6, 1, 16, **TINY, num_conditions=2), latents, True),
        (resnet.Discriminator(1, 16, **TINY, num_conditions=2), x, True),
        (resnet.Generator(6, 1, 16, **TINY), latents, False),
        (resnet.Discriminator(1, 16, **TINY), x, False),
    ]:
        with pytest.raises(TypeError):
            network(*([argument] if classes else [argument, told]))


def test_a_second_head_says_something_else_of_the_same_trunk():
    critic = resnet.TwoHeaded(1, 16, outputs=10, **TINY, pool="mean", spectral_norm=True, minibatch="stddev")
    x = torch.randn(4, 1, 16, 16)
    score, said = critic.eval()(x)
    assert score.shape == (4,) and said.shape == (4, 10)
    torch.testing.assert_close(said, critic.says(critic.trunk(x)))
    assert not hasattr(critic.says, "parametrizations"), "spectral norm is for the score alone"
    assert torch.equal(critic.says.bias, torch.zeros(10))


def test_r3gan_is_told_as_in_its_code():
    """The label's embedding beside the latent; the score is an inner product with a vector of the class."""
    generator = r3gan.Generator(6, 1, 16, width=8, num_conditions=3)
    critic = r3gan.Discriminator(1, 16, width=8, num_conditions=3)
    latents, told = torch.randn(3, 6), torch.eye(3)
    images = generator(latents, told)
    joined = torch.cat([latents, generator.with_condition.embed.weight.t()], dim=1)
    maps = generator.project(joined)[:, :, None, None] * generator.basis
    torch.testing.assert_close(images, generator.to_image(generator.grow(maps)))
    features = critic.head(critic.trunk(images))
    torch.testing.assert_close(critic(images, told), (features * critic.score.vectors.weight.t()).sum(dim=1))
    for network, x in ((generator, latents), (critic, images)):
        with pytest.raises(TypeError):
            network(x)


def test_a_told_r3gan_of_an_older_version_is_opened():
    """Its checkpoints call `with_condition` `told`."""
    one, other = (r3gan.Generator(6, 1, 16, width=8, num_conditions=3) for _ in range(2))
    old = {name.replace("with_condition.", "told."): value for name, value in one.state_dict().items()}
    assert old.keys() != one.state_dict().keys()
    nn.Sequential(other).load_state_dict({f"0.{name}": value for name, value in old.items()})
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize(("classes", "counts"), [(0, (20_732_160, 20_683_776)), (10, (20_781_952, 21_280_512))])
def test_r3gan_has_as_many_weights_as_its_official_code(classes, counts):
    """Counted of brownvc/R3GAN's own Networks.py with the numbers of --preset=CIFAR10, without and with --cond=1."""
    words = {"width": 768, "limit": 1, "num_conditions": classes}
    with torch.device("meta"):
        networks = r3gan.Generator(64, 3, 32, **words), r3gan.Discriminator(3, 32, **words)
    assert tuple(map(count, networks)) == counts


def test_a_told_r3gan_begins_with_scores_of_the_size_of_its_features():
    critic = r3gan.Discriminator(3, 32, width=256, limit=1, num_conditions=10)
    assert critic.score.vectors.weight.std().item() == pytest.approx((10 * 256) ** -0.5, rel=0.1)
    assert critic.head.weight.std().item() == pytest.approx(256**-0.5, rel=0.1)


# --- Spectral norm ---------------------------------------------------------------------------------------------------


def test_spectral_norm_bounds_every_layer_of_both_networks():
    words = {**TINY, "attention": [8], "spectral_norm": True, "num_conditions": 3}
    generator, critic = resnet.Generator(6, 1, 16, **words), resnet.Discriminator(1, 16, norm="batch", **words)
    latents, told = torch.randn(4, 6), torch.eye(3)[[0, 1, 2, 0]]
    for _ in range(60):  # power iteration goes on with each forward pass in train mode
        critic(generator(latents, told), told)
    kinds = nn.Conv2d | nn.Linear | nn.Embedding
    layers = [m for network in (generator, critic) for m in network.modules() if isinstance(m, kinds)]
    assert len(layers) == 2 + 2 * 3 + 4 + 3 * 3 + 4 + 2
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert 0.95 < largest < 1.05


# --- Penalties -------------------------------------------------------------------------------------------------------

CRITICS = {
    "none": lambda: resnet.Discriminator(1, 16, **TINY),
    "layer": lambda: resnet.Discriminator(1, 16, **TINY, norm="layer"),
    "spectral": lambda: resnet.Discriminator(1, 16, **TINY, spectral_norm=True),
    "attention": lambda: resnet.Discriminator(1, 16, **TINY, attention=[8]),
    "projection": lambda: resnet.Discriminator(1, 16, **TINY, num_conditions=2),
    "r3gan": lambda: r3gan.Discriminator(1, 16, width=8),
    "r3gan told": lambda: r3gan.Discriminator(1, 16, width=8, num_conditions=2),
}


@pytest.mark.parametrize("make", CRITICS.values(), ids=CRITICS)
def test_a_penalty_of_the_slope_trains_every_weight(make):
    critic = make()
    for attention in [m for m in critic.modules() if isinstance(m, SelfAttention)]:
        nn.init.ones_(attention.gamma)
    x = torch.randn(3, 1, 16, 16, requires_grad=True)
    condition = (torch.eye(2)[[0, 1, 0]],) if any(isinstance(m, Projection) for m in critic.modules()) else ()
    scores = critic(x, *condition)
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    (scores.sum() + slope.square().sum()).backward()
    for name, parameter in critic.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


# --- R3GAN's pieces --------------------------------------------------------------------------------------------------


def test_blocks_begin_as_the_identity():
    x = torch.randn(2, 16, 4, 4)
    torch.testing.assert_close(r3gan.Block(16, 2, 16, total=8)(x), x, atol=0, rtol=0)


def test_the_branchs_weights_shrink_with_the_fourth_root_of_the_number_of_blocks():
    gain = math.sqrt(2 / 1.04)
    for total in (1, 16):
        block = r3gan.Block(256, 2, 16, total=total)
        assert abs(block.conv1.weight.std() * math.sqrt(256) - gain * total**-0.25) < 1e-2
        assert abs(block.conv2.weight.std() * math.sqrt(16 * 9) - gain * total**-0.25) < 1e-2


def test_resampling_is_bilinear_within_the_border():
    x = torch.randn(2, 3, 8, 6)
    inside = (..., slice(1, -1), slice(1, -1))
    up = interpolate(x, scale_factor=2, mode="bilinear")
    down = interpolate(x, size=(4, 3), mode="bilinear", antialias=True)
    torch.testing.assert_close(r3gan.Up()(x)[inside], up[inside])
    torch.testing.assert_close(r3gan.Down()(x)[inside], down[inside])


def test_the_first_map_is_scaled_by_the_latent():
    generator = r3gan.Generator(6, 1, 4, width=8)
    z = torch.randn(1, 6)
    torch.testing.assert_close(generator(3 * z), 3 * generator(z), msg="while its blocks are the identity")
    assert not generator(torch.zeros(1, 6)).any()


def test_no_norm_is_anywhere_in_r3gan():
    for network in (r3gan.Generator(6, 1, 16, width=8), r3gan.Discriminator(1, 16, width=8)):
        kinds = {type(m) for m in network.modules()}
        assert not kinds & {nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm}


# --- In games --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_sagans_networks_are_played_in_either_precision(precision):
    words = [f"model.{network}.{key}" for network in ("generator", "discriminator") for key in ("spectral_norm=true",)]
    words += ["model.generator.attention=[8]", "model.discriminator.attention=[8]", f"trainer.precision={precision}"]
    trainer = play(trainer_of(config_of("model=resnet", "loss=hinge", *words)), 2)
    assert all(math.isfinite(value) for value in trainer.report().values())


@pytest.mark.parametrize("kind", ["virtual", "conditional", "critic", "r3gan"])
def test_a_compiler_sees_one_graph(kind):
    words, x = {**TINY, "attention": [8]}, torch.randn(4, 1, 16, 16)
    latents, told = torch.randn(4, 6), torch.eye(3)[[0, 1, 2, 0]]
    network, given = {
        "virtual": lambda: (resnet.Generator(6, 1, 16, **words, norm="virtual", references=3), [latents]),
        "conditional": lambda: (resnet.Generator(6, 1, 16, **words, num_conditions=3), [latents, told]),
        "critic": lambda: (resnet.Discriminator(1, 16, **words, minibatch="stddev", num_conditions=3), [x, told]),
        "r3gan": lambda: (r3gan.Discriminator(1, 16, width=8), [x]),
    }[kind]()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*given), network(*given))


OFFLINE = ["dataset=digits", "dataset.image_size=32"]


def test_sngan_takes_two_steps_at_the_papers_width():
    trainer = check_preset("sngan_cifar10", *OFFLINE, "loss.critic_turns=1")
    assert trainer.game.generator.blocks[0].conv1.in_channels == 256


@pytest.mark.parametrize("name", ["sagan_cifar10", "wgan_gp_resnet_cifar10", "r3gan_cifar10"])
def test_the_papers_settings_are_played_with_narrow_networks(name):
    narrow = ["model.generator.width=8", "model.discriminator.width=8", *["~dataset.flip"] * name.startswith("r3gan")]
    trainer = check_preset(name, *OFFLINE, *narrow)
    sides = [m for m in trainer.game.modules() if isinstance(m, SelfAttention)]
    assert len(sides) == (2 if name == "sagan_cifar10" else 0)


def test_ones_own_pictures_are_played_at_64_pixels(tmp_path):
    for i in range(8):
        noise = torch.randint(256, (70 + i, 90, 3), dtype=torch.uint8)
        Image.fromarray(noise.numpy()).save(tmp_path / f"{i}.png")
    words = ["model.generator.width=8", "model.discriminator.width=8"]
    trainer = check_preset("my_images", f"dataset.path={tmp_path}", *words)
    assert trainer.game.sample(trainer.game.draw([0]))["image"].shape == (1, 3, 64, 64)


@pytest.mark.slow
def test_r3gan_takes_two_steps_at_the_papers_width():
    trainer = check_preset("r3gan_cifar10", *OFFLINE, "~dataset.flip")
    told = 64 * 10 + 64 * 768  # the embedding, and as many inputs more
    assert count(trainer.game.generator) == told + 64 * 768 + 768 * 16 + 8 * block_of_r3gan(768) + 768


def block_of_r3gan(width):
    inner = 2 * width
    return width * inner + inner + inner * 16 * 9 + inner + inner * width
