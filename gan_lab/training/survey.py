"""What is in a dataset: its range, the balance of its classes, copies, and pictures that show nothing."""

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from gan_lab import pictures
from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen
from gan_lab.datasets.points import density
from gan_lab.training.loader import Loader
from gan_lab.training.machine import free_memory
from gan_lab.wording import counted

WHOLE_BYTES = 1 << 30  # a larger set is judged by a sample
SAMPLE = 20_000
PART = 1024  # rows looked at together
FLAT = 2.0  # grey levels of standard deviation, of 255: below, a picture shows nothing
UNEVEN = 3  # times as many samples in the largest class as in the smallest, where chance does not explain it
NEARLY = 1.25  # times as many, at most, where classes are called nearly even
LISTED = 10  # copies that are named


def survey(dataset: Dataset) -> Iterator[str]:
    """Sentences about a dataset; warnings begin with `warning:`."""
    indices = looked_at(dataset)
    if len(indices) < len(dataset):
        yield f"looked at a sample of {len(indices):,}"
    found = Found()
    for part in indices.split(PART):
        found.add(part, dataset.rows(part))
    yield from found.lines()
    yield from balance(dataset)


def looked_at(dataset: Dataset) -> Tensor:
    """All rows, or a sample of a large set in ascending order."""
    if len(dataset) <= SAMPLE or dataset.nbytes <= min(WHOLE_BYTES, free_memory() / 2):
        return torch.arange(len(dataset))
    return chosen(len(dataset), SAMPLE).sort().values


class Found:
    """What was seen of a set, part by part."""

    def __init__(self):
        self.count, self.sum, self.squares = 0, 0.0, 0.0
        self.low, self.high = float("inf"), -float("inf")
        self.first, self.copies, self.flat, self.beside = {}, [], [], {}
        self.is_image = False

    def add(self, indices: Tensor, rows: dict[str, Tensor]) -> None:
        data = rows["image"]  # [B, H, W, C] in 0 ... 255, or points [B, D]
        self.is_image = data.dim() == 4
        values = data.double().flatten(1, -2) if self.is_image else data.double().unsqueeze(1)  # [B, pixels, C]
        self.count += values.shape[0] * values.shape[1]
        self.sum, self.squares = self.sum + values.sum((0, 1)), self.squares + values.square().sum((0, 1))
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.beside |= {name: tuple(value.shape[1:]) for name, value in rows.items() if name != "image"}

        # Know a picture, with its source, again by its bytes
        if self.is_image:
            whole = torch.cat((data, rows["source"]), dim=3) if "source" in rows else data
            for i, row in zip(indices.tolist(), whole.numpy(), strict=True):
                before = self.first.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), i)
                self.copies += [(before, i)] if before != i else []
            deviation = values.std(dim=1, correction=0).amax(dim=1)  # [B], of the liveliest channel
            self.flat += indices[deviation < FLAT].tolist()

    def lines(self) -> Iterator[str]:
        mean = self.sum / self.count
        std = (self.squares / self.count - mean.square()).clamp(min=0).sqrt()
        if self.is_image:
            yield f"pixels from {self.low:.0f} to {self.high:.0f} of 0 to 255"
            mean, std = mean / 127.5 - 1, std / 127.5
        else:
            yield f"coordinates from {self.low:.3g} to {self.high:.3g}"
        where = "in [-1, 1], by channel: " if self.is_image else "by coordinate: "
        yield f"{where}mean {numbers(mean)}, standard deviation {numbers(std)}"
        for name, shape in self.beside.items():
            yield f"beside each sample: {name}{f' of {list(shape)}' if shape else ''}"
        if self.copies:
            pairs = listed(f"{i} = {j}" for i, j in self.copies)
            yield f"warning: {are(self.copies, 'exact copies', 'an exact copy')} of an earlier one: {pairs}"
        elif self.is_image:
            yield "no exact copies"
        if self.flat:
            yield f"warning: {are(self.flat, 'of nearly one colour')}: {listed(map(str, self.flat))}"


def balance(dataset: Dataset) -> Iterator[str]:
    """A warning about classes that are empty, alone or much larger than others."""
    if not dataset.classes:
        return
    counts = torch.bincount(dataset.labels, minlength=dataset.num_classes)
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] == counts[least]:
        yield f"each of the {dataset.num_classes} classes has {counts[most]:,} samples"
        return
    share = f"{dataset.classes[most]} has {counts[most]:,} and {dataset.classes[least]} {counts[least]:,} samples"
    if int((counts > 0).sum()) == 1:
        yield f"warning: all samples are of one class, {dataset.classes[most]}"
    elif counts[most] > UNEVEN * counts[least] and counts.double().var() > 2 * counts.double().mean():  # by chance: 1
        empty = int((counts == 0).sum())
        yield f"warning: the classes are uneven: {share}" + (f"; {empty} are empty" if empty else "")
    else:
        kind = "nearly even" if counts[most] <= NEARLY * counts[least] else "as uneven as a random choice"
        yield f"the classes are {kind}: {share}"


def first_samples(dataset: Dataset, count: int | None, seed: int) -> Tensor:
    """What the critic gets first in a training of this seed: images [N, C, H, W] in [-1, 1], or points [N, D].

    With sources each is a picture of both side by side. `count` is 64 images or 2,000 points where it is not given.
    """
    count = count or (64 if dataset.image_size else 2000)
    loader = Loader(dataset, min(count, len(dataset)), seed=seed, resident=False)
    loader.ahead.batches = 0
    (batch,) = loader.batch(0)
    return dataset.side_by_side(batch) if dataset.source_channels else batch["image"]


def plot(points: Tensor) -> np.ndarray:
    """Points [N, 1] as a density over the line, [N, 2] or more by their first two coordinates in the plane."""
    if points.shape[1] == 1:
        flat = points.flatten()
        line = torch.linspace(float(flat.min()) - 1, float(flat.max()) + 1, 401)
        curve = density(flat, line)
        return pictures.curves(line, [pictures.Line("real", curve, pictures.BLUE)], top=1.1 * float(curve.max()))
    points = points[:, :2]
    dots = pictures.Dots("real", points, pictures.BLUE, size=3.5, opacity=0.5)
    return pictures.scatter([dots], extent=1.1 * float(points.abs().max()))


def are(found: list, many: str, one: str | None = None) -> str:
    """`1 picture is an exact copy`, `2 pictures are exact copies`."""
    return f"{counted(len(found), 'picture')} {f'is {one or many}' if len(found) == 1 else f'are {many}'}"


def numbers(values: Tensor) -> str:
    return ", ".join(f"{value:.3f}" for value in values.tolist())


def listed(words: Iterator[str]) -> str:
    words = list(words)
    return ", ".join(words[:LISTED]) + (", ..." if len(words) > LISTED else "")
