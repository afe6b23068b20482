"""Figures of who lies near whom: precision and recall, density and coverage, nearest neighbours, diversity."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from gan_lab.errors import DataError

CHUNK = 1024  # rows of a table of distances that lie in memory at a time


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Shares of fakes [M, D] in the balls of real samples [N, D], and of real samples in those of fakes.

    A ball reaches to its centre's k-th neighbour. Kynkaanniemi et al. 2019 (arXiv 1904.06991), eq. 1 and 2.
    Raises DataError for k samples or fewer.
    """
    return inside(fake, real, radii(real, k, "real pictures")), inside(real, fake, radii(fake, k))


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """In how many real balls a fake lies, as a share of k, and the share of real balls that hold a fake.

    Naeem et al. 2020 (arXiv 2002.09797), eq. 4 and 7. Raises DataError for k samples or fewer.
    """
    reach, hits, covered = (
        radii(real, k, "real pictures"),
        0,
        torch.zeros(len(real), dtype=torch.bool, device=real.device),
    )
    for distances in table(fake, real):  # [chunk, N]
        within = distances <= reach
        hits += int(within.sum())
        covered |= within.any(dim=0)
    return hits / (k * len(fake)), float(covered.double().mean())


def nearest(samples: Tensor, others: Iterable[Tensor], k: int = 1, beyond: float = -1.0) -> tuple[Tensor, Tensor]:
    """For each of the samples [N, D] the distances to the k nearest of the others, and which ones these are, [N, k].

    The others come in chunks [n, D], of which one at a time is held. One that is no farther than `beyond` counts as the
    sample itself, and not as a neighbour. Raises DataError for fewer than k others.
    """
    count = 0
    far = torch.full((len(samples), k), torch.inf, dtype=torch.float64)
    which = torch.zeros(len(samples), k, dtype=torch.int64)
    for chunk in others:
        start = 0
        for distances in table(samples, chunk):  # [rows, n]
            rows = slice(start, start + len(distances))
            if beyond >= 0:
                distances[distances <= beyond] = torch.inf
            new = distances.topk(min(k, len(chunk)), largest=False)
            both = torch.cat([far[rows], new.values.cpu()], dim=1)
            far[rows], best = both.topk(k, largest=False)
            which[rows] = torch.cat([which[rows], new.indices.cpu() + count], dim=1).gather(1, best)
            start += len(distances)
        count += len(chunk)
    if count < k:
        raise DataError(f"The {k} nearest of {count} pictures were asked for, and there are no more.")
    return far, which


def diversity(samples: Tensor, pairs: int = 20_000, seed: int = 0) -> float:
    """The mean distance of two different samples of [N, D], over random pairs; DataError for fewer than two."""
    check_more_than(1, samples)
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(len(samples), (pairs,), generator=generator)
    second = (first + torch.randint(1, len(samples), (pairs,), generator=generator)) % len(samples)
    return float((samples[first].double() - samples[second].double()).norm(dim=1).mean())


def radii(points: Tensor, k: int, kind: str = "samples") -> Tensor:
    """The distance of each point to its k-th neighbour, itself not counted, [N]."""
    check_more_than(k, points, kind)
    return torch.cat([d.topk(k + 1, dim=1, largest=False, sorted=True).values[:, k] for d in table(points, points)])


def inside(points: Tensor, centres: Tensor, reach: Tensor) -> float:
    """The share of points that lie in some ball."""
    return float(torch.cat([(d <= reach).any(dim=1) for d in table(points, centres)]).double().mean())


def table(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Distances in float64, some rows at a time: [chunk, len(y)]."""
    y = y.double()
    for part in x.split(CHUNK):
        yield torch.cdist(part.double(), y, compute_mode="use_mm_for_euclid_dist")


def check_more_than(k: int, points: Tensor, kind: str = "samples") -> None:
    if len(points) <= k:
        remedy = "raise n=..." if kind == "samples" else "evaluation needs more data to compare with"
        raise DataError(f"A neighbourhood of {k} needs more than {k} {kind}, and there are {len(points)}: {remedy}.")
