"""Games whose generator is given a condition: a class, attributes, or codes."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Terms
from gan_lab.models.gan import GAN
from gan_lab.models.memory import Kept
from gan_lab.rows import Rows

REMEMBERED = 1024  # conditions of the data, among which those of new samples are drawn
ROWS, COLUMNS = 8, 10  # of a preview's table, at most


class Conditioned(GAN):
    """A GAN whose generator takes (latent, condition), a condition being [N, num_conditions].

    A sample is made of its latent and of one more column; a subclass says which, and how it becomes a condition.
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

    def condition(self, rows: Rows) -> Tensor:
        """The conditions of rows, [N, num_conditions] floats: what networks take."""
        raise NotImplementedError

    def new(self, batch: Rows) -> Rows:
        """What new samples of this turn are made of, a row for each row of the batch."""
        raise NotImplementedError

    def draw_conditions(self, seeds: Sequence[int]) -> Tensor:
        """The condition column of `made_of` for each seed, [N, ...]."""
        raise NotImplementedError

    def make(self, rows: Rows) -> Tensor:
        """What the generator makes of rows, images [N, C, H, W]."""
        return self.generator(rows["latent"], self.condition(rows))

    def draw(self, seeds: Sequence[int]) -> Rows:
        name = self.made_of[1]
        return super().draw(seeds).changed(**{name: self.draw_conditions(seeds).to(self.noise.device)})

    def sample(self, rows: Rows) -> Rows:
        return Rows(image=self.make(rows))

    def fresh(self, batch: Rows) -> Tensor:
        return self.make(self.new(batch))


class ConditionalGAN(Kept, Conditioned):
    """Generator and discriminator are given a condition. Mirza and Osindero 2014 (arXiv 1411.1784), equation 2.

    It comes from the data: a class (`label`), which networks take as one 1 among zeros, or attributes of 0 and 1. The
    discriminator takes (image, condition); fakes are made for the conditions of the batch. Those of seeds are drawn
    among 1,024 of the data, so that attributes go together as they do there.
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
        self.kind = condition
        self.needs = ("image", condition)
        self.made_of = ("latent", condition)
        self.keeps = {condition: REMEMBERED}
        self.register_buffer("known", torch.zeros(REMEMBERED, num_conditions))

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        return self.judge(self.discriminator, *self.sides(batch, self.new(batch)), step)

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        batch = self.enlarged(batch)
        rows = self.new(batch)
        real, fake = self.sides(batch, rows)
        return self.fool(self.discriminator, fake, real, step) + self.regularise(self.generator, rows, self.make)

    def sides(self, batch: Rows, rows: Rows) -> tuple[Rows, Rows]:
        """Real images of a batch and those made of rows, each with its condition."""
        condition = self.condition(rows)
        return Rows(image=batch["image"], condition=condition), Rows(image=self.make(rows), condition=condition)

    @property
    def beside_images(self) -> dict[str, int]:
        return {"num_conditions": self.num_conditions}

    def complaints(self, parts, name: str = "model") -> Iterator[str]:
        yield from super().complaints(parts, name)
        if self.kind not in parts.dataset.gives:
            return
        there, kinds = len(parts.dataset.vocabulary[self.kind]), {"label": "classes"}.get(self.kind, self.kind)
        if self.num_conditions < there or self.kind == "attributes" and self.num_conditions != there:
            yield (
                f"model.num_conditions={self.num_conditions}, and the dataset has {there} {kinds}. "
                f"Set model.num_conditions={there}."
            )

    def new(self, batch: Rows) -> Rows:
        return Rows({"latent": self.latent(len(batch["image"])), self.kind: batch[self.kind]})

    def condition(self, rows: Rows) -> Tensor:
        given = rows[self.kind]
        return (one_hot(given, self.num_conditions) if self.kind == "label" else given).to(self.known.dtype)

    def mismatch(self, logits: Tensor, condition: Tensor) -> Tensor:
        """How far logits are from conditions: cross-entropy, of each attribute by itself.

        Both are [N, num_conditions], or of several samples in a row [N, k * num_conditions].
        """
        logits, condition = (at_least_float32(x).reshape(-1, self.num_conditions) for x in (logits, condition))
        if self.kind == "label":
            return cross_entropy(logits, condition.argmax(dim=1))
        return binary_cross_entropy_with_logits(logits, condition)

    def keep(self, rows: Rows) -> None:
        self.fill(self.condition(rows))

    def draw_conditions(self, seeds: Sequence[int]) -> Tensor:
        apart = [torch.Generator().manual_seed(int(seed) ^ 0x5EED) for seed in seeds]  # from the seed's latent
        known = self.known[[int(torch.randint(REMEMBERED, (1,), generator=draw)) for draw in apart]]
        return known.argmax(dim=1) if self.kind == "label" else known

    def tables(self, rows: Rows) -> dict[str, Tensor]:
        """Each row one latent, each column one condition: [rows, columns, C, H, W]."""
        kinds = self.kinds().to(rows.device)
        rows = rows.at(slice(max(1, min(ROWS, rows.count // len(kinds)))))
        column = lambda kind: self.make(rows.changed(**{self.kind: kind.expand(rows.count, *kind.shape)}))
        return {"fixed": torch.stack([column(kind) for kind in kinds], dim=1)}

    def kinds(self) -> Tensor:
        """The conditions that a preview shows, a row each."""
        return (torch.arange(self.num_conditions) if self.kind == "label" else self.known.unique(dim=0))[:COLUMNS]

    def critic(self, x: Tensor) -> Tensor:
        """Raw scores of samples of which nobody says what they are to be."""
        condition = self.known.mean(dim=0).expand(len(x), -1)
        rows = self.objective.alone(Rows(image=x, condition=condition))
        return self.discriminator(rows["image"], condition=rows["condition"])
