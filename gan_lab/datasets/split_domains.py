"""Two domains from any pictures: two of their classes, or two halves of which one is transformed."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from gan_lab.datasets.base import Dataset, check_choice, check_fact
from gan_lab.datasets.domains import Domains
from gan_lab.datasets.inner import check_of
from gan_lab.noise import hashed

TRANSFORMS = ("rotate", "permute", "tint", "invert", "edges")
OF_COLOURS = ("permute", "tint")
TINT = ((0.5, 0.0), (0.8, 0.0), (0.6, 0.4))  # factor and summand of red, green and blue in [0, 1]


class SplitDomains(Domains):
    """Domains of the pictures of `of`, of which no source has a counterpart among the images.

    by=class: `classes` names the class of the sources and that of the images. by=transform: the pictures are parted
    into two halves by `seed`; one half is the sources as they are, the other half, transformed, is the images, so that
    `truth` knows what each source is to become: rotate turns by 90 degrees to the left, permute moves each colour one
    channel on, tint makes pictures bluish, invert swaps dark and bright, edges leaves by how much the brightest of
    3 x 3 pixels is brighter than their middle (Liu and Tuzel 2016, CoGAN, arXiv 1606.07536, official code). `flip`
    mirrors half of both, as `of.flip` does. Zhu et al. 2017, CycleGAN (arXiv 1703.10593).
    """

    def __init__(
        self,
        of: Dataset,
        by: Literal["class", "transform"] = "transform",
        classes: list[str | int] | None = None,
        transform: Literal["rotate", "permute", "tint", "invert", "edges"] = "rotate",
        seed: int = 0,
        flip: bool = False,
        channels: int = 3,
        source_channels: int | None = None,
        image_size: int | list[int] | None = 32,
        num_classes: int = 0,
    ):
        check_choice("by", by, ("class", "transform"))
        check_choice("transform", transform, TRANSFORMS)
        check_of(of, channels, image_size)
        check_fact("source_channels", source_channels if source_channels is not None else channels, channels)
        check_fact("num_classes", num_classes, 0)
        self.of, self.by, self.transform, self.names = of, by, transform, []
        if by == "class":
            self.names = two_classes(of, classes)
            rows = [torch.nonzero(of.labels == of.classes.index(name)).flatten() for name in self.names]
            for name, found in zip(self.names, rows, strict=True):
                if not len(found):
                    raise ValueError(f"classes: the class {name} of dataset.of has no pictures, so choose another one.")
        else:
            check_transform(of, transform, flip or of.flip)
            order = hashed(torch.arange(len(of)), seed, "half").argsort(stable=True)
            rows = [half.sort().values for half in order.tensor_split(2)]
        super().__init__(of, of, *rows, seed, flip or of.flip)

    def truth(self, source: Tensor, **conditions: Tensor) -> Tensor | None:
        """What sources, float [N, C, H, W] in [-1, 1], are to become, up to rounding; None for classes."""
        return transformed(source, self.transform) if self.by == "transform" else None

    def changed(self, pixels: Tensor) -> Tensor:
        if self.by == "class":
            return pixels
        parts = (part.permute(0, 3, 1, 2).float() / 127.5 - 1 for part in pixels.split(1024))
        made = [((transformed(part, self.transform) + 1) * 127.5).round().byte() for part in parts]
        return torch.cat(made).permute(0, 2, 3, 1).contiguous()

    def styled(self, column: str, pixels: Tensor) -> Tensor | None:
        is_told = self.by == "transform" and self.of.classes
        return {"image": self.changed, "source": lambda x: x}[column](pixels) if is_told else None

    def describe(self) -> str:
        halves = f"two halves by seed {self.seed}: sources as they are, images after transform={self.transform}"
        classes = " to class ".join(self.names)
        return f"{super().describe()}\n{halves if self.by == 'transform' else f'class {classes}'}"


def transformed(images: Tensor, transform: str) -> Tensor:
    """Images float [N, C, H, W] in [-1, 1] as the transform makes them."""
    match transform:
        case "rotate":
            return images.rot90(1, (2, 3))
        case "permute":
            return images.roll(1, dims=1)
        case "invert":
            return -images
        case "edges":
            return max_pool2d(images, 3, stride=1, padding=1) - images - 1
        case "tint":
            factor, summand = torch.tensor(TINT, device=images.device).view(3, 2, 1, 1).unbind(1)
            return (images + 1) * factor + 2 * summand - 1


def two_classes(of: Dataset, classes: list[str | int] | None) -> list[str]:
    """The names of two classes of a dataset; raises ValueError."""
    if not of.classes:
        raise ValueError("by=class needs pictures with labels, and dataset.of has none: set by=transform.")
    names = [str(name) for name in classes or ()]
    if len(set(names)) != 2:
        raise ValueError(
            f"classes={names if classes else 'null'} must be two different ones, first that of the sources, such as "
            f"[{of.classes[0]}, {of.classes[-1]}]."
        )
    for name in names:
        if name not in of.classes:
            near = nearest(name, of.classes)
            raise ValueError(f"classes: dataset.of has no class {name}; {near}")
    return names


def nearest(name: str, classes: list[str]) -> str:
    """The class that was probably meant, or those that there are."""
    from difflib import get_close_matches

    near = get_close_matches(name, classes, n=1, cutoff=0.6)
    listed = f"{', '.join(classes[:12])}{', ...' if len(classes) > 12 else ''}"
    return f"did you mean {near[0]}?" if near else f"its classes are {listed}."


def check_transform(of: Dataset, transform: str, flip: bool) -> None:
    if transform in OF_COLOURS and of.channels != 3:
        raise ValueError(
            f"transform={transform} changes colours, and the pictures of dataset.of are grey: choose rotate, "
            "invert or edges, or dataset.of=shapes."
        )
    if transform == "rotate" and of.image_size[0] != of.image_size[1]:
        height, width = of.image_size
        raise ValueError(f"transform=rotate needs square pictures, not {height} x {width}: set dataset.of.image_size.")
    if transform == "rotate" and flip:
        raise ValueError("transform=rotate and flip=true make images that no source becomes: set dataset.flip=false.")
