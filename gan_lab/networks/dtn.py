"""The networks of a port of DTN: codes of pictures, pictures of codes, and a critic of three kinds or of two.

After Taigman et al. 2017 (arXiv 1611.02200), section 5.1, as https://github.com/yunjey/domain-transfer-network has them
at commit eaa2d5e: strided convolutions of 3 x 3, each with a bias, Glorot's initial weights.
"""

from torch import Tensor, nn

from gan_lab.networks.layers import add_spectral_norm, check_counts, halvings, norm2d, pair
from gan_lab.networks.precision import in_float32

MOST = 8  # times `width` that a layer has at most


class Encoder(nn.Module):
    """Pictures [N, channels, H, W] to codes [N, latent_dim] in (-1, 1).

    The picture is halved until its shorter side is 4 to 7 pixels; one convolution over all of what is left makes the
    code. `width` counts the channels of the first layer, doubled at each halving up to 8 times.
    """

    def __init__(
        self, latent_dim: int, channels: int, image_size: int | list[int], width: int = 64, norm: str = "batch"
    ):
        super().__init__()
        check_counts(latent_dim=latent_dim, channels=channels, width=width)
        times = halvings(image_size)
        widths = [width * min(2**i, MOST) for i in range(times)]
        layers = []
        for before, after in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), norm2d(norm, after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        left = tuple(side >> times for side in pair(image_size))
        of_code = "none" if norm == "instance" else norm  # of one pixel there is no instance norm
        self.code = nn.Sequential(
            nn.Conv2d([channels, *widths][-1], latent_dim, left), norm2d(of_code, latent_dim), nn.Tanh()
        )
        self.apply(glorot)

    def forward(self, image: Tensor) -> Tensor:
        return self.code(self.trunk(image)).flatten(1)


class Head(nn.Module):
    """Codes [N, latent_dim] to logits [N, num_classes]; where there are no classes, of one that nobody asks for."""

    def __init__(self, latent_dim: int, num_classes: int | None):
        super().__init__()
        self.num_classes = num_classes or 0
        self.layer = nn.Linear(latent_dim, max(1, self.num_classes))
        self.apply(glorot)

    def forward(self, code: Tensor) -> Tensor:
        return in_float32(self.layer, code)


class Generator(nn.Module):
    """Codes [N, latent_dim] to pictures [N, channels, H, W] in [-1, 1]: the way back of `Encoder`.

    `width` counts the channels before the last layer, doubled at each halving of the size up to 8 times.
    """

    def __init__(
        self, latent_dim: int, channels: int, image_size: int | list[int], width: int = 128, norm: str = "batch"
    ):
        super().__init__()
        check_counts(latent_dim=latent_dim, channels=channels, width=width)
        self.takes = pair(image_size)  # the only size of the pictures whose codes it takes
        times = halvings(image_size)
        widths = [width * min(2**i, MOST) for i in reversed(range(times))] or [width]
        left = tuple(side >> times for side in pair(image_size))
        layers = [nn.Unflatten(1, (latent_dim, 1, 1)), nn.ConvTranspose2d(latent_dim, widths[0], left)]
        layers += [norm2d(norm, widths[0]), nn.ReLU()]
        doubles = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.ConvTranspose2d(before, after, **doubles), norm2d(norm, after), nn.ReLU()]
        last = nn.ConvTranspose2d(widths[-1], channels, **doubles)
        layers += [last if times else nn.Conv2d(width, channels, 3, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(glorot)

    def forward(self, code: Tensor) -> Tensor:
        return self.layers(code)


class Discriminator(nn.Module):
    """Pictures [N, channels, H, W] to raw scores [N], or with `outputs` of 3 to logits of three kinds, [N, 3].

    Those are: a translated source, an image by way of its code, an image of the data. A norm behind every layer but the
    last, also behind the first one's activation, as the port has it.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        width: int = 128,
        outputs: int = 3,
        norm: str = "batch",
        spectral_norm: bool = False,
    ):
        super().__init__()
        check_counts(channels=channels, width=width)
        if outputs not in (1, 3):
            raise ValueError(f"outputs={outputs} must be 3 for the kinds of the paper, or 1 for real and fake.")
        self.outputs = outputs
        times = halvings(image_size)
        widths = [width * min(2**i, MOST) for i in range(times)]
        layers = []
        for i, (before, after) in enumerate(zip([channels, *widths], widths, strict=False)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), *([] if i else [nn.ReLU()])]
            layers += [norm2d(norm, after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        left = tuple(side >> times for side in pair(image_size))
        self.head = nn.Conv2d([channels, *widths][-1], outputs, left)
        self.apply(glorot)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor) -> Tensor:
        kinds = in_float32(self.head, self.trunk(image)).flatten(1)
        return kinds if self.outputs == 3 else kinds[:, 0]


def glorot(module: nn.Module) -> None:
    """Weights uniform by Glorot and Bengio 2010, biases zero; for `Module.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
