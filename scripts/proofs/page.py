"""The page of all claims, generated from their YAML and from every attempt on record."""

from typing import Any

import yaml
from proofs.claim import judged, names
from proofs.ledger import Ledger
from proofs.prints import Prints
from proofs.repository import Repository

HEAD = """# Proofs

`python scripts/prove.py --page` writes this page from `conf/experiment/proof` and [proofs.jsonl](proofs.jsonl), which
holds every attempt; do not edit it. `make proofs` trains and judges what is not judged yet or has changed since.

A claim is one thing that a variant is famous for, beside a control that differs from it by one setting and must miss
it. Numbers are chosen on seeds 0 to 2; the threshold is committed, and only then seeds 100, 101 and 102 are judged,
once; 103 and 104, too, where five figures stand. *Shown*: on all of them the claim holds and the control misses it,
and on each seed claim and control lie at least a tenth of the threshold apart. *Margin*: the worst claim against the
best control, as a share of the threshold, and what of it lies on either side of the threshold. *Behaviour*: losses,
gradients and samples of the first rounds ([prints.jsonl](prints.jsonl)) are equal within a thousandth from the first
commit to the second one: the code moved, and behaves as before. Judgements from before the first one are of other
prints, which were not taken; `make proofs` itself goes by the code alone. Figures stand in the order of the seeds, each
of the last attempt; where a network judges, a second one of another architecture and seed judges beside
it. Neither takes part in a game. Minutes are those of one seed with its control, on the machine that judged; the size
of a proof is counted in seconds of one thread.
"""
LEAST_MARGIN = 0.1  # of the threshold, between claim and control of each seed
COLUMNS = ("proof", "claim and source", "measure", "threshold (commit)", "figures", "second judge", "control's setting",
           "control", "margin", "minutes", "attempts", "behaviour", "outcome")  # fmt: skip


def page(repository: Repository) -> str:
    """The page: the claims with what came of them, and those that nothing is built for."""
    ledger = Ledger(repository)
    claims = {name: read(repository.claims / f"{name}.yaml")["proof"] for name in names(repository)}
    prints = Prints(repository)
    rows = [row(name, claim, ledger, prints) for name, claim in claims.items()]
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


def row(name: str, claim: dict[str, Any], ledger: Ledger, prints: Prints) -> str:
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
        margin(lines),
        numbers(lines, "minutes"),
        f"{ledger.attempts(name)} (tuned on {ledger.tuned(name)} runs)",
        behaviour(prints.since(name)),
        outcome(lines, judged(claim.get("seeds", 3))),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def outcome(lines: list[dict[str, Any]], seeds: list[int]) -> str:
    """What the last attempt came to, in one of the three words or as what is still to come."""
    if {line["seed"] for line in lines} != {*seeds}:
        return f"judged on {len(lines)} of {len(seeds)} seeds" if lines else "not judged yet"
    over = max(line["cpu_seconds"] for line in lines)
    budget = lines[-1]["budget_seconds"]
    size = f"; over its budget ({over:.0f} of {budget:g} s)" if over > budget else ""
    holds, apart = all(line["outcome"] == "holds" for line in lines), min(gap(line, line) for line in lines)
    if holds and apart >= LEAST_MARGIN:
        return f"*shown*{size}"
    figures = [line["figure"] for line in lines if line["figure"] is not None]
    trained = (
        "trains" if len(figures) == len(lines) else f"diverged on {len(lines) - len(figures)} of {len(lines)} seeds"
    )
    mean = f" ({sum(figures) / len(figures):.3g})" if figures else ""
    passes = sum(line["outcome"] == "control passes" for line in lines)
    why = f"; the control passes on {passes} of {len(lines)}" if passes else ""
    why = why or (f"; claim and control are only {apart:.0%} of the threshold apart" if holds else "")
    return f"*{trained}, not shown here*{mean}{why}{size}"


def gap(claim: dict[str, Any], control: dict[str, Any]) -> float:
    """How far the claim of one line lies beyond the control of another, as a share of the threshold."""
    return beyond(claim, "figure") - beyond(control, "control")


def beyond(line: dict[str, Any], name: str) -> float:
    """How far a figure lies on the claim's side of the threshold, as a share of it; one that diverged, not at all."""
    value = line[name]
    if value is None:
        return -1.0 if name == "figure" else 0.0
    sign = 1 if line["better"] == "higher" else -1
    return sign * (value - line["threshold"]) / abs(line["threshold"] or 1.0)


def margin(lines: list[dict[str, Any]]) -> str:
    """The worst claim against the best control, and how much of it lies on either side of the threshold."""
    if not lines:
        return ""
    claim, control = min(beyond(line, "figure") for line in lines), max(beyond(line, "control") for line in lines)
    return f"{claim - control:.0%} ({claim:.0%} and {-control:.0%})"


def behaviour(equal: tuple[dict[str, Any], dict[str, Any]] | None) -> str:
    """Since which commit the first rounds are as they are now."""
    if equal is None:
        return "not printed"
    first, last = equal
    if first is last:
        return f"printed at {last['commit'][:7]}, {last['date']}"
    return f"equal from {first['commit'][:7]} to {last['commit'][:7]}, {last['date']}"


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
