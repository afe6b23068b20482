"""Pairs of what was and what comes: some frames of a film, and the one after them."""

import torch
from torch import Tensor

from gan_lab.datasets.base import Batch, check_fact
from gan_lab.datasets.inner import check_of
from gan_lab.datasets.lazy import Lazy
from gan_lab.datasets.moving import Moving


class NextFrame(Lazy):
    """The "source" is the last `past` frames, the oldest first and their channels one after the other.

    The "image" is the next frame. Row i begins at frame i % (length - past) of clip i // (length - past). Mathieu et
    al. 2016, Deep multi-scale video prediction (arXiv 1511.05440), section 2.
    """

    paired = True

    def __init__(
        self,
        of: Moving,
        past: int = 2,
        channels: int = 1,
        source_channels: int | None = None,
        image_size: int | list[int] | None = 32,
        num_classes: int = 0,
    ):
        if not isinstance(of, Moving):
            raise ValueError("of must be clips: choose them with dataset.of=moving_digits or moving_shapes.")
        check_of(of, channels, image_size)
        if not 0 < past < of.length:
            raise ValueError(f"past={past} must be at least 1 and less than dataset.of.length={of.length} frames.")
        found = past * of.channels
        check_fact("source_channels", source_channels if source_channels is not None else found, found)
        check_fact("num_classes", num_classes, 0)
        self.of, self.past, self.starts = of, past, of.length - past
        super().__init__(of.channels, of.image_size, source_channels=found)

    def __len__(self) -> int:
        return self.of.clips * self.starts

    def pictures(self, indices: Tensor) -> Batch:
        times = indices[:, None] % self.starts + torch.arange(self.past + 1)  # [B, past + 1]
        frames = self.of.frames(indices // self.starts, times)  # [B, past + 1, H, W, C]
        source = frames[:, : self.past].movedim(1, 3).flatten(3)  # [B, H, W, past * C]
        return {"image": frames[:, self.past], "source": source}

    def sequence(self, index: int, length: int) -> Tensor:
        """The true frames from the first of row `index` on, also beyond its clip: float32 [length, C, H, W] in [-1, 1].

        The first `past` of them, with `flatten(0, 1)`, are the row's source, and the next is its image.
        """
        return self.of.sequence(index // self.starts, length, index % self.starts)

    def seen(self, source: Tensor) -> tuple[Tensor, ...]:
        return source.split(self.channels, dim=1)

    def describe(self) -> str:
        return f"{super().describe()}\n{self.past} frames, then the next, of {self.of.describe().splitlines()[1]}"
