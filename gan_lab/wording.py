"""How things are said: numbers and their nouns, paths and programs as they are typed, the word meant, columns."""

import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path


def shortened(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 thread`, `2,000 threads`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    try:
        path = path.resolve().relative_to(Path.cwd())
    except ValueError:
        path = path.resolve()
    return shlex.quote(str(path))


def typed(program: str) -> str:
    """A program of this environment as a person would type it from here: by its path where the shell finds another."""
    own = Path(sys.executable).parent / program
    found = shutil.which(program)
    if not own.exists() or (found and Path(found).resolve() == own.resolve()):
        return program
    return shlex.quote(str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own))


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word nearest to `word`, or nothing when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


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
