"""Translation in both directions by way of codes that tell what is shown, and not in which domain: XGAN."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Terms, losses
from gan_lab.models.sources import SourceGame, beside, l1, l2
from gan_lab.rows import Rows

OTHER = {"source": "image", "image": "source"}
TO = {"forth": "image", "back": "source"}


class XGAN(SourceGame):
    """Two adversarial autoencoders whose middle layers are one. Royer et al. 2017 (arXiv 1711.05139), section 3.

    The `encoder` and the `decoder` take the domain beside pictures and codes. They minimise `rebuild` times the mean
    squared difference of pictures and what their own decoder makes of their codes; `consistency` times the mean
    absolute difference of the codes of pictures and of their translations (semantic consistency); `adversarial` times
    what each domain's critic says of translations; and they maximise `hiding` times the cross-entropy by which
    `domain_critic` tells domains by their codes, through a reversal of its gradient (Ganin et al. 2016, arXiv
    1505.07818, section 4.2), so that one player learns both. `teaching` is the weight of the mean absolute difference
    of the codes of sources and what a frozen `guest` (`FromRun`) makes of them, which has codes as long (teacher).
    """

    averaged = ("encoder", "decoder")
    critics = ("critic_image", "critic_source")
    translators = {"forth": "encoder", "back": "encoder"}

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        domain_critic: nn.Module,
        critic_source: nn.Module,
        critic_image: nn.Module,
        objective: Objective,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        latent_dim: int = 1024,
        guest: nn.Module | None = None,
        rebuild: float = 1.0,
        hiding: float = 1.0,
        consistency: float = 1.0,
        adversarial: float = 1.0,
        teaching: float = 1.0,
        remember: int = 64,
    ):
        super().__init__(objective, source_channels, image_size, remember)
        weights = {"rebuild": rebuild, "hiding": hiding, "consistency": consistency, "teaching": teaching}
        for name, weight in {**weights, "adversarial": adversarial}.items():
            if weight < 0:
                raise ValueError(f"{name}={weight} must not be negative.")
        if not adversarial + rebuild:
            raise ValueError("adversarial=0 and rebuild=0 leave the decoder nothing to learn. Set model.rebuild=1.")
        self.encoder, self.decoder, self.guest = encoder, decoder, guest
        self.domain_critic = domain_critic if hiding else None
        self.critic_source, self.critic_image = critic_source, critic_image
        self.weights, self.adversarial = weights, adversarial
        self.channels, self.latent_dim = channels, latent_dim
        self.players = {
            "discriminator": ("critic_source", "critic_image"),
            "generator": ("encoder", "decoder", *(["domain_critic"] if hiding else [])),
        }

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        terms = Terms()
        for domain, other in OTHER.items():
            fake = self.decoder(self.encoder(batch[other], other), domain)
            terms += self.judge(self.critic_of(domain), batch[domain], fake, step, domain)
        return terms

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        weights, terms = self.weights, Terms()
        codes = {domain: self.encoder(batch[domain], domain) for domain in OTHER}
        for domain, other in OTHER.items():
            real, code = batch[domain], codes[domain]
            rebuilt, fake = self.decoder(code, domain), self.decoder(code, other)
            terms += self.fool(self.critic_of(other), fake, batch[other], step, other, self.adversarial)
            if weights["rebuild"]:
                terms += losses(**{f"rebuild_{domain}": weights["rebuild"] * l2(rebuilt, real)})
            if weights["consistency"]:
                away = l1(self.encoder(fake, other), code)
                terms += losses(**{f"consistency_{domain}": weights["consistency"] * away})
        terms += self.hidden(codes) if weights["hiding"] else Terms()
        if self.guest is not None and weights["teaching"]:
            told = self.guest(batch["source"]).flatten(1)
            terms += losses(teaching=weights["teaching"] * l1(codes["source"], told))
        return terms + self.regularise(self.decoder, batch["source"], lambda rows: self.translate(rows["source"]))

    def hidden(self, codes: dict[str, Tensor]) -> Terms:
        """What the domain critic owes for codes whose domain it misses, which is what it costs the encoder if not."""
        logits = at_least_float32(self.domain_critic(reversed_gradient(torch.cat([codes["source"], codes["image"]]))))
        half = len(logits) // 2
        truth = torch.cat([torch.zeros_like(logits[:half]), torch.ones_like(logits[half:])])
        told = ((logits > 0) == (truth > 0)).float().mean()
        wrong = binary_cross_entropy_with_logits(logits, truth)
        return Terms({"domain": self.weights["hiding"] * wrong}, {"domains_told": told})

    def critic_of(self, domain: str) -> nn.Module:
        return self.critic_image if domain == "image" else self.critic_source

    def translate(self, pictures: Tensor, direction: Literal["forth", "back"] = "forth") -> Tensor:
        domain = TO[direction]
        return self.decoder(self.encoder(pictures, OTHER[domain]), domain)

    def sample(self, rows: Rows, *, direction: Literal["forth", "back"] = "forth") -> Rows:
        """Pictures as those of the other kind, [N, C, H, W] in [-1, 1].

        `direction`: forth (source to image) or back.
        """
        return Rows(image=self.translate(rows["source"], direction))

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Each row a picture of the batch, its translation and what its own decoder makes of its code."""
        source, image = batch["source"], batch["image"]
        fresh, back = self.translate(source), self.translate(image, "back")
        own = {domain: self.decoder(self.encoder(batch[domain], domain), domain) for domain in OTHER}
        return {
            "fixed": beside(source, fresh, own["source"]),
            "back": beside(image, back, own["image"]),
            **self.compared(image, fresh, step),
        }


def reversed_gradient(x: Tensor) -> Tensor:
    """x, whose gradient has the other sign: what follows learns, and what came before unlearns. Ganin et al. 2016."""
    return 2 * x.detach() - x
