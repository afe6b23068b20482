"""Networks: shapes at every size, complaints that name the nearest, scores and samples in range."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gan_lab.networks import dcgan, mlp
from gan_lab.networks.layers import SIDES, halvings, norm1d, norm2d

sides = st.builds(lambda b, k: b << k, st.integers(4, 7), st.integers(0, 4))
norms2d = st.sampled_from(["batch", "instance", "layer", "group", "none"])
heads = st.sampled_from(sorted(dcgan.HEADS))


# --- Sizes -----------------------------------------------------------------------------------------------------------


@given(st.integers(4, 7), st.integers(0, 8))
def test_a_side_of_b_times_two_to_the_k_is_halved_k_times(b, k):
    assert halvings(b << k) == k


@given(st.integers(1, 3000))
def test_any_other_side_is_refused_with_the_two_nearest_sizes(side):
    if side in SIDES:
        return
    with pytest.raises(ValueError, match="nearest") as caught:
        halvings(side)
    below, above = (int(n) for n in re.search(r"are: (\d+) and (\d+)", str(caught.value)).groups())
    good = [s for s in range(4, 4 * side + 8) if any(s == b << k for b in (4, 5, 6, 7) for k in range(12))]
    assert above == min(s for s in good if s > side)
    assert below == max((s for s in good if s < side), default=4)
    halvings(below)
    halvings(above)


@given(sides, sides)
def test_the_shorter_of_two_sides_decides(height, width):
    times = halvings([height, width])
    assert 4 <= min(height, width) >> times <= 7
    assert height % 2**times == 0
    assert width % 2**times == 0


# --- Shapes ----------------------------------------------------------------------------------------------------------


@given(sides, sides, st.integers(1, 5), norms2d, heads, st.booleans(), st.integers(3, 6))
def test_dcgan_at_any_size_with_any_number_of_channels(height, width, channels, norm, head, spectral, kernel):
    words = {"width": 2, "norm": norm, "kernel": kernel}
    generator = dcgan.Generator(6, channels, [height, width], **words)
    critic = dcgan.Discriminator(channels, [height, width], **words, spectral_norm=spectral, head=head)
    images = generator(torch.randn(2, 6))
    assert images.shape == (2, channels, height, width)
    assert images.abs().max() <= 1
    scores = critic(images)
    assert scores.shape == (2,)
    scores.sum().backward()
    for name, parameter in [*generator.named_parameters(), *critic.named_parameters()]:
        assert parameter.grad is not None, name


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5), st.sampled_from(["batch", "layer", "none"]))
def test_perceptrons_at_any_size(height, width, channels, norm):
    generator = mlp.Generator(6, channels, [height, width], width=4, norm=norm)
    critic = mlp.Discriminator(channels, [height, width], width=4, norm=norm)
    images = generator(torch.randn(3, 6))
    assert images.shape == (3, channels, height, width)
    assert images.abs().max() <= 1
    assert critic(images).shape == (3,)


def test_perceptrons_of_points_are_not_bounded():
    generator = mlp.Generator(6, 2, None, width=4)
    with torch.no_grad():
        generator.layers[-2 - 1].bias.fill_(5.0)  # the last linear layer, before Unflatten and Identity
    points = generator(torch.randn(8, 6))
    assert points.shape == (8, 2)
    assert points.max() > 1
    assert mlp.Discriminator(2, None, width=4)(points).shape == (8,)


@given(st.integers(1, 4), st.integers(1, 3))
def test_depth_and_growth_are_numbers(depth, growth):
    generator = mlp.Generator(6, 1, 4, width=4, depth=depth, growth=growth)
    outs = [m.out_features for m in generator.modules() if isinstance(m, nn.Linear)]
    assert outs == [4 * growth**i for i in range(depth)] + [16]
    critic = mlp.Discriminator(1, 4, width=4, depth=depth, growth=growth)
    outs = [m.out_features for m in critic.modules() if isinstance(m, nn.Linear)]
    assert outs == [4 * growth**i for i in reversed(range(depth))] + [1]


@pytest.mark.parametrize("word", ["latent_dim", "channels", "width"])
@pytest.mark.parametrize("network", [dcgan.Generator, mlp.Generator])
def test_counts_below_one_are_refused(network, word):
    with pytest.raises(ValueError, match=f"^{word}=0 must be at least 1"):
        network(**{"latent_dim": 4, "channels": 1, "image_size": 8, word: 0})


def test_scores_are_raw():
    critic = mlp.Discriminator(1, 4, width=4)
    with torch.no_grad():
        critic.head.bias.fill_(50.0)
    assert critic(torch.zeros(2, 1, 4, 4)).min() > 40


def test_channels_last_gives_the_same_samples():
    generator = dcgan.Generator(6, 3, 32, width=4).eval()
    latents = torch.randn(2, 6)
    plain = generator(latents)
    torch.testing.assert_close(generator.to(memory_format=torch.channels_last)(latents), plain, atol=1e-5, rtol=1e-4)


# --- Norms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["instance", "layer", "group", "none"])
def test_every_norm_but_batch_norm_scores_each_sample_by_itself(kind):
    torch.manual_seed(0)
    critic = dcgan.Discriminator(1, 16, width=4, norm=kind)
    images = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(critic(images)[:1], critic(images[:1]), atol=1e-5, rtol=1e-4)


def test_batch_norm_mixes_samples():
    torch.manual_seed(0)
    critic = dcgan.Discriminator(1, 16, width=4, norm="batch")
    images = torch.randn(4, 1, 16, 16)
    assert (critic(images)[0] - critic(images[:2])[0]).abs() > 1e-5


def test_layer_norm_of_maps_is_over_channels_and_places():
    x = torch.randn(2, 6, 4, 4) * 3 + 1
    y = norm2d("layer", 6)(x)
    torch.testing.assert_close(y.flatten(1).mean(dim=1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.flatten(1).std(dim=1, unbiased=False), torch.ones(2), atol=1e-3, rtol=0)


@given(st.integers(1, 130))
def test_group_norm_divides_any_number_of_channels(channels):
    assert norm2d("group", channels)(torch.randn(2, channels, 2, 2)).shape == (2, channels, 2, 2)


@pytest.mark.parametrize("make", [lambda: norm2d("bacth", 4), lambda: norm1d("instance", 4)])
def test_an_unknown_norm_is_refused_with_the_known_ones(make):
    with pytest.raises(ValueError, match="choose one of batch"):
        make()


def test_an_unknown_head_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="choose one of flatten, pool"):
        dcgan.Discriminator(1, 16, head="linear")


def test_a_kernel_that_strides_step_over_is_refused():
    for network in (lambda: dcgan.Generator(6, 1, 16, kernel=2), lambda: dcgan.Discriminator(1, 16, kernel=2)):
        with pytest.raises(ValueError, match="kernel=2 must be at least 3"):
            network()


# --- Spectral norm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", sorted(dcgan.HEADS))
def test_spectral_norm_bounds_the_largest_singular_value(head):
    torch.manual_seed(0)
    critic = dcgan.Discriminator(1, 16, width=8, norm="none", spectral_norm=True, head=head)
    check_bounded(critic, torch.randn(4, 1, 16, 16))


def test_spectral_norm_bounds_a_perceptron_which_is_then_lipschitz():
    torch.manual_seed(0)
    critic = mlp.Discriminator(1, 4, width=8, spectral_norm=True)
    check_bounded(critic, torch.randn(4, 1, 4, 4))
    x, y = torch.randn(64, 1, 4, 4), torch.randn(64, 1, 4, 4)
    rise = (critic(x) - critic(y)).abs() / (x - y).flatten(1).norm(dim=1)
    assert rise.max() <= 1.01


def check_bounded(critic, images):
    for _ in range(50):  # power iteration goes on with each forward pass in train mode
        critic(images)
    layers = [m for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert layers
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert 0.97 < largest < 1.03


# --- First weights ---------------------------------------------------------------------------------------------------


def test_dcgan_starts_from_the_papers_weights():
    torch.manual_seed(0)
    for network in (dcgan.Generator(64, 3, 32, width=32), dcgan.Discriminator(3, 32, width=32)):
        large = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        values = torch.cat([m.weight.detach().flatten() for m in large])
        assert abs(values.std() - 0.02) < 3e-4
        assert abs(values.mean()) < 3e-4
        assert all(m.bias is None or not m.bias.any() for m in large)
        scales = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
        assert abs(scales.mean() - 1) < 0.01
        assert 0.01 < scales.std() < 0.03


def test_weights_before_a_norm_carry_no_bias_and_others_do():
    with_norm = dcgan.Discriminator(1, 32, width=4, norm="batch")
    convolutions = [m for m in with_norm.trunk if isinstance(m, nn.Conv2d)]
    assert [m.bias is not None for m in convolutions] == [True, False, False]
    assert not isinstance(with_norm.trunk[1], nn.BatchNorm2d), "no norm after the first layer"
    bare = dcgan.Discriminator(1, 32, width=4, norm="none")
    assert all(m.bias is not None for m in bare.modules() if isinstance(m, nn.Conv2d))
