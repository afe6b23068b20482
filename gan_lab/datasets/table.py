"""Tables of attributes beside pictures: how they are found and read, and what their columns say."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gan_lab.datasets.decode import EXTENSIONS, Unreadable
from gan_lab.datasets.layout import choose, is_held_out, shorten
from gan_lab.datasets.source import Source, open_source
from gan_lab.errors import DataError, MissingDataError
from gan_lab.wording import meant

KINDS = (".csv", ".tsv", ".txt")
MOST_BYTES = 1 << 28  # of a table
MOST_VALUES = 12  # of a column that is a group
SWITCHES = (("0", "1"), ("-1", "1"), ("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"))  # lacks, has
NONE = "none"  # the value of an empty cell


@dataclass(frozen=True)
class Table:
    """A table by its place in the source: the names of its columns, and a row of words for each file."""

    name: str
    columns: list[str]
    rows: dict[str, list[str]]

    def words(self, column: str) -> list[str]:
        place = self.columns.index(column)
        return [row[place] for row in self.rows.values()]


@dataclass(frozen=True)
class Meaning:
    """What a column says: `values` are the words of its cells, each an attribute; of a switch the one is "has"."""

    column: str
    values: tuple[str, ...]
    is_switch: bool

    @property
    def names(self) -> list[str]:
        return [self.column] if self.is_switch else [f"{self.column}={value}" for value in self.values]

    def read(self, word: str) -> list[float]:
        """What a cell says of each attribute; ValueError for a word that is none of its own."""
        if self.is_switch:
            return [float(self.values.index(plain(word)))]
        place = self.values.index(word or NONE)
        return [float(number == place) for number in range(len(self.values))]


# ---- finding and reading --------------------------------------------------------------------------------------------


def table_of(source: Source, prefix: str, wanted: str | None, path: Path) -> str:
    """The name of the table of the pictures below a prefix; DataError, MissingDataError.

    Unless it is `wanted`, by its name, it is the one that is named as their folder and lies beside it, such as
    train.csv beside train, else the only one in the folder, else the only one above it.
    """
    there = [name for name in source.files if name.lower().endswith(KINDS)]
    if wanted is not None:
        found = [name for name in there if name == wanted] or [n for n in there if n.rpartition("/")[2] == wanted]
        if len(found) != 1:
            lists = f"; there {'is' if len(there) == 1 else 'are'} {shorten(there)}" if there else ", nor another table"
            raise MissingDataError(f"{path} has no table {wanted}{lists}: set dataset.table to one of them.")
        return found[0]
    if beside := [name for name in there if prefix and Path(name).with_suffix("").as_posix() == prefix.rstrip("/")]:
        return beside[0]
    folder = prefix
    while True:
        here = [name for name in there if name.rpartition("/")[0] == folder.rstrip("/")]
        if len(here) == 1:
            return here[0]
        if here:
            raise DataError(f"{path} has several tables, {shorten(here)}: set dataset.table to the one that is meant.")
        if not folder:
            break
        folder = folder.rstrip("/").rpartition("/")[0] + "/" if "/" in folder.rstrip("/") else ""
    above = sorted(file for file in path.resolve().parent.glob("*") if file.suffix.lower() in KINDS)
    higher = f" {above[0]} lies one level higher: set dataset.path={above[0].parent}." if above else ""
    raise MissingDataError(
        f"{path} has no table of attributes, which names pictures and what they have (.csv, .tsv or .txt).{higher}"
    )


def table_at(source: Source, name: str, path: Path) -> Table:
    """A table read: with commas, semicolons, tabs or, as CelebA's, spaces between its words; DataError.

    Its first column names files, unless another is called file, filename, image or image_id. CelebA's first line, a
    number, is left out, and its head has no word for the files.
    """
    try:
        text = source.read(name, MOST_BYTES).decode("utf-8-sig")
    except (Unreadable, UnicodeDecodeError) as error:
        raise DataError(f"{name} in {path} cannot be read as a table: {error}.") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].strip().isdecimal():
        lines = lines[1:]
    sign = next((sign for sign in (",", ";", "\t") if lines and sign in lines[0]), None)
    rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=sign)) if sign else [line.split() for line in lines]
    rows = [[word.strip() for word in row] for row in rows]
    if len(rows) < 2:
        raise DataError(f"{name} in {path} has no row below its head. Write a line of words for each picture.")
    head = rows[0] if len(rows[0]) == len(rows[1]) else ["file", *rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(head):
            raise DataError(
                f"{name} in {path} has {len(row)} words in row {number}, and {len(head)} columns: repair it."
            )
    if twice := sorted({column for column in head if head.count(column) > 1}):
        raise DataError(f"{name} in {path} has several columns {twice[0]!r}: rename one.")
    place = next((i for i, column in enumerate(head) if column.lower() in FILE_COLUMNS), 0)
    cut = lambda row: row[:place] + row[place + 1 :]
    files = [row[place].replace("\\", "/").removeprefix("./") for row in rows[1:]]
    if len({*files}) < len(files):
        first = next(file for i, file in enumerate(files) if file in files[:i])
        raise DataError(f"{name} in {path} has several rows for {first}: leave one of them.")
    return Table(name, cut(head), dict(zip(files, map(cut, rows[1:]), strict=True)))


FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "path")


def partners(names: Sequence[str], prefix: str, table: Table) -> dict[str, str]:
    """The row of each picture that has one, by the picture: by its whole name, that below the prefix, or its last part.

    The first of these ways by which any row is found holds for all; extensions may be left out.
    """
    folder = table.name.rpartition("/")[0]
    ways = [
        lambda name: name,
        lambda name: name.removeprefix(f"{folder}/" if folder else ""),
        lambda name: name.removeprefix(prefix),
        lambda name: name.rpartition("/")[2],
    ]
    for way in ways:
        for short in (lambda name: name, lambda name: name.rpartition(".")[0]):
            keys = {name: short(way(name)) for name in names}
            if len({*keys.values()}) == len(names) and any(key in table.rows for key in keys.values()):
                return {name: key for name, key in keys.items() if key in table.rows}
    return {}


# ---- what columns say -----------------------------------------------------------------------------------------------


def meanings(table: Table, wanted: Sequence[str] | None, path: Path) -> list[Meaning]:
    """What the wanted columns say, in their order; of null all that can be used. DataError."""
    for column in wanted or ():
        if column not in table.columns:
            near = meant(column, table.columns) or f"; it has {shorten(table.columns)}."
            raise DataError(f"attributes: {table.name} in {path} has no column {column!r}{near}")
    found = []
    for column in table.columns if wanted is None else wanted:
        try:
            found.append(meaning(column, table.words(column)))
        except ValueError as error:
            if wanted is not None:
                raise DataError(f"attributes: the column {column} of {table.name} in {path} {error}.") from error
    if not found:
        raise DataError(f"{table.name} in {path} has no column that says yes or no, or has 2 to {MOST_VALUES} values.")
    return found


def meaning(column: str, words: Iterable[str]) -> Meaning:
    """What a column says by its words; ValueError, with the end of a sentence."""
    words = set(words)
    plainly = {plain(word) for word in words}
    switch = next((pair for pair in SWITCHES if len(plainly) == 2 and plainly <= {*pair}), None)
    if switch:
        return Meaning(column, switch, True)
    values = sorted({word or NONE for word in words})
    if len(values) == 1:
        raise ValueError(f"says {values[0]} of each picture, so that nothing can be learned of it: leave it out")
    if len(values) > MOST_VALUES:
        raise ValueError(f"has {len(values):,} values, which are too many for a group (2 to {MOST_VALUES})")
    return Meaning(column, tuple(values), False)


def plain(word: str) -> str:
    """A word of a switch: in small letters, and 1.0 as 1."""
    return word.lower().removesuffix(".0")


def encoded(rows: Sequence[list[str]], columns: Sequence[str], said: Sequence[Meaning], name: str) -> Tensor:
    """Rows of words as attributes, float32 [N, A]; DataError for what the table that gave the meanings has not."""
    if missing := [each.column for each in said if each.column not in columns]:
        raise DataError(f"{name} lacks the column {missing[0]}, which the training's table has: add it.")
    places, found = [columns.index(each.column) for each in said], []
    for row in rows:
        numbers = []
        for place, each in zip(places, said, strict=True):
            try:
                numbers += each.read(row[place])
            except ValueError:
                what = f"{row[place]!r} in its column {each.column}, where others say {', '.join(each.values)}"
                raise DataError(f"{name} says {what}: repair it, or leave the column out.") from None
        found.append(numbers)
    return torch.tensor(found)


def read_meanings(source: Source, names: list[str], split: str | None, wanted, table: Table, table_name, path: Path):
    """What columns say: those of the training's table, where the split is one to judge with and has one of its own."""
    if is_held_out(split) and table_name is None:
        try:
            name = table_of(source, choose(names, "train", path).prefix, None, path)
            table = table_at(source, name, path) if name != table.name else table
        except MissingDataError:
            pass
    return meanings(table, wanted, path)


def count_attributes(path: str, split: str | None, wanted: Sequence[str] | None, table: str | None) -> int:
    """How many attributes the pictures of a folder or zip file have, by their table alone. Raises DataError."""
    place = Path(path).expanduser()
    source = open_source(place)
    names = [name for name in source.files if name.lower().endswith(EXTENSIONS)]
    if not names:
        return 0
    own = table_at(source, table_of(source, choose(names, split, place).prefix, table, place), place)
    return sum(len(each.names) for each in read_meanings(source, names, split, wanted, own, table, place))
