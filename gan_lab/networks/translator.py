"""The residual translator of CycleGAN, as Johnson's for style. Zhu et al. 2017 (arXiv 1703.10593), appendix 7.2."""

from itertools import pairwise

from torch import Tensor, nn

from gan_lab.networks.layers import check_counts, dcgan_init, norm2d, pair


class Generator(nn.Module):
    """Pictures [N, source_channels, H, W] to pictures [N, channels, H, W] in [-1, 1].

    A 7 x 7 convolution, `halvings` of the size, `blocks` residual blocks, as many doublings, a 7 x 7 convolution, with
    reflection instead of zeros at the border. `blocks`: null is the paper's 9 from 256 pixels on, else 6. `width`
    counts the channels of the first layer and is doubled with each halving, of which the paper has two. Without norms
    weights begin as PyTorch's do, since the paper's are too small then. Raises ValueError where a side cannot be halved
    so often and left 2 pixels.
    """

    def __init__(
        self,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        blocks: int | None = None,
        norm: str = "instance",
        halvings: int = 2,
    ):
        super().__init__()
        check_counts(source_channels=source_channels, channels=channels, width=width, halvings=halvings + 1)
        self.multiple = 2**halvings  # both sides of what it takes are multiples of this
        if blocks is not None and blocks < 0:
            raise ValueError(f"blocks={blocks} must not be negative, or null for as many as the paper has.")
        check_sides(image_size, self.multiple)
        blocks = (9 if min(pair(image_size)) >= 256 else 6) if blocks is None else blocks
        bias = norm == "none"

        layers = [nn.ReflectionPad2d(3), nn.Conv2d(source_channels, width, 7, bias=bias), norm2d(norm, width)]
        layers += [nn.ReLU()]
        widths = [width * 2**i for i in range(halvings + 1)]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=bias), norm2d(norm, after), nn.ReLU()]
        layers += [Block(widths[-1], norm) for _ in range(blocks)]
        for before, after in pairwise(reversed(widths)):
            double = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=bias)
            layers += [double, norm2d(norm, after), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        if not bias:
            self.apply(dcgan_init)

    def forward(self, source: Tensor) -> Tensor:
        return self.layers(source)


def check_sides(image_size: int | list[int], multiple: int) -> None:
    for side in pair(image_size):
        least = max(4, 2 * multiple)
        if side < least or side % multiple:
            below, above = (
                max(least, side // multiple * multiple),
                max(least + multiple, -(-side // multiple) * multiple),
            )
            raise ValueError(
                f"image_size={image_size}: a side of {side} cannot be halved down to {side / multiple:g} pixels; the "
                f"nearest that can be used: {below} and {above}. Set dataset.image_size={below} or {above}."
            )


class Block(nn.Module):
    """x + two convolutions of x, [N, C, H, W]; no activation behind the sum."""

    def __init__(self, channels: int, norm: str):
        super().__init__()
        layers = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=norm == "none")]
            layers += [norm2d(norm, channels), *([] if last else [nn.ReLU()])]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)
