"""An experiment in stages: named steps that run in order, each a run of its own that may build on those before it.

In a configuration as it is composed, `stages` maps a name to what differs in it. In a checked one it maps a name to
`{"overrides": [...], "config": {...}}`, the words and the whole configuration of that stage, and all else is the last
stage's. There `stage:NAME` stands for the run of an earlier stage: as a guest's, or where training starts from.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gan_lab.config.overrides import PLAIN, quoted, rewritten, written
from gan_lab.errors import ConfigError
from gan_lab.storage.finding import stage_folder
from gan_lab.wording import meant

WORD = "stage:"  # before the name of an earlier stage
NAME = re.compile(r"[A-Za-z0-9][\w-]{0,59}", re.ASCII)


def words_of(differs: dict[str, Any], groups: list[str], above: str = "") -> Iterator[str]:
    """What differs in a stage as settings in Hydra's grammar: `model: {level: 2}` is `++model.level=2`."""
    for name, value in differs.items():
        key = f"{above}{name}"
        if isinstance(value, dict) and value and "_target_" not in value:
            yield from words_of(value, groups, f"{key}.")
        else:
            yield rewritten(f"{key}={value if key in groups and isinstance(value, str) else literal(value)}")


def literal(value: Any) -> str:
    """A value as Hydra reads it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else quoted(value)
    return "null" if value is None else str(value).lower()


def parted(typed: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The settings that are typed for all stages, and by stage those that are typed for one, without its name."""
    for_all, by_stage = [], {}
    for word in typed:
        found = re.fullmatch(r"([+~]*)stages\.([^.=]+)\.(.+)", word, re.DOTALL)
        if found:
            mark, name, rest = found.groups()
            by_stage.setdefault(name, []).append(f"~{rest}" if "~" in mark else rewritten(rest))
        elif re.match(r"[+~]*stages\b", word):
            raise ConfigError(
                f"{written([word])[0]}: settings of a stage are typed one by one: stages.NAME.SETTING=VALUE"
            )
        else:
            for_all.append(word)
    return for_all, by_stage


def check_names(stages: Any, typed: Iterable[str]) -> None:
    """ConfigError unless `stages` maps names that a directory can have to what differs; `typed` are among the names."""
    if not isinstance(stages, dict) or not all(isinstance(differs, dict) for differs in stages.values()):
        raise ConfigError("stages must map names to what differs in each, e.g. first: {trainer: {steps: 500}}")
    for name in (name for name in typed if name not in stages):
        near = meant(name, stages) or f"; there are {', '.join(stages)}"
        raise ConfigError(f"stages.{name}: there is no such stage{near}")
    for name in stages:
        if not NAME.fullmatch(str(name)):
            raise ConfigError(f"stages.{name}: a stage is named by letters, digits, - and _, 60 at most")


def check_references(config: dict[str, Any], earlier: list[str]) -> None:
    """ConfigError where a stage builds on one that does not come before it."""
    for key, word in references(config):
        if word not in earlier:
            there = f"; before it come {', '.join(earlier)}" if earlier else "; none comes before it"
            raise ConfigError(f"{key}={WORD}{word} is no earlier stage{meant(word, earlier) or there}")


def references(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Where a configuration names earlier stages: keys and names."""
    if isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from references(value, f"{key}.{name}".lstrip("."))
    elif isinstance(node, str) and node.startswith(WORD):
        yield key, node.removeprefix(WORD)


def everywhere(config: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """A configuration with a change to it, and to that of each of its stages."""
    stages = {name: {**stage, "config": change(stage["config"])} for name, stage in config.get("stages", {}).items()}
    return {**change({**config, "stages": {}}), "stages": stages}


def at_home(node: Any, run: Path) -> Any:
    """The configuration of a stage whose run lies here, with the directories of the stages that it names."""
    if isinstance(node, dict):
        return {name: at_home(value, run) for name, value in node.items()}
    if isinstance(node, list):
        return [at_home(item, run) for item in node]
    is_reference = isinstance(node, str) and node.startswith(WORD)
    return str(stage_folder(run.parent, node.removeprefix(WORD))) if is_reference else node
