"""Train one run of a proof and judge it, in a process of its own: `python -m proofs.job TASK`, a text of JSON."""

import inspect
import json
import sys
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from proofs.task import RESULT, Task

from gan_lab.errors import ConfigError, DivergedError, GanLabError
from gan_lab.launch import launch
from gan_lab.metrics import Extractor
from gan_lab.metrics.classifier import Classifier
from gan_lab.models import Game
from gan_lab.runs.run import Run


@dataclass
class Result:
    """What came of a run: no figure where it diverged; `second` is what another judge says; times without judges'."""

    status: str
    seconds: float
    cpu_seconds: float
    figure: float | None = None
    second: float | None = None
    judges: list[str] | None = None


def work(task: Task) -> Result:
    """Train, measure and write the result beside the run."""
    folder = Path(task.folder)
    wall, cpu = time.monotonic(), time.process_time()
    try:
        status = launch.train(task.config, folder, task.words)["status"]
    except DivergedError:
        status = "diverged"
    if status == "stopped":
        raise KeyboardInterrupt
    result = Result(status, time.monotonic() - wall, time.process_time() - cpu)
    if status == "finished":
        judge(result, Run(folder), task.measure)
    (folder / RESULT).write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return result


def judge(result: Result, run: Run, measure: str) -> None:
    """Measure a run: once where the truth is a formula, and by each of two networks where a network judges."""
    module = import_module(measure.rpartition(".")[0])
    function = vars(module)[measure.rpartition(".")[2]]
    panel = judges_of(module, run) if "judge" in inspect.signature(function).parameters else []
    wall, cpu = time.monotonic(), time.process_time()
    figures = [float(function(run, judge)) for judge in panel] or [float(function(run))]
    result.seconds += time.monotonic() - wall
    result.cpu_seconds += time.process_time() - cpu
    result.figure, result.second = figures[0], figures[1] if panel else None
    result.judges = [judge.about for judge in panel]


def judges_of(module: ModuleType, run: Run) -> list[Classifier]:
    """The two judges that a measure's module offers; ConfigError unless they differ and stand apart from the game."""
    panel = module.judges(run)
    for what in ("seed", "architecture"):
        if len(panel) != 2 or len({vars(judge)[what] for judge in panel}) != 2:
            raise ConfigError(f"{module.__name__}.judges must offer two judges that differ in seed and architecture.")
    check_apart(run.game)
    return panel


def check_apart(game: Game) -> None:
    """ConfigError if a network that judges takes part in the game: in a loss, in a view or as a guest."""
    places = [name for name, part in game.named_modules() if isinstance(part, Extractor)]
    if places:
        raise ConfigError(f"{places[0]} is a judge's network, and what judges may not take part in the game.")


if __name__ == "__main__":
    try:
        work(Task(**json.loads(sys.argv[1])))
    except GanLabError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
