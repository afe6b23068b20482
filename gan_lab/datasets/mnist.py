"""MNIST and the sets that took over its files: IDX, plain or gzipped, in torchvision's folders."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gan_lab.datasets.base import Stored, check_choice, check_fact
from gan_lab.datasets.download import download_file
from gan_lab.errors import DataError


class MNIST(Stored):
    """Grey pictures of 28 x 28 pixels in ten classes, read from `<root>/<name>/raw`."""

    def __init__(
        self,
        name: Literal["MNIST", "FashionMNIST"] = "MNIST",
        root: str = "data",
        split: Literal["train", "test"] = "train",
        download: bool = True,
        channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
    ):
        check_choice("name", name, tuple(CLASSES))
        check_choice("split", split, ("train", "test"))
        check_fact("channels", channels, 1)
        check_fact("num_classes", num_classes, 10)
        folder = Path(root).expanduser() / name / "raw"
        prefix = "train" if split == "train" else "t10k"
        files = [find(folder, f"{prefix}-{kind}-ubyte", name, download) for kind in ("images-idx3", "labels-idx1")]
        pixels, labels = read_idx(files[0], dims=3), read_idx(files[1], dims=1).long()
        if len(pixels) != len(labels):
            raise DataError(f"{files[0]} holds {len(pixels)} images, but {files[1]} {len(labels)} labels.")
        if len(labels) == 0 or labels.max() >= num_classes:
            raise DataError(f"{files[1]} must hold labels from 0 to {num_classes - 1}.")
        super().__init__(pixels[..., None], image_size, labels, CLASSES[name])


CLASSES = {
    "MNIST": [str(digit) for digit in range(10)],
    "FashionMNIST": ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"],
}


def find(folder: Path, file: str, name: str, may_download: bool) -> Path:
    """The path of one IDX file, plain or gzipped, downloaded when there is neither."""
    plain, packed = folder / file, folder / f"{file}.gz"
    for path in (plain, packed):
        if path.is_file():
            return path
    remedy = (
        f"Place {file} or {file}.gz in {folder}, or set dataset.root to the folder that holds {name}/raw "
        f"(dataset.root is now {folder.parent.parent})."
    )
    if not may_download:
        raise DataError(f"{plain} is missing, also as .gz, and dataset.download is false.\n{remedy}")
    import torchvision.datasets  # 2 s; only for its list of addresses

    source = getattr(torchvision.datasets, name)
    md5 = dict(source.resources)[packed.name]
    download_file(packed, [f"{mirror}{packed.name}" for mirror in source.mirrors], md5, remedy)
    return packed


def read_idx(path: Path, dims: int) -> Tensor:
    """An IDX file of bytes: two zeros, 8 (uint8), the number of dimensions, each as four bytes, then the values."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}). Remove it, and it is downloaded anew.") from error
    start = 4 + 4 * dims
    if data[:4] != bytes((0, 0, 8, dims)) or len(data) < start:
        raise DataError(f"{path} is no IDX file of bytes in {dims} dimensions: it begins with {data[:4].hex(' ')}.")
    shape = np.frombuffer(data, ">u4", count=dims, offset=4).tolist()
    if len(data) != start + math.prod(shape):
        raise DataError(
            f"{path} announces {shape} values, {start + math.prod(shape)} bytes, but has {len(data)} bytes."
        )
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy())
