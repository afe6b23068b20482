"""What goes wrong in a run is said once, written down and acted upon; a healthy run hears nothing."""

import json
import os
import socket
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from helpers import config_of, fingerprint, made, play, trainer_of, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import DivergedError
from gan_lab.launch import launch
from gan_lab.models import GAN
from gan_lab.storage import checkpoint
from gan_lab.training import assembly, session
from gan_lab.training.distributed import joined
from gan_lab.training.observers import Reporter, Saver
from gan_lab.training.watch import MOST_ROLLBACKS, QUIET_REPORTS, SYMPTOMS, Diversity, Symptom, Watch, spread


class Book:
    """Takes what a watch and a reporter write."""

    def __init__(self):
        self.summary, self.rows, self.texts = {}, [], []

    def scalars(self, values, step):
        self.rows.append((step, values))

    def text(self, name, text, step):
        self.texts.append((name, step))

    def summarise(self, **facts):
        self.summary |= facts


def watch_of(trainer, **settings):
    """A watch that looks at everything, and the lines that it says."""
    said = []
    diversity = Diversity(assembly.fixed_batch(trainer.loader.dataset, 32, "cpu"))
    return Watch("unused", diversity=diversity, book=Book(), say=said.append, **settings), said


def watched(trainer, rounds, every=5, **settings):
    """A trainer's run of some rounds under a watch; the watch and what it said."""
    watch, said = watch_of(trainer, **settings)
    trainer.total = trainer.step + rounds
    watch.attend(trainer, [Reporter(every, watch.book, watch)])
    return watch, said


def names(watch):
    return [entry["name"] for entry in watch.entries]


def planted(trainer, player, steps, value=float("nan")):
    """A player whose loss is `value` at these steps."""
    seat = next(seat for seat in trainer.seats if seat.name == player)
    loss = seat.player.loss

    def bad(batch, step):
        terms = loss(batch, step)
        if step in steps:
            terms.losses["adversarial"] = terms.losses["adversarial"] * value
        return terms

    seat.player.loss = bad


# --- Symptoms --------------------------------------------------------------------------------------------------------


@cache
def trainer_once():
    """A trainer that nobody trains."""
    return made()


def fed(symptom, *readings, total=1000):
    """The steps from and to which a watch says a symptom, given these readings, one a step."""
    watch = Watch("unused", symptoms=(symptom,), book=Book(), say=lambda line: None)
    trainer = trainer_once()
    trainer.total = total
    for trainer.step, watch.signals in enumerate(readings):
        watch.judge(trainer)
    return [(entry["step"], entry["gone"]) for entry in watch.entries]


HOT = Symptom("hot", ("heat",), lambda now: now["heat"] > 1, 3, "it is {heat:.1f} hot.")
WARM, COLD = {"heat": 2.0}, {"heat": 0.0}


def test_a_symptom_must_hold_for_some_reports_and_is_said_once():
    assert fed(HOT, WARM, WARM, COLD, WARM, WARM) == []
    assert fed(HOT, *[WARM] * 9) == [(2, None)]


def test_it_is_said_again_only_after_it_was_gone():
    assert fed(HOT, *[WARM] * 3, COLD, *[WARM] * 5) == [(2, None)]
    gone = 2 + QUIET_REPORTS
    assert fed(HOT, *[WARM] * 3, *[COLD] * QUIET_REPORTS, *[WARM] * 3) == [(2, gone), (gone + 3, None)]


def test_a_report_that_does_not_measure_it_counts_for_nothing():
    assert fed(HOT, WARM, {}, WARM, {}, WARM) == [(4, None)]


def test_what_takes_time_to_learn_is_not_said_in_the_first_tenth_nor_in_the_first_hundred_steps():
    slow = Symptom("hot", ("heat",), lambda now: True, 1, "it is.", late=True)
    assert fed(slow, *[WARM] * 150) == [(101, None)], "of a run of a hundred steps or a thousand"
    assert fed(slow, *[WARM] * 250, total=2000) == [(201, None)]


def test_every_symptom_tells_what_to_try():
    for symptom in SYMPTOMS:
        said = symptom.says.format(**dict.fromkeys(symptom.reads, 0.5))
        assert any(word in said for word in ("trainer.", "optimizer.", "loss=", "loss/", "model.")), said


def test_the_spread_of_samples_is_their_mean_distance():
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert spread(corners).item() == pytest.approx(4.0)
    assert spread(torch.ones(5, 1, 2, 2)).item() == 0


# --- Planted failures ------------------------------------------------------------------------------------------------


class OneLatent(GAN):
    """A game whose generator is only ever fed one latent."""

    def latent(self, n):
        return self.draw(range(n))["latent"]

    def draw(self, seeds):
        return super().draw([0]).at([0] * len(seeds))


@pytest.mark.parametrize("dataset", ["digits", "ring8"])
def test_a_generator_that_is_fed_one_latent_has_collapsed(dataset):
    config = config_of(f"dataset={dataset}", "model.generator.norm=none")
    config["model"]["_target_"], config["trust"] = "test_watch.OneLatent", ["test_watch"]
    watch, said = watched(trainer_of(config), 130)
    assert "mode collapse" in names(watch)
    assert sum("mode collapse" in line for line in said) == 1
    assert watch.signals["diversity"] < 1e-3


def test_a_critic_that_is_far_too_strong_is_noticed():
    words = ["loss=minimax", "loss.critic_turns=5", "optimizer_overrides={discriminator: {lr: 0.02}}"]
    watch, _ = watched(made(*words), 100)
    assert "discriminator saturation" in names(watch)


def test_a_learning_rate_that_is_far_too_high_is_noticed():
    watch, _ = watched(made("model=dcgan", "optimizer.lr=0.01"), 105)
    assert "steps too large" in names(watch)


def test_updates_that_are_skipped_now_and_then_are_said_once():
    trainer = made()
    planted(trainer, "discriminator", {2, 3, 8, 12})
    watch, said = watched(trainer, 20)
    assert names(watch) == ["skipped updates"]
    assert said == [f"health: step 5, skipped updates: {watch.entries[0]['said']}"]
    assert watch.entries[0]["said"].startswith("20% of the last updates were skipped")


def test_samples_that_get_worse_than_the_best_are_noticed_once_a_judgement():
    trainer = made()
    watch, said = watch_of(trainer, symptoms=[s for s in SYMPTOMS if s.name == "worse than its best"])
    watch.book.summary["best"] = {"metric": "fid/pixels", "value": 2.0, "step": 10}
    trainer.step = 500
    for step, value in ((20, 3.2), (20, 3.2), (20, 3.2), (30, 2.5), (40, 3.2), (50, 4.0)):
        watch.book.summary["figures"] = {"fid/pixels": {"value": value, "step": step}}
        watch.signals = watch.record(trainer)
        watch.judge(trainer)
    assert len(said) == 1 and "2 times worse than the best" in said[0]


@pytest.mark.parametrize(
    ("metric", "best", "now", "worse"),
    [
        ("exact/quality", 0.8, 0.4, 2.0),
        ("exact/quality", 0.8, 0.0, float("inf")),
        ("fid/pixels", 2.0, 3.0, 1.5),
        ("kid/pixels", 0.001, 0.003, None),
    ],
)
def test_how_many_times_worse_a_figure_is_depends_on_its_kind(metric, best, now, worse):
    watch, _ = watch_of(trainer_once())
    watch.book.summary |= {"best": {"metric": metric, "value": best}, "figures": {metric: {"value": now, "step": 1}}}
    assert watch.record(trainer_once()).get("worse") == pytest.approx(worse)


def test_data_that_keeps_training_waiting_is_noticed():
    trainer = made("trainer.placement=streamed")
    watch, said = watch_of(trainer, symptoms=[s for s in SYMPTOMS if s.name == "slow data"])
    for _ in range(5):
        trainer.seconds += 10.0
        trainer.loader.waited += 4.0
        watch.signals = watch.pace(trainer)
        watch.judge(trainer)
    assert len(said) == 1 and "waits for data for 40% of the time" in said[0] and "trainer.workers" in said[0]


def test_the_time_in_which_training_waits_is_counted():
    trainer = made("trainer.placement=streamed")
    rows = trainer.loader.dataset.rows

    def slow(indices):
        time.sleep(0.05)
        return rows(indices)

    trainer.loader.dataset.rows = slow
    trainer.loader.batch(0)
    assert trainer.loader.waited >= 0.05


def test_data_that_lies_on_the_device_is_never_slow():
    watch, _ = watched(made(), 10)
    assert "waiting" not in watch.signals


@pytest.mark.parametrize("words", [["loss=relativistic"], ["loss=wgan_gp"], ["dataset=ring8"], ["model=dcgan"]])
def test_a_healthy_run_hears_nothing(words):
    watch, said = watched(made(*words, "model.discriminator.norm=none"), 120)
    assert said == [] and watch.entries == []
    assert watch.signals.keys() >= {"skipped", "separation", "growth", "gradient_left", "diversity"}


# --- Divergence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["weight", "average", "buffer"])
def test_what_is_not_finite_is_divergence_wherever_it_lies(part):
    trainer = made("model=dcgan")
    place = {
        "weight": trainer.parameters[-1].data,
        "average": next(trainer.ema.networks["generator"].parameters()).data,
        "buffer": next(b for b in trainer.game.generator.buffers() if b.is_floating_point()),
    }[part]
    assert trainer.is_whole()
    place.view(-1)[0] = float("inf")
    assert not trainer.is_whole()
    with pytest.raises(DivergedError, match="weights, their averages or buffers are not finite. Lower optimizer.lr"):
        Reporter(1, None, Watch("unused", symptoms=())).tell(trainer)


def test_a_checkpoint_of_broken_weights_is_never_saved(tmp_path):
    trainer = made(rounds=1)
    saver = Saver(1, tmp_path, 2, trainer.world, type("Flushed", (), {"flush": lambda self: None})())
    saver.tell(trainer)
    trainer.parameters[0].data.view(-1)[0] = float("nan")
    play(trainer, 1)
    saver.tell(trainer)
    assert [path.stem for path in checkpoint.committed(tmp_path)] == ["step-00000001"]


def test_a_scale_that_collapses_is_divergence():
    trainer = made("trainer.precision=fp16")
    play(trainer, 5)
    trainer.seats[1].scaler.update(2.0**-8)
    with pytest.raises(DivergedError, match="the scale of the generator's losses fell below"):
        Reporter(5, None, Watch("unused", symptoms=())).tell(trainer)


class Poisoned(GAN):
    """A game that turns a weight into not-a-number whenever step 7 comes."""

    def discriminator_loss(self, batch, step):
        if step == 7:
            next(self.generator.parameters()).data.view(-1)[0] = float("nan")
        return super().discriminator_loss(batch, step)


def poisoned(*words):
    config = config_of("trainer.steps=20", "trainer.log_every=2", "trainer.checkpoint_every=5", *words)
    config["trainer"] |= {"evaluate_every": None, "sample_every": 100}
    config["model"]["_target_"], config["trust"] = "test_watch.Poisoned", ["test_watch"]
    return config


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def test_a_run_that_diverges_stops_with_its_last_good_checkpoint(tmp_path):
    with pytest.raises(DivergedError) as caught:
        launch.train(poisoned(), tmp_path)
    assert caught.value.exit_code == 5
    summary = summary_of(tmp_path)
    assert summary["status"] == "diverged"
    assert [(entry["name"], entry["step"]) for entry in summary["health"]] == [("divergence", 8)]
    assert [path.stem for path in checkpoint.committed(tmp_path / "checkpoints")] == ["step-00000005"]


def test_a_run_that_is_told_to_continue_does_and_saves_nothing_broken(tmp_path):
    summary = launch.train(poisoned("trainer.on_divergence=continue"), tmp_path)
    assert (summary["status"], summary["step"]) == ("finished", 20)
    assert [entry["name"] for entry in summary["health"]].count("divergence") == 1
    assert [path.stem for path in checkpoint.committed(tmp_path / "checkpoints")] == ["step-00000005"]


def test_three_rollbacks_and_then_exit_code_5(tmp_path, capfd):
    with pytest.raises(DivergedError, match="Gave up after 3 rollbacks") as caught:
        launch.train(poisoned("trainer.on_divergence=rollback"), tmp_path)
    assert caught.value.exit_code == 5
    summary = summary_of(tmp_path)
    assert summary["rollbacks"] == MOST_ROLLBACKS
    assert [entry["name"] for entry in summary["health"]].count("rollback") == 3
    assert capfd.readouterr().out.count("ROLLBACK: rolled back from step 8 to the checkpoint of step 5") == 3
    assert checkpoint.load_newest(tmp_path / "checkpoints")["rollbacks"] == 3


class Unlucky(GAN):
    """A game that breaks at step 7 unless the draws are others than at first."""

    def discriminator_loss(self, batch, step):
        if step == 7 and self.noise.seed == 0:
            next(self.generator.parameters()).data.view(-1)[0] = float("nan")
        return super().discriminator_loss(batch, step)


def unlucky(*words):
    config = poisoned("trainer.on_divergence=rollback", *words)
    config["model"]["_target_"] = "test_watch.Unlucky"
    return config


def test_one_rollback_saves_a_run_that_was_unlucky(tmp_path):
    summary = launch.train(unlucky("trainer.checkpoint_every=10"), tmp_path)
    assert (summary["status"], summary["step"], summary["rollbacks"]) == ("finished", 20, 1)
    assert summary["metrics"]["learning_rate/generator"] == pytest.approx(1e-4), "half of 2e-4"
    divergence, rollback = summary["health"]
    assert (divergence["name"], divergence["gone"]) == ("divergence", 8)
    assert (rollback["name"], rollback["gone"]) == ("rollback", 0), "before the first checkpoint: the beginning"


def test_the_rows_of_a_run_that_went_back_are_in_order(tmp_path):
    launch.train(unlucky(), tmp_path)
    steps = [line.partition(",")[0] for line in (tmp_path / "metrics.csv").read_text().splitlines()[1:]]
    assert [int(step) for step in steps] == sorted({int(step) for step in steps})
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("health/diversity")
    assert [event.step for event in events] == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]


def test_a_run_that_went_back_is_cut_and_resumed_in_the_same_bits(tmp_path):
    launch.train(unlucky(), tmp_path / "uncut")
    launch.train(unlucky("trainer.steps=11"), tmp_path / "cut")
    launch.train(unlucky(), tmp_path / "cut", resume=True)
    uncut, cut = (checkpoint.load_newest(tmp_path / name / "checkpoints") for name in ("uncut", "cut"))
    assert fingerprint(uncut) == fingerprint(cut)
    assert uncut["rollbacks"] == 1


def test_after_a_rollback_rates_are_halved_and_draws_and_data_are_others():
    trainer, again = made(), made()
    again.retry(1)
    assert not torch.equal(trainer.loader.batch(0)[0]["label"], again.loader.batch(0)[0]["label"])
    assert not torch.equal(trainer.game.noise("z", (4,)), again.game.noise("z", (4,)))
    play(trainer, 1), play(again, 1)
    rates = [t.seats[0].optimizer.param_groups[0]["lr"] for t in (trainer, again)]
    assert rates[1] == rates[0] / 2
    again.retry(0)
    assert torch.equal(trainer.loader.batch(0)[0]["label"], again.loader.batch(0)[0]["label"])


def test_streamed_data_forgets_what_it_had_asked_for():
    trainer, resident = made("trainer.placement=streamed"), made()
    trainer.loader.batch(0)
    for each in (trainer, resident):
        each.retry(2)
    assert torch.equal(trainer.loader.batch(1)[0]["label"], resident.loader.batch(1)[0]["label"])


# --- What is written -------------------------------------------------------------------------------------------------


def test_signals_and_alarms_are_in_tensorboard_and_in_the_summary(tmp_path):
    config = config_of("trainer.steps=120", "trainer.log_every=4", "trainer.evaluate_every=null")
    config["model"]["_target_"], config["trust"] = "test_watch.OneLatent", ["test_watch"]
    config["model"]["generator"]["norm"] = "none"
    launch.train(config, tmp_path)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert {"health/diversity", "health/separation", "health/loss_left"} <= set(events.Tags()["scalars"])
    assert "health/mode collapse/text_summary" in events.Tags()["tensors"]
    entry = next(entry for entry in summary_of(tmp_path)["health"] if entry["name"] == "mode collapse")
    assert entry.keys() == {"name", "step", "said", "gone"}

    # A resumed run does not say it again
    config["trainer"]["steps"] = 160
    summary = launch.train(config, tmp_path, resume=True)
    assert [entry["name"] for entry in summary["health"]].count("mode collapse") == 1


def test_a_run_without_a_watch_looks_for_divergence_alone(tmp_path):
    with pytest.raises(DivergedError):
        launch.train(poisoned("trainer.watch=false"), tmp_path)
    assert "health/diversity" not in summary_of(tmp_path)["metrics"]


def test_the_watch_leaves_no_trace_in_training():
    trainer, alone = made("model=dcgan"), made("model=dcgan")
    watched(trainer, 4, every=1)
    assert torch.equal(weights(trainer), weights(play(alone, 4)))
    assert fingerprint(trainer.state_dict()) == fingerprint(alone.state_dict())


# --- Two ranks -------------------------------------------------------------------------------------------------------


def work(rank, port, folder):
    """A weight becomes not-a-number on the second rank alone; both go back together, and give up together."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined(rank, 2, torch.device("cpu"), minutes=1.0) as world:
        trainer = trainer_of(config_of("trainer.steps=12"), world)
        saver = Saver(4, Path(folder) / "checkpoints", 2, world, Quiet())
        watch = Watch(saver.folder, "rollback", symptoms=(), book=Quiet() if world.first else None, say=str)
        loss, first = trainer.seats[0].player.loss, trainer.draws

        def bad(batch, step):
            if step == 5 and rank == 1 and trainer.draws == first:
                next(trainer.game.generator.parameters()).data.view(-1)[0] = float("nan")
            return loss(batch, step)

        trainer.seats[0].player.loss = bad
        watch.attend(trainer, [Reporter(2, watch.book, watch), saver])
        answer = {"step": trainer.step, "rollbacks": trainer.rollbacks, "weights": weights(trainer)}
    torch.save(answer, f"{folder}/rank-{rank}.pt")


class Quiet(Book):
    """A book that may also be flushed and rewound."""

    def flush(self):
        pass

    def rewind(self, step):
        self.rewound = step

    def memory(self):
        return {}


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes on one core")
def test_a_weight_that_breaks_on_one_rank_takes_both_back(tmp_path):
    for attempt in (1, 2):  # leaving a process group aborts about once in twenty runs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        try:
            torch.multiprocessing.spawn(work, (port, str(tmp_path)), nprocs=2)
            break
        except torch.multiprocessing.ProcessExitedException:
            if attempt == 2:
                raise
    one, two = (torch.load(tmp_path / f"rank-{rank}.pt") for rank in (0, 1))
    assert (one["step"], one["rollbacks"]) == (two["step"], two["rollbacks"]) == (12, 1)
    assert torch.equal(one["weights"], two["weights"])
    assert torch.isfinite(one["weights"]).all()


@pytest.mark.parametrize(("batch_size", "log_every", "count"), [(64, 50, 64), (8, 50, 40), (1, 50, 8), (2, 100, 20)])
def test_the_watch_looks_at_fewer_samples_where_batches_are_small(batch_size, log_every, count):
    assert session.watched(TrainerSettings(batch_size=batch_size, log_every=log_every)) == count
