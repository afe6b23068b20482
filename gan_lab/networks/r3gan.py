"""The networks of R3GAN: residual blocks without any norm. Huang et al. 2024 (arXiv 2501.05441), config E."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from gan_lab.networks.conditional import OnCondition, Projection
from gan_lab.networks.layers import check_counts, halvings, pair
from gan_lab.networks.precision import in_float32


class Generator(nn.Module):
    """Latents [N, latent_dim] to images [N, channels, height, width], which no tanh bounds, as published.

    A learned map of 4 to 7 pixels a side, scaled channel by channel by the latent, is doubled until it is an image.
    `width` counts the channels of the last size; they double with every halving, up to limit * width. `depth` blocks
    stand at each size; within them the channels are `expansion` times as many, convolved in groups of `group_width`.
    The paper's code has latent_dim 64, depth 2, expansion 2, groups of 16 and, as width and limit, 768 and 1 on
    CIFAR-10, 384 and 2 at 64 pixels, 96 and 8 at 256.

    With `num_conditions` a linear layer makes as many numbers of a condition [N, num_conditions] as a latent has, which
    stand beside it.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        limit: int = 8,
        depth: int = 2,
        expansion: int = 2,
        group_width: int = 16,
        num_conditions: int = 0,
    ):
        super().__init__()
        check_counts(latent_dim=latent_dim, channels=channels, width=width, limit=limit)
        check_counts(num_conditions=num_conditions or 1)
        widths, least = plan(image_size, width, limit)
        make_blocks = block_maker(depth, expansion, group_width, total=depth * len(widths))
        widths = widths[::-1]
        self.with_condition = Beside(num_conditions, latent_dim) if num_conditions else nn.Identity()
        self.register_load_state_dict_pre_hook(renamed)
        self.project = nn.Linear(latent_dim * (1 + bool(num_conditions)), widths[0], bias=False)
        self.basis = nn.Parameter(torch.randn(widths[0], *least))
        layers = make_blocks(widths[0])
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [*change(before, after), Up(), *make_blocks(after)]
        self.grow = nn.Sequential(*layers)
        self.to_image = nn.Conv2d(widths[-1], channels, 1, bias=False)
        for layer in (self.project, self.to_image):
            scaled_normal(layer)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        conditions = () if condition is None else (condition,)
        x = self.project(self.with_condition(latent, *conditions))[:, :, None, None] * self.basis  # [N, C, h, w]
        return self.to_image(self.grow(x))


class Discriminator(nn.Module):
    """Images [N, channels, height, width] to raw scores [N]: the generator's mirror image.

    `trunk` ends with one learned average of each channel over the last map, [N, D]. The numbers are the generator's.
    With `num_conditions` the score is the inner product of D further numbers and of one vector for each condition.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        limit: int = 8,
        depth: int = 2,
        expansion: int = 2,
        group_width: int = 16,
        num_conditions: int = 0,
    ):
        super().__init__()
        check_counts(channels=channels, width=width, limit=limit, num_conditions=num_conditions or 1)
        widths, least = plan(image_size, width, limit)
        make_blocks = block_maker(depth, expansion, group_width, total=depth * len(widths))
        from_image = nn.Conv2d(channels, widths[0], 1, bias=False)
        layers = [from_image, *make_blocks(widths[0])]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [Down(), *change(before, after), *make_blocks(after)]
        basis = nn.Conv2d(widths[-1], widths[-1], least, groups=widths[-1], bias=False)
        self.trunk = nn.Sequential(*layers, basis, nn.Flatten())
        self.head = nn.Linear(widths[-1], widths[-1] if num_conditions else 1, bias=False)
        self.num_conditions = num_conditions
        self.score = Projection(num_conditions, widths[-1]) if num_conditions else nn.Flatten(0)
        for layer in (from_image, basis, self.head):
            scaled_normal(layer)
        if num_conditions:
            scaled_normal(self.score.vectors, widths[-1] ** -0.5)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        conditions = () if condition is None else (condition,)
        return in_float32(self.score, in_float32(self.head, self.trunk(image)), *conditions)


class Beside(OnCondition):
    """Latents [N, D] and, behind them, what a linear layer makes of conditions [N, num_conditions]: [N, 2 * D]."""

    def __init__(self, num_conditions: int, latent_dim: int):
        super().__init__()
        self.embed = scaled_normal(nn.Linear(num_conditions, latent_dim, bias=False))

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        return torch.cat([latent, self.embed(condition.to(latent.dtype))], dim=1)


class Block(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions on a residual branch that starts at zero: maps [N, C, H, W] to the same.

    Fix-up initialisation without its scalars: with L blocks in the network, the first two weights are scaled down by
    L^(1/4). Huang et al. 2024, section 3.3; Zhang et al. 2019 (arXiv 1901.09321).
    """

    def __init__(self, channels: int, expansion: int, group_width: int, total: int):
        super().__init__()
        inner = channels * expansion
        if inner % group_width:
            raise ValueError(
                f"width: {channels} channels, {expansion} times as many within a block, do not divide into groups of "
                f"group_width={group_width}; choose a width that is a multiple of "
                f"{group_width // math.gcd(group_width, expansion)}."
            )
        self.conv1 = nn.Conv2d(channels, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group_width)
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)
        gain = nn.init.calculate_gain("leaky_relu", SLOPE) * total**-0.25
        for layer, factor in ((self.conv1, gain), (self.conv2, gain), (self.conv3, 0.0)):
            scaled_normal(layer, factor)

    def forward(self, x: Tensor) -> Tensor:
        y = leaky_relu(self.conv1(x), SLOPE)
        y = leaky_relu(self.conv2(y), SLOPE)
        return x + self.conv3(y)


class Up(nn.Module):
    """Maps doubled by bilinear interpolation, with zeros beyond the border as in the paper's code."""

    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", 4 * square_kernel(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.expand(x.shape[1], 1, 4, 4)
        return conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class Down(nn.Module):
    """Maps halved by bilinear interpolation with antialias, with zeros beyond the border."""

    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", square_kernel(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.expand(x.shape[1], 1, 4, 4)
        return conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


SLOPE = 0.2


def square_kernel(taps=(1.0, 3.0, 3.0, 1.0)):
    """A filter in both directions, [taps, taps], summing to 1: the triangle of two pixels' radius, unless said."""
    side = torch.tensor(taps) / sum(taps)
    return torch.outer(side, side)


def plan(image_size, width, limit):
    """The channels of each size from the largest to the smallest, and the sides of the smallest."""
    times = halvings(image_size)
    return [width * min(2**i, limit) for i in range(times + 1)], tuple(side >> times for side in pair(image_size))


def change(before, after):
    """A 1x1 convolution where the channels change."""
    return [scaled_normal(nn.Conv2d(before, after, 1, bias=False))] if before != after else []


def block_maker(depth, expansion, group_width, total):
    check_counts(depth=depth, expansion=expansion, group_width=group_width)
    return lambda channels: [Block(channels, expansion, group_width, total) for _ in range(depth)]


def scaled_normal(layer, gain=1.0):
    """Weights from N(0, gain / sqrt(fan in)), no bias."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def renamed(network: nn.Module, state: dict, prefix: str, *args) -> None:
    """Read the checkpoints of older versions, in which `with_condition` was `told`."""
    for name in [name for name in state if name.startswith(f"{prefix}told.")]:
        state[name.replace(f"{prefix}told.", f"{prefix}with_condition.", 1)] = state.pop(name)
