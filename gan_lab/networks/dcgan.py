"""The networks of DCGAN: strided convolutions all the way. Radford et al. 2016 (arXiv 1511.06434), section 3."""

from torch import Tensor, nn

from gan_lab.networks.batch_layers import minibatch_layer, reference_layers
from gan_lab.networks.layers import SumPool, add_spectral_norm, check_counts, dcgan_init, halvings, norm2d, pair
from gan_lab.networks.precision import in_float32


class Generator(nn.Module):
    """Latents [N, latent_dim] to images [N, channels, height, width] in [-1, 1].

    A linear layer makes a map of 4 to 7 pixels a side, which transposed convolutions double until it is an image.
    `width` counts the channels before the last layer; they double with every halving of the size, up to 8 * width.
    `norm: virtual` refers to a batch of `references` latents that is drawn once (Salimans et al. 2016, section 3.5).
    `kernel`: side of the convolutions, 5 in the authors' code; 4, which the stride divides, in its port to Torch.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        norm: str = "batch",
        references: int = 64,
        kernel: int = 4,
    ):
        super().__init__()
        check_counts(latent_dim=latent_dim, channels=channels, width=width, references=references)
        check_kernel(kernel)
        times = halvings(image_size)
        height, wide = (side >> times for side in pair(image_size))
        widths = [width * min(2**i, 8) for i in reversed(range(times))] or [width]
        bias = norm == "none"

        # Project the latent to the smallest map, stored with its channels last
        self.project = nn.Linear(latent_dim, height * wide * widths[0], bias=bias)
        self.unflatten = nn.Unflatten(1, (height, wide, widths[0]))
        self.start = nn.Sequential(norm2d(norm, widths[0], references), nn.ReLU())

        # Double the map until it is an image
        doubles = {"kernel_size": kernel, "stride": 2, "padding": (kernel - 1) // 2, "output_padding": kernel % 2}
        layers = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.ConvTranspose2d(before, after, **doubles, bias=bias)]
            layers += [norm2d(norm, after, references), nn.ReLU()]
        last = nn.ConvTranspose2d(widths[-1], channels, **doubles)
        self.grow = nn.Sequential(*layers, last if times else nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())
        self.refer, self.forget = reference_layers(norm, references, latent_dim)
        self.apply(dcgan_init)

    def forward(self, latent: Tensor) -> Tensor:
        x = self.unflatten(self.project(self.refer(latent))).permute(0, 3, 1, 2)  # [N, C, h, w]
        return self.forget(self.grow(self.start(x)))


class Discriminator(nn.Module):
    """Images [N, channels, height, width] to raw scores [N].

    `trunk` halves the image until its shorter side is 4 to 7 pixels; `head` turns what is left into a score: `flatten`
    is one convolution over all of it (the paper's), `pool` a linear layer on its sum. No norm after the first layer.
    `minibatch` puts what tells a batch's samples apart between the two: none, discrimination or stddev. `kernel` as in
    the generator.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        width: int = 64,
        norm: str = "batch",
        spectral_norm: bool = False,
        head: str = "flatten",
        minibatch: str = "none",
        kernel: int = 4,
    ):
        super().__init__()
        check_counts(channels=channels, width=width)
        check_kernel(kernel)
        times = halvings(image_size)
        height, wide = (side >> times for side in pair(image_size))
        widths = [width * min(2**i, 8) for i in range(times)]
        layers = []
        for i, (before, after) in enumerate(zip([channels, *widths], widths, strict=False)):
            bare = i == 0 or norm == "none"
            layers += [nn.Conv2d(before, after, kernel, stride=2, padding=(kernel - 1) // 2, bias=bare)]
            layers += [] if bare else [norm2d(norm, after)]
            layers += [nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.shape = ([channels, *widths][-1], height, wide)  # of what the trunk makes of an image
        self.minibatch, more = minibatch_layer(minibatch, self.shape[0], height * wide)
        self.head = HEADS[head](self.shape[0] + more, height, wide) if head in HEADS else unknown_head(head)
        self.apply(dcgan_init)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor) -> Tensor:
        return in_float32(self.head, self.minibatch(self.trunk(image))).flatten()


HEADS = {
    "flatten": lambda channels, height, width: nn.Conv2d(channels, 1, (height, width)),
    "pool": lambda channels, height, width: nn.Sequential(SumPool(), nn.Linear(channels, 1)),
}


def check_kernel(kernel):
    if kernel < 3:
        raise ValueError(f"kernel={kernel} must be at least 3, so that strides of 2 leave no pixel out.")


def unknown_head(head):
    raise ValueError(f"head={head} is not known; choose one of {', '.join(HEADS)}.")
