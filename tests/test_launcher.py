"""A sweep in processes of its own: shared out, watched, stopped as one, and resumed where something is missing."""

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from gan_lab import cli
from gan_lab.commands.train import resumed
from gan_lab.config.compose import Job
from gan_lab.config.overrides import read, with_jobs
from gan_lab.errors import CheckpointError, ConfigError, GanLabError
from gan_lab.launch import launch, pool, sweep
from gan_lab.launch.pool import Child, Slot, slots_for

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
TRAINER = {"device": "auto", "devices": 1, "threads": None}
TINY = [
    "model=gan",
    "dataset=digits",
    "model.generator.width=8",
    "model.discriminator.width=8",
    "trainer.batch_size=8",
    "trainer.device=cpu",
    "trainer.precision=fp32",
    "trainer.checkpoint_every=10",
    "trainer.sample_every=100000",
    "trainer.log_every=10",
    "trainer.samples=4",
]


def job(number=0, run_dir=Path("job"), **trainer):
    return Job({"trainer": TRAINER | trainer}, run_dir, ["model=gan", f"seed={number}"], number)


# What is typed


def test_jobs_is_the_local_launcher():
    line = read(["-m", "seed=0,1", "jobs=2"])
    assert with_jobs(line) == ["seed=0,1", "hydra/launcher=local", "hydra.launcher.jobs=2"]
    line = read(["-m", "jobs=auto", "hydra/launcher=local"])
    assert with_jobs(line) == ["hydra/launcher=local", "hydra.launcher.jobs=auto"]
    assert with_jobs(read(["seed=0"])) == ["seed=0"]


@pytest.mark.parametrize("word", ["jobs=0", "jobs=-1", "jobs=two", "jobs=", "jobs=1.5"])
def test_jobs_is_a_number_from_one_or_auto(word):
    with pytest.raises(ConfigError, match="must be a whole number from 1, or auto"):
        read(["-m", word])


def test_jobs_is_for_a_sweep():
    with pytest.raises(ConfigError, match="jobs=2 is for a sweep: add -m"):
        with_jobs(read(["jobs=2"]))


def test_train_resume_is_resume():
    assert resumed(["--resume", "a/b", "jobs=2"]) == ["a/b", "jobs=2"]
    assert resumed(["-m", "jobs=2", "--resume=a/b", "trust=[x]"]) == ["a/b", "jobs=2", "trust=[x]"]
    with pytest.raises(ConfigError, match="--resume needs"):
        resumed(["-m", "--resume"])


# Shares of the machine


@pytest.fixture
def machine(monkeypatch):
    """Eight cores, and as many GPUs as the test says."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    def with_gpus(number):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    with_gpus(0)
    return with_gpus


def test_cores_are_shared_evenly_and_no_more_than_there_are_jobs(machine):
    jobs = [job(i) for i in range(3)]
    assert [slot.threads for slot in slots_for(jobs, 2)] == [4, 4]
    assert [slot.threads for slot in slots_for(jobs, 8)] == [2, 2, 2]
    assert len(slots_for([job(i) for i in range(9)], "auto")) == 4
    (slot, _) = slots_for(jobs, 2)
    assert slot.environment(jobs[0]) == {"OMP_NUM_THREADS": "4"} and slot.settings(jobs[0]) == {"threads": 4}
    assert [slot.threads for slot in slots_for([job(i, devices=2) for i in range(2)], 2)] == [2, 2]


def test_threads_that_the_user_chose_stay(machine, monkeypatch):
    slot = Slot([], 4)
    assert slot.environment(job(threads=3)) == slot.settings(job(threads=3)) == {}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert slot.environment(job()) == slot.settings(job()) == {}


def test_each_slot_has_gpus_of_its_own(machine, monkeypatch):
    jobs = [job(i) for i in range(5)]
    machine(4)
    assert [slot.gpus for slot in slots_for(jobs, 2)] == [["0", "2"], ["1", "3"]]
    assert [slot.gpus for slot in slots_for(jobs, "auto")] == [["0"], ["1"], ["2"], ["3"]]
    assert [slot.gpus for slot in slots_for(jobs, 5)] == [["0"], ["1"], ["2"], ["3"], ["0"]]
    assert len(slots_for([job(i, devices=2) for i in range(5)], "auto")) == 2
    assert slots_for([job(device="cpu")], 1)[0].gpus == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,GPU-5f")
    machine(2)
    assert [slot.gpus for slot in slots_for(jobs, 2)] == [["7"], ["GPU-5f"]]


def test_a_job_sees_its_gpus_alone_unless_it_names_one(machine):
    slot = Slot(["3"], 4)
    for device in ("auto", "cuda"):
        assert slot.environment(job(device=device)) == {"CUDA_VISIBLE_DEVICES": "3"}
        assert slot.where(job(device=device)) == " on GPU 3"
    assert slot.environment(job(device="cuda:1")) == {} and slot.where(job(device="cuda:1")) == ""
    assert slot.environment(job(device="cpu")) == {"OMP_NUM_THREADS": "4"}


# Records


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def left(tmp_path):
    """The directory of a job whose attempt failed before its first checkpoint."""
    for name in (".hydra/config.yaml", "job.json", "log.txt", "error.txt", "samples/a.png", "notes"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_another_attempt_loses_nothing_of_the_one_before(left):
    sweep.clear(job(run_dir=left))
    aside = ["attempt/error.txt", "attempt/log.txt", "attempt/notes", "attempt/samples/a.png"]
    assert files(left) == [".hydra/config.yaml", *aside, "job.json"]
    (left / "log.txt").write_text("again")
    sweep.clear(job(run_dir=left))
    assert files(left) == [".hydra/config.yaml", "attempt-2/log.txt", *aside, "job.json"]
    sweep.clear(job(run_dir=left))
    assert "attempt-3" not in {path.name for path in left.iterdir()}


def test_a_run_that_goes_on_puts_only_its_error_aside(left):
    going_on = job(run_dir=left)
    going_on.resume = True
    sweep.clear(going_on)
    assert files(left) == [".hydra/config.yaml", "attempt/error.txt", "job.json", "log.txt", "notes", "samples/a.png"]


def test_a_record_that_nobody_could_end_is_mended(tmp_path):
    sweep.record(job(run_dir=tmp_path), status="running")
    assert sweep.final_summary(tmp_path)["status"] == "killed"
    summary = {"status": "finished", "seconds": 3.5, "metrics": {"loss/generator/adversarial": 0.5, "memory/x": 1.0}}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    entry = sweep.final_summary(tmp_path)
    assert (entry["status"], entry["seconds"]) == ("finished", 3.5)
    assert entry["metrics"] == {"generator/adversarial": 0.5} and entry["overrides"] == ["model=gan", "seed=0"]
    (tmp_path / "job.json").write_text('{"job": 0, "status": "waiting", "overrides": []}')
    with pytest.raises(CheckpointError, match="holds no configuration"):
        sweep.final_summary(tmp_path)
    (tmp_path / "job.json").write_text('{"job": ')
    with pytest.raises(CheckpointError, match="cannot be read"):
        sweep.final_summary(tmp_path)
    (told,) = sweep.entries(tmp_path).values()
    assert told["status"] == "damaged" and "cannot be read" in told["error"]


@needs_signals
@pytest.mark.parametrize(
    ("code", "received", "status", "recorded"),
    [
        (-9, [], "killed", {"code": 137, "signal": 9}),
        (-11, [15], "killed", {"code": 139, "signal": 11}),
        (-15, [15], "interrupted", {}),
        (130, [2], "interrupted", {}),
        (3, [], "failed", {"code": 3, "error": "ended with code 3; log.txt may say why"}),
    ],
)
def test_a_process_that_left_no_word_is_recorded_by_its_end(tmp_path, monkeypatch, code, received, status, recorded):
    monkeypatch.setattr(
        pool, "SCRIPT", ["-c", f"import os; os._exit({code}) if {code} > 0 else os.kill(os.getpid(), {-code})"]
    )
    child = Child(job(run_dir=tmp_path), Slot([], 1))
    assert child.process.wait(30) == code
    child.finish(received)
    entry = sweep.read(tmp_path)
    assert entry["status"] == status and entry.items() >= recorded.items()
    assert child.ending().startswith(f"job 0 {status} after ")


def test_a_sweep_ends_well_only_when_all_are_finished(tmp_path, capsys):
    for number, what in enumerate(
        ({"status": "finished"}, {"status": "killed", "code": 137}, {"status": "stopped", "code": 143})
    ):
        sweep.record(job(number, tmp_path / str(number)), **what)
    with pytest.raises(GanLabError, match="1 of 3 jobs killed, 1 of 3 jobs stopped.*\n.*gan-lab resume ") as caught:
        sweep.end_sweep(tmp_path)
    assert caught.value.exit_code == 1
    shutil.rmtree(tmp_path / "2")
    with pytest.raises(GanLabError) as caught:
        sweep.end_sweep(tmp_path)
    assert caught.value.exit_code == 137
    shutil.rmtree(tmp_path / "1")
    sweep.end_sweep(tmp_path)


# Hydra and the pool, whose processes are only acted

SUMMARY = {"status": "finished", "seconds": 1.5, "metrics": {"loss/generator/adversarial": 0.5}}


@pytest.fixture
def acted(monkeypatch, tmp_path):
    """The jobs that reach the pool and how many at once; `acted.signal` is what stops them after the first."""
    seen = SimpleNamespace(jobs=[], at_once=None, signal=None)

    def run(jobs, at_once, place):
        seen.jobs, seen.at_once = jobs, at_once
        for job in jobs[: 1 if seen.signal else None]:
            sweep.record(job, **sweep.entry_of(SUMMARY))
        return seen.signal

    monkeypatch.setattr(pool, "run", run)
    monkeypatch.setattr(launch, "train", lambda *args, **kwargs: SUMMARY)
    monkeypatch.setattr(sys, "argv", ["gan-lab"])
    monkeypatch.chdir(tmp_path)
    yield seen
    logging.getLogger().handlers.clear()  # those of Hydra write to a stream that is gone


def hydra_files(place):
    """What Hydra leaves of each job, without what names the launcher and the time."""
    found = {path.relative_to(place): path for path in place.rglob("*") if path.parent.name == ".hydra"}
    return {name: path.read_text() for name, path in found.items() if name.name != "hydra.yaml"}


@pytest.mark.slow
def test_a_job_is_the_same_with_every_launcher(acted, tmp_path):
    words = ["train", "-m", "model=gan", "loss=hinge,wgan_gp", "trainer.steps=7", "seed=0,1"]
    assert cli.main([*words, "run.root=basic"]) == 0 and acted.jobs == []
    assert cli.main([*words, "run.root=local", "jobs=3"]) == 0
    (basic,), (local,) = (list((tmp_path / root / "sweeps").iterdir()) for root in ("basic", "local"))
    texts = {name: text.replace("root: basic", "root: local").replace("root=basic", "root=local")
             for name, text in hydra_files(basic).items()}  # fmt: skip
    assert texts == hydra_files(local) and len(texts) == 8
    assert acted.at_once == 3 and [job.number for job in acted.jobs] == [0, 1, 2, 3]
    assert [job.run_dir for job in acted.jobs] == [place for place in sorted(local.iterdir()) if place.is_dir()]
    assert acted.jobs[2].config["loss"]["_target_"].endswith("Wasserstein") and acted.jobs[2].config["seed"] == 0
    assert [row["status"] for row in rows(local)] == ["finished"] * 4


def test_nothing_starts_if_one_job_cannot_run(acted, capsys, tmp_path):
    assert cli.main(["train", "-m", "seed=0,-1", "jobs=2"]) == 2
    assert "1 of 2 jobs cannot run, so none was started" in capsys.readouterr().err
    assert acted.jobs == [] and files(tmp_path) == []
    assert cli.main(["train", "-m", "seed=0,1", "hydra/launcher=local", "hydra.launcher.jobs=0"]) == 2
    assert "hydra.launcher.jobs=0 must be a whole number from 1, or auto" in capsys.readouterr().err


def test_a_signal_ends_the_sweep_with_its_table_and_its_code(acted, tmp_path):
    acted.signal = 15
    assert cli.main(["train", "-m", "seed=0,1,2", "jobs=2", "hydra.sweep.dir=sweep"]) == 143
    assert [row["status"] for row in rows(tmp_path / "sweep")] == ["finished", "waiting", "waiting"]


def test_resume_runs_what_is_missing_and_from_where_it_was_saved(acted, capsys, tmp_path):
    acted.signal = 2
    cli.main(["train", "-m", "model=gan", "seed=0,1,2,3", "jobs=1", "hydra.sweep.dir=sweep"])
    acted.signal = None

    # One failed without a checkpoint, one was stopped after its first, one never started
    _, failed, stopped, _ = acted.jobs
    sweep.record(failed, status="failed", code=1)
    sweep.record(stopped, status="running")
    (stopped.run_dir / "checkpoints").mkdir()
    (stopped.run_dir / "checkpoints" / "step-00000010.json").write_text("{}")
    (stopped.run_dir / "config.yaml").write_text(yaml.safe_dump(stopped.config | {"seed": 22}))
    assert cli.main(["train", "--resume", "sweep", "jobs=2", "trainer.steps=9"]) == 0
    assert [(job.number, job.resume, job.config["seed"]) for job in acted.jobs] == [
        (1, False, 1),
        (2, True, 22),
        (3, False, 3),
    ]
    assert all(job.config["trainer"]["steps"] == 9 and job.changes == ["trainer.steps=9"] for job in acted.jobs)
    assert acted.at_once == 2 and [row["status"] for row in rows(tmp_path / "sweep")] == ["finished"] * 4
    acted.jobs = []
    assert cli.main(["resume", "sweep"]) == 0 and acted.jobs == []
    assert cli.main(["resume", "sweep", "seed=5"]) == 2
    assert cli.main(["resume", str(stopped.run_dir), "jobs=2"]) == 2
    assert "jobs=2 is for the directory of a sweep" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["job.json", "summary.json", "config.yaml", "start.json"])
def test_a_damaged_file_of_one_job_keeps_no_other_from_going_on(acted, capsys, tmp_path, name):
    acted.signal = 2
    cli.main(["train", "-m", "model=gan", "seed=0,1,2", "jobs=1", "hydra.sweep.dir=sweep"])
    acted.signal = None
    damaged = acted.jobs[1]
    (damaged.run_dir / "checkpoints").mkdir()
    (damaged.run_dir / "checkpoints" / "step-00000010.json").write_text("{}")
    (damaged.run_dir / "config.yaml").write_text(yaml.safe_dump(damaged.config))
    (damaged.run_dir / name).write_bytes(b"[\0")
    code = cli.main(["resume", "sweep"])
    out, err = capsys.readouterr()
    goes_on = name == "summary.json"  # without which a run goes on from its checkpoint
    assert [job.number for job in acted.jobs] == ([1, 2] if goes_on else [2])
    assert (code == 0) == goes_on and ("job 1 is left out: " in out) != goes_on and "Traceback" not in out + err
    assert [row["status"] for row in rows(tmp_path / "sweep")][::2] == ["finished"] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_a_sweep_that_is_still_running_is_not_resumed(acted, capsys):
    acted.signal = 2
    cli.main(["train", "-m", "model=gan", "seed=0,1,2", "jobs=1", "hydra.sweep.dir=sweep"])
    jobs, acted.jobs = acted.jobs, []
    with launch.locked(jobs[1].run_dir):
        assert cli.main(["resume", "sweep"]) == 2
    assert "is in use by pid" in capsys.readouterr().err and acted.jobs == []


def test_a_packages_class_in_a_record_is_not_trusted(acted, capsys):
    acted.signal = 2
    cli.main(["train", "-m", "model=gan", "seed=0,1", "jobs=1", "hydra.sweep.dir=sweep"])
    job, acted.jobs = acted.jobs[1], []
    job.config |= {"trust": ["subprocess"], "loss": {"_target_": "subprocess.Popen", "args": ["touch", "marker"]}}
    sweep.record(job, status="waiting")
    assert cli.main(["resume", "sweep"]) == 2
    assert "job 1: " in (err := capsys.readouterr().err) and "subprocess.Popen" in err
    assert acted.jobs == [] and not Path("marker").exists()


# Real processes

GAME = """
import os
import signal
import sys
from pathlib import Path
from torch import nn
from gan_lab.models import GAN


class Generator(nn.Module):
    def __init__(self, latent_dim: int, channels: int, image_size: int, mood: int = 0):
        super().__init__()
        self.shape, self.mood = (channels, image_size, image_size), mood
        self.layer = nn.Linear(latent_dim, channels * image_size**2)

    def forward(self, latent):
        return self.layer(latent).tanh().view(-1, *self.shape)


class Moody(GAN):
    def generator_loss(self, batch, step):
        mood, first = self.generator.mood, Path(f"moody-{self.generator.mood}")
        if mood == 2 and step == 3 and not first.exists():
            first.touch()
            raise RuntimeError("planted")
        if mood == 5 and step == 25 and not first.exists():
            first.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generator_loss(batch, step)
"""
MODEL = """
# A game that fails and dies, once
_target_: {package}.Moody
latent_dim: 8
generator:
  _target_: {package}.Generator
  latent_dim: ${{..latent_dim}}
  channels: ${{dataset.channels}}
  image_size: ${{dataset.image_size}}
  mood: 0
discriminator:
  _target_: gan_lab.networks.mlp.Discriminator
  channels: ${{dataset.channels}}
  image_size: ${{dataset.image_size}}
  width: 8
"""


@pytest.fixture
def start(tmp_path):
    """Starts `gan-lab` in a process and a process group of its own, and leaves none behind."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "gan_lab", *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def end(process, seconds=400):
    said, _ = process.communicate(timeout=seconds)
    return process.returncode, said


def rows(place):
    with (place / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


@needs_signals
@pytest.mark.slow
def test_a_sweep_of_eight_with_one_failed_and_one_killed_is_completed_by_resume(start, tmp_path):
    package = f"moody_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{package}.py").write_text(GAME)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "moody.yaml").write_text(MODEL.format(package=package))
    words = [word for word in TINY if not word.startswith("model")]
    words += ["--config-dir", "conf", "model=moody", f"trust=[{package}]", "trainer.steps=30", "trainer.threads=1"]
    code, said = end(start("train", "-m", *words, "model.generator.mood=range(8)", "jobs=2"))
    (place,) = (tmp_path / "outputs" / "sweeps").iterdir()
    folders = [place / f"{i}_mood-{i}" for i in range(8)]

    # The table is right, and the screen has two lines for each job
    found = rows(place)
    assert [row["status"] for row in found] == ["finished"] * 2 + ["failed"] + ["finished"] * 2 + ["killed"] + [
        "finished"
    ] * 2
    assert "RuntimeError: planted" in found[2]["error"] and "killed by signal 9" in found[5]["error"]
    assert found[7]["settings"] == "model.generator.mood=7" and found[7]["generator/adversarial"]
    assert code == 1 and "1 of 8 jobs failed, 1 of 8 jobs killed" in said and "Traceback" not in said
    assert sum(line.startswith("job ") and " started: model.generator.mood=" in line for line in said.splitlines()) == 8
    assert sum(line.startswith("job ") and line.endswith(" of 8)") for line in said.splitlines()) == 8
    assert (
        "planted" in (folders[2] / "error.txt").read_text()
        and "Finished: 30 steps" in (folders[0] / "log.txt").read_text()
    )
    assert all((folder / ".hydra" / "config.yaml").is_file() for folder in folders)

    # What is missing is run, the killed job from its checkpoint, and nothing else is touched
    before = {i: times(folders[i]) for i in (0, 1, 3, 4, 6, 7)}
    code, said = end(start("train", "--resume", str(place), "jobs=2", f"trust=[{package}]"))
    assert code == 0, said
    assert "2 of 8 jobs are missing" in said
    assert [row["status"] for row in rows(place)] == ["finished"] * 8
    assert {i: times(folders[i]) for i in before} == before
    assert [summary(folder)["step"] for folder in folders] == [30] * 8
    assert "Training from step 20 to 30, each of " in (folders[5] / "log.txt").read_text()
    assert "planted" in (folders[2] / "attempt" / "error.txt").read_text() and not (folders[2] / "error.txt").exists()
    code, said = end(start("resume", str(place)))
    assert code == 0 and "All 8 jobs are finished." in said


def wait_for(happened, process, seconds=200):
    until = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.05)


def all_save(folders):
    return all(list((folder / "checkpoints").glob("step-*.json")) for folder in folders)


@needs_signals
@pytest.mark.slow
def test_a_signal_or_a_kill_of_the_whole_sweep_loses_no_job(start, tmp_path):
    long = ["trainer.steps=1000000", "trainer.threads=1"]
    process = start("train", "-m", *TINY, *long, "seed=0,1,2", "jobs=2", "hydra.sweep.dir=sweep")
    place = tmp_path / "sweep"
    folders = [place / str(i) for i in range(3)]
    wait_for(lambda: all_save(folders[:2]), process)
    code, said = end(start("resume", "sweep"))
    assert code == 2 and "is in use by pid" in said

    # One signal, to the sweep's process alone, stops all jobs once; each saves where it stopped
    process.send_signal(signal.SIGTERM)
    code, said = end(process)
    assert code == 143 and "Traceback" not in said
    assert [row["status"] for row in rows(place)] == ["stopped", "stopped", "waiting"]
    assert [summary(folder)["signal"] for folder in folders[:2]] == [15, 15]
    stopped = [summary(folder)["step"] for folder in folders[:2]]

    # Kill the sweep and its jobs as they go on: what they say of themselves is out of date, and seen to be
    process = start("resume", "sweep", "jobs=2")
    wait_for(lambda: all(read_step(folder) > step for folder, step in zip(folders, stopped, strict=False)), process)
    children = [int((folder / ".lock").read_text().split()[1]) for folder in folders[:2]]
    for pid in (process.pid, *children):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert [sweep.read(folder)["status"] for folder in folders] == ["running", "running", "waiting"]
    steps = max(map(read_step, folders[:2])) + 50
    code, said = end(start("train", "--resume", "sweep", "jobs=2", f"trainer.steps={steps}"))
    assert code == 0, said
    assert [row["status"] for row in rows(place)] == ["finished"] * 3
    assert [summary(folder)["step"] for folder in folders] == [steps] * 3
    assert not (folders[0] / "attempt").exists()


def read_step(folder):
    return max((int(path.stem.split("-")[1]) for path in (folder / "checkpoints").glob("step-*.json")), default=0)


@needs_signals
@pytest.mark.slow
def test_jobs_stop_by_themselves_when_the_process_of_the_sweep_is_gone(start, tmp_path):
    process = start("train", "-m", *TINY, "trainer.steps=1000000", "seed=0", "jobs=1", "hydra.sweep.dir=sweep")
    folder = tmp_path / "sweep" / "0"
    wait_for(lambda: all_save([folder]), process)
    process.kill()
    process.communicate()
    until = time.monotonic() + 30
    while sweep.read(folder)["status"] == "running" and time.monotonic() < until:
        time.sleep(0.1)
    assert sweep.read(folder)["status"] == "stopped" and summary(folder)["signal"] == signal.SIGTERM
