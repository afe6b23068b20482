"""Every attempt at a proof: a file that only grows, and the rules of judging that can be read from it."""

import json
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from proofs.claim import TUNING, Claim
from proofs.repository import Repository

from gan_lab.errors import ConfigError

BEGUN, MEASURED = "begun", "measured"


@dataclass
class Plan:
    """The seeds of a claim that are still to be run, in which attempt (None: tuning), and what is known already."""

    claim: Claim
    seeds: list[int]
    attempt: int | None
    known: list[dict[str, Any]] = field(default_factory=list)


class Ledger:
    """docs/proofs.jsonl. Raises ConfigError if it no longer begins with what was committed."""

    def __init__(self, repository: Repository):
        self.repository = repository
        file = repository.ledger
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if not text.startswith(repository.committed(file)):
            raise ConfigError(f"{file.name} has lost or changed lines that were committed: it may only grow.")
        self.lines = [json.loads(line) for line in text.splitlines()]

    def plan(self, claim: Claim, seeds: list[int]) -> Plan:
        """What is to be done for these seeds.

        Seeds 0 to 2 tune; from 100 on three judge, or as many as the claim says. A judgement needs what git holds; one
        of the same configuration and code stands and is not repeated; after a change there may be another, which counts
        as another attempt.
        """
        unknown = [seed for seed in seeds if seed not in (*TUNING, *claim.judged)]
        if unknown or {*seeds} & {*TUNING} and {*seeds} & {*claim.judged}:
            raise ConfigError(f"seeds {seeds}: tune {claim.name} on {list(TUNING)}, or judge on {claim.judged}.")
        hashes = {"config": claim.config_hash, "code": claim.code_hash}
        same = [line for line in self.of(claim.name) if line | hashes == line and line["seed"] in [None, *seeds]]
        known = [line for line in same if line["event"] == MEASURED]
        left = [seed for seed in seeds if seed not in {line["seed"] for line in known}]
        if seeds[0] in TUNING:
            return Plan(claim, left, None, known)

        # Go on with an attempt that was cut short, or count a new one
        claim.check_committed() if left else None
        judged = [line["attempt"] for line in self.of(claim.name) if line["attempt"]]
        begun = [line["attempt"] for line in same if line["attempt"]]
        return Plan(claim, left, max(begun, default=max(judged, default=0) + 1), known)

    def begin(self, plan: Plan) -> None:
        """Write down that a judgement begins, so that one which is broken off stays known too."""
        begun = {line["attempt"] for line in self.of(plan.claim.name)}
        if plan.attempt and plan.seeds and plan.attempt not in begun:
            self.append(plan, BEGUN, seed=None)

    def append(self, plan: Plan, event: str, **what: Any) -> dict[str, Any]:
        """One more line, with the state of the repository and the hashes of the claim."""
        claim, repository = plan.claim, self.repository
        line = {
            "proof": claim.name,
            "event": event,
            "attempt": plan.attempt,
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": repository.commit(),
            "dirty": repository.is_dirty(),
            "threshold_commit": claim.threshold_commit,
            "config": claim.config_hash,
            "code": claim.code_hash,
            "threshold": claim.proof.threshold,
            "better": claim.proof.better,
            "control_override": claim.proof.control,
            "budget_seconds": claim.proof.budget_seconds,
            "torch": version("torch"),
            **what,
        }
        repository.ledger.parent.mkdir(exist_ok=True)
        with repository.ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)
        return line

    def measured(self, plan: Plan, seed: int, claim: dict[str, Any], control: dict[str, Any]) -> dict[str, Any]:
        """Write down what claim and control came to on one seed; ConfigError if the code changed meanwhile."""
        if plan.attempt and plan.claim.hash_code() != plan.claim.code_hash:
            raise ConfigError(
                f"{plan.claim.name}: the code was changed while it was judged, so that this is no figure."
            )
        seconds, cpu = (sum(job[name] for job in (claim, control)) for name in ("seconds", "cpu_seconds"))
        holds, control_holds = plan.claim.holds(claim["figure"]), plan.claim.holds(control["figure"])
        outcome = "missed" if not holds else "control passes" if control_holds else "holds"
        return self.append(
            plan,
            MEASURED,
            seed=seed,
            figure=claim["figure"],
            control=control["figure"],
            second=claim["second"],
            second_control=control["second"],
            judges=claim["judges"],
            statuses=[claim["status"], control["status"]],
            minutes=round(seconds / 60, 2),
            cpu_seconds=round(cpu, 1),
            outcome=outcome,
        )

    def of(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["proof"] == name]

    def last_judgement(self, name: str) -> list[dict[str, Any]]:
        """What was measured in the last attempt that measured something, by seed."""
        judged = [line for line in self.of(name) if line["attempt"] and line["event"] == MEASURED]
        last = max((line["attempt"] for line in judged), default=None)
        return sorted((line for line in judged if line["attempt"] == last), key=lambda line: line["seed"])

    def attempts(self, name: str) -> int:
        """How often a claim was judged, or begun to be."""
        return len({line["attempt"] for line in self.of(name) if line["attempt"]})

    def tuned(self, name: str) -> int:
        """How many runs numbers were chosen by."""
        return sum(line["attempt"] is None for line in self.of(name))
