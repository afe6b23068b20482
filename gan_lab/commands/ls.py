"""List what can be chosen (models, losses, datasets, ...) and the runs there are."""

from pathlib import Path
from typing import Any

from gan_lab.config.choices import choices, description, groups, with_own_folders
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.storage.files import is_staged, main_values, place, stage_folders, status_of, summary_of
from gan_lab.storage.finding import runs
from gan_lab.wording import columns, meant, terminal


def main(argv: list[str]) -> None:
    with with_own_folders(argv) as words:
        listed(words)


def listed(argv: list[str]) -> None:
    kinds = {plural(group.rpartition("/")[2]): group for group in groups()}
    what, *rest = argv or [""]
    if what in ("", "--help", "-h"):
        print("usage: gan-lab ls WHAT\n\nWHAT is one of: " + ", ".join([*kinds, "runs"]))
        print("`--config-dir DIR` lists the choices of a folder of your own too.")
        print("`gan-lab ls runs root=DIR` looks for runs below another directory than outputs.")
    elif what == "runs":
        list_runs(rest)
    elif kind := kinds.get(what) or (what if what in kinds.values() else None):
        if rest:
            raise ConfigError(f"ls {what} takes nothing more, not {rest[0]!r}")
        columns([[name, description(file)] for name, file in choices(kind).items()])
    else:
        raise ConfigError(
            f"cannot list {what!r}{meant(what, [*kinds, 'runs']) or '; try ' + ', '.join([*kinds, 'runs'])}"
        )


def plural(group: str) -> str:
    """datasets, losses, penalties."""
    return f"{group[:-1]}ies" if group.endswith("y") else f"{group}es" if group.endswith("s") else f"{group}s"


def list_runs(words):
    root = Path("outputs")
    for word in words:
        key, equals, value = word.partition("=")
        if key != "root" or not equals:
            raise ConfigError(f"ls runs takes root=DIR, not {word!r}")
        root = place(value)
    found = runs(root)
    if not found:
        print(f"no runs in {root}")
        return
    rows = [line for run in found for line in (row(run), *waiting_after(run, found))]
    columns([["run", "status", "step", "images/s", "metrics"], *rows], terminal())


def waiting_after(run: Path, found: list[Path]) -> list[list[str]]:
    """A row for each stage of a run's experiment that has not begun, below the newest that has."""
    try:
        stages = stage_folders(run.parent) if is_staged(run.parent) else []
    except CheckpointError:
        return []
    is_newest = [each for each in found if each in stages][-1:] == [run]
    return [[str(stage), "waiting", "", "", ""] for stage in stages if stage not in found] if is_newest else []


def row(run: Path) -> list[str]:
    try:
        summary = summary_of(run)
    except CheckpointError as error:
        return [str(run), "unreadable", "", "", str(error).rpartition(" cannot be read: ")[2]]
    metrics = summary.get("metrics", {})
    figures = "  ".join(f"{name} {text(value)}" for name, value in main_values(summary).items())
    speed = text(metrics.get("speed/images_per_second"))
    return [str(run), text(status_of(run, summary)), text(summary.get("step")), speed, figures]


def text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
