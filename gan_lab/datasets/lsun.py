"""LSUN: millions of photos of one kind, in an LMDB database, decoded when they are asked for."""

import os
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_lab.datasets.base import check_fact, check_image_size
from gan_lab.datasets.decode import Unreadable, decode
from gan_lab.datasets.lazy import Lazy
from gan_lab.errors import DataError


class LSUN(Lazy):
    """Colour photos from the database `<root>/<name>_lmdb` or, as objects are published, `<root>/<name>`.

    The shorter side is brought to the wanted size and the rest cut away; `size` takes the first so many. Reading needs
    the package lmdb. Yu et al. 2015 (arXiv 1506.03365).
    """

    threads = os.cpu_count() or 1

    def __init__(
        self,
        name: str = "bedroom_train",
        root: str = "data",
        size: int | None = None,
        flip: bool = False,
        channels: int = 3,
        image_size: int = 64,
        num_classes: int = 0,
    ):
        check_fact("channels", channels, 3)
        check_fact("num_classes", num_classes, 0)
        check_image_size(image_size)
        if size is not None and size < 1:
            raise ValueError(f"size={size} must be at least 1, or null for all.")
        root = Path(root).expanduser()
        folders = [root / f"{name}_lmdb", root / name]
        self.folder = next((folder for folder in folders if (folder / "data.mdb").is_file()), folders[0])
        self.database = open_database(self.folder)
        with self.database.begin() as view:
            self.keys = list(islice(view.cursor().iternext(keys=True, values=False), size))
        if not self.keys:
            raise DataError(f"{self.folder} holds no photo.")
        super().__init__(3, (image_size, image_size), flip=flip)

    def __len__(self) -> int:
        return len(self.keys)

    def pixels(self, indices: Tensor) -> Tensor:
        with self.database.begin() as view:
            photos = [self.photo(self.keys[i], view.get(self.keys[i])) for i in indices.tolist()]
        return torch.from_numpy(np.stack(photos))

    def photo(self, key: bytes, data: bytes) -> np.ndarray:
        try:
            return decode(data, self.image_size, 3, background=(255, 255, 255), max_pixels=MOST_PIXELS)
        except Unreadable as error:
            raise DataError(f"{key.decode(errors='replace')} in {self.folder} cannot be read: {error}.") from error


MOST_PIXELS = 50_000_000


@cache  # within one process LMDB opens a database only once
def open_database(folder: Path):
    try:
        import lmdb
    except ImportError as error:
        raise DataError(
            "dataset=lsun reads an LMDB database, for which a package is missing: pip install lmdb"
        ) from error
    if not (folder / "data.mdb").is_file():
        raise DataError(
            f"{folder / 'data.mdb'} is missing. LSUN must be fetched by hand (github.com/fyu/lsun): unpack "
            f"{folder.name}.zip in {folder.parent}, or set dataset.name and dataset.root."
        )
    try:
        return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False, max_readers=256)
    except lmdb.Error as error:
        raise DataError(f"{folder} is no LMDB database ({error}). Unpack it anew.") from error
