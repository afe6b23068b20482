"""STL-10: few labelled and many unlabelled photos, as raw bytes that are read where they lie."""

import os
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gan_lab.datasets.base import check_choice, check_fact, check_image_size, resize
from gan_lab.datasets.download import download_file
from gan_lab.datasets.lazy import Lazy
from gan_lab.errors import DataError


class STL10(Lazy):
    """Colour photos of 96 x 96 pixels in ten classes, or without labels, from `<root>/stl10_binary`.

    The archive of the set, found in `root` or downloaded, is unpacked once. Coates et al. 2011, An analysis of
    single-layer networks in unsupervised feature learning.
    """

    def __init__(
        self,
        root: str = "data",
        split: Literal["train", "test", "unlabeled", "train+unlabeled"] = "train",
        download: bool = True,
        flip: bool = False,
        channels: int = 3,
        image_size: int = 96,
        num_classes: int = 10,
    ):
        check_choice("split", split, ("train", "test", "unlabeled", "train+unlabeled"))
        check_fact("channels", channels, 3)
        classes = [] if "unlabeled" in split else CLASSES
        if num_classes != len(classes):
            raise ValueError(
                f"num_classes={num_classes} is not a fact of split={split}: set dataset.num_classes={len(classes)}."
            )
        check_image_size(image_size)

        # Open what is needed.
        root, parts = Path(root).expanduser(), split.split("+")
        folder = root / "stl10_binary"
        needed = [f"{part}_X.bin" for part in parts] + [f"{split}_y.bin"] * bool(classes)
        if not all((folder / name).is_file() for name in needed):
            unpack(root / "stl10_binary.tar.gz", folder, needed, download)
        self.photos = [open_photos(folder / f"{part}_X.bin") for part in parts]
        labels = read_labels(folder / f"{split}_y.bin", len(self.photos[0])) if classes else None
        super().__init__(3, (image_size, image_size), labels, classes, flip)

    def __len__(self) -> int:
        return sum(map(len, self.photos))

    def pixels(self, indices: Tensor) -> Tensor:
        columns = torch.empty(len(indices), 3, 96, 96, dtype=torch.uint8)  # [B, C, W, H], as they lie in the file
        start = 0
        for photos in self.photos:
            here = (indices >= start) & (indices < start + len(photos))
            columns[here] = torch.from_numpy(photos[(indices[here] - start).numpy()])
            start += len(photos)
        return resize(columns.permute(0, 3, 2, 1).contiguous(), self.image_size)


CLASSES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin")


def open_photos(path: Path) -> np.ndarray:
    """The photos of a file, uint8 [N, C, W, H], none of them in memory yet."""
    size = path.stat().st_size
    if size == 0 or size % (3 * 96 * 96):
        raise DataError(f"{path} has {size} bytes, which are no whole photos of 3 x 96 x 96 bytes.")
    return np.memmap(path, np.uint8, "r").reshape(-1, 3, 96, 96)


def read_labels(path: Path, count: int) -> Tensor:
    labels = torch.from_numpy(np.fromfile(path, np.uint8)).long() - 1
    if len(labels) != count or labels.min() < 0 or labels.max() > 9:
        raise DataError(f"{path} must hold a label from 1 to 10 for each of {count} photos.")
    return labels


def unpack(archive: Path, folder: Path, needed: list[str], may_download: bool) -> None:
    """All missing files of the set, each of them whole or not at all."""
    if not archive.is_file():
        fetch(archive, folder, needed, may_download)
    folder.mkdir(exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                target = folder / member.name.rpartition("/")[2]
                if target.name in FILES and member.isfile() and not target.exists():
                    write(tar.extractfile(member), target)
    except (EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{archive} cannot be read ({error}). Remove it, and it is downloaded anew.") from error
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{archive} lacks {', '.join(missing)}.")


def write(content, target: Path) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            shutil.copyfileobj(content, file)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def fetch(archive: Path, folder: Path, needed: list[str], may_download: bool) -> None:
    remedy = f"Place {' and '.join(needed)} in {folder}, or {archive.name} in {archive.parent}, or set dataset.root."
    if not may_download:
        raise DataError(
            f"Neither {folder / needed[0]} nor {archive} is there, and dataset.download is false.\n{remedy}"
        )
    import torchvision.datasets  # 2 s; only for its address

    source = torchvision.datasets.STL10
    download_file(archive, [source.url], source.tgz_md5, remedy)
