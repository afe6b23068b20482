"""CelebA: faces of celebrities with forty attributes, decoded when they are asked for."""

import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gan_lab.datasets.attributes import Attributed
from gan_lab.datasets.base import check_choice, check_fact, check_image_size
from gan_lab.datasets.decode import Unreadable, decode
from gan_lab.datasets.source import open_source
from gan_lab.errors import DataError, MissingDataError


class CelebA(Attributed):
    """202,599 aligned faces of 178 x 218 pixels from `<root>/celeba`: the middle 178 x 178 of each, resized.

    That cut is StarGAN's (Choi et al. 2018, arXiv 1711.09020). The pictures lie in `img_align_celeba`, a folder or a
    zip file that is read in place; the lists beside them are .txt files as published, or .csv as Kaggle has them.
    Liu et al. 2015, Deep learning face attributes in the wild (arXiv 1411.7766).
    """

    threads = os.cpu_count() or 1

    def __init__(
        self,
        root: str = "data",
        split: Literal["train", "valid", "test", "all"] = "train",
        attributes: list[str] | None = None,
        flip: bool = False,
        channels: int = 3,
        image_size: int = 64,
        num_classes: int = 0,
        num_attributes: int = 40,
    ):
        check_choice("split", split, (*SPLITS, "all"))
        check_fact("channels", channels, 3)
        check_fact("num_classes", num_classes, 0)
        check_image_size(image_size)

        # Read the lists.
        self.folder = Path(root).expanduser() / "celeba"
        names, files, table = read_list(self.folder, "list_attr_celeba")
        if split != "all":
            _, order, parts = read_list(self.folder, "list_eval_partition")
            if order != files:
                raise DataError(f"{self.folder}: list_attr_celeba and list_eval_partition name different pictures.")
            chosen = torch.nonzero(parts[:, 0] == SPLITS[split]).flatten()
            if not len(chosen):
                raise DataError(f"{self.folder}: list_eval_partition puts no picture into {split}.")
            files, table = [files[i] for i in chosen.tolist()], table[chosen]

        # Find the pictures.
        pictures = [self.folder / name for name in ("img_align_celeba", "img_align_celeba.zip")]
        present = next((path for path in pictures if path.exists()), None)
        if present is None:
            raise MissingDataError(f"{pictures[0]} is missing, also as .zip.\n{remedy(self.folder)}")
        self.source = open_source(present)
        where = {name.rpartition("/")[2]: name for name in self.source.files}
        missing = [file for file in files if file not in where]
        if missing:
            raise DataError(f"{present} lacks {len(missing)} of {len(files)} pictures, the first: {missing[0]}.")
        self.names = [where[file] for file in files]
        super().__init__((image_size, image_size), table > 0, names, attributes, num_attributes, flip=flip)

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, indices: Tensor) -> Tensor:
        return torch.from_numpy(np.stack([self.picture(self.names[i]) for i in indices.tolist()]))

    def picture(self, name: str) -> np.ndarray:
        """uint8 [H, W, C]; the middle square is what `decode` takes of an upright picture."""
        try:
            data = self.source.read(name, MOST_BYTES)
            return decode(data, self.image_size, 3, background=(255, 255, 255), max_pixels=MOST_PIXELS)
        except Unreadable as error:
            raise DataError(f"{name} in {self.folder} cannot be read: {error}. Place it there anew.") from error


SPLITS = {"train": 0, "valid": 1, "test": 2}
MOST_BYTES, MOST_PIXELS = 1 << 24, 1 << 22  # of one picture


def read_list(folder: Path, stem: str) -> tuple[list[str], list[str], Tensor]:
    """A list of pictures: the names of its columns, the files, and small whole numbers int8 [N, columns]."""
    path = next((path for path in (folder / f"{stem}.txt", folder / f"{stem}.csv") if path.is_file()), None)
    if path is None:
        raise MissingDataError(f"{folder / stem}.txt is missing, also as .csv.\n{remedy(folder)}")
    lines = path.read_text(encoding="utf-8", errors="replace").replace(",", " ").splitlines()
    first = next((i for i, line in enumerate(lines) if ".jpg" in line), None)
    if first is None:
        raise DataError(f"{path} names no picture (.jpg). Place it there anew.")
    names = [name for name in lines[first - 1].split() if name != "image_id"] if first else ["partition"]
    try:
        columns = range(1, 1 + len(names))
        table = np.loadtxt(lines, np.int8, skiprows=first, usecols=columns, ndmin=2, comments=None)
    except ValueError as error:
        raise DataError(f"{path} must hold {len(names)} whole numbers for each picture: {error}.") from error
    return names, [line.split(maxsplit=1)[0] for line in lines[first:] if line.strip()], torch.from_numpy(table)


def remedy(folder: Path) -> str:
    return (
        "CelebA must be fetched by hand (mmlab.ie.cuhk.edu.hk/projects/CelebA.html): place img_align_celeba.zip, "
        f"list_attr_celeba.txt and list_eval_partition.txt in {folder}, or set dataset.root to the folder that holds "
        f"celeba (now {folder.parent})."
    )
