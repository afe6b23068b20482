"""A pyramid of games: a small image, and a game for each doubling of its size. LAPGAN."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gan_lab.losses import Objective
from gan_lab.models.base import Terms, losses
from gan_lab.models.gan import GAN
from gan_lab.rows import Rows


class LAPGAN(GAN):
    """One conditional pair of networks for each level of a Laplacian pyramid. Denton et al. 2015 (arXiv 1506.05751).

    Level i works at 1 / 2^i of the full size; its generator is shown a real image, halved and enlarged again, and adds
    what is missing (equation 6); the last level makes the smallest images from latents alone. Levels never meet in
    training: `level` trains one of them, None all together. Generator and discriminator have `levels` and a `base`.

    A latent holds a plane of noise for each level and the latent of the base, [N, generator.num_latents].
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        latent: Literal["normal", "uniform"] = "normal",
        level: int | None = None,
    ):
        super().__init__(generator, discriminator, objective, generator.num_latents, latent)
        self.base, self.level = len(generator.levels), level
        if level is not None and not 0 <= level <= self.base:
            raise ValueError(f"level={level} is not there: this pyramid has 0, the largest, to {self.base}, the base.")

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        terms = idle(self.discriminator, self.level)
        for i, critic, real, fake in self.games(batch["image"], self.latent(len(batch["image"]))):
            terms += self.judge(critic, real, fake, step, f"level_{i}")
        return terms

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        terms, z = idle(self.generator, self.level), self.latent(len(batch["image"]))
        for i, critic, real, fake in self.games(batch["image"], z):
            terms += self.fool(critic, fake, real, step, f"level_{i}")
        return terms + self.regularise(self.generator, z)

    def games(self, image: Tensor, latents: Tensor) -> Iterator[tuple[int, nn.Module, Tensor, Tensor]]:
        """(level, critic, real, fake) of every level that is trained, the largest first."""
        *planes, latent = self.generator.parted(latents)
        for i, plane in enumerate(planes):
            coarse = avg_pool2d(image, 2)
            if self.level in (None, i):
                yield i, self.discriminator.levels[i], image, self.generator.refine(i, coarse, plane)
            image = coarse
        if self.level in (None, self.base):
            yield self.base, self.discriminator.base, image, self.generator.base(latent)

    def sample(self, rows: Rows) -> Rows:
        return Rows(image=self.generator(rows["latent"]).clamp(-1, 1))

    def fresh(self, batch: Rows) -> Tensor:
        return self.sample(Rows(latent=self.latent(len(batch["image"]))))["image"]

    def calibrate(self, batch: Rows) -> None:
        """Levels are shown real images, as in training: those below may still be untrained."""
        for _ in self.games(batch["image"], self.latent(len(batch["image"]))):
            pass

    def tables(self, rows: Rows) -> dict[str, Tensor]:
        """Beside samples: each row one latent, each column one level, [rows, levels, C, H, W]."""
        stages = self.generator.stages(rows["latent"][:8])
        return super().tables(rows) | {"levels": torch.stack([enlarged(x, stages[-1]) for x in stages], dim=1)}

    @property
    def main_critic(self) -> nn.Module:
        return [*self.discriminator.levels, self.discriminator.base][0]


def enlarged(images: Tensor, like: Tensor) -> Tensor:
    return interpolate(images, size=like.shape[2:]).clamp(-1, 1)


def idle(network: nn.Module, level: int | None) -> Terms:
    """Nothing at all for the levels that are not trained, so that all weights have a gradient."""
    if level is None:
        return Terms()
    return losses(idle=0.0 * sum(p.sum() for p in network.parameters()))
