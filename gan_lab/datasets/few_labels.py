"""A set of which few labels are known: what semi-supervised learning starts from."""

import torch
from torch import Tensor

from gan_lab.datasets.base import Batch, Dataset, check_fact, chosen, in_play
from gan_lab.datasets.inner import check_of
from gan_lab.noise import hashed


class FewLabels(Dataset):
    """Pictures of `of`, and beside each one a picture whose label is known: "known_image" with "known_label".

    `num_labelled` pictures, as many of each class, are chosen by `seed`; which of them stands beside a picture follows
    from (seed, index). Training deals them anew, so that partners change and each is seen equally often. "label" is
    still the picture's own, for judges; a game that reads it has all labels. Salimans et al. 2016 (arXiv 1606.03498),
    section 5.
    """

    loose = ("known_image", "known_label")

    def __init__(
        self,
        of: Dataset,
        num_labelled: int = 100,
        seed: int = 0,
        channels: int = 1,
        image_size: int | list[int] | None = 16,
        num_classes: int | None = None,
    ):
        check_of(of, channels, image_size)
        if not of.num_classes:
            raise ValueError(
                "the pictures of dataset.of have no labels: choose a set with classes, as dataset.of=mnist."
            )
        check_fact("num_classes", num_classes if num_classes is not None else of.num_classes, of.num_classes)
        each, rest = divmod(num_labelled, of.num_classes)
        least = int(torch.bincount(of.labels, minlength=of.num_classes).min())
        if not least:
            empty = of.classes[int(torch.bincount(of.labels, minlength=of.num_classes).argmin())]
            raise ValueError(
                f"the class {empty} of dataset.of has no pictures: number the classes from 0, without gaps."
            )
        if rest or not 0 < each <= least:
            raise ValueError(
                f"num_labelled={num_labelled} must be a multiple of the {of.num_classes} classes, with at most {least} "
                f"of each. Set dataset.num_labelled={min(max(each, 1), least) * of.num_classes}."
            )
        super().__init__(of.channels, of.image_size, of.labels, of.classes, of.flip)
        self.of, self.seed = of, seed
        order = chosen(len(of), seed=seed)
        known = [order[of.labels[order] == label][:each] for label in range(of.num_classes)]
        self.known = torch.cat(known).sort().values  # [num_labelled]
        self.known_images = of.rows(self.known)["image"]  # uint8 [num_labelled, H, W, C]
        mixed = hashed(torch.arange(len(of)), seed, "partner").argsort(stable=True)
        self.partner, self.cards = mixed % len(self.known), mixed.argsort()[: len(self.known)]
        self.gives = (*self.gives, "known_image", "known_label")

    def __len__(self) -> int:
        return len(self.of)

    @property
    def nbytes(self) -> int:
        return 2 * super().nbytes

    def rows(self, indices: Tensor) -> Batch:
        return self.beside(self.of.rows(indices), indices)

    def dealt(self, indices: Tensor, others: dict[str, Tensor]) -> Batch:
        return self.beside(self.of.rows(indices), others["known_image"])

    def load(self) -> Batch:
        return self.beside(self.of.tensors(), torch.arange(len(self)))

    def beside(self, rows: Batch, indices: Tensor) -> Batch:
        place = self.partner[indices]
        return {**rows, "known_image": self.known_images[place], "known_label": self.labels[self.known[place]]}

    def prepare(self, rows: Batch, bits: Tensor) -> Batch:
        return {**super().prepare(rows, bits), "known_image": in_play(self.varied(rows["known_image"], bits >> 31))}

    def describe(self) -> str:
        return f"{super().describe()}\nof which {len(self.known):,} labels are known, by seed {self.seed}"
