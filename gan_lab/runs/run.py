"""A finished or running experiment, opened from its directory alone: what notebooks and `gan-lab sample` use."""

import inspect
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gan_lab import pictures
from gan_lab.config import schema
from gan_lab.config.build import build_dataset, build_game, refusal
from gan_lab.config.dataset_nodes import levels, with_known
from gan_lab.datasets import Dataset
from gan_lab.datasets.base import encoded
from gan_lab.errors import CheckpointError, ConfigError, DataError, ResourceError
from gan_lab.models import Game
from gan_lab.models.ema import Ema
from gan_lab.rows import Rows
from gan_lab.storage import checkpoint
from gan_lab.storage.files import CONFIG, are_names, checked_state, config_of, place, read_json, rows_of, start_of
from gan_lab.storage.finding import find_run
from gan_lab.wording import shortened, shown


class Run:
    """An experiment by its directory: `run = gan_lab.load("outputs/..."); images = run.sample(16)`.

    `checkpoint` is "last", "best" or a step; `weights` are "ema" (averaged, the ones to look at) or "raw". A run whose
    configuration names classes of your own needs `trust=["mypackage"]` again: a stored file is never trusted for it.
    Raises CheckpointError where the directory is no run or holds no such checkpoint.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        checkpoint: str | int = "last",
        weights: str = "ema",
        device: str = "cpu",
        trust: Sequence[str] = (),
    ):
        if weights not in ("ema", "raw"):
            raise ConfigError(f"weights={weights} is not known; choose ema or raw.")
        self.folder = find_run(folder)
        self.config = {**config_of(self.folder), "trust": list(trust)}
        self.summary = read_json(self.folder / "summary.json")
        self.which, self.weights, self.device = checkpoint, weights, device_of(device)

    def __repr__(self) -> str:
        """Where it lies, how far it came, and its last figures."""
        status, step = self.summary.get("status", "not started"), self.summary.get("step", 0)
        figures = [f"{name} {figure['value']:.4g}" for name, figure in self.summary.get("figures", {}).items()]
        return f"Run({', '.join([f'{shown(self.folder)!r}', f'{status} at step {step:,}', *figures])})"

    @property
    def metrics(self) -> dict[str, list[float]]:
        """What the run logged, a list for each column of metrics.csv, nan where a row has none: for plots."""
        rows = rows_of(self.folder)
        names = [name for name in (rows[0] if rows else ()) if name != "protocol"]
        return {name: [float(row[name] or "nan") for row in rows] for name in names}

    @cached_property
    def state(self) -> dict:
        folder = self.folder / "checkpoints"
        if self.which == "last":
            return checked_state(checkpoint.load_newest(folder), self.folder)
        if self.which != "best" and not (str(self.which).isdecimal() and len(str(self.which)) < 19):
            raise ConfigError(
                f"checkpoint={shortened(str(self.which))} must be last, best or a step that the run keeps."
            )
        path = folder / ("best.pt" if self.which == "best" else f"step-{int(self.which):08d}.pt")
        if not path.exists():
            kept = ", ".join(str(int(p.stem.removeprefix("step-"))) for p in checkpoint.committed(folder))
            raise CheckpointError(
                f"{self.folder} keeps no checkpoint '{self.which}'; it keeps last and the steps {kept}."
            )
        return checked_state(checkpoint.load(path), self.folder)

    @cached_property
    def game(self):
        """The trained game, in eval mode, with the chosen weights in place."""
        for target in schema.foreign([self.config[part] for part in schema.PARTS[:3]], self.config["trust"]):
            raise ConfigError(f"{self.folder / CONFIG}: {refusal(target)}")
        for problem in schema.parts(self.config):
            raise CheckpointError(f"{self.folder / CONFIG}: {problem}")
        game = build_game(self.config, stored=True)
        ema = Ema(game, None)
        try:
            game.load_state_dict(self.state["game"])
            ema.load_state_dict(self.state["ema"])
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.folder}: the checkpoint and config.yaml do not belong together: {error}"
            ) from error
        self.statistics = ema.statistics(game)
        if self.weights == "ema":
            for name, network in ema.networks.items():
                setattr(game, name, network)
        game.noise.device = self.device
        return game.to(self.device).eval().requires_grad_(False)

    @property
    def batch_norm(self) -> str:
        """Whose statistics the batch norm of the weights uses: their own (eval), copied ones, or none there are."""
        _ = self.game
        return "eval" if self.weights == "raw" and self.statistics == "copied" else self.statistics

    @cached_property
    def dataset(self) -> Dataset:
        """The real data that the run was trained on; `moved` says where it lies now."""
        try:
            return build_dataset(self.config)
        except DataError as error:
            reason = re.sub(r" Set dataset\.(path|root) [^\n]*", "", str(error))  # a stored run's cannot be set
            raise DataError(f"{reason}\n  If the data of the run lies elsewhere now, say where: root=PATH") from error

    def moved(self, root: str) -> None:
        """Look for the real data at another place; DataError where it is made, not read."""
        key = next(
            (name for level in levels(self.config["dataset"]) for name in ("root", "path") if name in level), None
        )
        if key is None:
            raise DataError(f"root={root}: this data is made, not read from a place; leave it out.")
        self.config["dataset"] = with_known(self.config["dataset"], **{key: str(place(root))})

    def rows(self, seeds: Sequence[int], **words) -> Rows:
        """What the samples of seeds are made of, a row each, such as their latents with their labels.

        `words` set a column for all of them: `label="3"`, `attributes=["red"]`, `caption="..."`, or parts of one by
        their numbers: `code={0: 3}`. ConfigError for a column that the run's samples are not made of, or wrong words.
        """
        rows = self.game.draw(seeds)
        for column, given in words.items():
            if column not in self.game.conditions:
                has = " and ".join(self.game.conditions) or "none"
                raise ConfigError(f"{column}=... asks for a condition, and this run has {has}: leave it out.")
            if isinstance(given, dict):
                for part, value in given.items():
                    rows = self.with_part(rows, column, str(part), value)
            else:
                value = self.encode(column, given, column).to(rows[column])
                rows = rows.changed(**{column: value.expand(rows.count, *value.shape)})
        return rows

    def with_part(self, rows: Rows, column: str, part: str, value: float) -> Rows:
        """The same rows with one part of a column set; ConfigError where the game has no such part or value."""
        try:
            return self.game.set_part(rows, column, part, value)
        except ValueError as error:
            raise ConfigError(f"{column}.{part}={value:g}: {error}.") from error

    def encode(self, column: str, words: str | int | Sequence[str], asked: str | None = None) -> Tensor:
        """The value of a column that words mean to the game, or in the data, whose names the run keeps; ConfigError.

        `asked` is the word of the command for which the game is to check the value.
        """
        words = [str(words)] if isinstance(words, str | int) else [str(word) for word in words]
        start = start_of(self.folder)
        known = start.get("names", {}).get(column)  # of a run from before they were kept: the data's
        empty = start.get("empty", []) if column == "label" else []
        try:
            value = self.game.encode(column, words)
            if value is None:
                named = encoded(column, words, {column: known}) if known and are_names(known) else None
                value = self.dataset.encode(column, words) if named is None else named
        except ValueError as error:
            raise ConfigError(str(error)) from error
        for name in (name for name in words if name in empty):
            there = shortened(", ".join(each for each in known if each not in empty))
            raise ConfigError(f"label={name}: the run saw no picture of this class, only of {there}.")
        try:
            self.game.check(asked or column, value)
        except ValueError as error:
            raise ConfigError(f"{asked or column}={shortened(','.join(words))} {error}.") from error
        return value

    def heard(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of the game's `sample`, those that are words of a column as its values; ConfigError."""
        spoken = {name: self.game.spoken[name] for name in options.keys() & self.game.spoken.keys()}
        words = {name: column for name, column in spoken.items() if not isinstance(options[name], Tensor | None)}
        return options | {name: self.encode(column, options[name], name) for name, column in words.items()}

    @torch.no_grad()
    def make(self, rows: Rows, batch_size: int = 64, **options) -> Rows:
        """The pictures that are made of rows, by name: images [N, C, H, W] in [-1, 1], or points [N, D].

        `options` are those of the game's `sample`.
        """
        if not self.game.makes:
            raise ConfigError("this run makes no pictures.")
        parts, options = rows.to(self.device).split(batch_size), self.heard(options)
        return Rows.joined(self.game.sample(part, **options).each(lambda x: x.float().cpu()) for part in parts)

    def generate(self, rows: Rows, batch_size: int = 64, **options) -> Tensor:
        """The first picture of each sample of `make`: images [N, C, H, W] in [-1, 1], or points [N, D]."""
        return self.make(rows, batch_size, **options)[self.game.makes[0]]

    def space(self, word: str | None) -> str:
        """The space that a word names, of those in which samples can be moved: the first unless one is named."""
        known = [self.game.made_of[0], *self.game.spaces]
        if word is not None and word not in known:
            has = f"samples of this run can be moved in {' or '.join(known)}"
            raise ConfigError(f"space={shortened(word)} is not known: {has}.")
        return word or known[0]

    @torch.no_grad()
    def into(self, rows: Rows, space: str, batch_size: int = 64) -> Rows:
        """The same samples by where they lie in one of the game's spaces, in a column of its name."""
        return Rows.joined(self.game.into(part, space) for part in rows.to(self.device).split(batch_size))

    def walk(self, start: Rows, end: Rows, steps: int, way: str = "spherical", space: str | None = None) -> Rows:
        """Rows on the way from one row to another, both ends included; conditions stay those of the start.

        `space` is the column in which they lie, unless it is the first that samples are made of.
        """
        moved = self.space(space)
        on = start.at([0] * steps)
        return on.changed(**{moved: interpolate(start[moved][0], end[moved][0], steps, way)})

    def sample(self, n: int = 16, seed: int = 0, **words) -> Tensor:
        """Images of the seeds seed ... seed + n - 1, [n, C, H, W] in [0, 1]; points [n, D] as they are.

        `words` are conditions for all of them, such as `label="3"` or `attributes=["red"]` and no others, and options
        of the game's own. Where a sample has several pictures it is the first; `make` gives all.
        """
        options = {name: words.pop(name) for name in options_of(self.game) if name in words}
        words = {name: value for name, value in words.items() if value is not None}
        samples = self.generate(self.rows(range(seed, seed + n), **words), **options)
        return samples.add(1).div(2).clamp(0, 1) if samples.dim() == 4 else samples

    def grid(self, n: int = 16, seed: int = 0, **options) -> Image.Image:
        """The samples of `sample`, which takes the same options, as one picture, which a notebook shows."""
        samples = self.sample(n, seed, **options)
        if samples.dim() == 4:
            return Image.fromarray(pictures.grid(samples * 2 - 1))
        return Image.fromarray(self.dataset.draw({"samples": samples})["samples"])


def options_of(game: Game) -> dict[str, inspect.Parameter]:
    """The options that a game's samples have: the keyword arguments of its `sample`."""
    parameters = inspect.signature(game.sample).parameters.values()
    return {each.name: each for each in parameters if each.kind is each.KEYWORD_ONLY}


def help_of(game: Game) -> dict[str, str]:
    """What each option of a game's samples does, as a line of the docstring of `sample` says: "`name`: what."."""
    lines = re.findall(r"^`(\w+)`: (.*)$", inspect.getdoc(game.sample) or "", re.MULTILINE)
    known = dict(lines)
    return {name: known.get(name, f"(default: {each.default})") for name, each in options_of(game).items()}


def device_of(word: str) -> torch.device:
    try:
        device = torch.device(word)
    except (RuntimeError, ValueError):
        raise ConfigError(f"device={shortened(word)} is not known; choose cpu, cuda or cuda:0.") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device={word} is not supported; choose cpu, cuda or cuda:0.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ResourceError(f"device={word}: this machine has no CUDA device. Set device=cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ResourceError(f"device={word}: this machine has {torch.cuda.device_count()} CUDA devices, from cuda:0.")
    return device


def interpolate(start: Tensor, end: Tensor, steps: int, way: str = "spherical") -> Tensor:
    """Latents on the way from `start` to `end`, [steps, ...], both ends included.

    `linear` is the chord; `spherical` the great circle (White 2016, arXiv 1609.04468), on which latents of a normal
    distribution keep the length that the generator knows.
    """
    if way not in ("linear", "spherical"):
        raise ConfigError(f"interpolate={way} is not known; choose linear or spherical.")
    t = torch.linspace(0, 1, steps, device=start.device)
    return between(start.expand(steps, *start.shape), end.expand(steps, *end.shape), t, way)


def between(a: Tensor, b: Tensor, t: Tensor, way: str) -> Tensor:
    """Places [N, ...] on the ways from a to b [N, ...], each at a share [N] of its own; see `interpolate`."""
    t = t.to(a.device).view(-1, *[1] * (a.dim() - 1))
    if way == "linear":
        return torch.lerp(a, b, t)
    norm = lambda x: x.flatten(1).norm(dim=1).clamp(min=1e-12).view_as(t)
    angle = ((a / norm(a)) * (b / norm(b))).flatten(1).sum(dim=1).clamp(-1, 1).arccos().clamp(min=1e-4).view_as(t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
