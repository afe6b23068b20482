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
        check_counts(source_channels=source_channels, channels=channels)
        self.multiple = checked_multiple(image_size, width, blocks, halvings)
        blocks = (9 if min(pair(image_size)) >= 256 else 6) if blocks is None else blocks
        layers = encoding(source_channels, width, halvings, norm)
        layers += [Block(width * 2**halvings, norm) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, *decoding(channels, width, halvings, norm))
        if norm != "none":
            self.apply(dcgan_init)

    def forward(self, source: Tensor) -> Tensor:
        return self.layers(source)


class Encoder(nn.Module):
    """Pictures [N, channels, H, W] to codes [N, width * 2^halvings, H / 2^halvings, W / 2^halvings].

    The first half of a translator, which ends with `blocks` residual blocks: null is half of the translator's, rounded
    down. Anoosheh et al. 2017 (arXiv 1712.06909), section 3, and its code, whose rectifiers (`activation`) are
    parametric: a slope is learnt.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        blocks: int | None = None,
        norm: str = "instance",
        halvings: int = 2,
        activation: str = "prelu",
    ):
        super().__init__()
        check_counts(channels=channels)
        self.multiple = checked_multiple(image_size, width, blocks, halvings)
        blocks = (4 if min(pair(image_size)) >= 256 else 3) if blocks is None else blocks
        layers = encoding(channels, width, halvings, norm, activation)
        self.layers = nn.Sequential(*layers, *(Block(width * 2**halvings, norm, activation) for _ in range(blocks)))
        if norm != "none":
            self.apply(dcgan_init)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


class Decoder(nn.Module):
    """Codes, as an `Encoder` of the same numbers gives them, to pictures [N, channels, H, W] in [-1, 1].

    The second half of a translator, which begins with `blocks` residual blocks: null is half of the translator's,
    rounded up. `kernel`: 4, as in the code of Anoosheh et al. 2017 (arXiv 1712.06909), or 3, of the layers that double.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        blocks: int | None = None,
        norm: str = "instance",
        halvings: int = 2,
        activation: str = "prelu",
        kernel: int = 4,
    ):
        super().__init__()
        check_counts(channels=channels)
        if kernel not in (3, 4):
            raise ValueError(f"kernel={kernel} must be 3 or 4.")
        self.multiple = checked_multiple(image_size, width, blocks, halvings)
        blocks = (5 if min(pair(image_size)) >= 256 else 3) if blocks is None else blocks
        inner = [Block(width * 2**halvings, norm, activation) for _ in range(blocks)]
        self.layers = nn.Sequential(*inner, *decoding(channels, width, halvings, norm, activation, kernel))
        if norm != "none":
            self.apply(dcgan_init)

    def forward(self, code: Tensor) -> Tensor:
        return self.layers(code)


def encoding(channels: int, width: int, halvings: int, norm: str, activation: str = "relu") -> list[nn.Module]:
    """The layers from a picture down to what residual blocks take."""
    bias = norm == "none"
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7, bias=bias), norm2d(norm, width)]
    layers += [rectifier(activation)]
    for before, after in pairwise(width * 2**i for i in range(halvings + 1)):
        halve = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=bias)
        layers += [halve, norm2d(norm, after), rectifier(activation)]
    return layers


def decoding(
    channels: int, width: int, halvings: int, norm: str, activation: str = "relu", kernel: int = 3
) -> list[nn.Module]:
    """The layers from what residual blocks give up to a picture in [-1, 1]."""
    layers, how = [], {"stride": 2, "padding": 1, "output_padding": 4 - kernel, "bias": norm == "none"}
    for before, after in pairwise(width * 2**i for i in reversed(range(halvings + 1))):
        double = nn.ConvTranspose2d(before, after, kernel, **how)
        layers += [double, norm2d(norm, after), rectifier(activation)]
    return [*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]


def rectifier(activation: str) -> nn.Module:
    """relu, or prelu, whose slope is one number that is learnt."""
    if activation not in ("relu", "prelu"):
        raise ValueError(f"activation={activation} is not known; choose relu or prelu.")
    return nn.ReLU() if activation == "relu" else nn.PReLU()


def checked_multiple(image_size: int | list[int], width: int, blocks: int | None, halvings: int) -> int:
    """What both sides of pictures are to be multiples of; ValueError for numbers that no translator has."""
    check_counts(width=width, halvings=halvings + 1)
    if blocks is not None and blocks < 0:
        raise ValueError(f"blocks={blocks} must not be negative, or null for as many as the paper has.")
    check_sides(image_size, 2**halvings)
    return 2**halvings


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

    def __init__(self, channels: int, norm: str, activation: str = "relu"):
        super().__init__()
        layers = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=norm == "none")]
            layers += [norm2d(norm, channels), *([] if last else [rectifier(activation)])]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)
