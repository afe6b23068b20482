"""Jobs of a sweep in processes of their own: some at once, each on its own device, all stopped by one signal."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan_lab.config.compose import Job
from gan_lab.launch.sweep import clear, read_or_reported, record, shared
from gan_lab.storage.files import itself
from gan_lab.storage.lock import locked
from gan_lab.training.machine import signals
from gan_lab.training.observers import duration

# A process group of its own, so that Ctrl-C at the terminal reaches a job once, through its pipe
APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"process_group": 0}
SCRIPT = ["-P", "-m", "gan_lab.launch.worker"]  # -P: what lies in the current directory hides nothing
SECONDS_BETWEEN_LOOKS = 0.1


def run(jobs: list[Job], at_once: int | str, place: Path) -> int | None:
    """Run jobs of the sweep in `place`, at most `at_once` together; returns the signal that stopped them, if one did.

    Every job leaves its record in its directory, what it says in log.txt there, and raises nothing here.
    """
    slots, waiting, playing, received = slots_for(jobs, at_once), deque(jobs), [], []
    common = shared([job.overrides for job in jobs])
    with locked(place), signals(received.append):
        while playing or (waiting and not received):
            while waiting and slots and not received:
                job, slot = waiting.popleft(), slots.pop(0)
                playing.append(Child(job, slot))
                settings = " ".join(word for word in job.overrides if word not in common)
                print(f"job {job.number} started{slot.where(job)}: {settings}", flush=True)
            time.sleep(SECONDS_BETWEEN_LOOKS)
            for child in playing:
                child.stop(received)

            # Give back the devices of those that ended
            for child in [child for child in playing if child.process.poll() is not None]:
                playing.remove(child)
                slots.append(child.slot)
                child.finish(received)
                done = len(jobs) - len(waiting) - len(playing)
                print(f"{child.ending()}  ({done} of {len(jobs)})", flush=True)
    return received[0] if received else None


@dataclass
class Slot:
    """The share of the machine that one job has at a time: some of its GPUs, or some of its cores."""

    gpus: list[str]
    threads: int

    def gives_gpus(self, job: Job) -> bool:
        return bool(self.gpus) and job.config["trainer"]["device"] in ("auto", "cuda")

    def gives_cores(self, job: Job) -> bool:
        is_open = job.config["trainer"]["threads"] is None and "OMP_NUM_THREADS" not in os.environ
        return is_open and job.config["trainer"]["device"] in ("cpu", *([] if self.gpus else ["auto"]))

    def where(self, job: Job) -> str:
        return f" on GPU {', '.join(self.gpus)}" if self.gives_gpus(job) else ""

    def environment(self, job: Job) -> dict[str, str]:
        """What the process of a job must find before it imports torch; what the user has chosen stays."""
        if self.gives_gpus(job):
            return {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}
        return {"OMP_NUM_THREADS": str(self.threads)} if self.gives_cores(job) else {}

    def settings(self, job: Job) -> dict[str, Any]:
        """The job's settings of the trainer that its share of the machine decides."""
        return {"threads": self.threads} if self.gives_cores(job) else {}


def slots_for(jobs: list[Job], at_once: int | str) -> list[Slot]:
    """The machine in equal shares, as many as jobs may run at once; with more jobs than GPUs, some share one."""
    gpus = visible_gpus() if any(job.config["trainer"]["device"] != "cpu" for job in jobs) else []
    cores = os.cpu_count() or 1
    sizes = [job.config["trainer"]["devices"] for job in jobs]
    most = max((size for size in sizes if size != "auto"), default=1)
    if at_once == "auto":
        at_once = max(1, len(gpus) // most if gpus else cores // 2)
    number = max(1, min(at_once, len(jobs)))
    shares = [gpus[i::number] or gpus[i % len(gpus) :][:1] for i in range(number)] if gpus else [[]] * number
    return [Slot(share, max(1, cores // number // most)) for share in shares]


def visible_gpus() -> list[str]:
    """The names by which CUDA_VISIBLE_DEVICES knows the GPUs that this process sees."""
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (named.split(",") if named else [str(i) for i in range(number)])[:number]


class Child:
    """One job in its process (`worker.py`), which listens at its standard input, and the slot that the job holds."""

    def __init__(self, job: Job, slot: Slot):
        self.job, self.slot, self.is_told, self.started = job, slot, False, time.monotonic()
        clear(job)
        record(job, status="running")
        order = {
            "config": job.config,
            "run_dir": str(job.run_dir),
            "overrides": job.overrides,
            "number": job.number,
            "resume": job.resume,
            "changes": job.changes,
            "trainer": slot.settings(job),
        }
        environment = os.environ | slot.environment(job)
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}
        environment |= {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        with open(job.run_dir / "log.txt", "ab", opener=itself) as log:
            self.process = subprocess.Popen(
                [sys.executable, *SCRIPT],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                **APART,
            )
        self.write(json.dumps(order))

    def write(self, line: str) -> None:
        with suppress(OSError):  # its process has just ended
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def stop(self, received: list[int]) -> None:
        """Pass on the signal, once."""
        if received and not self.is_told:
            self.is_told = True
            self.write(str(received[0]))

    def finish(self, received: list[int]) -> None:
        """Close the pipe of a process that ended, and write the record of a job that could not write its own."""
        with suppress(OSError):
            self.process.stdin.close()
        if read_or_reported(self.job.run_dir)["status"] != "running":
            return
        code, seconds = self.process.returncode, time.monotonic() - self.started
        if code < 0 and -code not in received:
            hint = "; usually the system is out of memory" if -code == 9 else ""
            error = f"killed by signal {-code} ({signal.strsignal(-code)}){hint}"
            record(self.job, status="killed", seconds=seconds, error=error, code=128 - code, signal=-code)
        elif received:
            record(self.job, status="interrupted", seconds=seconds)
        else:
            error = f"ended with code {code}; log.txt may say why"
            record(self.job, status="failed", seconds=seconds, error=error, code=code or 1)

    def ending(self) -> str:
        """One line: what came of the job."""
        entry = read_or_reported(self.job.run_dir)
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in entry.get("metrics", {}).items())
        what = entry.get("error") or metrics
        return (
            f"job {self.job.number} {entry['status']} after {duration(entry.get('seconds', 0))}{what and f': {what}'}"
        )
