"""Train a model, or sweep over settings with -m; without a choice, the demo."""

import os
from typing import Any

from gan_lab.errors import ConfigError
from gan_lab.overrides import read, with_demo


def main(argv: list[str]) -> int:
    line = read(argv)
    if "WORLD_SIZE" in os.environ and {"-m", "--multirun"} & set(line.options):
        raise ConfigError("torchrun starts the processes of one run, so it takes no sweep: leave out -m.")
    if is_follower():
        return 0 if line.only_looks else follow()

    from gan_lab.callbacks import recorded
    from gan_lab.config import Stop, follow_hydra

    def train(job):
        from gan_lab import launch

        run = lambda: launch.train(job.config, job.run_dir, job.overrides)
        summary = run() if job.number is None else recorded(job, run)
        if summary["status"] == "stopped":
            raise Stop(code=code_of(summary))
        return summary

    if not {"-sc", "--shell-completion"} & set(line.options):
        line.overrides = with_demo(line.overrides)
    return follow_hydra(line, train)


def is_follower() -> bool:
    """Whether torchrun started this process beside the one that reads the command line."""
    return "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0"


def follow() -> int:
    from gan_lab import launch

    launch.follow()
    return 0


def code_of(summary: dict[str, Any]) -> int:
    """The exit code of a run that ended well, or of the signal that stopped it."""
    return 128 + summary["signal"] if summary["status"] == "stopped" else 0
