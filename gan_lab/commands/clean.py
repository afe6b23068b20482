"""List runs with their size, status and age; remove the chosen ones with yes=true."""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from gan_lab.config.choices import HERE
from gan_lab.config.options import parse
from gan_lab.errors import CheckpointError, ConfigError, ResourceError
from gan_lab.storage.files import CONFIG, MARK, RESULTS, STAGES, is_marked, is_ours, is_staged, outcome_of
from gan_lab.storage.files import place as path_of
from gan_lab.storage.finding import find_run, runs
from gan_lab.storage.lock import held
from gan_lab.wording import columns, counted, meant

USAGE = """usage: gan-lab clean [RUN ...] [status=...] [older=...] [root=outputs] [yes=true]

Lists the runs below root. With yes=true it removes the named runs, or those that match status and older. It never
removes a running job, anything behind a symbolic link, or all runs at once. It removes only files that gan-lab wrote;
other files in a run's directory stay and are listed. A run is known by its file .gan-lab, which is written at the start
unless the directory already holds other files. A run without that file is removed only if nothing else lies in it.

  RUN ...          directories of runs, such as outputs/dcgan_digits/20261120-140502
  status=failed    finished, stopped, diverged, failed or killed; several with commas
  older=7d         last changed longer ago than 30m, 12h, 7d or 4w
  root=outputs     where runs lie
  yes=true         remove them

Exit codes: 0 done, 2 a wrong setting or a run that may not be removed, 4 no such run, 6 one that cannot be removed."""
WRITTEN = re.compile(  # the names of all that gan-lab writes into a run
    r"results\.png|config\.yaml|stages\.json|overrides\.txt|start\.json|environment\.json|summary\.json|metrics\.csv|evaluations\.csv|progress\.gif"
    r"|events\.out\.tfevents\.[^/]*|job\.json|log\.txt|error\.txt|\.lock|\.gan-lab|\.hydra/[a-z]+\.yaml"
    r"|checkpoints/(?:step-\d{8,}|best)\.(?:pt|json|tmp\d+)|samples/step-\d{8,}\.png"
    r"|(?:checkpoints/|samples/)?\.[\w.-]+\.tmp\d*"
    r"|generated/[^/]+\.(?:png|gif)|generated/[^/]+/[^/]+\.png"
    r"|analysis/[^/]+/(?:finding\.json|[^/]+\.png|events\.out\.tfevents\.[^/]*)"
)
WRITTEN_FOLDER = re.compile(r"|\.hydra|checkpoints|samples|(?:generated|analysis)(?:/[^/]+)?|attempt(?:-\d+)?")
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
STATUSES = ("finished", "stopped", "diverged", "failed", "killed", "running")


@dataclass
class Options:
    """What `gan-lab clean` understands beside the names of runs."""

    status: str | None = None
    older: str | None = None
    root: str = "outputs"
    yes: bool = False


@dataclass
class Found:
    """A run as it lies there."""

    place: Path
    status: str
    age: float  # seconds
    size: int  # bytes

    def row(self) -> list[str]:
        return [str(self.place), self.status, ago(self.age), amount(self.size)]


def main(argv: list[str]) -> None:
    if {"-h", "--help"} & set(argv):
        return print(USAGE)
    names = [word for word in argv if "=" not in word or Path(word).is_dir()]
    options = parse(Options, [word for word in argv if word not in names], "clean")
    if not options.root:
        raise ConfigError("root= must name the directory where runs lie, for example root=outputs.")
    root, statuses = path_of(options.root), statuses_of(options.status)
    least = 0.0 if options.older is None else seconds_of(options.older)
    chosen = [named(word, root) for word in names] if names else [look(run) for run in runs_below(root)]
    chosen = [run for run in chosen if (not statuses or run.status in statuses) and run.age >= least]
    if not chosen:
        return print(f"no such runs in {root}" if names or statuses or options.older else f"no runs in {root}")

    # Tell, and remove only what was asked for
    if not options.yes:
        columns([["run", "status", "age", "size"], *(run.row() for run in chosen)])
        return print(
            f"{counted(len(chosen), 'run')}, {amount(sum(run.size for run in chosen))}. {remedy(names, options)}"
        )
    if not (names or statuses or options.older):
        raise ConfigError("yes=true alone would remove every run: name runs, or choose with status=... or older=...")
    freed = [run.size for run in chosen if remove(run, root, is_named=bool(names))]
    return print(f"removed {counted(len(freed), 'run')}, {amount(sum(freed))} freed.")


def remedy(names: list[str], options: Options) -> str:
    if names or options.status or options.older:
        return "Nothing was removed: add yes=true to remove them, except those that are running."
    return "Nothing was removed: name runs, or choose with status=failed or older=7d, and add yes=true."


# ---- what is a run --------------------------------------------------------------------------------------------------


def runs_below(root: Path) -> list[Path]:
    """The runs below a directory, oldest first, without those behind a link; an experiment in stages is one."""
    places = {run for name in ("summary.json", CONFIG, MARK) for run in runs(root, name) if is_run(run)}
    kept = [run for run in places if not (is_staged(run.parent) or reason_to_keep(run, root))]
    return sorted(kept, key=lambda run: run.stat().st_mtime)


def is_run(place: Path) -> bool:
    """Whether a directory is a run of gan-lab's: by its mark, or by all that runs wrote before there were marks."""
    if (place / MARK).is_file():
        return is_marked(place)
    files = (CONFIG, "environment.json", "overrides.txt", ".hydra/config.yaml")
    return all((place / name).is_file() for name in files) and not foreign(place)


def foreign(place: Path) -> list[Path]:
    """What lies in a run and was not written by gan-lab."""
    files = [path for path in place.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(path for path in files if path.is_symlink() or not is_written(path, name_in(path, place)))


def is_written(path: Path, name: str) -> bool:
    return bool(WRITTEN.fullmatch(name)) and (name != RESULTS or is_ours(path))


def name_in(path: Path, place: Path) -> str:
    """The name of a file within its run, within an earlier attempt of a job at it, or within a stage."""
    stage = r"(\d+-[\w-]+(/|$))?" if is_staged(place) else ""
    return re.sub(rf"^{stage}(attempt(-\d+)?/)?", "", path.relative_to(place).as_posix())


def named(word: str, root: Path) -> Found:
    """The run that a word names; ConfigError if it may not be removed."""
    place = path_of(word)
    if not is_run(place):
        find_run(place)
        raise ConfigError(
            f"{word!r} is not removed: it has no mark of gan-lab ({MARK}), so it began in a directory that was not "
            "empty, or it is older than marks and holds other files, or is none of gan-lab's."
        )
    if reason := reason_to_keep(place, root):
        raise ConfigError(f"{word!r} is not removed: {reason}.")
    return look(place)


def reason_to_keep(place: Path, root: Path) -> str:
    """Why a run may not be removed, whatever is asked; nothing if it may."""
    here, top = place.resolve(), root.resolve()
    if top not in here.parents:
        return f"it does not lie below {str(root)!r}, where root= says that runs lie"
    above_root = (root.absolute(), *root.absolute().parents)
    steps = [step for step in (place.absolute(), *place.absolute().parents) if step not in above_root]
    if any(step.is_symlink() for step in steps):
        return "it lies behind a link"
    if here in (Path.cwd(), *Path.cwd().parents, *HERE.parents) or (here / ".git").exists():
        return "it holds more than a run"
    within = [run for run in runs(here) if run != here and not (is_staged(here) and run.parent == here)]
    return f"it holds another run, {within[0]}" if within else ""


def look(place: Path) -> Found:
    files = [file.lstat() for file in place.rglob("*") if file.is_symlink() or file.is_file()]
    newest = max((file.st_mtime for file in files), default=place.stat().st_mtime)
    with held(place) as is_free:
        status = status_of(place) if is_free and not is_of_a_sweep_that_runs(place) else "running"
    return Found(place, status, max(0.0, time.time() - newest), sum(file.st_size for file in files))


def status_of(place: Path) -> str:
    """What the summary of a run that nobody holds says; `killed` where it ended without a word."""
    try:
        status = outcome_of(place).get("status", "killed")
    except CheckpointError:
        status = "killed"
    status = status if status in STATUSES else "killed"
    return "killed" if status == "running" and os.name != "nt" else status  # Windows has no lock to tell


def is_of_a_sweep_that_runs(place: Path) -> bool:
    """Whether a run is a job of a sweep that is not over: its table needs what the job left."""
    if not (place / "job.json").is_file():
        return False
    with held(place.absolute().parent) as is_free:
        return not is_free


def remove(run: Found, root: Path, *, is_named: bool) -> bool:
    """Remove a run that nobody holds, and the folders above it that are then empty. Whether it is gone."""
    with held(run.place) as is_free:
        if not is_free or run.status == "running":
            if is_named:
                raise ConfigError(f"{str(run.place)!r} is not removed: it is running. Stop it first.")
            print(f"{run.place} is running and stays")
            return False
        stays = foreign(run.place)
        try:
            remove_files(run.place, stays)
        except OSError as error:
            raise ResourceError(f"cannot remove {str(error.filename or run.place)!r}: {error.strerror}.") from error
    print(f"removed {run.place}")
    if stays:
        more = f" and {len(stays) - 5:,} more" if len(stays) > 5 else ""
        print(f"  what gan-lab did not write stays: {', '.join(map(str, stays[:5]))}{more}")
    for above in run.place.resolve().parents:
        if root.resolve() not in above.parents or any(above.iterdir()):
            break
        above.rmdir()
    return True


def remove_files(place: Path, stays: list[Path]) -> None:
    """Remove the files that gan-lab wrote, its mark last, and the folders that are then empty."""
    files = {path for path in place.rglob("*") if path.is_symlink() or not path.is_dir()} - set(stays)
    last = [path for path in (place / STAGES, place / MARK) if path in files]  # they tell what the others are
    for path in files.difference(last):
        path.unlink()
    for folder in sorted((path for path in place.rglob("*") if path.is_dir() and not path.is_symlink()), reverse=True):
        if not any(folder.iterdir()) and WRITTEN_FOLDER.fullmatch(name_in(folder, place)):
            folder.rmdir()
    for path in last:
        path.unlink()
    if not any(place.iterdir()):
        place.rmdir()


# ---- words and numbers ----------------------------------------------------------------------------------------------


def statuses_of(text: str | None) -> list[str]:
    listed = re.fullmatch(r"\[(.*)\]", text or "")
    statuses = [] if text is None else (listed[1] if listed else text).split(",")
    for status in statuses:
        if status not in STATUSES:
            near = meant(status, STATUSES) or f"; choose from {', '.join(STATUSES)}"
            raise ConfigError(f"status={status} is not known{near}")
    return statuses


def seconds_of(text: str) -> float:
    """7d is a week of seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if not found:
        raise ConfigError(f"older={text} must be a number with m, h, d or w, for example older=7d.")
    return float(found[1]) * UNITS[found[2]]


def ago(seconds: float) -> str:
    for unit, length in (("d", UNITS["d"]), ("h", UNITS["h"])):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds / 60:.0f}m"


def amount(size: float) -> str:
    """Bytes as people read them: 12 kB, 3.4 MB."""
    power = next(power for power in (1, 2, 3) if size < 1000 ** (power + 1) or power == 3)
    size, unit = size / 1000**power, ("kB", "MB", "GB")[power - 1]
    return f"{size:.1f} {unit}" if size < 10 else f"{size:,.0f} {unit}"
