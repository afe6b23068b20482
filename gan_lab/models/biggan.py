"""BigGAN: a conditional GAN whose samples give up variety for quality where they are asked to."""

import copy
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.special import ndtri

from gan_lab.models.conditional import REMEMBERED, ConditionalGAN
from gan_lab.noise import seed_of
from gan_lab.rows import Rows

PASSES, BATCH = 16, 64  # of standing statistics; as many passes as in the author's code


class BigGAN(ConditionalGAN):
    """A conditional GAN whose latents can be truncated. Brock et al. 2019 (arXiv 1809.11096), section 3.

    Fakes are made for conditions of their own, apart from the batch's: classes with equal chances (as the author's
    code), attributes among 1,024 of the data. Latents, networks, penalties and rates are those of the configuration.
    """

    standing: tuple[tuple, nn.Module] | None = None  # a truncation, and the generator with the statistics of it

    def new(self, batch: Rows) -> Rows:
        count = len(batch["image"])
        return Rows({"latent": self.latent(count), self.kind: self.drawn(count)})

    def drawn(self, n: int) -> Tensor:
        """Conditions for the fakes of this turn, [n, ...]."""
        if self.kind == "label":
            return self.noise.integers("label", self.num_conditions, (n,))
        return self.known[self.noise.integers("attributes", REMEMBERED, (n,))]

    def sides(self, batch: Rows, rows: Rows) -> tuple[Rows, Rows]:
        real = Rows(image=batch["image"], condition=self.condition(batch))
        return real, Rows(image=self.make(rows), condition=self.condition(rows))

    def sample(
        self, rows: Rows, *, truncation: float = math.inf, truncate: Literal["scale", "resample"] = "scale"
    ) -> Rows:
        """Images [N, C, H, W] in [-1, 1]; of truncated latents, where `truncation` is finite, and then by a batch norm
        whose statistics are gathered anew at that truncation (section 3.1 and appendix).

        `truncation`: how far latents lie from 0: a small number, such as 0.5, gives better samples, more alike.
        `truncate`: scale (latents are multiplied by it) or resample (no number of a latent lies beyond it).
        """
        if math.isinf(truncation):
            return super().sample(rows)
        generator = self.generator_at(truncation, truncate)
        rows = self.truncated(rows, truncation, truncate)
        return Rows(image=generator(rows["latent"], self.condition(rows)))

    def truncated(self, rows: Rows, truncation: float, truncate: str) -> Rows:
        """The same rows with truncated latents; a truncation below 0 mirrors them, too."""
        latent, most = rows["latent"] * math.copysign(1, truncation), abs(truncation)
        by_rank = truncate == "resample" and self.latent_kind == "normal"  # a uniform latent keeps its rank if scaled
        return rows.changed(latent=within(latent, most) if by_rank else latent * most)

    @torch.no_grad()
    def generator_at(self, truncation: float, truncate: str) -> nn.Module:
        """A copy of the generator with standing statistics: batch norm's means over many batches of such latents.

        It is kept until the game changes its mode or the question is another.
        """
        key = (truncation, truncate)
        if self.standing is None or self.standing[0] != key:
            generator = copy.deepcopy(self.generator).eval()
            norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
            first = seed_of(self.noise.seed, "standing statistics") >> 24
            for i, rows in enumerate(self.draw(range(first, first + PASSES * BATCH)).split(BATCH)):
                for norm in norms:
                    norm.train().momentum = 1 / (i + 1)  # the mean over all passes so far
                rows = self.truncated(rows, truncation, truncate)
                generator(rows["latent"], self.condition(rows))
            self.standing = key, generator.eval()
        return self.standing[1]

    def train(self, mode: bool = True) -> "BigGAN":
        self.standing = None  # weights may have moved
        return super().train(mode)


def within(latent: Tensor, most: float) -> Tensor:
    """Standard normal numbers as such numbers within [-most, most], where each keeps its rank.

    They are distributed as if those beyond had been drawn again and again. A latent alone says what becomes of it, so
    that a seed is the same sample in every batch and a walk has no jumps.
    """
    z, beyond = latent.double(), math.erfc(most / math.sqrt(2)) / 2
    rank = beyond + torch.erfc(z.abs() / math.sqrt(2)) / 2 * (1 - 2 * beyond)  # in the lower half, where it is precise
    return (-ndtri(rank) * z.sign()).clamp(-most, most).to(latent.dtype)
