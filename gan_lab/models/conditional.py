"""Games whose generator is told what a sample is to be: a class, attributes, or codes."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from gan_lab.losses import Objective, widened
from gan_lab.models.base import Terms
from gan_lab.models.gan import GAN
from gan_lab.models.memory import Remembers

REMEMBERED = 1024  # conditions of the data, among which those of new samples are drawn
ROWS, COLUMNS = 8, 10  # of a preview's table, at most


class Told(GAN):
    """A GAN whose generator takes (latent, condition); a condition is [N, num_conditions].

    To everybody else a latent is both, joined: [N, latent_dim + num_conditions]. So a seed has its condition, and
    whatever looks at latents works as with any game. A subclass says which condition a seed has.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        num_conditions: int,
        latent_dim: int = 100,
        latent: Literal["normal", "uniform"] = "normal",
        generator_batch: int = 1,
    ):
        super().__init__(generator, discriminator, objective, latent_dim, latent, generator_batch=generator_batch)
        self.num_conditions = num_conditions

    def condition_of(self, seed: int) -> Tensor:
        """The condition of a seed, [num_conditions]."""
        raise NotImplementedError

    def draw_latents(self, seeds: Sequence[int]) -> Tensor:
        told = torch.stack([self.condition_of(seed) for seed in seeds]).to(self.noise.device)
        return torch.cat([super().draw_latents(seeds), told], dim=1)

    def asked(self, latents: Tensor, condition: Tensor) -> Tensor:
        """The same latents with another condition, [num_conditions] for all of them or [N, num_conditions]."""
        told = condition.to(latents).expand(len(latents), -1)
        return torch.cat([latents[:, : self.latent_dim], told], dim=1)

    def sample(self, latents: Tensor) -> Tensor:
        return self.generator(latents[:, : self.latent_dim], latents[:, self.latent_dim :])


class ConditionalGAN(Remembers, Told):
    """Generator and discriminator are told a condition. Mirza and Osindero 2014 (arXiv 1411.1784), equation 2.

    It comes from the data: a class as one 1 among zeros (`label`), or attributes of 0 and 1. The discriminator takes
    (image, condition); fakes are made for the conditions of the batch. Those of seeds are drawn among the first that
    the data had, so that attributes go together as they do there.
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
        generator_batch: int = 1,
    ):
        super().__init__(generator, discriminator, objective, num_conditions, latent_dim, latent, generator_batch)
        if condition not in ("label", "attributes"):
            raise ValueError(f"condition={condition} is not known; choose label or attributes.")
        if num_conditions < 1:
            raise ValueError(f"num_conditions={num_conditions}: this model needs a {condition} with each sample.")
        self.condition = condition
        self.needs = ("image", condition)
        self.register_buffer("known", torch.zeros(REMEMBERED, num_conditions))

    def discriminator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        real, told = batch["image"], self.told(batch)
        self.keep(told)
        fake = self.generator(self.latent(len(real)), told)
        return self.judge(partial(self.discriminator, condition=told), real, fake, step)

    def generator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        batch = self.enlarged(batch)
        real, told, z = batch["image"], self.told(batch), self.latent(len(batch["image"]))
        critic, generator = partial(self.discriminator, condition=told), partial(self.generator, condition=told)
        return self.fool(critic, generator(z), real, step) + self.pay(generator, z)

    def fresh(self, batch: dict[str, Tensor]) -> Tensor:
        return self.generator(self.latent(len(batch["image"])), self.told(batch))

    def told(self, batch: dict[str, Tensor]) -> Tensor:
        """The conditions of a batch, [N, num_conditions] of 0 and 1."""
        told = batch[self.condition]
        return (one_hot(told, self.num_conditions) if self.condition == "label" else told).to(self.known.dtype)

    def missed(self, said: Tensor, told: Tensor) -> Tensor:
        """How far logits [N, num_conditions] are from conditions: cross-entropy, of each attribute by itself."""
        if self.condition == "label":
            return cross_entropy(widened(said), told.argmax(dim=1))
        return binary_cross_entropy_with_logits(widened(said), widened(told))

    def condition_of(self, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(int(seed) ^ 0x5EED)  # apart from the seed's latent
        return self.known[int(torch.randint(REMEMBERED, (1,), generator=generator))]

    def tables(self, latents: Tensor) -> dict[str, Tensor]:
        """Each row one latent, each column one condition: [rows, columns, C, H, W]."""
        kinds = self.kinds().to(latents)
        rows = latents[: max(1, min(ROWS, len(latents) // len(kinds)))]
        return {"fixed": torch.stack([self.sample(self.asked(rows, kind)) for kind in kinds], dim=1)}

    def kinds(self) -> Tensor:
        """The conditions that a preview shows, [columns, num_conditions]."""
        every = torch.eye(self.num_conditions) if self.condition == "label" else self.known.unique(dim=0)
        return every[:COLUMNS]

    def critic(self, x: Tensor) -> Tensor:
        """Raw scores of samples of which nobody says what they are to be."""
        told = self.known.mean(dim=0).expand(len(x), -1)
        return self.discriminator(self.objective.alone(x), condition=told)
