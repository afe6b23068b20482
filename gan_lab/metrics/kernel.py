"""The squared maximum mean discrepancy with a cubic kernel: what KID is made of."""

import torch
from torch import Tensor

from gan_lab.errors import DataError

CHUNK = 128  # rows of a kernel matrix at a time


def kernel_distance(real: Tensor, fake: Tensor) -> float:
    """The unbiased estimate over all of real [N, D] and fake [M, D]; it may fall a little below zero.

    Kernel (x . y / D + 1)^3, in float64. Binkowski et al. 2018 (arXiv 1801.01401), eq. 4 and section 4.
    Raises DataError for fewer than two samples on either side.
    """
    n, m = len(real), len(fake)
    if min(n, m) < 2:
        raise DataError(f"A kernel distance needs two samples a side, and there are {n} real and {m} generated.")
    real, fake = real.double(), fake.double()
    within = (kernel_sum(real, real) - diagonal_sum(real)) / (n * (n - 1))
    within += (kernel_sum(fake, fake) - diagonal_sum(fake)) / (m * (m - 1))
    return float(within - 2 * kernel_sum(real, fake) / (n * m))


def kernel_deviation(real: Tensor, fake: Tensor, subsets: int = 50, size: int = 1000, seed: int = 0) -> float:
    """The standard deviation of the estimate over random subsets, of at most `size` and half of the samples each."""
    size = min(size, len(real) // 2, len(fake) // 2)
    generator = torch.Generator().manual_seed(seed)
    chosen = lambda x: x[torch.randperm(len(x), generator=generator)[:size]]
    estimates = [kernel_distance(chosen(real), chosen(fake)) for _ in range(subsets)]
    return float(torch.tensor(estimates, dtype=torch.float64).std())


def kernel_sum(x: Tensor, y: Tensor) -> Tensor:
    """The kernel over all pairs, in slices that stay in the processor's cache."""
    sums = []
    for part in x.split(CHUNK):
        base = (part @ y.T).div_(x.shape[1]).add_(1).flatten()
        sums.append((base * base) @ base)
    return torch.stack(sums).sum()


def diagonal_sum(x: Tensor) -> Tensor:
    """The kernel of each sample with itself, summed."""
    return (x.square().sum(dim=1) / x.shape[1] + 1).pow(3).sum()
