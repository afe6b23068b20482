"""A folder or zip file of two domains: pictures of A and pictures of B that do not belong together."""

from collections import Counter
from pathlib import Path
from typing import Literal

import torch

from gan_lab.datasets.base import check_choice, check_fact
from gan_lab.datasets.decode import EXTENSIONS
from gan_lab.datasets.domains import Domains
from gan_lab.datasets.folder import Folder, check_channels
from gan_lab.datasets.source import open_source
from gan_lab.errors import DataError


class UnpairedFolder(Domains):
    """Folders trainA, trainB, testA and testB, as CycleGAN has them (Zhu et al. 2017, arXiv 1703.10593).

    `split` is what stands before A and B; `direction` says which domain the sources are of. Each folder is read as a
    `Folder`: its pictures may lie deeper, and the other settings mean the same. Raises DataError where a domain is
    missing or empty.
    """

    def __init__(
        self,
        path: str,
        split: str = "train",
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        on_error: Literal["stop", "skip"] = "stop",
        max_pixels: int = 50_000_000,
        background: int | list[int] = 255,
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
        self.path, self.names = Path(path).expanduser(), [f"{split}{side}" for side in "AB"]
        check_domains(self.path, self.names)
        self.names = self.names if direction == "AtoB" else self.names[::-1]
        sources, images = (
            Folder(
                path, name, on_error, max_pixels, background, cache,
                jitter=jitter, channels=c, image_size=image_size, num_classes=0,
            )
            for name, c in zip(self.names, (source_channels, channels), strict=True)
        )  # fmt: skip
        super().__init__(sources, images, torch.arange(len(sources)), torch.arange(len(images)), seed, flip, jitter)

    def describe(self) -> str:
        return f"{super().describe()}\nfrom {self.path}: {self.names[0]} to {self.names[1]}, by seed {self.seed}"


def check_domains(path: Path, names: list[str]) -> None:
    """Raise DataError for a domain without pictures, with the folders that have some."""
    pictures = [name for name in open_source(path).files if name.lower().endswith(EXTENSIONS)]
    counts = Counter(part for name in pictures for part in name.split("/")[:-1])
    for name in names:
        if not counts[name]:
            found = ", ".join(f"{folder} ({count:,})" for folder, count in counts.most_common(8))
            loose = f"{len(pictures):,} that lie in no folder" if pictures else "none at all"
            raise DataError(
                f"{path} has no pictures in a folder {name}; it has {found or loose}.\n"
                f"Put one domain into {names[0]} and the other into {names[1]}, or set dataset.split to what stands "
                "before A and B."
            )
