"""Train claims beside their controls, measure both, and write down what came of it.

    python scripts/prove.py NAME...                      tune: seeds 0, 1 and 2
    python scripts/prove.py NAME... --judge              judge: once, and only what git holds
    python scripts/prove.py --all --judge                judge whatever is new or has changed (make proofs)
    python scripts/prove.py --prints [NAME...]           print what the first rounds of both sides do: docs/prints.jsonl
    python scripts/prove.py --page                       write docs/proofs.md and train nothing

NAME is a file of conf/experiment/proof. Every attempt becomes a line of docs/proofs.jsonl; docs/proofs.md is the table.
Runs lie in outputs/proofs; what the same configuration and code have come to is not run again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from proofs.claim import TUNING, Claim, names
from proofs.ledger import Ledger
from proofs.page import page
from proofs.prints import Prints, differences
from proofs.repository import Repository
from proofs.task import RESULT, Task

from gan_lab.config.dataset_nodes import everywhere
from gan_lab.config.options import seeds_of
from gan_lab.config.stages import everywhere as in_stages
from gan_lab.errors import ConfigError, GanLabError
from gan_lab.launch.sweep import claimed

ROOT = Path(__file__).resolve().parents[1]
STALE = "docs/proofs.md is stale: run `python scripts/prove.py --page`."


def main(argv: list[str], root: Path = ROOT) -> int:
    """Run one command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true", help="every proof there is")
    tuning = f"{TUNING[0]}-{TUNING[-1]}"
    parser.add_argument("--seeds", default=tuning, help=f"such as 0-2, 100-102 or 0 (default: {tuning})")
    parser.add_argument("--judge", action="store_true", help="on all seeds that judge each claim")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, each of one thread (default: 2)")
    parser.add_argument("--root", help="where datasets lie that are read from files (default: data)")
    parser.add_argument("--prints", action="store_true", help="take behaviour prints, of all proofs unless named")
    parser.add_argument("--page", action="store_true", help="only write docs/proofs.md")
    parser.add_argument("--check", action="store_true", help="only say whether docs/proofs.md is stale")
    options = parser.parse_args(argv)
    repository = Repository(root)
    try:
        if options.check:
            return int(is_stale(repository))
        if options.page:
            return write_page(repository)
        if options.prints:
            take_prints(options.names or names(repository), repository, options.root)
            return write_page(repository)
        chosen = names(repository) if options.all else [name.removeprefix("proof/") for name in options.names]
        if not chosen:
            raise ConfigError(f"name a proof, or --all: {', '.join(names(repository))}")
        claims = [Claim(name, repository) for name in chosen]
        try:
            seeds = None if options.judge else seeds_of(options.seeds)
            prove(claims, seeds, repository, options.jobs, options.root)
        finally:
            write_page(repository)
    except GanLabError as error:
        print(f"prove: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def write_page(repository: Repository) -> int:
    repository.page.parent.mkdir(exist_ok=True)
    repository.page.write_text(page(repository), encoding="utf-8")
    return 0


def is_stale(repository: Repository) -> bool:
    """Whether the page says something else than its sources; says so."""
    known = repository.page.read_text(encoding="utf-8") if repository.page.is_file() else ""
    stale = known != page(repository)
    if stale:
        print(STALE, file=sys.stderr)
    return stale


def prove(
    claims: list[Claim], seeds: list[int] | None, repository: Repository, jobs: int = 2, data: str | None = None
) -> None:
    """Run what is left of all claims, two sides of each seed; write each down as soon as both are there.

    Without `seeds` each claim is judged on its own.
    """
    ledger = Ledger(repository)
    plans = [ledger.plan(claim, claim.judged if seeds is None else seeds) for claim in claims]
    for plan in plans:
        for line in plan.known:
            print(f"{described(line)}  (already known: another needs another configuration or code)")
        ledger.begin(plan)

    # Hand out all runs at once, and collect them in order
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [
            (plan, seed, [pool.submit(run, plan.claim, side, seed, data) for side in plan.claim.sides])
            for plan in plans
            for seed in plan.seeds
        ]
        try:
            for plan, seed, sides in waiting:
                print(described(ledger.measured(plan, seed, *(side.result() for side in sides))), flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def run(claim: Claim, side: str, seed: int, data: str | None = None) -> dict[str, Any]:
    """Train and judge one side on one seed in a process of its own, unless the same has been done."""
    repository = claim.repository
    key = f"{claim.config_hash}-{claim.code_hash}"
    place = repository.runs / claim.name / key / f"{seed}-{side}"
    done = sorted(place.parent.glob(f"{place.name}*/{RESULT}"))
    if not done:
        folder = claimed(place)
        config = in_stages(claim.sides[side], lambda own: own | {"seed": seed})
        if data:
            there = lambda node: everywhere(node, lambda level: placed(level, Path(data)))
            config = in_stages(config, lambda own: own | {"dataset": there(own["dataset"])})
        task = Task(config, [*claim.words(side), f"seed={seed}"], claim.proof.measure, str(folder))
        with (folder / "log.txt").open("w", encoding="utf-8") as log:
            code = start(task, repository, log)
        if code:
            last = (folder / "log.txt").read_text(encoding="utf-8").strip().splitlines()[-1:]
            raise GanLabError(f"{claim.name}, {side}, seed {seed} ended with code {code}: {''.join(last)}\n  {folder}")
        done = [folder / RESULT]
    return json.loads(done[0].read_text(encoding="utf-8"))


def take_prints(chosen: list[str], repository: Repository, data: str | None = None) -> None:
    """A print of each proof as it is now, and whether it equals the last one."""
    prints = Prints(repository)
    for name in chosen:
        claim, sides = Claim(name, repository), {}
        for side, config in claim.sides.items():
            with tempfile.TemporaryDirectory() as folder:
                run = Path(folder) / "run"
                config = config | {"seed": 0}
                if data:
                    config["dataset"] = everywhere(config["dataset"], lambda level: placed(level, Path(data)))
                task = Task(config, [*claim.words(side), "seed=0"], claim.proof.measure, str(run))
                with (Path(folder) / "log.txt").open("w+", encoding="utf-8") as log:
                    code = start(task, repository, log, "proofs.print")
                    log.seek(0)
                    last = log.read().strip().splitlines()[-1:]
                if code:
                    raise GanLabError(f"{name}, {side}: no print, code {code}: {''.join(last)}")
                sides[side] = json.loads((run / RESULT).read_text(encoding="utf-8"))
        before = prints.of(name)[-1:]
        prints.append(name, repository.commit(), sides)
        found = differences(before[0]["sides"], sides) if before else []
        said = f"equal to that of {before[0]['commit']}" if before else "the first"
        print(f"{name}: {'differs in ' + ', '.join(found[:4]) if found else said}", flush=True)


def placed(dataset: dict[str, Any], data: Path) -> dict[str, Any]:
    """A dataset's settings with its files where they lie: below `data` in place of the usual folder, data/."""
    moved = {"root": str(data)} if "root" in dataset else {}
    if dataset.get("path"):
        moved["path"] = str(data / Path(dataset["path"]).relative_to("data"))
    return {**dataset, **moved}


def start(task: Task, repository: Repository, log, module: str = "proofs.job") -> int:
    """One job on one thread, with the code of this repository; returns its exit code."""
    paths = [str(repository.root), str(repository.scripts), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", module, json.dumps(asdict(task))]
    return subprocess.run(call, env=environment, stdout=log, stderr=log, check=False).returncode


def described(line: dict[str, Any]) -> str:
    """One measurement in a line."""
    figure, control = ("diverged" if line[name] is None else f"{line[name]:.4g}" for name in ("figure", "control"))
    over = line["cpu_seconds"] > line["budget_seconds"]
    size = f", over its budget ({line['cpu_seconds']:.0f} of {line['budget_seconds']:g} s)" if over else ""
    attempt = f"attempt {line['attempt']}" if line["attempt"] else "tuning"
    compared = f"{figure}, control {control}, threshold {line['threshold']:g}: {line['outcome']}"
    return f"{line['proof']} seed {line['seed']} ({attempt}): {compared}, {line['minutes']:.1f} min{size}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
