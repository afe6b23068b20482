"""Objectives that are linear in the score: Wasserstein and hinge."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gan_lab.losses.base import Objective, Penalty, View


class Wasserstein(Objective):
    """The difference of mean scores. Arjovsky et al. 2017 (arXiv 1701.07875), algorithm 1.

    `clip`: after each update the critic's weights are clamped to [-clip, clip]; None leaves the bound to a penalty.
    """

    undecided = None

    def __init__(
        self,
        critic_turns: int = 5,
        clip: float | None = None,
        penalties: dict[str, Penalty] | None = None,
        views: dict[str, View] | None = None,
    ):
        super().__init__(critic_turns, penalties, views)
        if clip is not None and clip <= 0:
            raise ValueError(f"clip={clip} must be greater than 0, or null for no clipping.")
        self.clip = clip
        self.bounded = clip is not None

    def critic_loss(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        return fake.mean() - real.mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()

    @torch.no_grad()
    def constrain(self, critic: nn.Module) -> None:
        if self.clip is not None:
            for weight in critic.parameters():
                if weight.requires_grad:
                    weight.clamp_(-self.clip, self.clip)


class Hinge(Objective):
    """Scores count up to a margin of 1. Lim and Ye 2017; Miyato et al. 2018 (arXiv 1802.05957), section 4."""

    def critic_loss(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()
