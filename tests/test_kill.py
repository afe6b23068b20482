"""Real processes that are killed, told to stop, or started twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import yaml
from helpers import fingerprint, play, trainer_of

from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.storage import checkpoint
from gan_lab.training import machine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

TINY = [
    "model=gan",
    "dataset=digits",
    "model.generator.width=8",
    "model.discriminator.width=8",
    "trainer.batch_size=8",
    "trainer.device=cpu",
    "trainer.precision=fp32",
    "trainer.threads=1",
    "trainer.log_every=50",
    "trainer.checkpoint_every=10",
    "trainer.sample_every=100000",
]


def start(*words):
    """`gan-lab` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "gan_lab", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def train(run, *words):
    return start("train", *TINY, f"hydra.run.dir={run}", *words)


def saved(run):
    return len(list((run / "checkpoints").glob("step-*.json")))


def wait_for(happened, process, seconds=60):
    until = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.01)


def end(process, seconds=60):
    """The exit code and what was said."""
    said, _ = process.communicate(timeout=seconds)
    return process.returncode, said


def newest_step(run):
    """The step of the newest sidecar, read while somebody writes: those that are gone again are passed over."""
    return max((int(path.stem.split("-")[1]) for path in (run / "checkpoints").glob("step-*.json")), default=0)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bits(tmp_path):
    run, draw = tmp_path / "run", random.Random(time.time_ns())
    process, killed = train(run, "trainer.steps=1000000"), []  # which no machine plays before it is killed
    while len(killed) < 3:
        at = newest_step(run)
        wait_for(lambda at=at: newest_step(run) > at, process)
        time.sleep(draw.random() * 0.2)
        os.kill(process.pid, signal.SIGKILL)
        assert end(process)[0] == -signal.SIGKILL
        killed.append(newest_step(run))
        steps = killed[-1] + 50
        process = start("resume", str(run), *([f"trainer.steps={steps}"] if len(killed) == 3 else []))
    code, said = end(process)
    assert code == 0, said
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["step"]) == ("finished", steps)
    assert not list((run / "checkpoints").glob("*.tmp*")), "what a kill leaves half written is swept"

    # The same configuration, played without a cut
    state = checkpoint.load_newest(run / "checkpoints")
    state.pop("schema")
    uncut = trainer_of(yaml.safe_load((run / "config.yaml").read_text()))
    assert fingerprint(state) == fingerprint(play(uncut, steps).state_dict()), f"killed after {killed}"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_a_checkpoint_and_says_how_to_go_on(tmp_path, number):
    run = tmp_path / "run"
    process = train(run, "trainer.steps=1000000", "trainer.checkpoint_every=1000000", "trainer.log_every=5")
    wait_for(lambda: "\n5," in (run / "metrics.csv").read_text() if (run / "metrics.csv").exists() else False, process)
    process.send_signal(number)
    code, said = end(process)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "stopped"
    assert summary["signal"] == number
    assert summary["step"] > 0
    assert checkpoint.load_newest(run / "checkpoints")["step"] == summary["step"]
    assert "gan-lab resume" in said
    assert "Traceback" not in said
    assert code == 128 + number


@pytest.mark.slow
def test_a_second_signal_ends_at_once(tmp_path):
    script = (
        "import os, signal, time, types\n"
        "from gan_lab.training import machine\n"
        "now = 0.0\n"
        "machine.time = types.SimpleNamespace(monotonic=lambda: now)\n"
        "with machine.signals(lambda number: None):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('first', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still the first', flush=True)\n"
        "    now = 0.6\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert done.stdout == "first\nstill the first\n"
    assert done.returncode == 128 + signal.SIGTERM


def test_signals_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    received = []
    with machine.signals(received.append):
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_two_processes_cannot_share_a_run_directory(tmp_path):
    run = tmp_path / "run"
    process = train(run, "trainer.steps=1000000")
    try:
        wait_for(lambda: saved(run) > 0, process)
        config = yaml.safe_load((run / "config.yaml").read_text())
        with pytest.raises(ConfigError, match=rf"is in use by pid {process.pid} on .*stop it first"):
            launch.train(config, run, resume=True)
        code, said = end(start("resume", str(run)))
        assert code == 2
        assert "is in use by pid" in said
        assert "Traceback" not in said
    finally:
        process.kill()
        end(process)


def test_a_lock_that_its_process_left_behind_is_no_lock(tmp_path):
    (tmp_path / ".lock").write_text("pid 999999 on elsewhere")
    with launch.locked(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith(f"pid {os.getpid()} on ")
        with pytest.raises(ConfigError, match=f"in use by pid {os.getpid()}"), launch.locked(tmp_path):
            pass
    with launch.locked(tmp_path):
        pass
