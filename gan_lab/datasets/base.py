"""What every dataset answers: how much there is, the bytes of some rows, and how these become what a critic sees."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gan_lab import pictures

Batch = dict[str, Tensor]
Critic = Callable[[Tensor], Tensor]


class Dataset:
    """Images with or without labels: uint8 [N, H, W, C] at rest, float32 [B, C, H, W] in [-1, 1] in play.

    A subclass gives `load` (the whole set), `__len__`, and `rows` where loading the whole set is no way to get at a
    few. `labels` are the class numbers [N] when there are classes; `extras` [N, ...] is what else each sample carries.
    """

    exact_samples = 0  # how many generated samples `exact` wants to see; 0 where it has nothing to say
    exact_best: str | None = None  # which of its figures, higher being better, chooses a run's best checkpoint

    def __init__(
        self,
        channels: int,
        image_size: tuple[int, int] | None,
        labels: Tensor | None = None,
        classes: Sequence[str] = (),
        flip: bool = False,
        **extras: Tensor,
    ):
        self.channels, self.image_size, self.flip = channels, image_size, flip
        self.labels, self.classes, self.extras = labels, list(classes), extras
        self.num_classes = len(self.classes)
        self._whole: Batch | None = None
        self.gives = ("image", *(("label",) if self.classes else ()), *extras)

    def __len__(self) -> int:
        raise NotImplementedError

    def load(self) -> Batch:
        raise NotImplementedError

    @property
    def nbytes(self) -> int:
        """Memory that `tensors` takes; known before anything is decoded."""
        height, width = self.image_size
        pixels_and_label = height * width * self.channels + 8 * bool(self.classes)
        return len(self) * pixels_and_label + sum(extra.nbytes for extra in self.extras.values())

    def tensors(self) -> Batch:
        """The whole set: "image" uint8 [N, H, W, C] (points: float32 [N, D]) and, with classes, "label" int64 [N]."""
        if self._whole is None:  # no cached_property: Python 3.11's lock is one for all datasets, and these may nest
            self._whole = self.load()
        return self._whole

    def rows(self, indices: Tensor) -> Batch:
        """Some rows of `tensors`, in the order asked for; several threads may ask at once."""
        return {name: whole[indices] for name, whole in self.tensors().items()}

    def prepare(self, rows: Batch, bits: Tensor) -> Batch:
        """Rows as they are played, on their device; `bits` [B] are random, and the lowest one flips an image.

        Bytes 0 and 255 become exactly -1 and 1. The images are channels_last in memory: nothing is moved.
        """
        pixels = rows["image"]  # [B, H, W, C]
        if self.flip:
            pixels = torch.where((bits & 1).bool()[:, None, None, None], pixels.flip(2), pixels)
        image = pixels.float().sub_(127.5).mul_(1 / 127.5)
        return {**rows, "image": image.permute(0, 3, 1, 2)}  # [B, C, H, W]

    def describe(self) -> str:
        """What was found, in one to three lines."""
        height, width = self.image_size
        colour = "grey" if self.channels == 1 else "colour"
        return f"{len(self):,} {colour} images of {height} x {width} pixels in [-1, 1], {self.describe_classes()}"

    def describe_classes(self) -> str:
        if not self.classes:
            return "no labels"
        counts = torch.bincount(self.labels, minlength=self.num_classes).tolist()
        if self.num_classes > 12:
            return f"{self.num_classes} classes of {min(counts):,} to {max(counts):,} images"
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
            order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
            kept = order[: max(1, round(share * len(pixels)))].sort().values
            pixels, labels = pixels[kept], labels[kept]
        super().__init__(pixels.shape[3], (image_size, image_size), labels, classes, flip)
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def load(self) -> Batch:
        return {"image": resize(self.pixels, self.image_size), "label": self.labels}


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


def check_fact(name: str, given: int | None, true: int | None) -> None:
    """A fact stands in the YAML for models to read; it can be stated, but not chosen."""
    if given != true:
        fact = "null" if true is None else true
        raise ValueError(f"{name}={given} is not a fact of this dataset: leave {name}={fact}.")


def check_choice(name: str, given: str, choices: Sequence[str]) -> None:
    if given not in choices:
        raise ValueError(f"{name}={given} must be one of {', '.join(choices)}.")
