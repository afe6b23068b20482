"""Pictures with attributes: named facts, of which each sample has or lacks every one."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from gan_lab.datasets.base import Dataset, check_choice
from gan_lab.datasets.lazy import Lazy


class Attributed(Lazy):
    """Lazy pictures that give "attributes", float32 [N, A] of 0 and 1, named by `attribute_names`.

    `table` [N, all] holds what is known and `names` what its columns mean; `wanted` chooses some of these, in the order
    asked for, and null takes all. `groups`: names of which each sample has exactly one, such as those of all colours;
    where not all of a group are chosen, each of it stands alone.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        table: Tensor,
        names: Sequence[str],
        wanted: Sequence[str] | None,
        num_attributes: int,
        labels: Tensor | None = None,
        classes: Sequence[str] = (),
        flip: bool = False,
        groups: Iterable[Sequence[str]] = (),
    ):
        for name in wanted or ():
            check_choice("attributes", name, names)
        self.attribute_names = list(names if wanted is None else wanted)
        place = {name: number for number, name in enumerate(self.attribute_names)}
        self.attribute_groups = [[place[name] for name in group] for group in groups if place.keys() >= {*group}]
        count = len(self.attribute_names)
        if num_attributes != count:
            raise ValueError(
                f"num_attributes={num_attributes}, but there are {count}: set dataset.num_attributes={count}."
            )
        columns = torch.tensor([names.index(name) for name in self.attribute_names], dtype=torch.int64)
        super().__init__(3, image_size, labels, classes, flip, attributes=table[:, columns].float())

    def describe(self) -> str:
        return f"{super().describe()}\n{shares_of(self)}"


def shares_of(dataset: Dataset) -> str:
    """How many attributes a dataset gives, and how many samples have each of the first."""
    shares = dataset.extras["attributes"].mean(dim=0).tolist()
    listed = [f"{name} {share:.0%}" for name, share in zip(dataset.attribute_names, shares, strict=True)]
    return f"{len(listed)} attributes ({', '.join(listed[:8])}{', ...' if len(listed) > 8 else ''})"
