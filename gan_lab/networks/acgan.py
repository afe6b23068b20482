"""The networks of ACGAN at 32 pixels. Odena et al. 2017 (arXiv 1610.09585), appendix A, table 2."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_lab.networks.batch_layers import minibatch_layer, reference_layers
from gan_lab.networks.conditional import second_head, total
from gan_lab.networks.dcgan import HEADS, unknown_head
from gan_lab.networks.layers import add_spectral_norm, check_counts, dcgan_init, halvings, norm2d, pair
from gan_lab.networks.precision import in_float32


class Generator(nn.Module):
    """Latents [N, latent_dim] and conditions [N, num_conditions] to images [N, channels, height, width] in [-1, 1].

    A linear layer, which has no norm behind it, makes a map of 4 to 7 pixels a side of both joined; transposed
    convolutions of 5 x 5 double it until it is an image. `width` counts the channels before the last layer; they double
    with every halving of the size: 384, 192 and 96 at 32 pixels. With `embedding` a linear layer makes as many numbers
    of the condition first. `norm: virtual` refers to a batch of `references` latents that is drawn once.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        num_conditions: int | Sequence[int],
        embedding: int = 0,
        width: int = 96,
        norm: str = "batch",
        references: int = 64,
    ):
        super().__init__()
        numbers = total(num_conditions)
        check_counts(latent_dim=latent_dim, channels=channels, width=width, references=references)
        times = halvings(image_size)
        height, wide = (side >> times for side in pair(image_size))
        widths = [width * 2**i for i in reversed(range(times))] or [width]
        inputs = latent_dim + (embedding or numbers)
        self.embed = nn.Linear(numbers, embedding) if embedding else nn.Identity()

        # Project both to the smallest map
        self.project = nn.Linear(inputs, widths[0] * height * wide)
        self.start = nn.Sequential(nn.Unflatten(1, (widths[0], height, wide)), nn.ReLU())

        # Double the map until it is an image
        doubles = {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}
        layers = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.ConvTranspose2d(before, after, **doubles), norm2d(norm, after, references), nn.ReLU()]
        last = nn.ConvTranspose2d(widths[-1], channels, **doubles)
        self.grow = nn.Sequential(*layers, last if times else nn.Conv2d(width, channels, 5, padding=2), nn.Tanh())
        self.refer, self.forget = reference_layers(norm, references, inputs)
        self.apply(dcgan_init)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        x = torch.cat([latent, self.embed(condition.to(latent.dtype))], dim=1)
        return self.forget(self.grow(self.start(self.project(self.refer(x)))))


class Discriminator(nn.Module):
    """Images [N, channels, height, width] to raw scores [N] and, of the same trunk, to what else it says, [N, outputs].

    `trunk`: for each halving of the size, until its shorter side is 4 to 7 pixels, two convolutions of 3 x 3 with
    strides 2 and 1, each with `dropout` behind it and a norm but the first; the channels double with each, from `width`
    on: 16 to 512 at 32 pixels. `head`, `minibatch`, `hidden` and `spectral_norm` as in `conditional.TwoHeaded`.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        outputs: int | Sequence[int],
        hidden: int = 0,
        width: int = 16,
        norm: str = "batch",
        spectral_norm: bool = False,
        head: str = "flatten",
        minibatch: str = "none",
        dropout: float = 0.5,
    ):
        super().__init__()
        check_counts(channels=channels, width=width)
        times = halvings(image_size)
        height, wide = (side >> times for side in pair(image_size))
        widths = [channels, *(width * 2**i for i in range(2 * times))]
        layers = []
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.Conv2d(before, after, 3, stride=1 + (i % 2 == 0), padding=1)]
            layers += [norm2d(norm, after)] if i else []
            layers += [nn.LeakyReLU(0.2), nn.Dropout(dropout)]
        self.trunk = nn.Sequential(*layers)
        self.shape = (widths[-1], height, wide)  # of what the trunk makes of an image
        self.minibatch, more = minibatch_layer(minibatch, widths[-1], height * wide)
        self.head = HEADS[head](widths[-1] + more, height, wide) if head in HEADS else unknown_head(head)
        self.apply(dcgan_init)
        if spectral_norm:
            add_spectral_norm(self)
        self.says, self.outputs = second_head(math.prod(self.shape), hidden, outputs), total(outputs)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(image)
        return in_float32(self.head, self.minibatch(x)).flatten(), in_float32(self.says, x)
