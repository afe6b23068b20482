"""Pictures decoded once into one file that later runs map into memory: whole, or not there at all.

A pack is the pixels, picture after picture, then a manifest in JSON, its length and its checksum. The manifest has the
checksums of the pixels by blocks, which are compared whenever a pack is opened: a damaged one is made anew. Its name is
the hash of all that it was made from, so that a changed source asks for a name that is not there. Beside it lie only
the lock and what an interrupted packing left, which the next one removes. Every pack may be deleted at any time.
"""

import hashlib
import json
import math
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan_lab.errors import DISK_IS_FULL, ResourceError
from gan_lab.storage.files import user_cache

FORMAT, LENGTH = 2, struct.Struct("<QI")  # of the manifest, and its checksum
BLOCK = 1 << 24  # bytes under one checksum
Chunks = Generator[tuple[np.ndarray, dict[str, str]], None, None]  # [n, H, W, C] in order; unreadable names: reasons


@dataclass
class Pack:
    """`pixels` uint8 [N, H, W, C] are mapped from the file; the files in `bad`, with their reasons, have no row.

    `replaces`: what was the matter with the file that was there before, if it was made anew for that.
    """

    pixels: np.ndarray
    bad: dict[str, str]
    replaces: str = ""


class Damaged(Exception):
    """A file that is no whole pack."""


def fetch(
    path: Path, shape: tuple[int, ...], count: int, chunks: Callable[[], Chunks], is_stale: Callable[[Pack], bool]
) -> Pack:
    """The pack at `path`, made from `chunks` of at most `count` pictures of `shape` if it is not there or `is_stale`.

    Several processes may ask at once: one packs, the others wait for it. Other packs in the directory are of the same
    source as it was before, and are removed. Raises ResourceError where the disk is full or cannot be written.
    """
    needed = count * math.prod(shape)
    with explained(path.parent, needed):
        pack, _ = usable(path, shape, is_stale)
        if pack:
            return pack
        check_room(path.parent, needed)
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent):
            pack, damage = usable(path, shape, is_stale)  # another process may have made it
            if pack:
                return pack
            remove(path.parent.glob("*.part*"))
            write(path, shape, chunks())
            remove(old for old in path.parent.glob("*.pack") if old != path)
            return replace(opened(path, shape), replaces=damage)


def usable(path: Path, shape: tuple[int, ...], is_stale: Callable[[Pack], bool]) -> tuple[Pack | None, str]:
    """The pack if it can be taken, and what is the matter with the file if it is damaged."""
    try:
        pack = opened(path, shape)
    except Damaged as damage:
        return None, str(damage)
    return (None if pack is None or is_stale(pack) else pack), ""


def opened(path: Path, shape: tuple[int, ...]) -> Pack | None:
    """The pack in a file, or None where there is none; raises Damaged."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        try:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LENGTH.size))
            length, checksum = LENGTH.unpack(file.read())
            start = size - LENGTH.size - length
            file.seek(start)
            text = file.read(length)
            if zlib.crc32(text) != checksum:
                raise Damaged("its manifest is damaged")
            manifest = json.loads(text)
        except (struct.error, OSError, ValueError) as error:
            raise Damaged("its end is missing") from error
        whole = (manifest["count"], *shape)
        if start != math.prod(whole):
            raise Damaged("its length is wrong")
        pixels = np.memmap(file, np.uint8, mode="c", shape=whole) if start else np.empty(whole, np.uint8)
    flat, blocks = pixels.reshape(-1), manifest["blocks"]
    with tqdm(enumerate(blocks), total=len(blocks), desc="checking images", unit="", delay=2, disable=None) as bar:
        for number, checksum in bar:
            if zlib.crc32(flat[number * BLOCK : (number + 1) * BLOCK]) != checksum:
                raise Damaged("some of its pixels are damaged")
    return Pack(pixels, manifest["bad"])


def write(path: Path, shape: tuple[int, ...], chunks: Chunks) -> None:
    """Write a pack under another name, and give it its own when all of it is on the disk."""
    temporary, count, bad = path.with_suffix(f".part{os.getpid()}"), 0, {}
    blocks, filled = [0], 0  # checksums, and bytes in the last block
    try:
        with closing(chunks), temporary.open("wb") as file:
            for pixels, unreadable in chunks:
                file.write(pixels)
                flat = pixels.reshape(-1)
                while len(flat):
                    if filled == BLOCK:
                        blocks, filled = [*blocks, 0], 0
                    part, flat = flat[: BLOCK - filled], flat[BLOCK - filled :]
                    blocks[-1], filled = zlib.crc32(part, blocks[-1]), filled + len(part)
                count += len(pixels)
                bad |= unreadable
            facts = {"format": FORMAT, "count": count, "shape": shape, "bad": bad, "blocks": blocks}
            manifest = json.dumps(facts).encode()
            file.write(manifest + LENGTH.pack(len(manifest), zlib.crc32(manifest)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(PermissionError):  # Windows keeps what another run holds open
            file.unlink(missing_ok=True)


# ---- names ----------------------------------------------------------------------------------------------------------


def directory(cache: str) -> Path:
    """Where packs lie: the directory that the setting names, or the user's cache directory."""
    if is_path(cache):
        return Path(cache).expanduser().resolve()
    return user_cache()


def is_path(cache: str) -> bool:
    return bool({"/", os.sep} & set(cache))


def digest(*words: object, stamps: Iterable[tuple[str, int, int]] = ()) -> str:
    """A hash of plain values, and of files by their names and stamps."""
    found = hashlib.sha256(json.dumps([FORMAT, *words]).encode())
    for name, size, stamp in stamps:
        found.update(f"\0{name}\0{size}\0{stamp}".encode(errors="surrogateescape"))
    return found.hexdigest()


# ---- the disk -------------------------------------------------------------------------------------------------------

REMEDY = "set dataset.cache to a directory on another disk, or dataset.cache=never."


def check_room(folder: Path, needed: int) -> None:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise ResourceError(
            f"{folder} has {mebibytes(free)} free, but the packed pictures take {mebibytes(needed)}.\n"
            f"Free some space, {REMEDY}"
        )


@contextmanager
def explained(folder: Path, needed: int) -> Iterator[None]:
    """What the system says about a directory, as a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_IS_FULL:
            raise ResourceError(
                f"The disk is full: packed pictures take {mebibytes(needed)} in {folder}.\nFree some space, {REMEDY}"
            ) from error
        raise ResourceError(
            f"Pictures cannot be packed in {folder} ({error.strerror}).\n{REMEDY[0].upper()}{REMEDY[1:]}"
        ) from error


def mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a directory for this process; wait while another one holds it."""
    if os.name == "nt":  # Windows has no flock
        yield
        return
    import fcntl

    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
