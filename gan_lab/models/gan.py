"""One generator against one discriminator, from noise: GAN, DCGAN, LSGAN, WGAN(-GP), SNGAN and many more."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective
from gan_lab.models.base import Game, Terms


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
        self.reuse_fakes, self.handed, self.generator_batch = reuse_fakes, [], generator_batch
        if reuse_fakes:
            self.players = dict(reversed(Game.players.items()))

    def discriminator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        real = batch["image"]
        fake = self.handed.pop(0) if self.reuse_fakes else self.generator(self.latent(len(real)))
        return self.judge(self.discriminator, real, fake, step)

    def generator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        real = self.enlarged(batch)["image"]
        z = self.latent(len(real))
        fake = self.generator(z)
        if self.reuse_fakes:
            self.handed.append(fake[:: self.generator_batch].detach())
        return self.fool(self.discriminator, fake, real, step) + self.pay(self.generator, z)

    def enlarged(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the generator's turn is played on: each row of a batch `generator_batch` times, side by side."""
        if self.generator_batch == 1:
            return batch
        return {name: batch[name].repeat_interleave(self.generator_batch, dim=0) for name in self.needs}

    def latent(self, n: int) -> Tensor:
        """Latents of this turn, [n, latent_dim]."""
        if self.latent_kind == "normal":
            return self.noise("latent", (n, self.latent_dim))
        return self.noise.uniform("latent", (n, self.latent_dim)) * 2 - 1

    def draw_latents(self, seeds: Sequence[int]) -> Tensor:
        draw = torch.randn if self.latent_kind == "normal" else torch.rand
        rows = [draw(self.latent_dim, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
        z = torch.stack(rows)
        return (z if self.latent_kind == "normal" else z * 2 - 1).to(self.noise.device)

    def sample(self, latents: Tensor) -> Tensor:
        return self.generator(latents)

    def fresh(self, batch: dict[str, Tensor]) -> Tensor:
        """New samples, as many as the batch has."""
        return self.generator(self.latent(len(batch["image"])))

    def calibrate(self, batch: dict[str, Tensor]) -> None:
        self.fresh(batch)

    def tables(self, latents: Tensor) -> dict[str, Tensor]:
        """What a preview shows of fixed latents, by name: [N, C, H, W], or [rows, columns, C, H, W]."""
        return {"fixed": self.sample(latents)}

    def preview(self, batch: dict[str, Tensor], latents: Tensor, step: int) -> dict[str, Tensor]:
        real, fresh = batch["image"], self.fresh(batch)
        shown_real, shown_fake = self.objective.show(real, fresh, self.noise, step)
        shown = {"fresh": fresh, "real": real, "shown_real": shown_real, "shown_fake": shown_fake}
        return self.tables(latents) | shown
