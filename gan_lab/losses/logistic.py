"""The objectives of the first GAN: the critic classifies, real against fake, by cross-entropy."""

from torch import Tensor
from torch.nn.functional import softplus

from gan_lab.losses.base import Objective, Penalty, View


class NonSaturating(Objective):
    """Cross-entropy; the generator maximises log D(G(z)). Goodfellow et al. 2014, section 3.

    `smoothing`: real labels become 1 - smoothing, one-sided (Salimans et al. 2016, section 3.4).
    `flip`: the share of the critic's labels that are swapped, drawn anew each turn.
    """

    def __init__(
        self,
        critic_turns: int = 1,
        smoothing: float = 0.0,
        flip: float = 0.0,
        penalties: dict[str, Penalty] | None = None,
        views: dict[str, View] | None = None,
    ):
        super().__init__(critic_turns, penalties, views)
        check_share("smoothing", smoothing)
        check_share("flip", flip)
        self.smoothing, self.flip = smoothing, flip

    def critic_loss(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        target_real = flipped(1 - self.smoothing, 0.0, self.flip, real, noise, "flip_real")
        target_fake = flipped(0.0, 1 - self.smoothing, self.flip, fake, noise, "flip_fake")
        return cross_entropy(real, target_real).mean() + cross_entropy(fake, target_fake).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return softplus(-fake).mean()


class Minimax(NonSaturating):
    """The game as first written: the generator minimises log(1 - D(G(z))). Goodfellow et al. 2014, equation 1."""

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -softplus(fake).mean()


class Relativistic(Objective):
    """Each real score against one fake score. Jolicoeur-Martineau 2019 (arXiv 1807.00734), section 4 (RSGAN)."""

    compares = True

    def critic_loss(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        return softplus(fake - real).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return softplus(real - fake).mean()


class RelativisticAverage(Objective):
    """Each score against the mean score of the other side. Jolicoeur-Martineau 2019, section 4 (RaSGAN)."""

    compares = True
    couples_batch = True

    def critic_loss(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        return softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return softplus(real.mean() - fake).mean() + softplus(real - fake.mean()).mean()


def cross_entropy(score, target):
    """Binary cross-entropy of sigmoid(score) with a target in [0, 1], element by element."""
    return softplus(score) - target * score


def flipped(target, other, share, score, noise, name):
    """`target`, or `other` for a random share of the samples."""
    if share == 0:
        return target
    swap = noise.uniform(name, (len(score),)) < share  # [N]
    return (swap * (other - target) + target).view(-1, *[1] * (score.dim() - 1))


def check_share(name, value):
    if not 0 <= value < 1:
        raise ValueError(f"{name}={value} must lie in [0, 1).")
