"""List what can be chosen (models, losses, datasets, ...) and the runs there are."""

import shutil
import sys
from pathlib import Path
from typing import Any

from gan_lab.choices import choices, description, groups, meant, runs, with_own_folders
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.stored import place, status_of, summary_of


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
    columns([["run", "status", "step", "images/s", "metrics"], *(row(run) for run in found)], terminal())


def row(run: Path) -> list[str]:
    try:
        summary = summary_of(run)
    except CheckpointError as error:
        return [str(run), "unreadable", "", "", str(error).rpartition(" cannot be read: ")[2]]
    metrics = summary.get("metrics", {})
    told = "  ".join(f"{name} {text(value)}" for name, value in main_values(summary).items())
    speed = text(metrics.get("speed/images_per_second"))
    return [str(run), text(status_of(run, summary)), text(summary.get("step")), speed, told]


def main_values(summary: dict[str, Any]) -> dict[str, float]:
    """The last losses and what judges say, out of all that a run logs."""
    metrics = summary.get("metrics", {})
    losses = {name.removeprefix("loss/"): value for name, value in metrics.items() if name.startswith("loss/")}
    return losses | {name: figure["value"] for name, figure in summary.get("figures", {}).items()}


def text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def columns(rows: list[list[str]], most: int | None = None) -> None:
    """Print rows; of lines with more than `most` letters the last cell ends in three dots."""
    wide = widths(rows)
    for row in rows:
        start = "".join(f"{cell:<{width}}  " for cell, width in zip(row[:-1], wide[:-1], strict=True))
        left = max(most - len(start), 3) if most else len(row[-1])
        print(f"{start}{row[-1] if len(row[-1]) <= left else row[-1][: left - 3] + '...'}".rstrip())


def terminal() -> int | None:
    """How many letters a line of the terminal holds; None where nobody reads it there."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def widths(rows: list[list[str]]) -> list[int]:
    return [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
