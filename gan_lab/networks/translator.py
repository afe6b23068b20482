"""The residual translator of CycleGAN, as Johnson's for style. Zhu et al. 2017 (arXiv 1703.10593), appendix 7.2."""

from torch import Tensor, nn

from gan_lab.networks.layers import check_counts, dcgan_init, norm2d, pair


class Generator(nn.Module):
    """Pictures [N, source_channels, H, W] to pictures [N, channels, H, W] in [-1, 1].

    A 7 x 7 convolution, two halvings, `blocks` residual blocks, two doublings, a 7 x 7 convolution, with reflection
    instead of zeros at the border. `blocks`: null is the paper's 9 from 256 pixels on, else 6. `width` counts the
    channels of the first layer and is doubled twice. Raises ValueError where a side is no multiple of 4 from 8 on.
    """

    multiple = 4  # both sides of what it takes are multiples of this

    def __init__(
        self,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        blocks: int | None = None,
        norm: str = "instance",
    ):
        super().__init__()
        check_counts(source_channels=source_channels, channels=channels, width=width)
        if blocks is not None and blocks < 0:
            raise ValueError(f"blocks={blocks} must not be negative, or null for as many as the paper has.")
        for side in pair(image_size):
            if side < 8 or side % 4:
                below, above = max(8, side // 4 * 4), max(12, side // 4 * 4 + 4)
                raise ValueError(
                    f"image_size={image_size}: a side of {side} cannot be halved twice and left 2 pixels; the nearest "
                    f"that can: {below} and {above}. Set dataset.image_size={below} or {above}."
                )
        blocks = (9 if min(pair(image_size)) >= 256 else 6) if blocks is None else blocks
        bias = norm == "none"

        layers = [nn.ReflectionPad2d(3), nn.Conv2d(source_channels, width, 7, bias=bias), norm2d(norm, width)]
        layers += [nn.ReLU()]
        for before in (width, 2 * width):
            layers += [nn.Conv2d(before, 2 * before, 3, stride=2, padding=1, bias=bias), norm2d(norm, 2 * before)]
            layers += [nn.ReLU()]
        layers += [Block(4 * width, norm) for _ in range(blocks)]
        for after in (2 * width, width):
            double = nn.ConvTranspose2d(2 * after, after, 3, stride=2, padding=1, output_padding=1, bias=bias)
            layers += [double, norm2d(norm, after), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, source: Tensor) -> Tensor:
        return self.layers(source)


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
