"""Train a model, or sweep over settings with -m; without a choice, the demo."""

import os
from collections.abc import Sequence
from pathlib import Path

from gan_lab.config.overrides import LOOKING, Line, read, with_demo, with_jobs
from gan_lab.errors import ConfigError, code_of
from gan_lab.launch.torchrun import follow, is_follower


def main(argv: list[str]) -> int | None:
    if any(word.partition("=")[0] == "--resume" for word in argv):
        from gan_lab.commands import resume

        return resume.main(resumed(argv))
    line = read(argv)
    if "WORLD_SIZE" in os.environ and {"-m", "--multirun"} & set(line.options):
        raise ConfigError("torchrun starts the processes of one run, so it takes no sweep: leave out -m.")
    if is_follower():
        return 0 if line.only_looks else follow()

    from gan_lab.config.compose import Stop, follow_hydra
    from gan_lab.launch.sweep import recorded

    def train(job):
        from gan_lab.launch import launch

        run = lambda: launch.train(job.config, job.run_dir, job.overrides)
        summary = run() if job.number is None else recorded(job, run)
        if summary["status"] == "stopped":
            raise Stop(code=code_of(summary))
        return summary

    if not {"-sc", "--shell-completion"} & set(line.options):
        line.overrides = budgeted(line, with_demo(with_jobs(line)))
    return follow_hydra(line, train)


def trained(settings: Sequence[str], trust: Sequence[str] = (), config_dir: str | Path | None = None) -> Path:
    """The directory of a run that was trained with these words: what `gan_lab.train` is made of."""
    words = [*settings, *([f"trust=[{','.join(trust)}]"] if trust else [])]
    line = read([*words, *(["--config-dir", str(config_dir)] if config_dir else [])])
    if line.options or line.dry:
        raise ConfigError("gan_lab.train takes settings, such as 'trainer.steps=500'; options are for the command.")

    from gan_lab.config.compose import follow_hydra
    from gan_lab.launch import launch

    folders = []

    def train(job):
        folders.append(job.run_dir)
        launch.train(job.config, job.run_dir, job.overrides)

    line.overrides = budgeted(line, with_demo(line.overrides))
    follow_hydra(line, train)
    return folders[0]


def budgeted(line: Line, words: list[str]) -> list[str]:
    """The words, with those that a `budget=` among them chooses, unless the line only shows something."""
    if LOOKING & set(line.options) or not any(word.startswith("budget=") for word in words):
        return words

    from gan_lab.config.compose import own_folders
    from gan_lab.launch.dial import with_budget

    with own_folders(line.folders):
        return with_budget(words)


def resumed(argv: list[str]) -> list[str]:
    """The words of `gan-lab resume` for those of `gan-lab train --resume RUN`, which is the same."""
    words = [word for word in argv if word not in ("-m", "--multirun")]
    at = next(i for i, word in enumerate(words) if word.partition("=")[0] == "--resume")
    _, equals, run = words[at].partition("=")
    after = words[at + 1 :]
    if not equals and not after:
        raise ConfigError("--resume needs the directory of a run or of a sweep")
    return [run, *words[:at], *after] if equals else [after[0], *words[:at], *after[1:]]
