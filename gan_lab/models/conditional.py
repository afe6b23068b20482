"""A game whose players are told what a sample is to be: a class or attributes."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_lab.losses import Objective
from gan_lab.models.base import Terms
from gan_lab.models.gan import GAN

REMEMBERED = 1024  # conditions of the data, among which those of new samples are drawn


class ConditionalGAN(GAN):
    """Generator and discriminator are told a condition. Mirza and Osindero 2014 (arXiv 1411.1784), equation 2.

    A condition is [N, num_conditions]: a class as one 1 among zeros (`label`), or attributes of 0 and 1. The generator
    takes (latent, condition), the discriminator (image, condition); fakes are made for the conditions of the batch.

    To everybody else a latent is both, joined: [N, latent_dim + num_conditions]. So a seed has its condition, drawn
    among those that the data had, and whatever looks at latents works as with any game.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        num_conditions: int,
        latent_dim: int = 100,
        latent: Literal["normal", "uniform"] = "normal",
        condition: Literal["label", "attributes"] = "label",
    ):
        super().__init__(generator, discriminator, objective, latent_dim, latent)
        if condition not in ("label", "attributes"):
            raise ValueError(f"condition={condition} is not known; choose label or attributes.")
        if num_conditions < 1:
            raise ValueError(f"num_conditions={num_conditions}: this model needs a {condition} with each sample.")
        self.condition, self.num_conditions = condition, num_conditions
        self.needs = ("image", condition)
        self.register_buffer("known", torch.zeros(REMEMBERED, num_conditions))

    def discriminator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        real, told = batch["image"], self.told(batch)
        self.remember(told)
        fake = self.generator(self.latent(len(real)), told)
        return self.judge(partial(self.discriminator, condition=told), real, fake, step)

    def generator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        real, told, z = batch["image"], self.told(batch), self.latent(len(batch["image"]))
        critic, generator = partial(self.discriminator, condition=told), partial(self.generator, condition=told)
        return self.fool(critic, generator(z), real, step) + self.pay(generator, z, step=step)

    def told(self, batch: dict[str, Tensor]) -> Tensor:
        """The conditions of a batch, [N, num_conditions] of 0 and 1."""
        told = batch[self.condition]
        return (one_hot(told, self.num_conditions) if self.condition == "label" else told).to(self.known.dtype)

    @torch.no_grad()
    def remember(self, told: Tensor) -> None:
        """Keep the newest conditions; the first batch fills all places."""
        rows = told[-REMEMBERED:]
        repeated = rows.repeat(-(-REMEMBERED // len(rows)), 1)[:REMEMBERED]
        newer = torch.cat([self.known[len(rows) :], rows])
        self.known.copy_(torch.where(self.known.any(), newer, repeated))

    def draw_latents(self, seeds: Sequence[int]) -> Tensor:
        chosen = [int(torch.randint(REMEMBERED, (1,), generator=self.drawer(seed))) for seed in seeds]
        return torch.cat([super().draw_latents(seeds), self.known[chosen].to(self.noise.device)], dim=1)

    def drawer(self, seed: int) -> torch.Generator:
        """What draws a seed's condition, apart from its latent."""
        return torch.Generator().manual_seed(int(seed) ^ 0x5EED)

    def asked(self, latents: Tensor, condition: Tensor) -> Tensor:
        """The same latents with another condition, [num_conditions] for all of them or [N, num_conditions]."""
        told = condition.to(latents).expand(len(latents), -1)
        return torch.cat([latents[:, : self.latent_dim], told], dim=1)

    def sample(self, latents: Tensor) -> Tensor:
        return self.generator(latents[:, : self.latent_dim], latents[:, self.latent_dim :])

    def critic(self, x: Tensor) -> Tensor:
        """Raw scores of samples of which nobody says what they are to be."""
        told = self.known.mean(dim=0).expand(len(x), -1)
        return self.discriminator(self.objective.alone(x), condition=told)

    def preview(self, batch: dict[str, Tensor], latents: Tensor, step: int) -> dict[str, Tensor]:
        """Beside what a GAN shows: each row one latent, each column one condition, [rows, columns, C, H, W]."""
        real, told = batch["image"], self.told(batch)
        every = torch.eye(self.num_conditions, device=real.device)
        kinds = (every if self.condition == "label" else told.unique(dim=0))[:10]  # [columns, num_conditions]
        rows = latents[: max(1, min(8, len(latents) // len(kinds)))]
        table = torch.stack([self.sample(self.asked(rows, kind)) for kind in kinds], dim=1)
        fresh = self.generator(self.latent(len(real)), told)
        shown_real, shown_fake = self.objective.show(real, fresh, self.noise, step)
        return {"fixed": table, "fresh": fresh, "real": real, "shown_real": shown_real, "shown_fake": shown_fake}
