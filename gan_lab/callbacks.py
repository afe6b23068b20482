"""Around Hydra's jobs: all are checked before the first starts, none overwrites another, and a table ends a sweep."""

import csv
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any

from gan_lab import config as configuration
from gan_lab.commands.ls import columns, main_values
from gan_lab.config import Callback, Job, Stop
from gan_lab.errors import ConfigError, GanLabError, ResourceError
from gan_lab.overrides import tag

RECORD = "job.json"  # in each job's directory: what the table of a sweep is made of


def stopping(method):
    """Hydra only warns of an Exception in a callback; a Stop ends the command."""

    @wraps(method)
    def stops(self, config, **kwargs):
        try:
            return method(self, config)
        except Exception as error:
            raise Stop(error) from error

    return stops


class Jobs(Callback):
    """What Hydra calls before and after its jobs. `dry`: only look at each job and write nothing.

    `swept` is only for the configuration: the settings after which the jobs of a sweep are named.
    """

    def __init__(self, dry: bool = False, swept: Sequence[str] = ()):
        self.dry = dry

    @stopping
    def on_run_start(self, config):
        job = configuration.place_run(config)
        if self.dry:
            look([job])
        if not configuration.sets(config, "hydra.run.dir"):
            configuration.use_run_dir(config, claimed(job.run_dir))

    @stopping
    def on_multirun_start(self, config):
        if "BasicSweeper" not in config.hydra.sweeper._target_:  # another sweeper decides its jobs as it goes
            return
        place, jobs, swept = configuration.place_sweep(config)
        planned = all_jobs(config, jobs)
        if self.dry:
            look(planned)

        # Give the sweep a directory and every job its record, so that the table has a line for each
        if not configuration.sets(config, "hydra.sweep.dir"):
            names = tag([f"{key}=" for key in swept], swept)
            place = claimed(place.with_name(f"{place.name}_{names}" if names else place.name))
            configuration.use_sweep_dir(config, place, swept)
            planned = all_jobs(config, jobs)
        for job in planned:
            record(job, status="waiting")
        print(f"{len(planned)} jobs in {place}")

    @stopping
    def on_multirun_end(self, config):
        end_sweep(Path(config.hydra.sweep.dir))


def look(jobs: list[Job]) -> None:
    """A dry run of each job, and the end of the command."""
    from gan_lab import launch

    for job in jobs:
        if job.number is not None:
            print(f"job {job.number}: {' '.join(job.overrides)}")
        launch.dry_run(job.config)
    raise Stop


def all_jobs(config: Any, jobs: list[list[str]]) -> list[Job]:
    """Every job of a sweep; one ConfigError that lists those which cannot run."""
    planned, wrong = [], {}
    for number, overrides in enumerate(jobs):
        try:
            planned.append(configuration.sweep_job(config, overrides, number))
        except ConfigError as error:
            wrong.setdefault(str(error), []).append(str(number))
    if wrong:
        reasons = [f"job {', '.join(numbers)}: {reason}" for reason, numbers in wrong.items()]
        found = f"{len(jobs) - len(planned)} of {len(jobs)} jobs cannot run, so none was started:"
        raise ConfigError("\n  ".join([found, *reasons]))
    return planned


def claimed(place: Path) -> Path:
    """A new directory at this place, or beside it with -2, -3, ... when it is taken."""
    tries, free = count(2), place
    while True:
        try:
            free.mkdir(parents=True)
            return free
        except FileExistsError:
            free = place.with_name(f"{place.name}-{next(tries)}")
        except OSError as error:
            reason = error.strerror
            raise ResourceError(f"cannot write to {str(free)!r}: {reason}; choose a place with run.root=...") from error


def recorded(job: Job, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Train as one job of a sweep: what goes wrong is written down and told at once, and the next job runs."""
    print(f"job {job.number}: {' '.join(job.overrides)}")
    start = time.monotonic()
    try:
        summary = train()
        record(job, status=summary["status"], seconds=summary["seconds"], metrics=main_values(summary["metrics"]))
    except KeyboardInterrupt:
        record(job, status="interrupted", seconds=time.monotonic() - start)
        table(job.run_dir.parent)
        raise
    except Exception as error:
        code = error.exit_code if isinstance(error, GanLabError) else 1
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        record(job, status="failed", seconds=time.monotonic() - start, error=reason, code=code)
        (job.run_dir / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        print(f"gan-lab: job {job.number} failed: {error or type(error).__name__}", file=sys.stderr)
        return {"status": "failed"}
    if summary["status"] == "stopped":  # by a signal, which is meant for the sweep
        table(job.run_dir.parent)
    return summary


def record(job: Job, **what: Any) -> None:
    job.run_dir.mkdir(parents=True, exist_ok=True)
    entry = {"job": job.number, "overrides": job.overrides, **what}
    (job.run_dir / RECORD).write_text(json.dumps(entry, indent=2, default=float), encoding="utf-8")


def end_sweep(place: Path) -> None:
    """Print and write the table of a sweep; an error if a job failed."""
    entries = table(place)
    failed = [entry for entry in entries if entry["status"] == "failed"]
    if failed:
        error = GanLabError(f"{len(failed)} of {len(entries)} jobs failed; error.txt in the directory of each says why")
        codes = {entry["code"] for entry in failed}
        error.exit_code = codes.pop() if len(codes) == 1 else 1
        raise error


def table(place: Path) -> list[dict[str, Any]]:
    """The jobs of a sweep with the settings that differ, printed in columns and written to sweep.csv."""
    entries = [json.loads(file.read_text(encoding="utf-8")) for file in place.rglob(RECORD)]
    entries.sort(key=lambda entry: entry["job"])
    names = list(dict.fromkeys(name for entry in entries for name in entry.get("metrics", {})))
    common = set.intersection(*(set(entry["overrides"]) for entry in entries)) if len(entries) > 1 else set()
    rows = [["job", "status", "seconds", *names, "settings", "error"]]
    for entry in entries:
        numbers = [entry.get("seconds"), *(entry.get("metrics", {}).get(name) for name in names)]
        cells = ["" if number is None else f"{number:.4g}" for number in numbers]
        settings = " ".join(word for word in entry["overrides"] if word not in common)
        rows.append([str(entry["job"]), entry["status"], *cells, settings, entry.get("error", "")])

    # Print and write the same
    columns(rows)
    with (place / "sweep.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return entries
