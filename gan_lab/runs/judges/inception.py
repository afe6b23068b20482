"""Inception, as published FIDs are taken."""

from pathlib import Path

from gan_lab.datasets import Dataset
from gan_lab.datasets.download import download_file
from gan_lab.metrics import inception


def extractor(config: dict, dataset: Dataset, *, weights: Path | None = None, **options) -> inception.Inception:
    """Inception with these weights, or those in the cache."""
    return inception.Inception(weights or fetched_weights())


def fetched_weights() -> Path:
    """Inception's weights in the cache, downloaded when they are not there."""
    path = inception.cached_weights()
    if not path.is_file():
        download_file(path, [inception.ADDRESS], inception.SHA256, inception.missing(path), kind="sha256")
    return path
