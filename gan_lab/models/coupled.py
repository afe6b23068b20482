"""Two generators of one latent, and two critics, that have layers in common: CoGAN."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective
from gan_lab.models.base import Terms
from gan_lab.models.gan import GAN
from gan_lab.models.sources import beside
from gan_lab.rows import Rows


class CoGAN(GAN):
    """A latent becomes a picture in each of two domains, though no pair is ever shown. Liu and Tuzel 2016 (1606.07536).

    The generator returns (source, image) of latents; the discriminator takes pictures and the name of their `domain`,
    and each domain plays the game of GAN for itself (equations 3 and 4). What ties the two pictures together are
    layers in common: the first ones of the generator, which decode what a picture is of, and the last ones of the
    discriminator. The last of the generator and the first of the discriminator, which draw and look, are each domain's
    own (section 3; a widespread re-implementation, PyTorch-GAN's, separates the discriminator's last layer instead).
    """

    needs = ("source", "image")
    makes = ("image", "source")

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        latent_dim: int = 100,
        latent: Literal["normal", "uniform"] = "uniform",
        reuse_fakes: bool = False,
    ):
        super().__init__(generator, discriminator, objective, latent_dim, latent, reuse_fakes)

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        fakes = self.last_fakes.take() if self.reuse_fakes else self.generator(self.latent(len(batch["image"])))
        terms = Terms()
        for domain, fake in zip(self.needs, fakes, strict=True):
            terms += self.judge(self.critic_of(domain), batch[domain], fake, step, domain)
        return terms

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        z = self.latent(len(batch["image"]))
        fakes, terms = self.generator(z), Terms()
        self.last_fakes.keep(fakes)
        for domain, fake in zip(self.needs, fakes, strict=True):
            terms += self.fool(self.critic_of(domain), fake, batch[domain], step, domain)
        return terms + self.regularise(self.generator, z, lambda rows: torch.cat(self.generator(rows["latent"]), dim=1))

    def critic_of(self, domain: str) -> partial:
        """The discriminator as it looks at pictures of one domain."""
        return partial(self.discriminator, domain=domain)

    def sample(self, rows: Rows) -> Rows:
        source, image = self.generator(rows["latent"])
        return Rows(image=image, source=source)

    def fresh(self, batch: Rows) -> Tensor:
        return self.generator(self.latent(len(batch["image"])))[1]

    def tables(self, rows: Rows) -> dict[str, Tensor]:
        """Each row the two pictures of one latent, [rows, 2, C, H, W]."""
        return {"fixed": beside(*self.generator(rows["latent"]))}
