"""Networks that are told a condition beside their input. Mirza and Osindero 2014 (arXiv 1411.1784), section 3.2."""

import torch
from torch import Tensor

from gan_lab.networks import dcgan


class Generator(dcgan.Generator):
    """Latents [N, latent_dim] and conditions [N, num_conditions] to images: DCGAN's generator on both joined."""

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        num_conditions: int,
        width: int = 64,
        norm: str = "batch",
        references: int = 64,
    ):
        super().__init__(latent_dim + num_conditions, channels, image_size, width, norm, references)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        return super().forward(torch.cat([latent, condition.to(latent.dtype)], dim=1))


class Discriminator(dcgan.Discriminator):
    """Images [N, channels, height, width] and conditions [N, num_conditions] to raw scores [N].

    Each number of a condition is one more channel, the same in all places. `blind` shows zeros in their stead, so that
    the critic cannot ask whether an image is what it was to be.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        num_conditions: int,
        width: int = 64,
        norm: str = "batch",
        spectral_norm: bool = False,
        head: str = "flatten",
        minibatch: str = "none",
        blind: bool = False,
    ):
        super().__init__(channels + num_conditions, image_size, width, norm, spectral_norm, head, minibatch)
        self.seen = 0.0 if blind else 1.0

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        planes = (condition.to(image.dtype) * self.seen)[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return super().forward(torch.cat([image, planes], dim=1))
