"""A folder or zip file of two domains: pictures of A and pictures of B that do not belong together."""

from pathlib import Path
from typing import Literal

import torch

from gan_lab.datasets.base import check_choice, check_fact
from gan_lab.datasets.decode import EXTENSIONS
from gan_lab.datasets.domains import Domains
from gan_lab.datasets.folder import Folder, check_channels
from gan_lab.datasets.layout import Choice, below, counted, find_sides
from gan_lab.datasets.source import open_source
from gan_lab.errors import DataError, MissingDataError


class UnpairedFolder(Domains):
    """Folders trainA, trainB, testA and testB, as CycleGAN has them (Zhu et al. 2017, arXiv 1703.10593).

    `split` is what stands before A and B, or above or below them; `direction` says which domain the sources are of.
    Each folder is read as a `Folder`: its pictures may lie deeper, and other settings mean the same. Raises DataError
    where a domain is missing or empty.
    """

    def __init__(
        self,
        path: str,
        split: str = "train",
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        on_error: Literal["stop", "skip"] = "stop",
        max_pixels: int = 50_000_000,
        background: int | list[int] = 255,
        range: list[int] | None = None,
        cache: str = "auto",
        seed: int = 0,
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
        self.path = Path(path).expanduser()
        self.names = find_domains(self.path, split)
        self.names = self.names if direction == "AtoB" else self.names[::-1]
        sources, images = (
            Domain(
                path, name, on_error, max_pixels, background, range, cache,
                jitter=jitter, channels=c, image_size=image_size, num_classes=0,
            )
            for name, c in zip(self.names, (source_channels, channels), strict=True)
        )  # fmt: skip
        super().__init__(sources, images, torch.arange(len(sources)), torch.arange(len(images)), seed, flip, jitter)

    def describe(self) -> str:
        return f"{super().describe()}\nfrom {self.path}: {self.names[0]} to {self.names[1]}, by seed {self.seed}"


class Domain(Folder):
    """The pictures below one folder, named in full as `split`."""

    def chosen(self, names: list[str], split: str) -> Choice:
        return Choice(f"{split}/", below(names, f"{split}/"))


def find_domains(path: Path, split: str) -> list[str]:
    """The folders of A and B; DataError for a domain without pictures, with the folders that have some."""
    pictures = [name for name in open_source(path).files if name.lower().endswith(EXTENSIONS)]
    kind, found = DataError, {}
    try:
        found = find_sides(pictures, split, path)
    except MissingDataError:
        kind = MissingDataError
    if len(found) == 2:
        return [prefix.rstrip("/") for prefix in found.values()]
    lacking = next(side for side in "AB" if side not in found)
    raise kind(
        f"{path} has no pictures in a folder {split}{lacking}; it has {counted(pictures)}.\n"
        f"Put one domain into {split}A and the other into {split}B, or set dataset.split to what stands before A and B."
    )
