"""The settings that belong to no part: the top level and the `trainer` group, with their types and ranges."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gan_lab.errors import ConfigError

JUDGES = Path(__file__).parents[1] / "runs" / "judges"
MOST = {"threads": 1024, "workers": 1024, "samples": 10_000, "evaluate_samples": 1_000_000}


@dataclass
class TrainerSettings:
    """How long, how fast and on what a game is played. Every cadence counts rounds (steps)."""

    steps: int | None = 20_000  # training steps; null when epochs or max_minutes bounds the run
    epochs: float | None = None  # passes over the dataset, instead of steps
    max_minutes: float | None = None  # wall-clock limit, alone or beside steps

    init_from: str | None = None  # a run whose matching weights to start from
    freeze: dict[str, int] = field(default_factory=dict)  # network -> its first layers that stay as init_from has them

    batch_size: int = 64  # images in one forward pass, over all devices
    accumulate: int = 1  # forward passes behind one update; the effective batch is batch_size * accumulate
    turns: dict[str, Any] = field(default_factory=dict)  # player -> n, "1/n" or {usual, warm, first, every}
    clip: float | dict[str, float] | None = None  # largest gradient norm, of every player or by player

    schedule: Literal["constant", "linear", "cosine"] = "constant"  # of every learning rate
    decay_from: float = 0.0  # share of the run after which linear and cosine begin to fall
    warm_up_steps: int = 0  # steps over which the learning rates rise from zero

    ema_half_life_images: float | None = 10_000  # half-life of the averaged generator; null: none
    ema_ramp: float | None = 0.05  # the half-life is at most this share of the images seen; null: no ramp
    ema_every: int = 8  # steps between two updates of the average

    device: str = "auto"  # auto, cpu, cuda or cuda:0
    devices: int | Literal["auto"] = 1  # number of processes, one per device
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"  # auto: bf16 where the device has it natively
    matmul_precision: Literal["highest", "high", "medium"] = "high"  # of what is float32 on a GPU: high is TF32
    placement: Literal["auto", "resident", "streamed"] = "auto"  # resident: the dataset lies on the device as uint8
    workers: int = 2  # threads that decode ahead when the data is streamed
    channels_last: bool = True  # memory format of images and convolutions
    compile: bool = False  # torch.compile every network in place
    deterministic: bool = False  # deterministic algorithms on a GPU (a CPU is deterministic already)
    threads: int | None = None  # CPU threads of each process; null: shared evenly

    log_every: int = 50
    sample_every: int = 500
    checkpoint_every: int = 1000
    keep_checkpoints: int = 2  # the last k are kept; at least 2
    samples: int = 64  # images in a sample grid

    watch: bool = True  # report problems: mode collapse, saturation, slow data and more
    on_divergence: Literal["stop", "rollback", "continue"] = "stop"  # when weights are NaN or Inf

    evaluate_every: int | None = 1000  # steps between two evaluations of the averaged weights; null: never
    evaluate_samples: int = 2000  # samples per evaluation (points use a number of their own)
    evaluate_with: str = "pixels"  # features for the FID
    best_metric: str | None = None  # figure that selects best.pt; null: exact/quality of points, or the FID
    patience: int | None = None  # early stopping: evaluations without improvement; null: off

    def __post_init__(self):
        if self.evaluate_with not in judges():
            raise ConfigError(f"trainer.evaluate_with={self.evaluate_with} must be one of {', '.join(judges())}.")
        positive = (
            "steps",
            "epochs",
            "max_minutes",
            "batch_size",
            "accumulate",
            "ema_half_life_images",
            "ema_ramp",
            "ema_every",
            "threads",
            "log_every",
            "sample_every",
            "checkpoint_every",
            "samples",
            "evaluate_every",
            "evaluate_samples",
            "patience",
        )
        for name in positive:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"trainer.{name}={value} must be greater than 0.")
        for name in ("warm_up_steps", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"trainer.{name}={getattr(self, name)} must not be negative.")
        if self.steps is None and self.epochs is None and self.max_minutes is None:
            raise ConfigError("Nothing bounds the run: set trainer.steps, trainer.epochs or trainer.max_minutes.")
        if self.evaluate_samples < 10:
            raise ConfigError(
                f"trainer.evaluate_samples={self.evaluate_samples} is too few for an evaluation: set 10 or more."
            )
        if self.evaluate_every is None and (self.patience or self.best_metric):
            name = "patience" if self.patience else "best_metric"
            raise ConfigError(f"trainer.{name} needs evaluations, and they are off: set trainer.evaluate_every=1000.")
        for network, count in self.freeze.items():
            if count < 0:
                raise ConfigError(f"trainer.freeze.{network}={count} must not be negative: it counts layers.")
        if not 0 <= self.decay_from < 1:
            raise ConfigError(f"trainer.decay_from={self.decay_from} must lie between 0 and 1.")
        for name, most in MOST.items():
            if (getattr(self, name) or 0) > most:
                raise ConfigError(f"trainer.{name}={getattr(self, name)} must be at most {most:,}.")
        if self.keep_checkpoints < 2:
            raise ConfigError(
                f"trainer.keep_checkpoints={self.keep_checkpoints} must be at least 2: the newest may be the one "
                "that a crash interrupts."
            )
        if self.devices != "auto" and self.devices < 1:
            raise ConfigError(f"trainer.devices={self.devices} must be at least 1, or auto.")
        for player, limit in self.clip.items() if isinstance(self.clip, dict) else [("", self.clip)]:
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                key = f"trainer.clip.{player}" if player else "trainer.clip"
                raise ConfigError(f"{key}={limit} must be greater than 0, or null for no clipping.")


@dataclass
class RunPlace:
    """Where a run writes: `<root>/<name>/<time>`."""

    name: str = "run"
    root: str = "outputs"


@dataclass
class Proof:
    """What an experiment is to show, how it is measured, and the one override that takes its cause away."""

    claim: str
    source: str
    measure: str  # dotted name of the function that gives a run its figure
    threshold: float
    better: Literal["higher", "lower"]  # the side of the threshold on which the claim holds
    budget_seconds: float  # of one thread, for one seed with its control
    control: str  # one setting, as it is typed
    seeds: int = 3  # that judge, from 100 on

    def __post_init__(self):
        if not math.isfinite(self.threshold):
            raise ConfigError(f"proof.threshold={self.threshold} must be a finite number.")
        if not (math.isfinite(self.budget_seconds) and self.budget_seconds > 0):
            raise ConfigError(f"proof.budget_seconds={self.budget_seconds} must be greater than 0.")
        if not 3 <= self.seeds <= 100:
            raise ConfigError(f"proof.seeds={self.seeds} must be 3 or more, and at most 100.")


@dataclass
class Settings:
    """The top level of a configuration: five groups and what belongs to none."""

    dataset: dict[str, Any]
    model: dict[str, Any]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    trainer: TrainerSettings
    optimizer_overrides: dict[str, Any] = field(default_factory=dict)  # player -> what differs for its optimizer
    run: RunPlace = field(default_factory=RunPlace)
    trust: list[str] = field(default_factory=list)  # packages of the user's own that `_target_` may name
    proof: Proof | None = None  # of an experiment that is to show something: scripts/prove.py
    budget: str | dict[str, Any] | None = None  # 30m, 2h, images=5M; of a run what was said and the formulas by setting
    dial: dict[str, Any] | None = None  # of an experiment: what a budget decides, and how (gan_lab.launch.dial)
    stages: dict[str, Any] = field(default_factory=dict)  # name -> what differs in this step of the experiment
    seed: int = 0


def judges() -> list[str]:
    """The names of those in whose features samples may be judged: the files of `gan_lab.runs.judges`."""
    return sorted(file.stem for file in JUDGES.glob("*.py") if file.stem != "__init__")
