"""Where real samples come from; one class for each kind of source, one YAML of `conf/dataset` for each name."""

from gan_lab.datasets.base import Dataset
from gan_lab.datasets.cifar import CIFAR
from gan_lab.datasets.digits import Digits
from gan_lab.datasets.folder import Folder
from gan_lab.datasets.mnist import MNIST
from gan_lab.datasets.points import Gaussian1D, GaussianMixture

__all__ = ["CIFAR", "MNIST", "Dataset", "Digits", "Folder", "Gaussian1D", "GaussianMixture"]
