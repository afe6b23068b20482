"""Any folder or zip file of pictures with a table that says of each what it has."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gan_lab.datasets.attributes import shares_of
from gan_lab.datasets.base import Batch, check_fact
from gan_lab.datasets.folder import Folder, count_extensions
from gan_lab.datasets.layout import Choice, choose, is_held_out, shorten
from gan_lab.datasets.table import count_attributes, encoded, partners, read_meanings, table_at, table_of
from gan_lab.errors import DataError


class AttributeFolder(Folder):
    """Pictures as `Folder` finds and decodes them, with the attributes of a table that lies beside them.

    The table of train is train.csv beside that folder, or the only .csv, .tsv or .txt in it, or above it; `table` names
    another one. Each row names a file, with or without folders and extension; rows without a picture are left out, and
    pictures without a row are an error, or left out too with `on_error=skip`.

    `attributes` chooses columns, in the order asked for; null takes all that can be used. One that says 0 and 1, -1 and
    1, no and yes, or false and true is one attribute of its name. One of 2 to 12 other values, an empty cell being the
    value none, is a group of which each picture has one: an attribute for each value, named `column=value`, in the
    alphabet's order. What a split to judge with has is read as in train. `num_attributes` counts them; null takes the
    count as found. Raises DataError.
    """

    def __init__(
        self,
        path: str,
        split: str | None = None,
        attributes: list[str] | None = None,
        table: str | None = None,
        on_error: Literal["stop", "skip"] = "stop",
        max_pixels: int = 50_000_000,
        background: int | list[int] = 255,
        range: list[int] | None = None,
        cache: str = "auto",
        flip: bool = False,
        jitter: int = 0,
        channels: int = 3,
        image_size: int | list[int] = 64,
        num_classes: int = 0,
        num_attributes: int | None = None,
    ):
        check_fact("num_classes", num_classes, 0)
        self.asked = attributes, table, on_error == "skip"
        super().__init__(
            path, split, on_error, max_pixels, background, range, cache, flip, jitter, channels, image_size, num_classes
        )
        self.attribute_names = [name for each in self.said for name in each.names]
        count = len(self.attribute_names)
        if num_attributes not in (None, count):
            raise ValueError(
                f"num_attributes={num_attributes}, but there are {count}: set dataset.num_attributes={count}, or null."
            )
        place = {name: number for number, name in enumerate(self.attribute_names)}
        self.attribute_groups = [[place[name] for name in each.names] for each in self.said if not each.is_switch]
        rows = [self.table.rows[self.rows_of[name]] for name in self.names]
        values = encoded(rows, self.table.columns, self.said, self.table.name)
        fixed = [] if is_held_out(split) else [self.attribute_names[i] for i in unvaried(values)]
        if fixed:
            raise DataError(
                f"{self.table.name} in {self.path} says the same of all {len(self):,} pictures in {shorten(fixed)}, so "
                "that nothing can be learned of it: leave that column out of dataset.attributes."
            )
        self.extras, self.gives = {"attributes": values}, (*self.gives, "attributes")
        self.others = count_extensions({*self.source.files} - self.pictures - {self.table.name})

    def chosen(self, names: list[str], split: str | None) -> Choice:
        attributes, table, may_skip = self.asked
        choice = choose(names, split, self.path)
        self.pictures = {*names}
        self.table = table_at(self.source, table_of(self.source, choice.prefix, table, self.path), self.path)
        self.said = read_meanings(self.source, names, split, attributes, self.table, table, self.path)
        self.rows_of = partners(choice.names, choice.prefix, self.table)
        if not self.rows_of:
            row, picture = next(iter(self.table.rows)), choice.names[0]
            raise DataError(
                f"{self.table.name} in {self.path} names none of the {len(choice.names):,} pictures: its first row is "
                f"of {row!r}, and the first picture is {picture!r}. Set dataset.table to their table, or dataset.path "
                "to the folder that holds both."
            )
        self.without_row = [name for name in choice.names if name not in self.rows_of]
        self.without_picture = len(self.table.rows) - len({*self.rows_of.values()})
        if self.without_row and not may_skip:
            raise DataError(
                f"{self.table.name} in {self.path} has no row for {len(self.without_row):,} of {len(choice.names):,} "
                f"pictures: {shorten(self.without_row)}. Add them, or leave the pictures out with "
                "dataset.on_error=skip."
            )
        return Choice(choice.prefix, [name for name in choice.names if name in self.rows_of], choice.skipped)

    def batch(self, image: Tensor, indices: Tensor | slice = slice(None)) -> Batch:
        return {**super().batch(image, indices), "attributes": self.extras["attributes"][indices]}

    @classmethod
    def numbers(cls, settings: dict[str, Any]) -> dict[str, int | None]:
        words = (settings.get(name) for name in ("split", "attributes", "table"))
        return {"num_attributes": count_attributes(settings["path"], *words)}

    def describe(self) -> str:
        counts = {"rows without a picture": self.without_picture, "pictures without a row": len(self.without_row)}
        left = " and ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        return f"{super().describe()}\n{shares_of(self)}, by {self.table.name}{left and f'; left out {left}'}"


def unvaried(values: Tensor) -> Sequence[int]:
    """The attributes that all rows [N, A] agree in."""
    return torch.nonzero((values == values[0]).all(dim=0)).flatten().tolist()
