"""What is written of a sweep: a record in the directory of each job, and a table of all of them."""

import csv
import json
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from gan_lab.config.compose import Job
from gan_lab.errors import CheckpointError, ConfigError, GanLabError, ResourceError, fault_in, in_words
from gan_lab.storage.files import (
    CONFIG,
    MARK,
    RECORD,
    committed,
    folders_with,
    is_staged,
    main_values,
    outcome_of,
    record_of,
    replacing,
    status_of,
)
from gan_lab.storage.lock import LOCK
from gan_lab.storage.sides import better
from gan_lab.wording import columns, shown, terminal, typed, widths

ERROR = "error.txt"
KEPT = {RECORD, ".hydra", LOCK, MARK}  # what belongs to a job, not to one attempt at it
ASIDE = "attempt"


def recorded(job: Job, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Train as one job of a sweep in this process; a signal that ends the job ends the sweep, with its table."""
    try:
        summary = attempt(job, train)
    except KeyboardInterrupt:
        table(job.run_dir.parent)
        raise
    if summary["status"] == "stopped":
        table(job.run_dir.parent)
    return summary


def attempt(job: Job, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Train as one job of a sweep: what goes wrong is written down and told at once, and raises nothing."""
    print(f"job {job.number}: {' '.join(job.overrides)}")
    start = time.monotonic()
    record(job, status="running")
    try:
        summary = train()
    except KeyboardInterrupt:
        record(job, status="interrupted", seconds=time.monotonic() - start)
        raise
    except Exception as error:
        is_known = isinstance(error, GanLabError)
        code = error.exit_code if is_known else ConfigError.exit_code if fault_in(error) else 1
        reason = f"{type(error).__name__}: {error}".splitlines()[0] if is_known else in_words(error)
        record(job, status="failed", seconds=time.monotonic() - start, error=reason, code=code)
        with replacing(job.run_dir / ERROR) as temporary:
            temporary.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
        print(f"gan-lab: job {job.number} failed: {error if is_known else reason}", file=sys.stderr)
        return {"status": "failed", "code": code}
    record(job, **entry_of(summary))
    return summary


def entry_of(summary: dict[str, Any]) -> dict[str, Any]:
    """What the record of a job takes from the summary of its run."""
    outcome = {name: summary[name] for name in ("status", "seconds")} | {"metrics": main_values(summary)}
    return outcome | ({"code": 128 + summary["signal"]} if summary["status"] == "stopped" else {})


def record(job: Job, **what: Any) -> None:
    """Write the record of a job in one step, so that a reader never sees half of it."""
    job.run_dir.mkdir(parents=True, exist_ok=True)
    entry = {"job": job.number, "overrides": job.overrides, **what, "config": job.config}
    with replacing(job.run_dir / RECORD) as temporary:
        temporary.write_text(json.dumps(entry, indent=2, default=float), encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """The record of a job; CheckpointError if it cannot be read."""
    return record_of(folder)


def is_sweep(place: Path) -> bool:
    """Whether Hydra wrote a sweep's configuration into a directory."""
    return (place / "multirun.yaml").is_file()


def entries(place: Path) -> dict[Path, dict[str, Any]]:
    """The directory of each job of a sweep and its record, in the order of their numbers; a damaged one is told."""
    found = {folder: read_or_reported(folder) for folder in folders_with(place, RECORD)}
    return dict(sorted(found.items(), key=lambda pair: pair[1]["job"]))


def read_or_reported(folder: Path) -> dict[str, Any]:
    try:
        return read(folder)
    except CheckpointError as error:
        number = re.match(r"\d{1,9}(?!\d)", folder.name, re.ASCII)  # each job's directory begins with its number
        entry = {"job": int(number[0]) if number else -1, "overrides": [], "status": "damaged", "error": str(error)}
        return {**entry, "code": error.exit_code}


def end_sweep(place: Path) -> None:
    """Print and write the table of a sweep; an error if a job is not finished."""
    rows = table(place)
    missing = [entry for entry in rows if entry["status"] != "finished"]
    if missing:
        counts = Counter(entry["status"] for entry in missing)
        found = ", ".join(f"{number} of {len(rows)} jobs {status}" for status, number in counts.items())
        error = GanLabError(
            f"{found}; error.txt or log.txt in the directory of each says why\n"
            f"  to run what is missing: {typed('gan-lab')} resume {shown(place)}"
        )
        codes = {entry.get("code", 1) for entry in missing}
        error.exit_code = codes.pop() if len(codes) == 1 else 1
        raise error
    there, gan_lab = shown(place), typed("gan-lab")
    print(f"  evaluate {gan_lab} evaluate {there}\n  compare  {gan_lab} compare {there}")
    print(f"  curves   {typed('tensorboard')} --logdir {there}")


def table(place: Path) -> list[dict[str, Any]]:
    """The jobs of a sweep with the settings that differ, printed in columns and written to sweep.csv."""
    found = [{**entry, "status": status_of(folder, entry)} for folder, entry in entries(place).items()]
    names = list(dict.fromkeys(name for entry in found for name in entry.get("metrics", {})))
    common = shared([entry["overrides"] for entry in found])
    differ = [" ".join(word for word in entry["overrides"] if word not in common) for entry in found]

    def rows(names):
        lines = [["job", "status", "seconds", "settings", *names, "error"]]
        for entry, settings in zip(found, differ, strict=True):
            cells = ["" if n is None else f"{n:.4g}" for n in (entry.get("metrics", {}).get(name) for name in names)]
            seconds = f"{entry['seconds']:.4g}" if "seconds" in entry else ""
            lines.append([str(entry["job"]), entry["status"], seconds, settings, *cells, entry.get("error", "")])
        return lines

    # Print what a terminal holds, figures that have a better side before losses, and write all of it
    most, kept = terminal(), sorted(names, key=lambda name: not better(name)) if terminal() else names
    while most and kept and sum(wide + 2 for wide in widths(rows(kept))[:-1]) > most:
        kept = kept[:-1]
    wrong = any(entry.get("error") for entry in found)
    columns(rows(kept) if wrong else [row[:-1] for row in rows(kept)], most)
    with (
        replacing(place / "sweep.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        csv.writer(file).writerows(rows(names))
    return found


def shared(overrides: list[list[str]]) -> set[str]:
    """The settings that are the same in all of several jobs."""
    return set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()


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


# --- Going on --------------------------------------------------------------------------------------------------------


def final_summary(folder: Path) -> dict[str, Any]:
    """The record of a job that nobody runs, mended where the job ended without one who could write it."""
    entry = read(folder)
    if "config" not in entry:
        raise CheckpointError(f"{str(folder / RECORD)!r} is of an older gan-lab and holds no configuration to run")
    job = Job(entry["config"], folder, entry["overrides"], entry["job"])
    try:
        summary = outcome_of(folder)
    except CheckpointError:  # its checkpoints tell how far it came
        summary = {}
    if entry["status"] != "finished" and summary.get("status") == "finished":  # resumed alone, or killed just then
        record(job, **entry_of(summary))
    elif entry["status"] == "running":
        record(job, status="killed", error="its process is gone", code=1)
    return read(folder)


def has_checkpoint(folder: Path) -> bool:
    """Whether a run can go on: it has its configuration, and a checkpoint that is committed; stages see to theirs."""
    return is_staged(folder) or (folder / CONFIG).is_file() and bool(committed(folder / "checkpoints"))


def clear(job: Job) -> None:
    """Make room for another attempt and lose nothing: the last error, or all of an attempt that cannot go on."""
    left = [path for path in job.run_dir.iterdir() if path.name not in KEPT and not path.name.startswith(ASIDE)]
    if job.resume:
        left = [path for path in left if path.name == ERROR]
    if left:
        aside = claimed(job.run_dir / ASIDE)
        for path in left:
            path.rename(aside / path.name)
