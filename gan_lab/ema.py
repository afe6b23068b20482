"""An exponential moving average of the networks that people look at."""

import copy

import torch
from torch import nn

from gan_lab.models.base import Game


class Ema(nn.Module):
    """Averaged copies of a game's `averaged` networks, in eval mode.

    `half_life_images`: after this many images a weight counts half, at every batch size. `ramp`: early on the
    half-life is at most this share of the images seen (Karras et al. 2020, official code). Parameters are averaged in
    float32, buffers copied. A half-life of None follows without averaging.
    """

    def __init__(self, game: Game, half_life_images: float | None, ramp: float | None = None):
        super().__init__()
        self.networks = nn.ModuleDict({name: copy.deepcopy(getattr(game, name)) for name in game.averaged})
        self.networks.eval().requires_grad_(False)
        self.half_life_images, self.ramp = half_life_images, ramp

    @torch.no_grad()
    def update(self, game: Game, new_images: int, images: int) -> None:
        """Follow the game's networks, after `new_images` more images and `images` in all."""
        weight = 1 - self.decay(new_images, images)
        for name, average in self.networks.items():
            network = getattr(game, name)
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), weight)
            for mine, its in zip(average.buffers(), network.buffers(), strict=True):
                mine.copy_(its)

    def decay(self, new_images: int, images: int) -> float:
        """What is left of an old weight after `new_images`."""
        half_life = self.half_life_images or 0.0
        if self.ramp is not None:
            half_life = min(half_life, self.ramp * images)
        return 0.5 ** (new_images / half_life) if half_life > 0 else 0.0
