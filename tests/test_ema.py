"""The average of a game's networks: a half-life in images, buffers copied, batch norm of its own, a ramp."""

import copy

import pytest
import torch
from helpers import made, names, play, words_for
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gan_lab.losses import NonSaturating
from gan_lab.models import GAN
from gan_lab.models.ema import Ema

BATCH = {"image": torch.zeros(16, 4)}


def game_of(generator):
    return GAN(generator, nn.Linear(4, 1), NonSaturating(), latent_dim=4)


@pytest.mark.parametrize("batch", [8, 64, 1024])
def test_after_a_half_life_of_images_a_weight_counts_half_at_every_batch_size(batch):
    game = game_of(nn.Linear(4, 4))
    ema = Ema(game, half_life_images=1024)
    nn.init.zeros_(ema.networks["generator"].weight)
    nn.init.ones_(game.generator.weight)
    for i in range(1024 // batch):
        ema.update(game, batch, (i + 1) * batch, BATCH)
    torch.testing.assert_close(ema.networks["generator"].weight, torch.full((4, 4), 0.5), atol=1e-5, rtol=0)


@given(st.integers(1, 10**4), st.integers(1, 10**6), st.floats(1, 1e6), st.one_of(st.none(), st.floats(0.01, 1)))
def test_what_is_left_of_an_old_weight_is_a_share(new, images, half_life, ramp):
    assert 0 <= Ema(game_of(nn.Linear(4, 4)), half_life, ramp).decay(new, images) < 1


def test_early_on_the_ramp_shortens_the_half_life():
    ema = Ema(game_of(nn.Linear(4, 4)), half_life_images=10_000, ramp=0.05)
    assert ema.decay(50, images=1000) == pytest.approx(0.5), "5 % of 1000 images"
    assert ema.decay(10_000, images=10**7) == pytest.approx(0.5)
    assert ema.decay(50, images=1000) < Ema(game_of(nn.Linear(4, 4)), 10_000).decay(50, images=1000)


def test_without_a_half_life_the_average_is_the_network_itself():
    trainer = made("model=gan", "trainer.ema_half_life_images=null", rounds=2)
    for mine, its in zip(
        trainer.ema.networks["generator"].parameters(), trainer.game.generator.parameters(), strict=True
    ):
        assert torch.equal(mine, its)


def test_parameters_are_averaged():
    game = game_of(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    ema = Ema(game, half_life_images=100)
    before = copy.deepcopy(ema.networks["generator"].state_dict())
    with torch.no_grad():
        game.generator[0].weight.add_(1.0)
    ema.update(game, 50, 50, BATCH)
    average, network = ema.networks["generator"], game.generator
    share = 0.5**0.5
    expected = share * before["0.weight"] + (1 - share) * network[0].weight
    torch.testing.assert_close(average[0].weight, expected.detach())


def updated(ema, game, times):
    for i in range(times):
        ema.update(game, 16, 16 * (i + 1), BATCH)


def test_averaged_weights_have_batch_norm_statistics_of_their_own():
    """Weights that have moved on have large outputs, their average has small ones."""
    torch.manual_seed(0)
    game = game_of(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    ema = Ema(game, half_life_images=1e6)
    with torch.no_grad():
        game.generator[0].weight.mul_(50)
    game.generator(torch.randn(16, 4))
    updated(ema, game, times=100)
    average = ema.networks["generator"]
    made = average[0](torch.randn(10_000, 4))
    torch.testing.assert_close(average[1].running_mean, made.mean(dim=0), atol=0.3, rtol=0)
    torch.testing.assert_close(average[1].running_var, made.var(dim=0), rtol=0.5, atol=0)
    assert game.generator[1].running_var.mean() > 20 * average[1].running_var.mean()
    assert average[1].momentum == game.generator[1].momentum and not average[1].training
    assert ema.statistics(game) == "eval"


def test_gathering_statistics_leaves_the_game_as_it_was():
    game = game_of(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))).train()
    before = copy.deepcopy(game.state_dict())
    updated(Ema(game, half_life_images=100), game, times=3)
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items())
    assert game.training and all(m.training for m in game.modules()) and game.generator[0].weight.requires_grad


def test_statistics_follow_from_weights_seed_and_place_alone():
    averages = []
    for _ in range(2):
        torch.manual_seed(0)
        game = game_of(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
        averages.append(Ema(game, half_life_images=100))
        torch.rand(len(averages))
        updated(averages[-1], game, times=3)
    first, second = (average.state_dict() for average in averages)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_without_an_average_statistics_are_those_of_the_network():
    game = game_of(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    ema = Ema(game, half_life_images=None)
    game.generator(torch.randn(16, 4) * 3 + 5)
    updated(ema, game, times=2)
    for name, buffer in game.generator.named_buffers():
        assert torch.equal(ema.networks["generator"].get_buffer(name), buffer), name
    assert ema.statistics(game) == "eval"


def test_copied_statistics_are_called_so():
    """An average from before it gathered statistics has those of the network."""
    game = game_of(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    ema = Ema(game, half_life_images=100)
    nn.init.zeros_(game.generator[0].weight)
    assert ema.statistics(game) == "copied"
    assert Ema(game_of(nn.Linear(4, 4)), 100).statistics(game_of(nn.Linear(4, 4))) == "none"


@pytest.mark.parametrize("model", names("model"))
def test_every_averaged_batch_norm_is_shown_a_batch(model):
    trainer = made(*words_for(model), "trainer.ema_every=1")
    before = {name: value.clone() for name, value in trainer.ema.state_dict().items() if "running_mean" in name}
    play(trainer, rounds=1)
    after = trainer.ema.state_dict()
    assert all(not torch.equal(value, after[name]) for name, value in before.items())


def test_the_average_is_in_eval_mode_frozen_and_apart():
    trainer = made("model=dcgan", rounds=2)
    average = trainer.ema.networks["generator"]
    trainer.game.train()
    assert not any(module.training for module in average.modules())
    assert not any(p.requires_grad for p in average.parameters())
    own = {p.data_ptr() for p in trainer.game.generator.parameters()}
    assert not own & {p.data_ptr() for p in average.parameters()}
    assert not torch.equal(next(average.parameters()), next(trainer.game.generator.parameters()))


def test_a_spectral_norm_keeps_its_vectors_as_they_are_in_the_average():
    generator = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)))
    game = game_of(generator)
    ema = Ema(game, half_life_images=100)
    before = {name: buffer.clone() for name, buffer in game.generator.named_buffers()}
    nn.init.normal_(game.generator[0].parametrizations.weight.original, std=3.0)
    for _ in range(3):
        game.generator(torch.randn(4, 4))
    assert not any(torch.equal(buffer, before[name]) for name, buffer in game.generator.named_buffers())
    ema.update(game, 8, 8, BATCH)
    state = ema.networks.state_dict()
    ema.networks["generator"](torch.randn(4, 4))
    after = ema.networks.state_dict()
    assert all(torch.equal(state[k], after[k]) for k in state), "a forward pass changes nothing"
    for name, buffer in game.generator.named_buffers():
        assert torch.equal(ema.networks["generator"].get_buffer(name), buffer), name


def test_every_n_rounds_counts_the_images_of_all_of_them():
    calls = []
    trainer = made("model=gan", "trainer.ema_every=3")
    trainer.ema.update = lambda game, new, images, batch: calls.append((new, images))
    play(trainer, rounds=7)
    assert calls == [(24, 24), (24, 48)]


def test_images_of_uneven_rounds_are_counted_as_they_were_seen():
    """A warm-up gives rounds of different lengths; the images between two updates are those that were seen."""
    calls = []
    trainer = made("model=gan", "trainer.ema_every=2", "trainer.turns={discriminator: {usual: 1, warm: 5, first: 1}}")
    trainer.ema.update = lambda game, new, images, batch: calls.append((new, images))
    play(trainer, rounds=4)
    assert calls == [(8 * 6, 8 * 6), (8 * 2, 8 * 8)]
