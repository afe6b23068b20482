"""Pictures that are made, or decoded, when they are asked for: a set may be larger than the memory."""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from tqdm import tqdm

from gan_lab.datasets.base import Batch, Dataset

CHUNK = 256  # pictures that a thread makes at a time


class Lazy(Dataset):
    """A subclass gives `__len__` and `pixels`: some pictures as uint8 [B, H, W, C]; several threads may ask at once."""

    threads = 1  # that make the whole set; more where pictures are decoded

    def pixels(self, indices: Tensor) -> Tensor:
        raise NotImplementedError

    def pictures(self, indices: Tensor) -> Batch:
        """All pictures of some samples; a subclass with sources gives these too."""
        return {"image": self.pixels(indices)}

    def beside(self) -> Batch:
        """What each sample carries beside its pictures, for the whole set."""
        return {"label": self.labels, **self.extras} if self.classes else self.extras

    def rows(self, indices: Tensor) -> Batch:
        return {**self.pictures(indices), **{name: whole[indices] for name, whole in self.beside().items()}}

    def load(self) -> Batch:
        channels = {"image": self.channels, **({"source": self.source_channels} if self.source_channels else {})}
        whole = {n: torch.empty(len(self), *self.stored_size, c, dtype=torch.uint8) for n, c in channels.items()}
        parts = torch.arange(len(self)).split(CHUNK)

        def make(part: Tensor) -> int:
            for name, pixels in self.pictures(part).items():
                whole[name][part[0] : part[-1] + 1] = pixels
            return len(part)

        with (
            ThreadPoolExecutor(self.threads) as pool,
            tqdm(total=len(self), desc="making images", unit="", delay=2, disable=None) as bar,
        ):
            for made in pool.map(make, parts):
                bar.update(made)
        return {**whole, **self.beside()}
