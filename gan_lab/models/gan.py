"""One generator against one discriminator, from noise: GAN, DCGAN, LSGAN, WGAN(-GP), SNGAN and many more."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective
from gan_lab.models.base import Game, Terms
from gan_lab.rows import Rows


class GAN(Game):
    """The two-player game. Goodfellow et al. 2014 (arXiv 1406.2661), section 3 and algorithm 1.

    Latents are [N, latent_dim], from N(0, 1) (`normal`) or from U(-1, 1) (`uniform`, DCGAN's). The discriminator
    moves first, and each turn makes fresh fakes. With `reuse_fakes` the generator moves first and hands its fakes on
    to the discriminator, which saves one forward pass of the generator and lets each turn lag by one update. In its
    own turn the generator makes `generator_batch` fakes for each real sample: 2 in the code of SNGAN and WGAN-GP.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        latent_dim: int = 100,
        latent: Literal["normal", "uniform"] = "normal",
        reuse_fakes: bool = False,
        generator_batch: int = 1,
    ):
        super().__init__(objective)
        if generator_batch < 1:
            raise ValueError(f"generator_batch={generator_batch} must be at least 1.")
        if latent not in ("normal", "uniform"):
            raise ValueError(f"latent={latent} is not known; choose normal or uniform.")
        self.generator, self.discriminator = generator, discriminator
        self.latent_dim, self.latent_kind = latent_dim, latent
        self.generator_batch = generator_batch
        self.reuse(reuse_fakes)

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        real = batch["image"]
        fake = self.last_fakes.take() if self.reuse_fakes else self.generator(self.latent(len(real)))
        return self.judge(self.discriminator, real, fake, step)

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        real = self.enlarged(batch)["image"]
        z = self.latent(len(real))
        fake = self.generator(z)
        self.last_fakes.keep(fake[:: self.generator_batch])
        return self.fool(self.discriminator, fake, real, step) + self.regularise(self.generator, z)

    def enlarged(self, batch: Rows) -> Rows:
        """What the generator's turn is played on: each row of a batch `generator_batch` times, side by side."""
        if self.generator_batch == 1:
            return batch
        return Rows({name: batch[name].repeat_interleave(self.generator_batch, dim=0) for name in self.needs})

    def latent(self, n: int) -> Tensor:
        """Latents of this turn, [n, latent_dim]."""
        if self.latent_kind == "normal":
            return self.noise("latent", (n, self.latent_dim))
        return self.noise.uniform("latent", (n, self.latent_dim)) * 2 - 1

    def draw(self, seeds: Sequence[int]) -> Rows:
        draw = torch.randn if self.latent_kind == "normal" else torch.rand
        rows = [draw(self.latent_dim, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
        z = torch.stack(rows)
        return Rows(latent=(z if self.latent_kind == "normal" else z * 2 - 1).to(self.noise.device))

    def sample(self, rows: Rows) -> Rows:
        return Rows(image=self.generator(rows["latent"]))

    def fresh(self, batch: Rows) -> Tensor:
        """New samples, as many as the batch has."""
        return self.generator(self.latent(len(batch["image"])))

    def calibrate(self, batch: Rows) -> None:
        self.fresh(batch)

    def tables(self, rows: Rows) -> dict[str, Tensor]:
        """What a preview shows of fixed samples, by name: [N, C, H, W], or [rows, columns, C, H, W]."""
        return {"fixed": self.sample(rows)["image"]}

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        return self.tables(rows) | self.compared(batch["image"], self.fresh(batch), step)
