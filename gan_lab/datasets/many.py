"""Many sets of pictures that do not belong together: each row has one picture of every one of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_lab.datasets.base import Batch, Dataset, in_play
from gan_lab.noise import hashed
from gan_lab.rows import Rows


class Many(Dataset):
    """Rows of one picture of each domain, in the columns "domain0", "domain1", ...; as many as the largest has.

    The largest domain comes in order, and which pictures of the others lie beside follows from (seed, index); those of
    smaller ones are repeated. Training deals each of the others anew, from a deck of its own, so that company changes
    and all pictures of a domain are seen equally often. Anoosheh et al. 2017 (arXiv 1712.06909), section 3.

    For those who look at one picture a row, row i has "image", its picture of domain i modulo their number, whose class
    ("label") the domain is; "domain" says the same, and "to" another domain, so that pairs of both come equally often.

    `domains` are the sets, `rows` [n] what is taken of each, `names` their names.
    """

    def __init__(
        self,
        domains: Sequence[Dataset],
        rows: Sequence[Tensor],
        names: Sequence[str],
        seed: int,
        flip: bool = False,
        jitter: int = 0,
    ):
        indices, count = torch.arange(max(map(len, rows))), len(domains)
        own, shift = indices % count, 1 + indices // count % max(1, count - 1)
        beside = {"domain": own, "to": (own + shift) % count}
        super().__init__(domains[0].channels, domains[0].image_size, own, names, flip, jitter, **beside)
        self.domains, self.seed = list(domains), seed
        self.counts, self.places = [len(each) for each in rows], tuple(f"domain{d}" for d in range(count))
        self.gives = (*self.gives, *self.places)

        # Mix all but the largest; each of the others has its cards where each of its pictures lies once
        self.taken, self.cards_of, largest = [], {}, self.counts.index(len(indices))
        for d, each in enumerate(rows):
            mixed = indices if d == largest else hashed(indices, seed, "company", d).argsort(stable=True)
            self.taken.append(each[mixed % len(each)])
            if d != largest:
                self.cards_of[self.places[d]] = mixed.argsort()[: len(each)]
        self.loose = tuple(self.cards_of)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def decks(self) -> dict[str, tuple[tuple[str, ...], Tensor]]:
        return {f"deck/{place}": ((place,), cards) for place, cards in self.cards_of.items()}

    @property
    def vocabulary(self) -> dict[str, list[str]]:
        return {**super().vocabulary, **dict.fromkeys(("domain", "to"), list(self.classes))}

    def readable(self, column: str, values: Tensor) -> tuple[str, Tensor] | None:
        return ("label", values) if column == "to" else super().readable(column, values)

    @property
    def nbytes(self) -> int:
        height, width = self.stored_size
        return super().nbytes + len(self) * len(self.places) * height * width * self.channels

    def changed(self, pixels: Tensor, domain: int) -> Tensor:
        """What is made of pictures [B, H, W, C] of a domain; as they are, unless a subclass says more."""
        return pixels

    def pictures(self, domain: int, indices: Tensor) -> Tensor:
        """The pictures of a domain in some rows, as they lie, uint8 [B, H, W, C]."""
        return self.changed(self.domains[domain].rows(self.taken[domain][indices])["image"], domain)

    def rows(self, indices: Tensor) -> Batch:
        return self.dealt(indices, {})

    def dealt(self, indices: Tensor, others: dict[str, Tensor]) -> Batch:
        found = {place: self.pictures(d, others.get(place, indices)) for d, place in enumerate(self.places)}
        own, image = self.labels[indices], torch.empty_like(found[self.places[0]])
        for d in own.unique().tolist():
            image[own == d] = self.pictures(d, indices[own == d])
        return {"image": image, "label": own, **{n: each[indices] for n, each in self.extras.items()}, **found}

    def load(self) -> Batch:
        return self.rows(torch.arange(len(self)))

    def prepare(self, rows: Batch, bits: Tensor) -> Batch:
        return {**super().prepare(rows, bits), **self.played(rows, bits)}

    def played(self, rows: Batch, bits: Tensor) -> Batch:
        """The pictures of the domains as they are played; each has the fate of other bits."""
        each = {place: turned(bits, 7 * d) for d, place in enumerate(self.places) if place in rows}
        return {place: in_play(self.varied(rows[place], own)) for place, own in each.items()}

    def columns(self, indices: Tensor, *names: str, device: torch.device | str = "cpu") -> Rows:
        if not names or set(names) - set(self.places):
            return super().columns(indices, *names, device=device)
        rows = {place: self.pictures(self.places.index(place), indices).to(device) for place in names}
        return Rows(self.played(rows, torch.zeros(len(indices), dtype=torch.int64, device=device))).only(*names)

    def plain(self, indices: Tensor) -> Batch:
        rows, start = super().plain(indices), self.jitter // 2
        height, width = self.image_size
        middle = slice(None), slice(start, start + height), slice(start, start + width)
        return {name: each[middle] if name in self.places else each for name, each in rows.items()}

    def describe(self) -> str:
        counted = [f"{name}: {count:,}" for name, count in zip(self.classes, self.counts, strict=True)]
        height, width = self.image_size
        listed = ", ".join(counted[:12]) + (", ..." if len(counted) > 12 else "")
        colour = {1: "grey", 3: "colour"}.get(self.channels, f"{self.channels} channels")
        return (
            f"{len(counted)} domains of {colour} pictures of {height} x {width} pixels in [-1, 1] ({listed}); "
            f"{len(self):,} rows of one of each"
        )


def turned(bits: Tensor, by: int) -> Tensor:
    """63 random bits, int64 [B], turned to the right; zeros stay zeros."""
    by %= 63
    return bits if by == 0 else (bits >> by) | ((bits << (63 - by)) & 0x7FFFFFFFFFFFFFFF)
