"""What the critic is shown in place of the samples themselves: noise upon them, or several at once."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_lab.losses.base import View
from gan_lab.rows import Rows


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

    def forward(self, real: Rows, fake: Rows, noise, step: int) -> tuple[Rows, Rows]:
        left = 1.0 if self.fade_steps is None else max(0.0, 1 - step / self.fade_steps)
        std = self.std * left
        if std == 0:
            return real, fake
        noisy = lambda side, x: x + std * noise(f"instance_noise/{side}", x.shape).to(x.dtype)
        return real.changed(image=noisy("real", real["image"])), fake.changed(image=noisy("fake", fake["image"]))


class Packing(View):
    """`size` samples side by side as one of `size` times the channels. Lin et al. 2018, PacGAN (arXiv 1712.04086).

    [N, C, ...] becomes [N / size, size * C, ...], and what the critic sees beside samples is packed in the same way;
    samples that do not fill a pack are left out.
    """

    couples_batch = True

    def __init__(self, size: int = 2):
        super().__init__()
        if size < 2:
            raise ValueError(f"size={size} must be at least 2 samples in a pack.")
        self.size = size

    def forward(self, real: Rows, fake: Rows, noise, step: int) -> tuple[Rows, Rows]:
        return real.each(self.packed), fake.each(self.packed)

    def alone(self, rows: Rows) -> Rows:
        return rows.each(lambda x: torch.cat([x if x.dim() > 1 else x[:, None]] * self.size, dim=1))

    def complaints(self, parts, name: str) -> Iterator[str]:
        yield from super().complaints(parts, name)
        micro_batch, what = parts.settings.batch_size // parts.world_size, f"The view {name} packs {self.size} samples"
        if micro_batch % self.size:
            fits = max(1, micro_batch // self.size) * self.size * parts.world_size
            yield f"{what}, and {micro_batch} on a device cannot be packed evenly. Set trainer.batch_size={fits}."
        if parts.settings.samples < self.size:
            yield (
                f"{what}, and a picture of trainer.samples={parts.settings.samples} has no pack to show. "
                f"Set trainer.samples={self.size}."
            )
        for critic in parts.game.critics:
            for setting, count in parts.game.beside_images.items():
                has, needs = getattr(getattr(parts.game, critic), setting, None), self.size * count
                if has is not None and has != needs:
                    yield (
                        f"{what} with what belongs to each, and this {critic} has {setting}={has}. "
                        f"Set model.{critic}.{setting}={needs}."
                    )

    def packed(self, x: Tensor) -> Tensor:
        packs = len(x) // self.size
        width = x.shape[1] if x.dim() > 1 else 1
        return x[: packs * self.size].reshape(packs, self.size * width, *x.shape[2:])
