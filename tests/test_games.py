"""Every game, as its YAML composes it, keeps the contract of `gan_lab.models.Game`."""

import pytest
import torch
from helpers import config_of, made, names, play, trainer_of, words_for
from torch import nn

from gan_lab.errors import ConfigError
from gan_lab.losses import NonSaturating
from gan_lab.models import GAN, Game, Terms, losses


@pytest.fixture(params=names("model"))
def trainer(request):
    return made(*words_for(request.param))


def freeze_all_but(trainer, seat):
    for parameter in trainer.parameters:
        parameter.requires_grad_(False)
        parameter.grad = None
    for parameter in seat.parameters:
        parameter.requires_grad_(True)


def losses_in_order(trainer):
    """Each seat with its losses and logs of one turn, in turn order."""
    (batch,) = trainer.loader.batch(0)
    for seat in trainer.seats:
        freeze_all_but(trainer, seat)
        trainer.game.noise.at(0, seat.name, 0)
        yield seat, *seat.player(batch, 0)


def test_players_partition_the_trainable_networks(trainer):
    game = trainer.game
    trained = [name for networks in game.players.values() for name in networks]
    assert len(trained) == len(set(trained))
    assert set(trained) | game.guests.keys() | {"objective"} == {name for name, _ in game.named_children()}
    owned = [id(p) for seat in trainer.seats for p in seat.parameters]
    assert len(owned) == len(set(owned)), "no parameter belongs to two players"
    guests = [p for guest in game.guests.values() for p in guest.parameters()]
    objective = list(game.objective.parameters())
    assert len(owned) + len(guests) + len(objective) == len(list(game.parameters()))


def test_each_loss_moves_all_of_its_player_and_nobody_else(trainer):
    for seat, terms, _ in losses_in_order(trainer):
        sum(terms.values()).backward()
        mine = {id(p) for p in seat.parameters}
        for name, parameter in trainer.game.named_parameters():
            assert (parameter.grad is not None) == (id(parameter) in mine), f"{seat.name}: {name}"


def test_a_loss_that_forgets_a_network_is_noticed():
    """The control of the test above: a generator whose fakes are detached gets no gradient."""
    trainer = made("model=gan")
    trainer.game.fool = lambda critic, fake, real, step: losses(adversarial=critic(fake.detach()).mean())
    for seat, terms, _ in losses_in_order(trainer):
        if seat.name == "generator":
            assert not sum(terms.values()).requires_grad


def test_losses_are_scalars_with_gradient_and_logs_have_other_names(trainer):
    for seat, terms, logs in losses_in_order(trainer):
        assert terms
        assert not terms.keys() & logs.keys()
        for name, value in terms.items():
            assert value.shape == (), f"{seat.name}/{name}"
            assert value.requires_grad, f"{seat.name}/{name}"
        for name, value in logs.items():
            assert value.shape == (), f"{seat.name}/{name}"
            assert not value.requires_grad, f"{seat.name}/{name}"


def test_what_a_round_says_is_named_by_kind_player_and_term(trainer):
    play(trainer, rounds=1)
    said = trainer.report()
    for seat in trainer.seats:
        assert any(name.startswith(f"loss/{seat.name}/") for name in said)
        assert f"grad_norm/{seat.name}" in said


def test_the_critic_logs_its_scores():
    said = made("model=gan", rounds=1).report()
    assert {"discriminator/score_real", "discriminator/score_fake"} <= said.keys()
    assert {"loss/discriminator/adversarial", "loss/generator/adversarial"} <= said.keys()


def test_the_average_follows_networks_that_are_there(trainer):
    assert set(trainer.ema.networks) == set(trainer.game.averaged)
    assert set(trainer.game.critics) <= {name for networks in trainer.game.players.values() for name in networks}


def test_a_sample_depends_on_its_own_seed_alone(trainer):
    game = trainer.game
    with game.using(dict(trainer.ema.networks)):
        alone = game.sample(game.draw([3]))[game.makes[0]]
        among = game.sample(game.draw([1, 2, 3, 4]))[game.makes[0]]
        assert not torch.equal(among[0], among[2])
    torch.testing.assert_close(among[2], alone[0], atol=1e-5, rtol=1e-5)


def test_previews_are_named_batches_of_samples(trainer):
    (batch,) = trainer.loader.batch(0)
    game = trainer.game
    with game.using(dict(trainer.ema.networks)):
        views = game.preview(batch, game.draw(range(8)), 0)
    assert {"fixed", "real"} <= views.keys()
    for name, view in views.items():
        is_table = view.dim() == 5  # rows of latents, columns of conditions; in colour where one of the columns is
        right = view.shape[3:] == batch["image"].shape[2:] if is_table else view.shape == batch["image"].shape
        assert right and (not is_table or view.shape[2] in (batch["image"].shape[1], 3)), name
        assert torch.isfinite(view).all(), name
    assert game.training, "playing with averaged networks ends in train mode"


def test_using_other_networks_puts_the_own_ones_back_also_after_an_error():
    trainer = made("model=gan")
    own = trainer.game.generator
    with pytest.raises(RuntimeError, match="planted"), trainer.game.using(dict(trainer.ema.networks)) as game:
        assert game.generator is trainer.ema.networks["generator"]
        assert not game.generator.training
        raise RuntimeError("planted")
    assert trainer.game.generator is own
    assert own.training


# --- Guests ----------------------------------------------------------------------------------------------------------


class WithGuest(GAN):
    """A game with a network that nobody trains."""

    def __init__(self, **networks):
        super().__init__(**networks)
        self.teacher = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def test_a_guest_stays_frozen_and_in_eval_mode():
    game = WithGuest(generator=nn.Linear(100, 4), discriminator=nn.Linear(4, 1), objective=NonSaturating())
    assert list(game.guests) == ["teacher"]
    game.eval()
    game.train()
    assert not any(module.training for module in game.teacher.modules())
    assert not any(p.requires_grad for p in game.teacher.parameters())
    assert game.generator.training
    before = [t.clone() for t in game.teacher.state_dict().values()]
    game.teacher(torch.randn(8, 4))
    assert all(torch.equal(a, b) for a, b in zip(before, game.teacher.state_dict().values(), strict=True))


# --- Fakes that are handed on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
def test_reused_fakes_are_handed_on_and_none_is_left(accumulate):
    trainer = trainer_of(config_of("model=gan", "model.reuse_fakes=true", f"trainer.accumulate={accumulate}"))
    assert [seat.name for seat in trainer.seats] == ["generator", "discriminator"]
    given, taken = [], []
    fool, judge = trainer.game.fool, trainer.game.judge
    trainer.game.fool = lambda critic, fake, real, step: (
        given.append(fake.detach().clone()) or fool(critic, fake, real, step)
    )
    trainer.game.judge = lambda critic, real, fake, step: taken.append(fake) or judge(critic, real, fake, step)
    play(trainer, rounds=2)
    assert len(given) == 2 * accumulate
    assert all(torch.equal(a, b) for a, b in zip(given, taken, strict=True))
    assert trainer.game.last_fakes.fakes == []
    assert not any(fake.requires_grad for fake in taken)


def test_fresh_fakes_are_the_default_and_the_discriminator_moves_first():
    trainer = made("model=gan")
    assert [seat.name for seat in trainer.seats] == ["discriminator", "generator"]
    assert Game.players is GAN.players, "the preset that reverses the order leaves the class alone"
    trainer_of(config_of("model=gan", "model.reuse_fakes=true"))
    assert list(Game.players) == ["discriminator", "generator"]


# --- Terms -----------------------------------------------------------------------------------------------------------


def test_terms_add_up_and_refuse_a_name_twice():
    one, two = torch.tensor(1.0), torch.tensor(2.0)
    both = Terms({"a": one}, {"seen": two}) + Terms({"b": two})
    assert both.losses == {"a": one, "b": two}
    assert both.logs == {"seen": two}
    with pytest.raises(ValueError, match="called a"):
        both + losses(a=one)
    with pytest.raises(ValueError, match="called seen"):
        both + losses(seen=one)


def test_two_critics_of_one_turn_draw_apart_and_keep_their_names():
    trainer = made("model=gan", "loss=wgan_gp")
    game = trainer.game
    (batch,) = trainer.loader.batch(0)
    real, fake = batch["image"], torch.zeros_like(batch["image"])
    first = game.judge(game.discriminator, real, fake, 0, "a")
    second = game.judge(game.discriminator, real, fake, 0, "b")
    joined = first + second
    assert set(joined.losses) == {f"{term}_{name}" for term in ("adversarial", "gradient_penalty") for name in "ab"}
    assert first.losses["adversarial_a"] == second.losses["adversarial_b"]
    assert first.losses["gradient_penalty_a"] != second.losses["gradient_penalty_b"], "epsilon is drawn for each critic"


# --- The generator's batch -------------------------------------------------------------------------------------------


def test_the_generator_may_play_a_larger_batch_than_the_critic():
    game = made("model=gan", "model.generator_batch=2", "model.reuse_fakes=true").game
    shown = []
    game.fool = lambda critic, fake, real, step: shown.append((fake, real)) or losses(adversarial=fake.mean())
    real = torch.randn(3, 1, 16, 16)
    game.generator_loss({"image": real}, 0)
    ((fake, beside),) = shown
    assert len(fake) == 6 and torch.equal(beside, real[[0, 0, 1, 1, 2, 2]])
    (handed,) = game.last_fakes.fakes
    assert torch.equal(handed, fake[::2]), "the critic is shown as many fakes as real samples"


@pytest.mark.parametrize("model", ["gan", "projection", "acgan"])
def test_a_larger_generator_batch_in_parts_is_the_whole_one(model):
    norm = "model.generator.norm=layer" if model != "projection" else "model.generator.norm=batch"
    game = made(f"model={model}", "model.generator_batch=2", norm).game.eval()
    batch = {"image": torch.randn(4, 1, 16, 16), "label": torch.tensor([3, 1, 4, 1])}
    game.noise.at(0, "generator", 0)
    whole = game.generator_loss(batch, 0).losses
    halves = []
    for i in range(2):
        game.noise.at(0, "generator", 0, shard=i, shards=2)
        halves.append(game.generator_loss({k: v[2 * i : 2 * i + 2] for k, v in batch.items()}, 0).losses)
    for name, term in whole.items():
        torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, term)


@pytest.mark.parametrize("model", ["gan", "cgan"])
def test_a_generator_batch_of_none_is_refused(model):
    with pytest.raises(ConfigError, match="generator_batch=0 must be at least 1"):
        made(f"model={model}", "model.generator_batch=0")
