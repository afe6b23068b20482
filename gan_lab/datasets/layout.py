"""What the names of pictures say: which of them are chosen, and of which class each is; or what `dataset.json` says."""

import json
import os
from collections.abc import Iterable
from itertools import accumulate, takewhile
from pathlib import Path

from gan_lab.datasets.decode import Unreadable
from gan_lab.datasets.source import Source
from gan_lab.errors import DataError

SPLITS = {"train", "test", "val", "valid", "validation"}
SIDES = ("A", "B")
LISTED = "dataset.json"
MOST_BYTES, MOST_CLASSES = 1 << 30, 100_000  # of the list: more would be a mistake


def find_prefix(names: list[str], split: str | None, path: Path) -> str:
    """What the chosen names begin with: the folders that hold everything, and the split."""
    prefix = common_folder(names, stop={*SPLITS, split})
    tops = top_folders(names, prefix)
    if split is None and not tops <= SPLITS:
        return common_folder(names)
    split = split or "train"
    if split not in tops:
        there = f"has only {shorten(sorted(tops))}" if tops != {""} else "has no folders"
        raise DataError(f"{path} has no folder {split}: it {there}. Set dataset.split to a folder of it, or null.")
    return f"{prefix}{split}/"


def find_sides(names: list[str], split: str | None, path: Path) -> dict[str, str] | None:
    """What the chosen names of side A and of side B begin with; None where there is neither folder. Raises DataError.

    `A/train` is taken like `train/A`.
    """
    outer = common_folder(names, stop={*SPLITS, split, *SIDES})
    if top_folders(names, outer) & set(SIDES):
        return {side: find_split(below(names, f"{outer}{side}/"), f"{outer}{side}/", split, path) for side in SIDES}
    names = below(names, find_prefix(names, split, path))
    outer = common_folder(names, stop=SIDES)
    return {side: f"{outer}{side}/" for side in SIDES} if top_folders(names, outer) & set(SIDES) else None


def find_split(names: list[str], folder: str, split: str | None, path: Path) -> str:
    """The folder itself, or that of the split where it holds nothing but splits."""
    is_parted = names and (split is not None or top_folders(names, folder) <= SPLITS)
    return find_prefix(names, split, path) if is_parted else folder


def top_folders(names: Iterable[str], prefix: str) -> set[str]:
    """The folders right below a prefix, and "" for names that lie there themselves."""
    return {name.removeprefix(prefix).rpartition("/")[0].partition("/")[0] for name in names}


def below(names: Iterable[str], prefix: str) -> list[str]:
    return [name for name in names if name.startswith(prefix)]


def common_folder(names: list[str], stop: Iterable[str] = ()) -> str:
    shared = os.path.commonprefix([name.split("/")[:-1] for name in names])  # of lists: whole folders
    return "".join(f"{part}/" for part in takewhile(lambda part: part not in stop, shared))


def find_classes(names: list[str], prefix: str, source: Source) -> tuple[list[int], list[str]]:
    """The class number of each name, and the names of the classes; both are empty where there are no labels.

    A `dataset.json` beside or above the pictures, as StyleGAN's dataset_tool.py (Karras et al. 2021) writes it, gives
    the numbers, which are then also the names. Without one the folders are the classes. Raises DataError.
    """
    listed = find_list(prefix, source)
    if listed is not None:
        numbers = listed_numbers(names, listed, source)
        return numbers, [str(number) for number in range(max(numbers, default=-1) + 1)]
    folders = class_folders(names, prefix)
    classes = sorted(set(folders))
    number_of = {name: number for number, name in enumerate(classes)}
    return [number_of[folder] for folder in folders], classes


def class_folders(names: list[str], prefix: str) -> list[str]:
    """The class folder of each name, or nothing at all where not every picture has one or all share it."""
    folders = [name.removeprefix(prefix).rpartition("/")[0].partition("/")[0] for name in names]
    return folders if len(set(folders)) > 1 and "" not in folders else []


def find_list(prefix: str, source: Source) -> str | None:
    """The topmost `dataset.json` on the way down to the chosen pictures."""
    folders = accumulate((f"{part}/" for part in prefix.split("/")[:-1]), initial="")
    there = set(source.files)
    return next((folder + LISTED for folder in folders if folder + LISTED in there), None)


def listed_numbers(names: list[str], listed: str, source: Source) -> list[int]:
    """The class number of each name; empty where the list gives null."""
    remedy = "Repair it, or set dataset.num_classes=0 to train without labels."
    try:
        labels = json.loads(source.read(listed, MOST_BYTES))["labels"]
        table = None if labels is None else dict(labels)
    except (Unreadable, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f'{listed} is not a list of labels such as {{"labels": [["00000/img.png", 3], ...]}} ({error!r}). {remedy}'
        ) from error
    if table is None:
        return []

    # Look up each picture, by its name from where the list lies
    folder = listed.removesuffix(LISTED)
    unlisted = [name for name in names if name.removeprefix(folder) not in table]
    if unlisted:
        raise DataError(f"{listed} has no label for {len(unlisted)} of {len(names)}: {shorten(unlisted)}. {remedy}")
    numbers = [table[name.removeprefix(folder)] for name in names]
    wrong = [number for number in numbers if type(number) is not int or not 0 <= number < MOST_CLASSES]
    if wrong and isinstance(wrong[0], list):
        raise DataError(
            f"{listed} gives vectors of {len(wrong[0])} numbers as labels, but a class is one number. "
            "Set dataset.num_classes=0 to train without labels."
        )
    if wrong:
        raise DataError(
            f"{listed} gives a label that is no number from 0 to {MOST_CLASSES - 1:,}: {wrong[0]!r}. {remedy}"
        )
    return numbers


def shorten(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
