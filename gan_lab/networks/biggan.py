"""BigGAN's networks: the residual ones, with the class in every block. Brock et al. 2019 (arXiv 1809.11096).

Appendix B, figure 15 and table 4; where paper and author's code (ajbrock/BigGAN-PyTorch) differ, as in the code.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gan_lab.networks import resnet
from gan_lab.networks.conditional import ConditionalBatchNorm, OnCondition
from gan_lab.networks.layers import add_spectral_norm, check_counts, halvings
from gan_lab.networks.precision import in_float32


class Generator(resnet.Generator):
    """Latents [N, latent_dim] and conditions [N, num_conditions] to images [N, channels, height, width] in [-1, 1].

    One embedding of `shared` numbers says the condition to all blocks; it has no spectral norm. With `chunks` the
    latent is cut into equal parts, one for the smallest map and one for each block. The norms of a block scale and
    shift by linear maps of its part and the embedding. With `shared: 0` they take the condition itself, and without
    `chunks` the whole latent makes the smallest map; with neither they are `conditional.ConditionalBatchNorm`.

    `width`, `growth`, `limit` and `attention` are those of `resnet.Generator`: 96, 2, 16 and [64] in the paper at 128
    pixels. `init`: orthogonal (the paper's), normal (deviation 0.02: the code's for CIFAR-10) or xavier.

    Raises ValueError where the latent does not divide into chunks.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        image_size: int | list[int],
        num_conditions: int,
        width: int = 64,
        growth: int = 2,
        limit: int = 16,
        shared: int = 128,
        chunks: bool = True,
        spectral_norm: bool = True,
        attention: Sequence[int] = (),
        init: str = "orthogonal",
    ):
        check_counts(latent_dim=latent_dim, num_conditions=num_conditions, shared=shared or 1)
        size, begin = chunk(latent_dim, halvings(image_size)) if chunks else 0, first_weights(init)
        super().__init__(size or latent_dim, channels, image_size, width, growth, limit, attention=attention)
        self.chunk = size

        # The norms of each block know the class and the block's part of the latent
        make_norm = LinearBatchNorm if shared or chunks else ConditionalBatchNorm
        for block in self.blocks:
            for name in ("norm1", "norm2"):
                norm = make_norm(getattr(block, name).num_features, (shared or num_conditions) + size)
                setattr(block, name, norm)
        self.apply(begin)
        if spectral_norm:
            add_spectral_norm(self)
        self.embed = Embedding(num_conditions, shared, begin) if shared and self.blocks else nn.Identity()

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        told = self.embed(condition)  # [N, shared]
        first, parts = latent, [latent[:, :0]] * len(self.blocks)
        if self.chunk:
            first, *parts = latent.split(self.chunk, dim=1)
        x = self.unflatten(self.project(first)).permute(0, 3, 1, 2)  # [N, C, h, w]
        for block, part in zip(self.blocks, parts, strict=True):
            x = block(x, torch.cat([part, told], dim=1))
        return self.to_image(self.finish(x))


class Discriminator(resnet.Discriminator):
    """Images [N, channels, height, width] and conditions [N, num_conditions] to raw scores [N], by projection.

    Both convolutions of a block have its new width, as in SAGAN's code and BigGAN's. `width`, `growth`, `limit`,
    `down_blocks`, `flat_blocks` and `attention` are those of `resnet.Discriminator`: 96, 2, 16, 5, 1 and [64] in the
    paper at 128 pixels. `minibatch` and `init` are as there, beside normal (deviation 0.02). `blind` shows zeros in
    place of conditions, so that the critic cannot ask whether an image is what it was to be.
    """

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        num_conditions: int,
        width: int = 64,
        growth: int = 2,
        limit: int = 16,
        down_blocks: int | None = None,
        flat_blocks: int = 1,
        spectral_norm: bool = True,
        attention: Sequence[int] = (),
        minibatch: str = "none",
        init: str = "orthogonal",
        blind: bool = False,
    ):
        check_counts(num_conditions=num_conditions)
        begin, words = first_weights(init), {"minibatch": minibatch, "num_conditions": num_conditions}
        sizes = (width, growth, limit, down_blocks, flat_blocks)
        super().__init__(channels, image_size, *sizes, attention=attention, **words)
        for block in (layer for layer in self.trunk if isinstance(layer, resnet.DownBlock)):
            before, after = block.conv1.in_channels, block.conv2.out_channels
            block.conv1 = nn.Conv2d(before, after, 3, padding=1)
            block.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.seen = 0.0 if blind else 1.0
        self.apply(begin)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        return super().forward(image, condition * self.seen)


class LinearBatchNorm(OnCondition):
    """Batch norm that scales by 1 + gain(told) and shifts by shift(told): maps [N, C, H, W], vectors [N, D].

    Both are linear maps without bias. Brock et al. 2019, appendix B and figure 15.
    """

    def __init__(self, channels: int, told: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(told, channels, bias=False)
        self.shift = nn.Linear(told, channels, bias=False)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        gain, shift = (in_float32(layer, told)[..., None, None] for layer in (self.gain, self.shift))
        return (self.norm(x) * (1 + gain) + shift).to(x.dtype)


class Embedding(OnCondition):
    """Conditions [N, num_conditions] to vectors [N, shared]: one vector a class, or the sum of those of attributes.

    A table and no layer, since spectral norm on it cripples the generator now and then (a comment of the code), and
    the orthogonal penalty leaves it out.
    """

    def __init__(self, num_conditions: int, shared: int, begin: Callable[[nn.Module], None]):
        super().__init__()
        self.vectors = nn.Linear(shared, num_conditions, bias=False).apply(begin).weight

    def forward(self, condition: Tensor) -> Tensor:
        return in_float32(torch.matmul, condition, self.vectors)


def chunk(latent_dim: int, blocks: int) -> int:
    """How many numbers of a latent each of so many blocks gets, and the smallest map."""
    parts = blocks + 1
    if latent_dim % parts:
        below = max(1, latent_dim // parts) * parts
        raise ValueError(
            f"latent_dim={latent_dim} does not divide into {parts} chunks, one for the smallest map and one for each "
            f"of {blocks} blocks. Set model.latent_dim={below} or {below + parts}."
        )
    return latent_dim // parts


def first_weights(init: str) -> Callable[[nn.Module], None]:
    """For `Module.apply`: weights by `init`; biases 0."""
    if init == "normal":
        return small_weights
    if init not in resnet.INITS:
        raise ValueError(f"init={init} is not known; choose one of {', '.join([*resnet.INITS, 'normal'])}.")
    return resnet.first_weights(init)


def small_weights(module: nn.Module) -> None:
    """Weights from N(0, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
