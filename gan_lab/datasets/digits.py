"""Handwritten digits that scikit-learn carries, so that a first run needs no download."""

import gzip
import importlib.util
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from gan_lab.datasets.base import Stored, check_choice, check_fact


class Digits(Stored):
    """1,797 grey digits of 8 x 8 pixels with 16 levels, enlarged; the test split is every fifth of them."""

    def __init__(
        self,
        split: Literal["all", "train", "test"] = "all",
        channels: int = 1,
        image_size: int = 16,
        num_classes: int = 10,
    ):
        check_choice("split", split, ("all", "train", "test"))
        check_fact("channels", channels, 1)
        check_fact("num_classes", num_classes, 10)
        table = read_table()  # [1797, 65]: 64 pixels and the label
        fifth = torch.arange(len(table)) % 5 == 4
        chosen = {"all": torch.ones_like(fifth), "train": ~fifth, "test": fifth}[split]
        pixels = table[chosen, :64].reshape(-1, 8, 8, 1) * (255 / 16)
        super().__init__(pixels, image_size, table[chosen, 64].long(), [str(digit) for digit in range(10)])


def read_table() -> torch.Tensor:
    """Read the table beside scikit-learn's code without running that code, which would cost a second."""
    (package,) = importlib.util.find_spec("sklearn").submodule_search_locations
    with gzip.open(Path(package) / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        return torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
