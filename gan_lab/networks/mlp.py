"""Perceptrons, the networks of the first GAN, for small images and for points."""

import math

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as with_spectral_norm

from gan_lab.networks.layers import check_counts, norm1d, pair


class Generator(nn.Module):
    """Latents [N, latent_dim] to images [N, channels, height, width] in [-1, 1], or to points [N, channels].

    `depth` hidden layers, the first of `width` units, each twice as wide as the one before (`growth`). An
    `image_size` of None makes points, which no tanh bounds.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int] | None = None,
        width: int = 256,
        depth: int = 3,
        growth: int = 2,
        norm: str = "batch",
    ):
        super().__init__()
        check_counts(latent_dim=latent_dim, channels=channels, width=width, growth=growth)
        widths = [latent_dim] + [width * growth**i for i in range(depth)]
        layers = []
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.Linear(before, after), *([norm1d(norm, after)] if i else []), nn.LeakyReLU(0.2)]
        shape = (channels, *(pair(image_size) if image_size else ()))
        layers += [nn.Linear(widths[-1], math.prod(shape)), nn.Unflatten(1, shape)]
        self.layers = nn.Sequential(*layers, nn.Tanh() if image_size else nn.Identity())

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


class Discriminator(nn.Module):
    """Images [N, channels, height, width] or points [N, channels] to raw scores [N].

    `depth` hidden layers, the last of `width` units, each half as wide as the one before (`growth`).
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int] | None = None,
        width: int = 256,
        depth: int = 2,
        growth: int = 2,
        norm: str = "none",
        spectral_norm: bool = False,
    ):
        super().__init__()
        check_counts(channels=channels, width=width, growth=growth)
        inputs = channels * math.prod(pair(image_size) if image_size else ())
        widths = [inputs] + [width * growth**i for i in reversed(range(depth))]
        layers = [nn.Flatten()]
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.Linear(before, after), *([norm1d(norm, after)] if i else []), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 1)
        if spectral_norm:
            for layer in [m for m in self.modules() if isinstance(m, nn.Linear)]:
                with_spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x)).flatten()
