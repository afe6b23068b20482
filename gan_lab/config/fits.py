"""What composes: parts are built with narrow networks, on facts in place of files, and compat is asked."""

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gan_lab.config import compat
from gan_lab.config.build import build_dataset, build_game, resolve
from gan_lab.config.choices import choices
from gan_lab.config.compose import compose, recompose
from gan_lab.config.dataset_nodes import levels
from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Dataset
from gan_lab.errors import ConfigError, DataError

NARROW = 8  # channels of each network: what fits does not depend on them
GAP = re.compile(r"(dataset\.[\w.]+) must be given")
ON_DISK = {"root", "path", "download"}  # a dataset with one of these settings reads files


class Facts(Dataset):
    """A dataset of which only the facts in its YAML are known: its files need not be there."""

    def __init__(
        self,
        channels: int,
        image_size: int | list[int],
        num_classes: int | None,
        source_channels: int | None = None,
        paired: bool = False,
    ):
        sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        classes = [str(number) for number in range(num_classes or 0)]
        super().__init__(channels, sides, classes=classes, source_channels=source_channels)
        self.paired = paired

    def __len__(self) -> int:
        return 2**31


def complaints(words: list[str]) -> list[str] | None:
    """Why the parts that the words choose cannot train together, each with its remedy; empty if they can.

    None where only the dataset's files can tell. `dataset.*` settings that must be given are made up.
    """
    try:
        config = composed(words)
        narrow(config["model"])
        dataset, game = dataset_of(config), build_game(config)
    except ConfigError as error:
        return [line.strip() for line in str(error).splitlines() if not line.endswith("settings cannot be used:")]
    except DataError:
        return None
    if isinstance(dataset, Facts) and not set(game.needs) <= set(dataset.gives):
        return None
    return compat.complaints(
        compat.Parts(dataset, game, TrainerSettings(**config["trainer"]), config["optimizer_overrides"])
    )


def dataset_of(config: dict[str, Any]) -> Dataset:
    """The dataset itself, or its facts where it reads files."""
    node = config["dataset"]
    is_on_disk = any(ON_DISK & level.keys() for level in levels(node))
    return facts_of(node, config["trust"]) if is_on_disk else built(json.dumps([node, config["trust"]]))


def facts_of(node: dict[str, Any], trust: Sequence[str] = ()) -> Facts:
    paired = resolve(node["_target_"], tuple(trust)).paired
    return Facts(node["channels"], node["image_size"], node["num_classes"], node.get("source_channels"), paired)


@cache
def built(node_and_trust: str) -> Dataset:
    node, trust = json.loads(node_and_trust)
    return build_dataset({"dataset": node, "trust": trust})


def composed(words: list[str]) -> dict[str, Any]:
    """The configuration, with texts for what its dataset leaves open, such as a path."""
    try:
        return recompose(words)
    except ConfigError as error:
        gaps = GAP.findall(str(error))
        if not gaps:
            raise
    return compose([*words, *(f"++{key}=made-up" for key in gaps)])


def narrow(node: Any) -> None:
    """Every network of a model at a few channels."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if name == "width":
            node[name] = NARROW
        narrow(value)


def playground(words: list[str]) -> str:
    """The choice of a dataset with which the words fit, digits if they do: there other things are asked of them.

    One that reads files is chosen where no other fits.
    """
    files = choices("dataset")
    names = sorted(files, key=lambda name: (name != "digits", bool(ON_DISK & read_yaml(files[name]).keys())))
    return next((place for name in names if complaints([*words, place := f"dataset={name}"]) == []), "dataset=digits")


@cache
def read_yaml(file: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(file.read_text(encoding="utf-8"))


def complaints_anywhere(words: list[str], model: str) -> list[str] | None:
    """The complaints about words and a model on digits, or on what suits the model."""
    found = complaints([*words, model, "dataset=digits"])
    return complaints([*words, model, playground([model])]) if found else found
