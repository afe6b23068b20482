"""PatchGAN: a critic that scores every patch of a picture by itself. Isola et al. 2017 (arXiv 1611.07004), 3.2."""

import torch
from torch import Tensor, nn

from gan_lab.networks.layers import add_spectral_norm, check_counts, dcgan_init, norm2d, pair
from gan_lab.networks.precision import in_float32

FIELDS = {9 * 2**n - 2: n for n in range(1, 6)}  # receptive field: how many layers halve; 16, 34, 70, 142, 286
USUAL = 70


class Discriminator(nn.Module):
    """Pictures [N, channels, H, W], and their sources [N, source_channels, H, W], to maps of raw scores [N, 1, h, w].

    `receptive_field`: the side of the patch behind one score: 1 (PixelGAN), 16, 34, 70, 142 or 286 pixels; `image` is
    the smallest that covers the picture, and null the paper's 70, or `image` where that is smaller. Isola et al. 2017,
    appendix 6.1.2. `width` counts the channels of the first layer; they double up to 8 * width. No norm there.

    With `source_channels` of 0 it is told no source. `blind` shows it zeros in the source's stead, so that it cannot
    ask whether a picture belongs to its source. Raises ValueError for a picture that the patch leaves no score for.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        source_channels: int = 0,
        width: int = 64,
        receptive_field: int | str | None = None,
        norm: str = "instance",
        spectral_norm: bool = False,
        blind: bool = False,
    ):
        super().__init__()
        check_counts(channels=channels, width=width, source_channels=source_channels + 1)
        field = field_of(receptive_field, image_size)
        self.seen, self.source_channels = 0.0 if blind else 1.0, source_channels
        given, bare = channels + source_channels, norm == "none"
        if field == 1:
            layers = [nn.Conv2d(given, width, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, 2 * width, 1, bias=bare)]
            layers, before, side = [*layers, norm2d(norm, 2 * width), nn.LeakyReLU(0.2)], 2 * width, 1
        else:
            layers, before, side = [nn.Conv2d(given, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)], width, 4
            for i in range(1, FIELDS[field] + 1):
                after, stride = width * min(2**i, 8), 2 if i < FIELDS[field] else 1
                layers += [nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=bare)]
                layers, before = [*layers, norm2d(norm, after), nn.LeakyReLU(0.2)], after
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Conv2d(before, 1, side, padding=side // 4)
        self.apply(dcgan_init)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor, source: Tensor | None = None) -> Tensor:
        shown = image if source is None else torch.cat([image, source.to(image.dtype) * self.seen], dim=1)
        return in_float32(self.head, self.trunk(shown))


def field_of(receptive_field: int | str | None, image_size: int | list[int]) -> int:
    """The receptive field that is meant, for pictures of this size."""
    low, high = min(pair(image_size)), max(pair(image_size))
    whole = next((field for field in FIELDS if field >= high), max(FIELDS))
    field = {None: min(USUAL, whole), "image": whole}.get(receptive_field, receptive_field)
    if field != 1 and field not in FIELDS:
        known = ", ".join(map(str, [1, *FIELDS]))
        raise ValueError(f"receptive_field={receptive_field} is not known; choose {known} or image.")
    if field != 1 and low < 3 * 2 ** FIELDS[field]:
        raise ValueError(
            f"receptive_field={field} leaves no score of a side of {low} pixels, which must be at least "
            f"{3 * 2 ** FIELDS[field]}: choose a smaller patch, 1 at the least."
        )
    return field
