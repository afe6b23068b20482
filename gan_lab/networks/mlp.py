"""Perceptrons, the networks of the first GAN, for small images and for points."""

import math

from torch import Tensor, nn

from gan_lab.networks.batch_layers import minibatch_layer, reference_layers
from gan_lab.networks.layers import add_spectral_norm, check_counts, norm1d, pair
from gan_lab.networks.precision import in_float32


class Generator(nn.Module):
    """Latents [N, latent_dim] to images [N, channels, height, width] in [-1, 1], or to points [N, channels].

    `depth` hidden layers, the first of `width` units, each twice as wide as the one before (`growth`). An
    `image_size` of None makes points, which no tanh bounds. `norm: virtual` refers to a batch of `references` latents
    that is drawn once (Salimans et al. 2016, section 3.5).
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
        references: int = 64,
    ):
        super().__init__()
        check_counts(latent_dim=latent_dim, channels=channels, width=width, growth=growth, references=references)
        widths = [latent_dim] + [width * growth**i for i in range(depth)]
        layers = []
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.Linear(before, after), *([norm1d(norm, after, references)] if i else []), nn.LeakyReLU(0.2)]
        shape = (channels, *(pair(image_size) if image_size else ()))
        layers += [nn.Linear(widths[-1], math.prod(shape)), nn.Unflatten(1, shape)]
        self.layers = nn.Sequential(*layers, nn.Tanh() if image_size else nn.Identity())
        self.refer, self.forget = reference_layers(norm, references, latent_dim)

    def forward(self, latent: Tensor) -> Tensor:
        return self.forget(self.layers(self.refer(latent)))


class Discriminator(nn.Module):
    """Images [N, channels, height, width] or points [N, channels] to raw scores [N].

    `depth` hidden layers, the last of `width` units, each half as wide as the one before (`growth`).
    `minibatch` puts what tells a batch's samples apart between trunk and head: none, discrimination or stddev.
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
        minibatch: str = "none",
    ):
        super().__init__()
        check_counts(channels=channels, width=width, growth=growth)
        inputs = channels * math.prod(pair(image_size) if image_size else ())
        widths = [inputs] + [width * growth**i for i in reversed(range(depth))]
        layers = [nn.Flatten()]
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.Linear(before, after), *([norm1d(norm, after)] if i else []), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.minibatch, more = minibatch_layer(minibatch, widths[-1])
        self.head = nn.Linear(widths[-1] + more, 1)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        return in_float32(self.head, self.minibatch(self.trunk(x))).flatten()
