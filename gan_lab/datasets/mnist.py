"""MNIST and the sets that took over its files: IDX, plain or gzipped, in torchvision's folders."""

import gzip
import math
import string
import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gan_lab.datasets.base import Stored, check_choice, check_fact
from gan_lab.datasets.download import download_file
from gan_lab.errors import DataError, MissingDataError


class MNIST(Stored):
    """Grey pictures of 28 x 28 pixels in ten classes, read from `<root>/<name>/raw`."""

    def __init__(
        self,
        name: Literal["MNIST", "FashionMNIST", "KMNIST"] = "MNIST",
        root: str = "data",
        split: Literal["train", "test"] = "train",
        download: bool = True,
        channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        share: float = 1.0,
    ):
        check_choice("name", name, tuple(CLASSES))
        check_choice("split", split, ("train", "test"))
        check_fact("channels", channels, 1)
        check_fact("num_classes", num_classes, 10)
        folder = Path(root).expanduser() / name / "raw"
        prefix = "train" if split == "train" else "t10k"
        files = [find(folder, f"{prefix}-{kind}-ubyte", name, download) for kind in ("images-idx3", "labels-idx1")]
        pixels, labels = read_idx(files[0], dims=3), read_idx(files[1], dims=1).long()
        check_pairs(pixels, labels, num_classes, *files)
        super().__init__(pixels[..., None], image_size, labels, CLASSES[name], share=share)


class EMNIST(Stored):
    """Handwritten letters and digits, grey, of 28 x 28 pixels: one section of the set, from `<root>/EMNIST/raw`.

    The files of a section may lie there plain or gzipped, or in `gzip.zip` as it is published, which is read in place.
    """

    def __init__(
        self,
        section: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = "balanced",
        root: str = "data",
        split: Literal["train", "test"] = "train",
        download: bool = True,
        channels: int = 1,
        image_size: int = 28,
        num_classes: int = 47,
    ):
        check_choice("section", section, tuple(SECTIONS))
        check_choice("split", split, ("train", "test"))
        check_fact("channels", channels, 1)
        check_fact("num_classes", num_classes, len(SECTIONS[section]))
        folder = Path(root).expanduser() / "EMNIST" / "raw"
        names = [f"emnist-{section}-{split}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        (pixels, labels), paths = read_section(folder, names, download)
        labels = labels.long() - int(section == "letters")  # which its file counts from 1
        check_pairs(pixels, labels, num_classes, *paths)
        upright = pixels.transpose(1, 2).contiguous()  # the files hold them mirrored at the diagonal
        super().__init__(upright[..., None], image_size, labels, SECTIONS[section])


CLASSES = {
    "MNIST": [str(digit) for digit in range(10)],
    "FashionMNIST": ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"],
    "KMNIST": ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
}
FORTY_SEVEN = [*string.digits, *string.ascii_uppercase, *"abdefghnqrt"]  # lower case where it looks another way
SECTIONS = {
    "byclass": [*string.digits, *string.ascii_uppercase, *string.ascii_lowercase],
    "bymerge": FORTY_SEVEN,
    "balanced": FORTY_SEVEN,
    "letters": [*string.ascii_lowercase],
    "digits": [*string.digits],
    "mnist": [*string.digits],
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
        raise MissingDataError(f"{plain} is missing, also as .gz, and dataset.download is false.\n{remedy}")
    import torchvision.datasets  # 2 s; only for its list of addresses

    source = getattr(torchvision.datasets, name)
    md5 = dict(source.resources)[packed.name]
    download_file(packed, [f"{mirror}{packed.name}" for mirror in source.mirrors], md5, remedy)
    return packed


def read_section(folder: Path, names: list[str], may_download: bool) -> tuple[tuple[Tensor, Tensor], list[Path]]:
    """Images and labels of one section of EMNIST from its two files, or else from the zip file of all sections."""
    found = [path for name in names for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if {path.name.removesuffix(".gz") for path in found} == set(names):
        images, labels = (next(path for path in found if path.name.removesuffix(".gz") == name) for name in names)
        return (read_idx(images, dims=3), read_idx(labels, dims=1)), [images, labels]
    archive = folder / "gzip.zip"
    if not archive.is_file():
        fetch_emnist(archive, names, may_download)
    try:
        with zipfile.ZipFile(archive) as whole:
            images, labels = (gzip.decompress(whole.read(f"gzip/{name}.gz")) for name in names)
    except KeyError as error:
        raise DataError(f"{archive} is not EMNIST's: {error.args[0]}") from error
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} cannot be read ({error}). Remove it, and it is downloaded anew.") from error
    paths = [archive / name for name in names]
    return (parse_idx(images, paths[0], dims=3), parse_idx(labels, paths[1], dims=1)), paths


def fetch_emnist(archive: Path, names: list[str], may_download: bool) -> None:
    remedy = (
        f"Place gzip.zip, or {' and '.join(names)} (also as .gz), in {archive.parent}, "
        f"or set dataset.root to the folder that holds EMNIST/raw (dataset.root is now {archive.parents[2]})."
    )
    if not may_download:
        raise MissingDataError(f"{archive} is missing, and dataset.download is false.\n{remedy}")
    import torchvision.datasets  # 2 s; only for its address

    source = torchvision.datasets.EMNIST
    download_file(archive, [source.url], source.md5, remedy)


def check_pairs(pixels: Tensor, labels: Tensor, num_classes: int, images_file: Path, labels_file: Path) -> None:
    if len(pixels) != len(labels):
        raise DataError(f"{images_file} holds {len(pixels)} images, but {labels_file} {len(labels)} labels.")
    if not (len(labels) and labels.min() >= 0 and labels.max() < num_classes):
        raise DataError(f"{labels_file} must hold labels from 0 to {num_classes - 1}.")


def read_idx(path: Path, dims: int) -> Tensor:
    """A file of `parse_idx`, plain or gzipped."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}). Remove it, and it is downloaded anew.") from error
    return parse_idx(data, path, dims)


def parse_idx(data: bytes, path: Path, dims: int) -> Tensor:
    """IDX of bytes: two zeros, 8 (uint8), the number of dimensions, each as four bytes, then the values."""
    start = 4 + 4 * dims
    if data[:4] != bytes((0, 0, 8, dims)) or len(data) < start:
        raise DataError(f"{path} is no IDX file of bytes in {dims} dimensions: it begins with {data[:4].hex(' ')}.")
    shape = np.frombuffer(data, ">u4", count=dims, offset=4).tolist()
    if len(data) != start + math.prod(shape):
        raise DataError(
            f"{path} announces {shape} values, {start + math.prod(shape)} bytes, but has {len(data)} bytes."
        )
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy())
