"""Nobody's work is lost: by clean, by a second run, by a failing observer, a broken pipe or a launcher that is gone."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from helpers import made

from gan_lab.cli import main
from gan_lab.config.compose import Job
from gan_lab.errors import ConfigError, DivergedError, ResourceError
from gan_lab.launch import launch, pool, sweep
from gan_lab.metrics import store
from gan_lab.storage import checkpoint
from gan_lab.storage import files as stored
from gan_lab.storage.files import MARK, rows_of
from gan_lab.storage.lock import locked
from gan_lab.streams import Steady
from gan_lab.training import logbook, machine, observers
from gan_lab.training.distributed import World
from gan_lab.training.observers import Saver, Spared

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
TINY = ["model=gan", "dataset=digits", "model.generator.width=8", "model.discriminator.width=8",
        "trainer.batch_size=8", "trainer.device=cpu", "trainer.precision=fp32", "trainer.threads=1",
        "trainer.samples=4", "trainer.steps=4", "trainer.log_every=2", "trainer.sample_every=2",
        "trainer.checkpoint_every=2", "trainer.evaluate_every=2", "trainer.evaluate_samples=64"]  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_LAB_CONFIG_DIR", raising=False)
    monkeypatch.setattr(sys, "argv", ["gan-lab"])


@pytest.fixture
def run(tmp_path):
    place = tmp_path / "outputs" / "a" / "run"
    assert main(["train", *TINY, f"hydra.run.dir={place}"]) == 0
    return place


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- clean ----------------------------------------------------------------------------------------------------------


def test_clean_leaves_what_gan_lab_did_not_write_and_names_it(run, capsys):
    (run / "thesis.tex").write_text("years")
    (run / "project" / ".git").mkdir(parents=True)
    (run / "project" / ".git" / "HEAD").write_text("ref")
    (run / "checkpoints" / "step-backup.pt").write_text("mine")
    (run / "samples" / "link.png").symlink_to(run / "thesis.tex")
    assert main(["clean", str(run), "yes=true"]) == 0
    assert set(files(run)) == {"thesis.tex", "project/.git/HEAD", "checkpoints/step-backup.pt", "samples/link.png"}
    assert "thesis.tex" in capsys.readouterr().out


def test_a_whole_run_goes_with_all_that_commands_wrote_into_it(run):
    assert main(["sample", str(run), "n=2"]) == 0
    assert main(["analyze", str(run), "what=interpolation"]) == 0
    assert main(["clean", str(run), "yes=true"]) == 0
    assert not run.exists()


def test_a_folder_with_any_summary_is_no_run(tmp_path, run, capsys):
    paper = tmp_path / "outputs" / "paper"
    (paper / ".hydra").mkdir(parents=True)
    for name in ("summary.json", "config.yaml", "thesis.tex"):
        (paper / name).write_text("{}")
    before = files(paper)
    assert main(["clean", "older=0m", "yes=true"]) == 0
    assert files(paper) == before and not run.exists()
    assert main(["clean", str(paper), "yes=true"]) == 2
    assert "has no mark of gan-lab" in capsys.readouterr().err and files(paper) == before


def test_a_run_in_a_project_is_never_removed(tmp_path, capsys):
    project = tmp_path / "outputs" / "project"
    project.mkdir(parents=True)
    (project / "train.py").write_text("mine")
    assert main(["train", *TINY, f"hydra.run.dir={project}"]) == 0
    assert not (project / MARK).exists()
    assert main(["clean", str(project), "yes=true"]) == 2
    assert main(["clean", "older=0m", "yes=true"]) == 0
    assert (project / "train.py").exists() and (project / "config.yaml").exists()


def test_a_run_from_before_marks_is_known_by_all_that_runs_wrote(run, capsys):
    (run / MARK).unlink()
    (run / "notes.txt").write_text("mine")
    assert main(["clean", str(run), "yes=true"]) == 2
    (run / "notes.txt").unlink()
    assert main(["clean", str(run), "yes=true"]) == 0 and not run.exists()


@pytest.mark.parametrize("word", ["status=[finished", "status=finished]", "status=", "root=", "older=", "older=-1d"])
def test_wrong_words_remove_nothing(run, capsys, word):
    assert main(["clean", word, "yes=true"]) == 2
    assert (run / "summary.json").exists()


@needs_signals
def test_a_finished_job_of_a_sequential_sweep_that_runs_is_running(monkeypatch, capsys):
    seen = []

    def second(config, run_dir, overrides, resume=False, real=launch.train):
        if config["seed"] == 1:
            code = main(["clean", "status=finished", "yes=true"])
            seen.append((code, (run_dir.parent / "0_seed-0" / "summary.json").exists()))
        return real(config, run_dir, overrides, resume=resume)

    monkeypatch.setattr(launch, "train", second)
    assert main(["train", "-m", *TINY, "seed=0,1"]) == 0
    assert seen == [(0, True)]
    (sweep,) = Path("outputs/sweeps").iterdir()
    with locked(sweep):
        pass


# ---- a second run in one directory ----------------------------------------------------------------------------------


def test_a_second_run_in_one_directory_is_refused(run, capsys):
    before = files(run)
    assert main(["train", *TINY, "seed=1", f"hydra.run.dir={run}"]) == 2
    assert "gan-lab resume" in capsys.readouterr().err and files(run) == before
    config = yaml.safe_load((run / "config.yaml").read_text())
    with pytest.raises(ConfigError, match="no new run begins there"):
        launch.train(config, run)
    assert files(run) == before


@pytest.mark.parametrize("jobs", [[], ["jobs=1"]])
def test_a_second_sweep_in_one_directory_is_refused(tmp_path, capsys, jobs):
    place = tmp_path / "sweep"
    words = ["train", "-m", *TINY, f"hydra.sweep.dir={place}"]
    assert main([*words, "seed=0,1"]) == 0
    before = files(place)
    assert main([*words, "seed=0,2", *jobs]) == 2
    assert "holds a sweep already" in capsys.readouterr().err and files(place) == before


# ---- streams and signals --------------------------------------------------------------------------------------------


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_stream_without_a_reader_falls_silent():
    stream = Steady(Broken())
    print("said to nobody", file=stream, flush=True)
    assert not stream.is_open and stream.write("again") == 5


@needs_signals
def test_streams_that_the_caller_closed_take_nothing_and_end_nothing(tmp_path):
    """Closed as by `>&- 2>&-`: Python has then no such streams, and the next file opened would get their numbers."""
    script = (
        "import os, sys\n"
        "for number in range(3): os.close(number)\n"
        "sys.stdin = sys.stdout = sys.stderr = None\n"
        "from gan_lab.cli import main\n"
        "code = main(['compare', '.'])\n"
        "os._exit(code if os.open('file', os.O_CREAT | os.O_RDWR) > 2 else 99)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path).returncode == 4


def test_a_full_disk_is_no_reader_that_is_gone():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        Steady(Full()).write("x")


def start(*words, **options):
    return subprocess.Popen([sys.executable, "-m", "gan_lab", *words], **options)


def wait_for(happened, seconds=90):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


def summary(run):
    try:
        return json.loads((run / "summary.json").read_text())
    except (OSError, ValueError):
        return {}


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("sweep", [False, True])
def test_a_training_goes_on_when_its_reader_leaves(tmp_path, sweep):
    words = ["-m", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'r'}"] if sweep else [f"hydra.run.dir={tmp_path / 'r'}"]
    process = start("train", *TINY, "trainer.steps=200", *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(90) == 0
    runs = [tmp_path / "r" / str(i) for i in (0, 1)] if sweep else [tmp_path / "r"]
    assert [summary(run).get("status") for run in runs] == ["finished"] * len(runs)


@pytest.mark.slow
@needs_signals
def test_a_terminal_that_closes_saves(tmp_path):
    run = tmp_path / "run"
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where these tests run under nohup
    try:
        process = start("train", *TINY, "trainer.steps=1000000", f"hydra.run.dir={run}", stdout=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for(lambda: checkpoint.committed(run / "checkpoints"))
    process.send_signal(signal.SIGHUP)
    assert process.wait(120) == 128 + signal.SIGHUP
    assert (summary(run)["status"], summary(run)["signal"]) == ("stopped", signal.SIGHUP)
    assert checkpoint.load_newest(run / "checkpoints")["step"] == summary(run)["step"]


@needs_signals
def test_nohup_is_left_in_force():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with machine.signals(lambda number: None):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with machine.signals(lambda number: None):
            assert callable(signal.getsignal(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@needs_signals
def test_ranks_hold_the_lock_and_end_with_their_launcher(tmp_path):
    run = tmp_path / "run"
    words = [*TINY, "trainer.steps=1000000", "trainer.devices=2", f"hydra.run.dir={run}"]
    process = start("train", *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: checkpoint.committed(run / "checkpoints"))
    process.kill()
    process.wait()
    with pytest.raises(ConfigError, match="is in use"), locked(run):
        pass  # the ranks still write

    def is_free():
        try:
            with locked(run):
                return True
        except ConfigError:
            return False

    wait_for(is_free)
    assert summary(run)["status"] == "stopped"
    assert checkpoint.load_newest(run / "checkpoints")["step"] == summary(run)["step"]


# ---- what is half written --------------------------------------------------------------------------------------------


def test_what_a_kill_left_half_written_is_removed_at_the_next_start_and_nothing_else(run):
    half = [".summary.json.tmp77", ".metrics.csv.tmp77", ".progress.gif.tmp77", "samples/.step-00000002.png.tmp77",
            "checkpoints/step-00000009.tmp77", "checkpoints/.step-00000009.json.tmp77"]  # fmt: skip
    mine = [".notes.tmp", "thesis.tex.tmp1", "checkpoints/x.tmp1", "samples/.x.png.tmp"]
    for name in half + mine:
        (run / name).write_text("x")
    assert main(["resume", str(run), "trainer.steps=6"]) == 0
    assert not set(half) & set(files(run)) and set(mine) <= set(files(run))


def test_a_text_that_cannot_be_written_leaves_no_half_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "summary.json").write_text("before")
    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        stored.write_text(tmp_path / "summary.json", "after")
    assert files(tmp_path) == {"summary.json": b"before"}


# ---- what fails in the midst ----------------------------------------------------------------------------------------


def test_an_unwritable_cache_is_said_once_and_ends_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    store.tell_once.cache_clear()
    assert [store.kept(name, lambda: {"a": 1})["a"] for name in ("x", "y")] == [1, 1]
    assert capsys.readouterr().err.count("Nothing is kept for the next time: cannot write to") == 1
    assert main(["train", *TINY, "hydra.run.dir=run"]) == 0
    assert summary(Path("run"))["figures"]


class Failing:
    every = 1

    def __init__(self, error):
        self.error, self.times = error, 0

    def tell(self, trainer):
        self.times += 1
        raise self.error


def test_an_observer_that_fails_is_said_once():
    said, observer = [], Failing(torch.OutOfMemoryError("too much"))
    spared = Spared(observer, "Judging", said.append)
    spared.tell(None), spared.tell(None)
    assert observer.times == 2 and len(said) == 1 and "Judging failed" in said[0] and "too much" in said[0]
    with pytest.raises(DivergedError):
        Spared(Failing(DivergedError("nan")), "Judging", said.append).tell(None)


def test_a_training_outlives_its_painter_its_judge_and_its_pictures(run, monkeypatch, capsys):
    monkeypatch.setattr(observers.Painter, "tell", Failing(ValueError("no paint")).tell)
    monkeypatch.setattr("gan_lab.training.evaluator.Evaluator.figures", Failing(ZeroDivisionError("one picture")).tell)
    monkeypatch.setattr(logbook.Logbook, "animate", lambda self: 1 / 0)
    assert main(["train", *TINY, "hydra.run.dir=run"]) == 0
    out = capsys.readouterr().out
    assert out.count("no paint") == out.count("one picture") == 1
    assert summary(Path("run"))["status"] == "finished" and checkpoint.committed(Path("run/checkpoints"))


def test_a_damaged_old_sample_costs_the_gif_alone(run, capsys):
    (run / "samples" / "step-00000002.png").write_bytes(b"cut")
    assert main(["resume", str(run), "trainer.steps=6"]) == 0
    assert summary(run)["status"] == "finished"


def test_the_saver_comes_before_what_may_fail(run, monkeypatch):
    def end(self, trainer):
        raise KeyboardInterrupt  # a kill in the midst of a judgement

    with monkeypatch.context() as patch:
        patch.setattr("gan_lab.training.evaluator.Evaluator.tell", end)
        assert main(["train", *TINY, "hydra.run.dir=cut"]) == 130
    assert checkpoint.load_newest(Path("cut/checkpoints"))["step"] == 2
    assert main(["resume", "cut"]) == 0
    judged = [line.split(",")[0] for line in Path("cut/metrics.csv").read_text().splitlines()[1:]]
    assert judged == ["2", "4"]
    column = rows_of(Path("cut"))
    whole = rows_of(run)
    assert [row["protocol"] for row in column] == [row["protocol"] for row in whole] and column[0]["protocol"]


@pytest.mark.parametrize("times", [1, 99])
def test_a_save_that_fails_is_said_tried_again_and_ends_the_run_if_it_lasts(tmp_path, monkeypatch, times):
    monkeypatch.setattr(observers, "PAUSES", (0.0, 0.0))
    left, said, real = [times], [], checkpoint.save

    def save(*args, **kwargs):
        left[0] -= 1
        if left[0] >= 0:
            raise ResourceError("The checkpoint cannot be written: Read-only file system.")
        return real(*args, **kwargs)

    monkeypatch.setattr(checkpoint, "save", save)
    quiet = type("Book", (), {"flush": lambda self: None})()
    saver = Saver(1, tmp_path, 2, World(), quiet, said.append)
    if times == 99:
        with pytest.raises(ResourceError):
            saver.tell(made(rounds=1))
        assert len(said) == 2
    else:
        saver.tell(made(rounds=1))
        assert len(said) == 1 and "Read-only file system. It is tried again" in said[0]
        assert checkpoint.load_newest(tmp_path)["step"] == 1


def test_checkpoints_replaced_by_a_file_end_the_run_with_six(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(observers, "PAUSES", (0.0,))
    run = tmp_path / "run"
    real = observers.Reporter.tell

    def replace(self, trainer):
        real(self, trainer)
        if not (run / "checkpoints").exists():
            (run / "checkpoints").write_text("a file")

    monkeypatch.setattr(observers.Reporter, "tell", replace)
    assert main(["train", *TINY, f"hydra.run.dir={run}"]) == 6
    assert "cannot be written" in capsys.readouterr().err and summary(run)["status"] == "failed"


def test_what_tensorboards_thread_raises_is_left_to_who_writes_next(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.thread))
    before, book = threading.excepthook, logbook.Logbook(tmp_path)
    worker = book.writer.file_writer.event_writer._async_writer._worker
    for thread in (worker, threading.current_thread()):
        threading.excepthook(SimpleNamespace(thread=thread))
    book.close()
    assert seen == [threading.current_thread()] and threading.excepthook is before


def test_a_run_that_is_renamed_while_it_trains_ends_with_six_and_is_not_begun_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(observers, "PAUSES", (0.0,))
    place, moved = tmp_path / "run", tmp_path / "moved"

    def tell(self, trainer, real=Saver.tell):
        if trainer.step == 4:
            place.rename(moved)
        real(self, trainer)

    monkeypatch.setattr(Saver, "tell", tell)
    assert main(["train", *TINY, "trainer.steps=8", f"hydra.run.dir={place}"]) == 6
    out, err = capsys.readouterr()
    assert "was it renamed?" in err and "Traceback" not in out + err
    assert not place.exists() and checkpoint.load_newest(moved / "checkpoints")["step"] == 2


def test_a_rollback_prunes_nothing(tmp_path):
    trainer = made(rounds=1)
    for step in range(1, 6):
        checkpoint.save(tmp_path, {**trainer.state_dict(), "step": step}, keep=5)
    from gan_lab.training.watch import Watch

    class Book:
        summary = {}

        def memory(self):
            return {}

        def __getattr__(self, name):
            return lambda *args, **kwargs: None

    watch = Watch(tmp_path, "rollback", symptoms=(), book=Book(), say=lambda line: None)
    watch.roll_back(trainer)
    assert len(checkpoint.committed(tmp_path)) == 5


# ---- a run that came from elsewhere ---------------------------------------------------------------------------------

LINKED = [".lock", "metrics.csv", "overrides.txt", "config.yaml", "summary.json", "environment.json", "evaluations.csv",
          "progress.gif", "samples/step-00000006.png", "checkpoints/step-00000006.pt", "checkpoints/step-00000006.json",
          "results.png",
          ".summary.json.tmp{pid}", ".metrics.csv.tmp{pid}", "checkpoints/step-00000006.tmp{pid}"]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("name", LINKED)
def test_no_file_is_written_through_a_link_that_lies_in_a_run(run, tmp_path, capsys, name):
    mine, place = tmp_path / "mine.txt", run / name.format(pid=os.getpid())  # the parallel tests need one name for it
    text = place.read_text() if name == "config.yaml" else "years of work"
    mine.write_text(text)
    place.unlink(missing_ok=True)
    place.symlink_to(mine)
    assert main(["resume", str(run), "trainer.steps=6"]) in (0, 4, 6)
    assert main(["evaluate", str(run), "n=64", "extractor=pixels"]) in (0, 4, 6)
    assert mine.read_text() == text and "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("name", ["log.txt", "error.txt", "job.json", "../sweep.csv", ".lock"])
def test_no_file_is_written_through_a_link_that_lies_in_a_sweep(tmp_path, monkeypatch, name):
    def refuse(*args, **options):
        raise OSError("no process, please")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    config = {"trainer": {"threads": 1, "device": "cpu", "devices": 1}}
    job = Job(config, tmp_path / "sweep" / "0", [], 0)
    sweep.record(job, status="finished")
    mine = tmp_path / "mine.txt"
    mine.write_text((job.run_dir / name).read_text() if name == "job.json" else "years of work")
    before = mine.read_text()
    (job.run_dir / name).unlink(missing_ok=True)
    (job.run_dir / name).symlink_to(mine)
    for act in (
        lambda: sweep.attempt(job, lambda: 1 / 0),
        lambda: sweep.table(tmp_path / "sweep"),
        lambda: pool.Child(job, pool.Slot([], 1)),
        lambda: locked(job.run_dir).__enter__(),
    ):
        with suppress(OSError):
            act()
    assert mine.read_text() == before
