"""What an extractor saw of many pictures: moments and classes of all of them, features of the first ones."""

from collections.abc import Iterable

import torch
from torch import Tensor
from tqdm import tqdm

from gan_lab.metrics.classes import Classes
from gan_lab.metrics.extractors import Extractor
from gan_lab.metrics.moments import Moments

KEPT = 10_000  # pictures whose features are kept, for figures of neighbours and kernels


class Features:
    """What was gathered: `moments` of all, `features` [n, D] of the first KEPT, `classes` where there are any."""

    def __init__(self, moments: Moments, features: Tensor, classes: Classes | None):
        self.moments, self.features, self.classes = moments, features, classes

    @property
    def count(self) -> int:
        return self.moments.count

    def state_dict(self) -> dict:
        """Plain tensors and numbers, to be stored."""
        parts = {"moments": vars(self.moments), "features": self.features}
        return parts | ({"classes": vars(self.classes)} if self.classes else {})

    @classmethod
    def of(cls, state: dict) -> "Features":
        moments = Moments(0)
        vars(moments).update(state["moments"])
        classes = Classes(0) if "classes" in state else None
        if classes:
            vars(classes).update(state["classes"])
        return cls(moments, state["features"], classes)


@torch.no_grad()
def look(extractor: Extractor, batches: Iterable[Tensor], what: str = "pictures") -> Features:
    """Show batches of pictures, uint8 [N, C, H, W], to an extractor on their device, with a bar if that takes long."""
    moments, classes, kept = None, None, []
    for images in tqdm(batches, desc=what, unit="batch", delay=5, disable=None, leave=False):
        features, probabilities = extractor(images)
        features = features.float().cpu()
        moments = moments or Moments(features.shape[1])
        moments.add(features)
        kept.append(features[: max(0, KEPT - (moments.count - len(features)))])
        if probabilities is not None:
            classes = classes or Classes(probabilities.shape[1], extractor.splits)
            classes.add(probabilities)
    return Features(moments, torch.cat(kept), classes)


def bytes_of(images: Tensor) -> Tensor:
    """Pictures in [-1, 1] as the bytes that a file would hold, uint8."""
    return images.float().add(1).mul(127.5).round_().clamp_(0, 255).byte()
