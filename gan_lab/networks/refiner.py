"""SimGAN's refiner: a shallow network that looks at a picture's neighbourhoods and never makes it smaller."""

from torch import Tensor, nn
from torch.nn.functional import relu

from gan_lab.networks.layers import check_counts, norm2d


class Generator(nn.Module):
    """Pictures [N, source_channels, H, W] to pictures [N, channels, H, W] in [-1, 1], of any size.

    A 3 x 3 convolution, `blocks` residual blocks of `width` channels, a 1 x 1 convolution. Shrivastava et al. 2017
    (arXiv 1612.07828), appendix: 4 blocks of 64 channels, no norm.
    """

    multiple = 1  # both sides of what it takes are multiples of this

    def __init__(self, source_channels: int, channels: int, width: int = 64, blocks: int = 4, norm: str = "none"):
        super().__init__()
        check_counts(source_channels=source_channels, channels=channels, width=width, blocks=blocks)
        self.start = nn.Conv2d(source_channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*[Block(width, norm) for _ in range(blocks)])
        self.last = nn.Conv2d(width, channels, 1)

    def forward(self, source: Tensor) -> Tensor:
        return self.last(self.blocks(relu(self.start(source)))).tanh()


class Block(nn.Module):
    """relu(x + two convolutions of x), [N, C, H, W]."""

    def __init__(self, channels: int, norm: str):
        super().__init__()
        bias = norm == "none"
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=bias), norm2d(norm, channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=bias), norm2d(norm, channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return relu(x + self.layers(x))
