"""Behaviour prints on record, docs/prints.jsonl: by them a judgement is known again after its code has moved.

A print is taken of both sides of a proof, of the configuration and code as they are (`prove.py --prints`). Two prints
are equal within TOLERANCE: the same code leaves the same bits on one machine, and other kernels of a product leave
differences of rounding that sixteen rounds of training do not make larger than that.
"""

import json
import math
import time
from importlib.metadata import version
from typing import Any

from proofs.repository import Repository

TOLERANCE = 1e-3  # of a value, or of the largest one of its kind


class Prints:
    """The prints of every proof, oldest first."""

    def __init__(self, repository: Repository):
        self.file = repository.root / "docs" / "prints.jsonl"
        text = self.file.read_text(encoding="utf-8") if self.file.is_file() else ""
        self.lines = [json.loads(line) for line in text.splitlines()]

    def append(self, proof: str, commit: str | None, sides: dict[str, dict[str, list]]) -> dict[str, Any]:
        """One more print, of both sides."""
        date = time.strftime("%Y-%m-%d", time.gmtime())
        line = {"proof": proof, "commit": commit, "date": date, "torch": version("torch"), "sides": sides}
        self.file.parent.mkdir(exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)
        return line

    def of(self, proof: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["proof"] == proof]

    def since(self, proof: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The oldest print from which on all are equal to the newest one, and the newest; None without a print."""
        *before, last = self.of(proof) or [None]
        if last is None:
            return None
        first = last
        for line in reversed(before):
            if differences(line["sides"], last["sides"]):
                break
            first = line
        return first, last


def differences(one: dict[str, dict[str, list]], other: dict[str, dict[str, list]]) -> list[str]:
    """What differs between two prints by more than TOLERANCE: side and name of each."""
    found = []
    for side in sorted(one.keys() | other.keys()):
        a, b = one.get(side, {}), other.get(side, {})
        found += [f"{side}: {name}" for name in sorted(a.keys() | b.keys()) if not are_near(a.get(name), b.get(name))]
    return found


def are_near(a: list[float | None] | None, b: list[float | None] | None) -> bool:
    if a is None or b is None or len(a) != len(b):
        return False
    largest = max((abs(value) for value in [*a, *b] if value is not None and math.isfinite(value)), default=0.0)
    near = lambda x, y: x == y or (None not in (x, y) and abs(x - y) <= TOLERANCE * max(largest, 1e-12))
    return all(near(x, y) for x, y in zip(a, b, strict=True))
