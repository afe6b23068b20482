"""What made a run: its configuration, the overrides, versions and git state, in files beside its results."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen
from gan_lab.errors import CheckpointError
from gan_lab.metrics.store import digest
from gan_lab.storage.files import OVERRIDES, START, itself, start_of, write_text
from gan_lab.version import __version__

LOOKED_AT = 16  # samples by which data is known again
DIFFERS = "The resumed run will differ from an uninterrupted one."


def record(config: dict, run_dir: Path, overrides: Sequence[str], dataset: Dataset) -> None:
    """Write what made the run: configuration, overrides (those of a resumed run below), versions and git state.

    Once, at the start, also what a resumed run is held against, and the names that a condition may have, with the
    classes that no picture is of. Data that has changed since is said aloud.
    """
    start, now = start_of(run_dir), digest(*dataset.plain(chosen(len(dataset), LOOKED_AT)).values())
    if not start:
        data = {"samples": len(dataset), "digest": now, "empty": dataset.empty_classes}
        start = {"config": config, "names": dataset.vocabulary, **data}
        write_text(run_dir / START, json.dumps(start, indent=2) + "\n")
    if start["samples"] != len(dataset):
        print(f"The data has changed: {start['samples']:,} samples at the start, {len(dataset):,} now. {DIFFERS}")
    elif start.get("digest", now) != now:
        print(f"The data has changed: some of its samples are others than at the start. {DIFFERS}")
    write_text(run_dir / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    if (run_dir / OVERRIDES).exists() and not (run_dir / OVERRIDES).is_file():
        raise CheckpointError(f"{str(run_dir / OVERRIDES)!r} cannot be written: it is no regular file")
    with open(run_dir / OVERRIDES, "a", encoding="utf-8", errors="backslashreplace", opener=itself) as file:
        file.writelines(f"{override}\n" for override in overrides)
    facts = {
        "gan_lab": __version__,
        "git": git_state(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    write_text(run_dir / "environment.json", json.dumps(facts, indent=2) + "\n")


def git_state() -> dict | None:
    """Commit and dirt of the repository that gan-lab runs from; None where it is installed from a wheel."""
    here = Path(__file__).parents[1]

    def git(*words):
        done = subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        commit = git("rev-parse", "HEAD") if (here.parent / ".git").exists() else None
        return {"commit": commit, "dirty": bool(git("status", "--porcelain"))} if commit else None
    except FileNotFoundError:
        return None
