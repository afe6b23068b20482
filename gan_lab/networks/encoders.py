"""Networks from images to latents, and critics of both, by the rules of DCGAN."""

import math

import torch
from torch import Tensor, nn

from gan_lab.networks import dcgan
from gan_lab.networks.layers import add_spectral_norm, dcgan_init
from gan_lab.networks.precision import in_float32


class Encoder(nn.Module):
    """Images [N, channels, height, width] to latents [N, latent_dim]: the trunk of DCGAN's critic, a linear layer."""

    def __init__(
        self, latent_dim: int, channels: int, image_size: int | list[int], width: int = 64, norm: str = "batch"
    ):
        super().__init__()
        critic = dcgan.Discriminator(channels, image_size, width, norm)
        self.trunk = critic.trunk
        self.project = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(critic.shape), latent_dim))
        self.project.apply(dcgan_init)

    def forward(self, image: Tensor) -> Tensor:
        return in_float32(self.project, self.trunk(image))


class GaussianEncoder(Encoder):
    """Images to the means and log variances of their latents, each [N, latent_dim]."""

    def __init__(
        self, latent_dim: int, channels: int, image_size: int | list[int], width: int = 64, norm: str = "batch"
    ):
        super().__init__(2 * latent_dim, channels, image_size, width, norm)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = super().forward(image).chunk(2, dim=1)
        return mean, log_variance


class JointDiscriminator(nn.Module):
    """Images [N, channels, height, width] and latents [N, latent_dim] to raw scores [N].

    The latent joins what the `trunk` makes of the image, behind a layer of its own;
    two layers of `hidden` units score both (Donahue et al. 2017, appendix C.1). `blind` shows zeros in its place.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        latent_dim: int,
        width: int = 64,
        hidden: int = 256,
        norm: str = "none",
        spectral_norm: bool = False,
        blind: bool = False,
    ):
        super().__init__()
        critic = dcgan.Discriminator(channels, image_size, width, norm)
        self.seen, self.latent_dim = 0.0 if blind else 1.0, latent_dim
        self.trunk = critic.trunk
        self.of_latent = nn.Sequential(nn.Linear(latent_dim, hidden), nn.LeakyReLU(0.2))
        features = math.prod(critic.shape) + hidden
        self.head = nn.Sequential(
            nn.Linear(features, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )  # fmt: skip
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor, latent: Tensor) -> Tensor:
        seen = self.trunk(image).flatten(1)
        return in_float32(self.head, torch.cat([seen, self.of_latent(latent * self.seen)], dim=1)).flatten()
