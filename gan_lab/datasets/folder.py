"""Any folder or zip file of images: flat, one folder for each class, or with StyleGAN's `dataset.json`."""

import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
import torch
from torch import Tensor
from tqdm import tqdm

from gan_lab.datasets import packed
from gan_lab.datasets.base import Batch, Dataset, check_choice, check_image_size, check_jitter, chosen
from gan_lab.datasets.decode import EXTENSIONS, FULL, POLICY, Unreadable, decode, header, is_grey, opened
from gan_lab.datasets.layout import LISTED, Choice, choose, classes_of, count_classes, find_list, is_held_out, shorten
from gan_lab.datasets.source import open_source
from gan_lab.errors import DataError, ResourceError
from gan_lab.wording import counted

CHUNK = 64  # images that a thread decodes at a time
DARK = 4  # times that the values of 16-bit pictures stay below white before that is said
MOST_PIXELS = 1_000_000_000  # of one picture: decoded, it takes 4 GB
WORTH_A_THREAD_SECONDS = 5e-4  # a picture; measured: two threads lose below, win above

# What cache=auto packs: sets that one core decodes longer, as estimated from JPEGs of 1 and 24 kB, or that are larger
WORTH_A_PACK_SECONDS, WORTH_A_PACK_BYTES = 5.0, 256 << 20
SECONDS_PER_FILE, SECONDS_PER_BYTE = 1.1e-4, 3.1e-8


class Folder(Dataset):
    """Images under a folder or in a zip file, which is read in place; `decode.py` tells how a file becomes a picture.

    Where the top, or every class, holds nothing but splits (train, test, val, by any usual name), `split` chooses one,
    by default train. Below it, the first folder of a name is the class; where pictures lie at the top, or all in one
    folder, there are no labels. Every split has the classes of train. A `dataset.json` as StyleGAN's gives the labels
    instead. Hidden files are ignored. `num_classes` null takes the classes as found, a number asserts them, 0 ignores
    them. `background`, a grey level or [red, green, blue], lies behind what is transparent. `range`, as [0, 4095], are
    the values of 16-bit pictures that become black and white.

    `cache="auto"` decodes a small set into memory when it is first asked for, and packs a larger one (`packed.py`) in
    the user's cache directory, if there is room; "always" or a directory packs every set. "never" decodes what is not
    loaded as a whole each time that it is asked for. Unreadable files are named when the set is decoded or packed, with
    "never" when they are met; `on_error="skip"` leaves them out. Raises DataError, and ResourceError for the disk.
    """

    unit = "pictures"  # what a row is made of, in messages

    def __init__(
        self,
        path: str,
        split: str | None = None,
        on_error: Literal["stop", "skip"] = "stop",
        max_pixels: int = 50_000_000,
        background: int | list[int] = 255,
        range: list[int] | None = None,
        cache: str = "auto",
        flip: bool = False,
        jitter: int = 0,
        channels: int = 3,
        image_size: int | list[int] = 64,
        num_classes: int | None = None,
    ):
        check_choice("on_error", on_error, ("stop", "skip"))
        check_cache(cache)
        check_channels("channels", channels)
        check_jitter(jitter)
        if not 1 <= max_pixels <= MOST_PIXELS:
            raise ValueError(f"max_pixels={max_pixels} must lie between 1 and {MOST_PIXELS:_}.")
        self.max_pixels, self.background, self.span = max_pixels, colour(background), span_of(range)
        self.decoding = self.background, self.max_pixels, self.span
        sides = two_sides(image_size)
        self.shape = (*(side + jitter for side in sides), channels + (self.source_channels or 0))

        # Find the pictures.
        self.path = Path(path).expanduser()
        self.source = open_source(self.path)
        names = [name for name in self.source.files if name.lower().endswith(EXTENSIONS)]
        self.others = count_extensions(set(self.source.files) - set(names))
        if not names:
            raise DataError(
                f"{self.path} holds no pictures: looked for {', '.join(EXTENSIONS)}, found {self.others or 'no files'}."
            )
        chosen = self.chosen(names, split)
        self.prefix, self.names = chosen.prefix, chosen.names

        # Number the classes; a split that is held out may do without labels.
        numbers, classes = classes_of(names, chosen, split, self.path, self.source) if num_classes != 0 else ([], [])
        if num_classes not in (None, len(classes)) and (classes or not is_held_out(split)):
            kind = "class folders" if find_list(self.prefix, self.source) is None else f"classes in its {LISTED}"
            raise DataError(
                f"dataset.num_classes={num_classes}, but {self.path} has {len(classes)} {kind}"
                f"{': ' if classes else ''}{shorten(classes)}.\n"
                f"Set dataset.num_classes={len(classes)}, or null to take them as they are."
            )

        # Decode what will not be in memory, once; leave out what cannot be read.
        self.pack, self.in_memory, self.unpacked = None, cache == "auto", ""
        self.loading = threading.Lock()
        if cache != "never":
            self.find_pack(cache)
        bad = self.pack.bad if self.pack else self.find_unreadable() if on_error == "skip" else {}
        if len(bad) == len(self.names) or (bad and on_error == "stop"):
            raise DataError(self.complaint(bad))
        self.skipped = bad
        good = [i for i, name in enumerate(self.names) if name not in bad]
        self.names = [self.names[i] for i in good]
        labels = torch.tensor(numbers)[good] if classes else None
        super().__init__(channels, sides, labels, classes, flip, jitter, self.source_channels)

    @classmethod
    def numbers(cls, settings: dict[str, Any]) -> dict[str, int | None]:
        return {"num_classes": count_classes(settings["path"], settings.get("split")) or None}

    def __len__(self) -> int:
        return len(self.names)

    def chosen(self, names: list[str], split: str | None) -> Choice:
        """Of all pictures those of the split, one for each row."""
        return choose(names, split, self.path)

    def load(self) -> Batch:
        if self.pack:
            return self.batch(torch.from_numpy(np.array(self.pack.pixels)))
        pixels, start, bad = np.empty((len(self), *self.shape), dtype=np.uint8), 0, {}
        for part, unreadable in self.decoded():
            pixels[start : start + len(part)] = part
            start += len(part)
            bad |= unreadable
        if bad:
            raise DataError(self.complaint(bad))
        return self.batch(torch.from_numpy(pixels))

    def rows(self, indices: Tensor) -> Batch:
        if self.pack:
            return self.batch(torch.from_numpy(self.pack.pixels).index_select(0, indices), indices)
        if self.in_memory:
            with self.loading:
                self.tensors()
            return super().rows(indices)
        names = [self.names[i] for i in indices.tolist()]
        pixels, bad = self.decode_each(names)
        if bad:
            raise DataError(self.complaint(bad))
        return self.batch(torch.from_numpy(pixels), indices)

    def look(self, count: int) -> list[tuple[int, bool]]:
        names = [self.names[i] for i in chosen(len(self), count).tolist()]
        found = []
        for name in names:
            try:
                picture = opened(self.source.read(name, self.most_bytes), self.max_pixels)
                found.append((min(picture.size), is_grey(picture, self.background, self.span)))
            except Unreadable:  # said when the set is decoded
                continue
        return found

    def batch(self, image: Tensor, indices: Tensor | slice = slice(None)) -> Batch:
        return {"image": image, "label": self.labels[indices]} if self.classes else {"image": image}

    def describe(self) -> str:
        """Besides the classes, the sizes and modes of up to a hundred files as they lie there."""
        chosen = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:100].sort().values
        sizes, modes, highest, broken = Counter(), Counter(), -1, 0
        for name in (self.names[i] for i in chosen.tolist()):
            try:
                data = self.source.read(name, self.most_bytes)
                size, mode = header(data)
                if mode.startswith("I"):
                    highest = max(highest, int(np.asarray(opened(data, self.max_pixels)).max()))
            except Unreadable:
                broken += 1  # named when it is decoded
                continue
            sizes[size] += 1
            modes[mode] += 1
        lines = [super().describe()]
        looked = f"{len(chosen)} of {len(self):,} files" if len(chosen) < len(self) else counted(len(self), "file")
        there = f"{count(sizes)}; {count(modes)}" if sizes else ""
        damaged = f"{broken} cannot be read" if broken else ""
        found = "; ".join(filter(None, (there, damaged)))
        lines += [f"from {self.path / self.prefix}; {looked} looked at: {found}"]
        if 0 <= highest < self.span[1] / DARK:
            bits = max(1, highest).bit_length()
            lines += [f"warning: 16-bit values end at {highest:,}, nearly black: set dataset.range=[0,{2**bits - 1}]"]
        if self.pack:
            lines += [f"packed in {self.place}"]
            lines += [f"packed anew, since the pack was damaged: {self.pack.replaces}"] if self.pack.replaces else []
        if self.unpacked:
            lines += [f"not packed: {self.unpacked}"]
        if self.skipped:
            lines += [f"left out {len(self.skipped)} unreadable: {shorten(self.skipped)}"]
        if self.others:
            lines += [f"ignored {self.others}"]
        return "\n".join(lines)

    # ---- decoding ----

    @property
    def most_bytes(self) -> int:
        return 8 * self.max_pixels + (1 << 20)  # 16 bits, four channels, not compressed

    def decode(self, name: str) -> np.ndarray:
        data = self.source.read(name, self.most_bytes)
        return decode(data, self.shape[:2], self.shape[2], self.background, self.max_pixels, self.span)

    def decode_each(self, names: list[str]) -> tuple[np.ndarray, dict[str, str]]:
        """The readable ones of some files, [n, H, W, C], and the others with their reasons."""
        pixels, good, bad = np.empty((len(names), *self.shape), dtype=np.uint8), 0, {}
        for name in names:
            try:
                pixels[good] = self.decode(name)
                good += 1
            except Unreadable as error:
                bad[name] = str(error)
        return pixels[:good], bad

    def decoded(self) -> packed.Chunks:
        """Every file decoded, some at a time and in order."""
        chunks = (self.names[start : start + CHUNK] for start in range(0, len(self.names), CHUNK))

        # Time the first chunk: small pictures are read faster by one thread than by several that wait for each other.
        began = time.perf_counter()
        first = self.decode_each(next(chunks))
        threads = os.cpu_count() if time.perf_counter() - began > CHUNK * WORTH_A_THREAD_SECONDS else 1

        with (
            ThreadPoolExecutor(threads) as pool,
            tqdm(total=len(self.names), desc="reading images", unit="", delay=2, disable=None) as bar,
        ):
            ahead = deque(pool.submit(self.decode_each, chunk) for chunk in islice(chunks, 2 * threads))
            yield first
            bar.update(CHUNK)
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(self.decode_each, chunk) for chunk in islice(chunks, 1))
                bar.update(CHUNK)

    def find_unreadable(self) -> dict[str, str]:
        return {name: reason for _, bad in self.decoded() for name, reason in bad.items()}

    def complaint(self, bad: dict[str, str]) -> str:
        listed = "; ".join(f"{name} ({reason})" for name, reason in list(bad.items())[:10])
        more = f"; and {len(bad) - 10} more" if len(bad) > 10 else ""
        return (
            f"{len(bad)} of {len(self.names)} {self.unit} in {self.path} cannot be read: {listed}{more}.\n"
            "Repair or remove them, or leave them out with dataset.on_error=skip."
        )

    # ---- the pack ----

    @property
    def files(self) -> list[str]:
        """Every file that the rows are made of."""
        return self.names

    @property
    def recipe(self) -> list[object]:
        """What else decides how files become rows."""
        return [] if self.span == FULL else [*self.span]

    def find_pack(self, cache: str) -> None:
        """Find or make the pack of the chosen files, where the setting asks for one."""
        stamps = [(name, *self.source.stamp(name)) for name in self.files]
        if cache == "auto" and not is_worth_a_pack(stamps, self.shape):
            return
        self.in_memory = False
        what = [str(self.path.resolve()), self.prefix, self.shape, self.background, self.max_pixels, *self.recipe]
        size = "x".join(map(str, self.shape))
        self.place = packed.directory(cache) / f"{self.path.name[:40]}-{size}-{packed.digest(*what)[:12]}"
        key = packed.digest(*what, POLICY, PIL.__version__, stamps=stamps)
        try:
            self.pack = packed.fetch(
                self.place / f"{key[:32]}.pack", self.shape, len(self.names), self.decoded, self.is_outdated
            )
        except ResourceError as error:
            if cache != "auto":
                raise
            self.unpacked = str(error).replace("\n", " ")

    def is_outdated(self, pack: packed.Pack) -> bool:
        """Whether a file that could not be read when the pack was made can be read now, as after a chmod."""
        return len(self.decode_each(list(pack.bad))[0]) > 0


def is_worth_a_pack(stamps: list[tuple[str, int, int]], shape: tuple[int, ...]) -> bool:
    seconds = len(stamps) * SECONDS_PER_FILE + sum(size for _, size, _ in stamps) * SECONDS_PER_BYTE
    return seconds > WORTH_A_PACK_SECONDS or len(stamps) * math.prod(shape) > WORTH_A_PACK_BYTES


def count_extensions(names: Iterable[str]) -> str:
    return count(Counter(Path(name).suffix.lower() or "without extension" for name in names))


def count(counter: Counter) -> str:
    shown = ", ".join(f"{name} ({number:,})" for name, number in counter.most_common(5))
    return shown + (", ..." if len(counter) > 5 else "")


# ---- arguments ------------------------------------------------------------------------------------------------------


def two_sides(image_size: int | list[int]) -> tuple[int, int]:
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2:
        raise ValueError(f"image_size={image_size} must be one number, or height and width such as [48, 64].")
    check_image_size(*sides)
    return sides


def check_channels(name: str, channels: int) -> None:
    if channels not in (1, 3):
        raise ValueError(f"{name}={channels} must be 1 (grey) or 3 (colour).")


def check_cache(cache: str) -> None:
    if cache not in ("auto", "always", "never") and not packed.is_path(cache):
        raise ValueError(f"cache={cache} must be auto, always, never or a directory with a slash, such as ./packs.")


def span_of(range: list[int] | None) -> tuple[int, int]:
    low, high = FULL if range is None else (*range, *FULL)[:2] if len(range) == 2 else (0, -1)
    if not 0 <= low < high <= FULL[1]:
        raise ValueError(f"range={range} must be two values from 0 to {FULL[1]}, the lower first, such as [0, 4095].")
    return low, high


def colour(background: int | list[int]) -> tuple[int, int, int]:
    levels = (background,) * 3 if isinstance(background, int) else tuple(background)
    if len(levels) != 3 or not all(0 <= level <= 255 for level in levels):
        raise ValueError(f"background={background} must be a grey level from 0 to 255, or [red, green, blue].")
    return levels
