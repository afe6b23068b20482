"""Pairs made from any pictures: the source is what is left when something is taken away."""

from typing import Literal

import torch
from torch import Tensor

from gan_lab.datasets import degradations
from gan_lab.datasets.base import Batch, Dataset, check_choice, check_fact, tones
from gan_lab.datasets.inner import check_of

CHUNK = 1024  # pictures that are degraded at a time
NEEDS_COLOUR = ("grey", "hints")


class Degraded(Dataset):
    """Each picture of `of` as "image", and beside it the "source" from which it is to be made again.

    `by`: grey is the luma; hints adds the colours of up to `hints` small squares and a channel that tells where they
    are; edges is Sobel's gradient; downsample makes squares of `factor` pixels one; mask hides a rectangle whose sides
    are at most `hole` of the picture's, and adds a channel that tells where it is. What is drawn follows from (seed,
    index). `flip` mirrors half of the pairs, as `of.flip` does. Isola et al. 2017 (arXiv 1611.07004), section 4.
    """

    paired = True

    def __init__(
        self,
        of: Dataset,
        by: Literal["grey", "hints", "edges", "downsample", "mask"] = "mask",
        factor: int = 4,
        hints: int = 6,
        hole: float = 0.5,
        seed: int = 0,
        flip: bool = False,
        channels: int = 3,
        source_channels: int | None = None,
        image_size: int | list[int] | None = 32,
        num_classes: int | None = None,
    ):
        check_choice("by", by, tuple(CHANNELS))
        check_of(of, channels, image_size)
        check_fact("num_classes", num_classes if num_classes is not None else of.num_classes, of.num_classes)
        check_amounts(of, by, factor, hints, hole)
        found = CHANNELS[by](of.channels)
        check_fact("source_channels", source_channels if source_channels is not None else found, found)
        self.of, self.by, self.seed = of, by, seed
        self.factor, self.hints, self.hole = factor, hints, hole
        super().__init__(of.channels, of.image_size, of.labels, of.classes, flip or of.flip, source_channels=found)

    def __len__(self) -> int:
        return len(self.of)

    def rows(self, indices: Tensor) -> Batch:
        rows = self.of.rows(indices)
        return self.batch(rows, self.degrade(rows["image"], indices))

    def load(self) -> Batch:
        whole = self.of.tensors()
        parts = torch.arange(len(self)).split(CHUNK)
        return self.batch(whole, torch.cat([self.degrade(whole["image"][part], part) for part in parts]))

    def batch(self, rows: Batch, source: Tensor) -> Batch:
        label = {"label": rows["label"]} if self.classes else {}
        return {"image": rows["image"], "source": source, **label}

    def degrade(self, pixels: Tensor, indices: Tensor) -> Tensor:
        """What is left of the pictures uint8 [B, H, W, C] of these rows."""
        match self.by:
            case "grey":
                return degradations.grey(pixels)
            case "hints":
                return degradations.hinted(pixels, indices, self.hints, self.seed)
            case "edges":
                return degradations.edges(pixels)
            case "downsample":
                return degradations.downsampled(pixels, self.factor)
            case "mask":
                return degradations.masked(pixels, indices, self.hole, self.seed)

    def seen(self, source: Tensor) -> tuple[Tensor, ...]:
        """Hints lie on the grey picture, at full strength."""
        if self.by == "hints":
            return (torch.where(source[:, -1:] > 0, source[:, 1:-1], source[:, :1]),)
        return (source[:, : self.channels],)

    def describe(self) -> str:
        return f"{super().describe()}\nthe source is what {self.by} leaves of the image, by seed {self.seed}"


CHANNELS = {  # of the source, from those of the image; conf/dataset/degraded.yaml tells the models the same
    "grey": lambda channels: 1,
    "hints": lambda channels: channels + 2,
    "edges": lambda channels: 1,
    "downsample": lambda channels: channels,
    "mask": lambda channels: channels + 1,
}


def check_amounts(of: Dataset, by: str, factor: int, hints: int, hole: float) -> None:
    if by in NEEDS_COLOUR and of.channels != 3:
        raise ValueError(
            f"by={by} takes the colours away, and the pictures of dataset.of have {tones(of.channels)} only: choose "
            "dataset.of=shapes or other colour pictures, or by=mask."
        )
    if by == "downsample" and (factor < 2 or any(side % factor for side in of.image_size)):
        height, width = of.image_size
        raise ValueError(f"factor={factor} must be 2 or more and divide {height} x {width} pixels evenly, as 2 or 4.")
    if hints < 1:
        raise ValueError(f"hints={hints} must be at least 1, for example 6.")
    if not 0 < hole < 1:
        raise ValueError(f"hole={hole} must lie between 0 and 1, for example 0.5: half of a side at most.")
