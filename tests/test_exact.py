"""What a run leaves that was cut and resumed: the rows, pictures and events of one that never was, but for times."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import config_of
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from gan_lab.launch import launch
from gan_lab.storage import checkpoint
from gan_lab.storage.files import rows_of, summary_of
from gan_lab.training.evaluator import Evaluator
from gan_lab.training.observers import Saver
from gan_lab.training.trainer import Trainer

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
    events = EventAccumulator(str(run), tensor_size_guidance={"images": 0, "scalars": 0}).Reload()
    is_time = lambda name: name.startswith(TIMES)
    kind = lambda tag: events.SummaryMetadata(tag).plugin_data.plugin_name
    seen = lambda tag: [(event.step, event.tensor_proto.SerializeToString()) for event in events.Tensors(tag)]
    tags = [tag for tag in events.Tags()["tensors"] if not is_time(tag)]
    return {
        "rows": [{k: v for k, v in row.items() if not is_time(k)} for row in rows_of(run)],
        "pictures": {path.name: path.read_bytes() for path in (run / "samples").glob("*.png")},
        "scalars": {tag: seen(tag) for tag in tags if kind(tag) == "scalars"},
        "images": {tag: seen(tag) for tag in tags if kind(tag) == "images"},
        "told": {name: summary_of(run).get(name) for name in ("health", "best", "figures", "step", "stopped_early")},
    }


def compared(one: Path, other: Path) -> None:
    one, other = left(one), left(other)
    assert all(one.values()), "there is something to compare"
    for kind in one:
        assert one[kind] == other[kind], kind


def configured(words):
    return config_of(*ODD, *SMALL, "trainer.steps=40", *words)


def trained(words, folder, cut=None, by=None):
    """A run of 40 steps; `by` cuts it after the round of `cut`, and it is resumed."""
    config = configured(words)
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


def killed_now():
    raise Killed


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


@pytest.mark.parametrize("by", [killed, told])
def test_patience_that_ran_out_at_the_step_of_a_checkpoint_is_out(by, tmp_path):
    words = [*GAMES["points"], "optimizer.lr=0", "trainer.patience=1", "trainer.checkpoint_every=12"]
    uncut = trained(words, tmp_path / "uncut")
    assert summary_of(uncut)["stopped_early"] == 24 and summary_of(uncut)["step"] == 25
    with pytest.MonkeyPatch.context() as patch:
        evaluate = Evaluator.tell

        def tell(evaluator, trainer):
            evaluate(evaluator, trainer)
            if trainer.step == 24:
                killed_now() if by is killed else os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(Evaluator, "tell", tell)
        with suppress(Killed):
            launch.train(configured(words), tmp_path / "cut")
    if by is killed:
        launch.train(configured(words), tmp_path / "cut", resume=True)
    compared(uncut, tmp_path / "cut")


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


def test_data_that_has_changed_since_the_start_is_said(tmp_path, capsys):
    def draw(shade):
        for number in range(8):
            Image.new("L", (16, 16), shade + number).save(tmp_path / "data" / f"{number}.png")

    (tmp_path / "data").mkdir()
    draw(10)
    words = ["model=gan", "dataset=folder", f"dataset.path={tmp_path / 'data'}", "dataset.image_size=16",
             "dataset.channels=1", "dataset.cache=never", "trainer.batch_size=4",
             "trainer.evaluate_every=null"]  # fmt: skip
    launch.train(config_of(*words, "trainer.steps=1"), tmp_path / "run")
    launch.train(config_of(*words, "trainer.steps=2"), tmp_path / "run", resume=True)
    assert "The data has changed" not in capsys.readouterr().out
    draw(200)
    launch.train(config_of(*words, "trainer.steps=3"), tmp_path / "run", resume=True)
    assert "some of its samples are others than at the start" in capsys.readouterr().out


def test_a_sample_that_cannot_be_read_is_said_to_be_left_out(tmp_path, capsys):
    launch.train(configured(GAMES["points"]), tmp_path / "run")
    (tmp_path / "run" / "samples" / "step-00000011.png").write_bytes(b"\x89PNG cut")
    launch.train(configured([*GAMES["points"], "trainer.steps=41"]), tmp_path / "run", resume=True)
    assert "progress.gif leaves out 1 of " in capsys.readouterr().out
