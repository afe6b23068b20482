"""A critic that is not given the class, and has to predict it: ACGAN."""

from typing import Literal

from torch import Tensor, nn

from gan_lab.losses import Objective
from gan_lab.models.base import Terms, losses
from gan_lab.models.conditional import ConditionalGAN
from gan_lab.models.heads import TwoHeads
from gan_lab.rows import Rows


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

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        critic = TwoHeads(self.discriminator)
        terms = self.judge(critic, *self.sides(batch, self.new(batch)), step)
        classified = ("class_real", "class_fake") if self.classify_fakes else ("class_real",)
        wrong = (self.class_weight * self.mismatch(logits, **beside) for logits, beside in critic.second)
        return terms + losses(**dict(zip(classified, wrong, strict=False)))

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        batch = self.enlarged(batch)
        rows, critic = self.new(batch), TwoHeads(self.discriminator)
        real, fake = self.sides(batch, rows)
        terms = self.fool(critic, fake, real, step)
        logits, beside = critic.second[0]
        terms += losses(class_fake=self.generator_class_weight * self.mismatch(logits, **beside))
        return terms + self.regularise(self.generator, rows, self.make)

    @property
    def beside_images(self) -> dict[str, int]:
        return {"outputs": self.num_conditions}

    def critic(self, x: Tensor) -> Tensor:
        return TwoHeads(self.discriminator)(self.alone(x))
