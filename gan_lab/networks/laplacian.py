"""The networks of LAPGAN: a small image, and what is missing at each doubling. Denton et al. 2015 (1506.05751)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gan_lab.networks import dcgan, mlp
from gan_lab.networks.layers import VECTOR_NORMS, check_counts, check_norm, dcgan_init, halvings, pair


class Generator(nn.Module):
    """Latents [N, num_latents] to images [N, channels, height, width], which no tanh bounds.

    `base` makes the smallest images of the last `latent_dim` numbers, by a perceptron (the paper's, appendix A).
    `levels[i]` works at 1 / 2^i of the size: of an enlarged image and a plane of noise, [N, channels + 1, h, w], it
    makes a residual [N, channels, h, w] that is added to the image, by convolutions of `width` channels and the given
    `kernels`, 7, 7 and 5 in the paper's code. `num_levels` of None: two, or as many as the size allows.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        num_levels: int | None = None,
        width: int = 64,
        kernels: Sequence[int] = (7, 7, 5),
        base_width: int = 256,
        base_depth: int = 2,
        norm: str = "batch",
        references: int = 64,
    ):
        super().__init__()
        check_counts(width=width, base_width=base_width)
        if len(kernels) < 2 or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
            raise ValueError(f"kernels={list(kernels)} must be odd numbers, two or more, for example [7,7,5].")
        *larger, smallest = self.sizes = sizes(image_size, num_levels)
        words = {"norm": norm, "references": references}
        self.base = mlp.Generator(latent_dim, channels, smallest, base_width, base_depth, growth=1, **words)
        self.levels = nn.ModuleList(residual(channels, width, kernels) for _ in larger)
        self.parts = [height * wide for height, wide in larger] + [latent_dim]
        self.num_latents = sum(self.parts)

    def forward(self, latent: Tensor) -> Tensor:
        return self.stages(latent)[-1]

    def stages(self, latent: Tensor) -> list[Tensor]:
        """What each level makes of latents, the smallest image first: every level refines the one before."""
        *planes, base = self.parted(latent)
        images = [self.base(base)]
        for i in reversed(range(len(planes))):
            images.append(self.refine(i, images[-1], planes[i]))
        return images

    def parted(self, latent: Tensor) -> list[Tensor]:
        """The planes of noise [N, 1, h, w] of the levels, the largest first, and the latent of the base [N, D]."""
        *planes, base = latent.split(self.parts, dim=1)
        return [plane.view(-1, 1, *size) for plane, size in zip(planes, self.sizes, strict=False)] + [base]

    def refine(self, level: int, coarse: Tensor, plane: Tensor) -> Tensor:
        """An image [N, C, h, w] at twice the size, with what a level adds to it: [N, C, 2h, 2w]."""
        large = interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        return large + self.levels[level](torch.cat([large, plane.to(large.dtype)], dim=1))


class Discriminator(nn.Module):
    """A critic of each size, from images to raw scores [N]: `levels[i]` at 1 / 2^i of the size, `base` of the smallest.

    The base is a perceptron, the others critics by the rules of DCGAN, which see the image that coarse part and
    residual add up to, as in the paper's code.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        num_levels: int | None = None,
        width: int = 64,
        base_width: int = 256,
        base_depth: int = 2,
        norm: str = "none",
        spectral_norm: bool = False,
        head: str = "flatten",
        minibatch: str = "none",
    ):
        super().__init__()
        *larger, smallest = sizes(image_size, num_levels)
        words = {"spectral_norm": spectral_norm, "minibatch": minibatch}
        check_norm(norm, VECTOR_NORMS)
        self.base = mlp.Discriminator(channels, smallest, base_width, base_depth, growth=1, norm=norm, **words)
        self.levels = nn.ModuleList(
            dcgan.Discriminator(channels, size, width, norm, head=head, **words) for size in larger
        )


def residual(channels: int, width: int, kernels: Sequence[int]) -> nn.Module:
    widths = [channels + 1, *[width] * (len(kernels) - 1), channels]
    layers = []
    for (before, after), kernel in zip(pairwise(widths), kernels, strict=True):
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    network.apply(dcgan_init)
    return network


def sizes(image_size: int | list[int], num_levels: int | None) -> list[list[int]]:
    """The sizes of a pyramid's images, the largest first; None: two levels, or as many as the size allows.

    Raises ValueError where a side cannot be halved so often and keep 4 pixels.
    """
    times = halvings(image_size)
    if num_levels is not None and not 0 <= num_levels <= times:
        raise ValueError(
            f"num_levels={num_levels}: an image of {image_size} is halved {times} times at most, or not at all."
        )
    count = min(times, 2) if num_levels is None else num_levels
    return [[side >> i for side in pair(image_size)] for i in range(count + 1)]
