"""Translation by way of a code that two domains share: UNIT."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Terms, losses
from gan_lab.models.sources import SourceGame, beside, distance_of, l1
from gan_lab.rows import Rows

OTHER = {"source": "image", "image": "source"}
TO = {"forth": "image", "back": "source"}


class UNIT(SourceGame):
    """Two VAE-GANs whose codes mean the same, since both domains share layers. Liu et al. 2017 (arXiv 1703.00848).

    The encoder takes pictures by their domain and returns means and deviations of codes, one domain after the other;
    the decoder takes codes and the domains that they are to become pictures of; the discriminator pictures and their
    `domain`. A translation is what the other domain's decoder makes of a picture's code (section 3).

    Encoder and decoder, one player, minimise `adversarial` times what the discriminator says of translations, plus
    `rebuild` times the `distance` of pictures to what their own decoder makes of a draw of their codes, plus `prior`
    times the codes' m^2 + s^2 - 1 - log s^2, twice their divergence from N(0, 1), which is the mean square where
    deviations are 1, as in the official code; plus `cycle` and `cycle_prior` times the same two of what is translated
    and translated back (equations 3 to 6, of each domain by itself). `judge_rebuilt` shows the discriminator pictures
    from their own decoder beside translations, as the code for digits does. Distances and divergences are means over
    pixels and over a code's numbers; with `sums`, as in that code, they are sums.
    """

    players = {"discriminator": ("discriminator",), "generator": ("encoder", "decoder")}
    averaged = ("encoder", "decoder")
    measures = ("l1/rebuilt_source", "l1/rebuilt_image")
    translators = {"forth": "encoder", "back": "encoder"}  # whose pictures the decoder makes

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        adversarial: float = 10.0,
        rebuild: float = 100.0,
        prior: float = 0.1,
        cycle: float = 100.0,
        cycle_prior: float = 0.1,
        distance: Literal["l1", "l2"] = "l1",
        judge_rebuilt: bool = False,
        sums: bool = False,
        remember: int = 64,
    ):
        super().__init__(objective, source_channels, image_size, remember)
        weights = {"adversarial": adversarial, "rebuild": rebuild, "prior": prior}
        weights |= {"cycle": cycle, "cycle_prior": cycle_prior}
        for name, weight in weights.items():
            if weight < 0:
                raise ValueError(f"{name}={weight} must not be negative.")
        self.encoder, self.decoder, self.discriminator = encoder, decoder, discriminator
        self.weights, self.distance, self.channels = weights, distance_of(distance), channels
        self.judge_rebuilt, self.sums = judge_rebuilt, sums

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        codes, _, _ = self.codes(batch.only("source", "image"), "posterior")
        made, terms = self.made(codes), Terms()
        for domain, other in OTHER.items():
            terms += self.judge(self.critic_of(domain), batch[domain], made[domain][other], step, domain)
            if self.judge_rebuilt:
                shown = batch[domain], made[domain][domain], step, f"rebuilt_{domain}"
                terms += self.judge(self.critic_of(domain), *shown)
        return terms

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        pictures, weights = batch.only("source", "image"), self.weights
        codes, means, far = self.codes(pictures, "posterior")
        made = self.made(codes)
        fakes = {domain: made[domain][other] for domain, other in OTHER.items()}
        terms = self.regularise(self.decoder, codes["source"], lambda rows: self.decoder(rows["source"], "image")[0])
        terms += self.hiding(means, step)
        for domain, real in pictures.items():
            terms += self.fool(self.critic_of(domain), fakes[domain], real, step, domain, weights["adversarial"])
            terms += self.near(made[domain][domain], real, far[domain], domain, "rebuild", "prior")
            if self.judge_rebuilt:
                shown = made[domain][domain], real, step, f"rebuilt_{domain}", weights["adversarial"]
                terms += self.fool(self.critic_of(domain), *shown)

        # Find the way back
        if weights["cycle"] or weights["cycle_prior"]:
            codes, _, far = self.codes(fakes, "cycle")
            for domain, other in OTHER.items():
                (back,) = self.decoder(codes[other], domain)
                terms += self.near(back, pictures[domain], far[other], domain, "cycle", "cycle_prior")
        return terms

    def hiding(self, means: Tensor, step: int) -> Terms:
        """What it costs that codes tell their domain, given their means, those of sources first: here nothing."""
        return Terms()

    def near(self, made: Tensor, real: Tensor, far: Tensor, domain: str, distance: str, prior: str) -> Terms:
        """What it costs that pictures are not what they were, and that their codes are far from the prior."""
        away = self.distance(made, real) * (real[0].numel() if self.sums else 1)
        terms = {distance: self.weights[distance] * away, prior: self.weights[prior] * far}
        return losses(**{f"{name}_{domain}": term for name, term in terms.items() if self.weights[name]})

    def codes(self, pictures: dict[str, Tensor], draw: str) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
        """Draws of the codes of pictures by their domain, the means of all, and how far codes are from the prior."""
        means, deviations = (at_least_float32(x) for x in self.encoder(**pictures))
        codes, far = {}, {}
        parts = pictures.items(), means.chunk(len(pictures)), deviations.chunk(len(pictures))
        for (domain, real), mean, deviation in zip(*parts, strict=True):
            codes[domain] = (mean + deviation * self.noise(f"{draw}/{domain}", mean.shape)).to(real.dtype)
            apart = mean.square() + deviation.square() - 1 - 2 * deviation.log()
            far[domain] = apart.mean() * (mean[0].numel() if self.sums else 1)
        return codes, means, far

    def made(self, codes: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """The pictures of all codes in each domain, by it and by the domain of the code; they pass as one batch."""
        pictures = self.decoder(torch.cat([*codes.values()]), *codes)
        return {to: dict(zip(codes, x.chunk(len(codes)), strict=True)) for to, x in zip(codes, pictures, strict=True)}

    def critic_of(self, domain: str) -> partial:
        """The discriminator as it looks at pictures of one domain."""
        return partial(self.discriminator, domain=domain)

    def translate(self, pictures: Tensor, direction: Literal["forth", "back"] = "forth") -> Tensor:
        domain = TO[direction]
        mean, _ = self.encoder(**{OTHER[domain]: pictures})
        return self.decoder(mean, domain)[0]

    def measure(self, batch: Rows) -> dict[str, Tensor]:
        """How far pictures are from what their own decoder makes of their codes."""
        return {f"l1/rebuilt_{domain}": l1(self.rebuild(batch[domain], domain), batch[domain]) for domain in OTHER}

    def code_of(self, pictures: Tensor, domain: str) -> Tensor:
        return self.encoder(**{domain: pictures})[0].flatten(1)

    def rebuild(self, pictures: Tensor, domain: str = "image") -> Tensor:
        """Pictures of a domain by way of their codes."""
        return self.decoder(self.encoder(**{domain: pictures})[0], domain)[0]

    def sample(self, rows: Rows, *, direction: Literal["forth", "back"] = "forth") -> Rows:
        """Pictures as those of the other kind, [N, C, H, W] in [-1, 1].

        `direction`: forth (source to image) or back.
        """
        return Rows(image=self.translate(rows["source"], direction))

    def calibrate(self, batch: Rows) -> None:
        self.decoder(self.encoder(**batch.only("source", "image"))[0], "source", "image")

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Each row one picture of the batch, rebuilt by its own decoder, translated, and translated back; both ways."""
        source, image = batch["source"], batch["image"]
        fresh, old = self.translate(source), self.translate(image, "back")
        return {
            "fixed": beside(source, self.rebuild(source, "source"), fresh, self.translate(fresh, "back")),
            "back": beside(image, self.rebuild(image), old, self.translate(old)),
            **self.compared(image, fresh, step),
        }
