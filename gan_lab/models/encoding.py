"""Games with an encoder, which finds the latent of an image: VAE-GAN and BiGAN."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective, at_least_float32
from gan_lab.losses.base import ByName
from gan_lab.models.base import Terms, losses
from gan_lab.models.gan import GAN
from gan_lab.rows import Rows


class Encoding(GAN):
    """A GAN with an encoder beside it. A subclass says how both learn."""

    averaged = ("generator", "encoder")

    def encode(self, images: Tensor) -> Tensor:
        """The latents of images, [N, latent_dim]."""
        raise NotImplementedError

    def rebuild(self, images: Tensor) -> Tensor:
        """Images by way of their latents, in their own shape."""
        return self.generator(self.encode(images))

    def calibrate(self, batch: Rows) -> None:
        super().calibrate(batch)
        self.encode(batch["image"])

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Beside what a GAN shows: pairs of an image and its reconstruction, a row each."""
        rebuilt = torch.stack([batch["image"], self.rebuild(batch["image"])], dim=1)  # [N, 2, C, H, W]
        return super().preview(batch, rows, step) | {"rebuilt": rebuilt[:8]}


class VAEGAN(Encoding):
    """A variational autoencoder whose likeness is judged in the critic's features. Larsen et al. 2016 (1512.09300).

    Three players, each with its own loss (algorithm 1): the encoder minimises L_prior + L_llike, the generator, which
    is the decoder, gamma * L_llike - L_GAN, the discriminator -L_GAN, in which samples of both the prior and the
    posterior are fake; without `judge_rebuilt` those of the prior alone, for the generator too, as in the official code
    for faces. That the critic learns nothing from L_llike, nor the encoder from L_GAN, needs no
    stop-gradient: whoever is not at turn is frozen.

    The encoder returns (means, log variances), each [N, latent_dim]. L_llike is half the squared distance of what the
    critic's `trunk` makes of an image and of its reconstruction, as a mean over the features, times `likeness`: with
    their number in its place it is equation 7's sum. L_prior is the divergence from N(0, 1), a sum over the latent,
    times `prior`. With `plain` it is a variational autoencoder: the distance is that of pixels, and the critic looks
    on. Kingma and Welling 2014 (arXiv 1312.6114).
    """

    players = {"discriminator": ("discriminator",), "encoder": ("encoder",), "generator": ("generator",)}

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        latent_dim: int = 128,
        prior: float = 1.0,
        likeness: float = 1000.0,
        gamma: float = 1.0,
        judge_rebuilt: bool = True,
        plain: bool = False,
    ):
        super().__init__(generator, discriminator, objective, latent_dim, "normal")
        self.encoder = encoder
        self.prior, self.likeness, self.gamma = prior, likeness, gamma
        self.judge_rebuilt, self.plain = judge_rebuilt, plain

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        real = batch["image"]
        rebuilt = self.posterior(real)[0] if self.judge_rebuilt else None
        terms = self.judge(self.discriminator, real, self.generator(self.latent(len(real))), step)
        if rebuilt is not None:
            terms += self.judge(self.discriminator, real, rebuilt, step, "rebuilt")
        return terms

    def encoder_loss(self, batch: Rows, step: int) -> Terms:
        rebuilt, divergence = self.posterior(batch["image"])
        return losses(prior=self.prior * divergence, likeness=self.unlike(batch["image"], rebuilt))

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        real, z = batch["image"], self.latent(len(batch["image"]))
        rebuilt, _ = self.posterior(real)
        terms = losses(likeness=self.gamma * self.unlike(real, rebuilt))
        if self.plain:
            return terms
        terms += self.fool(self.discriminator, self.generator(z), real, step)
        if self.judge_rebuilt:
            terms += self.fool(self.discriminator, rebuilt, real, step, "rebuilt")
        return terms + self.regularise(self.generator, z)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstructions by way of a draw from the posterior, and its divergence from the prior, a mean over images.

        Kingma and Welling 2014, section 2.4 and appendix B.
        """
        mean, log_variance = (at_least_float32(x) for x in self.encoder(images))
        z = mean + (0.5 * log_variance).exp() * self.noise("posterior", mean.shape)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        return self.generator(z.to(images.dtype)), divergence

    def unlike(self, images: Tensor, rebuilt: Tensor) -> Tensor:
        """L_llike (equation 7), or the pixels' distance."""
        if not self.plain:
            images, rebuilt = (self.discriminator.trunk(self.alone(x)) for x in (images, rebuilt))
        return self.likeness * 0.5 * (at_least_float32(images) - at_least_float32(rebuilt)).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images)[0]


class BiGAN(Encoding):
    """An encoder that learns with the game. Donahue et al. 2017 (arXiv 1605.09782), equations 2 and 3.

    The discriminator, which takes (image, latent), tells (x, E(x)) from (G(z), z); generator and encoder, one player,
    want both pairs taken for the other kind. The encoder returns latents.
    """

    players = {"discriminator": ("discriminator",), "generator": ("generator", "encoder")}

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        latent_dim: int = 50,
        latent: str = "normal",
    ):
        super().__init__(generator, discriminator, objective, latent_dim, latent)
        self.encoder = encoder

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        return self.judge(self.discriminator, *self.pairs(batch["image"], self.latent(len(batch["image"]))), step)

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        z = self.latent(len(batch["image"]))
        real, fake = self.pairs(batch["image"], z)
        mirror = Mirrored(self.discriminator, self.objective.mirrored)
        terms = self.fool(self.discriminator, fake, real, step)
        terms += self.fool(
            mirror, real, fake, step, "encoder", with_penalties=False
        )  # what is real is nothing to be matched
        return terms + self.regularise(self.generator, z)

    @property
    def beside_images(self) -> dict[str, int]:
        return {"latent_dim": self.latent_dim}

    def pairs(self, images: Tensor, z: Tensor) -> tuple[Rows, Rows]:
        """(x, E(x)) and (G(z), z)."""
        return self.pair(images, self.encoder(images)), self.pair(self.generator(z), z)

    def pair(self, images: Tensor, latents: Tensor) -> Rows:
        return Rows(image=images, latent=latents.to(images.dtype))

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def critic(self, x: Tensor) -> Tensor:
        """Raw scores of images beside their own latents."""
        return ByName(self.discriminator)(self.objective.alone(self.pair(x, self.encoder(x))))


class Mirrored:
    """A critic to whom real is fake and fake is real."""

    def __init__(self, func: nn.Module, mirror: Callable[[Tensor], Tensor]):
        self.func, self.mirror = func, mirror

    def __call__(self, image: Tensor, **beside: Tensor) -> Tensor:
        return self.mirror(self.func(image, **beside))
