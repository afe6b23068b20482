"""Stacks of layers, one for each domain, which have layers in common at one of their ends."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

DOMAINS = ("source", "image")
MINE = {"first": "last", "last": "first"}  # where each domain's own layers lie, by where the shared ones do


class Stacks(nn.Module):
    """One stack of layers a domain, of which the first or the last `shared` are one and the same in all.

    `stacks` holds the layers of each domain, alike where they are shared: the first domain's are kept.
    """

    def __init__(self, stacks: dict[str, list[nn.Module]], shared: int, end: Literal["first", "last"]):
        super().__init__()
        count = len(next(iter(stacks.values())))
        cut = shared if end == "first" else count - shared
        parts = {name: (layers[:cut], layers[cut:]) for name, layers in stacks.items()}
        common, own = (0, 1) if end == "first" else (1, 0)
        self.own = nn.ModuleDict({name: nn.Sequential(*part[own]) for name, part in parts.items()})
        self.shared, self.begins_shared = nn.Sequential(*next(iter(parts.values()))[common]), end == "first"

    def forward(self, x: Tensor, domain: str) -> Tensor:
        """What the stack of one domain makes of x."""
        return self.own[domain](self.shared(x)) if self.begins_shared else self.shared(self.own[domain](x))

    def each(self, x: Tensor, domains: tuple[str, ...]) -> tuple[Tensor, ...]:
        """What the stacks of some domains make of x, which passes once through what they begin with in common."""
        x = self.shared(x)
        return tuple(self.own[domain](x) for domain in domains)

    def joined(self, inputs: dict[str, Tensor]) -> Tensor:
        """What the stacks make of inputs by their domain, one after another [sum of N, ...], which end as one batch."""
        return self.shared(torch.cat([self.own[domain](x) for domain, x in inputs.items()]))


class CoupledCritic(nn.Module):
    """A critic of pictures of either domain; `given` says how many channels it takes of each."""

    given: dict[str, int]

    def complaints(self, parts, network: str) -> Iterator[str]:
        """Where the data's sources have other channels; `parts` is a `gan_lab.config.compat.Parts`."""
        data = parts.dataset
        packed = self.given["image"] // data.channels or 1  # how many samples it is shown at once
        if data.source_channels and self.given["source"] != packed * data.source_channels:
            yield (
                f"The {network} takes sources of {self.given['source']} channels, and those of this data have "
                f"{packed * data.source_channels}. "
                f"Set model.{network}.source_channels={packed * data.source_channels}."
            )


def check_shared(shared: int | None, layers: int, end: Literal["first", "last"], network: str) -> int:
    """How many layers are shared: as asked for, or all but one, which is each domain's own; ValueError."""
    most = layers - 1
    if shared is not None and not 0 <= shared <= most:
        raise ValueError(
            f"shared={shared} must lie between 0 and {most}: this {network} has {layers} layers, and the {MINE[end]} "
            f"is each domain's own. Set model.{network}.shared={min(max(shared, 0), most)}."
        )
    return most if shared is None else shared
