"""Where the configuration lies, what each of its groups offers, and which word was probably meant."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gan_lab.errors import CheckpointError

CONFIG = "config.yaml"  # what `launch` writes into a run
HERE = Path(__file__).parent
CONF = HERE / "conf" if (HERE / "conf" / "config.yaml").is_file() else HERE.parent / "conf"  # a wheel has the first


def own_folders() -> list[Path]:
    """The user's own folders of YAML that the environment names."""
    return [Path(p).expanduser().absolute() for p in os.environ.get("GAN_LAB_CONFIG_DIR", "").split(os.pathsep) if p]


def groups() -> list[str]:
    """The config groups: dataset, experiment, loss, ..."""
    return sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra")


def choices(group: str) -> dict[str, Path]:
    """The names that `group=` takes and their files; a file of the user's own replaces a built-in of its name."""
    found = {}
    for folder in (CONF, *own_folders()):
        found |= {
            path.relative_to(folder / group).with_suffix("").as_posix(): path
            for path in (folder / group).rglob("*.yaml")
        }
    return dict(sorted(found.items()))


def description(path: Path) -> str:
    """The first comment of a YAML file, without its mark."""
    with path.open(encoding="utf-8") as lines:
        comments = (line.lstrip("# ").rstrip() for line in lines if line.startswith("#"))
        return next((comment for comment in comments if not comment.startswith("@package")), "")


def runs(root: Path, name: str = "summary.json") -> list[Path]:
    """The run directories below `root`, oldest first: those that hold a file called `name`."""
    found = (file.parent for file in root.rglob(name) if ".hydra" not in file.parts)
    return sorted(found, key=lambda run: run.stat().st_mtime)


def find_run(word: str | Path) -> Path:
    """The run that a word names; CheckpointError with the nearest one if there is none."""
    run = Path(word).expanduser()
    if (run / CONFIG).is_file():
        return run
    known = [
        file.parent for place in (run, run.parent) for depth in ("*", "*/*") for file in place.glob(f"{depth}/{CONFIG}")
    ]
    known = [found for found in known if found.name != ".hydra"] + runs(Path("outputs"), CONFIG)
    inside = sorted((found for found in known if run in found.parents), key=lambda found: found.stat().st_mtime)
    near = f"; did you mean {str(inside[-1])!r}, its newest run?" if inside else meant(str(word), map(str, known))
    what = "is not a run (it has no config.yaml)" if run.is_dir() else "does not exist"
    raise CheckpointError(f"the run {str(word)!r} {what}{near or '; `gan-lab ls runs` lists the runs in outputs'}")


def stored(run: Path) -> dict[str, Any]:
    """The configuration that a run was started with, as it lies there; CheckpointError if it cannot be read."""
    import yaml

    file = run / CONFIG
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise CheckpointError(f"{str(file)!r} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{str(file)!r} holds no configuration")
    return config


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word nearest to `word`, or nothing when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
