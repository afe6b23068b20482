"""What is computed once and kept: files in the user's cache directory, named by a hash of all that they depend on."""

import hashlib
import io
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from gan_lab.errors import ResourceError
from gan_lab.storage.files import user_cache

FORMAT = 2  # raised when what the files hold changes
CHECKSUM = hashlib.sha256().digest_size  # bytes before the content, of it and of the name


def place() -> Path:
    """Where judges and reference statistics lie; everything in it may be deleted at any time."""
    return user_cache() / "metrics"


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
    tqdm.write(line, file=sys.stderr)


def read(path: Path) -> dict | None:
    """The content of a file; None where there is none, or where it is damaged or was written under another name."""
    try:
        content = path.read_bytes() if path.is_file() else b""
        if content[:CHECKSUM] != checksum(path, memoryview(content)[CHECKSUM:]):
            return None
        return torch.load(io.BytesIO(content[CHECKSUM:]), map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError):
        return None


def checksum(path: Path, content: memoryview) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()


def write(path: Path, state: dict) -> None:
    """Write under another name and rename, so that a reader never sees half of it; ResourceError where it cannot be."""
    temporary, content = path.with_suffix(f".tmp{os.getpid()}"), io.BytesIO()
    torch.save(state, content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(checksum(path, content.getbuffer()) + content.getbuffer())
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(
            f"cannot write to {str(path.parent)!r}: {error.strerror}; set XDG_CACHE_HOME to another place."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
