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


def lacking(values: Tensor, groups: Tensor) -> Tensor:
    """For each row of attributes [N, A] one to be changed, int64 [N]: all in turn, and of a group one that it lacks."""
    count = len(groups)
    which = torch.arange(len(values)) % count
    same = together(groups)
    grouped = same.sum(dim=1) > 1
    for _ in range(count):  # to the next of its group, until the row has not got it
        following = torch.stack([torch.roll(same[i], -1 - i).int().argmax() + 1 + i for i in range(count)]) % count
        has = values.gather(1, which[:, None]).flatten() > 0
        which = torch.where(has & grouped[which], following[which], which)
    return which
