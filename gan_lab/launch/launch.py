"""One process, spawned workers or torchrun: where a configuration becomes a run."""

import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from threading import Thread

import torch

from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import ConfigError, GanLabError, ResourceError, fault_in, in_words
from gan_lab.storage.files import sweep
from gan_lab.storage.lock import Held, check_free, mark
from gan_lab.storage.lock import locked as locked
from gan_lab.streams import steady
from gan_lab.training import session
from gan_lab.training.distributed import MINUTES, LostRankError, World, joined
from gan_lab.training.machine import device_count, device_of, signals, translated
from gan_lab.training.session import play
from gan_lab.wording import shown as shown
from gan_lab.wording import typed

# Entry points


def train(config: dict, run_dir: Path, overrides: list[str] = (), *, resume: bool = False) -> dict:
    """Train what `config` (plain and resolved) describes in `run_dir`, and return its summary."""
    run_dir.mkdir(parents=True, exist_ok=True)
    if config.get("stages"):
        from gan_lab.launch import stages

        return stages.train(config, run_dir, overrides, resume, train)
    settings = TrainerSettings(**config["trainer"])
    with locked(run_dir) as lock, steady():
        if not resume:
            check_free(run_dir)
            mark(run_dir)
        sweep(run_dir)
        if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
            return under_torchrun((config, settings, str(run_dir), resume, overrides))
        size = device_count(settings)
        if size > 1:
            return spawned(config, settings, run_dir, resume, overrides, size, lock)
        return play(config, settings, run_dir, World(0, 1, device_of(settings)), resume, overrides)


def dry_run(config: dict) -> None:
    """Take two steps of what `config` describes, of each stage where it has some, and write nothing."""
    if config.get("stages"):
        from gan_lab.launch import stages

        stages.dry_run(config)
    else:
        session.dry_run(config)
    print("No run was written. Leave out --dry-run to train.")


def follow() -> dict:
    """Take part in a run under torchrun as a rank other than the first, which has the configuration."""
    return under_torchrun(None)


# Ranks


def under_torchrun(mine: tuple | None) -> dict:
    """Join the group that torchrun made; the first rank tells the others what to play and where."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    with joined(rank, size, device) as world:
        config, settings, run_dir, resume, overrides = world.broadcast(mine)
        if settings.device == "cpu":
            world.device = torch.device("cpu")
        return play(config, settings, Path(run_dir), world, resume, overrides)


def spawned(
    config: dict,
    settings: TrainerSettings,
    run_dir: Path,
    resume: bool,
    overrides: list[str],
    size: int,
    lock: Held | None = None,
) -> dict:
    """Train with `size` processes on this machine, one for each device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    context = torch.multiprocessing.get_context("spawn")
    results_queue = context.SimpleQueue()
    workers = [
        context.Process(
            target=work, args=(rank, size, config, settings, str(run_dir), resume, overrides, results_queue, lock)
        )
        for rank in range(size)
    ]
    received = []

    def pass_on(number):
        received.append(number)
        for worker in workers:
            if worker.is_alive():
                os.kill(worker.pid, number)

    with signals(pass_on):
        for worker in workers:
            worker.start()
        died, killed, stopped = None, {}, set()
        while any(w.is_alive() for w in workers):
            time.sleep(0.1)
            if died is None and any(w.exitcode for w in workers):
                died = time.monotonic()
                killed = {rank: -w.exitcode for rank, w in enumerate(workers) if (w.exitcode or 0) < 0}
            for rank, worker in enumerate(workers):
                if is_stopped(worker) and rank not in stopped:
                    stopped.add(rank)
                    limit = f"the others wait for it {MINUTES:g} minutes at most"
                    print(f"Rank {rank} was stopped, and {limit}; to let it go on: kill -CONT {worker.pid}", flush=True)
            if died is not None and time.monotonic() - died > 10:  # the others wait for a rank that is gone
                for worker in workers:
                    worker.kill()
    results = []
    while not results_queue.empty():
        results.append(results_queue.get())
    if received and any(w.exitcode for w in workers):  # before there was anything to save
        raise KeyboardInterrupt
    for rank, number in killed.items():
        hint = "; usually the system is out of memory" if number == 9 else ""
        raise ResourceError(
            f"Rank {rank} was killed by signal {number} ({signal.strsignal(number)}){hint}.\n"
            f"  to go on from the last checkpoint: {typed('gan-lab')} resume {shown(run_dir)}"
        )
    errors = sorted((r for r in results if isinstance(r, GanLabError)), key=lambda e: isinstance(e, LostRankError))
    failed = next(((rank, w.exitcode) for rank, w in enumerate(workers) if w.exitcode), None)
    bugs = [r for r in results if isinstance(r, str)]
    if errors and not (bugs and isinstance(errors[0], LostRankError)):
        raise errors[0]
    if failed:
        raise GanLabError("Rank {} ended with code {}.\n{}".format(*failed, "".join(bugs[:1])).strip())
    return next(r for r in results if isinstance(r, dict))


def work(rank, size, config, settings, run_dir, resume, overrides, results_queue, lock=None):
    """What a spawned process does; it holds the run's lock with its launcher, and ends when that is gone."""
    Thread(target=end_with_launcher, daemon=True).start()
    device = device_of(settings)
    device = torch.device("cuda", rank) if device.type == "cuda" else device
    try:
        with steady(), joined(rank, size, device) as world:
            summary = play(config, settings, Path(run_dir), world, resume, overrides)
        if rank == 0:
            results_queue.put(summary)
    except Exception as error:
        known = translated(error, settings)
        if not isinstance(known, GanLabError) and fault_in(error):
            known = ConfigError(f"{in_words(error)}. That code is no part of gan-lab.")
        results_queue.put(known if isinstance(known, GanLabError) else traceback.format_exc())
        sys.exit(getattr(known, "exit_code", 1))


def is_stopped(worker) -> bool:
    """Whether a process was stopped, as by SIGSTOP, and goes on no more; False where the system does not tell."""
    try:
        found = os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    except (AttributeError, ChildProcessError):
        return False
    return found is not None


def end_with_launcher() -> None:
    """Wait for the launcher's end; then save and stop as by SIGTERM, or end at once where that takes too long."""
    torch.multiprocessing.parent_process().join()
    signal.raise_signal(signal.SIGTERM)
    time.sleep(SECONDS_TO_SAVE)
    os._exit(128 + signal.SIGTERM)


SECONDS_TO_SAVE = 60
