"""Three random digits as the red, green and blue of one picture: a thousand modes that can be counted."""

from typing import Literal

import torch
from torch import Tensor

from gan_lab.datasets.base import Stored, check_fact
from gan_lab.datasets.digits import Digits
from gan_lab.datasets.lazy import Lazy
from gan_lab.datasets.mnist import MNIST
from gan_lab.noise import hashed


class Stacked(Lazy):
    """Pictures of `size` triples, drawn from (seed, index), of a set of grey digits; stacked when they are asked for.

    The class is the number 0 to 999 that red, green and blue spell. `digits` are what a judge of one channel learns
    from. Metz et al. 2017 (arXiv 1611.02163), section 3.3.1.
    """

    def __init__(self, digits: Stored, size: int, seed: int, channels: int, num_classes: int):
        check_fact("channels", channels, 3)
        check_fact("num_classes", num_classes, 1000)
        if size < 1:
            raise ValueError(f"size={size} must be at least 1.")
        self.digits, self.seed = digits, seed
        self.planes = digits.tensors()["image"][..., 0]  # [M, H, W]
        bits = [hashed(torch.arange(size), seed, colour) for colour in ("red", "green", "blue")]
        self.triples = torch.stack(bits, dim=1) % len(digits)  # [N, 3]
        labels = digits.labels[self.triples] @ torch.tensor([100, 10, 1])
        super().__init__(3, digits.image_size, labels, [f"{number:03}" for number in range(1000)])

    def __len__(self) -> int:
        return len(self.triples)

    def pixels(self, indices: Tensor) -> Tensor:
        return torch.stack([self.planes[chosen] for chosen in self.triples[indices].unbind(1)], dim=3)

    def describe(self) -> str:
        return f"{super().describe()}\neach of 3 out of {len(self.digits):,} grey digits, by seed {self.seed}"


class StackedMNIST(Stacked):
    """Digits of MNIST; 128,000 triples as in PacGAN, Lin et al. 2018 (arXiv 1712.04086)."""

    def __init__(
        self,
        root: str = "data",
        split: Literal["train", "test"] = "train",
        download: bool = True,
        size: int = 128_000,
        seed: int = 0,
        channels: int = 3,
        image_size: int = 28,
        num_classes: int = 1000,
    ):
        digits = MNIST("MNIST", root, split, download, image_size=image_size)
        super().__init__(digits, size, seed, channels, num_classes)


class StackedDigits(Stacked):
    """The 8 x 8 digits that scikit-learn carries, enlarged: a thousand modes without a download."""

    def __init__(
        self,
        split: Literal["all", "train", "test"] = "all",
        size: int = 20_000,
        seed: int = 0,
        channels: int = 3,
        image_size: int = 16,
        num_classes: int = 1000,
    ):
        super().__init__(Digits(split, image_size=image_size), size, seed, channels, num_classes)
