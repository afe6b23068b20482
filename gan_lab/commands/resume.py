"""Resume an interrupted run exactly where it stopped, or run the missing jobs of a sweep."""

import json
from pathlib import Path
from typing import Any

from gan_lab.config import schema
from gan_lab.config.overrides import Line, read, written
from gan_lab.config.stages import everywhere
from gan_lab.errors import CheckpointError, ConfigError, code_of
from gan_lab.launch.sweep import is_sweep
from gan_lab.launch.torchrun import follow, is_follower
from gan_lab.runs.comparison import flat, in_yaml
from gan_lab.storage.files import CONFIG, config_of, is_staged, overrides_of, place, stage_folders, stages_of, start_of
from gan_lab.storage.finding import find_run
from gan_lab.wording import meant

LOOP = ("steps", "epochs", "max_minutes", "log_every", "sample_every", "checkpoint_every", "keep_checkpoints",
        "samples", "evaluate_every", "patience", "device", "devices", "workers", "threads", "placement")  # fmt: skip
SETS = ("dataset", "dataset.of", "dataset.sources", "dataset.images")
PLACES = tuple(f"{dataset}.{name}" for dataset in SETS for name in ("path", "root", "cache"))
GONE = object()  # stands for a setting that is not there
CHANGEABLE = (*(f"trainer.{name}" for name in LOOP), *PLACES, "trust")
USAGE = f"""usage: gan-lab resume RUN [setting=value ...]

RUN is the directory of a run, such as outputs/dcgan_digits/20261120-140502.
Settings that may change without making it another experiment:
  {", ".join(CHANGEABLE)}

With the directory of an experiment in stages, the stage that was cut goes on, and then those after it.
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
    run = folder if is_staged(folder) else find_run(argv[0])
    if line.jobs:
        raise ConfigError(f"jobs={line.jobs} is for the directory of a sweep, and {str(run)!r} is none")
    config = going_on(run, overrides)

    from gan_lab.launch import launch

    words = written(argv[1:])
    if is_staged(run):
        return code_of(launch.train(config, run.absolute(), words, resume=True))
    is_saved = any((run / "checkpoints").glob("*.pt")) or any((run / "checkpoints").glob("*.json"))
    if not is_saved:
        words = [*overrides_of(run), *words]
        set_aside(run)
    return code_of(launch.train(config, run.absolute(), words, resume=is_saved))


def set_aside(run: Path) -> None:
    """Let a run begin again that ended before its first checkpoint; what it left goes to `attempt/`."""
    from gan_lab.launch import launch, sweep

    with launch.locked(run):
        left = [path for path in run.iterdir() if path.name not in sweep.KEPT and not path.name.startswith(sweep.ASIDE)]
        aside = sweep.claimed(run / sweep.ASIDE) if left else None
        for path in left:
            path.rename(aside / path.name)
    where = f"; what it left is in {launch.shown(aside)}" if aside else ""
    print(f"The run ended before its first checkpoint, so it begins again{where}.")


def resume_sweep(place: Path, overrides: dict[str, Any], words: list[str], jobs: str | None) -> int:
    """Run what is missing of a sweep, each job in a process of its own; returns the exit code."""
    from gan_lab.launch import launch, pool, sweep

    # Leave alone what is finished; look at all the others before one of them starts
    missing, left, entries = [], [], sweep.entries(place)
    for folder, entry in entries.items():
        if entry["status"] == "finished":
            continue
        goes_on = sweep.has_checkpoint(folder)
        try:
            with launch.locked(folder):
                entry = sweep.final_summary(folder)
            if entry["status"] == "finished":
                continue
            config = going_on(folder, overrides) if goes_on else changed(entry["config"], overrides)
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
    from gan_lab.config.compose import parsed

    if line.options or line.dry:
        raise ConfigError("resume takes a run and settings, no options; see gan-lab resume --help")
    found = dict(parsed(line.overrides))
    for key in found:
        near = meant(key, CHANGEABLE)
        if key not in CHANGEABLE:
            reason = f"{key!r} cannot change when a run is resumed: it would be another experiment{near}"
            raise ConfigError(f"{reason}\n  start one with gan-lab train {key}=... and the run's own settings")
    return found


def going_on(run: Path, overrides: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a run that goes on, with its changes; of an experiment in stages with that of each stage."""
    if not is_staged(run):
        config = changed(config_of(run), overrides)
        held_against_its_start(run, config, overrides)
        return config
    config, folders = stages_of(run)["config"], stage_folders(run)
    for stage, folder in zip(config["stages"].values(), folders, strict=True):
        if (folder / CONFIG).is_file():
            stage["config"] = going_on(folder, overrides)
    return changed(config, overrides)


def changed(config: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with its changes, checked; nothing is taken on trust that the file itself asks for."""
    if config.get("stages"):
        return everywhere(config, lambda own: changed(own, overrides))
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
    is_new = lambda key: now[key] is None or key.startswith("trainer.") or ".built." in key  # by default, or of a guest
    differ = [key for key in differ if key in before or not is_new(key)]
    words = lambda key: (
        f"{key}={in_yaml(now[key]) if key in now else 'nothing'} (at the start {in_yaml(before.get(key))})"
    )
    if wrong := [key for key in differ if not free(key)]:
        reason = f"config.yaml was changed since the run began: {', '.join(map(words, wrong))}"
        raise ConfigError(f"{reason}\n  that is another experiment: put it back, or start one with gan-lab train")
    if changed := [key for key in differ if free(key) and key in CHANGEABLE]:
        print(f"Changed since the run began: {', '.join(map(words, changed))}")


def put(config: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for step in above:
        config = config.setdefault(step, {})
    config[last] = value
