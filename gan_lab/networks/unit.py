"""UNIT's networks: encoders that end, and decoders and critics that begin or end, in layers that two domains share.

Liu et al. 2017 (arXiv 1703.00848), official code (mingyuliutw/UNIT, branch version_02): of its two kinds, one has maps
as codes, for photos, the other a vector, for digits. Codes [N, C, h, w] of both are Gaussian.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_lab.networks.layers import add_spectral_norm, check_counts, halvings, norm2d, pair
from gan_lab.networks.precision import in_float32
from gan_lab.networks.stacks import CoupledCritic, Stacks, check_shared
from gan_lab.networks.translator import check_sides

SLOPE = 0.01  # of what lies below 0, as PyTorch has it


class Encoder(nn.Module):
    """Pictures by their domain, source=[N, source_channels, H, W] and image=[N, channels, H, W], or one of the two.

    To means and deviations of codes, each [sum of N, 2^halvings * width, h, w], one domain after the other. A 7 x 7
    convolution, `halvings` of the size and `blocks` residual blocks; deviations are 1. The last `shared` layers are one
    for both domains; null: all but the first. `norm` is that of the blocks.
    """

    def __init__(
        self,
        channels: int,
        source_channels: int,
        image_size: int | list[int],
        width: int = 64,
        halvings: int = 2,
        blocks: int = 4,
        norm: str = "instance",
        shared: int | None = 1,
    ):
        super().__init__()
        given = {"source": source_channels, "image": channels}
        check_counts(
            width=width, halvings=halvings + 1, blocks=blocks + 1, **{f"{n}_channels": given[n] for n in given}
        )
        self.multiple = 2**halvings  # both sides of what it takes are multiples of this
        check_sides(image_size, self.multiple)
        widths = [width * 2**i for i in range(halvings + 1)]

        def stack(channels: int) -> list[nn.Module]:
            layers = [nn.Sequential(nn.Conv2d(channels, width, 7, padding=3), nn.LeakyReLU(SLOPE))]
            for before, after in pairwise(widths):
                halve = nn.Conv2d(before, after, 3, stride=2, padding=1)
                layers.append(nn.Sequential(halve, nn.LeakyReLU(SLOPE)))
            return [*layers, *(Block(widths[-1], norm) for _ in range(blocks))]

        shared = check_shared(shared, 1 + halvings + blocks, "last", "encoder")
        self.stacks = Stacks({name: stack(count) for name, count in given.items()}, shared, "last")
        self.apply(narrow)

    def forward(self, **pictures: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.stacks.joined(pictures)
        return mean, torch.ones_like(mean)


class Decoder(nn.Module):
    """Codes [N, 2^halvings * width, h, w] to pictures [N, C, H, W] in [-1, 1] of each of the `domains` that are named.

    `blocks` residual blocks, `halvings` doublings and a convolution of 1 x 1. The first `shared` layers are one for
    both domains; null: all but the last.
    """

    def __init__(
        self,
        channels: int,
        source_channels: int,
        width: int = 64,
        halvings: int = 2,
        blocks: int = 4,
        norm: str = "instance",
        shared: int | None = 1,
    ):
        super().__init__()
        widths = [width * 2**i for i in reversed(range(halvings + 1))]

        def stack(channels: int) -> list[nn.Module]:
            layers = [Block(widths[0], norm) for _ in range(blocks)]
            for before, after in pairwise(widths):
                double = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1)
                layers.append(nn.Sequential(double, nn.LeakyReLU(SLOPE)))
            return [*layers, nn.Sequential(nn.Conv2d(width, channels, 1), nn.Tanh())]

        shared = check_shared(shared, 1 + halvings + blocks, "first", "decoder")
        self.stacks = Stacks({"source": stack(source_channels), "image": stack(channels)}, shared, "first")
        self.apply(narrow)

    def forward(self, code: Tensor, *domains: str) -> tuple[Tensor, ...]:
        return self.stacks.each(code, domains)


class Block(nn.Module):
    """x + two convolutions of x, [N, C, H, W], with norms that have neither scale nor shift if of an instance."""

    def __init__(self, channels: int, norm: str):
        super().__init__()
        plain = lambda: nn.InstanceNorm2d(channels) if norm == "instance" else norm2d(norm, channels)
        convolution = lambda: nn.Conv2d(channels, channels, 3, padding=1)
        self.layers = nn.Sequential(convolution(), plain(), nn.ReLU(), convolution(), plain())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class VectorEncoder(nn.Module):
    """As `Encoder`, with codes of one place, [sum of N, 2^k * width, 1, 1], and deviations that are learned.

    Convolutions of 5 x 5 halve pictures until a side is 8 to 14 pixels, one looks at all that is left, and one more
    layer leads to means and deviations; k is how often a picture can be halved down to 4 to 7 pixels. With
    `coordinates` it is told where each pixel lies. Its norms have a scale, which those of the official code lack.
    """

    def __init__(
        self,
        channels: int,
        source_channels: int,
        image_size: int | list[int],
        width: int = 32,
        norm: str = "batch",
        shared: int | None = None,
        coordinates: bool = True,
    ):
        super().__init__()
        given = {"source": source_channels, "image": channels}
        check_counts(width=width, **{f"{name}_channels": count for name, count in given.items()})
        self.takes = pair(image_size)  # the only size of what it takes
        times, widths = halvings(image_size), [width * 2**i for i in range(halvings(image_size) + 1)]
        sides = tuple(side >> max(0, times - 1) for side in self.takes)
        places = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in self.takes), indexing="ij")
        self.register_buffer("places", torch.stack(places)[: 2 * coordinates], persistent=False)  # [2 or 0, H, W]
        bare = norm == "none"

        def layer(before: int, after: int, kernel: int | tuple[int, int], **words) -> nn.Module:
            parts = nn.Conv2d(before, after, kernel, bias=bare, **words), norm2d(norm, after), nn.LeakyReLU(SLOPE)
            return nn.Sequential(*parts)

        def stack(channels: int) -> list[nn.Module]:
            sizes = [channels + 2 * coordinates, *widths[: max(0, times - 1)]]
            layers = [layer(before, after, 5, stride=2, padding=2) for before, after in pairwise(sizes)]
            layers += [layer(sizes[-1], widths[max(0, times - 1)], sides)]
            return [*layers, layer(widths[max(0, times - 1)], widths[-1], 1)]

        stacks = {name: stack(count) for name, count in given.items()}
        shared = check_shared(shared, len(stacks["image"]), "last", "encoder")
        self.stacks = Stacks(stacks, shared, "last")
        self.mean, self.deviation = (nn.Conv2d(widths[-1], widths[-1], 1) for _ in range(2))
        self.apply(narrow)
        for last in (self.mean, self.deviation):
            nn.init.normal_(last.weight, std=0.002)

    def forward(self, **pictures: Tensor) -> tuple[Tensor, Tensor]:
        for domain, x in pictures.items():
            if x.shape[2:] != self.takes:
                raise ValueError(
                    f"pictures ({domain}) of {tuple(x.shape[2:])} pixels; this encoder takes {self.takes}."
                )
        told = {name: torch.cat([x, self.places.to(x).expand(len(x), -1, -1, -1)], 1) for name, x in pictures.items()}
        x = self.stacks.joined(told)
        return in_float32(self.mean, x), softplus(in_float32(self.deviation, x))


class VectorDecoder(nn.Module):
    """As `Decoder`, of codes of one place: transposed convolutions of 4 x 4 and one of 1 x 1.

    The last two are one layer.
    """

    def __init__(
        self,
        channels: int,
        source_channels: int,
        image_size: int | list[int],
        width: int = 32,
        norm: str = "batch",
        shared: int | None = None,
    ):
        super().__init__()
        times = halvings(image_size)
        widths = [width * 2**i for i in reversed(range(times + 1))]
        bare = norm == "none"

        def stack(channels: int) -> list[nn.Module]:
            start = nn.ConvTranspose2d(
                widths[0], widths[0], tuple(side >> times for side in pair(image_size)), bias=bare
            )
            doubles = [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=bare) for a, b in pairwise(widths)]
            layers = [nn.Sequential(up, norm2d(norm, up.out_channels), nn.LeakyReLU(SLOPE)) for up in (start, *doubles)]
            return [*layers[:-1], nn.Sequential(*layers[-1], nn.Conv2d(width, channels, 1), nn.Tanh())]

        shared = check_shared(shared, times + 1, "first", "decoder")
        self.stacks = Stacks({"source": stack(source_channels), "image": stack(channels)}, shared, "first")
        self.apply(narrow)

    def forward(self, code: Tensor, *domains: str) -> tuple[Tensor, ...]:
        return self.stacks.each(code, domains)


class Discriminator(CoupledCritic):
    """Pictures of one `domain`, [N, C, H, W], to maps of raw scores [N, 1, h, w].

    A 7 x 7 convolution and `layers` - 1 of 3 x 3, which all halve the picture and of which each has twice the channels
    of the one before, and a score; `layers` of null: until a side has 2 to 4 pixels. The last `shared` layers, the
    score among them, are one for both domains; null: all but the first. `source_channels`: null for as many as
    `channels`.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        source_channels: int | None = None,
        width: int = 64,
        layers: int | None = None,
        shared: int | None = None,
        spectral_norm: bool = False,
    ):
        super().__init__()
        self.given = {"source": channels if source_channels is None else source_channels, "image": channels}
        layers = halvings(image_size) + 1 if layers is None else layers
        check_counts(width=width, layers=layers, **{f"{name}_channels": count for name, count in self.given.items()})
        widths = [width * 2**i for i in range(layers)]

        def stack(channels: int) -> list[nn.Module]:
            first = nn.Sequential(nn.Conv2d(channels, width, 7, stride=2, padding=3), nn.LeakyReLU(SLOPE))
            halve = [nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(widths)]
            return [first, *(nn.Sequential(each, nn.LeakyReLU(SLOPE)) for each in halve)]

        stacks = {name: stack(count) for name, count in self.given.items()}
        shared = check_shared(shared, layers + 1, "last", "discriminator")
        self.trunk = Stacks(stacks, max(0, shared - 1), "last")
        self.head = Stacks({name: [nn.Conv2d(widths[-1], 1, 1)] for name in stacks}, min(1, shared), "last")
        self.apply(narrow)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor, domain: str = "image") -> Tensor:
        return in_float32(lambda x: self.head(x, domain), self.trunk(image, domain))


def narrow(module: nn.Module) -> None:
    """Weights of convolutions from N(0, 0.02), biases as PyTorch's: the official code's; for `Module.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
