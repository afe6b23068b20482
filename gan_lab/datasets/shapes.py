"""Coloured shapes on a plain background, drawn from a seed: a set without files, of which every truth is known."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gan_lab.datasets.attributes import Attributed
from gan_lab.datasets.base import check_fact, check_image_size
from gan_lab.noise import hashed


class Shapes(Attributed):
    """One shape in each picture; the class is its form, the attributes and a caption tell the rest.

    Picture i depends on (seed, i) alone, also where `size` is another. `factors` [N] are the numbers behind it:
    "shape", "colour", "size", "column", "row" and "background" count through the lists below; "radius", "x" and "y"
    (rightwards and downwards) are in parts of a side.
    """

    def __init__(
        self,
        size: int = 10_000,
        seed: int = 0,
        attributes: list[str] | None = None,
        channels: int = 3,
        image_size: int = 32,
        num_classes: int = 6,
        num_attributes: int = 21,
    ):
        check_fact("channels", channels, 3)
        check_fact("num_classes", num_classes, len(SHAPES))
        check_image_size(image_size)
        if size < 1:
            raise ValueError(f"size={size} must be at least 1.")
        self.seed = seed
        indices = torch.arange(size)
        self.factors = {name: hashed(indices, seed, name) % many for name, many in CHOICES.items()}
        self.factors["radius"] = torch.tensor(RADII)[self.factors["size"]] + self.around(indices, "radius", 0.02)
        self.factors["x"] = torch.tensor(CENTRES)[self.factors["column"]] + self.around(indices, "x", 0.03)
        self.factors["y"] = torch.tensor(CENTRES)[self.factors["row"]] + self.around(indices, "y", 0.03)

        table = attributes_of(self.factors)
        shape = self.factors["shape"]
        sides = (image_size, image_size)
        super().__init__(sides, table, NAMES, attributes, num_attributes, shape, list(SHAPES), groups=GROUPS)

    def __len__(self) -> int:
        return len(self.factors["shape"])

    def around(self, indices: Tensor, name: str, most: float) -> Tensor:
        """Numbers in [-most, most], float32 [B]."""
        return ((hashed(indices, self.seed, "vary", name) >> 39).float() / 2**23 - 1) * most  # of 24 bits

    def pixels(self, indices: Tensor) -> Tensor:
        """Drawn with sums, products and roots alone, so that a picture is the same in any company."""
        f = {name: values[indices] for name, values in self.factors.items()}
        side = (torch.arange(self.image_size[0]) + 0.5) / self.image_size[0]

        # How much of each pixel the shape covers, from its distance to the outline.
        right = (side[None, None, :] - f["x"][:, None, None]) / f["radius"][:, None, None]  # [B, 1, W]
        up = (f["y"][:, None, None] - side[None, :, None]) / f["radius"][:, None, None]  # [B, H, 1]
        cover = torch.empty(len(indices), *self.image_size)
        for number, outside in enumerate(SHAPES.values()):
            of = f["shape"] == number
            distance = outside(right[of], up[of]) * (f["radius"][of, None, None] * self.image_size[0])  # in pixels
            cover[of] = (0.5 - distance).clamp(0, 1)

        # A background that leans from one level to another, and a colour near the named one.
        lean_right = self.around(indices, "lean right", 0.06)[:, None, None] * (2 * side[None, None, :] - 1)
        lean_down = self.around(indices, "lean down", 0.06)[:, None, None] * (2 * side[None, :, None] - 1)
        level = torch.tensor(list(BACKGROUNDS.values()))[f["background"]] + self.around(indices, "background", 0.05)
        ground = (level[:, None, None] + lean_right + lean_down)[..., None]  # [B, H, W, 1]
        vary = torch.stack([self.around(indices, name, 0.05) for name in ("red", "green", "blue")], dim=1)
        paint = (torch.tensor(list(COLOURS.values()))[f["colour"]] + vary)[:, None, None, :]  # [B, 1, 1, C]
        image = ground + cover[..., None] * (paint - ground)  # [B, H, W, C]
        return image.clamp(0, 1).mul(255).round().byte()

    def captions(self, indices: Tensor) -> list[str]:
        """An English phrase for each picture: "a large red circle at the top left on a grey background"."""
        f = {name: self.factors[name][indices].tolist() for name in CHOICES}
        forms, colours, grounds = list(SHAPES), list(COLOURS), list(BACKGROUNDS)
        return [
            f"a {SIZES[f['size'][i]]} {colours[f['colour'][i]]} {forms[f['shape'][i]]} "
            f"{PLACES[f['row'][i]][f['column'][i]]} on a {grounds[f['background'][i]]} background"
            for i in range(len(indices))
        ]

    def describe(self) -> str:
        (first,) = self.captions(torch.tensor([0]))
        return f"{super().describe()}\ndrawn by seed {self.seed}, the first: {first}"


# ---- forms of radius 1: signed distance to the outline, negative inside ---------------------------------------------


def circle(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y).sqrt() - 1


def square(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.88


def triangle(x: Tensor, y: Tensor) -> Tensor:
    return edges(x, y + 0.25, corners=3, inner=0.6).amax(dim=0)


def diamond(x: Tensor, y: Tensor) -> Tensor:
    return (x.abs() / 0.7 + y.abs() - 1.1) / math.hypot(1 / 0.7, 1)


def cross(x: Tensor, y: Tensor) -> Tensor:
    wide = torch.maximum(x.abs() - 1, y.abs() - 0.33)
    return torch.minimum(wide, torch.maximum(x.abs() - 0.33, y.abs() - 1))


def star(x: Tensor, y: Tensor) -> Tensor:
    """A pentagram: a point is inside when all but one of the five lines have it on their inner side."""
    return edges(x, -y, corners=5, inner=0.34).topk(2, dim=0).values[1]


def edges(x: Tensor, y: Tensor, corners: int, inner: float) -> Tensor:
    """Distances beyond the lines that touch a circle of radius `inner`, the first below it: [corners, ...]."""
    angles = [2 * math.pi * i / corners - math.pi / 2 for i in range(corners)]
    return torch.stack([x * math.cos(angle) + y * math.sin(angle) - inner for angle in angles])


# ---- what there is to choose from -----------------------------------------------------------------------------------

SHAPES = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "diamond": diamond,
    "cross": cross,
    "star": star,
}
COLOURS = {
    "red": (0.86, 0.14, 0.14),
    "green": (0.12, 0.62, 0.22),
    "blue": (0.12, 0.30, 0.86),
    "yellow": (0.95, 0.85, 0.12),
    "purple": (0.56, 0.16, 0.70),
    "orange": (0.95, 0.50, 0.08),
}
BACKGROUNDS = {"white": 0.88, "grey": 0.5, "black": 0.12}
SIZES, RADII = ("small", "large"), (0.14, 0.24)  # parts of a side
CENTRES = (0.3, 0.5, 0.7)
PLACES = (
    ("at the top left", "at the top", "at the top right"),
    ("at the left", "in the centre", "at the right"),
    ("at the bottom left", "at the bottom", "at the bottom right"),
)
CHOICES = {"shape": 6, "colour": 6, "size": 2, "column": 3, "row": 3, "background": 3}
GROUNDS = [f"on_{name}" for name in BACKGROUNDS]
NAMES = [*COLOURS, *SHAPES, *SIZES, "left", "right", "top", "bottom", *GROUNDS]
GROUPS = (list(COLOURS), list(SHAPES), SIZES, GROUNDS)  # a shape has one of each; it may be neither left nor right


def attributes_of(factors: dict[str, Tensor]) -> Tensor:
    """Which of NAMES hold, [N, A]; a shape in the middle column is neither left nor right."""
    hot = {name: one_hot(factors[name], many) for name, many in CHOICES.items()}
    ends = [hot[name][:, [0, 2]] for name in ("column", "row")]
    return torch.cat((hot["colour"], hot["shape"], hot["size"], *ends, hot["background"]), dim=1)
