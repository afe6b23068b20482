"""DiscoGAN's translator: DCGAN's critic and generator, one behind the other. Kim et al. 2017 (arXiv 1703.05192)."""

from torch import Tensor, nn

from gan_lab.networks.layers import check_counts, dcgan_init, halvings, norm2d


class Generator(nn.Module):
    """Pictures [N, source_channels, H, W] to pictures [N, channels, H, W] in [-1, 1]. Section 3.1 and official code.

    Convolutions of 4 x 4 halve the picture until its shorter side is 4 to 7 pixels, transposed ones double it again;
    nothing is handed across. `width` counts the channels of the first layer; they double up to 8 * width. No norm
    there.
    """

    def __init__(
        self,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        norm: str = "batch",
    ):
        super().__init__()
        check_counts(source_channels=source_channels, channels=channels, width=width)
        times = halvings(image_size)
        if times == 0:
            raise ValueError(f"image_size={image_size} is too small to be halved. Set dataset.image_size=8.")
        self.multiple = 2**times  # both sides of what it takes are multiples of this
        widths = [width * min(2**i, 8) for i in range(times)]
        bias = norm == "none"

        layers = [nn.Conv2d(source_channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=bias), norm2d(norm, after)]
            layers += [nn.LeakyReLU(0.2)]
        for before, after in zip(widths[::-1], widths[-2::-1], strict=False):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias), norm2d(norm, after)]
            layers += [nn.ReLU()]
        layers += [nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, source: Tensor) -> Tensor:
        return self.layers(source)
