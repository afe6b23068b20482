"""Smooth random textures, drawn from a seed: something to stand behind other pictures, without files."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gan_lab.datasets.base import check_image_size
from gan_lab.datasets.lazy import Lazy
from gan_lab.noise import hashed

GRIDS = {2: 1.0, 4: 0.7, 8: 0.5}  # cells a side, and how much they weigh
CONTRAST = 2.2  # of a sum whose parts cancel in part
COLOUR = 0.3  # how much of it each colour has to itself, as little as in photos


class Textures(Lazy):
    """Sums of coarse and fine random grids, enlarged smoothly; picture i depends on (seed, i) alone.

    Value noise, as Perlin 1985 (An image synthesizer) sums it over octaves. `channels`: 1 is grey.
    """

    def __init__(
        self, size: int = 10_000, seed: int = 0, channels: int = 3, image_size: int = 32, num_classes: int = 0
    ):
        check_image_size(image_size)
        if size < 1:
            raise ValueError(f"size={size} must be at least 1.")
        if channels not in (1, 3):
            raise ValueError(f"channels={channels} must be 1 for grey or 3 for colours.")
        if num_classes != 0:
            raise ValueError(f"num_classes={num_classes} is not a fact of this dataset: leave num_classes=0.")
        self.size, self.seed = size, seed
        super().__init__(channels, (image_size, image_size))

    def __len__(self) -> int:
        return self.size

    def pixels(self, indices: Tensor) -> Tensor:
        whole, total = torch.zeros(len(indices), self.channels, *self.image_size), sum(GRIDS.values())
        for side, weight in GRIDS.items():
            many = 4 * side**2
            bits = hashed(indices[:, None] * many + torch.arange(many), self.seed, side)
            light, *colours = ((bits >> 39).float() / 2**24).view(-1, 4, side, side).unbind(1)  # of 24 bits, in [0, 1)
            own = [light, light, light] if self.channels == 1 else colours
            grid = torch.stack([light + COLOUR * (colour - light) for colour in own[: self.channels]], dim=1)
            whole += weight / total * interpolate(grid, self.image_size, mode="bicubic", align_corners=True)
        bright = 0.5 + CONTRAST * (whole - 0.5)
        return bright.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1)

    def describe(self) -> str:
        return f"{super().describe()}\ntextures drawn by seed {self.seed}"
