"""Networks from images to latents, and critics of both, by the rules of DCGAN."""

import math

import torch
from torch import Tensor, nn

from gan_lab.networks import dcgan
from gan_lab.networks.layers import dcgan_init


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
        return self.project(self.trunk(image))


class GaussianEncoder(Encoder):
    """Images to the means and log variances of their latents, each [N, latent_dim]."""

    def __init__(
        self, latent_dim: int, channels: int, image_size: int | list[int], width: int = 64, norm: str = "batch"
    ):
        super().__init__(2 * latent_dim, channels, image_size, width, norm)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = super().forward(image).chunk(2, dim=1)
        return mean, log_variance


class JointDiscriminator(dcgan.Discriminator):
    """Images with their latents as further channels, [N, channels + latent_dim, height, width], to raw scores [N].

    `blind` shows zeros in place of the latents.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        latent_dim: int,
        width: int = 64,
        norm: str = "none",
        spectral_norm: bool = False,
        head: str = "flatten",
        minibatch: str = "none",
        blind: bool = False,
    ):
        super().__init__(channels + latent_dim, image_size, width, norm, spectral_norm, head, minibatch)
        shown = torch.ones(channels + latent_dim, 1, 1)
        shown[channels:] = 0.0 if blind else 1.0
        self.register_buffer("shown", shown, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image * self.shown.to(image.dtype))
