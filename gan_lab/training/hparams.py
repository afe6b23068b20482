"""What TensorBoard's HPARAMS page lists of a run: its choices, its main settings and what its sweep varies, flat."""

from pathlib import Path
from typing import Any

import yaml

MAIN = ("seed", "trainer.steps", "trainer.batch_size", "optimizer.lr")


def main_settings(config: dict[str, Any], run_dir: Path) -> dict[str, str | float]:
    """Name to value, a text or a number; the same names for every run of one sweep.

    What was chosen in each group stands in the files that Hydra leaves in the run directory; without them (a run that
    no command started) the class of each part is its choice.
    """
    file = run_dir / ".hydra" / "hydra.yaml"
    if file.is_file():
        hydra = yaml.safe_load(file.read_text(encoding="utf-8"))["hydra"]
        groups = {name: value for name, value in hydra["runtime"]["choices"].items() if not name.startswith("hydra/")}
        swept = hydra["callbacks"]["gan_lab"]["swept"]
        lists = [name for name in swept if "/" in name and name not in groups]  # Hydra notes no choice of several
        groups |= {name: given(name, hydra["overrides"]["task"]) for name in lists}
    else:
        parts = ("dataset", "loss", "model", "optimizer")
        groups, swept = {part: config[part]["_target_"].rpartition(".")[2] for part in parts}, []
    names = [name for name in dict.fromkeys([*MAIN, *swept]) if name not in groups and not name.startswith("hydra.")]
    return {name: flat(value) for name, value in [*groups.items(), *((name, at(config, name)) for name in names)]}


def given(name: str, words: list[str]) -> Any:
    """What the command line says of a group, such as a list of views."""
    return next(yaml.safe_load(word.partition("=")[2]) for word in reversed(words) if word.startswith(f"{name}="))


def at(config: Any, name: str) -> Any:
    """The value of a dotted name, in which a number is a place in a list."""
    for step in name.split("."):
        config = config[int(step)] if isinstance(config, list) else config[step]
    return config


def flat(value: Any) -> str | float:
    """A value as the page can show it: a number, or a text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return value
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else "none" if value is None else str(value)
