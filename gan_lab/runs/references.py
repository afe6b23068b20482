"""What samples are judged against, and what readers of pictures learn from: the splits of a run's data."""

from dataclasses import replace

import torch
from torch import Tensor

from gan_lab.config.build import build_dataset
from gan_lab.config.dataset_nodes import levels, with_known
from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen
from gan_lab.errors import ConfigError, DataError, MissingDataError
from gan_lab.metrics.classifier import Labelled

LEARNT = (60_000, 10_000)  # pictures that a classifier learns from and is examined with, at most


def reference_of(config: dict, dataset: Dataset, say=print, wanted: str | None = None) -> tuple[Dataset, str]:
    """What a report is made against, and its name: the test split, or the training data where nothing is held out.

    `wanted` is another split; ConfigError where the data has none of that name.
    """
    name = split_of(config)
    if dataset.image_size is None:
        if wanted is not None:
            raise ConfigError(f"reference={wanted} is for images; points have a known distribution: leave it out.")
        return dataset, "truth"
    if wanted is not None:
        return split_named(config, dataset, wanted), wanted
    test = None if name in ("all", "test") else other_split(config, "test")
    if test is not None:
        return test, "test"
    why = {"all": "The run was trained on all splits", "test": "The run was trained on the test split"}
    say(f"{why.get(name, 'This data has no test split')}: the reference is the training data.")
    return dataset, name


def split_named(config: dict, dataset: Dataset, split: str) -> Dataset:
    """All of the data of one split; ConfigError where there is none of that name."""
    if any("split" in level for level in levels(config["dataset"])):
        try:
            return whole_split(config, split)
        except (ConfigError, DataError) as error:
            if split != split_of(config):
                raise ConfigError(f"reference={split} is no split of this data: {error}") from error
    elif split != split_of(config):
        raise ConfigError(f"reference={split} is no split of this data, which has train alone.")
    return dataset


def other_split(config: dict, split: str) -> Dataset | None:
    """All of the same data with another split, also of what a dataset is made of; None where there is none.

    Raises DataError where there is one, and something is wrong with it.
    """
    if not any("split" in level for level in levels(config["dataset"])):
        return None
    try:
        return whole_split(config, split)
    except (ConfigError, MissingDataError):
        return None


def whole_split(config: dict, split: str) -> Dataset:
    return build_dataset({**config, "dataset": with_known(config["dataset"], split=split, share=1.0, jitter=0)})


def split_of(config: dict) -> str:
    """The split that a run is trained on; what has none is taken for train."""
    return next((level["split"] for level in levels(config["dataset"]) if "split" in level), None) or "train"


def are_apart(split: str, other: str) -> bool:
    """Whether two splits share no pictures, by their names: train and train+unlabeled do, and all shares with any."""
    return "all" not in (split, other) and split not in other and other not in split


def labelled(config: dict, dataset: Dataset, key: str = "label") -> Labelled:
    """What a classifier of this data learns from: train and test split, or four fifths and a fifth of what there is.

    `key`: what the pictures are labelled with, "label" or "attributes".
    """
    if key not in dataset.gives:
        what = f"{key.removesuffix('s')}s"
        raise ConfigError(f"This data has no {what}, so that no classifier can learn from it: choose extractor=pixels.")
    settings = [level for level in levels(config["dataset"]) if "split" in level]
    is_whole = bool(settings) and settings[0]["split"] in (None, "train") and settings[0].get("share", 1.0) == 1.0
    train = dataset if is_whole else other_split(config, "train")
    train, test = digits_of(train or dataset), digits_of(other_split(config, "test")) if train else None
    test = test if test and key in test.gives else None
    order = in_any_order(train)
    fifth = 0 if test else len(order) // 5
    held = in_any_order(test)[: LEARNT[1]] if test else order[:fifth][: LEARNT[1]]
    learnt, examined = train.plain(order[fifth:][: LEARNT[0]]), (test or train).plain(held)
    pictures = [rows["image"].permute(0, 3, 1, 2) for rows in (learnt, examined)]
    count = train.num_classes if key == "label" else learnt[key].shape[1]
    return Labelled(pictures[0], learnt[key], pictures[1], examined[key], count)


def labelled_as(config: dict, dataset: Dataset, column: str) -> Labelled | None:
    """What a classifier of one column's pictures learns from, by the labels of the set that they are made of, or None.

    Pictures of both halves are made alike for it: a reader may see what a game may not.
    """
    none = torch.zeros(0, *dataset.image_size, dataset.channels, dtype=torch.uint8)
    if dataset.styled(column, none) is None:
        return None
    data = labelled({**config, "dataset": config["dataset"]["of"]}, dataset.of)
    style = lambda images: dataset.styled(column, images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return replace(data, images=style(data.images), test_images=style(data.test_images))


def in_any_order(dataset: Dataset) -> Tensor:
    """The rows of a set's pictures in a fixed random order, none of them twice."""
    rows = dataset.once("image")
    return rows[chosen(len(rows))]


def digits_of(dataset: Dataset | None) -> Dataset | None:
    """The grey digits of a stacked set, from which a judge of one colour learns; any other set as it is."""
    return dataset.digits if dataset is not None and dataset.digits is not None else dataset
