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

from gan_lab import checkpoint
from gan_lab.choices import shown as shown
from gan_lab.distributed import World, joined
from gan_lab.errors import ConfigError, GanLabError, fault_in, told
from gan_lab.lock import Held, check_free, mark
from gan_lab.lock import locked as locked
from gan_lab.machine import device_count, device_of, signals
from gan_lab.session import dry_run as dry_run
from gan_lab.session import play
from gan_lab.settings import Trainer as Settings
from gan_lab.streams import steady

# Entry points


def train(config: dict, run_dir: Path, overrides: list[str] = (), *, resume: bool = False) -> dict:
    """Train what `config` (plain and resolved) describes in `run_dir`, and return its summary."""
    run_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings(**config["trainer"])
    with locked(run_dir) as lock, steady():
        if not resume:
            check_free(run_dir)
            mark(run_dir)
        checkpoint.sweep(run_dir / "checkpoints")
        if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
            return under_torchrun((config, str(run_dir), resume, overrides))
        size = device_count(settings)
        if size > 1:
            return spawned(config, run_dir, resume, overrides, size, lock)
        return play(config, run_dir, World(0, 1, device_of(settings)), resume, overrides)


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
        config, run_dir, resume, overrides = world.broadcast(mine)
        if config["trainer"]["device"] == "cpu":
            world.device = torch.device("cpu")
        return play(config, Path(run_dir), world, resume, overrides)


def spawned(
    config: dict, run_dir: Path, resume: bool, overrides: list[str], size: int, lock: Held | None = None
) -> dict:
    """Train with `size` processes on this machine, one for each device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    context = torch.multiprocessing.get_context("spawn")
    said = context.SimpleQueue()
    workers = [
        context.Process(target=work, args=(rank, size, config, str(run_dir), resume, overrides, said, lock))
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
        died = None
        while any(w.is_alive() for w in workers):
            time.sleep(0.1)
            if died is None and any(w.exitcode for w in workers):
                died = time.monotonic()
            if died is not None and time.monotonic() - died > 10:  # the others wait for a rank that is gone
                for worker in workers:
                    worker.kill()
    results = []
    while not said.empty():
        results.append(said.get())
    for result in results:
        if isinstance(result, GanLabError):
            raise result
    failed = [(rank, w.exitcode) for rank, w in enumerate(workers) if w.exitcode]
    if failed and received:  # before there was anything to save
        raise KeyboardInterrupt
    if failed:
        reason = next((r for r in results if isinstance(r, str)), "")
        raise GanLabError("Rank {} ended with code {}.\n{}".format(*failed[0], reason).strip())
    return next(r for r in results if isinstance(r, dict))


def work(rank, size, config, run_dir, resume, overrides, said, lock=None):
    """What a spawned process does; it holds the run's lock with its launcher, and ends when that is gone."""
    Thread(target=end_with_launcher, daemon=True).start()
    device = device_of(Settings(**config["trainer"]))
    device = torch.device("cuda", rank) if device.type == "cuda" else device
    try:
        with steady(), joined(rank, size, device) as world:
            summary = play(config, Path(run_dir), world, resume, overrides)
        if rank == 0:
            said.put(summary)
    except GanLabError as error:
        said.put(error)
        sys.exit(error.exit_code)
    except Exception as error:
        if fault_in(error):
            said.put(ConfigError(f"{told(error)}. That code is no part of gan-lab."))
            sys.exit(ConfigError.exit_code)
        said.put(traceback.format_exc())
        sys.exit(1)


def end_with_launcher() -> None:
    """Wait for the launcher's end; then save and stop as by SIGTERM, or end at once where that takes too long."""
    torch.multiprocessing.parent_process().join()
    signal.raise_signal(signal.SIGTERM)
    time.sleep(SECONDS_TO_SAVE)
    os._exit(128 + signal.SIGTERM)


SECONDS_TO_SAVE = 60
