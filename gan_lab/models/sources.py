"""What games have in common whose samples are made of pictures: they remember sources of the data."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gan_lab.losses import Objective, widened
from gan_lab.models.base import Game
from gan_lab.models.memory import Remembers

ROWS = 8  # of a table


class SourceGame(Remembers, Game):
    """A game that translates pictures, `source` [N, source_channels, H, W], into pictures, `image` [N, channels, H, W].

    What a sample is made of is its source, so a latent is one: seed i has number i of the first `remember` sources that
    were seen in training, over and over. They are kept as bytes; before the first turn they are noise.

    A network that translates has a number `multiple`, of which both sides of what it takes are multiples.
    """

    needs = ("source", "image")
    translators = {"forth": "generator"}

    def __init__(self, objective: Objective, source_channels: int, image_size: int | list[int], remember: int = 64):
        super().__init__(objective)
        if remember < 1:
            raise ValueError(f"remember={remember} must be at least 1 source.")
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        noise = torch.Generator().manual_seed(0)
        shape = (remember, source_channels, height, width)
        self.register_buffer("known", torch.randint(256, shape, dtype=torch.uint8, generator=noise))

    @torch.no_grad()
    def remember(self, source: Tensor) -> None:
        """Keep the first sources of the data, as bytes."""
        if self.remembered < len(self.known):
            self.keep(source[: len(self.known)].float().add(1).mul(127.5).round().clamp(0, 255).byte())

    def draw_latents(self, seeds: Sequence[int]) -> Tensor:
        """The sources that these seeds have, [N, source_channels, H, W] in [-1, 1]."""
        places = [int(seed) % len(self.known) for seed in seeds]
        return self.known[places].to(self.noise.device, torch.get_default_dtype()).div(127.5).sub(1)

    def sample(self, latents: Tensor) -> Tensor:
        return self.translate(latents)

    def translate(self, pictures: Tensor, direction: str = "forth") -> Tensor:
        """Pictures of the one kind as pictures of the other, [N, C, H, W] in [-1, 1]."""
        return getattr(self, self.translators[direction])(pictures)

    def calibrate(self, batch: dict[str, Tensor]) -> None:
        for direction in self.translators:
            self.translate(batch["source" if direction == "forth" else "image"], direction)


def beside(*columns: Tensor) -> Tensor:
    """Pictures side by side, [rows, columns, C, H, W], of one channel or of three where a column has colours.

    Grey is repeated. Of other numbers of channels, such as several frames or a picture with a mask, the first are
    shown: three, or one of two.
    """
    shown = [column[:ROWS, : 1 if column.shape[1] < 3 else 3].float() for column in columns]
    channels = max(column.shape[1] for column in shown)
    return torch.stack([column.expand(-1, channels, -1, -1) for column in shown], dim=1)


def distance_of(name: str, key: str = "distance") -> Callable[[Tensor, Tensor], Tensor]:
    """The mean difference of pictures by its name, a scalar: l1 or l2 (squared)."""
    if name not in DISTANCES:
        raise ValueError(f"{key}={name} is not known; choose {' or '.join(DISTANCES)}.")
    return DISTANCES[name]


def l1(a: Tensor, b: Tensor) -> Tensor:
    return (widened(a) - widened(b)).abs().mean()


def l2(a: Tensor, b: Tensor) -> Tensor:
    return (widened(a) - widened(b)).square().mean()


DISTANCES = {"l1": l1, "l2": l2}
