"""A term that holds the critic's scores near what it used to say of the other side."""

import torch
from torch import Tensor
from torch.nn.functional import relu

from gan_lab.losses.base import Penalty


class LeCam(Penalty):
    """Scores of real above the mean of fake, and of fake below that of real, squared. Tseng et al. 2021, LeCam.

    arXiv 2104.03310, equation 5. The paper squares distances on both sides of a mean; its official code, which this
    follows, those alone that part real from fake. The means are running ones, which move by 1 - `decay` and count the
    turn itself, without a bias towards their first value; they are buffers, which the critics of a game share.
    """

    of_scores = True
    couples_batch = True  # by the means
    shows = ("real", "fake")

    def __init__(self, weight: float = 0.3, every: int = 1, decay: float = 0.99):
        super().__init__(weight, every)
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay} must lie in [0, 1).")
        self.decay = decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))
        self.register_buffer("age", torch.zeros(()))  # how much of a mean is made of scores

    def forward(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        with torch.no_grad():
            age = torch.lerp(torch.ones_like(self.age), self.age, self.decay)
            for mean, scores in ((self.real, real), (self.fake, fake)):
                new = mean + (scores.mean() - mean) * (1 - self.decay) / age
                mean.copy_(torch.where(new.isfinite(), new, mean))
            self.age.copy_(age)
            of_real, of_fake = self.real.clone(), self.fake.clone()
        return relu(real - of_fake).square().mean() + relu(of_real - fake).square().mean()
