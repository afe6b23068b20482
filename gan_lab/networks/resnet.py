"""Residual networks: those of SNGAN, SAGAN and WGAN-GP. Miyato et al. 2018 (arXiv 1802.05957), appendix B.4."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from gan_lab.networks.attention import SelfAttention
from gan_lab.networks.batch_layers import minibatch_layer, reference_layers
from gan_lab.networks.conditional import ConditionalBatchNorm, Projection
from gan_lab.networks.layers import MeanPool, SumPool, add_spectral_norm, check_counts, halvings, norm2d, pair
from gan_lab.networks.precision import in_float32


class Generator(nn.Module):
    """Latents [N, latent_dim] to images [N, channels, height, width] in [-1, 1].

    A linear layer makes a map of 4 to 7 pixels a side, which residual blocks double until it is an image. `width`
    counts the channels of the last block; they grow by `growth` with every halving of the size, up to limit * width.
    `depth`: blocks at each size, the first of which doubles it. SNGAN's numbers: width 256 and growth 1 at 32 pixels
    (CIFAR-10), width 64 and growth 2 at 48, 64 and 128.

    `attention` lists the shorter sides of the maps behind whose first block self-attention stands; SAGAN's generator
    has `spectral_norm` too. With `num_conditions` the batch norms are conditional and `forward` takes conditions
    [N, num_conditions].
    `norm: virtual` refers to a batch of `references` latents that is drawn once (Salimans et al. 2016, section 3.5).
    `init`: xavier (SNGAN's) or orthogonal.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        growth: int = 2,
        limit: int = 16,
        depth: int = 1,
        norm: str = "batch",
        spectral_norm: bool = False,
        attention: Sequence[int] = (),
        num_conditions: int = 0,
        init: str = "xavier",
        references: int = 64,
    ):
        super().__init__()
        check_counts(latent_dim=latent_dim, channels=channels, width=width, growth=growth, limit=limit)
        check_counts(depth=depth, references=references, num_conditions=num_conditions or 1)
        times = halvings(image_size)
        height, wide = (side >> times for side in pair(image_size))
        widths = [width * min(growth**i, limit) for i in reversed(range(times))]
        first = width * min(growth**times, limit)
        sides = [min(height, wide) << i + 1 for i in range(times)]
        check_sides(attention, sides)

        # Project the latent to the smallest map, stored with its channels last
        self.project = nn.Linear(latent_dim, height * wide * first)
        self.unflatten = nn.Unflatten(1, (height, wide, first))

        # Double the map until it is an image
        make_norm = norm_maker(norm, num_conditions, references)
        blocks, before = [], first
        for after, side in zip(widths, sides, strict=True):
            for i in range(depth):
                blocks.append(UpBlock(before, after, make_norm, up=i == 0, attention=i == 0 and side in attention))
                before = after
        self.blocks = nn.ModuleList(blocks)
        self.finish = nn.Sequential(norm2d(norm, before, references), nn.ReLU())
        self.to_image = nn.Sequential(nn.Conv2d(before, channels, 3, padding=1), nn.Tanh())
        self.refer, self.forget = reference_layers(norm, references, latent_dim)

        self.apply(first_weights(init))
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        conditions = () if condition is None else (condition,)
        x = self.unflatten(self.project(self.refer(latent))).permute(0, 3, 1, 2)  # [N, C, h, w]
        for block in self.blocks:
            x = block(x, *conditions)
        return self.forget(self.to_image(self.finish(x)))


class Discriminator(nn.Module):
    """Images [N, channels, height, width] to raw scores [N].

    `down_blocks` residual blocks halve the image (None: until its shorter side is 4 to 7), `flat_blocks` keep its size;
    `trunk` ends with the sums of the last maps, [N, D], or with their means (`pool: mean`, WGAN-GP's). `width` counts
    the channels of the first block; each further block has `growth` times as many, up to limit * width. SNGAN's
    numbers: width 128, growth 1, 2 down and 2 flat blocks at 32 pixels (CIFAR-10); width 64, growth 2, 4 down and 1
    flat at 48, 5 down and 0 flat at 64, 5 down and 1 flat at 128. No norm in the first block.

    `attention` lists the shorter sides of the maps behind whose halving block self-attention stands. With
    `num_conditions` the score gains the features' projection on the condition and `forward` takes conditions
    [N, num_conditions]. `minibatch` puts what tells a batch's samples apart between trunk and head: none,
    discrimination or stddev. `init`: xavier (SNGAN's) or orthogonal.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        growth: int = 2,
        limit: int = 16,
        down_blocks: int | None = None,
        flat_blocks: int = 1,
        norm: str = "none",
        spectral_norm: bool = False,
        attention: Sequence[int] = (),
        pool: str = "sum",
        minibatch: str = "none",
        num_conditions: int = 0,
        init: str = "xavier",
    ):
        super().__init__()
        check_counts(channels=channels, width=width, growth=growth, limit=limit, num_conditions=num_conditions or 1)
        if pool not in POOLS:
            raise ValueError(f"pool={pool} is not known; choose one of {', '.join(POOLS)}.")
        downs = check_blocks(down_blocks, flat_blocks, image_size)
        sides = [min(pair(image_size)) >> i + 1 for i in range(downs)]
        check_sides(attention, sides)

        # Halve the image, then look at it once more
        widths = [width * min(growth**i, limit) for i in range(downs + flat_blocks)]
        make_norm = norm_maker(norm)
        blocks = []
        for i, (before, after) in enumerate(zip([channels, *widths], widths, strict=False)):
            attends = i < downs and sides[i] in attention
            blocks.append(DownBlock(before, after, make_norm, down=i < downs, first=i == 0, attention=attends))
        self.trunk = nn.Sequential(*blocks, nn.ReLU(), POOLS[pool]())
        self.features = widths[-1]  # of what the trunk makes of an image
        self.minibatch, more = minibatch_layer(minibatch, self.features)
        features = self.features + more
        self.head = nn.Linear(features, 1)
        self.projection = Projection(num_conditions, features) if num_conditions else NoProjection()
        self.num_conditions = num_conditions

        self.apply(first_weights(init))
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        conditions = () if condition is None else (condition,)
        x = self.minibatch(self.trunk(image))
        return in_float32(self.head, x).flatten() + in_float32(self.projection, x, *conditions)


class TwoHeaded(Discriminator):
    """Images [N, channels, height, width] to raw scores [N] and, of the same trunk, to what else it says, [N, outputs].

    The second head is one linear layer, as in WGAN-GP's code. Spectral norm is for the score alone.
    """

    def __init__(self, channels: int, image_size: int | list[int], outputs: int, init: str = "xavier", **words):
        super().__init__(channels, image_size, init=init, **words)
        self.says, self.outputs = nn.Linear(self.features, outputs).apply(first_weights(init)), outputs

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(image)
        return in_float32(self.head, self.minibatch(x)).flatten(), in_float32(self.says, x)


class UpBlock(nn.Module):
    """norm, ReLU, up, convolution, norm, ReLU, convolution, beside a shortcut: [N, before, h, w] to [N, after, 2h, 2w].

    Nearest neighbours and a 1x1 convolution commute; the shortcut takes the cheap order.
    """

    def __init__(
        self, before: int, after: int, make_norm: Callable[[int], nn.Module], up: bool = True, attention: bool = False
    ):
        super().__init__()
        self.norm1, self.norm2 = make_norm(before), make_norm(after)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2) if up else nn.Identity()
        self.shortcut = nn.Conv2d(before, after, 1) if up or before != after else nn.Identity()
        self.attention = SelfAttention(after) if attention else nn.Identity()

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        y = self.conv1(self.up(relu(self.norm1(x, *condition))))
        y = self.conv2(relu(self.norm2(y, *condition)))
        return self.attention(y + self.up(self.shortcut(x)))


class DownBlock(nn.Module):
    """norm, ReLU, convolution, norm, ReLU, convolution, mean, beside a shortcut: [N, C, 2h, 2w] to [N, after, h, w].

    The first block of a critic begins with the convolution and has no norm (SNGAN's code: the optimised block).
    """

    def __init__(
        self,
        before: int,
        after: int,
        make_norm: Callable[[int], nn.Module],
        down: bool = True,
        first: bool = False,
        attention: bool = False,
    ):
        super().__init__()
        middle = after if first else before
        self.start = nn.Identity() if first else nn.Sequential(make_norm(before), nn.ReLU())
        self.conv1 = nn.Conv2d(before, middle, 3, padding=1)
        self.norm2 = nn.Identity() if first else make_norm(middle)
        self.conv2 = nn.Conv2d(middle, after, 3, padding=1)
        self.down = nn.AvgPool2d(2) if down else nn.Identity()
        self.shortcut = nn.Conv2d(before, after, 1) if down or before != after else nn.Identity()
        self.attention = SelfAttention(after) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(relu(self.norm2(self.conv1(self.start(x)))))
        return self.attention(self.down(y) + self.shortcut(self.down(x)))


class NoProjection(nn.Module):
    """No projection, and no condition: zeros, [N]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x))


POOLS = {"sum": SumPool, "mean": MeanPool}
INITS = {"xavier": (nn.init.xavier_uniform_, math.sqrt(2)), "orthogonal": (nn.init.orthogonal_, 1.0)}


def norm_maker(norm, num_conditions=0, references=None):
    """A function of the channels that makes their norm."""
    if num_conditions and norm != "batch":
        raise ValueError(
            f"num_conditions={num_conditions} needs a batch norm to condition, not norm={norm}; choose batch."
        )
    if num_conditions:
        return lambda channels: ConditionalBatchNorm(channels, num_conditions)
    return lambda channels: norm2d(norm, channels, references)


def check_sides(attention, sides):
    if set(attention) - set(sides):
        raise ValueError(
            f"attention={list(attention)} must name sides of maps; those of this network are "
            f"{', '.join(map(str, sides)) or 'none: it has one size'}."
        )


def check_blocks(down_blocks, flat_blocks, image_size):
    """How many blocks halve the image."""
    downs = halvings(image_size) if down_blocks is None else down_blocks
    if min(downs, flat_blocks) < 0 or downs + flat_blocks == 0:
        raise ValueError(f"down_blocks={downs} and flat_blocks={flat_blocks} must not be negative, nor both 0.")
    most = min((side & -side).bit_length() - 1 for side in pair(image_size))
    if downs > most:
        raise ValueError(f"down_blocks={downs}: an image of {image_size} can be halved {most} times at most.")
    return downs


def first_weights(init):
    """For `Module.apply`: weights by `init`, those of a block's two convolutions with the gain of SNGAN's code."""
    if init not in INITS:
        raise ValueError(f"init={init} is not known; choose one of {', '.join(INITS)}.")
    fill, gain = INITS[init]

    def begin(module):
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            fill(module.weight)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, UpBlock | DownBlock):  # after the layers in it
            fill(module.conv1.weight, gain=gain)
            fill(module.conv2.weight, gain=gain)

    return begin
