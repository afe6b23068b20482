"""Where runs lie, and which one a word names."""

from pathlib import Path

from gan_lab.errors import CheckpointError
from gan_lab.storage.files import CONFIG, folders_with, is_staged, place, stage_folders
from gan_lab.wording import meant, shortened


def runs(root: Path, name: str = "summary.json") -> list[Path]:
    """The run directories below `root`, oldest first: those that hold a file called `name`."""
    return sorted(folders_with(root, name), key=age)


def age(run: Path) -> float:
    """When something in a run was last made, 0 where the run has just gone."""
    try:
        return run.stat().st_mtime
    except OSError:
        return 0.0


def stage_folder(experiment: Path, name: str) -> Path:
    """The run of a stage by its name, in the directory of its experiment; it may not be there."""
    return next(
        (folder for folder in experiment.glob("*-*") if folder.name.partition("-")[2] == name), experiment / name
    )


def find_run(word: str | Path) -> Path:
    """The run that a word names, of an experiment in stages its last; CheckpointError with the nearest if none is."""
    run = place(word)
    if is_staged(run):
        *_, run = stages = stage_folders(run)
        begun = [str(stage) for stage in stages if (stage / CONFIG).is_file()]
        if str(run) not in begun:
            there = f"; there {'is' if len(begun) == 1 else 'are'} {', '.join(begun)}" if begun else ""
            raise CheckpointError(f"the experiment {str(word)!r} has not come to its last stage, {run.name}{there}")
    if (run / CONFIG).is_file():
        return run
    known = [
        file.parent for near in (run, run.parent) for depth in ("*", "*/*") for file in near.glob(f"{depth}/{CONFIG}")
    ]
    known = [found for found in known if found.name != ".hydra"] + runs(Path("outputs"), CONFIG)
    inside = sorted((found for found in known if run in found.parents), key=age)
    near = f"; did you mean {str(inside[-1])!r}, its newest run?" if inside else meant(str(word), map(str, known))
    what = "is not a run (it has no config.yaml)" if run.is_dir() else "does not exist"
    raise CheckpointError(
        f"the run {shortened(str(word), 300)!r} {what}{near or '; `gan-lab ls runs` lists the runs in outputs'}"
    )
