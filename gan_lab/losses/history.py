"""A term that holds weights near their own past."""

from typing import Literal

import torch
from torch import Tensor

from gan_lab.losses.base import Critic, Penalty
from gan_lab.losses.features import network_of
from gan_lab.rows import Rows


class HistoricalAveraging(Penalty):
    """|theta - mean of all past theta|^2. Salimans et al. 2016 (arXiv 1606.03498), section 3.3.

    `player`, critic or generator, owes it. The means are part of its state: as many numbers as the network has.
    """

    couples_batch = True  # the mean moves with every micro-batch

    def __init__(self, player: Literal["critic", "generator"] = "critic", weight: float = 1.0, every: int = 1):
        super().__init__(weight, every)
        if player not in ("critic", "generator"):
            raise ValueError(f"player={player} is not known; choose critic or generator.")
        self.at = {"critic": "judge", "generator": "regularise"}[player]
        self.means: dict[str, list[Tensor]] = {}  # by the critic's name where there are several
        self.counts: dict[str, int] = {}

    def forward(self, network: Critic, *played: Rows, noise) -> Tensor:
        weights = list(network_of(network).parameters())
        now = [weight.detach() for weight in weights]
        count = self.counts[noise.scope] = self.counts.get(noise.scope, 0) + 1
        past = self.means.get(noise.scope, now)
        means = self.means[noise.scope] = [
            torch.lerp(mean.to(weight.device), weight, 1 / count) for mean, weight in zip(past, now, strict=True)
        ]
        return sum((weight - mean).square().sum() for weight, mean in zip(weights, means, strict=True))

    def get_extra_state(self) -> dict:
        return {"means": self.means, "counts": self.counts}

    def set_extra_state(self, state: dict) -> None:
        self.means, self.counts = dict(state["means"]), dict(state["counts"])
