"""Terms that look at what the critic sees in a sample, rather than at its score."""

import torch
from torch import Tensor, nn

from gan_lab.losses.base import Critic, Penalty
from gan_lab.rows import Rows


class FeatureMatching(Penalty):
    """|mean features of real - mean features of fake|^2. Salimans et al. 2016 (arXiv 1606.03498), section 3.1.

    The features are what the critic's `trunk` hands to its head, flattened. The term stands beside the generator's
    adversarial loss, whose place it takes in the paper.
    """

    at = "fool"
    couples_batch = True
    reads = "trunk"

    def forward(self, critic: Critic, real: Rows, fake: Rows, noise) -> Tensor:
        with torch.no_grad():
            wanted = features(critic, real).mean(dim=0)  # [D]
        return (features(critic, fake).mean(dim=0) - wanted).square().sum()


def network_of(critic: Critic) -> nn.Module:
    """The network beneath a critic: what stands before it, such as a bound condition, has it as `func`."""
    return critic if isinstance(critic, nn.Module) else network_of(critic.func)


def features(critic: Critic, rows: Rows) -> Tensor:
    """What a critic's trunk makes of samples, [N, D]."""
    seen = []
    handle = network_of(critic).trunk.register_forward_hook(lambda trunk, inputs, output: seen.append(output))
    try:
        critic(rows)
    finally:
        handle.remove()
    return seen[0].flatten(1)


def layer_gap(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The mean squared gap between mean features of real and fake, added up over the layers of a critic's trunk.

    The features are what each rectifier behind the first one gives. Kim et al. 2017 (arXiv 1703.05192), official code.
    """
    with torch.no_grad():
        wanted = [seen.mean(dim=0) for seen in rectified(critic, real)]
    found = [seen.mean(dim=0) for seen in rectified(critic, fake)]
    return sum((a - b).square().mean() for a, b in zip(found, wanted, strict=True))


def rectified(critic: nn.Module, x: Tensor) -> list[Tensor]:
    """What the rectifiers of a critic's trunk give, [N, ...] each; the first one's only where there is no other.

    The trunk is called by itself: a compiled critic's own call does not know hooks that came after it was compiled.
    """
    seen, kinds = [], nn.ReLU | nn.LeakyReLU
    layers = [layer for layer in critic.trunk.modules() if isinstance(layer, kinds)]
    handles = [
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.float()))
        for layer in layers[1:] or layers
    ]
    try:
        critic.trunk(x)
    finally:
        for handle in handles:
            handle.remove()
    return seen
