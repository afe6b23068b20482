"""Terms that look at what the critic sees in a sample, rather than at its score."""

import torch
from torch import Tensor, nn

from gan_lab.losses.base import Critic, Penalty


class FeatureMatching(Penalty):
    """|mean features of real - mean features of fake|^2. Salimans et al. 2016 (arXiv 1606.03498), section 3.1.

    The features are what the critic's `trunk` hands to its head, flattened. The term stands beside the generator's
    adversarial loss, whose place it takes in the paper.
    """

    at = "fool"
    couples_batch = True
    reads_trunk = True

    def forward(self, critic: Critic, real: Tensor, fake: Tensor, noise) -> Tensor:
        with torch.no_grad():
            wanted = features(critic, real).mean(dim=0)  # [D]
        return (features(critic, fake).mean(dim=0) - wanted).square().sum()


def network_of(critic: Critic) -> nn.Module:
    """The network beneath a critic: what stands before it, such as a bound condition, has it as `func`."""
    return critic if isinstance(critic, nn.Module) else network_of(critic.func)


def features(critic: Critic, x: Tensor) -> Tensor:
    """What a critic's trunk makes of samples, [N, D]."""
    seen = []
    handle = network_of(critic).trunk.register_forward_hook(lambda trunk, inputs, output: seen.append(output))
    try:
        critic(x)
    finally:
        handle.remove()
    return seen[0].flatten(1)
