"""The behaviour print of one side of a proof, what it does in its first rounds: `python -m proofs.print TASK`.

Losses, gradient norms, statistics of samples, and what the proof's measure says of them, in float32 on one thread. All
that a print asks of the project stands in this file: to train a configuration, to open the run, to read what it logged
and to let it draw. Where one of these changes its name, this file follows, and prints stay comparable.
"""

import json
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from proofs.task import RESULT, Task
from torch import Tensor

from gan_lab.errors import GanLabError
from gan_lab.launch import launch
from gan_lab.rows import Rows
from gan_lab.runs.run import Run

ROUNDS = 16
SPANS = (0, 1, 2, 4, 8, 16)  # reports are means of the rounds between two of these
SHOWN = 32  # pictures, or points, whose statistics are taken
SETS = ("fresh", "rebuilt", "back")  # what games draw by the noise of the loop, not by the seeds of a person
FIXED = {"steps": ROUNDS, "epochs": None, "max_minutes": None, "device": "cpu", "devices": 1, "threads": 1,
         "precision": "fp32", "matmul_precision": "highest", "compile": False, "samples": 4, "watch": False,
         "log_every": 1, "sample_every": ROUNDS, "checkpoint_every": ROUNDS}  # fmt: skip


def take(task: Task) -> dict[str, Any]:
    """Train the first rounds as if there were no more, so that rates rise and fall in them; write what came of it."""
    launch.train(first_rounds(task.config), Path(task.folder), task.words)
    run = Run(task.folder)
    print_ = logged(run) | drawn(run) | {"figure": [figure(run, task.measure)]}
    print_ = {name: [rounded(value) for value in values] for name, values in print_.items()}
    (Path(task.folder) / RESULT).write_text(json.dumps(print_), encoding="utf-8")
    return print_


def first_rounds(config: dict[str, Any]) -> dict[str, Any]:
    trainer = config["trainer"]
    fixed = {name: value for name, value in FIXED.items() if name in trainer}
    judged = {"evaluate_every": trainer["evaluate_every"] and 2}  # often enough for a measure of what was evaluated
    return {**config, "trainer": {**trainer, **fixed, **judged}}


def logged(run: Run) -> dict[str, list[float]]:
    """The losses and gradient norms of every player: a mean for each span of rounds."""
    names = [name for name in run.metrics if name.startswith(("loss/", "grad_norm/"))]
    spans = list(zip(SPANS, SPANS[1:], strict=False))
    values = {name: torch.tensor(run.metrics[name], dtype=torch.float64)[:ROUNDS] for name in names}
    return {name: [float(value[a:b].nanmean()) for a, b in spans] for name, value in values.items()}


@torch.no_grad()
def drawn(run: Run) -> dict[str, list[float]]:
    """Of each set of pictures that the averaged weights draw: mean, deviation, and deviation among samples."""
    game, data = run.game, run.dataset
    rows = data.rows(torch.arange(SHOWN))
    batch = Rows(data.prepare(rows, torch.zeros(SHOWN, dtype=torch.int64)))
    game.noise.at("preview", ROUNDS)
    sets = game.preview(batch, game.draw(range(4)), ROUNDS)
    return {f"samples/{name}": statistics(sets[name].double()) for name in SETS if name in sets}


def statistics(samples: Tensor) -> list[float]:
    return [float(samples.mean()), float(samples.std()), float(samples.std(dim=0).mean())]


def figure(run: Run, measure: str) -> float:
    """What the proof's measure says of the run, under a judge that has learned nothing and is the same everywhere."""
    module, _, name = measure.rpartition(".")
    function = vars(import_module(module))[name]
    return float(function(run, Untaught()) if "judge" in signature(function).parameters else function(run))


class Untaught:
    """Sixteen fixed sums of pixels as features, ten of them as what it takes for classes."""

    splits = 1

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = images.double().flatten(1) / 127.5 - 1  # [N, D]
        places = torch.arange(pixels.shape[1] * 16, dtype=torch.float64).view(-1, 16)
        features = pixels @ (places * 12.9898).sin() / pixels.shape[1] ** 0.5
        return features.float(), features[:, :10].softmax(dim=1).float()


def rounded(value: float) -> float | None:
    return float(f"{value:.7g}") if value == value else None


if __name__ == "__main__":
    try:
        take(Task(**json.loads(sys.argv[1])))
    except GanLabError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
