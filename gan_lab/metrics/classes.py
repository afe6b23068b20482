"""Figures of what a classifier says of samples: how sure it is, which classes it finds, how even they are."""

import torch
from torch import Tensor

from gan_lab.errors import DataError


class Classes:
    """What a classifier said of samples that come in chunks, added up in float64."""

    def __init__(self, num_classes: int):
        self.count = 0
        self.mass = torch.zeros(num_classes, dtype=torch.float64)  # sum of p(y | x)
        self.hits = torch.zeros(num_classes, dtype=torch.float64)  # how often a class was the likeliest
        self.certainty = torch.zeros((), dtype=torch.float64)  # sum of sum_y p log p

    def add(self, probabilities: Tensor) -> "Classes":
        """Join the class probabilities [n, K] of more samples."""
        p = probabilities.double().cpu()
        self.count += len(p)
        self.mass += p.sum(dim=0)
        self.hits += torch.bincount(p.argmax(dim=1), minlength=len(self.mass))
        self.certainty += torch.xlogy(p, p).sum()
        return self

    @property
    def score(self) -> float:
        """exp(E KL(p(y | x) || p(y))), between 1 and K. Salimans et al. 2016 (arXiv 1606.03498), section 4."""
        if not self.count:
            raise DataError("A score needs samples, and there are none.")
        mean = self.mass / self.count
        return float((self.certainty / self.count - torch.xlogy(mean, mean).sum()).exp())

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
    said, values = probabilities.argmax(dim=1).cpu(), values.cpu()
    table = torch.zeros(int(values.max()) + 1, probabilities.shape[1])
    table.index_put_((values, said), torch.ones(len(said)), accumulate=True)  # [values, K]
    most, which = table.max(dim=1)
    return float(most.sum() / len(said)), len(which[most > 0].unique())
