"""Pieces that several networks share: sizes, norms, initial weights."""

from torch import nn

NORMS = ("batch", "instance", "layer", "group", "none")


def pair(image_size: int | list[int]) -> tuple[int, int]:
    """(height, width) of an image size given as one number or two."""
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    return height, width


def halvings(image_size: int | list[int]) -> int:
    """How often an image is halved until its shorter side lies between 4 and 7.

    Raises ValueError, naming the two nearest sizes, where a side is not b * 2^k with 4 <= b <= 7.
    """
    for side in pair(image_size):
        if side < 4 or side % 2 ** (side.bit_length() - 3):
            below = max((s for s in SIDES if s < side), default=SIDES[0])
            above = min(s for s in SIDES if s > side)
            raise ValueError(
                f"image_size={image_size}: a side of {side} is not b * 2^k with b from 4 to 7; "
                f"the nearest that are: {below} and {above}. Set dataset.image_size={below} or {above}."
            )
    return min(pair(image_size)).bit_length() - 3


def check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}={count} must be at least 1.")


SIDES = sorted(b << k for b in (4, 5, 6, 7) for k in range(12))


def norm2d(kind: str, channels: int) -> nn.Module:
    """A norm for feature maps [N, C, H, W]: batch, instance, layer (over C, H, W), group or none."""
    check_norm(kind)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "layer":
        return nn.GroupNorm(1, channels)
    if kind == "group":
        return nn.GroupNorm(next(g for g in (32, 16, 8, 4, 2, 1) if channels % g == 0), channels)
    return nn.Identity()


def norm1d(kind: str, features: int) -> nn.Module:
    """A norm for vectors [N, D]: batch, layer or none."""
    check_norm(kind, ("batch", "layer", "none"))
    if kind == "batch":
        return nn.BatchNorm1d(features)
    if kind == "layer":
        return nn.LayerNorm(features)
    return nn.Identity()


def check_norm(kind, known=NORMS):
    if kind not in known:
        raise ValueError(f"norm={kind} is not known; choose one of {', '.join(known)}.")


def dcgan_init(module: nn.Module) -> None:
    """Weights from N(0, 0.02), norms' scales from N(1, 0.02). Radford et al. 2016, section 4; for `Module.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
        nn.init.zeros_(module.bias)
