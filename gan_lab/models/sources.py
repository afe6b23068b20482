"""What games have in common whose samples are made of pictures: they remember sources of the data."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Game
from gan_lab.models.memory import Kept
from gan_lab.rows import Rows

ROWS = 8  # of a table


class SourceGame(Kept, Game):
    """A game that translates pictures, `source` [N, source_channels, H, W], into pictures, `image` [N, channels, H, W].

    A sample is made of its source: seed i has number i of `remember` sources of the data, over and over. They are kept
    as bytes.

    A network that translates has a number `multiple`, of which both sides of what it takes are multiples.
    """

    needs = ("source", "image")
    made_of = ("source",)
    translators = {"forth": "generator"}

    def __init__(self, objective: Objective, source_channels: int, image_size: int | list[int], remember: int = 64):
        super().__init__(objective)
        if remember < 1:
            raise ValueError(f"remember={remember} must be at least 1 source.")
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.keeps = {"source": remember}
        self.channels: int | None = None  # of the images, where a game translates these too
        self.register_buffer("known", torch.zeros(remember, source_channels, height, width, dtype=torch.uint8))

    def keep(self, rows: Rows) -> None:
        self.fill(as_bytes(rows["source"]))

    def draw(self, seeds: Sequence[int]) -> Rows:
        """The sources that these seeds have, [N, source_channels, H, W] in [-1, 1]."""
        places = [int(seed) % len(self.known) for seed in seeds]
        return Rows(source=from_bytes(self.known[places], self.noise.device))

    def sample(self, rows: Rows) -> Rows:
        return Rows(image=self.translate(rows["source"]))

    def translate(self, pictures: Tensor, direction: str = "forth") -> Tensor:
        """Pictures of the one kind as pictures of the other, [N, C, H, W] in [-1, 1]."""
        return getattr(self, self.translators[direction])(pictures)

    def returned(self, rows: Rows, made: Tensor) -> Tensor | None:
        return self.translate(made, "back") if "back" in self.translators else None

    @property
    def translated_size(self) -> tuple[int, int]:
        """The sides of the pictures that are translated in training."""
        return tuple(self.known.shape[2:])

    def translated_channels(self, direction: str) -> int | None:
        return self.known.shape[1] if direction == "forth" else self.channels

    def calibrate(self, batch: Rows) -> None:
        for direction in self.translators:
            self.translate(batch["source" if direction == "forth" else "image"], direction)


def as_bytes(pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1] as they are kept, uint8."""
    return pictures.float().add(1).mul(127.5).round().clamp(0, 255).byte()


def from_bytes(pictures: Tensor, device: torch.device) -> Tensor:
    """Kept pictures in [-1, 1], on a device."""
    return pictures.to(device, torch.get_default_dtype()).div(127.5).sub(1)


def beside(*columns: Tensor) -> Tensor:
    """Pictures side by side, [rows, columns, C, H, W], of one channel or of three where a column has colours.

    Grey is repeated. Of other numbers of channels, such as several frames or a picture with a mask, the first are
    shown: three, or one of two.
    """
    shown = [column[:ROWS, : 1 if column.shape[1] < 3 else 3].float() for column in columns]
    channels = max(column.shape[1] for column in shown)
    return torch.stack([column.expand(-1, channels, -1, -1) for column in shown], dim=1)


def distance_of(name: str, key: str = "distance") -> Callable[[Tensor, Tensor], Tensor]:
    """The mean difference of pictures by its name, a scalar: l1, l2 (squared) or smooth_l1."""
    if name not in DISTANCES:
        raise ValueError(f"{key}={name} is not known; choose {' or '.join(DISTANCES)}.")
    return DISTANCES[name]


def l1(a: Tensor, b: Tensor) -> Tensor:
    return (at_least_float32(a) - at_least_float32(b)).abs().mean()


def l2(a: Tensor, b: Tensor) -> Tensor:
    return (at_least_float32(a) - at_least_float32(b)).square().mean()


def smooth_l1(a: Tensor, b: Tensor) -> Tensor:
    """Half of l2 where they differ by less than 1, else l1 less a half."""
    return smooth_l1_loss(at_least_float32(a), at_least_float32(b))


DISTANCES = {"l1": l1, "l2": l2, "smooth_l1": smooth_l1}
