"""Attributes in groups of which a sample has exactly one, such as a colour, beside those that it has or lacks."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def numbered(groups: Sequence[Sequence[int]], count: int) -> Tensor:
    """The number of the group that each of so many attributes is in, int64 [A]; what is in none is alone in its own."""
    numbers = torch.arange(count)
    for group in groups:
        numbers[list(group)] = min(group)
    return numbers


def together(groups: Tensor) -> Tensor:
    """Which attributes are of one group, bool [A, A]; each is with itself."""
    return groups[:, None] == groups[None, :]


def altered(values: Tensor, which: Tensor, groups: Tensor) -> Tensor:
    """Attributes [N, A] with one of each row changed, that of number `which` [N].

    One that is alone is turned from 0 to 1 or back; of a group it is set, and what the row had of the group is not.
    """
    same = together(groups)
    alone = (same.sum(dim=1) == 1)[which][:, None]
    hot = one_hot(which, len(groups)).to(values.dtype)
    return torch.where(same[which], torch.where(alone, 1 - values, hot), values)
