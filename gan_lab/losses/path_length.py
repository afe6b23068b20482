"""A bound on how unevenly a generator answers to steps in what its samples are made of."""

import math

import torch
from torch import Tensor

from gan_lab.losses.base import Penalty
from gan_lab.rows import Rows


class PathLength(Penalty):
    """(|J^T y| - a)^2, J being the generator's slope. Karras et al. 2020 (arXiv 1912.04958), section 3.2, equation 4.

    y is a random image, divided by the root of its places, and a the running mean of the lengths, which moves by
    `decay` and is a buffer. The slope is that in the first column of the rows, styles or else latents: of several
    styles [N, L, D] a length is the root of their mean square. It is taken of one sample in `shrink`, the first ones of
    the batch. Generators of one player share the mean. `weight` is the code's, in which places and layers are counted
    already.
    """

    at = "regularise"
    couples_batch = True  # by the mean
    shows = ("mean",)

    def __init__(self, weight: float = 2.0, every: int = 4, decay: float = 0.01, shrink: int = 2):
        super().__init__(weight, every)
        if not 0 < decay <= 1:
            raise ValueError(f"decay={decay} must lie in (0, 1].")
        if shrink < 1:
            raise ValueError(f"shrink={shrink} must be at least 1: one sample in so many is looked at.")
        self.decay, self.shrink = decay, shrink
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, generator, rows: Rows, noise) -> Tensor:
        rows = rows.at(slice(max(1, rows.count // self.shrink)))
        name = next(iter(rows))
        at = rows[name] if rows[name].requires_grad else rows[name].detach().requires_grad_()
        made = generator(rows.changed(**{name: at}))
        y = noise("path_length", made.shape) / math.sqrt(made[0, 0].numel())
        (gradient,) = torch.autograd.grad((made * y).sum(), at, create_graph=True)
        places = gradient.shape[1] if gradient.dim() == 3 else 1
        lengths = gradient.flatten(1).norm(dim=1) / math.sqrt(places)
        mean = torch.lerp(self.mean, lengths.mean(), self.decay)
        self.mean.copy_(torch.where(mean.isfinite(), mean, self.mean).detach())  # a turn without numbers is skipped
        return (lengths - mean).square().mean()
