"""The networks of StarGAN: a translator that is told attributes, a critic that reads them. Choi et al. 2018, 7.2."""

import math
from itertools import pairwise

from torch import Tensor, nn

from gan_lab.networks.conditional import Beside
from gan_lab.networks.layers import add_spectral_norm, check_counts, halvings, norm2d, pair
from gan_lab.networks.precision import in_float32
from gan_lab.networks.translator import check_sides

SLOPE = 0.01  # of the critic's leaky units


class Generator(nn.Module):
    """Pictures [N, channels, H, W] and attributes [N, num_attributes] to pictures in [-1, 1].

    Each attribute is one more channel, the same in all places. A 7 x 7 convolution, `halvings` of the size, `blocks`
    residual blocks, as many doublings, a 7 x 7 convolution. `width` counts the channels of the first layer and is
    doubled with each halving. Choi et al. 2018 (arXiv 1711.09020), table 4, and the official code, of which it has no
    bias, kernels of 4 where the size changes, and PyTorch's first weights.

    Borders are zeros. Under reflection a channel that is the same everywhere adds the same number everywhere, which the
    instance norm behind it takes away, so that the attributes would not be heard at all; zeros leave a trace of them at
    the border. Its code's norms also keep running statistics, which it never uses: it calls no `eval()`.
    """

    def __init__(
        self,
        channels: int,
        num_attributes: int,
        image_size: int | list[int],
        width: int = 64,
        blocks: int = 6,
        norm: str = "instance",
        halvings: int = 2,
    ):
        super().__init__()
        check_counts(channels=channels, width=width, halvings=halvings + 1, blocks=blocks + 1)
        self.multiple = 2**halvings  # both sides of what it takes are multiples of this
        check_sides(image_size, self.multiple)
        bias = norm == "none"
        widths = [width * 2**i for i in range(halvings + 1)]

        layers = [nn.Conv2d(channels + num_attributes, width, 7, padding=3, bias=bias), norm2d(norm, width), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=bias), norm2d(norm, after), nn.ReLU()]
        layers += [Block(widths[-1], norm) for _ in range(blocks)]
        for before, after in pairwise(reversed(widths)):
            double = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias)
            layers += [double, norm2d(norm, after), nn.ReLU()]
        layers += [nn.Conv2d(width, channels, 7, padding=3, bias=bias), nn.Tanh()]
        self.beside, self.layers = Beside(), nn.Sequential(*layers)

    def forward(self, source: Tensor, attributes: Tensor) -> Tensor:
        return self.layers(self.beside(source, attributes.to(source.dtype)))


class Block(nn.Module):
    """x + two convolutions of x, [N, C, H, W]; no activation behind the sum."""

    def __init__(self, channels: int, norm: str):
        super().__init__()
        layers = []
        for last in (False, True):
            layers += [nn.Conv2d(channels, channels, 3, padding=1, bias=norm == "none"), norm2d(norm, channels)]
            layers += [] if last else [nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Discriminator(nn.Module):
    """Pictures [N, channels, H, W] to maps of raw scores [N, 1, h, w] and to logits of attributes [N, outputs].

    `trunk` halves the picture by convolutions of 4 x 4 until its shorter side is 2 or 3 pixels: six times at 128. No
    norm. `width` counts the channels of the first layer and is doubled by each further one: up to 2048 there. `head`
    scores each place, `says` reads the attributes of all of them. Choi et al. 2018 (arXiv 1711.09020), table 5.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        outputs: int,
        width: int = 64,
        spectral_norm: bool = False,
    ):
        super().__init__()
        check_counts(channels=channels, width=width)
        times = halvings(image_size) + 1
        widths = [width * 2**i for i in range(times)]
        layers = []
        for before, after in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.trunk = nn.Sequential(*layers)
        self.shape = (widths[-1], *(side >> times for side in pair(image_size)))  # of what it makes of a picture
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.outputs = outputs
        self.says = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(self.shape), outputs, bias=False))
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(image)
        return in_float32(self.head, x), in_float32(self.says, x)
