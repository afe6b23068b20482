"""Codes that nobody names, which the critic's second head reads back from the sample: InfoGAN."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Terms, losses
from gan_lab.models.conditional import COLUMNS, ROWS, Conditioned
from gan_lab.models.heads import TwoHeads
from gan_lab.rows import Rows


class InfoGAN(Conditioned):
    """Both players maximise what a sample tells of its codes. Chen et al. 2016 (arXiv 1606.03657), equation 6.

    `codes` lists how many values each code has; 1 is a continuous one, uniform on [-1, 1]. Codes are drawn for each
    sample and joined in their order: a categorical one as one 1 among zeros. The discriminator returns (scores [N],
    what it reads [N, sum of codes]): logits of categorical codes, means of continuous ones, whose variance is fixed at
    1 as in the paper's code. `information` is lambda, of continuous codes times
    `continuous_information`; with 0 nothing makes the generator heed its codes.
    """

    made_of = ("latent", "code")

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

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        critic = TwoHeads(self.discriminator)
        terms = self.judge(critic, *self.sides(batch, self.new(batch)), step)
        return terms + self.mutual_information(*critic.second[1])

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        rows, critic = self.new(batch), TwoHeads(self.discriminator)
        real, fake = self.sides(batch, rows)
        terms = self.fool(critic, fake, real, step) + self.mutual_information(*critic.second[0])
        return terms + self.regularise(self.generator, rows, self.make)

    def sides(self, batch: Rows, rows: Rows) -> tuple[Rows, Rows]:
        """Real images of a batch, whose codes nobody knows, and those made of rows with their codes."""
        return Rows(image=batch["image"]), Rows(image=self.make(rows), code=rows["code"])

    @property
    def beside_images(self) -> dict[str, int]:
        return {"outputs": sum(self.codes)}

    def mutual_information(self, read: Tensor, beside: dict[str, Tensor]) -> Terms:
        """The negative bound on the mutual information, but for constants: one term a code (equation 5)."""
        read, codes = (x.reshape(-1, sum(self.codes)) for x in (read, beside["code"]))
        terms = {}
        for i, (first, last) in enumerate(pairwise(self.bounds)):
            found, code = (at_least_float32(x[:, first:last]) for x in (read, codes))
            wrong = 0.5 * (found - code).square().mean() if self.codes[i] == 1 else cross_entropy(found, code)
            terms[f"code_{i}"] = self.weights[i] * wrong
        return losses(**terms)

    @property
    def bounds(self) -> list[int]:
        """Where each code begins in the column, and where the last one ends."""
        return [sum(self.codes[:i]) for i in range(len(self.codes) + 1)]

    def condition(self, rows: Rows) -> Tensor:
        return rows["code"]

    def new(self, batch: Rows) -> Rows:
        n = len(batch["image"])
        drawn = [self.code(i, self.noise.uniform(f"code_{i}", (n,))) for i in range(len(self.codes))]
        return Rows(latent=self.latent(n), code=torch.cat(drawn, dim=1))

    def code(self, i: int, uniform: Tensor) -> Tensor:
        """Code i made of numbers uniform on [0, 1), [N]: as it stands in the column, [N, codes[i]]."""
        if self.codes[i] == 1:
            return uniform[:, None] * 2 - 1
        return one_hot((uniform * self.codes[i]).long(), self.codes[i]).to(uniform.dtype)

    def draw_conditions(self, seeds: Sequence[int]) -> Tensor:
        return torch.stack([self.codes_of(seed) for seed in seeds])

    def codes_of(self, seed: int) -> Tensor:
        """The codes of a seed, [sum of codes]."""
        uniform = torch.rand(len(self.codes), 1, generator=torch.Generator().manual_seed(int(seed) ^ 0x5EED))
        return torch.cat([self.code(i, number)[0] for i, number in enumerate(uniform)])

    def set_part(self, rows: Rows, column: str, part: str, value: float) -> Rows:
        """The same rows with one code set: to a whole number from 0 where it is categorical."""
        if column != "code" or not part.isdecimal() or int(part) >= len(self.codes):
            raise ValueError(f"this run has code.0 to code.{len(self.codes) - 1}")
        i, codes = int(part), rows["code"].clone()
        first, last = self.bounds[i : i + 2]
        if self.codes[i] > 1 and value not in range(self.codes[i]):
            raise ValueError(f"it must be a whole number from 0 to {self.codes[i] - 1}, its last value")
        codes[:, first:last] = value if self.codes[i] == 1 else torch.eye(self.codes[i]).to(codes)[int(value)]
        return rows.changed(code=codes)

    def tables(self, rows: Rows) -> dict[str, Tensor]:
        """Along each row one code goes through its values, the rest held (figure 2); one table a code."""
        rows = rows.at(slice(max(1, min(ROWS, rows.count // COLUMNS))))
        first, *others = (self.traversed(rows, i) for i in range(len(self.codes)))
        return {"fixed": first, **{f"code_{i}": table for i, table in enumerate(others, 1)}}

    def traversed(self, rows: Rows, i: int) -> Tensor:
        """Each row one sample, each column one value of a code: [rows, columns, C, H, W]; continuous ones to 2."""
        values = torch.linspace(-2, 2, COLUMNS).tolist() if self.codes[i] == 1 else range(min(self.codes[i], COLUMNS))
        return torch.stack([self.make(self.set_part(rows, "code", str(i), value)) for value in values], dim=1)

    def critic(self, x: Tensor) -> Tensor:
        return TwoHeads(self.discriminator)(self.alone(x))
