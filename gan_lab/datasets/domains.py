"""Two sets of pictures that do not belong together: the sources, and the images that they are to be like."""

import torch
from torch import Tensor

from gan_lab.datasets.base import Batch, Dataset, tones
from gan_lab.noise import hashed


class Domains(Dataset):
    """Rows of an image and a source that is no counterpart of it; as many as the larger domain has pictures.

    Images come in order, and which source lies beside each follows from (seed, index); pictures of the smaller domain
    are repeated. Training deals these anew, so that partners change and each is seen equally often. `images` and
    `sources` are the domains, `image_rows` and `source_rows` [n] what is taken of them. Zhu et al. 2017, CycleGAN
    (arXiv 1703.10593), section 3.
    """

    def __init__(
        self,
        sources: Dataset,
        images: Dataset,
        source_rows: Tensor,
        image_rows: Tensor,
        seed: int,
        flip: bool = False,
        jitter: int = 0,
    ):
        super().__init__(images.channels, images.image_size, flip=flip, jitter=jitter, source_channels=sources.channels)
        self.sources, self.images, self.seed = sources, images, seed
        self.counts = len(source_rows), len(image_rows)
        indices = torch.arange(max(self.counts))
        mixed = hashed(indices, seed, "partner").argsort(stable=True)
        self.loose = ("source",) if self.counts[0] <= self.counts[1] else ("image",)
        self.cards = mixed.argsort()[: self.counts[0]] if "source" in self.loose else indices[: self.counts[1]]
        self.source_rows, self.image_rows = source_rows[mixed % len(source_rows)], image_rows[indices % len(image_rows)]

    def __len__(self) -> int:
        return len(self.image_rows)

    def changed(self, pixels: Tensor) -> Tensor:
        """What is made of the pictures [B, H, W, C] of the image domain; as they are, unless a subclass says more."""
        return pixels

    def rows(self, indices: Tensor) -> Batch:
        return self.dealt(indices, {})

    def dealt(self, indices: Tensor, others: dict[str, Tensor]) -> Batch:
        of_images, of_sources = (others.get(name, indices) for name in ("image", "source"))
        image = self.images.rows(self.image_rows[of_images])["image"]
        return {"image": self.changed(image), "source": self.sources.rows(self.source_rows[of_sources])["image"]}

    def load(self) -> Batch:
        source = self.sources.load()["image"]
        image = source if self.images is self.sources else self.images.load()["image"]
        return {"image": self.changed(image[self.image_rows]), "source": source[self.source_rows]}

    def describe(self) -> str:
        height, width = self.image_size
        return (
            f"unpaired: {self.counts[0]:,} {tones(self.source_channels)} sources and {self.counts[1]:,} "
            f"{tones(self.channels)} images of {height} x {width} pixels in [-1, 1]; {len(self):,} rows"
        )
