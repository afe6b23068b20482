"""DCGAN's networks with a condition beside the input, or with a second head. Mirza and Osindero 2014 (1411.1784)."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from gan_lab.networks import dcgan
from gan_lab.networks.layers import MeanPool, add_spectral_norm, dcgan_init
from gan_lab.networks.precision import in_float32


class Generator(dcgan.Generator):
    """Latents [N, latent_dim] and conditions [N, num_conditions] to images: DCGAN's generator on both joined.

    With `embedding` a linear layer makes as many numbers of the condition first. `num_conditions` may be given as
    parts, which are summed.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        num_conditions: int | Sequence[int],
        embedding: int = 0,
        width: int = 64,
        norm: str = "batch",
        references: int = 64,
    ):
        numbers = total(num_conditions)
        super().__init__(latent_dim + (embedding or numbers), channels, image_size, width, norm, references)
        self.embed = nn.Linear(numbers, embedding) if embedding else nn.Identity()

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        return super().forward(torch.cat([latent, self.embed(condition.to(latent.dtype))], dim=1))


class Discriminator(dcgan.Discriminator):
    """Images [N, channels, height, width] and conditions [N, num_conditions] to raw scores [N].

    `conditioning` says how: as `planes` each number of a condition is one more channel, the same in all places; by
    `projection` the score gains the inner product of the condition's vector with the sum of the last maps (Miyato and
    Koyama 2018, arXiv 1802.05637, equation 3); or `both`. With `embedding` a linear layer makes as many numbers of the
    condition first. `blind` shows zeros in its stead, so that the critic cannot ask whether an image is what it was to
    be.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        num_conditions: int,
        conditioning: str = "planes",
        embedding: int = 0,
        width: int = 64,
        norm: str = "batch",
        spectral_norm: bool = False,
        head: str = "flatten",
        minibatch: str = "none",
        blind: bool = False,
    ):
        if conditioning not in WAYS:
            raise ValueError(f"conditioning={conditioning} is not known; choose one of {', '.join(WAYS)}.")
        beside, projected = WAYS[conditioning]
        numbers = embedding or num_conditions
        super().__init__(channels + numbers * beside, image_size, width, norm, False, head, minibatch)
        self.embed = nn.Linear(num_conditions, embedding) if embedding else nn.Identity()
        self.beside = Beside() if beside else First()
        self.projection = Projection(numbers, self.shape[0]) if projected else Nothing()
        self.seen, self.num_conditions = 0.0 if blind else 1.0, num_conditions
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        condition = self.embed(condition.to(image.dtype) * self.seen)
        x = self.trunk(self.beside(image, condition))
        score = in_float32(self.head, self.minibatch(x)).flatten()
        return score + in_float32(self.projection, x.sum(dim=(2, 3)), condition)


class TwoHeaded(dcgan.Discriminator):
    """Images [N, channels, height, width] to raw scores [N] and, of the same trunk, to what else it says, [N, outputs].

    The second head has one hidden layer of `hidden` units, or none where that is 0. Spectral norm is for the score
    alone. `outputs` may be given as parts, which are summed.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        outputs: int | Sequence[int],
        hidden: int = 128,
        width: int = 64,
        norm: str = "batch",
        spectral_norm: bool = False,
        head: str = "flatten",
        minibatch: str = "none",
    ):
        super().__init__(channels, image_size, width, norm, spectral_norm, head, minibatch)
        self.says, self.outputs = second_head(math.prod(self.shape), hidden, outputs), total(outputs)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(image)
        return in_float32(self.head, self.minibatch(x)).flatten(), in_float32(self.says, x)


class Classifier(dcgan.Discriminator):
    """Images [N, channels, height, width] to logits [N, num_classes]: DCGAN's trunk, dropout, and a linear layer.

    With `pool` the trunk ends with the means of the last maps over their places, [N, D], so that the classes are told
    apart, and features matched, by what is seen and not by where (as in the code of Salimans et al. 2016).
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        num_classes: int,
        width: int = 64,
        norm: str = "batch",
        spectral_norm: bool = False,
        dropout: float = 0.0,
        pool: bool = False,
    ):
        super().__init__(channels, image_size, width, norm)
        if pool:
            self.trunk.append(MeanPool())
            self.shape = self.shape[:1]
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(math.prod(self.shape), num_classes))
        self.head.apply(dcgan_init)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor) -> Tensor:
        return in_float32(self.head, self.trunk(image))


class OnCondition(nn.Module):
    """A layer that takes a condition beside its features."""

    def complaints(self, parts, network: str) -> Iterator[str]:
        """Where the game has no condition to hand it; `parts` is a `gan_lab.config.compat.Parts`."""
        trained = any(network in networks for networks in parts.game.players.values())
        if trained and not parts.game.conditions:
            yield (
                f"The {network} has num_conditions and this model is unconditional. "
                f"Set model.{network}.num_conditions=0."
            )


class ConditionalBatchNorm(OnCondition):
    """Batch norm whose scale and shift follow from the condition: maps [N, C, H, W], conditions [N, num_conditions].

    Miyato and Koyama 2018 (arXiv 1802.05637), section 4, after Dumoulin et al. 2017 (arXiv 1610.07629), equation 5:
    each class has its own. Of several attributes the scales' differences from 1 and the shifts add up.
    """

    def __init__(self, channels: int, num_conditions: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.weight = nn.Parameter(torch.zeros(num_conditions, channels))
        self.bias = nn.Parameter(torch.zeros(num_conditions, channels))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, shift = (in_float32(torch.matmul, condition, of)[..., None, None] for of in (self.weight, self.bias))
        return (self.norm(x) * (1 + gain) + shift).to(x.dtype)


class Projection(OnCondition):
    """Features [N, D] and conditions [N, num_conditions] to their inner product by way of one vector a condition, [N].

    Miyato and Koyama 2018 (arXiv 1802.05637), equation 3.
    """

    def __init__(self, num_conditions: int, features: int):
        super().__init__()
        self.vectors = nn.Linear(num_conditions, features, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return (self.vectors(condition.to(x.dtype)) * x).sum(dim=1)


class Beside(nn.Module):
    """Images with the numbers of a condition as further channels."""

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        return torch.cat([image, condition[:, :, None, None].expand(-1, -1, *image.shape[2:])], dim=1)


class First(nn.Module):
    """The image alone."""

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        return image


class Nothing(nn.Module):
    """No projection: zeros, [N]."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x.new_zeros(len(x))


WAYS = {"planes": (True, False), "projection": (False, True), "both": (True, True)}  # beside the image, projected


def second_head(features: int, hidden: int, outputs: int | Sequence[int]) -> nn.Module:
    """Maps of so many `features` to what else a critic says, by way of `hidden` units or, where that is 0, at once."""
    layers = [nn.Linear(features, hidden), nn.LeakyReLU(0.2)] if hidden else []
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(hidden or features, total(outputs))).apply(dcgan_init)


def total(parts: int | Sequence[int]) -> int:
    return parts if isinstance(parts, int) else sum(parts)
