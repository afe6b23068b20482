"""Where the configuration lies, what its groups offer, which word was meant, and how a command is typed here."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.stored import CONFIG as CONFIG
from gan_lab.stored import folders_with, place, shortened

HERE = Path(__file__).parent
CONF = HERE / "conf" if (HERE / "conf" / "config.yaml").is_file() else HERE.parent / "conf"  # a wheel has the first
SENTENCE_END = re.compile(r"(?<=\.)(?<!\bal\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)\s")  # not that of "et al. 2014"


def own_folders() -> list[Path]:
    """The user's own folders of YAML that the environment names."""
    return [place(p).absolute() for p in os.environ.get("GAN_LAB_CONFIG_DIR", "").split(os.pathsep) if p]


@contextmanager
def with_own_folders(argv: list[str]) -> Iterator[list[str]]:
    """The words without `--config-dir DIR`, whose folder counts meanwhile as one of the environment."""
    rest, folders, words = [], [], iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        if option not in ("--config-dir", "-cd"):
            rest.append(word)
            continue
        given = value if equals else next(words, "")
        folder = place(given).absolute()
        if not given or not folder.is_dir():
            raise ConfigError(f"--config-dir: there is no folder {given!r}")
        folders.append(str(folder))
    before = os.environ.get("GAN_LAB_CONFIG_DIR")
    try:
        if folders:
            os.environ["GAN_LAB_CONFIG_DIR"] = os.pathsep.join([*([before] if before else []), *folders])
        yield rest
    finally:
        if folders:
            os.environ.pop("GAN_LAB_CONFIG_DIR")
            os.environ.update({"GAN_LAB_CONFIG_DIR": before} if before else {})


def groups() -> list[str]:
    """The config groups, as config.yaml lists them: dataset, experiment, loss, loss/penalty, ..."""
    import yaml

    defaults = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    return sorted(group for default in defaults if isinstance(default, dict) for group in default if " " not in group)


def choices(group: str, own: Iterable[Path] | None = None) -> dict[str, Path]:
    """The names that `group=` takes and their files; a file of the user's own replaces a built-in of its name.

    `own`: the user's own folders, by default those that the environment names.
    """
    found, inner = {}, [each for each in groups() if each.startswith(f"{group}/")]
    for folder in (CONF, *(own_folders() if own is None else own)):
        found |= {
            path.relative_to(folder / group).with_suffix("").as_posix(): path
            for path in (folder / group).rglob("*.yaml")
            if path.parent == folder / group or path.parent.relative_to(folder).as_posix() not in inner
        }
    return dict(sorted(found.items()))


def find_file(word: str) -> tuple[str, str, Path]:
    """Group, name and YAML file that a word stands for: model/dcgan, dcgan where one group has it, mine/model/my.yaml.

    ConfigError with the nearest name if there is none.
    """
    path = place(word)
    if path.suffix == ".yaml" and path.is_file():
        return group_of(path), path.stem, path
    known = {f"{group}/{name}": (group, name, file) for group in groups() for name, file in choices(group).items()}
    asked = word.replace("=", "/", 1)
    ways = (lambda full: full == asked, lambda full: known[full][1] == asked, lambda full: full.endswith(f"/{asked}"))
    same = next((found for way in ways if (found := list(filter(way, known)))), [])
    if len(same) == 1:
        return known[same[0]]
    if same:
        raise ConfigError(f"{word!r} may be {' or '.join(same)}: write one of them in full")
    near = meant(asked, known) or meant(asked, [name for _, name, _ in known.values()])
    raise ConfigError(f"there is no part {word!r}{near or '; gan-lab ls models lists the models, for example'}")


def group_of(path: Path) -> str:
    """The group in whose folder a YAML file lies, as my_conf/model/mine.yaml in that of the models."""
    folder = f"/{path.absolute().parent.as_posix()}"
    found = [group for group in groups() if folder.endswith(f"/{group}")]
    if not found:
        raise ConfigError(f"{str(path)!r} does not lie in the folder of a group: {', '.join(groups())}")
    return max(found, key=len)


def description(path: Path) -> str:
    """The comment that a YAML file begins with, without marks: its lines up to the first in which a sentence ends."""
    with path.open(encoding="utf-8") as lines:
        block = [line.lstrip("# ").rstrip() for line in takewhile(lambda line: line.startswith("#"), lines)]
    comments = [comment for comment in block if not comment.startswith("@package")]
    for number in range(1, len(comments)):
        ends = [end.start() for end in SENTENCE_END.finditer(f"{' '.join(comments[:number])} ")]
        if ends:
            return " ".join(comments)[: ends[-1]]
    return " ".join(comments)


def runs(root: Path, name: str = "summary.json") -> list[Path]:
    """The run directories below `root`, oldest first: those that hold a file called `name`."""
    return sorted(folders_with(root, name), key=age)


def age(run: Path) -> float:
    """When something in a run was last made, 0 where the run has just gone."""
    try:
        return run.stat().st_mtime
    except OSError:
        return 0.0


def find_run(word: str | Path) -> Path:
    """The run that a word names; CheckpointError with the nearest one if there is none."""
    run = place(word)
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


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    try:
        path = path.resolve().relative_to(Path.cwd())
    except ValueError:
        path = path.resolve()
    return shlex.quote(str(path))


def typed(program: str) -> str:
    """A program of this environment as a person would type it from here: by its path where the shell finds another."""
    own = Path(sys.executable).parent / program
    found = shutil.which(program)
    if not own.exists() or (found and Path(found).resolve() == own.resolve()):
        return program
    return shlex.quote(str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own))


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word nearest to `word`, or nothing when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
