"""Checkpoints that are whole or not there: written aside, synced, renamed, and committed by a sidecar."""

import errno
import hashlib
import json
import os
import pickle
from contextlib import suppress
from pathlib import Path

import torch

from gan_lab.errors import CheckpointError, ResourceError
from gan_lab.storage.files import committed, is_checkpoint, json_of, step_of, sync, write_text

SCHEMA = 1


def save(folder: Path, state: dict, *, keep: int | None = None, name: str | None = None) -> Path:
    """Write `state` (plain tensors, numbers, strings, lists and dicts) as `step-<step>.pt`, and keep the last `keep`.

    Older ones are removed only where `keep` newer ones are whole: a damaged one replaces nothing. None keeps all.

    The sidecar `.json`, written last, commits the file: it holds step, schema and sha256. Raises ResourceError when
    the disk is full; the older checkpoints are then untouched. A file with another `name` is never pruned.
    """
    path = folder / f"{name or 'step-{:08d}'.format(state['step'])}.pt"
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    try:
        folder.mkdir(exist_ok=True)
        with temporary.open("wb") as file:
            torch.save({"schema": SCHEMA, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        digest = sha256(temporary)
        temporary.replace(path)
        sync(folder)
        write_text(path.with_suffix(".json"), json.dumps({"step": state["step"], "schema": SCHEMA, "sha256": digest}))
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):
            raise
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            gone = "" if folder.parent.is_dir() else " The run is no longer there: was it renamed?"
            raise ResourceError(f"The checkpoint {path} cannot be written: {error.strerror}.{gone}") from error
        raise ResourceError(
            f"The disk is full: the checkpoint {path} was not written; the ones before it are untouched. "
            "Free some space, then `gan-lab resume` the run."
        ) from error
    WHOLE[path] = stamp(path)
    if keep is not None:
        prune(folder, keep)
    return path


def prune(folder: Path, keep: int) -> None:
    """Remove what `keep` newer checkpoints replace, each of them seen to be whole; damaged ones stay and are told."""
    whole = 0
    for path in committed(folder):
        if whole < keep:
            whole += is_whole(path)
        else:
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            WHOLE.pop(path, None)


def is_whole(path: Path) -> bool:
    """Whether a checkpoint is what its sidecar says; what this process has seen to be whole is not read again."""
    try:
        if WHOLE.get(path) == stamp(path):
            return True
        if sha256(path) != json_of(path.with_suffix(".json"))["sha256"]:
            return False
    except (CheckpointError, OSError, KeyError, TypeError):
        return False
    WHOLE[path] = stamp(path)
    return True


def stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written anew or damaged by a program."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


WHOLE: dict[Path, tuple[int, int, int]] = {}  # the checkpoints that this process has written or checked


def load_newest(folder: Path, say=print) -> dict:
    """The newest checkpoint of a run that is whole; an older one, said aloud, where the newest is damaged.

    Raises CheckpointError when there is none: a run never starts again from scratch unasked.
    """
    candidates = committed(folder)
    newest = max((step_of(path) for path in folder.glob("step-*.pt") if is_checkpoint(path)), default=-1)
    if candidates and newest > step_of(candidates[0]):
        say(f"The checkpoint of step {newest} lacks its sidecar, so it was never committed; taking the one before it.")
    if not candidates:
        raise CheckpointError(f"{folder} holds no checkpoint; the run ended before its first one was saved.")
    for path in candidates:
        try:
            return load(path)
        except CheckpointError as error:
            say(f"{error} Falling back to the checkpoint before it.")
    raise CheckpointError(f"No checkpoint in {folder} is whole; {len(candidates)} were tried.")


def load(path: Path) -> dict:
    """One checkpoint, checked against its sidecar, and opened without running any code from it."""
    try:
        sidecar = json_of(path.with_suffix(".json"))
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is no regular file.")
        if sidecar["schema"] > SCHEMA:
            raise CheckpointError(
                f"{path} was written by a newer gan-lab (schema {sidecar['schema']}); upgrade to read it."
            )
        if sha256(path) != sidecar["sha256"]:
            raise CheckpointError(f"{path} is damaged: its content does not match the checksum in its sidecar.")
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename} is missing.") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint of tensors and numbers.") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} holds more than tensors and numbers; it is not opened.") from error


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
