"""The page of all claims, generated from their YAML and from every attempt on record."""

from typing import Any

import yaml
from proofs.claim import JUDGED, names
from proofs.ledger import Ledger
from proofs.repository import Repository

HEAD = """# Proofs

`python scripts/prove.py --page` writes this page from `conf/experiment/proof` and [proofs.jsonl](proofs.jsonl), which
holds every attempt; do not edit it. `make proofs` trains and judges what is not judged yet or has changed since.

A claim is one thing that a variant is famous for, beside a control that differs from it by one setting and must miss
it. Numbers are chosen on seeds 0 to 2; the threshold is committed, and only then seeds 100, 101 and 102 are judged,
once. *Shown*: on all three seeds the claim holds and the control misses it. Figures stand in the order of the seeds,
each of the last attempt; where a network judges, a second one of another architecture and seed judges beside it.
Neither takes part in a game. Minutes are those of one seed with its control, on the machine that judged; the size of a
proof is counted in seconds of one thread.
"""
COLUMNS = ("proof", "claim and source", "measure", "threshold (commit)", "figures", "second judge", "control's setting",
           "control", "minutes", "attempts", "outcome")  # fmt: skip


def page(repository: Repository) -> str:
    """The page: the claims with what came of them, and those that nothing is built for."""
    ledger = Ledger(repository)
    claims = {name: read(repository.claims / f"{name}.yaml")["proof"] for name in names(repository)}
    rows = [row(name, claim, ledger) for name, claim in claims.items()]
    missing = read(repository.scripts / "proofs" / "not_built.yaml")
    gaps = [
        f"| {name} | {flat(claim['claim'])} {flat(claim['source'])} | *not built* |" for name, claim in missing.items()
    ]
    return "\n".join(
        [
            HEAD,
            f"| {' | '.join(COLUMNS)} |",
            f"|{'---|' * len(COLUMNS)}",
            *rows,
            "\n## Not built\n\nClaims whose variant, or whose experiment, is not there yet.\n",
            "| proof | claim and source | outcome |\n|---|---|---|",
            *gaps,
            "",
        ]
    )


def row(name: str, claim: dict[str, Any], ledger: Ledger) -> str:
    lines = ledger.last_judgement(name)
    known = lines[-1] if lines else {}
    sign = "at least" if known.get("better", claim["better"]) == "higher" else "at most"
    commit = f" ({known['threshold_commit']})" if known else ""
    cells = [
        f"`{name}`",
        f"{flat(claim['claim'])} {flat(claim['source'])}",
        f"`{claim['measure'].rpartition('.')[2]}`",
        f"{sign} {known.get('threshold', claim['threshold']):g}{commit}",
        numbers(lines, "figure"),
        second(lines),
        f"`{known.get('control_override', claim['control'])}`",
        numbers(lines, "control"),
        numbers(lines, "minutes"),
        f"{ledger.attempts(name)} (tuned on {ledger.tuned(name)} runs)",
        outcome(lines),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def outcome(lines: list[dict[str, Any]]) -> str:
    """What the last attempt came to, in one of the three words or as what is still to come."""
    if {line["seed"] for line in lines} != {*JUDGED}:
        return f"judged on {len(lines)} of {len(JUDGED)} seeds" if lines else "not judged yet"
    over = max(line["cpu_seconds"] for line in lines)
    budget = lines[-1]["budget_seconds"]
    size = f"; over its budget ({over:.0f} of {budget:g} s)" if over > budget else ""
    if all(line["outcome"] == "holds" for line in lines):
        return f"*shown*{size}"
    figures = [line["figure"] for line in lines if line["figure"] is not None]
    trained = (
        "trains" if len(figures) == len(lines) else f"diverged on {len(lines) - len(figures)} of {len(lines)} seeds"
    )
    mean = f" ({sum(figures) / len(figures):.3g})" if figures else ""
    passes = sum(line["outcome"] == "control passes" for line in lines)
    why = f"; the control passes on {passes} of {len(lines)}" if passes else ""
    return f"*{trained}, not shown here*{mean}{why}{size}"


def numbers(lines: list[dict[str, Any]], name: str) -> str:
    return ", ".join("diverged" if line[name] is None else f"{line[name]:.3g}" for line in lines)


def second(lines: list[dict[str, Any]]) -> str:
    """What the second judge says of claim and control; nothing where the truth is a formula."""
    if not any(line["judges"] for line in lines):
        return ""
    return f"{numbers(lines, 'second')} (control: {numbers(lines, 'second_control')})"


def read(file) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def flat(text: str) -> str:
    return " ".join(text.split())
