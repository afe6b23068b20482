"""Shapes or digits that move and bounce: a film without files, of which every position is known."""

from typing import Literal

import torch
from torch import Tensor

from gan_lab.datasets.base import check_choice, check_fact, check_image_size, in_play, resize
from gan_lab.datasets.digits import Digits
from gan_lab.datasets.lazy import Lazy
from gan_lab.datasets.shapes import COLOURS, SHAPES
from gan_lab.noise import hashed

GROUND = {"shapes": 0.12, "digits": 0.0}  # grey level behind what moves, in [0, 1]
LEAST_SIDE = 8


class Moving(Lazy):
    """Clips of `objects` that each go straight on by whole pixels and bounce off the edges.

    Row i is frame i % length of clip i // length, which depends on (seed, split, clip) alone. Each object lies in a
    square of `side` pixels, 3/8 of the picture's, always inside it; later ones pass before earlier ones. Digits of the
    train split and the test split are other handwritings. In the manner of Moving MNIST, Srivastava et al. 2015 (arXiv
    1502.04681), section 4.1.
    """

    def __init__(
        self,
        what: Literal["shapes", "digits"] = "digits",
        split: Literal["train", "test"] = "train",
        clips: int = 500,
        length: int = 20,
        objects: int = 2,
        speed: int = 3,
        seed: int = 0,
        channels: int = 1,
        image_size: int = 32,
        num_classes: int = 0,
    ):
        check_choice("what", what, tuple(GROUND))
        check_choice("split", split, ("train", "test"))
        check_fact("channels", channels, 3 if what == "shapes" else 1)
        check_fact("num_classes", num_classes, 0)
        check_image_size(image_size)
        for name, value in {"clips": clips, "length": length, "objects": objects, "speed": speed}.items():
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1.")
        self.side = round(image_size * 3 / 8)
        self.room = image_size - self.side  # a corner is at 0 to room
        if self.side < LEAST_SIDE or speed > self.room:
            raise ValueError(
                f"image_size={image_size} is too small for what moves by up to {speed} pixels a frame: set 32 or more, "
                "or a lower speed."
            )
        super().__init__(channels, (image_size, image_size))
        self.what, self.split, self.clips, self.length, self.seed = what, split, clips, length, seed

        # Draw what moves, and from where to where
        self.stamps = digits(split, self.side) if what == "digits" else shapes(self.side)  # [K, side, side] in [0, 1]
        draw = lambda name, high: torch.stack([self.drawn(name, each) for each in range(objects)], dim=1) % high
        self.objects = draw("object", len(self.stamps))  # [clips, objects]
        self.colours = draw("colour", len(COLOURS))
        corners = [draw(f"corner {axis}", self.room + 1) for axis in "yx"]
        steps = [(draw(f"step {axis}", speed) + 1) * (2 * draw(f"sign {axis}", 2) - 1) for axis in "yx"]
        self.corners, self.steps = torch.stack(corners, dim=2), torch.stack(steps, dim=2)  # [clips, objects, 2]

    def drawn(self, name: str, number: int) -> Tensor:
        return hashed(torch.arange(self.clips), self.seed, self.split, name, number)

    def __len__(self) -> int:
        return self.clips * self.length

    def positions(self, clips: Tensor, times: Tensor) -> Tensor:
        """The upper left corners (y, x) of the objects' squares, int64 [B, T, objects, 2], at `times` [T] or [B, T].

        A path that is reflected at both edges is a straight one, folded: with period 2 * room.
        """
        times = times.expand(len(clips), -1)[..., None, None]  # [B, T, 1, 1]
        straight = self.corners[clips][:, None] + self.steps[clips][:, None] * times
        return self.room - (straight % (2 * self.room) - self.room).abs()

    def frames(self, clips: Tensor, times: Tensor) -> Tensor:
        """Frames of clips [B] at `times` [T] or [B, T], which may lie beyond `length`: uint8 [B, T, H, W, C]."""
        corners = self.positions(clips, times).flatten(0, 1)  # [B * T, objects, 2]
        many, (height, width) = len(corners) // len(clips), self.image_size
        canvas = torch.full((len(corners), height, width, self.channels), GROUND[self.what])
        each, inside = torch.arange(len(corners))[:, None, None], torch.arange(self.side)
        for number in range(self.objects.shape[1]):
            cover = self.stamps[self.objects[clips, number]].repeat_interleave(many, dim=0)[..., None]
            paint = self.paint(clips, number).repeat_interleave(many, dim=0)[:, None, None]  # [B * T, 1, 1, C]
            rows, columns = (corners[:, number, axis, None] + inside for axis in (0, 1))
            place = each, rows[:, :, None], columns[:, None, :]
            canvas[place] += cover * (paint - canvas[place])
        return canvas.mul(255).round().byte().unflatten(0, (len(clips), many))

    def paint(self, clips: Tensor, number: int) -> Tensor:
        """The colour of an object in clips [B]: [B, C] in [0, 1]; digits are white."""
        if self.what == "digits":
            return torch.ones(len(clips), 1)
        return torch.tensor(list(COLOURS.values()))[self.colours[clips, number]]

    def pixels(self, indices: Tensor) -> Tensor:
        return self.frames(indices // self.length, indices[:, None] % self.length)[:, 0]

    def sequence(self, clip: int, length: int, start: int = 0) -> Tensor:
        """Some frames of a clip from `start` on, as they are played: float32 [length, C, H, W] in [-1, 1]."""
        return in_play(self.frames(torch.tensor([clip]), start + torch.arange(length))[0])

    def describe(self) -> str:
        many = self.objects.shape[1]
        clips = f"{self.clips:,} clips of {self.length} frames with {many} moving {self.what}"
        return f"{super().describe()}\n{clips}, by seed {self.seed}, {self.split}"


def digits(split: str, side: int) -> Tensor:
    """Handwritten digits as coverage, [K, side, side] in [0, 1]."""
    return resize(Digits(split).pixels, (side, side))[..., 0].float() / 255


def shapes(side: int) -> Tensor:
    """How much each shape covers of the pixels of a square, [K, side, side] in [0, 1]."""
    radius = side / 2.3  # no shape reaches beyond 1.15 of its radius
    middle = (torch.arange(side) + 0.5 - side / 2) / radius
    right, up = middle[None, None, :], -middle[None, :, None]
    distances = [outside(right, up)[0].expand(side, side) * radius for outside in SHAPES.values()]
    return (0.5 - torch.stack(distances)).clamp(0, 1)
