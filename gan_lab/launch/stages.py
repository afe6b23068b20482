"""The stages of an experiment: runs in order below its directory, like the jobs of a sweep, one after the other."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_lab.config.build import with_guests
from gan_lab.config.compose import Job
from gan_lab.config.settings import TrainerSettings
from gan_lab.config.stages import WORD
from gan_lab.errors import ConfigError
from gan_lab.launch.sweep import clear, has_checkpoint
from gan_lab.storage.files import STAGES, config_of, outcome_of, stage_folders, stages_of, summary_of, write_text
from gan_lab.storage.finding import find_run
from gan_lab.storage.lock import check_free, locked, mark
from gan_lab.training import session
from gan_lab.training.machine import device_count
from gan_lab.training.observers import duration
from gan_lab.wording import counted, shown


@dataclass
class Stage:
    """A step of an experiment: its words, its configuration, and that of the stage whose weights it starts from."""

    name: str
    overrides: list[str]
    config: dict[str, Any]
    before: dict[str, Any] | None


def planned(config: dict[str, Any]) -> list[Stage]:
    """The stages of a checked configuration, whose guests say how they are built though their stages are to come."""
    made = {}
    lender = lambda run: made[run.removeprefix(WORD)].config if run.startswith(WORD) else config_of(find_run(run))
    for name, stage in config["stages"].items():
        own = with_guests(stage["config"], lender=lender)
        source = own["trainer"]["init_from"] or ""
        before = made[source.removeprefix(WORD)].config if source.startswith(WORD) else None
        made[name] = Stage(name, stage["overrides"], own, before)
    return list(made.values())


def train(config: dict[str, Any], place: Path, words: Sequence[str], resume: bool, one: Callable) -> dict[str, Any]:
    """Train every stage that is not finished, each by `one` in a directory of its own; the summary of the last played.

    Its seconds are those of all stages. A stage that was begun goes on from its last checkpoint, or begins again.
    """
    if "WORLD_SIZE" in os.environ:
        raise ConfigError(
            "torchrun starts the processes of one run, and this experiment has stages, which are several: leave it out "
            "and set trainer.devices."
        )
    with locked(place):
        stages = planned(config)
        if not resume:
            check_free(place)
            mark(place)
        whole = {stage.name: {"overrides": stage.overrides, "config": stage.config} for stage in stages}
        kept = {"overrides": list(words) if not resume else stages_of(place)["overrides"]}
        write_text(place / STAGES, json.dumps({**kept, "config": {**config, "stages": whole}}, indent=2) + "\n")
        folders = dict(zip((stage.name for stage in stages), stage_folders(place), strict=True))
        missing = [stage for stage in stages if summary_of(folders[stage.name]).get("status") != "finished"]
        print(opening(stages, missing, folders), flush=True)
        for stage in missing:
            folder, number = folders[stage.name], stages.index(stage) + 1
            print(f"\nStage {number} of {len(stages)}, {stage.name}, in {shown(folder)}", flush=True)
            goes_on = has_checkpoint(folder)
            if folder.is_dir() and not goes_on:
                clear(Job(stage.config, folder, stage.overrides))
            new = [word for word in words if word not in stage.overrides]
            summary = one(stage.config, folder, new if goes_on else [*stage.overrides, *new], resume=goes_on)
            if summary["status"] != "finished":
                break
    return outcome_of(place)


def opening(stages: list[Stage], missing: list[Stage], folders: dict[str, Path]) -> str:
    """One line: which stages will be trained, and how long all of them will take here, which is tried out at once.

    So a stage that cannot work is found before the first is trained. Several processes are not tried out.
    """
    if not missing:
        return f"All {len(stages)} stages are finished."
    line = f"Training {len(missing) if len(missing) < len(stages) else 'all'} of {counted(len(stages), 'stage')}"
    if any(device_count(TrainerSettings(**stage.config["trainer"])) > 1 for stage in missing):
        return f"{line}: {', '.join(stage.name for stage in missing)}."
    goals, left = [], 0.0
    for stage in missing:
        total, seconds = session.expected(stage.config, stage.before)
        step = summary_of(folders[stage.name]).get("step", 0)
        goals.append(f"{stage.name} ({f'from step {step:,} to {total:,}' if step and total else amount(total)})")
        left += seconds * (1 - step / total if total else 1)
    return f"{line}: {', '.join(goals)}: about {duration(left)} in all here."


def amount(total: int | None) -> str:
    return counted(total, "step") if total else "by time"


def dry_run(config: dict[str, Any]) -> None:
    """A dry run of each stage, and the time of all."""
    stages, times = planned(config), []
    for number, stage in enumerate(stages, start=1):
        print(f"\nStage {number} of {len(stages)}, {stage.name}: {' '.join(stage.overrides)}")
        times.append(session.dry_run(stage.config, stage.before))
    if None not in times:
        print(f"\nAll {len(stages)} stages: about {duration(sum(times))} here.")
