"""StyleGAN's game: that of StyleGAN2 for networks that grow, whose newest layers fade in."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gan_lab.losses import Objective
from gan_lab.models.base import Terms
from gan_lab.models.stylegan2 import StyleGAN2
from gan_lab.rows import Rows


class StyleGAN(StyleGAN2):
    """Images of latents by way of styles, size by size. Karras et al. 2019 (arXiv 1812.04948). Latents are N(0, 1).

    Each size is a run that starts from the one below. While its first `fade_images` real images are seen (0: it is
    there at once) both networks, and the real images, pass from what they are at half the size to what they are: Karras
    et al. 2018 (arXiv 1710.10196), section 2 and figure 2. How many were `seen` is part of the game, and so resumes
    exactly; a run that starts from another begins to fade anew.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        latent_dim: int = 512,
        mixing: float = 0.9,
        fade_images: int = 0,
    ):
        super().__init__(generator, discriminator, objective, latent_dim, mixing)
        if fade_images < 0:
            raise ValueError(f"fade_images={fade_images} must be at least 0.")
        self.fade_images, self.images = fade_images, 0
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.set_shares()

    def complaints(self, parts, name: str = "model") -> Iterator[str]:
        yield from super().complaints(parts, name)
        if self.fade_images and len(self.fading) < 2:
            yield (
                f"{name}.fade_images={self.fade_images}: these networks have no smaller size to fade from. Set "
                f"{name}.fade_images=0, or {name}.generator.grows_to and {name}.discriminator.grows_to."
            )

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        self.images = len(batch["image"]) * self.noise.shards
        return super().discriminator_loss(self.faded(batch), step)

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        return super().generator_loss(self.faded(batch), step)

    def constrain_critics(self, player: str) -> None:
        """Also count the images that the critic has seen, on the device: a number of the host would change."""
        super().constrain_critics(player)
        if player == "discriminator":
            self.seen += self.images
            self.set_shares()

    def faded(self, batch: Rows) -> Rows:
        """A batch with images that are as much those of half the size as the networks are."""
        if not self.fading:
            return batch
        image = batch["image"]
        half = interpolate(avg_pool2d(image, 2), scale_factor=2)
        return Rows.of(batch).changed(image=torch.lerp(half, image, self.fading[-1][-1].to(image.dtype)))

    @torch.no_grad()
    def set_shares(self) -> None:
        for shares in self.fading:
            shares[-1] = (self.seen / self.fade_images).clamp(max=1)

    @property
    def fading(self) -> list[Tensor]:
        """The shares of the sizes in both networks, where the last one fades in."""
        if not self.fade_images:
            return []
        buffers = (item for network in (self.generator, self.discriminator) for item in network.named_buffers())
        return [buffer for name, buffer in buffers if name.endswith("shares") and len(buffer) > 1]
