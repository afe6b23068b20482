"""Grey pictures, such as digits, blended onto crops of other pictures: MNIST-M, of any two sets."""

import torch
from torch import Tensor

from gan_lab.datasets.base import Dataset, check_fact, cut, tones
from gan_lab.datasets.inner import check_of
from gan_lab.datasets.lazy import Lazy
from gan_lab.noise import hashed


class OnBackground(Lazy):
    """|b - p| of each picture p of `of`, which is grey, and of a crop b of one of `background`; labels are those of p.

    Each of them stands on `copies` of these, and what is behind it follows from (seed, index): row i is of picture
    i % N. Made as MNIST-M is: Ganin et al.
    2016 (arXiv 1505.07818), section 5.2.4, with crops of BSDS500's photos.
    """

    def __init__(
        self,
        of: Dataset,
        background: Dataset,
        copies: int = 1,
        seed: int = 0,
        channels: int = 3,
        image_size: int | list[int] | None = 16,
        num_classes: int | None = None,
    ):
        check_of(of, of.channels if isinstance(of, Dataset) else 1, image_size)
        check_fact("num_classes", num_classes if num_classes is not None else of.num_classes, of.num_classes)
        if of.channels != 1:
            raise ValueError(
                f"of has {tones(of.channels)} pictures, and grey ones are blended: choose dataset.of=digits."
            )
        if not isinstance(background, Dataset) or background.image_size is None:
            raise ValueError("background must be a dataset of pictures, such as dataset.background=textures.")
        check_fact("channels", channels, background.channels)
        if any(behind < before for behind, before in zip(background.image_size, of.image_size, strict=True)):
            (high, wide), (height, width) = background.image_size, of.image_size
            raise ValueError(
                f"background has {high} x {wide} pixels, too few to stand behind {height} x {width}: set "
                f"dataset.background.image_size={max(height, width)} or more."
            )
        if copies < 1:
            raise ValueError(f"copies={copies} must be at least 1 background for each picture.")
        self.of, self.background, self.copies, self.seed = of, background, copies, seed
        labels = of.labels.repeat(copies) if of.labels is not None else None
        super().__init__(background.channels, of.image_size, labels, of.classes, of.flip)

    def __len__(self) -> int:
        return self.copies * len(self.of)

    def pixels(self, indices: Tensor) -> Tensor:
        draw = lambda name, many: hashed(indices, self.seed, name) % many
        behind = self.background.plain(draw("background", len(self.background)))["image"]  # uint8 [B, h, w, C]
        top, left = (
            draw(name, whole - part + 1)
            for name, whole, part in zip(("top", "left"), self.background.image_size, self.image_size, strict=True)
        )
        crop = cut(behind, top, left, self.image_size)
        return (crop.to(torch.int16) - self.of.plain(indices % len(self.of))["image"]).abs().byte()

    def describe(self) -> str:
        behind = self.background.describe().splitlines()[0].partition(" of ")[0]
        return f"{super().describe()}\nblended onto crops of {behind}, by seed {self.seed}"
