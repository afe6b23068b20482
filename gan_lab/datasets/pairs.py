"""A folder or zip file of pairs: two pictures of one name in A and B, or both sides of one picture."""

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from torch import Tensor

from gan_lab.datasets.base import Batch, check_choice, check_fact
from gan_lab.datasets.decode import Unreadable, fitted, opened
from gan_lab.datasets.folder import Folder, check_channels
from gan_lab.datasets.layout import Choice, below, choose, find_sides, shorten
from gan_lab.errors import DataError

NAMED = 10  # pictures without a partner that a message lists


class PairedFolder(Folder):
    """Pairs of pictures as pix2pix takes them (Isola et al. 2017, arXiv 1611.07004), found and decoded as in `Folder`.

    Where there are folders A and B, or input and target, pictures whose names below these differ in nothing but their
    extension are a pair; in one folder each picture holds both sides, A on the left. Splits (train, test, val) may lie
    above or below A and B, or in one word with them (trainA).
    `direction` says which side is the source. Raises DataError, also where a partner is missing; pairs of two sizes and
    pictures without two halves count as unreadable.
    """

    paired = True
    unit = "pairs"

    def __init__(
        self,
        path: str,
        split: str | None = None,
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        on_error: Literal["stop", "skip"] = "stop",
        max_pixels: int = 50_000_000,
        background: int | list[int] = 255,
        range: list[int] | None = None,
        cache: str = "auto",
        flip: bool = False,
        jitter: int = 0,
        channels: int = 3,
        source_channels: int = 3,
        image_size: int | list[int] = 256,
        num_classes: int = 0,
    ):
        check_choice("direction", direction, ("AtoB", "BtoA"))
        check_channels("source_channels", source_channels)
        check_fact("num_classes", num_classes, 0)
        self.direction, self.source_channels = direction, source_channels
        self.partners = {}  # name in A: name in B
        self.sides = []  # the folders of A and B, where they have some
        super().__init__(
            path, split, on_error, max_pixels, background, range, cache, flip, jitter, channels, image_size, num_classes
        )

    def chosen(self, names: list[str], split: str | None) -> Choice:
        prefixes = find_sides(names, split, self.path)
        if not prefixes:
            return self.in_one_folder(choose(names, split, self.path))
        if len(prefixes) < 2:
            raise DataError(self.which_is_which(f"{', '.join(prefixes.values())} and none for the other side"))
        sides = [stems(below(names, prefix), prefix, self.path) for prefix in prefixes.values()]
        self.check_partners(*prefixes.values(), *sides)
        self.partners = {name: sides[1][stem] for stem, name in sides[0].items()}
        self.sides = list(prefixes.values())
        return Choice(prefixes["A"], list(self.partners))

    def in_one_folder(self, chosen: Choice) -> Choice:
        """Pictures that hold both sides; in several folders they might be the sides themselves."""
        folders = sorted({name.rpartition("/")[0] for name in chosen.names})
        if len(folders) > 1:
            raise DataError(self.which_is_which(shorten(folders)))
        return chosen

    def which_is_which(self, folders: str) -> str:
        return (
            f"{self.path} has pictures in {folders}: call the folder of one side A and that of the other B (or input "
            "and target, trainA and trainB), with partners of one name; or lay pictures that hold both sides, A on the "
            "left, into one folder."
        )

    def check_partners(self, at_a: str, at_b: str, in_a: dict[str, str], in_b: dict[str, str]) -> None:
        lonely = [f"{in_a[stem]} (no {at_b}{stem})" for stem in in_a if stem not in in_b]
        lonely += [f"{in_b[stem]} (no {at_a}{stem})" for stem in in_b if stem not in in_a]
        if lonely:
            more = f"; and {len(lonely) - NAMED} more" if len(lonely) > NAMED else ""
            raise DataError(
                f"{len(lonely)} of {len(in_a) + len(in_b)} pictures in {self.path} have no partner of their name: "
                f"{'; '.join(lonely[:NAMED])}{more}.\nAdd the partners, or remove these pictures."
            )

    # ---- decoding ----

    def decode(self, name: str) -> np.ndarray:
        """Source and image of a row, their channels one after the other, uint8 [H, W, C of both]."""
        sides = self.two_files(name) if self.partners else self.two_halves(name)
        source, image = sides if self.direction == "AtoB" else sides[::-1]
        size, channels = self.shape[:2], (self.source_channels, self.shape[2] - self.source_channels)
        both = zip((source, image), channels, strict=True)
        return np.concatenate([fitted(side, size, c, self.background, self.span) for side, c in both], axis=2)

    def two_files(self, name: str) -> tuple[Image.Image, Image.Image]:
        partner = self.partners[name]
        a, b = self.opened(name), self.opened(partner)
        if a.size != b.size:
            raise Unreadable(f"{a.height} x {a.width} pixels, but {partner} has {b.height} x {b.width}")
        return a, b

    def two_halves(self, name: str) -> tuple[Image.Image, Image.Image]:
        whole = self.opened(name)
        if whole.width % 2:
            raise Unreadable(f"a width of {whole.width} pixels is odd, so it is not two pictures side by side")
        half = whole.width // 2
        return whole.crop((0, 0, half, whole.height)), whole.crop((half, 0, whole.width, whole.height))

    def opened(self, name: str) -> Image.Image:
        try:
            return opened(self.source.read(name, self.most_bytes), self.max_pixels)
        except Unreadable as error:
            raise Unreadable(f"{name}: {error}" if name in self.partners.values() else str(error)) from error

    def batch(self, image: Tensor, indices: Tensor | slice = slice(None)) -> Batch:
        source, image = image.split([self.source_channels, image.shape[3] - self.source_channels], dim=3)
        return {"image": image.contiguous(), "source": source.contiguous()}

    @property
    def files(self) -> list[str]:
        return [*self.names, *self.partners.values()]

    @property
    def recipe(self) -> list[object]:
        return ["pairs", self.direction, self.source_channels, *super().recipe]

    def describe(self) -> str:
        where = "A is the left half of each picture" if not self.sides else "A lies in {}, B in {}".format(*self.sides)
        a, b = ("source", "image") if self.direction == "AtoB" else ("image", "source")
        return f"{super().describe()}\n{where}; A is the {a}, B the {b}"


def stems(names: list[str], prefix: str, path: Path) -> dict[str, str]:
    """Names by what is left of them without prefix and extension. Raises DataError where two would be the same."""
    found = {name.removeprefix(prefix).rpartition(".")[0]: name for name in names}
    if len(found) < len(names):
        counts = Counter(name.removeprefix(prefix).rpartition(".")[0] for name in names)
        twice = next(stem for stem, count in counts.items() if count > 1)
        raise DataError(f"{path} has {counts[twice]} pictures called {prefix}{twice}; leave the one that is meant.")
    return found
