"""What git says of the files of a repository, and a hash of the code that a list of modules reaches."""

import ast
import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gan_lab.errors import ConfigError

GENERATED = (":!docs/proofs.jsonl", ":!docs/proofs.md", ":!docs/prints.jsonl")  # what proving itself writes


class Repository:
    """A checkout: where its claims and records lie, and what git knows of them."""

    def __init__(self, root: Path):
        self.root = root
        self.conf, self.scripts = root / "conf", root / "scripts"
        self.ledger, self.page = root / "docs" / "proofs.jsonl", root / "docs" / "proofs.md"
        self.claims, self.runs = self.conf / "experiment" / "proof", root / "outputs" / "proofs"

    def git(self, *words: str | Path) -> str | None:
        """What git answers; None where it refuses, as it does outside of a repository."""
        done = subprocess.run(["git", "-C", self.root, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def commit(self) -> str | None:
        return self.git("rev-parse", "--short=12", "HEAD")

    def is_dirty(self) -> bool:
        """Whether anything but the records of proving differs from the commit."""
        return self.git("status", "--porcelain", "--", ".", *GENERATED) != ""

    def uncommitted(self, files: Iterable[Path]) -> list[str]:
        """Those of the files that the commit does not hold as they are."""
        return [
            str(file.relative_to(self.root)) for file in files if self.git("status", "--porcelain", "--", file) != ""
        ]

    def commit_of(self, file: Path, pattern: str) -> str | None:
        """The last commit that changed a line of a file which fits the pattern."""
        return self.git("log", "-1", f"-G{pattern}", "--format=%h", "--", file) or None

    def committed(self, file: Path) -> str:
        """A file as the commit holds it; nothing where it holds none."""
        return self.git("show", f"HEAD:{file.relative_to(self.root).as_posix()}") or ""

    # Code

    def file_of(self, module: str) -> Path | None:
        """The source of a module of this repository."""
        steps = Path(*module.split("."))
        places = [place / each for place in (self.root, self.scripts) for each in (steps / "__init__.py", steps)]
        return next((file for place in places if (file := place.with_suffix(".py")).is_file()), None)

    def code(self, modules: Iterable[str]) -> str:
        """A hash of the code that the modules reach by imports; comments, docstrings and layout do not count."""
        trees, todo = {}, set(modules)
        while todo:
            name = todo.pop()
            file = self.file_of(name)
            if file is None or file in trees:
                continue
            try:
                trees[file] = ast.parse(file.read_bytes())
            except SyntaxError as error:
                raise ConfigError(f"{str(file)!r}, line {error.lineno}: {error.msg}") from error
            todo |= {*imported(trees[file]), name.rpartition(".")[0]} - {""}
        lines = sorted(f"{file.relative_to(self.root).as_posix()} {meaning(tree)}" for file, tree in trees.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def imported(tree: ast.AST) -> set[str]:
    """Every module that a source may import, also inside functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def meaning(node: Any) -> Any:
    """A syntax tree as nested tuples, without docstrings and empty fields: the same for every version of Python."""
    if isinstance(node, ast.AST):
        pairs = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
        return (type(node).__name__, *((name, meaning(value)) for name, value in pairs))
    if isinstance(node, list):
        return tuple(meaning(item) for item in node if not is_text(item))
    return node


def is_text(node: Any) -> bool:
    """Whether a statement is a bare text, as a docstring is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
