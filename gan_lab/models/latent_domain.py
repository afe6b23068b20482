"""Codes that do not tell from which domain they come, since a critic that guesses it is to be wrong."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_lab.losses import at_least_float32
from gan_lab.models.base import Terms, losses
from gan_lab.models.unit import UNIT
from gan_lab.rows import Rows


class LatentDomain(UNIT):
    """UNIT's game with a third player, who guesses from codes of which domain a picture is.

    Lample et al. 2017, Fader Networks (arXiv 1706.00409), equations 1 to 3, with a domain in place of attributes, and
    each domain's own decoder in place of one that is told. The domain critic takes codes and returns logits [N] of
    their being an image's; it minimises its cross-entropy, and the encoder `hidden` times that of the other answer, a
    weight which rises from 0 over the first `ramp` steps. The guess is of the codes' means. Other than in the official
    code, dropout and batch norm of the critic are also at work in the encoder's turn.
    """

    players = {
        "discriminator": ("discriminator",),
        "domain_critic": ("domain_critic",),
        "generator": ("encoder", "decoder"),
    }

    def __init__(self, domain_critic: nn.Module, hidden: float = 0.01, ramp: int = 0, **words):
        super().__init__(**words)
        for name, value in {"hidden": hidden, "ramp": ramp}.items():
            if value < 0:
                raise ValueError(f"{name}={value} must not be negative.")
        self.domain_critic, self.hidden, self.ramp = domain_critic, hidden, ramp

    def domain_critic_loss(self, batch: Rows, step: int) -> Terms:
        said, truth = self.guesses(self.encoder(**batch.only("source", "image"))[0])
        right = ((said > 0) == (truth > 0.5)).float().mean()
        return losses(domain=binary_cross_entropy_with_logits(said, truth)) + Terms(logs={"domain_accuracy": right})

    def hiding(self, means: Tensor, step: int) -> Terms:
        weight = self.hidden * min(1.0, step / self.ramp if self.ramp else 1.0)
        said, truth = self.guesses(means)
        return losses(domain=weight * binary_cross_entropy_with_logits(said, 1 - truth))

    def guesses(self, means: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of codes' being of images, and 1 for those that are, [N] each."""
        said = at_least_float32(self.domain_critic(means))
        sources, images = torch.zeros_like(said).chunk(2)
        return said, torch.cat([sources, images + 1])
