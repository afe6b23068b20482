"""Compare runs: figures, means over seeds, and the settings in which they differ."""

import csv
import io
import math
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from gan_lab.config.options import free, parse
from gan_lab.config.overrides import exists
from gan_lab.errors import ConfigError, ResourceError
from gan_lab.runs.comparison import REPORT, Column, Group, Result, columns_of, find, group, legend, spread
from gan_lab.storage.sides import better
from gan_lab.wording import counted, meant, terminal, widths

USAGE = """usage: gan-lab compare RUN... [key=value ...]

RUN is a run, a sweep, or any directory of runs. Prints the last and the best value of every figure of each run.
Runs that differ only in their seed are grouped, with mean and standard deviation of the finished ones. Figures of one
name but different protocols have separate columns; those that most runs have come first. An arrow marks the better
direction, and * the best value of a column (green on a terminal, unless NO_COLOR is set). Unreadable runs are listed
with the reason. A terminal gets the figures that fit its width, and a pipe or a file whole lines.

  metric=[exact/quality]   which figures (default: evaluated figures; without any, the losses)
  all=true                 all figures, also those of a single run or too wide for the terminal
  sort=exact/quality       sort by the last value of this figure, best first; sort=-... reverses the order
  csv=PATH                 also as CSV, all figures, with a column for each number
  markdown=true            as Markdown, all figures; markdown=PATH writes a file

Exit codes: 0 compared, 2 a wrong setting, 4 a run that is not there or cannot be read."""


BEST = "*"  # after the best value of a column
GREEN, PLAIN = "\033[32m", "\033[0m"
LEAST = 8  # letters to which a name is cut at most


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

    # Show it, and write what was asked for
    whole = options.all or bool(options.metric)
    if options.markdown == "true":
        print(markdown(table))
    else:
        show(table, table if whole else table.shared().within(terminal()))
    if options.markdown not in (None, "true", "false"):
        write(options.markdown, f"{markdown(table)}\n", "markdown")
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


@dataclass
class Table:
    """Groups of runs and the columns that they are shown in; `above` is left out of each run's path."""

    groups: list[Group]
    columns: list[Column]
    wrong: dict[Path, str]
    above: Path | None = None
    with_best: bool = True  # beside each last value the best one, where a figure has a side
    most: int | None = None  # letters of the widest line

    @property
    def runs(self) -> list[Result]:
        return [run for each in self.groups for run in each.runs]

    def is_sided(self, column: Column) -> bool:
        """Whether a column has a best value beside the last."""
        return self.with_best and bool(better(column.name)) and not column.name.startswith(REPORT)

    def shared(self) -> "Table":
        """The table of the figures that several runs have, those that most of them have first."""
        having = {c.name: sum(c.name in run.last for run in self.runs) for c in self.columns}
        least = 2 if max(having.values(), default=0) > 1 else 1
        kept = sorted((c for c in self.columns if having[c.name] >= least), key=lambda c: -having[c.name])
        return replace(self, columns=kept)

    def within(self, most: int | None) -> "Table":
        """The table with as much as lines of `most` letters hold: one figure at least, last values before best ones."""
        if most is None or self.width() <= most:
            return self
        folders = [*(run.folder for run in self.runs), *self.wrong]
        above = Path(os.path.commonpath([folder.parent for folder in folders]))
        short = replace(self, above=above if above.parts else None)
        counts = range(len(self.columns), 0, -1)
        tables = [replace(short, columns=self.columns[:n], with_best=best) for best in (True, False) for n in counts]
        tables.append(replace(short, columns=self.columns[:1], with_best=False, most=most))
        return next((table for table in tables if table.width() <= most), tables[-1])

    def width(self) -> int:
        return sum(width + 2 for width in widths(self.rows())) - 2

    def rows(self) -> list[list[str]]:
        """The table as people read it: a line for each run, and one for the mean of a group."""
        differ = any(each.settings for each in self.groups)  # else their column would be blank
        rows = [["run", "status", "step", "seed", *(["settings that differ"] if differ else []), *self.titles()]]
        first, means = len(rows[0]) - len(self.titles()), []
        for each in self.groups:
            settings = [each.settings] if differ else []
            for run in each.runs:
                step = "" if run.step is None else str(run.step)
                cells = sum((self.cells(column, run) for column in self.columns), [])
                rows.append([self.called(run.folder), run.status, step, str(run.seed), *settings, *cells])
            if len(each.finished) > 1:
                cells = sum((self.means(column, each) for column in self.columns), [])
                means.append(len(rows))
                rows.append([f"  mean of {count(each)}", "", "", "", *settings, *cells])
        for lines in (means, [i for i in range(1, len(rows)) if i not in means]):
            self.mark(rows, lines, first)
        rows += [[self.called(folder), "unreadable", *[""] * (len(rows[0]) - 2)] for folder in self.wrong]
        return cut(rows, [0, *([4] if differ else [])], self.most) if self.most else rows

    def titles(self) -> list[str]:
        pairs = [
            [f"{c.title} last", f"best {arrow(c)}"] if self.is_sided(c) else [f"{c.title} {arrow(c)}".rstrip()]
            for c in self.columns
        ]
        return sum(pairs, [])

    def called(self, folder: Path) -> str:
        return str(folder.relative_to(self.above) if self.above else folder)

    def mark(self, rows: list[list[str]], lines: list[int], first: int) -> None:
        """Mark the best of each column of figures among some lines, where they are not all the same."""
        sides = sum(([better(c.name)] * (2 if self.is_sided(c) else 1) for c in self.columns), [])
        for i, side in enumerate(sides, start=first):
            values = {line: float(rows[line][i].split()[0]) for line in lines if rows[line][i]}
            values = {line: side * value for line, value in values.items() if math.isfinite(value)}
            if side and len(set(values.values())) > 1:
                best = max(values.values())
                for line in (line for line, value in values.items() if value == best):
                    rows[line][i] += BEST

    def cells(self, column: Column, run: Result) -> list[str]:
        last, best = column.last(run), column.best(run)
        cells = ["" if last is None else f"{last:.4g}"]
        return [*cells, f"{best[0]:.4g} at {best[1]}" if best else ""] if self.is_sided(column) else cells

    def means(self, column: Column, each: Group) -> list[str]:
        pairs = [spread(column.last(run) for run in each.finished)]
        if self.is_sided(column):
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
        unfinished = [self.called(run.folder) for run in self.runs if run.status != "finished"]
        note = [f"not finished, so in no mean: {', '.join(unfinished)}"]
        return [*legend(self.columns), *(note if unfinished else []), *self.wrong.values()]


def show(whole: Table, table: Table, remedy: str = "all=true shows all") -> None:
    """Print a table, and what it leaves out of the whole one, with what shows that too."""
    rows, notes = table.rows(), table.notes()
    wide, is_lit = widths(rows), sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(f"in {table.above}:") if table.above else None
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, wide, strict=True)]
        cells[-1] = cells[-1].rstrip()
        print("  ".join(f"{GREEN}{cell}{PLAIN}" if is_lit and is_best(cell) else cell for cell in cells).rstrip())
    left = len(whole.columns) - len(table.columns)
    what = [counted(left, "more figure")] if left else []
    what += ["best values"] if not table.with_best and any(map(whole.is_sided, whole.columns)) else []
    notes += [f"left out: {' and '.join(what)} of these runs; {remedy}"] if what else []
    print("".join(f"\n{note}" for note in notes))


def is_best(cell: str) -> bool:
    return cell.rstrip().endswith(BEST)


def cut(rows: list[list[str]], places: list[int], most: int) -> list[list[str]]:
    """Rows with the cells of some columns cut so that the lines have at most `most` letters, where that can be."""
    wide = widths(rows)
    while sum(wide) + 2 * len(wide) - 2 > most and max(wide[i] for i in places) > LEAST:
        wide[max(places, key=lambda i: wide[i])] -= 1
    return [
        [cell if len(cell) <= width or i not in places else f"{cell[: width - 3]}..." for i, (cell, width) in
         enumerate(zip(row, wide, strict=True))]
        for row in rows
    ]  # fmt: skip


def arrow(column: Column) -> str:
    """Which side of a figure is better."""
    return {1: "↑", -1: "↓", 0: ""}[better(column.name)]


def count(each: Group) -> str:
    share = "" if len(each.finished) == len(each.runs) else f" of {len(each.runs)}"
    return f"{len(each.finished)}{share} seeds"


def markdown(table: Table) -> str:
    """A table in Markdown, with the notes below."""
    rows = [[bold(cell.strip().replace("|", chr(92) + "|")) for cell in row] for row in table.rows()]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    rule = f"|{'---|' * len(rows[0])}"
    return "\n".join([lines[0], rule, *lines[1:], *(f"\n{note}" for note in table.notes())])


def bold(cell: str) -> str:
    return f"**{cell.removesuffix(BEST)}**" if is_best(cell) else cell


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
