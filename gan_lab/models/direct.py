"""Translation in one direction without pairs: what is made is to stay near what it was made of."""

from typing import Literal

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective
from gan_lab.models.base import Terms, losses
from gan_lab.models.sources import SourceGame, beside, distance_of
from gan_lab.rows import Rows


class Direct(SourceGame):
    """A generator of pictures from sources, and a critic that sees pictures alone.

    The generator minimises its adversarial loss plus `near` times the mean `distance` between what it makes and its
    source: SimGAN's self-regularisation. Shrivastava et al. 2017 (arXiv 1612.07828), equations 4 and 5, whose terms are
    sums over patches and over pixels: `near` is their lambda times pixels over patches. It is taken in pixels, or
    between what a frozen `guest` sees in both: a network of a finished run (`FromRun`), or VGG's features
    (`gan_lab.networks.vgg.Features`). With `near` of 0 nothing holds the generator to its source. `reuse_fakes` as in
    GAN. SimGAN's history of fakes is `loss/view=[replay]`.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        near: float = 10.0,
        distance: Literal["l1", "l2"] = "l1",
        guest: nn.Module | None = None,
        remember: int = 64,
        reuse_fakes: bool = False,
    ):
        super().__init__(objective, source_channels, image_size, remember)
        if near < 0:
            raise ValueError(f"near={near} must not be negative.")
        if near and source_channels != channels:
            raise ValueError(
                f"near={near} compares pictures with their sources, which have {source_channels} channels where images "
                f"have {channels}. Set model.near=0."
            )
        self.generator, self.discriminator, self.guest = generator, discriminator, guest
        self.near, self.distance = near, distance_of(distance)
        self.reuse(reuse_fakes)

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        fake = self.last_fakes.take() if self.reuse_fakes else self.generator(batch["source"])
        return self.judge(self.discriminator, batch["image"], fake, step)

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        source = batch["source"]
        fake = self.generator(source)
        self.last_fakes.keep(fake)
        terms = self.fool(self.discriminator, fake, batch["image"], step) + self.regularise(self.generator, source)
        return terms + (losses(near=self.near * self.away(fake, source)) if self.near else Terms())

    def away(self, fake: Tensor, source: Tensor) -> Tensor:
        """How far pictures are from their sources, as the guest sees both; a scalar."""
        if self.guest is None:
            return self.distance(fake, source)
        with torch.no_grad():
            wanted = self.guest(source)
        return self.distance(self.guest(fake), wanted)

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Each row one source of the batch and what is made of it; and what other games show."""
        source, real = batch["source"], batch["image"]
        fresh = self.translate(source)
        return {"fixed": beside(source, fresh), **self.compared(real, fresh, step)}
