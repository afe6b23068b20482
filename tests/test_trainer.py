"""The loop: turns, shared batches, updates that are skipped, clipping, schedules, accumulation, bounds."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from helpers import config_of, fingerprint, made, play, trainer_of, weights
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gan_lab.errors import ConfigError, DivergedError
from gan_lab.models import Terms
from gan_lab.training import assembly
from gan_lab.training import watch as health
from gan_lab.training.observers import Reporter
from gan_lab.training.player import SMALL, Player, Seat, all_finite, lie_still
from gan_lab.training.schedule import rate_of, turns_of

# --- Turns -----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 50), st.integers(0, 1000))
def test_a_whole_number_is_that_many_turns_in_each_round(n, step):
    assert turns_of(n)(step) == n
    assert turns_of(str(n))(step) == n


@given(st.integers(2, 50), st.integers(0, 20))
def test_a_share_is_one_turn_in_every_n_rounds(n, start):
    turn = turns_of(f"1/{n}")
    assert sum(turn(step) for step in range(start, start + 3 * n)) == 3
    assert turn(0) == 1


def test_a_warm_up_is_as_in_the_official_code_of_wgan():
    turn = turns_of({"usual": 5, "warm": 100, "first": 25, "every": 500})
    assert [turn(step) for step in (0, 24, 25, 499, 500, 501, 1000)] == [100, 100, 5, 5, 100, 5, 100]
    assert turns_of({"usual": 2, "warm": 3})(0) == 2


@pytest.mark.parametrize(
    "count",
    [
        0,
        -1,
        "2/3",
        "zero",
        1.5,
        None,
        "1/0",
        {"usual": 1},
        {"usual": 1, "warm": 0},
        {"usual": 1, "warm": 2, "x": 1},
        {"usual": 1, "warm": 2, "first": "a"},
        {"usual": True, "warm": 2},
        {"usual": 1, "warm": 2, "every": -1},
    ],
)
def test_other_turns_are_refused(count):
    with pytest.raises(ValueError, match="turns="):
        turns_of(count)


def test_turns_that_are_refused_are_named_as_a_setting():
    with pytest.raises(ConfigError, match="^trainer.turns=2/3"):
        made("trainer.turns={generator: 2/3}")


def recorded(trainer, rounds):
    """(step, player, turn, labels of the first micro-batch) of every turn."""
    record, turn = [], trainer.turn

    def record_turn(seat, step, number, batches):
        record.append((step, seat.name, number, batches[0]["label"].tolist()))
        return turn(seat, step, number, batches)

    trainer.turn = record_turn
    play(trainer, rounds)
    return record


def test_players_alternate_in_turn_order_and_the_critic_takes_what_the_loss_asks_for():
    record = recorded(made("loss=wgan_gp"), 2)
    expected = [(s, p, t) for s in (0, 1) for p, n in (("discriminator", 5), ("generator", 1)) for t in range(n)]
    assert [entry[:3] for entry in record] == expected


def test_the_most_turns_draw_fresh_batches_and_the_others_play_the_last_ones():
    trainer = made("loss=wgan_gp", "trainer.turns={generator: 2}")
    record = recorded(trainer, 2)
    seen = [labels for _, player, _, labels in record if player == "discriminator"]
    assert seen == [trainer.loader.batch(i)[0]["label"].tolist() for i in range(10)]
    played = [labels for _, player, _, labels in record if player == "generator"]
    assert played == [seen[3], seen[4], seen[8], seen[9]]
    assert trainer.batches == 10
    assert trainer.images == 80


def test_a_player_may_sit_out_rounds():
    record = recorded(made("trainer.turns={generator: 1/3}"), 6)
    assert [step for step, player, *_ in record if player == "generator"] == [0, 3]
    assert [step for step, player, *_ in record if player == "discriminator"] == list(range(6))


def test_two_turns_of_one_round_draw_apart():
    trainer = made("loss=wasserstein", "trainer.ema_every=100")
    latents, sample = [], trainer.game.latent
    trainer.game.latent = lambda n: latents.append(sample(n)) or latents[-1]
    play(trainer, 2)
    assert len(latents) == 12
    assert all(not torch.equal(a, b) for i, a in enumerate(latents) for b in latents[:i])


# --- Who moves -------------------------------------------------------------------------------------------------------


def test_a_turn_moves_its_player_and_nobody_else():
    trainer = made("model=dcgan")
    (batch,) = trainer.loader.batch(0)
    for seat in trainer.seats:
        before = {name: p.clone() for name, p in trainer.game.named_parameters()}
        trainer.turn(seat, 0, 0, [batch])
        mine = {id(p) for p in seat.parameters}
        for name, parameter in trainer.game.named_parameters():
            assert torch.equal(parameter, before[name]) == (id(parameter) not in mine), f"{seat.name}: {name}"
            assert parameter.requires_grad == (id(parameter) in mine), "everybody else is frozen"


def test_a_loss_without_gradient_is_a_mistake_of_the_game():
    trainer = made()
    trainer.game.judge = lambda *args: Terms({"adversarial": torch.zeros(())})
    with pytest.raises(AssertionError, match="discriminator: .*adversarial"):
        trainer.round()


def test_logs_are_detached_and_not_minimised():
    plain, logging = made("model.generator.norm=none"), made("model.generator.norm=none")
    game, loss = logging.game, logging.game.generator_loss
    seen = lambda: {"seen": 100 * game.generator(torch.ones(8, 100)).mean()}
    logging.seats[1].player.loss = lambda batch, step: loss(batch, step) + Terms({}, seen())
    assert torch.equal(weights(play(plain, 2)), weights(play(logging, 2)))
    (first, *_) = [said["generator/seen"] for said in logging.terms if "generator/seen" in said]
    assert not first.requires_grad


# --- Losses that are not finite --------------------------------------------------------------------------------------


def plant(trainer, player, steps, value=float("nan")):
    """Let a player's loss be `value` at some steps."""
    seat = next(seat for seat in trainer.seats if seat.name == player)
    loss = seat.player.loss

    def planted(batch, step):
        terms = loss(batch, step)
        if step in steps:
            terms.losses["adversarial"] = terms.losses["adversarial"] * value
        return terms

    seat.player.loss = planted
    return seat


def moved(trainer):
    """Which players' weights the next round moves."""
    before = [[p.clone() for p in seat.parameters] for seat in trainer.seats]
    trainer.round()
    return [
        seat.name
        for seat, old in zip(trainer.seats, before, strict=True)
        if not all(torch.equal(a, b) for a, b in zip(old, seat.parameters, strict=True))
    ]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_loss_that_is_not_finite_skips_the_update_of_its_player_alone(optimizer, value, player):
    trainer = made(f"optimizer={optimizer}")
    seat = plant(trainer, player, {1, 2}, value)
    assert seat.guarded == (optimizer != "rmsprop"), "both paths are taken"
    both, other = ["discriminator", "generator"], [name for name in ("discriminator", "generator") if name != player]
    assert [moved(trainer) for _ in range(4)] == [both, other, other, both]
    assert torch.isfinite(weights(trainer)).all()
    assert {s.name: s.report() for s in trainer.seats} == {player: (2, 1), other[0]: (0, -1)}
    assert seat.report() == (0, -1), "a report starts anew"


def test_without_the_flag_one_bad_loss_spoils_every_weight():
    """The control."""
    trainer = made()
    seat = plant(trainer, "generator", {1})
    trainer.world.agree = lambda flag: torch.ones_like(flag)
    play(trainer, 3)
    assert not torch.isfinite(torch.cat([p.detach().flatten() for p in seat.parameters])).all()


def test_the_state_of_the_optimizer_stays_finite_over_a_skipped_update():
    trainer = made("trainer.clip=1.0")
    plant(trainer, "generator", {1})
    play(trainer, 3)
    for seat in trainer.seats:
        for state in seat.optimizer.state.values():
            assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_a_skipped_first_update_is_as_if_it_had_not_been(optimizer):
    """Fused momentum would otherwise begin with whatever lies in memory."""
    trainer = made(f"optimizer={optimizer}")
    for seat in trainer.seats:
        for parameter in seat.parameters:
            parameter.grad = torch.full_like(parameter, float("nan"))
        seat.update(torch.tensor(float("nan")), 0, trainer.world.agree)
        for state in seat.optimizer.state.values():
            assert all((value == 0).all() for value in state.values())


UPDATES = {
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5),
    "sgd without momentum": lambda p: torch.optim.SGD(p, lr=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, foreach=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, foreach=True),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_that_is_undone_is_as_one_that_was_never_taken(name):
    """Weights and the optimizer's state, its count of steps too, bit for bit."""
    states = []
    for undone in (False, True):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3))
        net.to(memory_format=torch.channels_last)
        game = SimpleNamespace(players={"one": ("net",)}, net=net, one_loss=None)
        player = Player("one", game)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        seat = Seat("one", player, player, UPDATES[name](list(net.parameters())), scaler)
        for step, spoiled in enumerate([0, 0, 1, 0, 1, 1, 0]):
            for i, parameter in enumerate(net.parameters()):
                parameter.grad = torch.randn_like(parameter)
                if spoiled and i == step % 4:
                    parameter.grad[(0,) * parameter.dim()] = [float("nan"), float("inf")][step % 2]
            seat.undoable = undone and step >= 2
            seat.update(torch.tensor(1.0), step, lambda flag: flag)
        states.append(fingerprint({"net": net.state_dict(), **seat.state_dict()}))
        assert seat.report() == (3, 2)
        assert torch.isfinite(torch.cat([p.detach().flatten() for p in net.parameters()])).all()
    assert states[0] == states[1]


def test_what_is_put_elsewhere_in_a_step_cannot_be_undone():
    a, b, device = torch.zeros(1), torch.zeros(1), torch.device("cpu")
    assert lie_still([a, b], [a, b], device)
    assert not lie_still([a], [a, b], device), "made by the step"
    assert not lie_still([a], [b], device), "another one in its place"
    assert not lie_still([a, 1], [a, 1], device), "a number of the host"
    assert not lie_still([a], [a], torch.device("cuda")), "on another device"


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [100, SMALL + 1])
def test_what_is_finite_is_found_so_in_every_type(kind, size):
    most = {torch.float16: 60_000.0}.get(kind, 1e30)
    whole = [torch.full((size,), most, dtype=kind), torch.full((3,), most, dtype=kind)]
    for loss in (torch.tensor(1.0), torch.tensor(1.0, dtype=kind)):
        assert all_finite(whole, loss)
        for bad in (float("nan"), float("inf"), -float("inf")):
            broken = [whole[0].clone(), whole[1]]
            broken[0][size // 2] = bad
            assert not all_finite(broken, loss)
            assert not all_finite(whole, torch.tensor(bad))


def test_kernels_are_no_part_of_what_is_resumed():
    state = made("optimizer.foreach=true", rounds=1).state_dict()
    trainer = made()
    trainer.load_state_dict(state)
    assert all(group["fused"] for seat in trainer.seats for group in seat.optimizer.param_groups)
    play(trainer, 1)


def test_an_optimizer_that_asks_for_the_loss_again_is_a_sentence():
    with pytest.raises(ConfigError, match="^optimizer_overrides.generator: LBFGS evaluates the loss several times"):
        made("optimizer_overrides={generator: {_target_: torch.optim.LBFGS}}")


@pytest.mark.parametrize("word", ["foreach", "differentiable"])
def test_kernels_that_exclude_each_other(word):
    if word == "foreach":
        assert not made("optimizer.foreach=true", rounds=1).seats[0].guarded
    else:
        with pytest.raises(ConfigError, match="^optimizer: `fused` does not support `differentiable`"):
            made("optimizer.differentiable=true")


def reporter_of(every, folder="unused"):
    """A reporter that writes nothing, with a watch for divergence alone."""
    return Reporter(every, None, health.Watch(folder, symptoms=()))


def test_a_whole_window_without_an_update_is_divergence():
    trainer = made("loss=wasserstein")
    plant(trainer, "discriminator", range(5, 10))
    reporter = reporter_of(5)
    reporter.tell(play(trainer, 5))
    with pytest.raises(DivergedError, match="first at step 5. Lower optimizer.lr"):
        reporter.tell(play(trainer, 5))


def test_the_window_of_a_resumed_run_begins_where_it_resumes():
    """Otherwise divergence right after a resume hides behind a thousand rounds that another process played."""
    trainer, again = made(rounds=1000 // 50), made()
    again.load_state_dict(assembly.clone(trainer.state_dict()))
    plant(again, "generator", range(20, 25))
    with pytest.raises(DivergedError, match="first at step 20"):
        reporter_of(5).tell(play(again, 5))


# --- Clipping and rates ----------------------------------------------------------------------------------------------


def test_clipping_bounds_the_gradient_that_the_optimizer_sees():
    """With plain SGD the update is the gradient: its norm is the clip, its direction the gradient's."""
    words = ["optimizer=sgd", "optimizer.momentum=0", "optimizer.lr=1"]
    free, clipped = made(*words), made(*words, "trainer.clip=0.001")
    before = weights(free)
    play(free, 1)
    play(clipped, 1)
    n = sum(p.numel() for p in free.seats[0].parameters)
    step_free, step_clipped = (weights(t)[:n] - before[:n] for t in (free, clipped))
    assert step_free.norm() > 0.01
    assert step_clipped.norm().item() == pytest.approx(0.001, rel=1e-3)
    assert torch.nn.functional.cosine_similarity(step_free, step_clipped, dim=0) > 0.999
    assert clipped.report()["grad_norm/discriminator"] > 0.01, "what is logged is the norm before it is clipped"


def test_players_are_clipped_apart():
    trainer = made("trainer.clip={generator: 0.5}")
    assert {seat.name: seat.clip for seat in trainer.seats} == {"discriminator": None, "generator": 0.5}
    assert [seat.clip for seat in made("trainer.clip=2.0").seats] == [2.0, 2.0]


def test_a_gradient_below_the_clip_is_left_alone():
    assert fingerprint(made(rounds=2).state_dict()) == fingerprint(made("trainer.clip=1000.0", rounds=2).state_dict())


@given(st.floats(0, 1), st.integers(0, 1000), st.floats(0, 0.9), st.sampled_from(["constant", "linear", "cosine"]))
def test_a_rate_is_a_share_and_rests_until_it_decays(progress, step, decay_from, schedule):
    factor = rate_of(schedule, decay_from)(progress, step)
    assert 0 <= factor <= 1
    if schedule == "constant" or progress <= decay_from:
        assert factor == 1


def test_schedules_end_at_zero_and_warm_up_rises_from_the_first_step():
    assert rate_of("linear")(1.0, 9) == 0
    assert rate_of("cosine")(1.0, 9) == pytest.approx(0, abs=1e-12)
    assert rate_of("linear", 0.5)(0.75, 9) == 0.5
    assert rate_of("cosine")(0.5, 9) == pytest.approx(0.5)
    assert [rate_of("constant", warm_up_steps=4)(0.0, step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_a_schedule_scales_the_rate_of_every_player():
    trainer = made(
        "trainer.steps=4",
        "trainer.schedule=linear",
        "optimizer_overrides={discriminator: {lr: 0.4}}",
        "optimizer.lr=0.1",
    )
    seen = []
    for _ in range(4):
        trainer.round()
        seen.append([seat.optimizer.param_groups[0]["lr"] for seat in trainer.seats])
    assert seen == [pytest.approx([0.4 * f, 0.1 * f]) for f in (1, 0.75, 0.5, 0.25)]


# --- Accumulation ----------------------------------------------------------------------------------------------------

EXACT = ["model.generator.norm=none", "model.discriminator.norm=none"]


@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp", "relativistic", "least_squares"])
@pytest.mark.parametrize("model", ["gan", "dcgan"])
def test_two_micro_batches_equal_one_batch_of_both(double, model, loss):
    words = [f"model={model}", f"loss={loss}", *EXACT]
    whole = made(*words, "trainer.batch_size=8", rounds=4)
    parts = made(*words, "trainer.batch_size=4", "trainer.accumulate=2", rounds=4)
    assert weights(whole).dtype == torch.float64
    assert (weights(whole) - weights(parts)).abs().max() < 1e-9
    assert whole.images == parts.images
    one, two = whole.report(), parts.report()
    for name in one:
        if name.startswith("grad_norm/"):
            assert one[name] == pytest.approx(two[name], rel=1e-6), name


def test_batch_norm_sees_micro_batches_and_breaks_that_equality(double):
    """The control, and the reason why the equality is claimed without batch norm alone."""
    whole = made("model=dcgan", "trainer.batch_size=8", rounds=4)
    parts = made("model=dcgan", "trainer.batch_size=4", "trainer.accumulate=2", rounds=4)
    assert (weights(whole) - weights(parts)).abs().max() > 1e-6


# --- Bounds ----------------------------------------------------------------------------------------------------------


class Watch:
    """Notes the steps at which it is told."""

    def __init__(self, every):
        self.every, self.steps = every, []

    def tell(self, trainer):
        self.steps.append(trainer.step)


def test_observers_are_told_at_their_cadence_and_at_the_end():
    trainer, often, seldom, never = made("trainer.steps=7"), Watch(2), Watch(5), Watch(100)
    trainer.run([often, seldom, never])
    assert trainer.step == 7
    assert [w.steps for w in (often, seldom, never)] == [[2, 4, 6, 7], [5, 7], [7]]


def test_a_flag_ends_the_run_after_the_round():
    trainer, watch = made("trainer.steps=100"), Watch(1000)
    turn = trainer.turn

    def stop_in_the_middle(seat, step, *rest):
        trainer.stopping = trainer.stopping or step == 3
        return turn(seat, step, *rest)

    trainer.turn = stop_in_the_middle
    trainer.run([watch])
    assert watch.steps == [4]
    assert not torch.equal(weights(trainer), weights(made()))


@pytest.mark.parametrize("words", [["trainer.batch_size=300"], ["trainer.batch_size=100", "loss=wasserstein"]])
def test_epochs_bound_a_run(words):
    trainer = made("trainer.steps=null", "trainer.epochs=2", *words)
    turns = 5 if "loss=wasserstein" in words else 1
    assert trainer.total == math.ceil(2 * trainer.loader.batches_per_epoch / turns)
    trainer.run()
    assert trainer.epochs >= 2
    assert trainer.epochs - turns / trainer.loader.batches_per_epoch < 2


def test_the_nearer_of_steps_and_epochs_counts():
    assert made("trainer.steps=3", "trainer.epochs=100").total == 3
    assert made("trainer.steps=10000", "trainer.epochs=1").total == 1797 // 8


def test_minutes_bound_a_run():
    trainer = made("trainer.steps=null", "trainer.max_minutes=0.002")
    trainer.run()
    assert trainer.total is None
    assert 0.12 <= trainer.seconds < 2
    assert trainer.step > 1
    assert trainer.progress >= 1


@pytest.mark.parametrize(("turns", "accumulate", "times"), [(1, 1, 3), (4, 1, 12), (1, 2, 6)])
def test_a_report_is_the_mean_over_every_turn_and_micro_batch(turns, accumulate, times):
    trainer = made(f"trainer.turns={{discriminator: {turns}}}", f"trainer.accumulate={accumulate}", rounds=3)
    name = "loss/discriminator/adversarial"
    said = [terms[name].item() for terms in trainer.terms if name in terms]
    assert len(said) == times
    assert trainer.report()[name] == pytest.approx(sum(said) / times, rel=1e-5)
    assert trainer.report() == {}


# --- Half precision --------------------------------------------------------------------------------------------------


def test_fp16_scales_its_losses_and_each_player_has_a_scaler_of_its_own():
    trainer = made("trainer.precision=fp16", rounds=3)
    scalers = [seat.scaler for seat in trainer.seats]
    assert all(scaler.is_enabled() for scaler in scalers)
    assert scalers[0] is not scalers[1]
    assert all(p.dtype == torch.float32 for p in trainer.parameters)
    assert not torch.equal(weights(trainer), weights(made("trainer.precision=fp16")))
    close = made("trainer.precision=fp32", rounds=3)
    assert (weights(trainer) - weights(close)).abs().max() < 2e-3


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_fp16_that_overflows_skips_its_player_and_halves_its_scale_alone(optimizer):
    trainer = made("trainer.precision=fp16", f"optimizer={optimizer}")
    plant(trainer, "generator", {1}, float("inf"))
    both = ["discriminator", "generator"]
    assert [moved(trainer) for _ in range(3)] == [both, ["discriminator"], both]
    scale = {seat.name: seat.scaler.get_scale() for seat in trainer.seats}
    assert scale["generator"] == scale["discriminator"] / 2
    assert torch.isfinite(weights(trainer)).all()


def test_fp16_skips_now_and_then_without_a_word():
    trainer = made("trainer.precision=fp16")
    plant(trainer, "generator", {1}, float("inf"))
    reporter = reporter_of(5)
    reporter.tell(play(trainer, 5))
    assert reporter.watch.signals == {}


def test_fp16_that_looks_for_its_scale_has_not_diverged_whatever_the_window():
    trainer = made("trainer.precision=fp16")
    plant(trainer, "generator", range(4), float("inf"))
    reporter = reporter_of(1)
    for _ in range(6):
        reporter.tell(play(trainer, 1))
        assert reporter.watch.reason is None


def test_fp16_that_finds_no_scale_has_diverged():
    trainer = made("trainer.precision=fp16")
    plant(trainer, "generator", range(100), float("nan"))
    reporter = reporter_of(5)
    with pytest.raises(DivergedError, match="generator"):
        for _ in range(6):
            reporter.tell(play(trainer, 5))
    assert 20 < trainer.step <= 30, "2^16 is halved 23 times on the way to 2^-7"


def test_bf16_keeps_weights_in_float32_and_scores_too():
    trainer = made("trainer.precision=bf16", "loss=wgan_gp", rounds=2)
    assert not any(seat.scaler.is_enabled() for seat in trainer.seats)
    assert all(p.dtype == torch.float32 for p in trainer.parameters)
    assert all(value.dtype == torch.float32 for said in trainer.terms for value in said.values())


# --- Before the first round ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["model=dcgan"], ["model=gan", "model.reuse_fakes=true"], ["trainer.precision=fp16"]]
)
def test_a_rehearsal_leaves_no_trace(words):
    trainer, other = made(*words), made(*words)
    seconds = assembly.rehearse(trainer)
    assert seconds > 0
    assert fingerprint(trainer.state_dict()) == fingerprint(other.state_dict())
    assert trainer.terms == []
    assert trainer.game.training
    assert fingerprint(play(trainer, 3).state_dict()) == fingerprint(play(other, 3).state_dict())


def test_parts_that_do_not_fit_are_a_sentence():
    config = config_of("model=dcgan")
    config["model"]["discriminator"]["channels"] = 3
    with pytest.raises(ConfigError, match="do not fit together"):
        assembly.rehearse(trainer_of(config))


def test_the_seed_makes_the_run():
    one, same, other = (made(f"seed={seed}", rounds=2).state_dict() for seed in (0, 0, 1))
    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(other)


def test_networks_that_draw_for_themselves_repeat_their_draws():
    def with_dropout():
        trainer = made()
        trainer.game.discriminator.trunk.append(nn.Dropout(0.5))
        return trainer

    torch.manual_seed(5)
    one = play(with_dropout(), 3)
    torch.manual_seed(6)
    assert torch.equal(weights(one), weights(play(with_dropout(), 3)))


# --- Scales of float16 ------------------------------------------------------------------------------------------------

OVERFLOWS = [0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0]  # rounds in which a gradient is no number


def scales_of(take: Callable, optimizer: torch.optim.Optimizer, weight: nn.Parameter) -> list[tuple[float, float]]:
    """The scale and the weight after each round of OVERFLOWS, in which `take` takes a step with a scaler."""
    scaler, found = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3), []
    for step, overflows in enumerate(OVERFLOWS):
        optimizer.zero_grad(set_to_none=True)
        loss = (weight * (step + 1)).sum()
        scaler.scale(loss).backward()
        if overflows:
            weight.grad[0] = float("inf")
        take(scaler, loss.detach(), step)
        found.append((scaler.get_scale(), float(weight.detach().sum())))
    return found


@pytest.mark.parametrize("fused", [True, False])
def test_scales_of_a_seat_are_those_of_a_scaler(fused):
    """Halved at each overflow, doubled after three rounds without one, and no update taken meanwhile, bit for bit."""

    def plain():
        weight = nn.Parameter(torch.ones(4))
        optimizer = torch.optim.Adam([weight], lr=0.1, fused=fused)

        def take(scaler, loss, step):
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()

        return scales_of(take, optimizer, weight)

    def ours():
        weight = nn.Parameter(torch.ones(4))
        net = nn.Module()
        net.weight = weight
        player = Player("one", SimpleNamespace(players={"one": ("net",)}, net=net, one_loss=None))
        optimizer = torch.optim.Adam([weight], lr=0.1, fused=fused)
        seats = {}

        def take(scaler, loss, step):
            seat = seats.setdefault("seat", Seat("one", player, player, optimizer, scaler))
            seat.update(loss, step, lambda flag: flag)

        return scales_of(take, optimizer, weight), seats["seat"]

    (found, seat), expected = ours(), plain()
    assert found == expected and len({scale for scale, _ in found}) > 2
    assert seat.report() == (sum(OVERFLOWS), OVERFLOWS.index(1))
