"""Digits beside the same digits turned on their side: the smallest data of pairs, for trying what translates."""

from typing import Literal

from torch import Tensor

from gan_lab.datasets.base import Batch
from gan_lab.datasets.digits import Digits


class TurnedDigits(Digits):
    """Each `image` is one of scikit-learn's digits, and its `source` the same digit turned by a quarter."""

    paired = True

    def __init__(
        self,
        split: Literal["all", "train", "test"] = "all",
        channels: int = 1,
        source_channels: int = 1,
        image_size: int = 16,
        num_classes: int = 10,
    ):
        super().__init__(split, channels, image_size, num_classes)
        self.source_channels = source_channels
        self.gives = (*self.gives, "source")

    @property
    def nbytes(self) -> int:
        return super().nbytes + len(self) * self.image_size[0] * self.image_size[1]

    def load(self) -> Batch:
        rows = super().load()
        return {**rows, "source": rows["image"].rot90(dims=(1, 2)).contiguous()}

    def prepare(self, rows: Batch, bits: Tensor) -> Batch:
        source = super().prepare({"image": rows["source"]}, bits)["image"]
        return {**super().prepare(rows, bits), "source": source}
