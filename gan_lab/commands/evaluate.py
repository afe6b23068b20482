"""Evaluate a run: FID, KID, precision, recall and more, against the test split."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gan_lab.config.options import limited, parse
from gan_lab.errors import CheckpointError, ConfigError, GanLabError, ResourceError
from gan_lab.storage.files import CONFIG, RECORD, folders_with, itself, place
from gan_lab.wording import counted, shown, typed

USAGE = """usage: gan-lab evaluate RUN [key=value ...]
       gan-lab evaluate SWEEP [key=value ...]

Compares new samples of the averaged weights with real data: images by features, with the test split if there is one;
points with their known distribution. Each figure names its protocol. Results go to evaluations.csv and summary.json in
RUN. Of a sweep, or any directory of runs, each finished run is evaluated in turn, and a table ends the output.

  n=10000                how many samples, at most 1,000,000 (stacked digits: 26000)
  reference=test         another split of the data, at most 50,000 images; most published FIDs are those of
                         extractor=inception reference=train n=50000
  extractor=classifier   features: classifier (trained once on the labelled data; the default if there are labels),
                         pixels (the default otherwise) or inception (FID and KID; needs torch-fidelity)
  weights=ema            ema (averaged) or raw
  checkpoint=last        last, best or a step that the run keeps
  seed=1                 seed of the latents
  root=PATH              where the data lies now (dataset.root, or dataset.path of your own pictures)
  inception=PATH         Inception's weights; by default from the cache, else downloaded
  device=cpu             cpu or cuda
  trust=[mypackage]      packages of your own that the run's configuration names

Exit codes: 0 evaluated, 2 a wrong setting, 3 data that is missing, 4 a run that is not there or cannot be read, 6 a
place that cannot be written; of a sweep the code of the first run that cannot be evaluated, after all others.
"""
LEAST = 10  # samples; with fewer there is no neighbourhood to speak of


@dataclass
class Options:
    """What `gan-lab evaluate` understands."""

    n: int | None = limited(None, most=1_000_000)  # a seed's own latents
    reference: str | None = None
    extractor: str | None = None
    weights: str = "ema"
    checkpoint: str = "last"
    seed: int = 1
    root: str | None = None
    inception: str | None = None
    device: str = "cpu"
    trust: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int | None:
    if not argv or {"-h", "--help"} & set(argv):
        print(USAGE)
        return None
    options = parse(Options, argv[1:], "evaluate")
    if options.n is not None and options.n < LEAST:
        raise ConfigError(f"n={options.n} is too few for an evaluation: set n={LEAST} or more.")

    folder = place(argv[0])
    if not (folder / CONFIG).is_file() and folder.is_dir() and folders_with(folder, CONFIG, RECORD):
        evaluate_each(folder, options)
    else:
        evaluate_run(argv[0], options)
    return None


def evaluate_run(run: str | Path, options: Options) -> None:
    """Evaluate one run, print its figures and write them to its directory."""
    from gan_lab.runs.evaluation import evaluate
    from gan_lab.runs.run import Run

    words = {name: getattr(options, name) for name in ("checkpoint", "weights", "device", "trust")}
    run = Run(run, **words)
    if options.root:
        run.moved(options.root)
    weights = place(options.inception) if options.inception else None
    protocol = {"n": options.n, "extractor": options.extractor, "reference": options.reference}
    figures = evaluate(run, **protocol, seed=options.seed - 1, inception_weights=weights)
    print(table(figures))
    try:
        where = write(run.folder, figures)
    except OSError as error:
        raise ResourceError(f"cannot write to {str(run.folder)!r}: {error.strerror}.") from error
    print(where)


def evaluate_each(folder: Path, options: Options) -> None:
    """Evaluate the finished runs below a directory, say which are left out, and end with a table of all figures.

    Raises what the first run that could not be evaluated raised, after all others.
    """
    from gan_lab.commands import compare
    from gan_lab.runs.comparison import REPORT, columns_of, find, group
    from gan_lab.wording import terminal

    runs, wrong = find([folder])
    ended = [run.folder for run in runs if run.status == "finished"]
    left = [f"{shown(run.folder)}: {run.status}" for run in runs if run.status != "finished"]
    for line in [*left, *wrong.values()]:
        print(f"left out: {line}")
    if not ended:
        raise CheckpointError(f"No run in {str(folder)!r} is finished, so none is evaluated.")
    errors = []
    for number, run in enumerate(ended, start=1):
        print(f"\n{shown(run)}  ({number} of {len(ended)})", flush=True)
        try:
            evaluate_run(run, options)
        except GanLabError as error:
            errors.append(error)
            print(f"not evaluated: {error}")
    if len(errors) == len(ended):
        raise errors[0]
    runs, wrong = find([folder])
    names = dict.fromkeys(name for run in runs for name in run.last if name.startswith(REPORT))
    columns = columns_of(runs, [*names])
    judged = compare.Table(compare.sort(group(runs), None, columns), columns, wrong)
    print()
    remedy = f"{typed('gan-lab')} compare {shown(folder)} all=true shows all"
    compare.show(judged, judged.shared().within(terminal()), remedy)
    if errors:
        count = f"{counted(len(errors), 'run')} of {len(ended)}"
        raise type(errors[0])(f"{count} could not be evaluated; the first: {errors[0]}")


def table(figures: Sequence) -> str:
    """Figures as a person reads them, with the protocol below those that share it."""
    lines, width = [], max(len(figure.name) for figure in figures)
    for i, figure in enumerate(figures):
        lines.append(f"{figure.name:<{width}}  {figure.value:.5g}")
        if i + 1 == len(figures) or figures[i + 1].protocol != figure.protocol:
            lines.append(f"step {figure.step:,}; {figure.protocol}")
    return "\n".join(lines)


def write(folder: Path, figures: Sequence) -> str:
    """Add figures to the run's evaluations.csv and, unless the run is being trained, its summary; says where."""
    from gan_lab.launch import launch
    from gan_lab.storage.files import read_json, write_summary

    path = folder / "evaluations.csv"
    rows = [{"name": f.name, "value": repr(f.value), "step": f.step, **asdict(f.protocol)} for f in figures]
    is_new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8", opener=itself) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if is_new:
            writer.writeheader()
        writer.writerows(rows)
    try:
        with launch.locked(folder):
            summary = read_json(folder / "summary.json")
            judged = {**summary.get("evaluation", {}), **{figure.name: figure.as_dict() for figure in figures}}
            write_summary(folder, {**summary, "evaluation": judged})
    except ConfigError:  # the process that trains the run writes its summary
        return f"Written to {launch.shown(path)}; the run is being trained, and its summary is left alone."
    return f"Written to {launch.shown(path)} and summary.json."
