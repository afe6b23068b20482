"""What is computed once and kept: files in the user's cache directory, named by a hash of all that they depend on."""

import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from gan_lab.errors import ResourceError

FORMAT = 1  # raised when what the files hold changes


def place() -> Path:
    """Where judges and reference statistics lie; everything in it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "gan-lab" / "metrics"


def digest(*parts: Tensor | str | int) -> str:
    """A hash of tensors, texts and numbers: their types, shapes and contents, 16 hexadecimal digits."""
    found = hashlib.sha256(str(FORMAT).encode())
    for part in parts:
        if isinstance(part, Tensor):
            found.update(f"{part.dtype} {tuple(part.shape)}".encode())
            found.update(part.contiguous().cpu().numpy())
        else:
            found.update(repr(part).encode())
    return found.hexdigest()[:16]


def kept(name: str, make: Callable[[], dict]) -> dict:
    """What the file `name` holds, plain tensors and numbers; made and written first where it is missing or damaged.

    A place that cannot be written is said once, and what is made is then made again by the next process.
    """
    path = place() / f"{name}.pt"
    state = read(path)
    if state is None:
        state = make()
        try:
            write(path, state)
        except ResourceError as error:
            tell_once(f"Nothing is kept for the next time: {error}")
    return state


@cache
def tell_once(line: str) -> None:
    print(line, file=sys.stderr)


def read(path: Path) -> dict | None:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:  # missing, or not to be read
        return None
    except (pickle.UnpicklingError, RuntimeError, EOFError):  # damaged: made anew
        return None


def write(path: Path, state: dict) -> None:
    """Write under another name and rename, so that a reader never sees half of it; ResourceError where it cannot be."""
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(state, file)
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(
            f"cannot write to {str(path.parent)!r}: {error.strerror}; set XDG_CACHE_HOME to another place."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
