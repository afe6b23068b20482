"""An exponential moving average of the networks that people look at."""

import copy

import torch
from torch import nn

from gan_lab.models.base import Game
from gan_lab.rows import Rows

MOMENTUM = 0.3  # of a batch in an average's batch norm: it forgets in a few updates, since the weights move


class Ema(nn.Module):
    """Averaged copies of a game's `averaged` networks, in eval mode.

    `half_life_images`: after this many images a weight counts half, at every batch size. `ramp`: early on the
    half-life is at most this share of the images seen (Karras et al. 2020, official code). Parameters are averaged in
    float32, buffers copied, but for batch norm: averaged weights have statistics of their own, which are gathered on
    one batch at each update (as Brock et al. 2019, arXiv 1809.11096, appendix, do once at the end). A half-life of
    None follows without averaging.
    """

    def __init__(self, game: Game, half_life_images: float | None, ramp: float | None = None):
        super().__init__()
        self.networks = nn.ModuleDict({name: copy.deepcopy(getattr(game, name)) for name in game.averaged})
        self.networks.eval().requires_grad_(False)
        self.norms = [m for m in self.networks.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
        self.half_life_images, self.ramp = half_life_images, ramp

    @torch.no_grad()
    def update(self, game: Game, new_images: int, images: int, batch: Rows) -> None:
        """Follow the game's networks, after `new_images` more images and `images` in all, of which `batch` are some."""
        weight = 1 - self.decay(new_images, images)
        own = set(self.norms) if weight < 1 else set()
        for name, average in self.networks.items():
            network = getattr(game, name)
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), weight)
            for module, other in zip(average.modules(), network.modules(), strict=True):
                if module in own:
                    continue
                for mine, its in zip(module.buffers(recurse=False), other.buffers(recurse=False), strict=True):
                    mine.copy_(its)
        if own:
            self.gather(game, images, batch, momentum=max(MOMENTUM, new_images / images))

    def gather(self, game: Game, images: int, batch: Rows, momentum: float) -> None:
        """Show one batch to the averaged batch norms; the game is afterwards as it was before."""
        usual = [norm.momentum for norm in self.norms]
        game.noise.at("average", images)
        with game.using(dict(self.networks)):
            for norm in self.norms:
                norm.train().momentum = momentum
            game.calibrate(batch)
        for norm, before in zip(self.norms, usual, strict=True):
            norm.eval().momentum = before

    def statistics(self, game: Game) -> str:
        """Whose statistics the average's batch norm uses: its own (eval), the network's (copied), or none there are.

        They were copied in runs from before they were gathered.
        """
        if not self.norms:
            return "none"
        mine = self.networks.state_dict()
        its = nn.ModuleDict({name: getattr(game, name) for name in self.networks}).state_dict()
        is_same = lambda name: torch.equal(mine[name], its[name])
        same_norms = all(map(is_same, (name for name in mine if name.endswith("running_mean"))))
        return "copied" if same_norms and not all(map(is_same, dict(self.networks.named_parameters()))) else "eval"

    def decay(self, new_images: int, images: int) -> float:
        """What is left of an old weight after `new_images`."""
        half_life = self.half_life_images or 0.0
        if self.ramp is not None:
            half_life = min(half_life, self.ramp * images)
        return 0.5 ** (new_images / half_life) if half_life > 0 else 0.0
