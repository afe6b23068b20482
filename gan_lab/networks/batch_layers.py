"""Layers that look beyond one sample: across its batch, or at a reference batch.

A layer whose output for one sample depends on the others of its batch says so: `couples_batch = True`.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gan_lab.networks.precision import in_float32

MINIBATCH = ("none", "discrimination", "stddev")


class MinibatchDiscrimination(nn.Module):
    """How close each sample lies to the others, beside its features: [N, C, ...] to [N, C + kernels, ...].

    A tensor T maps the flattened features to `kernels` rows of `dims` numbers; for each row, exp(-L1 distance) is
    summed over the other samples of the batch. On maps the sums fill whole planes. Salimans et al. 2016 (arXiv
    1606.03498), section 3.2; 100 rows of 5 are those of its code. There the columns of T have lengths of their own to
    learn, 1 before training, when each row is divided by half of what the samples of a first batch are away from the
    nearest other one, so that the nearest are 2 away on average. Here no batch is looked at: the columns begin with a
    length of about 10, by which the nearest are 1 away in a fresh perceptron, less in convolutions without batch norm
    and more with it. Memory and time grow with N^2; there is no second derivative.
    """

    couples_batch = True

    def complaints(self, parts, network: str) -> Iterator[str]:
        """Where a penalty needs each sample's own score; `parts` is a `gan_lab.config.compat.Parts`."""
        for name, penalty in parts.game.objective.penalties.items():
            if penalty.per_sample and penalty.at == "judge":
                yield (
                    f"The loss penalises the gradient of each sample ({name}), which minibatch discrimination in the "
                    f"{network} mixes. Set model.{network}.minibatch=none, or stddev, which mixes little."
                )

    def __init__(self, features: int, kernels: int = 100, dims: int = 5):
        super().__init__()
        self.kernels = kernels
        columns = torch.randn(features, kernels * dims) * 10 / math.sqrt(features)
        self.tensor = nn.Parameter(columns)  # no layer, so that spectral norm and initial weights leave it alone

    def forward(self, x: Tensor) -> Tensor:
        rows = in_float32(torch.matmul, x.flatten(1), self.tensor)
        rows = rows.unflatten(1, (self.kernels, -1)).transpose(0, 1)  # [kernels, N, dims]
        distance = torch.cdist(rows, rows, p=1.0)  # [kernels, N, N]
        return beside(x, ((-distance).exp().sum(dim=2) - 1).t())  # without the sample itself


class MinibatchStddev(nn.Module):
    """How much the features vary within a group of samples, beside them: [N, C, ...] to [N, C + 1, ...].

    The standard deviation of each feature at each place over the group, averaged to one number. Karras et al. 2018
    (arXiv 1710.10196), section 3, with the groups of its code; where `group_size` does not divide the batch, the next
    larger number that does is taken.
    """

    couples_batch = True

    def __init__(self, group_size: int = 4):
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        size = next(g for g in range(min(self.group_size, n), n + 1) if n % g == 0)
        full = x.to(torch.promote_types(x.dtype, torch.float32))  # a variance below 1e-8 is none in float16
        groups = full.reshape(size, n // size, -1)  # [size, groups, features]
        spread = (groups.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=1)  # [groups]
        return beside(x, spread.repeat(size)[:, None])


class VirtualBatchNorm(nn.Module):
    """Each row of [R + N, C, ...] normalised by the statistics of R reference rows and of itself.

    The first `references` rows are the reference batch, which is normalised by itself; each other row counts as one in
    R + 1. Salimans et al. 2016 (arXiv 1606.03498), section 3.5; the share is that of its code.
    """

    def __init__(self, channels: int, references: int, eps: float = 1e-5):
        super().__init__()
        self.references, self.eps = references, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.to(self.weight.dtype).reshape(len(x), len(self.weight), -1)  # [R + N, C, places]
        reference, own = rows[: self.references], rows[self.references :]
        var, mean = torch.var_mean(reference, dim=(0, 2), correction=0, keepdim=True)  # [1, C, 1]
        own_var, own_mean = torch.var_mean(own, dim=2, correction=0, keepdim=True)  # [N, C, 1]

        # Join a row's statistics to the reference's
        share = 1 / (self.references + 1)
        apart = (own_mean - mean).square()
        joint_mean = torch.lerp(mean, own_mean, share)
        joint_var = torch.lerp(var, own_var, share) + share * (1 - share) * apart

        means = torch.cat([mean.expand(self.references, -1, -1), joint_mean])
        variances = torch.cat([var.expand(self.references, -1, -1), joint_var])
        scale = self.weight[:, None] * (variances + self.eps).rsqrt()
        return ((rows - means) * scale + self.bias[:, None]).reshape(x.shape).to(x.dtype)


class References(nn.Module):
    """Latents [N, D] behind a reference batch that is drawn once, from N(0, 1): [R + N, D]."""

    def __init__(self, references: int, latent_dim: int):
        super().__init__()
        self.register_buffer("latents", torch.randn(references, latent_dim))

    def forward(self, latent: Tensor) -> Tensor:
        return torch.cat([self.latents, latent])


class Behind(nn.Module):
    """[R + N, ...] without its first R rows."""

    def __init__(self, references: int):
        super().__init__()
        self.references = references

    def forward(self, x: Tensor) -> Tensor:
        return x[self.references :]


def reference_layers(norm: str, references: int, latent_dim: int) -> tuple[nn.Module, nn.Module]:
    """What a generator does first and last: put reference latents before its own, and take their images away."""
    if norm == "virtual":
        return References(references, latent_dim), Behind(references)
    return nn.Identity(), nn.Identity()


def minibatch_layer(kind: str, channels: int, places: int = 1) -> tuple[nn.Module, int]:
    """The layer between a critic's trunk and head, none, discrimination or stddev, and how many channels it adds."""
    if kind not in MINIBATCH:
        raise ValueError(f"minibatch={kind} is not known; choose one of {', '.join(MINIBATCH)}.")
    if kind == "discrimination":
        layer = MinibatchDiscrimination(channels * places)
        return layer, layer.kernels
    if kind == "stddev":
        return MinibatchStddev(), 1
    return nn.Identity(), 0


def beside(x, more):
    """[N, C, ...] and [N, B] to [N, C + B, ...]: what is said of a whole sample stands at all of its places."""
    places = x.shape[2:]
    return torch.cat([x, more.view(*more.shape, *[1] * len(places)).expand(-1, -1, *places)], dim=1)
