"""XGAN's networks: an encoder and a decoder whose middle two domains share, and who tells the domains by their codes.

Royer et al. 2017 (arXiv 1711.05139), section 3; there is no code of the authors. Sizes and norms are those of
https://github.com/CS2470FinalProject/X-GAN: strided convolutions of 4 x 4 without biases, instance norm.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_lab.networks.layers import check_counts, dcgan_init, halvings, norm2d, pair
from gan_lab.networks.precision import in_float32
from gan_lab.networks.stacks import Stacks

MOST = 8  # times `width` that a layer has at most


class Encoder(Stacks):
    """Pictures [N, C, H, W] of one `domain`, source or image, to codes [N, latent_dim].

    Convolutions halve the picture until its shorter side is 4 to 7 pixels, one looks at all that is left, and a last
    layer makes the code. `width` counts the channels of the first layer, doubled up to 8 times; the first `own` layers
    are each domain's own, one at least.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        source_channels: int,
        image_size: int | list[int],
        width: int = 32,
        own: int = 2,
        norm: str = "instance",
    ):
        check_counts(latent_dim=latent_dim, channels=channels, source_channels=source_channels, width=width, own=own)
        times = halvings(image_size)
        left = tuple(side >> times for side in pair(image_size))
        widths = [width * min(2**i, MOST) for i in range(times)]

        def stack(channels: int) -> list[nn.Module]:
            layers, sizes = [], [channels, *widths]
            for before, after in pairwise(sizes):
                halve = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=norm == "none")
                layers.append(nn.Sequential(halve, norm2d(norm, after), nn.LeakyReLU(0.2)))
            layers.append(nn.Sequential(nn.Conv2d(sizes[-1], latent_dim, left, bias=False), nn.LeakyReLU(0.2)))
            return [*layers, nn.Conv2d(latent_dim, latent_dim, 1, bias=False)]

        stacks = {"source": stack(source_channels), "image": stack(channels)}
        super().__init__(stacks, max(1, times + 2 - own), "last")
        self.takes = pair(image_size)  # the only size of what it takes
        self.apply(dcgan_init)

    def forward(self, pictures: Tensor, domain: str) -> Tensor:
        return super().forward(pictures, domain).flatten(1)


class Decoder(Stacks):
    """Codes [N, latent_dim] to pictures [N, C, H, W] of one `domain` in [-1, 1]: the way back of `Encoder`.

    `width` counts the channels before the last layer; the last `own` layers are each domain's own.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        source_channels: int,
        image_size: int | list[int],
        width: int = 64,
        own: int = 3,
        norm: str = "instance",
    ):
        check_counts(latent_dim=latent_dim, channels=channels, source_channels=source_channels, width=width, own=own)
        times = halvings(image_size)
        left = tuple(side >> times for side in pair(image_size))
        widths = [width * min(2**i, MOST) for i in reversed(range(times))]

        def stack(channels: int) -> list[nn.Module]:
            sizes, bare = [*widths, channels], norm == "none"
            start = nn.ConvTranspose2d(latent_dim, sizes[0], left, bias=bare or not widths)
            layers = [[nn.Unflatten(1, (latent_dim, 1, 1)), nn.ReLU(), start]]
            for i, (before, after) in enumerate(pairwise(sizes)):
                layers[-1] += [norm2d(norm, before), nn.ReLU()]
                last = i == len(sizes) - 2
                layers.append([nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bare or last)])
            return [nn.Sequential(*layer) for layer in layers]

        stacks = {"source": stack(source_channels), "image": stack(channels)}
        super().__init__(stacks, max(0, len(widths) + 1 - own), "first")
        self.apply(dcgan_init)

    def forward(self, code: Tensor, domain: str) -> Tensor:
        return torch.tanh(super().forward(code, domain))


class DomainCritic(nn.Module):
    """Codes [N, latent_dim] to logits [N] of being an image's: `layers` hidden layers of `hidden` units."""

    def __init__(self, latent_dim: int, hidden: int = 1024, layers: int = 3):
        super().__init__()
        check_counts(latent_dim=latent_dim, hidden=hidden, layers=layers)
        sizes = [latent_dim, *[hidden] * layers]
        inner = [part for sides in pairwise(sizes) for part in (nn.Linear(*sides), nn.LeakyReLU(0.2))]
        self.layers = nn.Sequential(*inner, nn.Linear(hidden, 1))
        self.apply(dcgan_init)

    def forward(self, code: Tensor) -> Tensor:
        return in_float32(self.layers, code).flatten()
