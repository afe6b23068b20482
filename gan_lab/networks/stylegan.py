"""The networks of StyleGAN. Karras et al. 2019 (arXiv 1812.04948); numbers and order of its code.

What StyleGAN2 kept is taken from there: the mapping, the critic's head, weights scaled where they are used. So the
factor sqrt(2) stands behind a leaky ReLU, as in StyleGAN2, and not within the weights before it, as in StyleGAN's code:
a bias, and a strength of noise, count sqrt(2) times as much here.

Networks that grow have a layer from and to images at each size, the smallest first, and `shares`, how much of each size
is its own and not the smaller one's: 1, but for the last while it fades in. All sizes are looked at, since each weight
has a part in every turn; where a share is 1, what lies below adds nothing. In the code that is "linear": simple, and
slower than to leave them out.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, interpolate, pad

from gan_lab.networks.layers import check_counts, halvings, pair
from gan_lab.networks.precision import in_float32
from gan_lab.networks.r3gan import plan
from gan_lab.networks.stylegan2 import Blur, Conv, Critic, Dense, Mapping, StyledGenerator, rectified


class Generator(StyledGenerator):
    """Latents [N, latent_dim] to images [N, channels, height, width], which no tanh bounds, as published.

    `mapping` makes styles of latents by `mapping_layers` layers; `synthesis` doubles a learned map of 4 to 7 pixels a
    side until it is an image, with two layers and two styles at each size. `width` counts the channels of the last
    size; they double with every halving, up to limit * width: 512 and 1 at 32 pixels, 128 and 4 at 128, 16 and 32 at
    1024 in the code. `grows_to` is the size that growth ends with, of which this is a stage, and that width and limit
    belong to; None: it does not grow.
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
        grows_to: int | list[int] | None = None,
    ):
        check_counts(latent_dim=latent_dim, style_dim=style_dim, mapping_layers=mapping_layers)
        check_counts(channels=channels, width=width, limit=limit)
        widths, least = stage(image_size, width, limit, grows_to)
        super().__init__(
            Mapping(latent_dim, style_dim, mapping_layers),
            Synthesis(style_dim, channels, widths[::-1], least, grows=grows_to is not None),
        )


class Discriminator(Critic):
    """Images [N, channels, height, width] to raw scores [N].

    `trunk` halves the image until its shorter side is 4 to 7 pixels; the rest is that of StyleGAN2. `width`, `limit`
    and `grows_to` are the generator's.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        limit: int = 8,
        group_size: int = 4,
        grows_to: int | list[int] | None = None,
    ):
        check_counts(channels=channels, width=width, limit=limit)
        widths, least = stage(image_size, width, limit, grows_to)
        super().__init__(Trunk(channels, widths, grows=grows_to is not None), widths[-1], least, group_size)


# --- From styles to images -------------------------------------------------------------------------------------------


class Synthesis(nn.Module):
    """Styles [N, num_styles, style_dim] to images [N, channels, height, width]; `widths` begin with the smallest size.

    Each layer takes one style and one map of noise. `noise` are maps [N, 1, h, w] of the sizes in `noise_sizes`; where
    none are given, a sample has the constant ones that belong to the network.
    """

    def __init__(self, style_dim: int, channels: int, widths: Sequence[int], least: tuple[int, int], grows: bool):
        super().__init__()
        self.start = nn.Parameter(torch.ones(widths[0], *least))
        layers = []
        for i, (before, after) in enumerate(zip([0, *widths], widths, strict=False)):
            size = tuple(side << i for side in least)
            layers += [Layer(before, after, size, style_dim, up=True), Layer(after, after, size, style_dim)]
        self.layers = nn.ModuleList(layers)
        self.to_image = nn.ModuleList(
            Conv(width, channels, 1, rectify=False) for width in (widths if grows else widths[-1:])
        )
        self.register_buffer("shares", torch.ones(len(widths)) if grows else None)
        self.noise_sizes = [tuple(layer.noise.shape) for layer in layers]
        self.num_styles = len(layers)

    def forward(self, styles: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        x, image = self.start.expand(len(styles), -1, -1, -1), None
        for i, layer in enumerate(self.layers):
            x = layer(x, styles[:, i], None if noise is None else noise[i])
            if self.shares is not None and i % 2:
                painted = in_float32(self.to_image[i // 2], x)
                image = (
                    painted
                    if image is None
                    else mixed(interpolate(image, scale_factor=2), painted, self.shares[i // 2])
                )
        return in_float32(self.to_image[0], x) if image is None else image


class Layer(nn.Module):
    """A convolution, noise, a bias, a leaky ReLU, and a style: [N, before, h, w] to [N, after, *size].

    Without maps `before` there is no convolution: it is the first. The noise is one map with a strength to learn for
    each channel, which begins at 0. Each map is then normalised by itself, and the style [N, style_dim] gives it a
    factor, from 1 on, and a summand: adaptive instance normalisation, equation 1. `up` doubles the sides.
    """

    def __init__(self, before: int, after: int, size: tuple[int, int], style_dim: int, up: bool = False):
        super().__init__()
        self.conv = nn.Identity()
        if before:
            kind = UpConv if up else Conv
            conv = kind(before, after, 3, bias=False, rectify=False)
            self.conv = nn.Sequential(conv, smooth()) if up else conv
        self.strength = nn.Parameter(torch.zeros(after))
        self.bias = nn.Parameter(torch.zeros(after))
        self.to_style = Dense(style_dim, 2 * after)
        self.register_buffer("noise", torch.randn(size))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.conv(x)
        noise = self.noise if noise is None else noise
        x = rectified(x + (self.strength[:, None, None] * noise + self.bias[:, None, None]).to(x.dtype))
        return in_float32(restyled, x, in_float32(self.to_style, style)).to(x.dtype)


def restyled(x: Tensor, style: Tensor) -> Tensor:
    """Each map of [N, C, h, w] normalised by itself, with factors - 1 and summands [N, 2 * C]."""
    factor, summand = style[:, :, None, None].chunk(2, dim=1)
    var, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return (x - mean) * ((var + 1e-8).rsqrt() * (factor + 1)) + summand


# --- From images to scores -------------------------------------------------------------------------------------------


class Trunk(nn.Module):
    """Images [N, channels, height, width] to maps [N, widths[-1], h, w]; `widths` begin with the largest size's.

    Layers are named by their size, 0 being the smallest, and stand in the order in which a picture meets them.
    """

    def __init__(self, channels: int, widths: Sequence[int], grows: bool):
        super().__init__()
        self.top = len(widths) - 1
        self.from_image = nn.ModuleDict(
            {str(self.top - i): Conv(channels, width, 1) for i, width in enumerate(widths if grows else widths[:1])}
        )
        pairs = zip(widths, widths[1:], strict=False)
        self.blocks = nn.ModuleDict({str(self.top - i): down_block(*pair) for i, pair in enumerate(pairs)})
        self.register_buffer("shares", torch.ones(len(widths)) if grows else None)

    def forward(self, image: Tensor) -> Tensor:
        x = self.from_image[str(self.top)](image)
        for i in range(self.top, 0, -1):
            x = self.blocks[str(i)](x)
            if self.shares is not None:
                image = avg_pool2d(image, 2)
                x = mixed(self.from_image[str(i - 1)](image), x, self.shares[i])
        return x


def down_block(before: int, after: int) -> nn.Sequential:
    """Two convolutions: maps [N, before, 2h, 2w] to [N, after, h, w]."""
    return nn.Sequential(Conv(before, before, 3), smooth(), DownConv(before, after, 3))


# --- Layers ----------------------------------------------------------------------------------------------------------


class UpConv(Conv):
    """Maps doubled by repetition and a 3x3 convolution, as one transposed one: it turns its weights around."""

    def forward(self, x: Tensor) -> Tensor:
        return conv_transpose2d(x, widened(self.weight * self.gain).transpose(0, 1), stride=2, padding=1)


class DownConv(Conv):
    """A 3x3 convolution, means of two by two places, and a leaky ReLU, as one convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return rectified(conv2d(x, widened(self.weight * self.gain) / 4, self.bias, stride=2, padding=1))


def widened(weight: Tensor) -> Tensor:
    """Weights [..., 3, 3] summed over two by two places: [..., 4, 4]."""
    weight = pad(weight, (1, 1, 1, 1))
    rows = weight[..., 1:, :] + weight[..., :-1, :]
    return rows[..., 1:] + rows[..., :-1]


def smooth() -> Blur:
    """The filter [1, 2, 1]."""
    return Blur(padding=1, taps=(1.0, 2.0, 1.0))


def mixed(small: Tensor, own: Tensor, share: Tensor) -> Tensor:
    """What the smaller size makes, and a share of a size's own; exactly one of them where the share is 0 or 1."""
    return torch.lerp(small, own, share.to(own.dtype))


def stage(
    image_size: int | list[int], width: int, limit: int, grows_to: int | list[int] | None
) -> tuple[list[int], tuple[int, int]]:
    """The channels of each size from the largest to the smallest, and the sides of the smallest.

    Raises ValueError where growth does not pass through this size.
    """
    if grows_to is None:
        return plan(image_size, width, limit)
    widths, least = plan(grows_to, width, limit)
    larger = len(widths) - 1 - halvings(image_size)
    if larger < 0 or pair(image_size) != tuple(side >> larger for side in pair(grows_to)):
        known = [[side << i for side in least] for i in range(len(widths))]
        shown = ", ".join(str(height if height == wide else [height, wide]).replace(" ", "") for height, wide in known)
        raise ValueError(f"grows_to={grows_to} is reached by the sizes {shown}, and image_size={image_size} is none.")
    return widths[larger:], least
