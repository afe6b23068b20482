"""The networks of StyleGAN2. Karras et al. 2020 (arXiv 1912.04958); numbers and order of the code of StyleGAN2-ADA.

Weights are drawn from N(0, 1) and scaled by 1 / sqrt(fan in) where they are used, so that all learn at an equal rate
(Karras et al. 2018, arXiv 1710.10196, section 4.1). Maps are enlarged and reduced through the filter [1, 3, 3, 1].
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear

from gan_lab.networks.batch_layers import MinibatchStddev
from gan_lab.networks.conditional import OnCondition
from gan_lab.networks.layers import check_counts
from gan_lab.networks.precision import in_float32
from gan_lab.networks.r3gan import Down, Up, plan, square_kernel

ARCHITECTURES = ("orig", "skip", "resnet")


class StyledGenerator(nn.Module):
    """Latents [N, latent_dim] to images [N, channels, height, width] by two networks.

    `mapping` makes styles of latents, [N, style_dim]; each of the `num_styles` places of `synthesis` takes one.
    """

    def __init__(self, mapping: nn.Module, synthesis: nn.Module):
        super().__init__()
        self.mapping, self.synthesis = mapping, synthesis
        self.num_styles = synthesis.num_styles

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.synthesis(self.styles(latent, condition))

    def styles(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """The style of each place, all the same: [N, num_styles, style_dim]."""
        style = self.mapping(latent, *(() if condition is None else (condition,)))
        return style[:, None].expand(-1, self.num_styles, -1)

    def truncated(self, styles: Tensor, truncation: float, cutoff: int | None = None) -> Tensor:
        """Styles [N, num_styles, style_dim] whose first `cutoff` places, or all, lie nearer to the average of styles.

        `truncation` is how far they are from it: psi. Karras et al. 2019 (arXiv 1812.04948), appendix B.
        """
        if truncation == 1:
            return styles
        count = self.num_styles if cutoff is None else cutoff
        near = torch.lerp(self.mapping.average, styles[:, :count], truncation)
        return torch.cat([near, styles[:, count:]], dim=1)

    def compile(self, *args, **kwargs) -> None:
        """Compile the two parts, since a game calls each by itself."""
        self.mapping.compile(*args, **kwargs)
        self.synthesis.compile(*args, **kwargs)


class Generator(StyledGenerator):
    """Latents [N, latent_dim] to images [N, channels, height, width], which no tanh bounds, as published.

    `mapping` makes styles of latents, [N, style_dim], by `mapping_layers` layers; `synthesis` doubles a learned map of
    4 to 7 pixels a side until it is an image, and each of its `num_styles` places takes a style. `width` counts the
    channels of the last size; they double with every halving, up to limit * width. `architecture`: `skip` adds up
    images of all sizes, `resnet` has shortcuts beside the convolutions, `orig` neither (figure 7 of the paper). The
    code has latents and styles of 512 numbers and, as width and limit, 512 and 1 at 32 pixels, 64 and 8 at 256, 32 and
    16 at 1024 (config F). With `num_conditions` the mapping takes conditions [N, num_conditions] too.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        style_dim: int = 512,
        mapping_layers: int = 8,
        width: int = 64,
        limit: int = 8,
        architecture: str = "skip",
        num_conditions: int = 0,
    ):
        check_counts(latent_dim=latent_dim, style_dim=style_dim, mapping_layers=mapping_layers)
        super().__init__(
            Mapping(latent_dim, style_dim, mapping_layers, num_conditions),
            Synthesis(style_dim, channels, image_size, width, limit, architecture),
        )


class Critic(nn.Module):
    """Images to raw scores [N], by a `trunk` that makes maps [N, last, *least] of them.

    `minibatch` puts the standard deviation over groups of `group_size` samples beside the maps (0: nothing), and `head`
    has a convolution and two linear layers. With `num_conditions` the score is the inner product of `last` numbers and
    of what `mapping_layers` layers make of a condition.
    """

    def __init__(
        self,
        trunk: nn.Module,
        last: int,
        least: tuple[int, int],
        group_size: int,
        num_conditions: int = 0,
        mapping_layers: int = 8,
    ):
        super().__init__()
        check_counts(mapping_layers=mapping_layers, num_conditions=num_conditions or 1, group_size=group_size or 1)
        self.trunk = trunk
        self.minibatch = MinibatchStddev(group_size) if group_size else nn.Identity()
        self.head = nn.Sequential(
            Conv(last + bool(group_size), last, 3),
            nn.Flatten(),
            Dense(last * math.prod(least), last, rectify=True),
            Dense(last, last if num_conditions else 1),
        )
        self.num_conditions = num_conditions
        self.score = Projection(num_conditions, last, mapping_layers) if num_conditions else nn.Flatten(0)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        conditions = () if condition is None else (condition,)
        return in_float32(self.score, in_float32(self.head, self.minibatch(self.trunk(image))), *conditions)


class Discriminator(Critic):
    """Images [N, channels, height, width] to raw scores [N].

    `trunk` halves the image until its shorter side is 4 to 7 pixels; `minibatch` puts the standard deviation over
    groups of `group_size` samples beside the maps (0: nothing), and `head` has a convolution and two linear layers.
    `architecture`: `resnet` has shortcuts beside the convolutions, `skip` looks at the image at each size, `orig` at
    its own alone. `width` and `limit` are the generator's. With `num_conditions` the score is the inner product of as
    many numbers as the last maps have channels and of what `mapping_layers` layers make of a condition.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        limit: int = 8,
        architecture: str = "resnet",
        group_size: int = 4,
        num_conditions: int = 0,
        mapping_layers: int = 8,
    ):
        check_counts(channels=channels, width=width, limit=limit)
        check_architecture(architecture)
        widths, least = plan(image_size, width, limit)
        trunk = Trunk(channels, widths, architecture)
        super().__init__(trunk, widths[-1], least, group_size, num_conditions, mapping_layers)


# --- From latents to styles ------------------------------------------------------------------------------------------


class Mapping(nn.Module):
    """Latents [N, latent_dim], and conditions [N, num_conditions] beside them, to styles [N, style_dim].

    Its layers learn at a hundredth of the rate. `average` is the mean of the styles of the last few hundred batches
    that it was shown by `follow`. In float32 also under autocast.
    """

    def __init__(self, latent_dim: int, style_dim: int, layers: int, num_conditions: int = 0):
        super().__init__()
        self.embed = Embedding(num_conditions, style_dim) if num_conditions else None
        self.layers = mapping_layers(latent_dim + style_dim * bool(num_conditions), style_dim, layers)
        self.register_buffer("average", torch.zeros(style_dim))

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return in_float32(self.map, latent, *(() if condition is None else (condition,)))

    def map(self, latent: Tensor, *conditions: Tensor) -> Tensor:
        return self.layers(torch.cat([normalised(latent), *map(self.embed, conditions)], dim=1))

    @torch.no_grad()
    def follow(self, styles: Tensor) -> None:
        """Move the average towards the mean of styles [N, style_dim], by the share of the code."""
        self.average.lerp_(styles.mean(dim=0), 0.005)


class Embedding(OnCondition):
    """Conditions [N, num_conditions] to vectors [N, features] whose squares are 1 on average."""

    def __init__(self, num_conditions: int, features: int):
        super().__init__()
        self.layer = Dense(num_conditions, features)

    def forward(self, condition: Tensor) -> Tensor:
        return normalised(self.layer(condition))


class Projection(nn.Module):
    """Features [N, D] and conditions [N, num_conditions] to scores [N]: the inner product with a mapped condition.

    Code of Karras et al. 2020, StyleGAN2-ADA (arXiv 2006.06676), after Miyato and Koyama 2018 (arXiv 1802.05637).
    """

    def __init__(self, num_conditions: int, features: int, layers: int):
        super().__init__()
        self.mapping = nn.Sequential(Embedding(num_conditions, features), *mapping_layers(features, features, layers))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return (x * self.mapping(condition)).sum(dim=1) / math.sqrt(x.shape[1])


# --- From styles to images -------------------------------------------------------------------------------------------


class Synthesis(nn.Module):
    """Styles [N, num_styles, style_dim] to images [N, channels, height, width].

    Each convolution takes one style and one map of noise, and what makes an image takes the style behind those of its
    size. `noise` are maps [N, 1, h, w] of the sizes in `noise_sizes`; where none are given, a sample has the constant
    ones that belong to the network.
    """

    def __init__(
        self, style_dim: int, channels: int, image_size: int | list[int], width: int, limit: int, architecture: str
    ):
        super().__init__()
        check_counts(channels=channels, width=width, limit=limit)
        check_architecture(architecture)
        widths, least = plan(image_size, width, limit)
        widths = widths[::-1]
        self.start = nn.Parameter(torch.randn(widths[0], *least))
        blocks = []
        for i, (before, after) in enumerate(zip([0, *widths], widths, strict=False)):
            size, paints = tuple(side << i for side in least), architecture == "skip" or i == len(widths) - 1
            blocks.append(Block(before, after, size, style_dim, channels * paints, shortcut=architecture == "resnet"))
        self.blocks = nn.ModuleList(blocks)
        self.noise_sizes = [tuple(layer.noise.shape) for block in blocks for layer in block.layers]
        self.num_styles = len(self.noise_sizes) + 1

    def forward(self, styles: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        x, image, place = self.start.expand(len(styles), -1, -1, -1), None, 0
        for block in self.blocks:
            end = place + len(block.layers)
            x, image = block(x, image, styles[:, place : end + 1], noise and noise[place:end])
            place = end
        return image


class Block(nn.Module):
    """The layers of one size. Without maps `before` it is the first one, else it doubles them.

    Of maps [N, before, h, w], an image of their size, or none, and styles [N, layers + 1, style_dim] it makes maps
    [N, after, 2h, 2w] and an image to which it has added its own, if it has `channels` to paint. Images are added up in
    float32.
    """

    def __init__(
        self, before: int, after: int, size: tuple[int, int], style_dim: int, channels: int, shortcut: bool = False
    ):
        super().__init__()
        layers = [Layer(before, after, size, style_dim, up=True)] if before else []
        self.layers = nn.ModuleList([*layers, Layer(after, after, size, style_dim)])
        shortcut = shortcut and before
        self.shortcut = nn.Sequential(Conv(before, after, 1, bias=False, rectify=False), Up()) if shortcut else None
        self.enlarge = Up()
        self.to_image = ToImage(after, channels, style_dim) if channels else None

    def forward(
        self, x: Tensor, image: Tensor | None, styles: Tensor, noise: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        beside = None if self.shortcut is None else self.shortcut(x)
        for i, layer in enumerate(self.layers):
            x = layer(x, styles[:, i], None if noise is None else noise[i])
        x = x if beside is None else (x + beside) * math.sqrt(0.5)
        painted = None if self.to_image is None else self.to_image(x, styles[:, -1])
        return x, painted if image is None else in_float32(torch.add, in_float32(self.enlarge, image), painted)


class Layer(nn.Module):
    """A modulated convolution, noise, a bias and a leaky ReLU: [N, before, h, w] to [N, after, *size].

    The noise is one map for all channels, with one strength to learn that begins at 0.
    """

    def __init__(self, before: int, after: int, size: tuple[int, int], style_dim: int, up: bool = False):
        super().__init__()
        self.conv = ModulatedConv(before, after, style_dim, up=up)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(after))
        self.register_buffer("noise", torch.randn(size))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.conv(x, style)
        noise = self.noise if noise is None else noise
        return rectified(x + (self.strength * noise).to(x.dtype) + self.bias.to(x.dtype)[:, None, None])


class ToImage(nn.Module):
    """Maps [N, before, h, w] and styles [N, style_dim] to images [N, channels, h, w], by a 1x1 convolution.

    It is modulated and not demodulated: the style scales what comes into it.
    """

    def __init__(self, before: int, channels: int, style_dim: int):
        super().__init__()
        self.to_scale = Dense(style_dim, before, bias=1.0)
        self.conv = Conv(before, channels, 1, rectify=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.conv(x * in_float32(self.to_scale, style).to(x.dtype)[:, :, None, None])


class ModulatedConv(nn.Module):
    """A 3x3 convolution whose weights each sample scales by its style: [N, before, h, w] to [N, after, h, w].

    The style [N, style_dim] gives a factor of each channel that goes in; each channel that comes out is divided by the
    norm of its weights, scaled as they are. Karras et al. 2020, section 2.2, equations 1 and 3. Channels are scaled
    before and after one convolution that all samples share, which is the same and faster than a convolution of its own
    for each. `up` doubles the sides: the convolution is a transposed one, and the filter follows.
    """

    def __init__(self, before: int, after: int, style_dim: int, up: bool = False):
        super().__init__()
        self.to_scale = Dense(style_dim, before, bias=1.0)
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3))
        self.gain = 1 / math.sqrt(before * 9)
        self.blur = Blur(padding=1, gain=4.0) if up else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, weight = in_float32(self.to_scale, style), self.weight * self.gain
        x = x * scale.to(x.dtype)[:, :, None, None]
        if self.blur is None:
            x = conv2d(x, weight, padding=1)
        else:
            x = self.blur(conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        return x * in_float32(demodulation, scale, weight).to(x.dtype)[:, :, None, None]


# --- From images to scores -------------------------------------------------------------------------------------------


class Trunk(nn.Module):
    """Images [N, channels, height, width] to maps [N, widths[-1], h, w]; `widths` begin with the largest size's."""

    def __init__(self, channels: int, widths: Sequence[int], architecture: str):
        super().__init__()
        seen = widths if architecture == "skip" else widths[:1]
        self.from_image = nn.ModuleList(Conv(channels, width, 1) for width in seen)
        shortcut = architecture == "resnet"
        self.blocks = nn.ModuleList(
            DownBlock(before, after, shortcut) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.reduce = Down()

    def forward(self, image: Tensor) -> Tensor:
        x = self.from_image[0](image)
        for i, block in enumerate(self.blocks, start=1):
            x = block(x)
            if i < len(self.from_image):
                image = self.reduce(image)
                x = x + self.from_image[i](image)
        return x


class DownBlock(nn.Module):
    """Two convolutions, with a shortcut beside them if it has one: maps [N, before, 2h, 2w] to [N, after, h, w]."""

    def __init__(self, before: int, after: int, shortcut: bool):
        super().__init__()
        halve = nn.Sequential(Blur(padding=2), Conv(before, after, 3, stride=2, padding=0))
        self.convs = nn.Sequential(Conv(before, before, 3), *halve)
        self.shortcut = nn.Sequential(Down(), Conv(before, after, 1, bias=False, rectify=False)) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs(x)
        return y if self.shortcut is None else (y + self.shortcut(x)) * math.sqrt(0.5)


# --- Layers ----------------------------------------------------------------------------------------------------------


class Conv(nn.Conv2d):
    """A convolution, and a leaky ReLU unless it is not to `rectify`."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = True,
        rectify: bool = True,
    ):
        super().__init__(before, after, kernel, stride, kernel // 2 if padding is None else padding, bias=bias)
        nn.init.normal_(self.weight)
        if bias:
            nn.init.zeros_(self.bias)
        self.gain, self.rectify = 1 / math.sqrt(before * kernel**2), rectify

    def forward(self, x: Tensor) -> Tensor:
        x = conv2d(x, self.weight * self.gain, self.bias, self.stride, self.padding)
        return rectified(x) if self.rectify else x


class Dense(nn.Linear):
    """A linear layer [N, before] to [N, after] that learns at `rate` times the rate, and begins with this `bias`."""

    def __init__(self, before: int, after: int, rate: float = 1.0, bias: float = 0.0, rectify: bool = False):
        super().__init__(before, after)
        nn.init.normal_(self.weight, std=1 / rate)
        nn.init.constant_(self.bias, bias / rate)
        self.gain, self.rate, self.rectify = rate / math.sqrt(before), rate, rectify

    def forward(self, x: Tensor) -> Tensor:
        x = linear(x, self.weight * self.gain, self.bias * self.rate)
        return rectified(x) if self.rectify else x


class Blur(nn.Module):
    """Maps through a filter in both directions, with zeros beyond the border: 2 * padding - taps + 1 larger."""

    def __init__(self, padding: int, gain: float = 1.0, taps: Sequence[float] = (1.0, 3.0, 3.0, 1.0)):
        super().__init__()
        self.padding = padding
        self.register_buffer("kernel", gain * square_kernel(taps), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.expand(x.shape[1], 1, -1, -1)
        return conv2d(x, kernel, padding=self.padding, groups=x.shape[1])


def demodulation(scale: Tensor, weight: Tensor) -> Tensor:
    """One over the norm of the weights [after, before, k, k] of each channel, scaled by [N, before]: [N, after]."""
    return (scale.square() @ weight.square().sum(dim=(2, 3)).T + 1e-8).rsqrt()


def normalised(x: Tensor) -> Tensor:
    """Vectors [N, D] divided by the root of their mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def rectified(x: Tensor) -> Tensor:
    """Leaky ReLU, times what brings the variance back."""
    return leaky_relu(x, 0.2) * math.sqrt(2)


def mapping_layers(before: int, features: int, count: int) -> nn.Sequential:
    """So many linear layers with leaky ReLU, which learn at a hundredth of the rate."""
    sizes = [before, *[features] * count]
    return nn.Sequential(*(Dense(a, b, rate=0.01, rectify=True) for a, b in zip(sizes, sizes[1:], strict=False)))


def check_architecture(name: str) -> None:
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture={name} is not known; choose one of {', '.join(ARCHITECTURES)}.")
