"""Compare runs: figures, means over seeds, and the settings in which they differ."""

import csv
import io
import math
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gan_lab.choices import meant
from gan_lab.commands.ls import columns as print_columns
from gan_lab.commands.ls import widths
from gan_lab.comparison import REPORT, Column, Group, Result, better, columns_of, find, group, legend, spread
from gan_lab.errors import ConfigError, ResourceError
from gan_lab.options import free, parse
from gan_lab.overrides import exists

USAGE = """usage: gan-lab compare RUN... [key=value ...]

RUN is a run, a sweep, or any directory of runs. Prints the last and the best value of every figure of each run.
Runs that differ only in their seed are grouped, with mean and standard deviation of the finished ones. Figures of one
name but different protocols have separate columns; those that most runs have come first. An arrow marks the better
direction. Unreadable runs are listed with the reason.

  metric=[exact/quality]   which figures (default: evaluated figures; without any, the losses)
  all=true                 all figures, also those of a single run or too wide for the terminal
  sort=exact/quality       sort by the last value of this figure, best first; sort=-... reverses the order
  csv=PATH                 also as CSV, with a column for each number
  markdown=true            as Markdown; markdown=PATH writes a file

Exit codes: 0 compared, 2 a wrong setting, 4 a run that is not there or cannot be read."""


@dataclass
class Options:
    """What `gan-lab compare` understands."""

    metric: list[str] = field(default_factory=list)
    all: bool = False
    sort: str | None = None
    csv: str | None = None
    markdown: str | None = None


def main(argv: list[str]) -> None:
    if not argv or {"-h", "--help"} & set(argv):
        return print(USAGE)
    places = [word for word in argv if is_place(word)]
    options = parse(Options, [word for word in argv if word not in places], "compare")
    if not places:
        raise ConfigError("compare needs runs or a sweep, for example gan-lab compare outputs/sweeps/20261120-140502.")
    runs, wrong = find(places)
    columns = columns_of(runs, chosen(runs, options.metric))
    table = Table(sort(group(runs), options.sort, columns), columns, wrong)
    shown = table if options.all or options.metric else table.shared()

    # Show it, and write what was asked for
    if options.markdown != "true":
        shown = shown if options.all or options.metric else shown.within(width())
    rows, notes = shown.rows(), shown.notes() + hidden(table, shown)
    if options.markdown == "true":
        print(markdown(rows, notes))
    else:
        print_columns(rows, shown.best() if is_coloured() else set())
        print("".join(f"\n{note}" for note in notes))
    if options.markdown not in (None, "true", "false"):
        write(options.markdown, f"{markdown(rows, notes)}\n", "markdown")
    if options.csv:
        write(options.csv, comma_separated(table.numbers()), "csv")
    return None


def is_place(word: str) -> bool:
    """Whether a word is a path: one that exists, or no setting."""
    return "=" not in word or exists(word)


def chosen(runs: list[Result], wanted: list[str]) -> list[str]:
    """The figures to show; ConfigError for one that no run has."""
    known = list(dict.fromkeys(name for run in runs for name in run.last))
    for name in wanted:
        if name not in known:
            raise ConfigError(f"metric={name}: none of the runs has it{meant(name, known) or has(known)}")
    judged = [name for name in known if any(run.is_judged(name) for run in runs)]
    judged.sort(key=lambda name: not name.startswith(REPORT))
    return wanted or judged or [name for name in known if name.startswith("loss/")]


def has(known: list[str]) -> str:
    return f"; there are {', '.join(known)}" if known else "; there are none at all"


def sort(groups: list[Group], word: str | None, columns: list[Column]) -> list[Group]:
    """The groups by the mean of a figure's last values, best first; those without it stay at the end."""
    shown = list(dict.fromkeys(column.name for column in columns))
    name = (word or "").removeprefix("-") or next(filter(better, shown), None)
    if word and name not in shown:
        raise ConfigError(f"sort={word}: {name} is not among the figures shown{meant(name, shown) or has(shown)}")
    mine = [column for column in columns if column.name == name]
    sign = -1 if (better(name or "") > 0) != (word or "").startswith("-") else 1

    def place(each: Group) -> tuple[int, float]:
        for number, column in enumerate(mine):
            values = [value for run in each.finished or each.runs if (value := column.last(run)) is not None]
            if values and all(map(math.isfinite, values)):
                return number, sign * sum(values) / len(values)
        return len(mine), 0.0

    return sorted(groups, key=place)


# --- The table -------------------------------------------------------------------------------------------------------


class Table:
    """Groups of runs and the columns that they are shown in."""

    def __init__(self, groups: list[Group], columns: list[Column], wrong: dict[Path, str]):
        self.groups, self.columns, self.wrong = groups, columns, wrong
        self.sided = [c for c in columns if better(c.name) and not c.name.startswith(REPORT)]  # which have a best value

    def shared(self) -> "Table":
        """The table of the figures that several runs have, those that most of them have first."""
        runs = [run for each in self.groups for run in each.runs]
        having = {c.name: sum(c.name in run.last for run in runs) for c in self.columns}
        least = 2 if max(having.values(), default=0) > 1 else 1
        kept = sorted((c for c in self.columns if having[c.name] >= least), key=lambda c: -having[c.name])
        return Table(self.groups, kept, self.wrong)

    def within(self, most: int | None) -> "Table":
        """The table with as many figures as lines of `most` letters hold, one at least."""
        for count in range(len(self.columns), 1, -1):
            table = Table(self.groups, self.columns[:count], self.wrong)
            if most is None or sum(width + 2 for width in widths(table.rows())) <= most + 2:
                return table
        return Table(self.groups, self.columns[:1], self.wrong)

    def rows(self) -> list[list[str]]:
        """The table as people read it: a line for each run, and one for the mean of a group."""
        titles = [
            [f"{c.title} last", f"best {arrow(c)}"] if c in self.sided else [f"{c.title} {arrow(c)}".rstrip()]
            for c in self.columns
        ]
        rows = [["run", "status", "step", "seed", *sum(titles, []), "settings that differ"]]
        for each in self.groups:
            for run in each.runs:
                cells = sum((self.cells(column, run) for column in self.columns), [])
                step = "" if run.step is None else str(run.step)
                rows.append([str(run.folder), run.status, step, str(run.seed), *cells, each.settings])
            if len(each.finished) > 1:
                cells = sum((self.means(column, each) for column in self.columns), [])
                rows.append([f"  mean of {count(each)}", "", "", "", *cells, each.settings])
        blank = [""] * (len(rows[0]) - 2)
        return rows + [[str(folder), "unreadable", *blank] for folder in self.wrong]

    def best(self) -> set[tuple[int, int]]:
        """The row and the column of the best of the last values of each figure, where there are several runs."""
        numbers, row = [], 1
        for each in self.groups:
            for run in each.runs:
                numbers.append((row, run))
                row += 1
            row += len(each.finished) > 1
        found, place = set(), 4
        for column in self.columns:
            values = [(better(column.name) * value, row) for row, run in numbers
                      if (value := column.last(run)) is not None and math.isfinite(value)]  # fmt: skip
            if better(column.name) and len(values) > 1:
                found.add((max(values)[1], place))
            place += 2 if column in self.sided else 1
        return found

    def cells(self, column: Column, run: Result) -> list[str]:
        last, best = column.last(run), column.best(run)
        cells = ["" if last is None else f"{last:.4g}"]
        return [*cells, f"{best[0]:.4g} at {best[1]}" if best else ""] if column in self.sided else cells

    def means(self, column: Column, each: Group) -> list[str]:
        pairs = [spread(column.last(run) for run in each.finished)]
        if column in self.sided:
            pairs.append(spread(best[0] if (best := column.best(run)) else None for run in each.finished))
        return [f"{pair[0]:.4g} ± {pair[1]:.2g}" if pair else "" for pair in pairs]

    def numbers(self) -> list[list[str | float | None]]:
        """The table as programs read it: a row for each run, beside its numbers those of its group."""
        titles = [
            [f"{c.title} {what}" for what in ("last", "best", "best step", "last mean", "last deviation", "best mean",
                                              "best deviation")]
            for c in self.columns
        ]  # fmt: skip
        rows = [["run", "status", "step", "seed", *sum(titles, []), "finished seeds", "settings that differ"]]
        for each in self.groups:
            for run in each.runs:
                cells = []
                for column in self.columns:
                    lasts = spread(column.last(other) for other in each.finished)
                    bests = spread(best[0] if (best := column.best(other)) else None for other in each.finished)
                    pairs = (column.best(run), lasts, bests)
                    cells += [column.last(run), *sum((list(pair or (None, None)) for pair in pairs), [])]
                rows.append(
                    [str(run.folder), run.status, run.step, run.seed, *cells, len(each.finished), each.settings]
                )
        return rows

    def notes(self) -> list[str]:
        """What the columns' marks stand for, and which runs are in no mean."""
        unfinished = [run for each in self.groups for run in each.runs if run.status != "finished"]
        told = [f"not finished, so in no mean: {', '.join(str(run.folder) for run in unfinished)}"]
        return [*legend(self.columns), *(told if unfinished else []), *self.wrong.values()]


def hidden(whole: Table, shown: Table) -> list[str]:
    """What a table leaves out of a larger one."""
    left = len(whole.columns) - len(shown.columns)
    return [f"{left} more figures of these runs: all=true"] if left else []


def arrow(column: Column) -> str:
    """Which side of a figure is better."""
    return {1: "↑", -1: "↓", 0: ""}[better(column.name)]


def width() -> int | None:
    """How many letters a line of the terminal holds; None where nobody reads it there."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def is_coloured() -> bool:
    """Whether a person reads this on a terminal that takes colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def count(each: Group) -> str:
    seeds = f"{len(each.finished)} seeds"
    return seeds if len(each.finished) == len(each.runs) else f"{len(each.finished)} of {len(each.runs)} seeds"


def markdown(rows: list[list[str]], notes: Iterable[str]) -> str:
    """Rows as a table in Markdown, with the notes below."""
    lines = [f"| {' | '.join(cell.strip().replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    rule = f"|{'---|' * len(rows[0])}"
    return "\n".join([lines[0], rule, *lines[1:], *(f"\n{note}" for note in notes)])


def comma_separated(rows: list[list[str | float | None]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def write(path: str, text: str, option: str) -> None:
    """A new file, which takes no other's place."""
    try:
        place = free(Path(path))
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"cannot write to {path!r}: {error.strerror}; choose a place with {option}=...") from error
    print(place)
