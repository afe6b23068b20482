"""Pieces that several networks share: sizes, norms, sums, spectral norm, initial weights."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import register_parametrization

from gan_lab.networks.batch_layers import VirtualBatchNorm

NORMS = ("batch", "instance", "layer", "group", "none")
VECTOR_NORMS = ("batch", "layer", "none")


class SumPool(nn.Module):
    """Feature maps [N, C, H, W] to their sums [N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(dim=(2, 3))


class MeanPool(nn.Module):
    """Feature maps [N, C, H, W] to their means [N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class SpectralNorm(nn.Module):
    """A weight matrix divided by its largest singular value: a parametrization. Miyato et al. 2018, algorithm 1.

    One power iteration in each forward pass while training; rows are of dimension `dim`. It computes what torch's own
    does, but in float32 also under autocast, and puts new vectors in place of the old ones, which a backward pass may
    still need: torch writes them over, and a compiled critic that judges real and fake then stops with an error (2.15).
    """

    def __init__(self, weight: Tensor, dim: int = 0):
        super().__init__()
        self.dim = dim
        rows = self.matrix(weight.detach())
        self.register_buffer("_u", normalize(torch.randn_like(rows[:, 0]), dim=0, eps=TINY))
        self.register_buffer("_v", normalize(torch.randn_like(rows[0]), dim=0, eps=TINY))
        for _ in range(15):
            self.follow(rows)

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            rows = self.matrix(weight)
            if self.training:
                self.follow(rows.detach())
            return weight / torch.dot(self._u, torch.mv(rows, self._v))

    def follow(self, rows):
        """One power iteration."""
        self._u = normalize(torch.mv(rows, self._v), dim=0, eps=TINY)
        self._v = normalize(torch.mv(rows.T, self._u), dim=0, eps=TINY)

    def matrix(self, weight):
        return weight.movedim(self.dim, 0).flatten(1)


def pair(image_size: int | list[int]) -> tuple[int, int]:
    """(height, width) of an image size given as one number or two."""
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    return height, width


def halvings(image_size: int | list[int]) -> int:
    """How often an image is halved until its shorter side lies between 4 and 7.

    Raises ValueError, naming the two nearest sizes, where a side is not b * 2^k with 4 <= b <= 7.
    """
    for place, side in enumerate(pair(image_size)):
        if side < 4 or side % 2 ** (side.bit_length() - 3):
            below = max((s for s in SIDES if s < side), default=SIDES[0])
            above = min(s for s in SIDES if s > side)
            fit = [below, above]
            if not isinstance(image_size, int):
                other = list(image_size)
                fit = [str([*other[:place], near, *other[place + 1 :]]).replace(" ", "") for near in fit]
            raise ValueError(
                f"image_size={image_size}: a side of {side} is not b * 2^k with b from 4 to 7; "
                f"the nearest that are: {below} and {above}. Set dataset.image_size={fit[0]} or {fit[1]}."
            )
    return min(pair(image_size)).bit_length() - 3


def check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}={count} must be at least 1.")


TINY = 1e-12  # the least norm to divide by
SIDES = sorted(b << k for b in (4, 5, 6, 7) for k in range(12))


def norm2d(kind: str, channels: int, references: int | None = None) -> nn.Module:
    """A norm for feature maps [N, C, H, W]: batch, instance, layer (over C, H, W), group or none.

    Also `virtual` where `references` says how many rows at the head of the batch it refers to, as in generators.
    """
    check_norm(kind, NORMS if references is None else (*NORMS, "virtual"))
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "layer":
        return nn.GroupNorm(1, channels)
    if kind == "group":
        return nn.GroupNorm(next(g for g in (32, 16, 8, 4, 2, 1) if channels % g == 0), channels)
    if kind == "virtual":
        return VirtualBatchNorm(channels, references)
    return nn.Identity()


def norm1d(kind: str, features: int, references: int | None = None) -> nn.Module:
    """A norm for vectors [N, D]: batch, layer or none; also virtual, as in `norm2d`."""
    check_norm(kind, VECTOR_NORMS if references is None else (*VECTOR_NORMS, "virtual"))
    if kind == "batch":
        return nn.BatchNorm1d(features)
    if kind == "layer":
        return nn.LayerNorm(features)
    if kind == "virtual":
        return VirtualBatchNorm(features, references)
    return nn.Identity()


def check_norm(kind, known=NORMS):
    if kind not in known:
        raise ValueError(f"norm={kind} is not known; choose one of {', '.join(known)}.")


def add_spectral_norm(network: nn.Module) -> None:
    """Divide every weight matrix by its largest singular value. Miyato et al. 2018 (arXiv 1802.05957), section 2.1."""
    kinds = nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding
    for layer in [m for m in network.modules() if isinstance(m, kinds)]:
        dim = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        register_parametrization(layer, "weight", SpectralNorm(layer.weight, dim))


def dcgan_init(module: nn.Module) -> None:
    """Weights from N(0, 0.02), norms' scales from N(1, 0.02). Radford et al. 2016, section 4; for `Module.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm | VirtualBatchNorm):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
        nn.init.zeros_(module.bias)
