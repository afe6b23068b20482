"""A small classifier that has learned the labels of the data itself."""

from gan_lab.datasets import Dataset
from gan_lab.errors import DataError
from gan_lab.metrics import Extractor, PerColour
from gan_lab.metrics.classifier import classifier
from gan_lab.runs.references import labelled


def extractor(config: dict, dataset: Dataset, *, seed: int = 0, architecture: str = "plain", **options) -> Extractor:
    """A classifier of this data, of one colour at a time where each is a picture; DataError if it learned nothing."""
    grey = classifier(labelled(config, dataset), seed, architecture)
    if grey.says_little:
        how = f"{grey.accuracy:.2%} right on held-out pictures of {grey.classes} classes"
        raise DataError(f"The classifier has learned nothing of this data ({how}): choose extractor=pixels.")
    return grey if dataset.digits is None else PerColour(grey)
