"""A critic that is a classifier, and learns from pictures without labels too: semi-supervised GAN."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Terms, losses
from gan_lab.models.gan import GAN
from gan_lab.noise import seed_networks, seed_of
from gan_lab.rows import Rows


class SGAN(GAN):
    """K logits, whose log-sum-exp is the score of an image. Salimans et al. 2016 (arXiv 1606.03498), section 5.

    The discriminator returns logits [N, K] and minimises, beside what the objective makes of the scores, the
    cross-entropy of `known_image` with `known_label`, times `supervised`. With the logistic objectives the scores stand
    for D(x) = Z / (Z + 1). The generator's adversarial term counts `adversarial` times; `matching` is the weight of the
    absolute difference between the mean features of real and fake images, those of the critic's `trunk` (the paper's
    code takes it alone). `virtual` is the weight of virtual adversarial training: the divergence between what is said
    of a real image and of one `reach` away in the worst direction (Miyato et al. 2018, arXiv 1704.03976, equations 5
    to 10, one power iteration). With `labels_alone` the critic learns from the known labels and from nothing else.
    """

    needs = ("image", "known_image", "known_label")
    averaged = ("generator", "discriminator")

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        latent_dim: int = 100,
        latent: Literal["normal", "uniform"] = "normal",
        supervised: float = 1.0,
        adversarial: float = 1.0,
        matching: float = 1.0,
        virtual: float = 0.0,
        reach: float = 1.5,
        labels_alone: bool = False,
    ):
        super().__init__(generator, discriminator, objective, latent_dim, latent)
        self.supervised, self.adversarial, self.matching = supervised, adversarial, matching
        self.virtual, self.reach, self.labels_alone = virtual, reach, labels_alone

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        known = self.alone(batch["known_image"])
        logits = at_least_float32(self.discriminator(known))
        terms = losses(supervised=self.supervised * cross_entropy(logits, batch["known_label"]))
        right = logits.argmax(dim=1) == batch["known_label"]
        terms += Terms(logs={"accuracy_known": right.float().mean()})
        if self.labels_alone:
            return terms
        terms += self.judge(Scored(self.discriminator), batch["image"], self.fresh(batch), step)
        return terms + (
            losses(virtual=self.virtual * self.unsteady(self.alone(batch["image"]))) if self.virtual else Terms()
        )

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        real, z = batch["image"], self.latent(len(batch["image"]))
        fake = self.generator(z)
        terms = self.fool(Scored(self.discriminator), fake, real, step, weight=self.adversarial)
        shown = (self.alone(x) for x in (real, fake))
        wanted, had = (at_least_float32(self.discriminator.trunk(x)).mean(dim=0) for x in shown)
        terms += losses(matching=self.matching * (wanted - had).abs().mean())
        return terms + self.regularise(self.generator, z)

    def unsteady(self, images: Tensor) -> Tensor:
        """How much what is said of images changes by a step of length `reach` in the direction that changes it most.

        In float32, since the probe is short, and by one function: every pass has the same dropout, and leaves running
        statistics as they are, as in the authors' code.
        """
        with torch.autocast(images.device.type, enabled=False):
            images = at_least_float32(images)
            with torch.no_grad():
                before = self.log_probabilities(images)
            apart = partial(kl_div, target=before, log_target=True, reduction="batchmean")
            direction = unit(self.noise("virtual", images.shape)).requires_grad_()
            (slope,) = torch.autograd.grad(apart(self.log_probabilities(images + PROBE * direction)), direction)
            return apart(self.log_probabilities(images + self.reach * unit(slope.detach())))

    def log_probabilities(self, images: Tensor) -> Tensor:
        """Log probabilities of the classes, [N, K]: the same function of images whenever it is asked within a turn."""
        seed_networks(seed_of(self.noise.seed, *self.noise.place, self.noise.shard, "virtual"), self.noise.device)
        buffers = {name: buffer.clone() for name, buffer in self.discriminator.named_buffers()}
        return log_softmax(functional_call(self.discriminator, buffers, (images,)), dim=1)

    def calibrate(self, batch: Rows) -> None:
        super().calibrate(batch)
        self.classify(batch["image"])

    def classify(self, images: Tensor) -> Tensor:
        """Logits of the classes, [N, K]."""
        return self.discriminator(self.alone(images))

    def critic(self, x: Tensor) -> Tensor:
        return Scored(self.discriminator)(self.alone(x))


PROBE = 0.1  # length of the step by which the worst direction is found


class Scored:
    """A classifier as a critic: its score is the log of the sum of the classes' exponentials."""

    def __init__(self, func: nn.Module):
        self.func = func

    def __call__(self, x: Tensor) -> Tensor:
        return self.func(x).logsumexp(dim=1)


def unit(x: Tensor) -> Tensor:
    """Each sample's numbers, divided by their length."""
    return x / x.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, *[1] * (x.dim() - 1))
