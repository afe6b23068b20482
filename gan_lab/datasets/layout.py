"""What the names of pictures say: which of them are chosen, and of which class each is; or what `dataset.json` says."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, takewhile
from pathlib import Path

from gan_lab.datasets.decode import EXTENSIONS, Unreadable
from gan_lab.datasets.source import Source, open_source
from gan_lab.errors import DataError, MissingDataError

# Words that folders are called by, in any case; a split beside a side as trainA, train_A or A_train
SPLITS = {
    "train": ("train", "training", "trainset"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing", "testset"),
}
SIDES = {"A": ("a", "input", "inputs", "source", "sources"), "B": ("b", "target", "targets", "output", "outputs")}
SPLIT_OF = {word: split for split, words in SPLITS.items() for word in words}
SIDE_OF = {word: side for side, words in SIDES.items() for word in words}
SPLIT, SIDE = "|".join(SPLIT_OF), "|".join(SIDE_OF)
SIDED = re.compile(rf"({SPLIT})?[\W_]*({SIDE})"), re.compile(rf"({SIDE})[\W_]*({SPLIT})")
LISTED = "dataset.json"
MOST_CLASSES = 100_000  # more would be a mistake
LIST_BYTES, BYTES_PER_PICTURE = 1 << 20, 16 << 10  # that a list may have at most, and more for each picture


@dataclass(frozen=True)
class Role:
    """What the name of a folder says: a split, a side of pairs, and other words, such as `seg` of `seg_train`."""

    split: str | None
    side: str | None
    rest: tuple[str, ...] = ()


@cache
def role(folder: str) -> Role | None:
    """What a folder is by its name; None where it is nothing in particular."""
    folder = folder.lower()
    if found := SIDED[0].fullmatch(folder):
        return Role(SPLIT_OF.get(found[1]), SIDE_OF[found[2]])
    if found := SIDED[1].fullmatch(folder):
        return Role(SPLIT_OF[found[2]], SIDE_OF[found[1]])
    words = [word for word in re.split(r"[\W_\d]+", folder) if word]
    splits = [SPLIT_OF[word] for word in words if word in SPLIT_OF]
    return Role(splits[0], None, tuple(word for word in words if word not in SPLIT_OF)) if len(splits) == 1 else None


def plain_split(folder: str) -> str | None:
    """The split that a folder is, where its name says nothing else."""
    found = role(folder)
    return found.split if found and not found.side and not found.rest else None


def is_held_out(split: str | None) -> bool:
    """Whether a split is one to judge with."""
    return split is not None and plain_split(split) in ("val", "test")


# ---- which pictures -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """The chosen names, what they begin with, and how many folders below that stand above those of the classes."""

    prefix: str
    names: list[str]
    skipped: int = 0

    def folder(self, name: str) -> str:
        """The class folder of a name; "" where it lies in none."""
        return "".join(name.removeprefix(self.prefix).split("/")[self.skipped : -1][:1])


def choose(names: list[str], split: str | None, path: Path) -> Choice:
    """The pictures of a split: where folders are splits and nothing is said, of train; all where there are none.

    Splits go by any usual name, and lie at the top or below every class. What may be a split or a class is asked for.
    Raises DataError, MissingDataError.
    """
    outer = common_folder(names, stop=lambda part: part == split or plain_split(part) is not None)
    tops = top_folders(names, outer)
    parted = by_split(tops)
    if split == "all" and split not in tops:
        return Choice(outer, names, 1) if parted else Choice(common_folder(names), names)
    if split is not None or parted:
        folders = {split} & tops or named(tops, split or "train")
        if len(folders) > 1:
            raise DataError(f"{path} has the folders {spoken(folders)}: set dataset.split to the one that is meant.")
        if folders:
            prefix = f"{outer}{folders.pop()}/"
            return Choice(prefix, below(names, prefix))
    inside = {name: "".join(name.removeprefix(outer).split("/")[1:-1][:1]) for name in names}
    if not parted and by_split(set(inside.values())):  # cats/train, dogs/train
        folders = {split} & {*inside.values()} or named(inside.values(), split or "train")
        if chosen := [name for name in names if inside[name] in folders]:
            return Choice(outer, chosen)
        tops = set(inside.values())
    elif split is None and not parted:
        check_no_split(names, outer, tops, path)
        return Choice(common_folder(names), names)
    there = f"has only {shorten(sorted(tops))}" if tops != {""} else "has no folders"
    raise MissingDataError(
        f"{path} has no folder {split or 'train'}: it {there}. Set dataset.split to a folder of it, or null."
    )


def by_split(folders: set[str]) -> bool:
    """Whether all of some folders are splits of one thing."""
    roles = [role(folder) for folder in folders]
    if not roles or any(found is None or found.side for found in roles):
        return False
    rests, splits = {found.rest for found in roles}, {found.split for found in roles}
    return len(rests) == 1 and (rests == {()} or len(splits) > 1)


def named(folders: Iterable[str], split: str) -> set[str]:
    """The folders that are this split under one of its names; those that say nothing else, if there are any."""
    same = {each for each in folders if (found := role(each)) and not found.side and found.split == plain_split(split)}
    same = same if plain_split(split) else set()
    return {each for each in same if plain_split(each)} or same


def check_no_split(names: list[str], outer: str, tops: set[str], path: Path) -> None:
    """Raise DataError where some folders look like splits, which are no classes to learn from."""
    folders = {name.removeprefix(outer).rpartition("/")[0] for name in names}
    roles = {top: found for top in tops if (found := role(top))}
    sided = sorted(top for top, found in roles.items() if found.split and found.side)
    if len({roles[top].side for top in sided}) > 1:
        raise DataError(
            f"{path} has the folders {shorten(sided)}, as sets of two sides have: choose dataset=unpaired_folder or "
            f"dataset=paired_folder, or one of them with dataset.split={sided[0]}."
        )
    doubtful = {part for folder in folders for part in folder.split("/") if plain_split(part) in ("val", "test")}
    doubtful |= {folder.split("/")[0] for folder in folders if "/" in folder and plain_split(folder.split("/")[0])}
    by_rest = {}
    for top, found in roles.items():
        by_rest.setdefault(found.rest, {})[top] = found.split
    doubtful |= {top for tops_of in by_rest.values() if len(set(tops_of.values())) > 1 for top in tops_of}
    if doubtful:
        others = sorted(tops - doubtful - {""})
        beside = f" beside {shorten(others)}" if others else ""
        raise DataError(
            f"{path} has {shorten(sorted(doubtful))}{beside}: splits, or classes? Set dataset.split to the folder to "
            "train on, or dataset.split=all to take all pictures and every folder at the top as a class."
        )


def find_sides(names: list[str], split: str | None, path: Path) -> dict[str, str]:
    """What the chosen names of sides A and B begin with: of each that there is. Raises DataError, MissingDataError.

    A side is A or B in any case, input or target, source or target, above, below or in one word with a split. Where
    nothing is said of splits the sides are those of train, or those that lie in none.
    """
    places = {}  # split and side: what their names begin with
    for folder in {name.rpartition("/")[0] for name in names}:
        found, prefix = place(folder, split)
        if found.side:
            places.setdefault(found.split, {}).setdefault(found.side, set()).add(prefix)
    wanted = (plain_split(split) or split) if split else "train"
    if not places:
        return {}
    if wanted not in places and wanted == "train" and None in places:
        wanted = None
    if wanted not in places:
        raise MissingDataError(
            f"{path} has no folders A and B of split {split or 'train'}: it has {counted(names)}. "
            "Set dataset.split to one of its splits."
        )
    for prefixes in places[wanted].values():
        if len(prefixes) > 1:
            raise DataError(f"{path} has the folders {spoken(prefixes)} for one side: leave the one that is meant.")
    return {side: min(places[wanted][side]) for side in sorted(places[wanted])}


def find_domains(names: list[str], split: str | None, path: Path) -> dict[str, list[str]]:
    """The chosen names of each domain, by the name of its folder; train's where nothing is said of splits.

    Where each folder at the top is a split and a domain in one word, as trainA or test_monet, the rest of the word is
    the domain's name; else the domains are the class folders. A held-out split has the domains of train. Raises
    DataError, MissingDataError.
    """
    outer = common_folder(names, stop=lambda part: any(joined(part, word) for word in SPLITS))
    tops = top_folders(names, outer)
    if len(tops) > 1 and all(any(joined(top, word) for word in SPLITS) for top in tops):
        folders = {joined(top, split or "train"): top for top in sorted(tops)}
        found = {domain: below(names, f"{outer}{top}/") for domain, top in folders.items() if domain}
        if not found:
            raise MissingDataError(f"{path} has no folders of split {split or 'train'}: it has {spoken(tops)}.")
    else:
        choice, found = choose(names, split, path), {}
        for name in choice.names:
            found.setdefault(choice.folder(name), []).append(name)
    if len(found) < 2 or "" in found:
        there = f"it has {counted(names)}" if names else "it has no pictures"
        raise DataError(
            f"{path} has no folders of two domains or more, each with the pictures of one: {there}. Put each domain "
            "into a folder of its own, and set dataset.path to the folder right above them."
        )
    found = dict(sorted(found.items()))
    if is_held_out(split):
        try:
            known = find_domains(names, "train", path)
        except MissingDataError:
            return found
        if odd := sorted(known.keys() ^ found.keys()):
            raise DataError(
                f"{path}: the domain {odd[0]} is in one of train and {split}, and not in the other. Each split needs "
                "all domains: add its folder, or remove the other one."
            )
    return found


def joined(folder: str, split: str) -> str | None:
    """What stands behind a split in the name of a folder, as A in trainA and monet in train_monet."""
    if folder.lower() in SPLIT_OF:
        return None
    words = sorted(SPLITS.get(plain_split(split) or "", (split,)), key=len, reverse=True)
    found = (re.fullmatch(rf"(?i:{re.escape(word)})(?:[\W_]+|(?=[A-Z0-9]))(\w.*)", folder) for word in words)
    return next((each[1] for each in found if each), None)


def place(folder: str, split: str | None) -> tuple[Role, str]:
    """The split and the side that the folders on the way down say first, and the way down to where both are said."""
    parts, split_found, side, end = folder.split("/"), None, None, 0
    for depth, part in enumerate(parts, start=1):
        found = role(part) or Role(None, None)
        if split and not found.split:  # a split of another name
            rest = re.fullmatch(rf"{re.escape(split.lower())}[\W_]*({SIDE})?", part.lower())
            found = Role(split, SIDE_OF.get(rest[1])) if rest else found
        if found.rest or (split_found and side):
            continue
        if (found.split and not split_found) or (found.side and not side):
            split_found, side, end = split_found or found.split, side or found.side, depth
    return Role(split_found, side), "".join(f"{part}/" for part in parts[:end])


def counted(names: Iterable[str]) -> str:
    """The folders that hold pictures, with how many."""
    counts = Counter(name.rpartition("/")[0] for name in names)
    there = ", ".join(f"{folder} ({count:,})" for folder, count in counts.most_common(8) if folder)
    return there or (f"{counts.total():,} that lie in no folder" if counts else "none at all")


def top_folders(names: Iterable[str], prefix: str) -> set[str]:
    """The folders right below a prefix, and "" for names that lie there themselves."""
    return {name.removeprefix(prefix).rpartition("/")[0].partition("/")[0] for name in names}


def below(names: Iterable[str], prefix: str) -> list[str]:
    return [name for name in names if name.startswith(prefix)]


def common_folder(names: list[str], stop: Callable[[str], bool] = lambda part: False) -> str:
    shared = os.path.commonprefix([name.split("/")[:-1] for name in names])  # of lists: whole folders
    return "".join(f"{part}/" for part in takewhile(lambda part: not stop(part), shared))


# ---- of which class -------------------------------------------------------------------------------------------------


def count_classes(path: str, split: str | None) -> int:
    """How many classes the pictures of a folder or zip file have, by their names alone. Raises DataError."""
    place = Path(path).expanduser()
    source = open_source(place)
    names = [name for name in source.files if name.lower().endswith(EXTENSIONS)]
    return len(classes_of(names, choose(names, split, place), split, place, source)[1]) if names else 0


def count_domains(path: str, split: str | None) -> int:
    """How many domains the pictures of a folder or zip file are of, by their names alone. Raises DataError."""
    place = Path(path).expanduser()
    names = [name for name in open_source(place).files if name.lower().endswith(EXTENSIONS)]
    return len(find_domains(names, split, place))


def classes_of(
    names: list[str], chosen: Choice, split: str | None, path: Path, source: Source
) -> tuple[list[int], list[str]]:
    """The class number of each chosen name, and the names of the classes; both are empty where there are no labels.

    A test or validation split has the classes of the training split beside it, whether each has pictures or not.
    """
    if not is_held_out(split):
        return find_classes(chosen, source)
    try:
        known = find_classes(choose(names, "train", path), source)[1]
    except MissingDataError:
        known = []
    return find_classes(chosen, source, known)


def find_classes(chosen: Choice, source: Source, known: list[str] = ()) -> tuple[list[int], list[str]]:
    """The class number of each chosen name, and the names of the classes; both are empty where there are no labels.

    A `dataset.json` beside or above the pictures, as StyleGAN's dataset_tool.py (Karras et al. 2021) writes it, gives
    the numbers, which are then also the names. Without one the folders are the classes: those `known`, if there are
    any. Raises DataError.
    """
    list_file = find_list(chosen.prefix, source)
    if list_file is not None:
        numbers, count = listed_numbers(chosen.names, list_file, source)
        return numbers, [str(number) for number in range(max(count, len(known)))] if numbers else []
    folders = [chosen.folder(name) for name in chosen.names]
    if not known:
        labelled = len(set(folders)) > 1 and "" not in folders
        folders = folders if labelled else []
    elif set(folders) == {""}:  # pictures of which nothing is known
        return [], []
    classes = list(known) or sorted(set(folders))
    number_of = {name: number for number, name in enumerate(classes)}
    unknown = sorted(set(folders) - set(classes))
    if unknown:
        first = next(name for name, folder in zip(chosen.names, folders, strict=True) if folder == unknown[0])
        raise DataError(
            f"{first} lies in no class of the training split: its classes are {shorten(classes)}.\n"
            "Bring the folders of the splits to the same names, or set dataset.num_classes=0 to train without labels."
        )
    return [number_of[folder] for folder in folders], classes


def find_list(prefix: str, source: Source) -> str | None:
    """The topmost `dataset.json` on the way down to the chosen pictures."""
    folders = accumulate((f"{part}/" for part in prefix.split("/")[:-1]), initial="")
    there = set(source.files)
    return next((folder + LISTED for folder in folders if folder + LISTED in there), None)


def listed_numbers(names: list[str], listed: str, source: Source) -> tuple[list[int], int]:
    """The class number of each name and how many classes the list has; empty where the list gives null."""
    remedy = "Repair it, or set dataset.num_classes=0 to train without labels."
    try:
        labels = json.loads(source.read(listed, LIST_BYTES + BYTES_PER_PICTURE * len(source.files)))["labels"]
        table = None if labels is None else {name.replace("\\", "/"): number for name, number in dict(labels).items()}
    except (Unreadable, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f'{listed} is not a list of labels such as {{"labels": [["00000/img.png", 3], ...]}} ({error!r}). {remedy}'
        ) from error
    if table is None:
        return [], 0

    # Look up each picture, by its name from where the list lies
    folder = listed.removesuffix(LISTED)
    unlisted = [name for name in names if name.removeprefix(folder) not in table]
    if unlisted:
        raise DataError(f"{listed} has no label for {len(unlisted)} of {len(names)}: {shorten(unlisted)}. {remedy}")
    numbers = [table[name.removeprefix(folder)] for name in names]
    wrong = [number for number in numbers if not is_class(number)]
    if wrong and isinstance(wrong[0], list):
        raise DataError(
            f"{listed} gives vectors of {len(wrong[0])} numbers as labels, but a class is one number. "
            "Set dataset.num_classes=0 to train without labels."
        )
    if wrong:
        raise DataError(
            f"{listed} gives a label that is no number from 0 to {MOST_CLASSES - 1:,}: {wrong[0]!r}. {remedy}"
        )
    return numbers, max(filter(is_class, table.values()), default=-1) + 1


def is_class(number: object) -> bool:
    return type(number) is int and 0 <= number < MOST_CLASSES


def shorten(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def spoken(folders: Iterable[str]) -> str:
    """A few folders as a person says them."""
    *first, last = sorted(folder.rstrip("/") for folder in folders)
    return f"{', '.join(first)} and {last}"
