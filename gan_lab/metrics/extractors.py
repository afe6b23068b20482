"""What turns pictures into features: the base of all extractors, and the one that learns nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d


class Extractor(nn.Module):
    """Pictures uint8 [N, C, H, W] to features float32 [N, dim] and class probabilities [N, K], or None.

    `title` stands in a figure's name, `about` and `resize` in its protocol, and `identity` tells extractors apart whose
    features differ. `guesses`: whether it gives probabilities; `classes` are the classes of the data that they are of,
    0 where they are of another set's. A score is a mean over `splits` of the samples. Extractors never train with a
    game.
    """

    title, about, resize, identity = "", "", "none", ""
    guesses, classes, splits = True, 0, 1

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        raise NotImplementedError


class Pixels(Extractor):
    """The grey levels themselves in [0, 1], of pictures averaged down to at most `most` pixels a side."""

    title, guesses = "pixels", False

    def __init__(self, most: int = 16):
        super().__init__()
        self.most = most
        self.about, self.identity = "pixels in [0, 1]", f"pixels {most}"
        self.resize = f"area, at most {most} x {most}"

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        return shrunk(images.float() / 255, self.most).flatten(1), None


class PerColour(Extractor):
    """An extractor of grey pictures, applied to each colour of stacked ones: Metz et al. 2017 (arXiv 1611.02163).

    Features are joined; the class is the number that the colours' classes spell.
    """

    def __init__(self, grey: Extractor):
        super().__init__()
        self.grey = grey
        self.title, self.resize, self.classes = grey.title, grey.resize, grey.classes**3
        self.about, self.identity = f"{grey.about}, of each colour", f"{grey.identity} per colour"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        seen = [self.grey(images[:, colour : colour + 1]) for colour in range(3)]
        return torch.cat([features for features, _ in seen], dim=1), spelled([said for _, said in seen])


def spelled(digits: Sequence[Tensor]) -> Tensor:
    """Probabilities of numbers, [N, K^3], from those of their three digits, [N, K] each."""
    red, green, blue = digits
    return torch.einsum("ni,nj,nk->nijk", red, green, blue).flatten(1)


def shrunk(images: Tensor, most: int) -> Tensor:
    """Pictures [N, C, H, W], averaged down until the longer side has at most `most` pixels."""
    longer = max(images.shape[-2:])
    if longer <= most:
        return images
    return adaptive_avg_pool2d(images, [max(1, round(side * most / longer)) for side in images.shape[-2:]])
