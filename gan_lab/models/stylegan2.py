"""StyleGAN2's game: samples are made of styles, which two latents may share."""

from typing import Literal

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective
from gan_lab.models.base import Terms
from gan_lab.models.conditional import ConditionalGAN
from gan_lab.models.gan import GAN
from gan_lab.noise import Noise
from gan_lab.rows import Rows

SIDE = 6  # rows and columns of the preview's table of mixed styles, at most


class Styled(GAN):
    """A GAN whose generator has a `mapping` from latents to styles and a `synthesis` from styles to images.

    In training each layer has random noise, and a share `mixing` of the batches has the styles of one latent up to some
    layer and those of another behind it, by one draw for a batch. Karras et al. 2019 (arXiv 1812.04948), section 3.1.
    The generator's player owes a bound on path lengths for the styles of its turn, under other noise; in the code that
    draws other latents and has an update of its own. Samples of a seed have the generator's constant noise, and no
    mixing. A subclass says what new samples of a turn are made of, `new`, a row for each row of the batch.
    """

    spaces = ("style", "styles")  # one for all layers, or one for each: W and W+ of the literature
    per_layer = "styles"
    mixing: float

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        rows = self.new(batch)
        fake = self.paint(self.styles(rows))
        return self.judge(self.discriminator, self.shown(batch["image"], rows), self.shown(fake, rows), step)

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        rows = self.new(batch)
        styles = self.styles(rows)
        real, fake = self.shown(batch["image"], rows), self.shown(self.paint(styles), rows)
        terms = self.fool(self.discriminator, fake, real, step)
        again = lambda rows: self.paint(rows["style"], "again")
        return terms + self.regularise(self.generator, Rows(style=styles), again)

    def told(self, rows: Rows) -> dict[str, Tensor]:
        """What a network takes beside latents, or images, of rows."""
        return {}

    def shown(self, image: Tensor, rows: Rows) -> Rows:
        """Images and what the critic sees beside them."""
        return Rows(image=image, **self.told(rows))

    def styles(self, rows: Rows) -> Tensor:
        """Styles of this turn, [N, num_styles, style_dim]."""
        styles = self.generator.styles(rows["latent"], **self.told(rows))
        self.generator.mapping.follow(styles[:, 0].detach())
        if self.mixing == 0:
            return styles

        # Draw the place from which on the other latent has its say: one for all shards of the batch
        count = styles.shape[1]
        drawn = Noise(self.noise.seed, self.noise.device).at(*self.noise.place).uniform("mixing/place", (2,))
        is_other = (torch.arange(count, device=styles.device) > drawn[0] * (count - 1)) & (drawn[1] < self.mixing)
        others = self.generator.styles(self.noise("mixing/latent", rows["latent"].shape), **self.told(rows))
        return torch.where(is_other[:, None], others, styles)

    def paint(self, styles: Tensor, name: str = "first") -> Tensor:
        """Images of styles under random noise; `name` tells the draws of one turn apart."""
        sizes = enumerate(self.generator.synthesis.noise_sizes)
        noise = [self.noise(f"layer/{name}/{i}", (len(styles), 1, *size)) for i, size in sizes]
        return self.generator.synthesis(styles, noise)

    def make(self, rows: Rows, truncation: float = 1.0, cutoff: int | None = None) -> Tensor:
        """Images of rows under the constant noise, [N, C, H, W]."""
        return self.generator.synthesis(self.generator.truncated(self.placed(rows), truncation, cutoff))

    def placed(self, rows: Rows) -> Tensor:
        """The style of each place of rows that have latents, one style or all of them: [N, num_styles, style_dim]."""
        if "latent" in rows:
            return self.generator.styles(rows["latent"], **self.told(rows))
        return rows["styles"] if "styles" in rows else rows["style"][:, None].expand(-1, self.generator.num_styles, -1)

    def into(self, rows: Rows, space: str) -> Rows:
        if space == "latent":
            return rows
        styles = self.placed(rows)
        moved = {"style": styles[:, 0], "styles": styles.contiguous()}[space]
        return rows.without("latent", *self.spaces).changed(**{space: moved})

    def sample(self, rows: Rows, *, truncation: float = 1.0, cutoff: int | None = None) -> Rows:
        """Images of rows.

        `truncation`: how far styles are from their average: 1 is all of it, 0.5 less variety and better samples.
        `cutoff`: how many layers are truncated, coarse ones first; all unless said.
        """
        return Rows(image=self.make(rows, truncation, cutoff))

    def fresh(self, batch: Rows) -> Tensor:
        return self.make(self.new(batch))

    def tables(self, rows: Rows) -> dict[str, Tensor]:
        """Beside samples: each row the styles of one sample up to the middle, each column those of another behind."""
        return super().tables(rows) | {"mixed": self.mixed(rows)}

    def mixed(self, rows: Rows) -> Tensor:
        """Samples with the coarse styles of one and the fine ones of another, [rows, columns, C, H, W]."""
        side = max(1, min(SIDE, rows.count // 2))
        styles = self.generator.styles(rows["latent"], **self.told(rows))
        coarse, fine = styles[:side], styles[-side:]  # [side, num_styles, style_dim] each
        middle = styles.shape[1] // 2
        pairs = torch.cat(
            [coarse[:, None, :middle].expand(-1, side, -1, -1), fine[None, :, middle:].expand(side, -1, -1, -1)], dim=2
        )
        return self.generator.synthesis(pairs.flatten(0, 1)).unflatten(0, (side, side))


class StyleGAN2(Styled):
    """Images of latents by way of styles. Karras et al. 2020 (arXiv 1912.04958). Latents are N(0, 1)."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        latent_dim: int = 512,
        mixing: float = 0.9,
    ):
        super().__init__(generator, discriminator, objective, latent_dim)
        self.mixing = checked_share(mixing)

    def new(self, batch: Rows) -> Rows:
        return Rows(latent=self.latent(len(batch["image"])))


class ConditionalStyleGAN2(Styled, ConditionalGAN):
    """StyleGAN2 with a condition, as the code of Karras et al. 2020, StyleGAN2-ADA (arXiv 2006.06676), --cond=1.

    The mapping takes it beside the latent, and the critic scores by the inner product with a mapping of its own. A
    mixed sample has one condition.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        num_conditions: int,
        latent_dim: int = 512,
        condition: Literal["label", "attributes"] = "label",
        mixing: float = 0.9,
    ):
        super().__init__(generator, discriminator, objective, num_conditions, latent_dim, condition=condition)
        self.mixing = checked_share(mixing)

    def told(self, rows: Rows) -> dict[str, Tensor]:
        return {"condition": self.condition(rows)}


def checked_share(mixing: float) -> float:
    if not 0 <= mixing <= 1:
        raise ValueError(f"mixing={mixing} must lie in [0, 1]: it is a share of the batches.")
    return mixing
