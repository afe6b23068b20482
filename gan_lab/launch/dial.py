"""One dial: the time or the images that a person has decide every setting which they did not set by hand.

An experiment has a `dial` where a budget may decide. Its `recipes` are tried in turn, each from the smallest of `sizes`
upwards, by a step on this machine: a recipe fits a size where it sees as many `images` as it wants in the budget. The
largest size at which one fits is taken, of several recipes the first. `choose` and `set` of the recipe, and what
`always` holds, become words of the command line before those that were typed; texts in them are formulas (`config.
formulas`) over what was seen of the data and the machine.
"""

import io
import math
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_lab.config.build import build_dataset
from gan_lab.config.compose import compose
from gan_lab.config.dataset_nodes import with_known
from gan_lab.config.formulas import Unknown, is_name, reasons, value_of
from gan_lab.config.overrides import quoted, rewritten, written
from gan_lab.config.settings import TrainerSettings
from gan_lab.config.stages import literal
from gan_lab.datasets import Dataset
from gan_lab.errors import ConfigError, ResourceError
from gan_lab.training.assembly import assemble, rehearse
from gan_lab.training.distributed import World
from gan_lab.training.machine import device_of, tune_process
from gan_lab.training.observers import duration
from gan_lab.wording import columns, counted

LOOKED_AT = 64  # pictures whose sides and colours are looked at
TRAINING = 0.9  # of the time, that training itself takes; previews and figures take the rest
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
RESULTS = ("images", "steps", "batch")  # the names that only a trial knows
THOUSANDS = {"": 1, "k": 1_000, "M": 1_000_000}


@dataclass(frozen=True)
class Budget:
    """What a person gives: `said` in their words, as seconds or as images."""

    said: str
    seconds: float | None = None
    images: int | None = None

    @property
    def bounds(self) -> dict[str, Any]:
        """What ends a run of this budget, as formulas by setting."""
        if self.seconds:
            return {"trainer.max_minutes": round(self.seconds / 60, 3), "trainer.steps": None}
        return {"trainer.steps": "steps"}


@dataclass
class Trial:
    """A recipe at a size, tried by a step: how many images it would see, and how many it wants."""

    recipe: str
    side: int
    names: dict[str, Any]
    wants: int
    seconds: float = 0.0  # of a step
    batch: int = 0
    budget: Budget | None = None
    problem: str = ""

    @property
    def sees(self) -> int:
        if not self.seconds:
            return 0
        return self.budget.images or int(TRAINING * self.budget.seconds / self.seconds) * self.batch

    @property
    def fits(self) -> bool:
        return not self.problem and self.sees >= self.wants

    @property
    def results(self) -> dict[str, Any]:
        return dict(zip(RESULTS, (self.sees, max(1, self.sees // self.batch), self.batch), strict=True))

    @property
    def needs(self) -> float:
        """Seconds in which it would see all that it wants."""
        return self.wants / max(1, self.batch) * self.seconds / TRAINING


def with_budget(words: list[str]) -> list[str]:
    """The words of a command line after those that their `budget=` chooses, which it stands behind; they are printed.

    Raises ConfigError for a budget that is none, or that the experiment has no dial for.
    """
    said = [word.partition("=")[2] for word in words if word.startswith("budget=")]
    if not said or said[-1] == "null" or said[-1].startswith("{"):
        return words
    typed = [word for word in words if not word.startswith("budget=")]
    budget, config = parsed(said[-1]), compose(unswept(typed))
    if not config["dial"]:
        raise ConfigError(
            f"budget={budget.said} needs an experiment that says what a budget decides. Choose experiment=my_images "
            "dataset.path=..., or set trainer.max_minutes."
        )
    facts = seen(config)
    print(f"budget={budget.said}: {told(facts)}", flush=True)
    tried = trials(config["dial"], budget, facts, typed)
    best = chosen_of(tried, config["dial"])
    choices = choices_of(config["dial"], best, typed, budget)
    tell(tried, best, choices, reasons(config["dial"], best.recipe, budget.said), budget)
    record = f"budget={{said: {quoted(budget.said)}, recipe: {best.recipe}}}"
    is_experiment = lambda word: word.startswith("experiment=")
    return [*filter(is_experiment, typed), *words_of(choices), record, *(w for w in typed if not is_experiment(w))]


def parsed(said: str) -> Budget:
    """A budget of the words for it: 30m, 2h, images=5M."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h|d)", said):
        seconds = float(found[1]) * SECONDS[found[2]]
        if seconds >= 30:
            return Budget(said, seconds=seconds)
    if (found := re.fullmatch(r"images=(\d+(?:\.\d+)?)(k|M|)", said)) and float(found[1]):
        return Budget(said, images=int(float(found[1]) * THOUSANDS[found[2]]))
    raise ConfigError(
        f"budget={said} must be a time from 30s, such as 30m or 2h, or images, such as images=5M or images=500k"
    )


# What there is


def seen(config: dict[str, Any]) -> dict[str, Any]:
    """What formulas may ask about data and machine, by name."""
    dataset = build_dataset({**config, "dataset": with_known(config["dataset"], cache="never")})
    looks = dataset.look(LOOKED_AT)
    if not looks:
        raise ConfigError("budget= is for images, and this dataset has points. Set trainer.max_minutes.")
    sides = sorted(side for side, _ in looks)
    return {
        "pictures": len(dataset),
        "shortest": sides[len(sides) // 2],
        "grey": all(grey for _, grey in looks),
        "classes": dataset.num_classes,
        "gpu": device_of(TrainerSettings(**config["trainer"])).type == "cuda",
    }


def told(facts: dict[str, Any]) -> str:
    kind, device = "grey" if facts["grey"] else "colour", "a GPU" if facts["gpu"] else "a CPU"
    classes = f", {counted(facts['classes'], 'class', 'classes')}" if facts["classes"] else ""
    return f"{facts['pictures']:,} pictures, {kind}, about {facts['shortest']} pixels a side{classes}, on {device}"


class Stand(Dataset):
    """Random bytes in the shape of the data, for trials that need not read it."""

    def __init__(self, rows: int, channels: int, sides: tuple[int, int], classes: int):
        labels = torch.arange(rows) % classes if classes else None
        super().__init__(channels, sides, labels, [str(number) for number in range(classes)])
        shape = (rows, *sides, channels)
        self.pixels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.pixels)

    def load(self) -> dict[str, Tensor]:
        return {"image": self.pixels} | ({"label": self.labels} if self.classes else {})


# What is tried


def trials(dial: dict[str, Any], budget: Budget, facts: dict[str, Any], typed: list[str]) -> list[Trial]:
    """A step of each recipe at each size, upwards as far as it fits; ConfigError where none can be composed."""
    tried, problems, own = [], [], set_by_hand(typed)
    recipes = {name: r for name, r in dial["recipes"].items() if own.get("model") in (None, r["choose"]["model"])}
    if not recipes:
        raise ConfigError(
            f"budget= has no recipe for model={own['model']}; it has {', '.join(dial['recipes'])}. Leave model= out, "
            "or budget= and set trainer.max_minutes."
        )
    for name, recipe in recipes.items():
        for side in sizes_of(dial, facts, own):
            try:
                trial = attempt(dial, name, recipe, budget, facts | {"side": side}, typed)
            except ConfigError as error:  # what was typed suits another recipe
                problems.append(error)
                break
            tried.append(trial)
            if not trial.fits:
                break
        else:
            break  # it fits the largest size, and no later recipe is preferred
    if not tried:
        raise problems[0]
    return tried


def sizes_of(dial: dict[str, Any], facts: dict[str, Any], own: dict[str, str]) -> list[int]:
    """The sizes that pictures fill, the smallest first; a size that was typed alone."""
    if "dataset.image_size" in own:
        numbers = [int(number) for number in re.findall(r"\d+", own["dataset.image_size"])]
        return [max(numbers, default=min(dial["sizes"]))]
    sizes = sorted(dial["sizes"])
    return [size for size in sizes if size <= facts["shortest"]] or sizes[:1]


def attempt(
    dial: dict[str, Any],
    name: str,
    recipe: dict[str, Any],
    budget: Budget,
    names: dict[str, Any],
    typed: list[str],
) -> Trial:
    trial = Trial(name, names["side"], names, int(value_of(recipe["images"], names)), budget=budget)
    config = compose([*words_of(choices_of(dial, trial, typed, budget)), *unswept(typed)])
    settings, data = TrainerSettings(**config["trainer"]), config["dataset"]
    device = device_of(settings)
    tune_process(settings, device, 1)
    trial.batch = settings.batch_size * settings.accumulate
    sides = data["image_size"] if isinstance(data["image_size"], list) else [data["image_size"]] * 2
    stand = Stand(2 * trial.batch, data["channels"], tuple(sides), names["classes"])
    try:
        with redirect_stdout(io.StringIO()):
            trainer, _ = assemble(config, settings, World(0, 1, device), dataset=stand)
        trial.seconds = rehearse(trainer, rounds=4)
        trial.batch = trainer.fresh(0) * trainer.loader.images
    except ResourceError:
        trial.problem = "out of memory"
    return trial


def unswept(typed: list[str]) -> list[str]:
    """The words without those that a sweep gives several values."""
    return [word for word in typed if "," not in word or re.search(r"[\[{'\"]", word)]


def set_by_hand(typed: list[str]) -> dict[str, str]:
    pairs = (word.lstrip("+~").partition("=") for word in written(typed))
    return {key: value for key, _, value in pairs}


# What is chosen


def chosen_of(tried: list[Trial], dial: dict[str, Any]) -> Trial:
    """The largest size at which a recipe fits, the first such recipe; where none fits the last, which wants least."""
    order = list(dial["recipes"])
    fitting = [trial for trial in tried if trial.fits]
    if fitting:
        return max(fitting, key=lambda trial: (trial.side, -order.index(trial.recipe)))
    able = [trial for trial in tried if not trial.problem]
    if not able:
        raise ResourceError("Not even the smallest size fits into memory. Set a smaller trainer.batch_size.")
    return min(able, key=lambda trial: (trial.side, trial.wants / max(1, trial.sees)))


def choices_of(dial: dict[str, Any], trial: Trial, typed: list[str], budget: Budget) -> dict[str, Any]:
    """The settings of a recipe that can be known, and are not set by hand."""
    recipe, own = dial["recipes"][trial.recipe], set_by_hand(typed)
    names = trial.names | (trial.results if trial.seconds else {})
    found = {"dataset.image_size": trial.side}
    for key, formula in {**recipe["choose"], **recipe["set"], **dial["always"], **budget.bounds}.items():
        try:
            found[key] = formula if is_name(formula) else value_of(formula, names)
        except Unknown:
            continue
    return {key: value for key, value in found.items() if not any(is_within(key, other) for other in own)}


def words_of(choices: dict[str, Any]) -> list[str]:
    return [rewritten(f"{key}={literal(value)}") for key, value in choices.items()]


def is_within(key: str, other: str) -> bool:
    """Whether a setting is another, or one of those below it; a choice of a group leaves its settings open."""
    return key == other or ("." in other and key.startswith(f"{other}."))


def tell(tried: list[Trial], best: Trial, choices: dict[str, Any], why: dict[str, str], budget: Budget) -> None:
    """Print what was tried, and what was chosen and why."""
    columns([["tried", "pixels", "a step", "sees", "wants", ""], *map(list, rows(tried, best))])
    if not best.fits:
        enough = f"{max(1, math.ceil(best.needs / 60))}m" if budget.seconds else f"images={best.wants}"
        print(
            f"\nThis is little: {best.recipe} at {best.side} pixels would see {best.sees:,} images and wants "
            f"{best.wants:,}; budget={enough} would do."
        )
    print()
    said = [[key, shown(value), why[key]] for key, value in choices.items()]
    columns([["it chose", "", "why"], *said])
    print(flush=True)


def rows(tried: list[Trial], best: Trial) -> Iterator[tuple[str, ...]]:
    for trial in tried:
        note = "chosen" if trial is best else "fits" if trial.fits else f"needs {duration(trial.needs)}"
        step = f"{trial.seconds * 1000:,.0f} ms" if trial.seconds else ""
        yield trial.recipe, str(trial.side), step, f"{trial.sees:,}", f"{trial.wants:,}", trial.problem or note


def shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else literal(value)
