"""Many domains from any pictures: disjoint parts of them, each transformed in its own way."""

import torch
from torch import Tensor

from gan_lab.datasets.base import Dataset, check_fact
from gan_lab.datasets.inner import check_of
from gan_lab.datasets.many import Many
from gan_lab.datasets.split_domains import OF_COLOURS, TINT, check_transform, transformed
from gan_lab.noise import hashed

TINTS = {"tint": TINT, "reddish": (*TINT[2:], *TINT[:2]), "greenish": (*TINT[1:], *TINT[:1])}
SHADES = {"pale": ((0.5, 0.5),), "dim": ((0.5, 0.0),)}  # of all channels alike
AFFINE = SHADES | TINTS
TRANSFORMS = ("none", "rotate", "permute", "invert", *AFFINE)


class ManyDomains(Many):
    """Domains of the pictures of `of`, of which no picture has a counterpart in another domain.

    The pictures are parted by `seed` into as many parts as there are `transforms`, and each part is transformed by its
    own: none leaves it as it is, rotate turns by 90 degrees to the left, permute moves each colour one channel on,
    invert swaps dark and bright, pale and dim keep the upper and the lower half of the brightness, tint, reddish and
    greenish make pictures bluish, reddish and greenish. Each of them can be undone, so that `truth` knows what a
    picture of any domain is to become in any other. `flip` mirrors half of the pictures, as `of.flip` does.
    """

    def __init__(
        self,
        of: Dataset,
        transforms: list[str],
        seed: int = 0,
        flip: bool = False,
        channels: int = 3,
        image_size: int | list[int] | None = 32,
        num_classes: int = 3,
    ):
        check_of(of, channels, image_size)
        check_transforms(of, transforms, flip or of.flip)
        check_fact("num_classes", num_classes, len(transforms))
        self.of, self.transforms = of, list(transforms)
        if len(of) < 2 * len(transforms):
            raise ValueError(
                f"{len(transforms)} domains of two pictures or more need {2 * len(transforms)} pictures, and "
                f"dataset.of has {len(of)}: choose another set, or fewer transforms."
            )
        order = hashed(torch.arange(len(of)), seed, "part").argsort(stable=True)
        parts = [part.sort().values for part in order.tensor_split(len(transforms))]
        super().__init__([of] * len(parts), parts, self.transforms, seed, flip or of.flip)

    def truth(self, source: Tensor, domain: Tensor, to: Tensor) -> Tensor:
        """What pictures, float [N, C, H, W] in [-1, 1], of domains [N] are to become in others [N], up to rounding."""
        plain, truth = torch.empty_like(source), torch.empty_like(source)
        for d, transform in enumerate(self.transforms):
            plain[domain == d] = undone(source[domain == d], transform)
        for d, transform in enumerate(self.transforms):
            truth[to == d] = done(plain[to == d], transform)
        return truth

    def changed(self, pixels: Tensor, domain: int) -> Tensor:
        transform = self.transforms[domain]
        if transform == "none":
            return pixels
        parts = (part.permute(0, 3, 1, 2).float() / 127.5 - 1 for part in pixels.split(1024))
        made = [((done(part, transform) + 1) * 127.5).round().byte() for part in parts]
        return torch.cat(made).permute(0, 2, 3, 1).contiguous()

    def describe(self) -> str:
        return f"{super().describe()}\nparts by seed {self.seed}, each after the transform that is its name"


def done(images: Tensor, transform: str) -> Tensor:
    """Images float [N, C, H, W] in [-1, 1] as the transform makes them."""
    if transform == "none":
        return images
    if transform in AFFINE:
        factor, summand = affine_of(images, transform)
        return (images + 1) * factor + 2 * summand - 1
    return transformed(images, transform)


def undone(images: Tensor, transform: str) -> Tensor:
    """Images float [N, C, H, W] in [-1, 1] as they were before the transform."""
    if transform in AFFINE:
        factor, summand = affine_of(images, transform)
        return (images + 1 - 2 * summand) / factor - 1
    match transform:
        case "rotate":
            return images.rot90(-1, (2, 3))
        case "permute":
            return images.roll(-1, dims=1)
        case _:  # none, and invert, which undoes itself
            return done(images, transform)


def affine_of(images: Tensor, transform: str) -> tuple[Tensor, Tensor]:
    """Factor and summand of each channel in [0, 1], [3, 1, 1] each, or of all of them, [1, 1, 1]."""
    return torch.tensor(AFFINE[transform], device=images.device).to(images).view(-1, 2, 1, 1).unbind(1)


def check_transforms(of: Dataset, transforms: list[str], flip: bool) -> None:
    """Raise ValueError for transforms that these pictures do not take, or that are no two different domains."""
    for transform in transforms:
        if transform not in TRANSFORMS:
            raise ValueError(f"transforms: {transform} is not known; choose of {', '.join(TRANSFORMS)}.")
    if len(transforms) < 2 or len(set(transforms)) < len(transforms):
        raise ValueError(
            f"transforms={list(transforms)} must name two or more different ones, one for each domain, such as "
            "[none, invert]."
        )
    coloured = [name for name in transforms if name in (*OF_COLOURS, *TINTS)]
    if coloured and of.channels != 3:
        raise ValueError(
            f"transforms: {coloured[0]} changes colours, and the pictures of dataset.of are grey: choose of none, "
            f"rotate, invert, {' and '.join(SHADES)}, or dataset.of=shapes."
        )
    for name in transforms:
        check_transform(of, name, flip)
