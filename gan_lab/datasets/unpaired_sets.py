"""Two domains from any two sets of pictures, such as SVHN and MNIST."""

import torch
from torch import Tensor

from gan_lab.datasets.base import Batch, Dataset, check_fact
from gan_lab.datasets.domains import Domains
from gan_lab.noise import hashed


class UnpairedSets(Domains):
    """Rows of a picture of `images` and a source of `sources` that is no counterpart of it.

    Where both have the same classes each row has that of its image, "label", and that of its source, "source_label", so
    that one can tell whether a translation is of its source's class. `halves` is for two sets that are made of the same
    pictures, row i of each of picture i, or i % N of the N that one has: a random half of the pictures, by `seed`, is
    taken for the sources and the other for the images, so that no source has a counterpart. `flip` mirrors half of
    both, as that of either set does.
    """

    def __init__(
        self,
        sources: Dataset,
        images: Dataset,
        halves: bool = False,
        seed: int = 0,
        flip: bool = False,
        channels: int = 1,
        source_channels: int = 3,
        image_size: int | list[int] | None = 16,
        num_classes: int | None = None,
    ):
        check_sets(sources, images)
        check_fact("channels", channels, images.channels)
        check_fact("source_channels", source_channels, sources.channels)
        sides = tuple(image_size) if isinstance(image_size, list) else (image_size, image_size)
        check_fact("image_size", sides, images.image_size)
        found = images.num_classes
        check_fact("num_classes", num_classes if num_classes is not None else found, found)
        rows = (
            two_halves(len(sources), len(images), seed) if halves else [torch.arange(len(x)) for x in (sources, images)]
        )
        super().__init__(sources, images, *rows, seed, flip or sources.flip or images.flip)
        self.halves = halves
        self.take_labels()

    def take_labels(self) -> None:
        """The classes of the images, and those of the sources where they are of the same kinds."""
        of_sources, of_images = self.sources.labels, self.images.labels
        if of_images is None:
            return
        self.labels, self.classes, self.num_classes = (
            of_images[self.image_rows],
            self.images.classes,
            self.images.num_classes,
        )
        same = of_sources is not None and self.sources.classes == self.images.classes
        self.extras = {"source_label": of_sources[self.source_rows]} if same else {}
        self.gives = (*self.gives, "label", *self.extras)
        self.loose = (
            *self.loose,
            *(n for n in ("source_label", "label") if n in self.gives and partner(n) in self.loose),
        )

    def dealt(self, indices: Tensor, others: dict[str, Tensor]) -> Batch:
        named = {"label": self.labels, **self.extras} if self.labels is not None else {}
        beside = {name: values[others.get(name, indices)] for name, values in named.items()}
        return {**super().dealt(indices, others), **beside}

    def load(self) -> Batch:
        return {**super().load(), **({"label": self.labels, **self.extras} if self.labels is not None else {})}

    def readable(self, column: str, values: Tensor) -> tuple[str, Tensor] | None:
        """A source's class is what a reader of images' classes is to find in its translation."""
        known = column == "source_label" and column in self.gives
        return ("label", values) if known else super().readable(column, values)

    def describe(self) -> str:
        halves = f", of a half each by seed {self.seed}" if self.halves else ""
        known = "the classes of both known" if "source_label" in self.gives else "no classes that both have"
        return f"{super().describe()}{halves}, {known}"


def two_halves(sources: int, images: int, seed: int) -> list[Tensor]:
    """The rows of sources and of images that are of different pictures; raises ValueError."""
    pictures, longer = sorted((sources, images))
    if longer % pictures:
        raise ValueError(
            f"halves=true parts pictures that both sets are made of, and {sources:,} sources are no multiple of "
            f"{images:,} images or the other way round: set dataset.halves=false."
        )
    first = torch.zeros(pictures, dtype=torch.bool)
    first[hashed(torch.arange(pictures), seed, "half").argsort(stable=True)[: (pictures + 1) // 2]] = True
    return [
        torch.nonzero(half[torch.arange(n) % pictures]).flatten() for n, half in ((sources, first), (images, ~first))
    ]


def partner(column: str) -> str:
    """The picture that a column of labels belongs to."""
    return "source" if column == "source_label" else "image"


def check_sets(sources: Dataset, images: Dataset) -> None:
    """Whether two sets can be domains of one training; raises ValueError."""
    for name, each in {"sources": sources, "images": images}.items():
        if not isinstance(each, Dataset) or each.image_size is None:
            raise ValueError(f"{name} must be a dataset of pictures: choose one with dataset.{name}=digits.")
        if each.jitter:
            raise ValueError(f"{name}.jitter={each.jitter} is for what trains on the set itself: leave it 0.")
    if sources.image_size != images.image_size:
        (high, wide), (height, width) = sources.image_size, images.image_size
        raise ValueError(
            f"the sources have {high} x {wide} pixels and the images {height} x {width}: set the image_size of one of "
            "the sets, such as dataset.images.image_size, to that of the other."
        )
