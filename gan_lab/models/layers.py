"""The layers of a network, in the order in which a sample passes through them."""

from collections.abc import Iterator

from torch import Tensor, nn


def layers(network: nn.Module) -> list[dict[str, Tensor]]:
    """The weights of each layer, by their names in the network, in the order in which it was given them.

    A layer is what stands in the network itself, in a sequence or in its `trunk`: a convolution, or a block of several.
    What has vectors alone, such as a norm, belongs to the layer before it.
    """
    found = []
    for prefix, part in parts(network):
        weights = {f"{prefix}.{name}": weight for name, weight in part.named_parameters()}
        if any(weight.dim() > 1 for weight in weights.values()):
            found.append(weights)
        elif found:
            found[-1] |= weights
    return found


def parts(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential | nn.ModuleList) or name == "trunk":
            yield from parts(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def first(network: nn.Module, count: int) -> dict[str, Tensor]:
    """The weights of the first layers of a network, by name."""
    return {name: weight for layer in layers(network)[:count] for name, weight in layer.items()}
