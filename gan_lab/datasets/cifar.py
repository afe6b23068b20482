"""CIFAR-10 and CIFAR-100: pickled batches, unpacked or in their archive, read without running what a pickle may ask."""

import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from gan_lab.datasets.base import Stored, check_choice, check_fact
from gan_lab.datasets.download import download_file
from gan_lab.errors import DataError, MissingDataError


class CIFAR(Stored):
    """Colour pictures of 32 x 32 pixels in 10 or 100 classes, from torchvision's folder under `root` or its .tar.gz."""

    def __init__(
        self,
        root: str = "data",
        split: Literal["train", "test"] = "train",
        download: bool = True,
        flip: bool = False,
        channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
        share: float = 1.0,
    ):
        check_choice("split", split, ("train", "test"))
        check_fact("channels", channels, 3)
        if num_classes not in NAMES:
            raise ValueError(f"num_classes={num_classes} must be 10 (CIFAR-10) or 100 (CIFAR-100).")
        folder, label_key, meta, classes_key = NAMES[num_classes]
        files = ["train"] if split == "train" else ["test"]
        if num_classes == 10:
            files = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]

        contents = read_files(Path(root).expanduser(), folder, [*files, meta], num_classes, download)
        try:
            pixels = torch.cat([images(contents[file][b"data"]) for file in files])
            labels = torch.tensor([label for file in files for label in contents[file][label_key]])
            classes = [name.decode() for name in contents[meta][classes_key]]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{folder} under {root} is no CIFAR set: {error!r}.") from error
        if not (len(labels) == len(pixels) > 0 and labels.min() >= 0 and labels.max() < num_classes == len(classes)):
            raise DataError(f"{folder} under {root} must hold {num_classes} classes and one of them for each image.")
        super().__init__(pixels, image_size, labels, classes, flip, share)


# classes -> folder, key of the labels, file with the names of the classes, their key in it
NAMES = {
    10: ("cifar-10-batches-py", b"labels", "batches.meta", b"label_names"),
    100: ("cifar-100-python", b"fine_labels", "meta", b"fine_label_names"),
}


def read_files(root: Path, folder: str, files: list[str], num_classes: int, may_download: bool) -> dict[str, Any]:
    """The wanted files from the folder, or else from the archive beside it, which is read in place."""
    archive = root / f"cifar-{num_classes}-python.tar.gz"
    if (root / folder).is_dir():
        missing = [file for file in files if not (root / folder / file).is_file()]
        if missing:
            raise DataError(f"{root / folder} lacks {', '.join(missing)}. Complete it, or remove it to use {archive}.")
        return {file: unpickle((root / folder / file).read_bytes(), root / folder / file) for file in files}
    if not archive.is_file():
        fetch_archive(archive, root / folder, num_classes, may_download)
    try:
        contents = {}
        with tarfile.open(archive, "r:gz") as tar:  # nothing is extracted: its members are read
            for member in tar:
                name = member.name.removeprefix(f"{folder}/")
                if name in files and member.isfile():
                    contents[name] = unpickle(tar.extractfile(member).read(), archive / member.name)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{archive} cannot be read ({error}). Remove it, and it is downloaded anew.") from error
    missing = [file for file in files if file not in contents]
    if missing:
        raise DataError(f"{archive} lacks {', '.join(f'{folder}/{file}' for file in missing)}.")
    return contents


def fetch_archive(archive: Path, folder: Path, num_classes: int, may_download: bool) -> None:
    remedy = f"Place the folder {folder.name} or the file {archive.name} in {archive.parent}, or set dataset.root."
    if not may_download:
        raise MissingDataError(f"Neither {folder} nor {archive} is there, and dataset.download is false.\n{remedy}")
    import torchvision.datasets  # 2 s; only for its address

    source = getattr(torchvision.datasets, f"CIFAR{num_classes}")
    download_file(archive, [source.url], source.tgz_md5, remedy)


# ---- pickles --------------------------------------------------------------------------------------------------------


class Remembered:
    """Stands for numpy's array, its maker and its type: keeps the state that the pickle has for it, runs nothing."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __setstate__(self, state):
        self.state = state


class Unpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, texts and arrays of bytes; any other name in a pickle ends the reading."""

    harmless = {
        ("numpy", "ndarray"): Remembered,
        ("numpy", "dtype"): Remembered,
        ("numpy.core.multiarray", "_reconstruct"): Remembered,
        ("numpy._core.multiarray", "_reconstruct"): Remembered,
        ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # how Python 3 writes bytes for Python 2
    }

    def find_class(self, module: str, name: str):
        if (module, name) not in self.harmless:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR file needs")
        return self.harmless[module, name]


def unpickle(data: bytes, path: Path) -> Any:
    try:
        return Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # damaged pickles raise almost anything
        raise DataError(f"{path} is no CIFAR file: {error}. Nothing of it was run.") from error


def images(array: Remembered) -> torch.Tensor:
    """An array, remembered as (version, shape, type, order, bytes), as uint8 [N, 32, 32, 3]."""
    _, _, _, _, raw = array.state
    planes = torch.from_numpy(np.frombuffer(raw, np.uint8).reshape(-1, 3, 32, 32).copy())
    return planes.permute(0, 2, 3, 1).contiguous()
