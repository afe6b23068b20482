"""Codes that nobody names, which the critic's second head reads back from the sample: InfoGAN."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from gan_lab.losses import Objective, widened
from gan_lab.models.base import Terms, losses
from gan_lab.models.conditional import COLUMNS, ROWS, Told
from gan_lab.models.heads import Heard


class InfoGAN(Told):
    """Both players maximise what a sample tells of its codes. Chen et al. 2016 (arXiv 1606.03657), equation 6.

    `codes` lists how many values each code has; 1 is a continuous one, uniform on [-1, 1]. Codes are drawn for each
    latent and joined in their order: a categorical one as one 1 among zeros. The discriminator returns (scores [N],
    what it reads [N, sum of codes]): logits of categorical codes, means of continuous ones, whose variance is fixed at
    1 as in the paper's code. `information` is lambda, of continuous codes times
    `continuous_information`; with 0 nothing makes the generator heed its codes.
    """

    condition = "code"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        codes: Sequence[int] = (10, 1, 1),
        latent_dim: int = 62,
        latent: Literal["normal", "uniform"] = "normal",
        information: float = 1.0,
        continuous_information: float = 1.0,
    ):
        if not codes or min(codes) < 1:
            raise ValueError(f"codes={list(codes)} must list how many values each code has, for example [10,1,1].")
        super().__init__(generator, discriminator, objective, sum(codes), latent_dim, latent)
        self.codes = tuple(codes)
        self.weights = [information * (continuous_information if count == 1 else 1.0) for count in codes]

    def discriminator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        real, told, critic = batch["image"], self.drawn(len(batch["image"])), Heard(self.discriminator)
        terms = self.judge(critic, real, self.generator(self.latent(len(real)), told), step)
        return terms + self.informed(critic.said[1], told)

    def generator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        real, told, critic = batch["image"], self.drawn(len(batch["image"])), Heard(self.discriminator)
        z = self.latent(len(real))
        terms = self.fool(critic, self.generator(z, told), real, step) + self.informed(critic.said[0], told)
        return terms + self.pay(partial(self.generator, condition=told), z)

    def informed(self, said: Tensor, told: Tensor) -> Terms:
        """The negative bound on the mutual information, but for constants: one term a code (equation 5)."""
        terms = {}
        for i, (first, last) in enumerate(pairwise(self.bounds)):
            read, code = widened(said[:, first:last]), widened(told[:, first:last])
            missed = 0.5 * (read - code).square().mean() if self.codes[i] == 1 else cross_entropy(read, code)
            terms[f"code_{i}"] = self.weights[i] * missed
        return losses(**terms)

    @property
    def bounds(self) -> list[int]:
        """Where each code begins in a condition, and where the last one ends."""
        return [sum(self.codes[:i]) for i in range(len(self.codes) + 1)]

    def drawn(self, n: int) -> Tensor:
        """Codes of this turn, [n, sum of codes]."""
        return torch.cat([self.code(i, self.noise.uniform(f"code_{i}", (n,))) for i in range(len(self.codes))], dim=1)

    def code(self, i: int, uniform: Tensor) -> Tensor:
        """Code i made of numbers uniform on [0, 1), [N]: as it stands in a condition, [N, codes[i]]."""
        if self.codes[i] == 1:
            return uniform[:, None] * 2 - 1
        return one_hot((uniform * self.codes[i]).long(), self.codes[i]).to(uniform.dtype)

    def condition_of(self, seed: int) -> Tensor:
        uniform = torch.rand(len(self.codes), 1, generator=torch.Generator().manual_seed(int(seed) ^ 0x5EED))
        return torch.cat([self.code(i, number)[0] for i, number in enumerate(uniform)])

    def with_code(self, latents: Tensor, i: int, value: float) -> Tensor:
        """The same latents with one code set: to a whole number from 0 where it is categorical."""
        changed, first = latents.clone(), self.latent_dim + self.bounds[i]
        if self.codes[i] == 1:
            changed[:, first] = value
        else:
            changed[:, first : first + self.codes[i]] = torch.eye(self.codes[i]).to(latents)[int(value)]
        return changed

    def fresh(self, batch: dict[str, Tensor]) -> Tensor:
        return self.generator(self.latent(len(batch["image"])), self.drawn(len(batch["image"])))

    def tables(self, latents: Tensor) -> dict[str, Tensor]:
        """Along each row one code goes through its values, the rest held (figure 2); one table a code."""
        rows = latents[: max(1, min(ROWS, len(latents) // COLUMNS))]
        first, *others = (self.traversed(rows, i) for i in range(len(self.codes)))
        return {"fixed": first, **{f"code_{i}": table for i, table in enumerate(others, 1)}}

    def traversed(self, latents: Tensor, i: int) -> Tensor:
        """Each row one latent, each column one value of a code: [rows, columns, C, H, W]; continuous ones to 2."""
        values = torch.linspace(-2, 2, COLUMNS).tolist() if self.codes[i] == 1 else range(min(self.codes[i], COLUMNS))
        return torch.stack([self.sample(self.with_code(latents, i, value)) for value in values], dim=1)

    def critic(self, x: Tensor) -> Tensor:
        return self.discriminator(self.objective.alone(x))[0]
