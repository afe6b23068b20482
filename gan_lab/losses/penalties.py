"""Bounds on the critic's slope."""

import torch
from torch import Tensor

from gan_lab.losses.base import Critic, Penalty


class GradientPenalty(Penalty):
    """(|gradient| - center)^2 on lines between real and fake. Gulrajani et al. 2017 (arXiv 1704.00028), equation 3.

    The place on the line is drawn for each sample. `center` is 1 in the paper; 0 is the zero-centred variant.
    """

    name = "gradient_penalty"
    per_sample = True

    def __init__(self, weight: float = 10.0, center: float = 1.0, every: int = 1):
        super().__init__(weight, every)
        self.center = center

    def forward(self, critic: Critic, real: Tensor, fake: Tensor, noise) -> Tensor:
        epsilon = noise.uniform("gradient_penalty", (len(real),)).view(-1, *[1] * (real.dim() - 1))  # [N, 1, ...]
        between = torch.lerp(fake.detach(), real, epsilon)
        return (slope(critic, between) - self.center).square().mean()


def slope(critic, at):
    """The norm of the critic's gradient at each sample, [N]; differentiable."""
    at = at.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
    return gradient.flatten(1).norm(dim=1)
