"""Who holds a directory, and the mark of a run: what tells gan-lab's directories from other people's."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import DupFd
from pathlib import Path

from gan_lab.errors import ConfigError
from gan_lab.storage.files import CONFIG, MARK, RESULTS, STAGES, itself
from gan_lab.wording import shown, typed

LOCK = ".lock"
BEFORE = {".hydra", LOCK, MARK, "job.json", "log.txt", "error.txt"}  # what may lie there before a run begins
OF_A_RUN = (CONFIG, STAGES, "summary.json", "metrics.csv", RESULTS, "checkpoints")


class Held:
    """An open lock, which a spawned process holds too once it was handed over: it lasts as long as any of them."""

    def __init__(self, number: int):
        self.number = number

    def __reduce__(self):
        return received, (DupFd(self.number),)


def received(handle) -> Held:
    return Held(handle.detach())


@contextmanager
def locked(folder: Path) -> Iterator[Held | None]:
    """Hold a directory for this process; raises ConfigError if another one holds it."""
    if os.name == "nt":  # Windows has no flock
        yield None
        return
    import fcntl

    with open(folder / LOCK, "a+", opener=itself) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise ConfigError(
                f"{shown(folder)} is in use by {file.read().strip() or 'another process'}. "
                "Wait for it, or stop it first."
            ) from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield Held(file.fileno())


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a directory if it can be; false where another process holds it. A lock that is not there stays away."""
    lock = folder / LOCK
    if os.name == "nt" or not lock.is_file():
        yield True
        return
    import fcntl

    with lock.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def check_free(folder: Path) -> None:
    """ConfigError for a directory in which a run lies already: a second one would cut its files."""
    there = next((name for name in OF_A_RUN if (folder / name).exists()), None)
    if there is not None:
        raise ConfigError(
            f"{shown(folder)} holds {there} already, so no new run begins there.\n"
            f"  to continue it: {typed('gan-lab')} resume {shown(folder)}; to start another: choose another directory"
        )


def mark(folder: Path) -> None:
    """Mark a directory as a run's own; one in which something else lies gets no mark, and is never removed."""
    others = [path.name for path in folder.iterdir() if path.name not in BEFORE and not path.name.startswith("attempt")]
    if not others:
        written = {"made_by": "gan-lab", "began": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        with open(folder / MARK, "w", encoding="utf-8", opener=itself) as file:
            file.write(json.dumps(written) + "\n")
