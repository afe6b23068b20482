"""What every dataset answers: how much there is, the bytes of some rows, and how these become what a critic sees."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gan_lab import pictures
from gan_lab.datasets.decode import FULL
from gan_lab.rows import Rows
from gan_lab.wording import meant

Batch = dict[str, Tensor]
Critic = Callable[[Tensor], Tensor]
ONE_OF = {"label": "label", "domain": "domain", "to": "domain"}  # columns whose value is one of what is called so


class Dataset:
    """Images with or without labels: uint8 [N, H, W, C] at rest, float32 [B, C, H, W] in [-1, 1] in play.

    A subclass gives `load` (the whole set), `__len__`, and `rows` where loading the whole set is no way to get at a
    few. `labels` are the class numbers [N] when there are classes; `extras` [N, ...] is what else each sample carries.

    With `source_channels` each sample also has a "source" of the same size, which is to be translated into an "image":
    into that of its own row where the set is `paired`, else into any. `jitter`: at rest all sides are that many pixels
    longer than `image_size`, and a part of that size is cut out at random (Isola et al. 2017, arXiv 1611.07004, 6.2).
    """

    paired = False  # whether source i belongs to image i
    loose: tuple[str, ...] = ()  # what lies beside a row and does not belong to it; training deals it anew
    source_channels: int | None = None
    digits: "Dataset | None" = None  # the grey set of which each colour is a picture, where colours are judged apart
    exact_samples = 0  # how many generated samples `exact` wants to see; 0 where it has nothing to say
    attribute_names: Sequence[str] = ()  # of what "attributes" says
    attribute_groups: Sequence[Sequence[int]] = ()  # places of attributes of which each sample has exactly one
    decoding = (255, 255, 255), 50_000_000, FULL  # background, most pixels and range of 16 bits of a file's pixels
    exact_best: str | None = None  # which of its figures, higher being better, chooses a run's best checkpoint

    def __init__(
        self,
        channels: int,
        image_size: tuple[int, int] | None,
        labels: Tensor | None = None,
        classes: Sequence[str] = (),
        flip: bool = False,
        jitter: int = 0,
        source_channels: int | None = None,
        **extras: Tensor,
    ):
        check_jitter(jitter)
        self.channels, self.image_size, self.flip, self.jitter = channels, image_size, flip, jitter
        self.source_channels = source_channels
        self.labels, self.classes, self.extras = labels, list(classes), extras
        self.num_classes = len(self.classes)
        self.cards = torch.empty(0, dtype=torch.int64)  # rows beside which each loose thing lies once
        self._whole: Batch | None = None
        named = {"source": source_channels, "label": self.classes}
        self.gives = ("image", *(name for name, there in named.items() if there), *extras)

    @property
    def vocabulary(self) -> dict[str, list[str]]:
        """The words for the values of a column, by the column: of classes, and of attributes where there are any."""
        attributes = {"attributes": list(self.attribute_names)} if self.attribute_names else {}
        return {"label": list(self.classes), **attributes}

    def encode(self, column: str, words: Sequence[str]) -> Tensor:
        """The value of a column that words mean: `("label", ["3"])`, `("attributes", ["red", "circle"])`.

        A class is its number, attributes are [A] of 0 and 1. ValueError, with a sentence, for words that mean nothing.
        """
        return encoded(column, words, self.vocabulary)

    def readable(self, column: str, values: Tensor) -> tuple[str, Tensor] | None:
        """What a reader of pictures can be held to, given values [N, ...] of a column; None where it can read nothing.

        The column that it learns to read, and what of it the values ask for: of labels and attributes these themselves.
        """
        return (column, values) if column in ("label", "attributes") and column in self.gives else None

    @property
    def empty_classes(self) -> list[str]:
        """The classes that no sample is of."""
        counts = torch.bincount(self.labels, minlength=self.num_classes).tolist() if self.labels is not None else ()
        return [name for name, count in zip(self.classes, counts, strict=False) if not count]

    def __len__(self) -> int:
        raise NotImplementedError

    def load(self) -> Batch:
        raise NotImplementedError

    @classmethod
    def numbers(cls, settings: dict[str, Any]) -> dict[str, int | None]:
        """The numbers, of those in its settings, that its files tell before a picture is read, such as num_classes.

        `settings` are those of its node, with a `path`. Raises DataError.
        """
        return {}

    def look(self, count: int) -> list[tuple[int, bool]]:
        """The shorter side of pictures as they are kept, and whether each is grey; of `count` rows at random."""
        return [(min(self.image_size), self.channels == 1)] if self.image_size else []

    @property
    def stored_size(self) -> tuple[int, int]:
        """The sides of pictures at rest."""
        height, width = self.image_size
        return height + self.jitter, width + self.jitter

    @property
    def nbytes(self) -> int:
        """Memory that `tensors` takes; known before anything is decoded."""
        height, width = self.stored_size
        pixels_and_label = height * width * (self.channels + (self.source_channels or 0)) + 8 * bool(self.classes)
        return len(self) * pixels_and_label + sum(extra.nbytes for extra in self.extras.values())

    def tensors(self) -> Batch:
        """The whole set: "image" uint8 [N, H, W, C] (points: float32 [N, D]) and, with classes, "label" int64 [N]."""
        if self._whole is None:  # no cached_property: Python 3.11's lock is one for all datasets, and these may nest
            self._whole = self.load()
        return self._whole

    def rows(self, indices: Tensor) -> Batch:
        """Some rows of `tensors`, in the order asked for; several threads may ask at once."""
        return {name: whole[indices] for name, whole in self.tensors().items()}

    @property
    def decks(self) -> dict[str, tuple[tuple[str, ...], Tensor]]:
        """By its name, what each deck deals together, and its cards: one deck for all that is `loose`, unless more."""
        return {"deck": (self.loose, self.cards)} if self.loose else {}

    def dealt(self, indices: Tensor, others: dict[str, Tensor]) -> Batch:
        """Some rows, with what is loose taken from the `others` of its column; a subclass may read less for it."""
        return {**self.rows(indices), **{name: self.rows(which)[name] for name, which in others.items()}}

    def prepare(self, rows: Batch, bits: Tensor) -> Batch:
        """Rows as they are played, on their device; `bits` [B] are random, and the lowest one flips an image.

        The next thirty choose the part that `jitter` leaves; zeros give the middle, as it lies. A paired source has the
        fate of its image, another one that of the next 31 bits. Bytes 0 and 255 become exactly -1 and 1. The images are
        channels_last in memory: nothing is moved.
        """
        played = {"image": in_play(self.varied(rows["image"], bits))}
        if self.source_channels:
            played["source"] = in_play(self.varied(rows["source"], bits if self.paired else bits >> 31))
        return {**rows, **played}

    def complaints(self, parts, name: str = "dataset") -> Iterator[str]:
        """Why it cannot be trained on with these parts (`gan_lab.config.compat.Parts`), each with a remedy."""
        settings = parts.settings
        batch = settings.batch_size * settings.accumulate
        if batch > len(self):
            fits = max(1, len(self) // (settings.accumulate * parts.world_size)) * parts.world_size
            yield (
                f"One batch takes {batch} samples and the dataset has {len(self)}: 0 batches per epoch. "
                f"Set trainer.batch_size={fits}."
            )

    def columns(self, indices: Tensor, *names: str, device: torch.device | str = "cpu") -> Rows:
        """Some rows in play, unvaried: all of their columns, or those of these names; labels without their pictures."""
        light = {"label": self.labels, **self.extras}
        if names and not set(names) - light.keys():
            return Rows({name: light[name][indices].to(device) for name in names})
        rows = {name: values.to(device) for name, values in self.rows(indices).items()}
        played = Rows(self.prepare(rows, torch.zeros(len(indices), dtype=torch.int64, device=device)))
        return played.only(*names) if names else played

    def varied(self, pixels: Tensor, bits: Tensor) -> Tensor:
        """Stored pictures uint8 [B, h, w, C], cut and flipped as `bits` [B] say: [B, H, W, C]."""
        if self.jitter:
            top, left = (((bits >> first & 0x7FFF) + self.jitter // 2) % (self.jitter + 1) for first in (1, 16))
            pixels = cut(pixels, top, left, self.image_size)
        if self.flip:
            pixels = torch.where((bits & 1).bool()[:, None, None, None], pixels.flip(2), pixels)
        return pixels

    def plain(self, indices: Tensor) -> Batch:
        """Some rows as they are judged: with what `jitter` leaves in the middle of pictures, uint8 [B, H, W, C]."""
        rows = self.rows(indices)
        if not self.jitter:
            return rows
        (height, width), start = self.image_size, self.jitter // 2
        middle = slice(None), slice(start, start + height), slice(start, start + width)
        return {**rows, **{name: rows[name][middle] for name in ("image", "source") if name in rows}}

    def once(self, column: str) -> Tensor:
        """The rows in which each value of a column lies once: all, but of what is loose and so repeated."""
        return next((cards for names, cards in self.decks.values() if column in names), torch.arange(len(self)))

    def truth(self, source: Tensor, **conditions: Tensor) -> Tensor | None:
        """What sources, float [N, C, H, W] in [-1, 1], are to become; None where no formula tells.

        `conditions` are the columns beside them that a game translates by, such as the domain asked for.
        """
        return None

    def styled(self, column: str, pixels: Tensor) -> Tensor | None:
        """Pictures of the set that this one is made `of`, uint8 [N, H, W, C], as those of a column are.

        None where the classes of that set say nothing of the column's pictures.
        """
        return None

    def side_by_side(self, batch: Batch) -> Tensor:
        """Sources and images of a batch in play as one picture each, [B, 3, H, W of all]."""
        parts = (*self.seen(batch["source"]), batch["image"])
        return torch.cat([part.expand(-1, 3, -1, -1) for part in parts], dim=3)

    def seen(self, source: Tensor) -> tuple[Tensor, ...]:
        """Sources [B, C, H, W] as a person looks at them: pictures [B, 1 or 3, H, W] to be laid side by side."""
        return (source[:, : 1 if self.source_channels < 3 else 3],)

    def describe(self) -> str:
        """What was found, in one to three lines."""
        height, width = self.image_size
        what = f"{tones(self.channels)} images"
        if self.source_channels:
            what = f"{'pairs' if self.paired else 'unpaired rows'}, {tones(self.source_channels)} to {what}"
        return f"{len(self):,} {what} of {height} x {width} pixels in [-1, 1], {self.describe_classes()}"

    def describe_classes(self) -> str:
        if not self.classes:
            return "no labels"
        counts = torch.bincount(self.labels, minlength=self.num_classes).tolist()
        if self.num_classes > 12:
            empty = self.empty_classes
            alone = f"; no image is of class {', '.join(empty[:5])}{', ...' if len(empty) > 5 else ''}" if empty else ""
            return f"{self.num_classes} classes of {min(counts):,} to {max(counts):,} images{alone}"
        listed = ", ".join(f"{name}: {count:,}" for name, count in zip(self.classes, counts, strict=True))
        return f"{self.num_classes} classes ({listed})"

    def draw(self, views: Batch, critic: Critic | None = None) -> dict[str, np.ndarray]:
        """Pictures uint8 [H, W, 3] of named sample sets; `critic` gives raw scores and shades plots of points."""
        return {name: pictures.table(images) for name, images in views.items()}

    def exact(self, samples: Tensor) -> dict[str, float]:
        """Judgements of generated samples where the truth is a formula; of images there are none."""
        return {}


class Stored(Dataset):
    """A labelled set of pictures that its file holds decoded: [N, h, w, C], resized when another size is asked for.

    `share` of them are kept, always the same ones, as if there were no more: for training with little data.
    """

    def __init__(
        self,
        pixels: Tensor,
        image_size: int,
        labels: Tensor,
        classes: Sequence[str],
        flip: bool = False,
        share: float = 1.0,
    ):
        check_image_size(image_size)
        if not 0 < share <= 1:
            raise ValueError(f"share={share} must lie above 0 and be 1 at most, for example 0.1.")
        if share < 1:
            kept = chosen(len(pixels), max(1, round(share * len(pixels)))).sort().values
            pixels, labels = pixels[kept], labels[kept]
        super().__init__(pixels.shape[3], (image_size, image_size), labels, classes, flip)
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def load(self) -> Batch:
        return {"image": resize(self.pixels, self.image_size), "label": self.labels}


def encoded(column: str, words: Sequence[str], names: dict[str, Sequence[str]]) -> Tensor:
    """The value of a column that words mean, where `names` are the words of its values, by the column; ValueError."""
    known = names.get(column)
    if not known:
        raise ValueError(f"{column}={','.join(words)} means nothing in this data, which has no words for it.")
    for word in words:
        if word not in known:
            there = f"; there are {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}"
            kind = ONE_OF.get(column, column.removesuffix("s"))
            raise ValueError(f"there is no {kind} {word!r}{meant(word, known) or there}")
    if column in ONE_OF:
        if len(words) != 1:
            kind = "class" if column == "label" else ONE_OF[column]
            raise ValueError(f"{column}={','.join(words)} must name one {kind}.")
        return torch.tensor(known.index(words[0]))
    return torch.tensor([float(name in words) for name in known])


def chosen(count: int, most: int | None = None, seed: int = 0) -> Tensor:
    """A fixed random choice of at most `most` rows of a set of `count`, or all of them in a random order.

    The first rows are no choice: folders and files are sorted by class.
    """
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most]


def in_play(pixels: Tensor) -> Tensor:
    """Bytes [B, H, W, C] as float32 [B, C, H, W] in [-1, 1]."""
    return pixels.float().sub_(127.5).mul_(1 / 127.5).permute(0, 3, 1, 2)


def cut(pixels: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Of each picture [B, h, w, C] the part of `size` whose corner lies at (top, left) [B]: [B, H, W, C]."""
    each, rows, columns = (torch.arange(many, device=pixels.device) for many in (len(pixels), *size))
    rows, columns = top[:, None] + rows, left[:, None] + columns
    return pixels[each[:, None, None], rows[:, :, None], columns[:, None, :]]


def tones(channels: int) -> str:
    return {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures [N, h, w, C] with values 0 to 255, resized (bicubic, with antialias) to uint8 [N, H, W, C]."""
    if pixels.dtype == torch.uint8 and pixels.shape[1:3] == size:
        return pixels
    parts = [
        interpolate(part.permute(0, 3, 1, 2).float(), size, mode="bicubic", antialias=True).clamp(0, 255).round().byte()
        for part in pixels.split(1024)
    ]
    return torch.cat(parts).permute(0, 2, 3, 1).contiguous()


def check_image_size(*sides: int) -> None:
    for side in sides:
        if side < 1:
            raise ValueError(f"image_size={side} must be at least 1 pixel, for example 32.")


def check_jitter(jitter: int) -> None:
    if jitter < 0:
        raise ValueError(f"jitter={jitter} must be 0 or more pixels, for example 30 where image_size=256.")


def check_fact(name: str, given: int | None, true: int | None) -> None:
    """A fact stands in the YAML for models to read; it can be stated, but not chosen."""
    if given != true:
        fact = "null" if true is None else true
        raise ValueError(f"{name}={given} is not a fact of this dataset: leave {name}={fact}.")


def check_choice(name: str, given: str, choices: Sequence[str]) -> None:
    if given not in choices:
        raise ValueError(f"{name}={given} must be one of {', '.join(choices)}.")
