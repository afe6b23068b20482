"""CoGAN's networks: two generators and two critics that share layers. Liu and Tuzel 2016 (arXiv 1606.07536), table 1.

As in the official code (mingyuliutw/CoGAN), PyTorch port for MNIST and its edges; its critic has two outputs.
"""

import math
from itertools import pairwise

from torch import Tensor, nn

from gan_lab.networks.layers import add_spectral_norm, check_counts, halvings, norm2d, pair
from gan_lab.networks.precision import in_float32
from gan_lab.networks.stacks import DOMAINS, CoupledCritic, Stacks, check_shared

GROWTH, DENSE = 2.5, 10  # of LeNet's 20, 50 and 500 channels


class Generator(nn.Module):
    """Latents [N, latent_dim] to a source [N, source_channels, H, W] and an image [N, channels, H, W] in [-1, 1].

    A transposed convolution makes a map of at most 4 pixels on its shorter side, strided ones of 3 x 3 double it, and
    one of `kernel` x `kernel`, from 3 x 3 on, makes the picture. `width` counts the channels before the last layer;
    they double backwards, up to 8 * width. The first `shared` layers decode a latent for both domains; null: all but
    the last, which each domain has for itself. Norms of a batch have neither scale nor shift.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        source_channels: int,
        image_size: int | list[int],
        width: int = 128,
        norm: str = "batch",
        kernel: int = 6,
        shared: int | None = None,
    ):
        super().__init__()
        if not 3 <= kernel <= 6:
            raise ValueError(f"kernel={kernel} must lie between 3 and 6.")
        check_counts(latent_dim=latent_dim, channels=channels, source_channels=source_channels, width=width)
        halvings(image_size)  # sides that other networks take, too
        sides = [tuple(side - kernel + 3 for side in pair(image_size))]  # of the maps, the largest first
        while min(sides[-1]) > 4:
            sides.append(tuple((side + 1) // 2 for side in sides[-1]))
        sides, widths = sides[::-1], [width * min(2**i, 8) for i in reversed(range(len(sides)))]
        plain = lambda size: nn.BatchNorm2d(size, affine=False) if norm == "batch" else norm2d(norm, size)

        def stack(channels: int) -> list[nn.Module]:
            start = nn.ConvTranspose2d(latent_dim, widths[0], sides[0])
            layers = [nn.Sequential(start, plain(widths[0]), nn.PReLU())]
            for i, (before, after) in enumerate(pairwise(widths)):
                odd = tuple(new - 2 * old + 1 for old, new in zip(sides[i], sides[i + 1], strict=True))
                double = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=odd)
                layers.append(nn.Sequential(double, plain(after), nn.PReLU()))
            return [*layers, nn.Sequential(nn.ConvTranspose2d(widths[-1], channels, kernel, padding=1), nn.Tanh())]

        stacks = {"source": stack(source_channels), "image": stack(channels)}
        self.stacks = Stacks(stacks, check_shared(shared, len(widths) + 1, "first", "generator"), "first")
        self.apply(xavier)

    def forward(self, latent: Tensor) -> tuple[Tensor, ...]:
        return self.stacks.each(latent[:, :, None, None], DOMAINS)


class Discriminator(CoupledCritic):
    """Pictures of one `domain`, [N, C, H, W], to raw scores [N].

    LeNet: convolutions of 5 x 5 and maxima of 2 x 2 until a side is below 12 pixels, a layer over all that is left,
    `dropout`, and the score. `width` counts the channels of the first layer; each further one has two and a half times
    as many, the layer over all ten times. The last `shared` layers are one for both domains; null: all but the first,
    which each domain has for itself. `source_channels`: null for as many as `channels`.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        source_channels: int | None = None,
        width: int = 20,
        shared: int | None = None,
        dropout: float = 0.0,
        spectral_norm: bool = False,
    ):
        super().__init__()
        given = {"source": channels if source_channels is None else source_channels, "image": channels}
        check_counts(width=width, channels=given["image"], source_channels=given["source"])
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} must lie in [0, 1).")
        halvings(image_size)
        sides, padding = [pair(image_size)], 0 if min(pair(image_size)) >= 12 else 2
        while len(sides) == 1 or min(sides[-1]) >= 12:
            sides.append(tuple((side - 4 + 2 * padding) // 2 for side in sides[-1]))
        widths = [int(width * GROWTH**i) for i in range(len(sides) - 1)]

        def stack(channels: int) -> list[nn.Module]:
            layers = [
                nn.Sequential(nn.Conv2d(before, after, 5, padding=padding), nn.MaxPool2d(2))
                for before, after in pairwise([channels, *widths])
            ]
            return [*layers, nn.Sequential(nn.Conv2d(widths[-1], DENSE * widths[-1], sides[-1]), nn.PReLU())]

        stacks = {name: stack(count) for name, count in given.items()}
        shared = check_shared(shared, len(widths) + 2, "last", "discriminator")
        heads = {name: [nn.Sequential(nn.Dropout(dropout), nn.Conv2d(DENSE * widths[-1], 1, 1))] for name in stacks}
        self.trunk, self.given = Stacks(stacks, max(0, shared - 1), "last"), given
        self.head = Stacks(heads, min(1, shared), "last")
        self.apply(xavier)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor, domain: str = "image") -> Tensor:
        return in_float32(lambda x: self.head(x, domain), self.trunk(image, domain)).flatten()


def xavier(module: nn.Module) -> None:
    """Weights by Glorot and Bengio with a gain of the root of 2, biases of 0.1: the official code's; for `apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2))
        nn.init.constant_(module.bias, 0.1)
