"""Where each value of a run came from: a YAML of a group, the experiment, the command line, or a change on resuming."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from gan_lab.config.choices import CONF
from gan_lab.config.compose import parsed
from gan_lab.config.formulas import reasons
from gan_lab.config.overrides import written
from gan_lab.errors import CheckpointError
from gan_lab.storage.files import (
    CONFIG,
    are_names,
    config_of,
    is_mapping,
    is_staged,
    overrides_of,
    stages_of,
    text_of,
    yaml_of,
)


@dataclass
class Choice:
    """What was chosen of a group, by name or by several, and where."""

    names: Any
    source: str
    usual: Any  # what config.yaml chooses

    @property
    def files(self) -> list[str]:
        return self.names if isinstance(self.names, list) else [self.names] if self.names else []


@dataclass
class Layer:
    """What one source sets, by dotted key; each layer hides what those before it set."""

    name: str
    values: dict[str, Any]
    is_default: bool


@dataclass
class Origin:
    """One value of a run. `changed`: it is not what it would be without experiment, command line and resuming."""

    key: str
    value: Any
    source: str
    changed: bool


def origins(run: Path) -> list[Origin]:
    """Every choice and every value of a run with its source; CheckpointError where the run does not tell."""
    made, words, of_the_stage = runtime(run)
    sources = [Path(source["path"]) for source in made["config_sources"] if source["schema"] == "file"]
    folders = [*sources, CONF]
    chosen = choices_of(folders, made["choices"], words)
    resumed = overrides_of(run)[len(words) + len(of_the_stage) :]
    stage = f"stage {run.name.partition('-')[2]}"
    for group in chosen.keys() & {word.partition("=")[0] for word in of_the_stage}:
        chosen[group].source = stage
    by_words = {stage: of_the_stage, "command line": words, "resume": resumed}
    layers = [*file_layers(folders, chosen), *(typed(name, words, chosen) for name, words in by_words.items())]
    config = config_of(run)
    found = [
        *(Origin(group, choice.names, choice.source, choice.names != choice.usual) for group, choice in chosen.items()),
        *(origin(key, value, layers) for key, value in flat({**config, "dial": None}).items()),
    ]
    why = chosen_by_budget(config, words)
    for each in found:
        if each.source == "command line" and (key := next((k for k in why if is_of(each.key, k)), None)):
            each.source = f"budget: {why[key]}"
    return found


def chosen_by_budget(config: dict[str, Any], words: list[str]) -> dict[str, str]:
    """Why a budget chose what it did, by setting: of the words that stand before it. See `gan_lab.launch.dial`."""
    budget = config.get("budget")
    if not isinstance(budget, dict):
        return {}
    before = takewhile(lambda word: not word.startswith("budget="), written(words))
    keys, why = {word.partition("=")[0] for word in before}, reasons(config["dial"], budget["recipe"], budget["said"])
    return {key: reason for key, reason in why.items() if key in keys}


def is_of(key: str, setting: str) -> bool:
    return key == setting or key.startswith(f"{setting}.")


def runtime(run: Path) -> tuple[dict[str, Any], list[str], list[str]]:
    """What Hydra notes of how a run was composed, the words that were typed, and those of the stage that it is."""
    if is_staged(run.parent):
        made, typed_ones, _ = runtime(run.parent)
        stage = stages_of(run.parent)["config"]["stages"].get(run.name.partition("-")[2], {}).get("overrides", [])
        typed_ones = [word for word in written(typed_ones) if word in stage]
        own = [word for word in stage if word not in typed_ones]
        chosen = {key: value for key, _, value in (word.partition("=") for word in stage) if key in made["choices"]}
        return {**made, "choices": {**made["choices"], **chosen}}, typed_ones, own
    file = run / ".hydra" / "hydra.yaml"
    hydra, words = yaml_of(file), yaml_of(file.with_name("overrides.yaml"))
    try:
        made = hydra["hydra"]["runtime"]
        texts = [*words, *(source[key] for source in made["config_sources"] for key in ("path", "schema"))]
        if is_mapping(made["choices"]) and {"experiment", "dataset"} <= made["choices"].keys() and are_names(texts):
            return made, words, []
    except (TypeError, KeyError):
        pass
    raise CheckpointError(f"{str(file)!r} does not tell how the run was composed, so that no origin is known.")


def origin(key: str, value: Any, layers: list[Layer]) -> Origin:
    setting = [layer for layer in layers if key in layer.values]
    defaults = [layer.values[key] for layer in setting if layer.is_default]
    if not setting:
        return Origin(key, value, "default of its class", changed=False)
    last, raw = setting[-1], setting[-1].values[key]
    changed = not last.is_default and not (defaults and same(defaults[-1], value))
    if is_reference(raw):
        return Origin(key, value, f"{last.name}: {raw}", changed)
    was = "" if same(raw, value) or not last.name.endswith(".yaml") else f", which now says {raw}"
    return Origin(key, value, last.name + was, changed)


def choices_of(folders: list[Path], recorded: dict[str, Any], words: list[str]) -> dict[str, Choice]:
    """What was chosen of each group, in the order in which the files are laid over each other.

    Hydra records choices of one name; those of several are in the defaults lists and on the command line.
    """
    listed = yaml_of(CONF / CONFIG)["defaults"]
    usual = {group: name for entry in listed if isinstance(entry, dict) for group, name in entry.items()}
    chosen = {group: Choice(name, CONFIG, name) for group, name in usual.items() if is_ours(group)}
    experiment = recorded["experiment"]
    for group, name in overridden(folders, experiment) if experiment else ():
        usual_name = chosen[group].usual if group in chosen else None
        chosen[group] = Choice(name, f"experiment/{experiment}.yaml", usual_name)
    typed_ones = {key: value for key, value in parsed(settings(words)) if key in chosen}
    for group, name in [*typed_ones.items(), *((group, name) for group, name in recorded.items() if is_ours(group))]:
        is_typed = group in typed_ones or any(word.lstrip("+").startswith(f"{group}=") for word in words)
        source = "command line" if is_typed else None
        if group not in chosen:  # of a defaults list inside of a chosen file, or added to it
            chosen[group] = Choice(name, f"dataset/{recorded['dataset']}.yaml", None if is_typed else name)
        chosen[group].names, chosen[group].source = name, source or chosen[group].source
    return chosen


def is_ours(group: str) -> bool:
    return not group.startswith(("override ", "hydra/"))


def overridden(folders: list[Path], experiment: str) -> Iterator[tuple[str, Any]]:
    """The groups that an experiment chooses, and what it chooses of them."""
    path = find(folders, f"experiment/{experiment}.yaml")
    for entry in yaml_of(path).get("defaults", []) if path else ():
        if isinstance(entry, dict):
            yield from ((group.removeprefix("override /"), name) for group, name in entry.items())
        elif entry != "_self_":
            yield from overridden(folders, entry)


def file_layers(folders: list[Path], chosen: dict[str, Choice]) -> Iterator[Layer]:
    """What the chosen files set, config.yaml's own values before the experiment's."""
    is_last = lambda item: item[0] == "experiment" or ("@" in item[0] and not item[0].startswith("dataset@dataset."))
    for group, choice in sorted(chosen.items(), key=is_last):  # experiments change what a dataset is made of
        if group == "experiment":
            yield from file_layer(folders, "", "config", "", is_default=True)
        folder, _, package = group.partition("@")
        for name in choice.files:
            is_default = group != "experiment" and (not package or choice.names == choice.usual)
            yield from file_layer(folders, folder, name, package or folder.replace("/", "."), is_default)


def file_layer(folders: list[Path], group: str, name: str, package: str, is_default: bool) -> Iterator[Layer]:
    """What a YAML sets, after the files of its own group that its defaults list takes over."""
    label = f"{group}/{name}.yaml".lstrip("/")
    path = find(folders, label)
    if path is None:
        return
    values = yaml_of(path)
    for entry in values.get("defaults", []) if group else ():
        if isinstance(entry, str) and entry != "_self_":
            yield from file_layer(folders, group, entry, package, is_default)
    header = re.search(r"^# @package (\S+)", text_of(path), re.MULTILINE)
    place = {"_global_": "", "_group_": package}.get(header[1], header[1]) if header else package
    own = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
    yield Layer(label, flat(own, f"{place}." if place else ""), is_default)


def find(folders: list[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def typed(name: str, words: list[str], chosen: dict[str, Choice]) -> Layer:
    """What words of the command line set; choices of a group are no values."""
    values = {}
    for key, value in parsed(settings(words)):
        if key not in chosen:
            values |= flat(value, f"{key}.") if isinstance(value, dict) and value else {key: value}
    return Layer(name, values, is_default=False)


def settings(words: list[str]) -> list[str]:
    """The words that set something of a run: none that deletes, none about Hydra itself."""
    return [word for word in words if "=" in word and not word.lstrip("+").startswith(("~", "hydra"))]


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings, and lists of mappings, by dotted key."""
    found = {}
    for key, value in values.items():
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            value = dict(enumerate(value))
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def same(written: Any, value: Any) -> bool:
    """Whether a value as it is written in YAML is that of the run; 1e-4 is a text to some readers."""
    if isinstance(written, str) and isinstance(value, float):
        try:
            return float(written) == value
        except ValueError:
            return False
    return written == value


def is_reference(raw: Any) -> bool:
    return isinstance(raw, str) and "${" in raw
