"""The schema of a configuration: every node is held against the signature of what it is to build."""

import ast
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from gan_lab.config import settings
from gan_lab.config.choices import choices, groups
from gan_lab.config.signatures import OURS, Parameter, Signature, find, is_number, is_whole, look_here, signature
from gan_lab.errors import ConfigError
from gan_lab.storage.files import yaml_of
from gan_lab.wording import meant

GAP = "(to be given)"  # stands for a value that must be given; it is reported once, where it is missing
PARTS = ("dataset", "model", "loss", "optimizer")
BUILD_NOTHING = (("trainer", settings.TrainerSettings), ("run", settings.RunPlace), ("proof", settings.Proof))
OPTIONAL = ("proof",)
INJECTED = {"model": {"objective"}, "optimizer": {"params"}}  # what `build` hands over itself
MARKS = {"_target_", "_partial_"}
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}  # of Windows


def check(config: dict[str, Any], gaps: Iterable[str] = ()) -> dict[str, Any]:
    """The resolved configuration with every setting in it, or one ConfigError that lists everything wrong with it.

    `gaps` are the keys that must still be given; their values, and what refers to them, are GAP.
    """
    look_here(config.get("trust"))
    found = [must_give(key) for key in sorted(gaps)] + list(Schema(config).problems())
    if found:
        raise ConfigError("\n  ".join(found if len(found) == 1 else [f"{len(found)} settings cannot be used:", *found]))
    there = [(name, kind) for name, kind in BUILD_NOTHING if name not in OPTIONAL or config.get(name)]
    return asdict(settings.Settings(**config | {name: kind(**config.get(name, {})) for name, kind in there}))


def foreign(node: Any, trust: Sequence[str]) -> Iterator[str]:
    """The targets below a node that are neither gan-lab's, nor torch.optim's, nor of a package that is trusted."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for value in inner:
        yield from foreign(value, trust)
    target = node.get("_target_") if isinstance(node, dict) else None
    if isinstance(target, str) and target.partition(".")[0] not in ("gan_lab", "torch", *trust):
        yield target


def parts(config: dict[str, Any]) -> list[str]:
    """What is wrong with the dataset, the model and the loss of a stored configuration."""
    look_here(config.get("trust"))
    found = Schema(config)
    return [problem for part in PARTS[:3] for problem in found.node(part, config[part], INJECTED.get(part, set()))]


class Schema:
    """One configuration and the packages of the user's own that it may name."""

    def __init__(self, config: dict[str, Any]):
        self.config, self.reported = config, set()
        trust = config.get("trust")
        named = [name for name in trust if isinstance(name, str)] if isinstance(trust, list) else []
        self.packages = (*OURS, *named)

    def problems(self) -> Iterator[str]:
        """A sentence for each thing that is wrong."""
        top = {name: {} if isinstance(value, dict) else value for name, value in self.config.items()}
        yield from self.arguments("", top, settings_of("Settings"))

        # Hold every part against what it builds, and what builds nothing against its dataclass
        for part in PARTS:
            if isinstance(self.config.get(part), dict):
                yield from self.node(part, self.config[part], INJECTED.get(part, set()))
        for name, kind in BUILD_NOTHING:
            values = self.config.get(name)
            if isinstance(values, dict):
                wrong = list(self.arguments(f"{name}.", values, settings_of(kind.__name__)))
                yield from wrong or ranges(kind, values)

        # Hold what is left against its meaning
        yield from self.players()
        seed, run = self.config.get("seed"), self.config.get("run")
        if is_whole(seed) and not 0 <= seed < 2**63:
            yield f"seed={seed} must lie between 0 and 2^63 - 1"
        if isinstance(run, dict) and isinstance(run.get("name"), str):
            yield from place(run["name"])

    def players(self) -> Iterator[str]:
        """A player's own optimizer: whole, if it has a `_target_`; else what differs from `optimizer`."""
        base, overrides = self.config.get("optimizer"), self.config.get("optimizer_overrides")
        for player, values in overrides.items() if isinstance(overrides, dict) else ():
            key = f"optimizer_overrides.{player}"
            if not isinstance(values, dict):
                yield f"{key}={shown(values)} must be a mapping, e.g. {key}.lr=4e-4"
            elif "_target_" in values:
                yield from self.node(key, values, INJECTED["optimizer"])
            elif isinstance(base, dict) and not self.refusal(base.get("_target_")):
                whole = {"_target_": base["_target_"], "_partial_": True} | values
                yield from self.node(key, whole, INJECTED["optimizer"])

    def node(self, key: str, values: dict[str, Any], given: Iterable[str] = ()) -> Iterator[str]:
        """What is wrong with a mapping that builds something; `given` are the arguments that it gets from us."""
        if "_target_" not in values:
            yield f"{key} has no _target_, the class that it builds"
            return
        if reason := self.refusal(values["_target_"]):
            yield f"{key}._target_={shown(values['_target_'])} {reason}"
            return
        is_partial = values.get("_partial_", False)
        if not isinstance(is_partial, bool):
            yield f"{key}._partial_={shown(is_partial)} must be true or false"
        target = signature(find(values["_target_"], self.packages)).without(given)
        rest = {name: value for name, value in values.items() if name not in MARKS}
        yield from self.arguments(f"{key}.", rest, target, is_partial)
        rate = values.get("lr")
        if key.startswith("optimizer") and is_number(rate) and math.isfinite(rate) and not 0 < rate <= 10:
            yield f"{key}.lr={rate} must be greater than 0 and at most 10"

    def refusal(self, target: Any) -> str:
        """Why `_target_` may not name this, or nothing: only classes of known packages are ever built."""
        if not isinstance(target, str) or not all(step.isidentifier() for step in target.split(".")):
            return "must be the dotted name of a class"
        try:
            definition = find(target, self.packages)
        except LookupError as error:
            return str(error)
        return "" if isinstance(definition.tree, ast.ClassDef) else "is not a class"

    def arguments(self, prefix: str, values: dict, target: Signature, is_partial: bool = False) -> Iterator[str]:
        """Names, types and gaps of the values against the parameters."""
        for name, value in values.items():
            key = f"{prefix}{name}"
            if name in target.parameters:
                yield from self.typed(key, value, target.parameters[name])
            elif target.is_open:
                yield from self.inside(key, value)
            else:
                yield f"unknown setting {key!r}{self.instead(prefix, str(name), list(target.parameters))}"
        for name, parameter in target.parameters.items():
            if parameter.is_required and name not in values and not is_partial:
                yield must_give(f"{prefix}{name}")

    def typed(self, key: str, value: Any, parameter: Parameter) -> Iterator[str]:
        kind = parameter.annotation
        if value == GAP:
            return
        if kind.fits(value) or (isinstance(value, dict) and "_target_" in value and kind.takes_parts):
            yield from self.inside(key, value)
        elif isinstance(value, dict) and kind.fits({}) and (halves := [n for n, v in value.items() if is_half(v)]):
            for name in halves:
                yield f"{key}.{name} has no _target_, the class that it builds{choice(name)}"
        else:
            remedy = self.remedy(key.rpartition(".")[2], value, kind.words)
            is_new = remedy not in self.reported  # one lack of the dataset leaves several settings empty
            if value is not None or is_new:
                yield f"{key}={shown(value)} must be {kind.words}{remedy}"
            self.reported |= {remedy} if remedy else set()

    def remedy(self, name: str, value: Any, words: str) -> str:
        """What to write instead, where that is plain: 1e4 is a float, though it looks whole; points have no size."""
        if isinstance(value, float) and value.is_integer() and "whole number" in words:
            return f"; write {int(value)}"
        dataset = self.config.get("dataset")
        if value is None and name in ("num_conditions", "num_classes") and "whole number" in words:
            return "; this dataset has no classes, so it needs another model, e.g. model=dcgan, or folders for classes"
        if value is None and isinstance(dataset, dict) and dataset.get(name, "") is None:
            return f"; this dataset has no {name}, so it needs another model, e.g. model=gan"
        return ""

    def inside(self, key: str, value: Any) -> Iterator[str]:
        """What is wrong with the nodes and numbers in a value."""
        if isinstance(value, dict) and "_target_" in value:
            yield from self.node(key, value)
        elif isinstance(value, dict):
            for name, item in value.items():
                yield from self.inside(f"{key}.{name}", item)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from self.inside(f"{key}.{number}", item)
        elif is_number(value) and not math.isfinite(value):
            yield f"{key}={value} must be a finite number"

    def instead(self, prefix: str, name: str, known: list[str]) -> str:
        """What was probably meant: a word like it in its own place, the same word in another, or what there is."""
        if near := meant(name, known):
            return near.replace("'", f"'{prefix}", 1)
        group = prefix.rstrip(".")
        takers = [each for each, file in choices(group).items() if name in yaml_of(file)] if group in PARTS else []
        if takers:
            return f"; this {group} does not take it; {', '.join(takers)} do{'es'[: 2 * (len(takers) == 1)]}"
        groups = ((group, self.config.get(group)) for group in ("trainer", *PARTS, "run"))
        others = [f"{group}.{name}" for group, values in groups if isinstance(values, dict) and name in values]
        others = [key for key in others if key != f"{prefix}{name}"]
        is_whole = prefix.rstrip(".") in PARTS and len(known) <= 12  # of a part: another's setting is another thing
        if others and not is_whole:
            return f"; did you mean {others[0]!r}?"
        if prefix and len(known) <= 12:
            return f"; {prefix.rstrip('.')} takes {', '.join(known)}; if a preset set it, leave it out: ~{prefix}{name}"
        return "; gan-lab train --cfg job shows all"


def is_half(value: Any) -> bool:
    """Whether a value sets something in a part that is not there."""
    return isinstance(value, dict) and "_target_" not in value


def choice(name: str) -> str:
    """The option of an inner group that was probably meant."""
    offered = [group for group in groups() if "/" in group and name in choices(group)]
    return f"; did you mean to choose it, {offered[0]}=[{name}]?" if offered else ""


def settings_of(name: str) -> Signature:
    return signature(find(f"gan_lab.config.settings.{name}", ("gan_lab.config.settings",)))


def ranges(kind: type, values: dict[str, Any]) -> list[str]:
    try:
        kind(**{name: value for name, value in values.items() if value != GAP})
    except ConfigError as error:
        return [str(error).rstrip(".")]
    return []


def place(name: str) -> list[str]:
    """What is wrong with a run's name, which becomes folders below its root on every operating system."""
    steps = name.replace("\\", "/").split("/")
    reasons = {
        "must not be empty": not name.strip(),
        "must lie below run.root, so it cannot be an absolute path": steps[0] == "" or name[1:2] == ":",
        "must not contain '..' or empty steps": any(step.strip() in ("", ".", "..") for step in steps),
        "must not contain control characters": any(ord(letter) < 32 or ord(letter) == 127 for letter in name),
        "is longer than 100 characters": any(len(step) > 100 for step in steps),
        "contains a name that Windows reserves": any(step.split(".")[0].strip().lower() in DEVICES for step in steps),
    }
    return [f"run.name={shown(name)} {reason}" for reason, holds in reasons.items() if holds][:1]


def must_give(key: str) -> str:
    return f"{key} must be given, e.g. {key}=..."


def shown(value: Any) -> str:
    text = str(value).lower().replace("none", "null") if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
