"""Rows: named tensors with one first dimension. A batch, what a sample is made of, and a sample are rows."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class Rows(dict[str, Tensor]):
    """Named tensors [N, ...] that describe the same N things, such as `image` with `label`, or `latent` with `code`."""

    @classmethod
    def of(cls, given: "dict[str, Tensor] | Tensor", name: str = "image") -> "Rows":
        """Rows as they are; a tensor alone is the one that `name` says."""
        return cls({name: given}) if isinstance(given, Tensor) else cls(given)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.values())))

    @property
    def device(self) -> torch.device:
        return next(iter(self.values())).device

    def only(self, *names: str) -> "Rows":
        """These columns and no others, in this order; KeyError where one is missing."""
        return Rows({name: self[name] for name in names})

    def without(self, *names: str) -> "Rows":
        return Rows({name: tensor for name, tensor in self.items() if name not in names})

    def changed(self, **columns: Tensor) -> "Rows":
        """The same rows with other tensors in these columns, which may be new ones."""
        return Rows({**self, **columns})

    def each(self, change: Callable[[Tensor], Tensor]) -> "Rows":
        """What `change` makes of each column."""
        return Rows({name: change(tensor) for name, tensor in self.items()})

    def at(self, places: slice | Tensor | list[int]) -> "Rows":
        """Some of the rows: a slice, numbers or a mask."""
        return self.each(lambda tensor: tensor[places])

    def to(self, device: torch.device | str) -> "Rows":
        return self.each(lambda tensor: tensor.to(device))

    def split(self, most: int) -> list["Rows"]:
        """The rows in parts of at most `most`."""
        return [self.at(slice(first, first + most)) for first in range(0, self.count, most)]

    @classmethod
    def joined(cls, parts: Iterable["Rows"]) -> "Rows":
        """The rows of all parts, one part after another; each has the same columns."""
        parts = list(parts)
        return cls({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
