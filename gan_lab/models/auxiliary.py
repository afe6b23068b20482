"""A critic that is not told the class, and has to say it: ACGAN."""

from functools import partial
from typing import Literal

from torch import Tensor, nn

from gan_lab.losses import Objective
from gan_lab.models.base import Terms, losses
from gan_lab.models.conditional import ConditionalGAN
from gan_lab.models.heads import Heard


class ACGAN(ConditionalGAN):
    """The discriminator classifies real and fake samples; both players want them told apart by class.

    Odena et al. 2017 (arXiv 1610.09585), equations 2 and 3: L_S + L_C for the discriminator, L_C - L_S for the
    generator. The discriminator returns (scores [N], logits [N, num_conditions]). `class_weight` multiplies the class
    term of the discriminator, `generator_class_weight` the generator's: 1 and 1 in the paper, 1 and 0.1 in WGAN-GP's
    code, whose discriminator learns the classes of real samples alone (`classify_fakes` of False).
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
        class_weight: float = 1.0,
        generator_class_weight: float = 1.0,
        classify_fakes: bool = True,
        generator_batch: int = 1,
    ):
        words = {"latent": latent, "condition": condition, "generator_batch": generator_batch}
        super().__init__(generator, discriminator, objective, num_conditions, latent_dim, **words)
        self.class_weight, self.generator_class_weight = class_weight, generator_class_weight
        self.classify_fakes = classify_fakes

    def discriminator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        real, told, critic = batch["image"], self.told(batch), Heard(self.discriminator)
        self.keep(told)
        terms = self.judge(critic, real, self.generator(self.latent(len(real)), told), step)
        classified = ("class_real", "class_fake") if self.classify_fakes else ("class_real",)
        missed = {name: self.missed(said, told) for name, said in zip(classified, critic.said, strict=False)}
        return terms + losses(**{name: self.class_weight * term for name, term in missed.items()})

    def generator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        batch = self.enlarged(batch)
        real, told, critic = batch["image"], self.told(batch), Heard(self.discriminator)
        z = self.latent(len(real))
        terms = self.fool(critic, self.generator(z, told), real, step)
        terms += losses(class_fake=self.generator_class_weight * self.missed(critic.said[0], told))
        return terms + self.pay(partial(self.generator, condition=told), z)

    def critic(self, x: Tensor) -> Tensor:
        return self.discriminator(self.objective.alone(x))[0]
