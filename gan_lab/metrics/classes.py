"""Figures of what a classifier says of samples: how sure it is, which classes it finds, how even they are."""

import torch
from torch import Tensor

from gan_lab.errors import DataError

LEAST = 100  # samples of a split; with fewer a score is taken over all samples at once


class Classes:
    """What a classifier said of samples that come in chunks, added up in float64.

    The score is a mean over `splits` of the samples, each of which has every `splits`-th one.
    """

    def __init__(self, num_classes: int, splits: int = 1):
        self.count = 0
        self.mass = torch.zeros(splits, num_classes, dtype=torch.float64)  # sums of p(y | x)
        self.hits = torch.zeros(num_classes, dtype=torch.float64)  # how often a class was the likeliest
        self.certainty = torch.zeros(splits, dtype=torch.float64)  # sums of sum_y p log p

    def add(self, probabilities: Tensor) -> "Classes":
        """Join the class probabilities [n, K] of more samples."""
        p = probabilities.double().cpu()
        split = torch.arange(self.count, self.count + len(p)) % len(self.mass)
        self.count += len(p)
        self.mass.index_add_(0, split, p)
        self.hits += torch.bincount(p.argmax(dim=1), minlength=len(self.hits))
        self.certainty.index_add_(0, split, torch.xlogy(p, p).sum(dim=1))
        return self

    @property
    def splits(self) -> int:
        """Over how many splits the score is a mean: one where they would have fewer than LEAST samples."""
        return len(self.mass) if self.count >= LEAST * len(self.mass) else 1

    @property
    def score(self) -> float:
        """exp(E KL(p(y | x) || p(y))), between 1 and K. Salimans et al. 2016 (arXiv 1606.03498), section 4 and code."""
        if not self.count:
            raise DataError("A score needs samples, and there are none.")
        parts = self.splits
        counts = torch.tensor([len(range(i, self.count, parts)) for i in range(parts)])
        mass, certainty = (x if parts > 1 else x.sum(dim=0, keepdim=True) for x in (self.mass, self.certainty))
        mean = mass / counts[:, None]
        return float((certainty / counts - torch.xlogy(mean, mean).sum(dim=1)).exp().mean())

    @property
    def shares(self) -> Tensor:
        """The share of each class, by the likeliest one of each sample, [K]."""
        return self.hits / self.count

    @property
    def found(self) -> int:
        """How many classes are the likeliest one of some sample: the modes of a stacked set."""
        return int((self.hits > 0).sum())

    def reverse_kl(self, real: Tensor) -> float:
        """KL(generated || real) of the classes' shares, in nats; `real` are counts [K].

        Metz et al. 2017 (arXiv 1611.02163), section 3.3.1. A class that no real sample has counts as half a sample.
        """
        real = real.double().clamp(min=0.5)
        p = self.shares
        return float((torch.xlogy(p, p) - torch.xlogy(p, real / real.sum())).sum())


def label_accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """The share of conditional samples that a classifier, [N, K], puts into the class that was asked for, [N]."""
    if len(probabilities) != len(labels):
        raise DataError(f"There are {len(labels)} labels for {len(probabilities)} samples.")
    return float((probabilities.argmax(dim=1).cpu() == labels.cpu()).double().mean())


def purity(probabilities: Tensor, values: Tensor) -> tuple[float, int]:
    """How well values [N] of a code stand for classes of samples, judged as [N, K].

    The share of samples that are of the class that is the most frequent one for their value; and how many classes are
    that for some value.
    """
    predicted, values = probabilities.argmax(dim=1).cpu(), values.cpu()
    table = torch.zeros(int(values.max()) + 1, probabilities.shape[1])
    table.index_put_((values, predicted), torch.ones(len(predicted)), accumulate=True)  # [values, K]
    most, which = table.max(dim=1)
    return float(most.sum() / len(predicted)), len(which[most > 0].unique())
