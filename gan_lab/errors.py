"""What can go wrong for a user, each kind with its documented exit code; the message is the whole answer."""

import errno
import os
import sys
import traceback
from pathlib import Path

TRUSTED = set()  # the packages that this process was told to trust, which are the user's own
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was not enough, of the machine or of a device, as Python or torch tell."""
    text = str(error)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in text


class GanLabError(Exception):
    """A mistake or a mishap that one to three lines explain: the cause, the offending value and the remedy."""

    exit_code = 1


class ConfigError(GanLabError):
    """A word, a type, a value or a combination in the configuration that cannot work."""

    exit_code = 2


class DataError(GanLabError):
    """Data that is missing, unreadable or not what the configuration says it is."""

    exit_code = 3


class MissingDataError(DataError):
    """A split or a file that is not there; what is wrong with one that is there is another DataError."""


class CheckpointError(GanLabError):
    """A checkpoint or a run directory that is missing, damaged or of another experiment."""

    exit_code = 4


class DivergedError(GanLabError):
    """Training that left the finite numbers and cannot go on."""

    exit_code = 5


class ResourceError(GanLabError):
    """A device, memory or disk that is not there or not enough."""

    exit_code = 6


def fault_in(error: Exception) -> str:
    """File, line and function of the user's own code in which an error arose, and where from there; or nothing.

    The user's own is what neither gan-lab nor an installation put there: the innermost such call counts.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    homes = tuple(str(Path(path).resolve()) for path in (sys.prefix, Path(os.__file__).parent))
    ours = str(Path(__file__).parent.resolve())
    inner = ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = str(Path(frame.filename).resolve())
        if file.startswith(f"{ours}{os.sep}"):
            inner = inner or f", from there in gan_lab{file.removeprefix(ours)}, line {frame.lineno}"
        elif Path(file).is_file() and (is_trusted(file) or not ("site-packages" in file or file.startswith(homes))):
            name = "" if frame.name == "<module>" else f" ({frame.name})"
            return f"{frame.filename}, line {frame.lineno}{name}{inner}"
    return ""


def is_trusted(file: str) -> bool:
    """Whether a file is of a package that the user trusts, wherever it is installed."""
    return any(f"/{name}/" in Path(file).as_posix() or Path(file).name == f"{name}.py" for name in TRUSTED)


def in_words(error: Exception) -> str:
    """An error that no sentence was written for, in a line: its kind, its words and whose code it arose in."""
    words = " ".join(str(error).split())
    place = fault_in(error)
    return f"{type(error).__name__}{words and f': {words}'}{place and f' - in {place}'}"


def code_of(summary: dict) -> int:
    """The exit code of a run that ended well, or of the signal that stopped it."""
    return 128 + summary["signal"] if summary["status"] == "stopped" else 0
