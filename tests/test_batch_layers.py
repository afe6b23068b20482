"""Layers that look beyond one sample: closed forms, what they make of single samples, their place in networks."""

import math

import pytest
import torch
from helpers import WIDTH, config_of, play, trainer_of
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gan_lab.networks import dcgan, mlp, resnet
from gan_lab.networks.batch_layers import MinibatchDiscrimination, MinibatchStddev, VirtualBatchNorm

CRITICS = {
    "mlp": lambda **words: mlp.Discriminator(1, 16, width=WIDTH, **words),
    "dcgan flatten": lambda **words: dcgan.Discriminator(1, 16, width=WIDTH, norm="none", **words),
    "dcgan pool": lambda **words: dcgan.Discriminator(1, 16, width=WIDTH, norm="none", head="pool", **words),
    "resnet": lambda **words: resnet.Discriminator(1, 16, width=WIDTH, **words),
}
GENERATORS = {
    "mlp": lambda **words: mlp.Generator(6, 1, 16, width=WIDTH, **words),
    "dcgan": lambda **words: dcgan.Generator(6, 1, 16, width=WIDTH, **words),
    "resnet": lambda **words: resnet.Generator(6, 1, 16, width=WIDTH, **words),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# --- Minibatch discrimination ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8,), (2, 3, 4)])
def test_identical_samples_are_as_close_as_can_be(shape):
    layer = MinibatchDiscrimination(math.prod(shape), kernels=7, dims=3)
    x = torch.randn(1, *shape).expand(5, *shape)
    y = layer(x)
    assert y.shape == (5, shape[0] + 7, *shape[1:])
    torch.testing.assert_close(y[:, : shape[0]], x, msg="the features themselves are passed on")
    torch.testing.assert_close(y[:, shape[0] :], torch.full_like(y[:, shape[0] :], 4.0), msg="all others")


def test_closeness_is_the_sum_of_exp_of_minus_distance():
    layer = MinibatchDiscrimination(1, kernels=1, dims=2)
    with torch.no_grad():
        layer.tensor.copy_(torch.tensor([[1.0, -2.0]]))
    near = layer(torch.tensor([[0.0], [1.0], [3.0]]))[:, 1]
    gaps = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])  # each counts 1 + 2 times
    torch.testing.assert_close(near, (-3 * gaps).exp().sum(dim=1) - 1)


def test_samples_far_apart_are_close_to_nobody():
    layer = MinibatchDiscrimination(4)
    near = layer(torch.randn(6, 4) * 1e4)[:, 4:]
    torch.testing.assert_close(near, torch.zeros(6, 100))


def test_a_fresh_perceptrons_nearest_samples_are_within_reach():
    """Salimans et al.'s code scales its rows by a first batch, so that the nearest others are 2 away on average."""
    critic, x = mlp.Discriminator(1, 16, minibatch="discrimination"), torch.rand(64, 1, 16, 16) * 2 - 1
    rows = critic.trunk(x) @ critic.minibatch.tensor
    distance = torch.cdist(*[rows.unflatten(1, (100, 5)).transpose(0, 1)] * 2, p=1.0)
    nearest = (distance + 1e6 * torch.eye(64)).min(dim=2).values.mean()
    assert 0.5 < nearest < 4, "columns of length 1 would have them a tenth of that away: all would be near"


@pytest.mark.parametrize("critic", ["dcgan flatten", "resnet", "mlp"])
def test_initial_weights_and_spectral_norm_leave_the_tensor_alone(critic):
    (layer,) = (
        m
        for m in CRITICS[critic](minibatch="discrimination", spectral_norm=True).modules()
        if isinstance(m, MinibatchDiscrimination)
    )
    assert layer.tensor.norm(dim=0).mean().item() == pytest.approx(10, rel=0.1)


# --- Minibatch standard deviation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6,), (6, 4, 4)])
def test_a_constant_batch_has_no_spread(shape):
    y = MinibatchStddev()(torch.randn(1, *shape).expand(8, *shape))
    assert y.shape == (8, 7, *shape[1:])
    assert y[:, 6:].abs().max() <= 1.01e-4, "the root of the 1e-8 that keeps its slope finite"


def test_the_spread_is_the_mean_deviation_over_features_and_places():
    x = torch.randn(4, 3, 2, 2)
    y = MinibatchStddev(group_size=4)(x)
    expected = x.std(dim=0, correction=0).mean()
    torch.testing.assert_close(y[:, 3], expected.expand(4, 2, 2), atol=1e-5, rtol=0)


def test_each_group_has_its_own_spread():
    one, other = torch.randn(4, 3), 10 * torch.randn(4, 3)
    layer = MinibatchStddev(group_size=4)
    y = layer(torch.stack([one, other], dim=1).flatten(0, 1))[:, 3]  # samples i and i + 2 share a group
    torch.testing.assert_close(y[0::2], layer(one)[:, 3])
    torch.testing.assert_close(y[1::2], layer(other)[:, 3])
    assert y[1] > 3 * y[0]


@given(st.integers(1, 30), st.integers(1, 8))
def test_any_batch_falls_into_groups_of_more_than_one(n, group_size):
    y = MinibatchStddev(group_size)(torch.arange(n * 1.0)[:, None] * torch.ones(1, 2))
    assert y.shape == (n, 3)
    if n > 1 and group_size > 1:
        assert y[:, 2].min() > 0.4


# --- Virtual batch norm ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (5, 3, 2)])
def test_the_reference_is_normalised_by_itself(shape):
    x = 4 * torch.randn(12, *shape) + 3
    reference = VirtualBatchNorm(5, references=8)(x)[:8].transpose(0, 1).flatten(1)
    torch.testing.assert_close(reference.mean(dim=1), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(reference.var(dim=1, correction=0), torch.ones(5), atol=1e-4, rtol=0)
    plain = nn.functional.batch_norm(x[:8], None, None, training=True)
    torch.testing.assert_close(reference, plain.transpose(0, 1).flatten(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (5, 3, 2)])
def test_a_sample_is_normalised_with_the_reference_and_itself(shape):
    x = 4 * torch.randn(12, *shape) + 3
    own = VirtualBatchNorm(5, references=8)(x)[8:]
    for i in range(4):
        together = torch.cat([x[:8], x[8 + i : 9 + i]])
        expected = nn.functional.batch_norm(together, None, None, training=True)[-1]
        torch.testing.assert_close(own[i], expected, atol=1e-5, rtol=1e-5)


def test_scale_and_shift_are_learned_by_channel():
    norm = VirtualBatchNorm(2, references=4)
    x = torch.randn(6, 2, 3, 3)
    plain = norm(x)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, -1.0]))
        norm.bias.copy_(torch.tensor([5.0, 7.0]))
    torch.testing.assert_close(norm(x)[:, 0], 2 * plain[:, 0] + 5)
    torch.testing.assert_close(norm(x)[:, 1], 7 - plain[:, 1])


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_with_virtual_norm_makes_each_sample_by_itself_in_training_too(name):
    generator = GENERATORS[name](norm="virtual", references=5)
    latents = torch.randn(4, 6)
    images = generator(latents)
    assert images.shape == (4, 1, 16, 16)
    torch.testing.assert_close(generator(latents[:1]), images[:1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(generator.eval()(latents), images, atol=1e-6, rtol=1e-5)
    assert (generator(-latents) - images).abs().amax(dim=(1, 2, 3)).min() > 1e-3, "each shows its own latent"
    batch = GENERATORS[name](norm="batch")
    assert (batch(latents)[:1] - batch(latents[:2])[:1]).abs().max() > 1e-3, "the control: batch norm mixes"


@pytest.mark.parametrize("name", GENERATORS)
def test_the_reference_batch_is_drawn_once_and_saved(name):
    one, two = GENERATORS[name](norm="virtual", references=5), GENERATORS[name](norm="virtual", references=5)
    latents = torch.randn(3, 6)
    assert not torch.equal(one.refer.latents, two.refer.latents)
    two.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(latents), two(latents))


def test_a_norm_in_half_precision_keeps_statistics_in_full():
    x = (torch.randn(40, 4, 8, 8) + 30).bfloat16()
    norm = VirtualBatchNorm(4, references=32)
    y = norm(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), norm(x.float()), atol=2e-2, rtol=1e-2)


def test_critics_have_no_virtual_norm():
    with pytest.raises(ValueError, match="^norm=virtual is not known"):
        dcgan.Discriminator(1, 16, norm="virtual")
    with pytest.raises(ValueError, match="^norm=virtual is not known"):
        mlp.Discriminator(1, 16, norm="virtual")
    with pytest.raises(ValueError, match="^norm=virtual is not known"):
        resnet.Discriminator(1, 16, norm="virtual")


@pytest.mark.parametrize("name", GENERATORS)
def test_an_unknown_norm_of_a_generator_is_refused_with_virtual_among_the_known(name):
    with pytest.raises(ValueError, match="choose one of .*virtual"):
        GENERATORS[name](norm="vitrual")


# --- In critics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "discrimination", "stddev"])
@pytest.mark.parametrize("name", CRITICS)
def test_a_look_across_the_batch_couples_its_samples_and_says_so(name, kind):
    critic = CRITICS[name](minibatch=kind)
    images = torch.randn(4, 1, 16, 16)
    with torch.no_grad():
        moved = (critic(images)[0] - critic(torch.cat([images[:1], 3 * images[1:]]))[0]).abs()
    coupling = [m for m in critic.modules() if isinstance(m, MinibatchDiscrimination | MinibatchStddev)]
    assert (moved > 1e-6) == (kind != "none") == bool(coupling)
    assert all(layer.couples_batch for layer in coupling)


@pytest.mark.parametrize("kind", ["discrimination", "stddev"])
@pytest.mark.parametrize("name", CRITICS)
def test_every_weight_gets_a_gradient_also_from_a_penalty_of_the_slope(name, kind):
    critic = CRITICS[name](minibatch=kind)
    x = torch.randn(4, 1, 16, 16, requires_grad=True)
    scores = critic(x)
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    (scores.sum() + slope.square().sum()).backward()
    for key, parameter in critic.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", CRITICS)
def test_without_it_a_checkpoint_has_the_names_that_it_always_had(name):
    assert not [key for key in CRITICS[name]().state_dict() if "minibatch" in key]
    assert [key for key in CRITICS[name](minibatch="discrimination").state_dict() if "minibatch" in key]


@pytest.mark.parametrize("name", CRITICS)
def test_an_unknown_look_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match="^minibatch=std is not known; choose one of none, discrimination, stddev"):
        CRITICS[name](minibatch="std")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("minibatch", ["discrimination", "stddev"])
@pytest.mark.parametrize("model", ["gan", "dcgan", "resnet"])
def test_games_are_played_with_them(model, minibatch, precision):
    words = ["model.generator.norm=virtual", f"model.discriminator.minibatch={minibatch}"]
    trainer = trainer_of(config_of(f"model={model}", *words, f"trainer.precision={precision}"))
    play(trainer, 2)
    assert all(math.isfinite(value) for value in trainer.report().values())
    assert [seat.report()[0] for seat in trainer.seats] == [0, 0], "no update was skipped"


def test_points_are_judged_with_them():
    for minibatch in ("discrimination", "stddev"):
        words = ["model=gan", "dataset=ring8", "model.generator.norm=virtual"]
        trainer = play(trainer_of(config_of(*words, f"model.discriminator.minibatch={minibatch}")), 1)
        assert all(math.isfinite(value) for value in trainer.report().values())
