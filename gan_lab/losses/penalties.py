"""Bounds on the critic's slope.

A critic of patches is taken for the mean of its scores of a sample, since that is what objectives take: so a weight
means the same for every number of patches. R1 and R2 look through augmentation (`loss/view=diff_augment` or `ada`), at
samples as they were before it: Karras et al. 2020 (arXiv 2006.06676), official code. The others look at what the critic
is shown. The slope is that in the image; what the critic sees beside it stays as it is. A place between a real and a
fake sample, or around a real one, has beside it what the real one has.
"""

import torch
from torch import Tensor

from gan_lab.losses.base import Critic, Penalty
from gan_lab.rows import Rows


class GradientPenalty(Penalty):
    """(|gradient| - center)^2 on lines between real and fake. Gulrajani et al. 2017 (arXiv 1704.00028), equation 3.

    The place on the line is drawn for each sample. `center` is 1 in the paper; 0 is the zero-centred variant.
    """

    per_sample = True

    def __init__(self, weight: float = 10.0, center: float = 1.0, every: int = 1):
        super().__init__(weight, every)
        self.center = center

    def forward(self, critic: Critic, real: Rows, fake: Rows, noise) -> Tensor:
        return (slope(critic, between(real, fake, noise, "gradient_penalty")) - self.center).square().mean()


class R1(Penalty):
    """Half the squared slope of the critic at real samples. Mescheder et al. 2018 (arXiv 1801.04406), equation 9.

    `weight` is gamma.
    """

    per_sample = True
    through = "real"

    def forward(self, critic: Critic, real: Rows, fake: Rows, noise) -> Tensor:
        return 0.5 * slope(critic, real).square().mean()


class R2(Penalty):
    """Half the squared slope of the critic at fake samples. Mescheder et al. 2018, equation 10."""

    per_sample = True
    through = "fake"

    def forward(self, critic: Critic, real: Rows, fake: Rows, noise) -> Tensor:
        return 0.5 * slope(critic, fake).square().mean()


class LocalGradientPenalty(Penalty):
    """(|gradient| - 1)^2 around real samples. Kodali et al. 2017, DRAGAN (arXiv 1705.07215), as its code.

    A place lies anywhere between a real sample and that sample with every number raised by up to `spread` times the
    standard deviation of the batch.
    """

    per_sample = True
    couples_batch = True  # by that deviation

    def __init__(self, weight: float = 10.0, spread: float = 0.5, every: int = 1):
        super().__init__(weight, every)
        if spread <= 0:
            raise ValueError(f"spread={spread} must be greater than 0.")
        self.spread = spread

    def forward(self, critic: Critic, real: Rows, fake: Rows, noise) -> Tensor:
        image = real["image"]
        far = self.spread * image.std() * noise.uniform("dragan/far", image.shape)
        share = noise.uniform("dragan/share", (len(image),)).view(-1, *[1] * (image.dim() - 1))  # [N, 1, ...]
        return (slope(critic, real.changed(image=image + share * far)) - 1).square().mean()


class SlopePower(Penalty):
    """|gradient|^p on lines between real and fake. Wu et al. 2018, WGAN-div (arXiv 1712.01026), algorithm 1.

    `weight` is k and `power` is p.
    """

    per_sample = True

    def __init__(self, weight: float = 2.0, power: float = 6.0, every: int = 1):
        super().__init__(weight, every)
        if power <= 1:
            raise ValueError(f"power={power} must be greater than 1.")
        self.power = power

    def forward(self, critic: Critic, real: Rows, fake: Rows, noise) -> Tensor:
        return slope(critic, between(real, fake, noise, "slope_power")).pow(self.power).mean()


def between(real: Rows, fake: Rows, noise, name: str) -> Rows:
    """Real rows with images anywhere on the lines to the fake ones; the place is drawn for each."""
    image = real["image"]
    epsilon = noise.uniform(name, (len(image),)).view(-1, *[1] * (image.dim() - 1))  # [N, 1, ...]
    return real.changed(image=torch.lerp(fake["image"].detach(), image, epsilon))


def slope(critic: Critic, rows: Rows) -> Tensor:
    """The norm of the gradient in its image of the critic's mean score of each sample, [N]; differentiable."""
    at = rows["image"].detach().requires_grad_()
    scores = critic(rows.changed(image=at))  # [N, ...]
    (gradient,) = torch.autograd.grad(scores.reshape(len(scores), -1).mean(dim=1).sum(), at, create_graph=True)
    return gradient.flatten(1).norm(dim=1)
