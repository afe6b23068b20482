"""Street View House Numbers: MATLAB files of cropped digits."""

from pathlib import Path
from typing import Literal

import torch

from gan_lab.datasets.base import Stored, check_choice, check_fact
from gan_lab.datasets.download import download_file
from gan_lab.errors import DataError, MissingDataError


class SVHN(Stored):
    """Colour pictures of 32 x 32 pixels with a digit in the middle, from `<root>/<split>_32x32.mat`.

    Netzer et al. 2011, Reading digits in natural images with unsupervised feature learning.
    """

    def __init__(
        self,
        root: str = "data",
        split: Literal["train", "test", "extra"] = "train",
        download: bool = True,
        channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
    ):
        check_choice("split", split, ("train", "test", "extra"))
        check_fact("channels", channels, 3)
        check_fact("num_classes", num_classes, 10)
        path = Path(root).expanduser() / f"{split}_32x32.mat"
        if not path.is_file():
            fetch(path, split, download)
        pixels, labels = read_mat(path)
        super().__init__(pixels, image_size, labels % 10, [str(digit) for digit in range(10)])  # 10 stands for 0


def read_mat(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures uint8 [N, 32, 32, 3] and their labels, int64 from 1 to 10."""
    import scipy.io  # 0.3 s

    try:
        content = scipy.io.loadmat(path, variable_names=["X", "y"])
        pixels, labels = torch.from_numpy(content["X"]), torch.from_numpy(content["y"]).flatten().long()
    except Exception as error:  # a damaged file raises almost anything
        raise DataError(
            f"{path} is no file of SVHN ({type(error).__name__}: {error}). Remove it, and it is downloaded anew."
        ) from error
    if pixels.dtype != torch.uint8 or pixels.shape != (32, 32, 3, len(labels)):
        raise DataError(
            f"{path} must hold bytes [32, 32, 3, N] and N labels, but has {list(pixels.shape)} and {len(labels)}."
        )
    if not (len(labels) and labels.min() >= 1 and labels.max() <= 10):
        raise DataError(f"{path} must hold labels from 1 to 10.")
    return pixels.permute(3, 0, 1, 2).contiguous(), labels


def fetch(path: Path, split: str, may_download: bool) -> None:
    remedy = f"Place {path.name} in {path.parent}, or set dataset.root to the folder that holds it."
    if not may_download:
        raise MissingDataError(f"{path} is missing, and dataset.download is false.\n{remedy}")
    import torchvision.datasets  # 2 s; only for its address

    address, _, md5 = torchvision.datasets.SVHN.split_list[split]
    download_file(path, [address], md5, remedy)
