"""What a run leaves that was cut and resumed: the rows, pictures and events of one that never was, but for times."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import config_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_lab import checkpoint, launch
from gan_lab.logbook import Saver
from gan_lab.stored import rows_of, summary_of
from gan_lab.trainer import Trainer

TIMES = ("speed/", "memory/", "health/waiting")
ODD = ["trainer.log_every=7", "trainer.sample_every=11", "trainer.checkpoint_every=13", "trainer.evaluate_every=12"]
SMALL = ["trainer.batch_size=16", "trainer.threads=1", "trainer.evaluate_samples=64", "trainer.samples=4"]
NARROW = ["model.generator.width=8", "model.discriminator.width=8"]
GAMES = {
    "gan": ["model=gan", "dataset=digits"],
    "points": ["model=gan", "dataset=ring8"],
    "conditions": ["model=cgan", "dataset=digits", *NARROW],
    "codes": ["model=infogan", "dataset=digits", *NARROW],
    "sources": ["model=pix2pix", "dataset=degraded", "dataset.of=digits", *NARROW],
    "a lazy penalty": ["model=gan", "dataset=digits", "loss=logistic_r1"],
}


def left(run: Path) -> dict:
    """All that a person or a program reads of a run, without times."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0}).Reload()
    is_time = lambda name: name.startswith(TIMES)
    tags = events.Tags()
    return {
        "rows": [{k: v for k, v in row.items() if not is_time(k)} for row in rows_of(run)],
        "pictures": {path.name: path.read_bytes() for path in (run / "samples").glob("*.png")},
        "scalars": {t: [(e.step, repr(e.value)) for e in events.Scalars(t)] for t in tags["scalars"] if not is_time(t)},
        "images": {t: [(e.step, e.encoded_image_string) for e in events.Images(t)] for t in tags["images"]},
        "told": {name: summary_of(run).get(name) for name in ("health", "best", "figures", "step", "stopped_early")},
    }


def compared(one: Path, other: Path) -> None:
    one, other = left(one), left(other)
    for kind in one:
        assert one[kind] == other[kind], kind


def trained(words, folder, cut=None, by=None):
    """A run of 40 steps; `by` cuts it after the round of `cut`, and it is resumed."""
    config = config_of(*words, *ODD, *SMALL, "trainer.steps=40")
    if cut is None:
        launch.train(config, folder)
        return folder
    with pytest.MonkeyPatch.context() as patch:
        by(patch, cut)
        with suppress(Killed):
            launch.train(config, folder)
    assert max(map(int, [path.stem[5:] for path in checkpoint.committed(folder / "checkpoints")])) < 40
    launch.train(config, folder, resume=True)
    return folder


class Killed(BaseException):
    """The end of a process in a test, which no handler sees."""


def told(patch, cut):
    """SIGTERM in the midst of a round."""
    play = Trainer.round

    def round(trainer):
        play(trainer)
        if trainer.step == cut:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(Trainer, "round", round)


def killed(patch, cut):
    """The end at once, before anybody is told of the round."""
    play = Trainer.round

    def round(trainer):
        play(trainer)
        if trainer.step == cut:
            raise Killed

    patch.setattr(Trainer, "round", round)


def killed_while_saving(patch, cut):
    """The end right after the checkpoint of the step, before pictures and figures of it."""
    save = Saver.tell

    def tell(saver, trainer):
        save(saver, trainer)
        if trainer.step >= cut:
            raise Killed

    patch.setattr(Saver, "tell", tell)


@pytest.mark.parametrize("game", GAMES)
def test_a_run_that_is_stopped_and_resumed_leaves_what_an_uncut_one_leaves(game, tmp_path):
    uncut = trained(GAMES[game], tmp_path / "uncut")
    compared(uncut, trained(GAMES[game], tmp_path / "told", 17, told))


@pytest.mark.parametrize("by", [killed, killed_while_saving])
@pytest.mark.parametrize("cut", [14, 26, 37])
def test_a_run_that_is_killed_leaves_what_an_uncut_one_leaves(by, cut, tmp_path):
    uncut = trained(GAMES["conditions"], tmp_path / "uncut")
    compared(uncut, trained(GAMES["conditions"], tmp_path / "killed", cut, by))


def test_a_run_without_patience_stops_where_an_uncut_one_stops(tmp_path):
    words = [*GAMES["conditions"], "optimizer.lr=0.000001", "trainer.patience=1"]
    uncut = trained(words, tmp_path / "uncut")
    assert summary_of(uncut)["stopped_early"] < 40  # while the conditions of seeds still come in
    compared(uncut, trained(words, tmp_path / "killed", 23, killed))


def test_after_a_rollback_no_step_stands_twice(tmp_path, monkeypatch):
    play = Trainer.round

    def poisoned(trainer):
        play(trainer)
        if trainer.step == 5 and not trainer.rollbacks:
            trainer.parameters[0].data.fill_(float("nan"))

    monkeypatch.setattr(Trainer, "round", poisoned)
    words = [*GAMES["gan"], "trainer.on_divergence=rollback"]
    uncut = trained(words, tmp_path / "uncut")
    steps = [int(row["step"]) for row in rows_of(uncut)]
    assert summary_of(uncut)["rollbacks"] == 1 and steps == sorted({*steps})
    for tag, values in left(uncut)["scalars"].items():
        assert len({step for step, _ in values}) == len(values), tag
    compared(uncut, trained(words, tmp_path / "killed", 9, killed))
