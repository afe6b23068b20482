"""The U-Net of pix2pix: what the encoder saw is handed across to the decoder. Isola et al. 2017 (arXiv 1611.07004)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from gan_lab.networks.layers import check_counts, dcgan_init, norm2d, pair
from gan_lab.noise import seed_of

LIMIT = 8  # up to this many times `width` channels
DROPPING = 3  # of the innermost decoder blocks


class Generator(nn.Module):
    """Pictures [N, source_channels, H, W] to pictures [N, channels, H, W] in [-1, 1]. Isola et al. 2017, 6.1.1.

    `depth` convolutions halve the picture, and as many transposed ones double it; null halves it down to 1 pixel, or
    for sides that are no power of two to 3, 5 or 7. `width` counts the channels of the first layer; they double up to
    8 * width. No norm in the first and in the innermost layer of the encoder. `skips: false` is the encoder-decoder
    that the paper compares with (section 4.2).

    `dropout` in the three innermost blocks of the decoder is the noise of this generator and stays on when it samples
    (section 3.1): see `Drop`. Batch norm has two modes: while it trains it takes the statistics of the batch, when it
    samples those that were gathered. The paper takes those of the batch in both and has batches of 1, which is
    `norm: instance`. Raises ValueError for a size that cannot be halved so often.
    """

    def __init__(
        self,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        depth: int | None = None,
        norm: str = "instance",
        skips: bool = True,
        dropout: float = 0.5,
    ):
        super().__init__()
        check_counts(source_channels=source_channels, channels=channels, width=width)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} must lie in [0, 1).")
        depth = depth_of(image_size, depth)
        self.multiple = 2**depth  # both sides of what it takes are multiples of this
        widths = [width * min(2**i, LIMIT) for i in range(depth)]
        bare = norm == "none"

        # Halve the picture
        down = [nn.Conv2d(source_channels, width, 4, stride=2, padding=1)]
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False), start=2):
            inner = i == depth
            convolution = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=bare or inner)
            layers = [nn.LeakyReLU(0.2), convolution, nn.Identity() if inner else norm2d(norm, after)]
            down.append(nn.Sequential(*layers))
        self.down = nn.ModuleList(down)

        # Double what is left, joined with what the encoder saw at the same size
        up, before, joined = [], widths[-1], 2 if skips else 1
        for i, after in enumerate(reversed(widths[:-1])):
            layers = [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bare)]
            layers += [norm2d(norm, after), *([Drop(dropout, i)] if i < DROPPING and dropout else [])]
            up.append(nn.Sequential(*layers))
            before = joined * after
        self.up = nn.ModuleList(up)
        self.join = both if skips else inner_one
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(before, channels, 4, stride=2, padding=1), nn.Tanh())
        self.apply(dcgan_init)

    def forward(self, source: Tensor) -> Tensor:
        x, seen = source, []
        for block in self.down:
            x = block(x)
            seen.append(x)
        for block, across in zip(self.up, reversed(seen[:-1]), strict=True):
            x = self.join(block(x), across)
        return self.last(x)


class Drop(nn.Module):
    """Dropout that never ends: features [N, C, H, W] are dropped when a network samples, too.

    While it trains the drops come from torch's generator, which the trainer seeds. When it samples they follow from
    `seed` and the layer's `place` alone and are the same for all pictures, so that a picture does not depend on its
    batch; another seed makes other pictures of the same sources (`redraw`).
    """

    def __init__(self, share: float, place: int = 0):
        super().__init__()
        self.share, self.place, self.seed = share, place, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return dropout(x, self.share, training=True)
        generator = torch.Generator().manual_seed(seed_of("drop", self.seed, self.place))
        kept = torch.rand(x.shape[1:], generator=generator) >= self.share  # [C, H, W]
        return x * kept.to(x.device) / (1 - self.share)


def redraw(network: nn.Module, seed: int) -> int:
    """Give every `Drop` of a network another seed; how many there are."""
    drops = [module for module in network.modules() if isinstance(module, Drop)]
    for drop in drops:
        drop.seed = seed
    return len(drops)


def both(inner, across):
    return torch.cat([inner, across], dim=1)


def inner_one(inner, across):
    return inner


def depth_of(image_size: int | list[int], depth: int | None) -> int:
    """How often to halve; ValueError with the nearest sizes where that cannot be."""
    if depth is not None and depth < 1:
        raise ValueError(f"depth={depth} must be at least 1, or null for as often as the size can be halved.")
    sizes = WHOLE if depth is None else [2**depth * i for i in range(1, 257)]
    for side in pair(image_size):
        if side not in sizes:
            below = max((s for s in sizes if s < side), default=sizes[0])
            above = min((s for s in sizes if s > side), default=sizes[-1])
            often = "down to 7 pixels or fewer" if depth is None else f"{depth} times"
            raise ValueError(
                f"image_size={image_size}: a side of {side} cannot be halved {often}; the nearest that can: {below} "
                f"and {above}. Set dataset.image_size={below} or {above}."
            )
    return depth or min((side & -side).bit_length() - 1 for side in pair(image_size))


WHOLE = sorted(b << k for b in (1, 3, 5, 7) for k in range(1, 14) if b << k >= 4)
