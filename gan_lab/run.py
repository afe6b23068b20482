"""A finished or running experiment, opened from its directory alone: what notebooks and `gan-lab sample` use."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gan_lab import checkpoint, pictures, schema
from gan_lab.build import build_dataset, build_game, refusal
from gan_lab.choices import find_run, meant, shown
from gan_lab.datasets import Dataset
from gan_lab.ema import Ema
from gan_lab.errors import CheckpointError, ConfigError, DataError, ResourceError
from gan_lab.logbook import read_json
from gan_lab.nested import levels, with_known
from gan_lab.stored import CONFIG, are_names, checked_state, config_of, place, rows_of, shortened, start_of


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
        game = build_game(self.config)
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

    def latents(self, seeds: Sequence[int], condition: Tensor | None = None) -> Tensor:
        """One latent for each seed, [N, ...]; of a conditional game with the seed's condition, or one for all."""
        latents = self.game.draw_latents(seeds)
        return latents if condition is None else self.game.asked(latents, condition)

    def condition(self, kind: str, names: Sequence[str]) -> Tensor:
        """The condition that a class ("label") or attributes ("attributes") stand for, by name, [num_conditions].

        ConfigError where the run knows no such condition or no such name.
        """
        told = self.game.condition
        if told != kind:
            raise ConfigError(f"{kind}=... asks for a condition, and this run has {told or 'none'}: leave it out.")
        start = start_of(self.folder)
        known = start.get("names", {}).get(kind)  # of a run from before they were kept: the data's
        if not are_names(known):
            known = self.dataset.classes if kind == "label" else self.dataset.attribute_names
        for name in names:
            if name not in known:
                there = f"; there are {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}"
                raise ConfigError(f"there is no {kind.removesuffix('s')} {name!r}{meant(name, known) or there}")
        empty = start.get("empty", []) if kind == "label" else []
        for name in (name for name in names if name in empty):
            there = shortened(", ".join(each for each in known if each not in empty))
            raise ConfigError(f"label={name}: the run saw no picture of this class, only of {there}.")
        return torch.tensor([float(name in names) for name in known])

    def coded(self, latents: Tensor, codes: dict[int, float]) -> Tensor:
        """The same latents with some codes set, by number; ConfigError where the run has no such code or value."""
        kinds = self.game.codes if self.game.condition == "code" else ()
        for number, value in codes.items():
            if number >= len(kinds):
                has = f"has code.0 to code.{len(kinds) - 1}" if kinds else "has no codes"
                raise ConfigError(f"code.{number}={value:g} asks for a code, and this run {has}: leave it out.")
            if kinds[number] > 1 and value not in range(kinds[number]):
                last = kinds[number] - 1
                raise ConfigError(f"code.{number}={value:g} must be a whole number from 0 to {last}, its last value.")
            latents = self.game.with_code(latents, number, value)
        return latents

    @torch.no_grad()
    def generate(self, latents: Tensor, batch_size: int = 64) -> Tensor:
        """Samples of latents: images [N, C, H, W] in [-1, 1], or points [N, D]."""
        parts = [self.game.sample(part.to(self.device)).float().cpu() for part in latents.split(batch_size)]
        return torch.cat(parts)

    def sample(
        self, n: int = 16, seed: int = 0, *, label: str | int | None = None, attributes: Sequence[str] | None = None
    ) -> Tensor:
        """Images of the seeds seed ... seed + n - 1, [n, C, H, W] in [0, 1]; points [n, D] as they are.

        Of a conditional run all of one class (`label`, by its name) or with these `attributes` and no others.
        """
        asked = ("label", [str(label)]) if label is not None else ("attributes", attributes)
        condition = None if asked[1] is None else self.condition(*asked)
        samples = self.generate(self.latents(range(seed, seed + n), condition))
        return samples.add(1).div(2).clamp(0, 1) if samples.dim() == 4 else samples

    def grid(self, n: int = 16, seed: int = 0, **options) -> Image.Image:
        """The samples of `sample`, which takes the same options, as one picture, which a notebook shows."""
        samples = self.sample(n, seed, **options)
        if samples.dim() == 4:
            return Image.fromarray(pictures.grid(samples * 2 - 1))
        return Image.fromarray(self.dataset.draw({"samples": samples})["samples"])

    def analyze(self, what: str, **options):
        """What a look of `gan_lab.analysis` finds, such as "interpolation": figures, pictures and notes."""
        from gan_lab.commands.analyze import function_of

        return function_of(what)(self, **options)


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
    t = torch.linspace(0, 1, steps, device=start.device).view(-1, *[1] * start.dim())  # [steps, 1, ...]
    if way == "linear":
        return torch.lerp(start, end, t)
    if way != "spherical":
        raise ConfigError(f"interpolate={way} is not known; choose linear or spherical.")
    angle = torch.arccos(torch.clamp(torch.sum(start / start.norm() * end / end.norm()), -1, 1))
    if angle < 1e-4:
        return torch.lerp(start, end, t)
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)
