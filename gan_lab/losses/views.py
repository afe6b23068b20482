"""What the critic is shown in place of the samples themselves: noise upon them, or several at once."""

import torch
from torch import Tensor

from gan_lab.losses.base import View


class InstanceNoise(View):
    """Gaussian noise on real and fake, fading linearly. Sonderby et al. 2017 (arXiv 1610.04490), section 3.2.1.

    `std` at step 0, of samples in [-1, 1]; nothing is left after `fade_steps` (None: it stays as it is).
    """

    def __init__(self, std: float = 0.1, fade_steps: int | None = 10_000):
        super().__init__()
        if std <= 0:
            raise ValueError(f"std={std} must be greater than 0.")
        if fade_steps is not None and fade_steps < 1:
            raise ValueError(f"fade_steps={fade_steps} must be at least 1, or null for noise that stays.")
        self.std, self.fade_steps = std, fade_steps

    def forward(self, real: Tensor, fake: Tensor, noise, step: int) -> tuple[Tensor, Tensor]:
        left = 1.0 if self.fade_steps is None else max(0.0, 1 - step / self.fade_steps)
        std = self.std * left
        if std == 0:
            return real, fake
        return (
            real + std * noise("instance_noise/real", real.shape).to(real.dtype),
            fake + std * noise("instance_noise/fake", fake.shape).to(fake.dtype),
        )


class Packing(View):
    """`size` samples side by side as one of `size` times the channels. Lin et al. 2018, PacGAN (arXiv 1712.04086).

    [N, C, ...] becomes [N / size, size * C, ...]; samples that do not fill a pack are left out.
    """

    couples_batch = True

    def __init__(self, size: int = 2):
        super().__init__()
        if size < 2:
            raise ValueError(f"size={size} must be at least 2 samples in a pack.")
        self.size = size

    def forward(self, real: Tensor, fake: Tensor, noise, step: int) -> tuple[Tensor, Tensor]:
        return self.packed(real), self.packed(fake)

    def alone(self, x: Tensor) -> Tensor:
        return torch.cat([x] * self.size, dim=1)

    def packed(self, x):
        packs = len(x) // self.size
        return x[: packs * self.size].reshape(packs, self.size * x.shape[1], *x.shape[2:])
