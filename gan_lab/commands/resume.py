"""Resume an interrupted run exactly where it stopped, or run the missing jobs of a sweep."""

import json
from pathlib import Path
from typing import Any

from gan_lab import schema
from gan_lab.choices import find_run, meant
from gan_lab.commands.train import code_of, follow, is_follower
from gan_lab.comparison import flat, said
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.overrides import Line, read, written
from gan_lab.stored import config_of, overrides_of, place, start_of
from gan_lab.sweep import is_sweep

LOOP = ("steps", "epochs", "max_minutes", "log_every", "sample_every", "checkpoint_every", "keep_checkpoints",
        "samples", "evaluate_every", "patience", "device", "devices", "workers", "threads", "placement")  # fmt: skip
PLACES = ("dataset.path", "dataset.root", "dataset.cache", "dataset.of.path", "dataset.of.root", "dataset.of.cache")
GONE = object()  # stands for a setting that is not there
CHANGEABLE = (*(f"trainer.{name}" for name in LOOP), *PLACES, "trust")
USAGE = f"""usage: gan-lab resume RUN [setting=value ...]

RUN is the directory of a run, such as outputs/dcgan_digits/20261120-140502.
Settings that may change without making it another experiment:
  {", ".join(CHANGEABLE)}

With the directory of a sweep, its jobs that are not finished go on where they were saved, or start; jobs=N, how many
at once (1 where it is not given; auto: one for each GPU, or for every two cores).

Packages of your own are not trusted from the run's file: name them again, trust=[mypackage]."""


def main(argv: list[str]) -> int | None:
    if not argv or {"--help", "-h"} & set(argv):
        return print(USAGE)
    if is_follower():
        return follow()
    line = read(argv[1:])
    overrides, folder = changes(line), place(argv[0])
    if is_sweep(folder):
        return resume_sweep(folder, overrides, written(line.overrides), line.jobs)
    run = find_run(argv[0])
    if line.jobs:
        raise ConfigError(f"jobs={line.jobs} is for the directory of a sweep, and {str(run)!r} is one run")
    config = changed(config_of(run), overrides)
    held_against_its_start(run, config, overrides)

    from gan_lab import launch

    words = written(argv[1:])
    is_saved = any((run / "checkpoints").glob("*.pt")) or any((run / "checkpoints").glob("*.json"))
    if not is_saved:
        words = [*overrides_of(run), *words]
        set_aside(run)
    return code_of(launch.train(config, run.absolute(), words, resume=is_saved))


def set_aside(run: Path) -> None:
    """Let a run begin again that ended before its first checkpoint; what it left goes to `attempt/`."""
    from gan_lab import launch, sweep

    with launch.locked(run):
        left = [path for path in run.iterdir() if path.name not in sweep.KEPT and not path.name.startswith(sweep.ASIDE)]
        aside = sweep.claimed(run / sweep.ASIDE) if left else None
        for path in left:
            path.rename(aside / path.name)
    where = f"; what it left is in {launch.shown(aside)}" if aside else ""
    print(f"The run ended before its first checkpoint, so it begins again{where}.")


def resume_sweep(place: Path, overrides: dict[str, Any], words: list[str], jobs: str | None) -> int:
    """Run what is missing of a sweep, each job in a process of its own; returns the exit code."""
    from gan_lab import launch, pool, sweep

    # Leave alone what is finished; look at all the others before one of them starts
    missing, left, entries = [], [], sweep.entries(place)
    for folder, entry in entries.items():
        if entry["status"] == "finished":
            continue
        goes_on = sweep.has_checkpoint(folder)
        try:
            with launch.locked(folder):
                entry = sweep.settled(folder)
            if entry["status"] == "finished":
                continue
            config = changed(config_of(folder) if goes_on else entry["config"], overrides)
            held_against_its_start(folder, config, overrides) if goes_on else None
        except CheckpointError as error:  # a file of this job that is damaged keeps no other from going on
            left.append(entry["job"])
            print(f"job {left[-1]} is left out: {error}")
            continue
        except ConfigError as error:
            raise ConfigError(f"job {entry['job']}: {error}") from error
        missing.append(sweep.Job(config, folder.absolute(), entry["overrides"], entry["job"], goes_on, words))
    some = f"{len(missing)} of {len(entries)} jobs are missing in {place}"
    all_done = "The job is finished." if len(entries) == 1 else f"All {len(entries)} jobs are finished."
    print(some if missing or left else all_done)

    at_once = jobs if jobs == "auto" else int(jobs or 1)
    received = pool.run(missing, at_once, place) if missing else None
    if received:
        sweep.table(place)
        return 128 + received
    sweep.end_sweep(place)
    return 0


def changes(line: Line) -> dict[str, Any]:
    """The settings to change, by key; ConfigError for one that would make it another experiment."""
    from gan_lab.config import parsed

    if line.options or line.dry:
        raise ConfigError("resume takes a run and settings, no options; see gan-lab resume --help")
    found = dict(parsed(line.overrides))
    for key in found:
        near = meant(key, CHANGEABLE)
        if key not in CHANGEABLE:
            reason = f"{key!r} cannot change when a run is resumed: it would be another experiment{near}"
            raise ConfigError(f"{reason}\n  start one with gan-lab train {key}=... and the run's own settings")
    return found


def changed(config: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with its changes, checked; nothing is taken on trust that the file itself asks for."""
    config = schema.check(config | {"trust": overrides.get("trust", [])})
    for key, value in overrides.items():
        put(config, key, value)
    return schema.check(config)


def held_against_its_start(run: Path, config: dict[str, Any], overrides: dict[str, Any]) -> None:
    """Say what was changed in config.yaml since the run began; ConfigError where that makes another experiment.

    A run from before its start was kept is held against nothing.
    """
    before, now = flat(start_of(run).get("config") or {}), flat(json.loads(json.dumps(config)))
    free = lambda key: key in CHANGEABLE or key.startswith(("run.", "proof", "trust")) or key in overrides
    differ = [key for key in before | now if before and before.get(key, GONE) != now.get(key, GONE)]
    differ = [key for key in differ if key in before or not key.startswith("trainer.")]  # new since with a default
    words = lambda key: f"{key}={said(now[key]) if key in now else 'nothing'} (at the start {said(before.get(key))})"
    if wrong := [key for key in differ if not free(key)]:
        reason = f"config.yaml was changed since the run began: {', '.join(map(words, wrong))}"
        raise ConfigError(f"{reason}\n  that is another experiment: put it back, or start one with gan-lab train")
    if told := [key for key in differ if free(key) and key in CHANGEABLE]:
        print(f"Changed since the run began: {', '.join(map(words, told))}")


def put(config: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for step in above:
        config = config.setdefault(step, {})
    config[last] = value
