"""The least-squares objective: scores are pulled to targets."""

from torch import Tensor

from gan_lab.losses.base import Objective, Penalty, View
from gan_lab.losses.logistic import check_share, flipped


class LeastSquares(Objective):
    """The squared distance to a target score. Mao et al. 2017 (arXiv 1611.04076), equation 2.

    The critic minimises half of it, the generator `generator_weight` times it: 1 as in CycleGAN's and pix2pix's code,
    whose other terms are weighed beside it; the equation has one half. The targets a (`fake_target`), b (`real_target`)
    and c (`generator_target`) are 0, 1, 1 (equation 9) or -1, 1, 0 (equation 8, which minimises the Pearson chi-squared
    divergence). `smoothing` moves b towards a by that share; `flip` is the share of the critic's targets that are
    swapped.
    """

    def __init__(
        self,
        critic_turns: int = 1,
        fake_target: float = 0.0,
        real_target: float = 1.0,
        generator_target: float = 1.0,
        generator_weight: float = 1.0,
        smoothing: float = 0.0,
        flip: float = 0.0,
        penalties: dict[str, Penalty] | None = None,
        views: dict[str, View] | None = None,
    ):
        super().__init__(critic_turns, penalties, views)
        check_share("smoothing", smoothing)
        check_share("flip", flip)
        if generator_weight <= 0:
            raise ValueError(f"generator_weight={generator_weight} must be greater than 0.")
        self.fake_target, self.generator_target, self.flip = fake_target, generator_target, flip
        self.generator_weight = generator_weight
        self.real_target = real_target + smoothing * (fake_target - real_target)
        self.undecided = (self.real_target + fake_target) / 2

    def critic_loss(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        target_real = flipped(self.real_target, self.fake_target, self.flip, real, noise, "flip_real")
        target_fake = flipped(self.fake_target, self.real_target, self.flip, fake, noise, "flip_fake")
        return 0.5 * (real - target_real).square().mean() + 0.5 * (fake - target_fake).square().mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return self.generator_weight * (fake - self.generator_target).square().mean()

    def mirrored(self, score: Tensor) -> Tensor:
        return self.fake_target + self.real_target - score
