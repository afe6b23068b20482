"""Any folder or zip file of images: flat, or one folder for each class."""

import os
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from gan_lab.datasets.base import Batch, Dataset, check_choice, check_image_size
from gan_lab.datasets.decode import EXTENSIONS, Unreadable, decode, header
from gan_lab.errors import DataError

SPLITS = {"train", "test", "val", "valid", "validation"}
CHUNK = 64  # images that a thread decodes at a time
WORTH_A_THREAD_SECONDS = 5e-4  # a picture; measured: two threads lose below, win above


class Folder(Dataset):
    """Images under a folder or in a zip file, which is read in place; `decode.py` tells how a file becomes a picture.

    When the top holds nothing but splits (train, test, val), `split` chooses one, by default train. Below it, the first
    folder of a name is the class; where pictures lie at the top, or all in one folder, there are no labels. Hidden
    files are ignored. `num_classes` null takes the classes as found, a number asserts them, 0 ignores them.
    `background`, a grey level or [red, green, blue], lies behind what is transparent. `on_error="skip"` decodes every
    file once at the start and leaves out the unreadable ones; "stop" names them when they are met.
    """

    def __init__(
        self,
        path: str,
        split: str | None = None,
        on_error: Literal["stop", "skip"] = "stop",
        max_pixels: int = 50_000_000,
        background: int | list[int] = 255,
        flip: bool = False,
        channels: int = 3,
        image_size: int | list[int] = 64,
        num_classes: int | None = None,
    ):
        check_choice("on_error", on_error, ("stop", "skip"))
        if channels not in (1, 3):
            raise ValueError(f"channels={channels} must be 1 (grey) or 3 (colour).")
        if max_pixels < 1:
            raise ValueError(f"max_pixels={max_pixels} must be at least 1.")
        self.max_pixels, self.background = max_pixels, colour(background)
        size = two_sides(image_size)

        # Find the pictures.
        self.path = Path(path).expanduser()
        files, self.read = open_source(self.path)
        names = [name for name in files if name.lower().endswith(EXTENSIONS)]
        self.others = count_extensions(set(files) - set(names))
        if not names:
            raise DataError(
                f"{self.path} holds no pictures: looked for {', '.join(EXTENSIONS)}, found {self.others or 'no files'}."
            )
        self.prefix = find_prefix(names, split, self.path)
        self.names = [name for name in names if name.startswith(self.prefix)]

        # Leave out what cannot be read.
        self.channels, self.image_size = channels, size  # what decoding needs
        self.skipped = self.decode_all() if on_error == "skip" else {}
        if len(self.skipped) == len(self.names):
            raise DataError(self.complaint(self.skipped))
        self.names = [name for name in self.names if name not in self.skipped]

        # Number the classes.
        folders = class_folders(self.names, self.prefix)
        classes = sorted(set(folders)) if num_classes != 0 else []
        if num_classes not in (None, len(classes)):
            raise DataError(
                f"dataset.num_classes={num_classes}, but {self.path} has {len(classes)} class folders"
                f"{': ' if classes else ''}{shorten(classes)}.\n"
                f"Set dataset.num_classes={len(classes)}, or null to take them as they are."
            )
        numbers = {name: i for i, name in enumerate(classes)}
        labels = torch.tensor([numbers[folder] for folder in folders]) if classes else None
        super().__init__(channels, size, labels, classes, flip)

    def __len__(self) -> int:
        return len(self.names)

    def load(self) -> Batch:
        pixels = np.empty((len(self), *self.image_size, self.channels), dtype=np.uint8)
        bad = self.decode_all(pixels)
        if bad:
            raise DataError(self.complaint(bad))
        image = torch.from_numpy(pixels)
        return {"image": image, "label": self.labels} if self.classes else {"image": image}

    def rows(self, indices: Tensor) -> Batch:
        pixels = np.empty((len(indices), *self.image_size, self.channels), dtype=np.uint8)
        for row, i in enumerate(indices.tolist()):
            try:
                pixels[row] = self.decode(self.names[i])
            except Unreadable as error:
                raise DataError(self.complaint({self.names[i]: str(error)})) from error
        image = torch.from_numpy(pixels)
        return {"image": image, "label": self.labels[indices]} if self.classes else {"image": image}

    def describe(self) -> str:
        """Besides the classes, the sizes and modes of up to a hundred files as they lie there."""
        step = -(-len(self) // 100)
        sizes, modes = Counter(), Counter()
        for name in self.names[::step]:
            try:
                size, mode = header(self.read(name, self.most_bytes))
            except Unreadable:
                continue  # named when it is decoded
            sizes[size] += 1
            modes[mode] += 1
        found = f"from {self.path / self.prefix}; {sizes.total()} files looked at: {count(sizes)}; {count(modes)}"
        if self.skipped:
            found += f"\nleft out {len(self.skipped)} unreadable: {shorten(self.skipped)}"
        if self.others:
            found += f"\nignored {self.others}"
        return f"{super().describe()}\n{found}"

    # ---- decoding ----

    @property
    def most_bytes(self) -> int:
        return 8 * self.max_pixels + (1 << 20)  # 16 bits, four channels, not compressed

    def decode(self, name: str) -> np.ndarray:
        data = self.read(name, self.most_bytes)
        return decode(data, self.image_size, self.channels, self.background, self.max_pixels)

    def decode_all(self, pixels: np.ndarray | None = None) -> dict[str, str]:
        """Decode every file, into `pixels` [N, H, W, C] if given; return the unreadable ones with their reasons."""

        def work(start: int) -> dict[str, str]:
            bad = {}
            for i, name in enumerate(self.names[start : start + CHUNK], start):
                try:
                    picture = self.decode(name)
                except Unreadable as error:
                    bad[name] = str(error)
                    continue
                if pixels is not None:
                    pixels[i] = picture
            return bad

        # Time the first chunk: small pictures are read faster by one thread than by several that wait for each other.
        began = time.perf_counter()
        bad = work(0)
        threads = os.cpu_count() if time.perf_counter() - began > CHUNK * WORTH_A_THREAD_SECONDS else 1

        with (
            ThreadPoolExecutor(threads) as pool,
            tqdm(total=len(self.names), initial=CHUNK, desc="reading images", unit="", delay=2, disable=None) as bar,
        ):
            for part in pool.map(work, range(CHUNK, len(self.names), CHUNK)):
                bad |= part
                bar.update(CHUNK)
        return bad

    def complaint(self, bad: dict[str, str]) -> str:
        listed = "; ".join(f"{name} ({reason})" for name, reason in list(bad.items())[:10])
        more = f"; and {len(bad) - 10} more" if len(bad) > 10 else ""
        return (
            f"{len(bad)} of {len(self.names)} pictures in {self.path} cannot be read: {listed}{more}.\n"
            "Repair or remove them, or leave them out with dataset.on_error=skip."
        )


# ---- where the bytes are --------------------------------------------------------------------------------------------

Read = Callable[[str, int], bytes]  # name of a file, most bytes to accept -> its bytes; raises Unreadable


def open_source(path: Path) -> tuple[list[str], Read]:
    """The names of all files, sorted, with `/` between folders; and the function that reads one, from any thread."""
    if path.is_dir():
        return sorted(walk(path)), lambda name, most: read_file(path / name, most)
    if not path.exists():
        raise DataError(f"{path} does not exist (looked in {Path.cwd()}). Set dataset.path to a folder or a zip file.")
    try:
        archive, lock = zipfile.ZipFile(path), threading.Lock()
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is neither a folder nor a zip file that can be read ({error}).") from error
    names = {name for name in archive.namelist() if not name.endswith("/") and not hidden(name)}
    return sorted(names), lambda name, most: read_member(archive, lock, name, most)


def walk(root: Path) -> Iterable[str]:
    """Names of the files below a folder; links to folders are followed, each folder is entered once."""
    entered = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        here = Path(folder)
        entered.add(here.resolve())
        folders[:] = [name for name in folders if not hidden(name) and (here / name).resolve() not in entered]
        yield from ((here / name).relative_to(root).as_posix() for name in files if not hidden(name))


def hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def read_file(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return limited(file.read(most + 1), most)
    except OSError as error:
        raise Unreadable(str(error)) from error


def read_member(archive: zipfile.ZipFile, lock: threading.Lock, name: str, most: int) -> bytes:
    try:
        with lock, archive.open(name) as file:
            return limited(file.read(most + 1), most)
    except Unreadable:
        raise
    except Exception as error:  # encrypted, of an unknown method, damaged: zipfile raises each in its own way
        raise Unreadable(str(error)) from error


def limited(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise Unreadable(f"more than {most:,} bytes, too many for max_pixels")
    return data


# ---- what the names say ---------------------------------------------------------------------------------------------


def find_prefix(names: list[str], split: str | None, path: Path) -> str:
    """What the chosen names begin with: the folders that hold everything, and the split."""
    prefix = common_folder(names, stop={*SPLITS, split})
    tops = {name.removeprefix(prefix).rpartition("/")[0].partition("/")[0] for name in names}
    if split is None and not tops <= SPLITS:
        return common_folder(names)
    split = split or "train"
    if split not in tops:
        there = f"has only {shorten(sorted(tops))}" if tops != {""} else "has no folders"
        raise DataError(f"{path} has no folder {split}: it {there}. Set dataset.split to a folder of it, or null.")
    return f"{prefix}{split}/"


def common_folder(names: list[str], stop: Iterable[str] = ()) -> str:
    shared = os.path.commonprefix([name.split("/")[:-1] for name in names])  # of lists: whole folders
    return "".join(f"{part}/" for part in takewhile(lambda part: part not in stop, shared))


def class_folders(names: list[str], prefix: str) -> list[str]:
    """The class folder of each name, or nothing at all where not every picture has one or all share it."""
    folders = [name.removeprefix(prefix).rpartition("/")[0].partition("/")[0] for name in names]
    return folders if len(set(folders)) > 1 and "" not in folders else []


def count_extensions(names: Iterable[str]) -> str:
    return count(Counter(Path(name).suffix.lower() or "without extension" for name in names))


def count(counter: Counter) -> str:
    shown = ", ".join(f"{name} ({number:,})" for name, number in counter.most_common(5))
    return shown + (", ..." if len(counter) > 5 else "")


def shorten(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


# ---- arguments ------------------------------------------------------------------------------------------------------


def two_sides(image_size: int | list[int]) -> tuple[int, int]:
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2:
        raise ValueError(f"image_size={image_size} must be one number, or height and width such as [48, 64].")
    check_image_size(*sides)
    return sides


def colour(background: int | list[int]) -> tuple[int, int, int]:
    levels = (background,) * 3 if isinstance(background, int) else tuple(background)
    if len(levels) != 3 or not all(0 <= level <= 255 for level in levels):
        raise ValueError(f"background={background} must be a grey level from 0 to 255, or [red, green, blue].")
    return levels
