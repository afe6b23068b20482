"""Runs beside each other: what came of each, which of them differ only in their seed, and what differs otherwise."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from gan_lab.config.dataset_nodes import everywhere
from gan_lab.errors import CheckpointError
from gan_lab.storage.files import (
    CONFIG,
    RECORD,
    config_of,
    folders_with,
    is_staged,
    overrides_of,
    place,
    record_of,
    rows_of,
    shaped,
    status_of,
    summary_of,
)
from gan_lab.storage.finding import find_run
from gan_lab.storage.sides import better

ENDED = ("finished", "stopped", "diverged", "failed")
REPORT = "evaluation/"  # stands before the figures of `gan-lab evaluate`, which are not those of the training
EXACT = "exact/"
ELSEWHERE = {"root", "path", "cache", "download"}  # where a dataset lies, which changes no figure
NO_BATCH_NORM = ("batch_norm", "none")  # networks without it are in eval mode as well, and may be compared
FOUND = ("version", "device", "devices", "precision")  # what a configuration leaves to the machine


@dataclass
class Result:
    """One run: how it ended, the settings that made it, and the last and best value of all that it logged.

    `best` holds a value and its step; `protocols` says how a value was made, where the run says so.
    """

    folder: Path
    status: str
    step: int | None
    config: dict[str, Any]
    overrides: list[str]
    facts: dict[str, Any]
    last: dict[str, float] = field(default_factory=dict)
    best: dict[str, tuple[float, int]] = field(default_factory=dict)
    protocols: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return self.config["seed"]

    def protocol(self, name: str) -> dict[str, Any]:
        """How the value was made: on which data and, as far as the run says, by whom; of a loss its class."""
        if name.startswith("loss/"):
            return {"loss": self.config["loss"]["_target_"]}
        here = lambda node: {key: value for key, value in node.items() if key not in ELSEWHERE}
        data = everywhere(self.config["dataset"], here)
        made = {key: value for key, value in self.protocols.get(name, {}).items() if (key, value) != NO_BATCH_NORM}
        return {"dataset": data, "batch_norm": "eval", **made} if self.is_judged(name) else {}

    def is_judged(self, name: str) -> bool:
        """Whether a judge said it, and not the game itself."""
        return name in self.protocols or name.startswith(EXACT)


@dataclass
class Group:
    """Runs that differ in nothing but their seed, and the settings in which they differ from the others."""

    runs: list[Result]
    settings: str = ""

    @property
    def finished(self) -> list[Result]:
        return [run for run in self.runs if run.status == "finished"]


@dataclass(frozen=True)
class Column:
    """A metric as one protocol made it; `mark` tells it from the same name by another protocol."""

    name: str
    protocol: str
    mark: str = ""

    @property
    def title(self) -> str:
        return f"{self.name} ({self.mark})" if self.mark else self.name

    def holds(self, run: Result) -> bool:
        return self.name in run.last and text(run.protocol(self.name)) == self.protocol

    def last(self, run: Result) -> float | None:
        return run.last[self.name] if self.holds(run) else None

    def best(self, run: Result) -> tuple[float, int] | None:
        return run.best.get(self.name) if self.holds(run) else None


# --- Reading ---------------------------------------------------------------------------------------------------------


def find(words: Iterable[str]) -> tuple[list[Result], dict[Path, str]]:
    """The runs that words name, each a run or a directory of runs such as a sweep's; and why others cannot be read.

    CheckpointError for a word that names no run, and where no run can be read.
    """
    found = {}
    for word in words:
        folder = place(word)
        if (folder / CONFIG).is_file():
            found[folder.resolve()] = folder
            continue
        inside = sorted(folders_with(folder, CONFIG, RECORD), key=natural)
        if not inside:
            find_run(word)
        inside = [each for each in inside if not is_staged(each)]  # whose stages are runs
        there = set(inside)
        outer = [each for each in inside if there.isdisjoint(each.parents)]  # not an earlier attempt
        found |= {each.resolve(): each for each in outer}
    runs, wrong = [], {}
    for folder in found.values():
        try:
            runs.append(result(folder))
        except CheckpointError as error:
            wrong[folder] = str(error)
    if not runs:
        raise CheckpointError("\n  ".join(wrong.values()))
    return runs, wrong


def natural(folder: Path) -> list[tuple[int, str]]:
    """2_loss before 10_loss."""
    return [(int(number or 0), word) for number, word in re.findall(r"(\d*)(\D*)", folder.as_posix())]


def result(folder: Path) -> Result:
    """What a run's directory says; a job of a sweep that never came to its first step has only its record."""
    summary, entry = summary_of(folder), record_of(folder) if (folder / RECORD).is_file() else {}
    config = config_of(folder) if (folder / CONFIG).is_file() else shaped(folder / CONFIG, entry.get("config"))
    overrides = overrides_of(folder) or entry.get("overrides", [])
    status = status_of(folder, summary) or "no result yet"
    if status not in ENDED and entry:
        status = status_of(folder, entry)
    facts = {name: summary[name] for name in FOUND if name in summary}
    found = Result(folder, status, summary.get("step"), config, overrides, facts)
    reports = {f"{REPORT}{name}": figure for name, figure in summary.get("evaluation", {}).items()}
    figures = summary.get("figures", {}) | reports
    found.protocols = {name: figure["protocol"] for name, figure in figures.items()}
    fill(found, {name: figure["value"] for name, figure in reports.items()} | summary.get("metrics", {}))
    return found


def fill(run: Result, metrics: dict[str, Any]) -> None:
    """The last values from the summary and the table of a run, the best ones from the table."""
    for row in rows_of(run.folder):
        for name, value in row.items():
            if name not in ("step", "protocol") and value:
                note(run, name, float(value), int(row["step"]))
    run.last |= {name: float(value) for name, value in metrics.items() if name not in run.last}


def note(run, name, value, step):
    run.last[name] = value
    side = better(name)
    if side and math.isfinite(value) and (name not in run.best or side * value > side * run.best[name][0]):
        run.best[name] = value, step


# --- Comparing -------------------------------------------------------------------------------------------------------


def group(runs: list[Result]) -> list[Group]:
    """The runs by their settings without the seed, and in each group by their seeds."""
    found: dict[str, list[tuple[dict, Group]]] = {}
    for run in sorted(runs, key=lambda run: not run.facts):  # a job that never began joins what it would have been
        same = found.setdefault(text(settings(run)), [])
        place = next((group for facts, group in same if not run.facts or facts == run.facts), None)
        if place is None:
            place = Group([])
            same.append((run.facts, place))
        place.runs.append(run)
    groups = [group for same in found.values() for _, group in same]
    for each in groups:
        each.runs.sort(key=lambda run: (run.seed, natural(run.folder)))
    tell_apart(groups)
    return sorted(groups, key=lambda group: runs.index(group.runs[0]))


def settings(run: Result) -> dict[str, Any]:
    """What two runs share that differ only in their seed."""
    return {name: value for name, value in run.config.items() if name not in ("seed", "run", "proof", "dial", "stages")}


def tell_apart(groups: list[Group]) -> None:
    """Name each group by what was typed for it and not for all; where that is not enough, by all that differs."""
    typed = [{tuple(word for word in run.overrides if not word.startswith("seed=")) for run in g.runs} for g in groups]
    one_each = all(len(words) == 1 for words in typed) and len(set.union(*typed)) == len(groups)
    if one_each:
        lines = [list(*words) for words in typed]
    else:
        flats = [flat(settings(g.runs[0]) | g.runs[0].facts) for g in groups]
        keys = list(dict.fromkeys(key for each in flats for key in each))
        differ = [key for key in keys if len({text(each.get(key, "")) for each in flats}) > 1]
        lines = [[f"{key}={in_yaml(each[key])}" for key in differ if key in each] for each in flats]
    common = set.intersection(*map(set, lines))
    for each, words in zip(groups, lines, strict=True):
        each.settings = " ".join(word for word in words if word not in common)


def flat(node: Any, key: str = "") -> dict[str, Any]:
    """Dotted names to values; a list is one value."""
    if not isinstance(node, dict):
        return {key: node}
    return {name: v for k, value in node.items() for name, v in flat(value, f"{key}.{k}".lstrip(".")).items()}


def columns_of(runs: list[Result], names: list[str]) -> list[Column]:
    """A column for each metric, and one for each protocol where several made values of that name."""
    found = []
    for name in names:
        made = list(dict.fromkeys(text(run.protocol(name)) for run in runs if name in run.last))
        marks = [""] if len(made) == 1 else [chr(ord("a") + i % 26) * (1 + i // 26) for i in range(len(made))]
        found += [Column(name, protocol, mark) for protocol, mark in zip(made, marks, strict=True)]
    return found


def legend(columns: list[Column]) -> list[str]:
    """What each mark stands for: the part of its protocol in which it differs from the others of its name."""
    lines = []
    for column in (column for column in columns if column.mark):
        flats = [flat(json.loads(other.protocol)) for other in columns if other.name == column.name]
        mine = flat(json.loads(column.protocol))
        differ = [key for key in mine if any(text(each.get(key, "")) != text(mine[key]) for each in flats)]
        lines.append(f"{column.title}: " + " ".join(f"{key}={in_yaml(mine[key])}" for key in differ))
    return lines


def spread(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Mean and standard deviation (of a sample) of the values there are; None for fewer than two."""
    known = [value for value in values if value is not None]
    return (mean(known), stdev(known)) if len(known) > 1 else None


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def in_yaml(value: Any) -> str:
    """A value as it is written in a setting."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value).replace(" ", "")
