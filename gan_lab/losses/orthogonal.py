"""A term that keeps the rows of weight matrices at right angles."""

import torch
from torch import Tensor, nn

from gan_lab.losses.base import Critic, Penalty
from gan_lab.losses.features import network_of
from gan_lab.rows import Rows

LAYERS = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


class OrthogonalPenalty(Penalty):
    """|W W^T * (1 - I)|^2 over the generator's layers. Brock et al. 2019, BigGAN (arXiv 1809.11096), equation 3.

    The rows of W are what a layer makes, each of what it takes; their lengths stay free. Weights are those before
    spectral norm, and tables of classes are left out, both as in the author's code (`ortho` in its utils.py), whose
    gradient is half of this one's at the same weight.
    """

    at = "regularise"

    def __init__(self, weight: float = 1e-4, every: int = 1):
        super().__init__(weight, every)

    def forward(self, generator: Critic, rows: Rows, noise) -> Tensor:
        layers = [layer for layer in network_of(generator).modules() if isinstance(layer, LAYERS)]
        return sum(overlap(matrix(layer)) for layer in layers)


def matrix(layer: nn.Module) -> Tensor:
    """The weights of a layer, a row for each number that it makes; as they are learned, before spectral norm."""
    weight = layer.parametrizations.weight.original if hasattr(layer, "parametrizations") else layer.weight
    return (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)


def overlap(rows: Tensor) -> Tensor:
    """The squared inner products of all pairs of different rows, summed, by the smaller of two products."""
    if rows.shape[0] <= rows.shape[1]:
        products = rows @ rows.T
        return (products - torch.diag(products.diagonal())).square().sum()
    return (rows.T @ rows).square().sum() - rows.square().sum(dim=1).square().sum()
