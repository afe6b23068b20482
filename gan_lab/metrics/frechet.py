"""The distance of two Gaussians that have the moments of two sets of features: what FID is made of."""

import torch
from torch import Tensor

from gan_lab.metrics.moments import Moments


def frechet_distance(real: Moments, fake: Moments) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2), in float64. Heusel et al. 2017 (arXiv 1706.08500), eq. 6.

    S1 S2 has the eigenvalues of the symmetric A^T S2 A for any A with A A^T = S1, which costs a tenth of the usual
    square root. Raises DataError where a covariance cannot be had.
    """
    first, second = real.covariance, fake.covariance
    root = factor(first, full_rank=real.count > len(first))
    middle = root.T @ second @ root
    overlap = torch.linalg.eigvalsh((middle + middle.T) / 2).clamp(min=0).sqrt().sum()
    apart = real.mean - fake.mean
    return float(apart @ apart + first.trace() + second.trace() - 2 * overlap)


def factor(covariance: Tensor, full_rank: bool) -> Tensor:
    """A with A A^T = covariance: by Cholesky, or by eigenvectors where some direction has no variance."""
    if full_rank:
        triangle, failed = torch.linalg.cholesky_ex(covariance)
        if not failed:
            return triangle
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()
