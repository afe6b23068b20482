"""Mean and covariance of features that come in chunks, in float64."""

import torch
from torch import Tensor

from gan_lab.errors import DataError


class Moments:
    """The first two moments of features [N, D], added up chunk by chunk.

    Chunks are joined by their own means (Chan et al. 1979, eq. 2.1), so that nothing is lost to a large mean.
    """

    def __init__(self, dim: int):
        self.count = 0
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self.scatter = torch.zeros(dim, dim, dtype=torch.float64)  # sum of (x - mean)(x - mean)^T

    def add(self, features: Tensor) -> "Moments":
        """Join the features [n, D] of more samples."""
        features = features.double().cpu()
        count, mean = self.count + len(features), features.mean(dim=0)
        centred, apart = features - mean, mean - self.mean
        self.scatter += centred.T @ centred + torch.outer(apart, apart) * (self.count * len(features) / count)
        self.mean += apart * (len(features) / count)
        self.count = count
        return self

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance [D, D]; DataError for fewer than two samples."""
        if self.count < 2:
            raise DataError(f"A covariance needs two samples or more, and there are {self.count}: give more with n=...")
        return self.scatter / (self.count - 1)
