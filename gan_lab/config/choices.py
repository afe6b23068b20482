"""Where the configuration lies and what its groups offer: what is built in, and what the user's own folders add."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from gan_lab.errors import ConfigError
from gan_lab.storage.files import place
from gan_lab.wording import meant

HERE = Path(__file__).parents[1]
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
    wanted = word.replace("=", "/", 1)
    ways = (
        lambda full: full == wanted,
        lambda full: known[full][1] == wanted,
        lambda full: full.endswith(f"/{wanted}"),
    )
    same = next((found for way in ways if (found := list(filter(way, known)))), [])
    if len(same) == 1:
        return known[same[0]]
    if same:
        raise ConfigError(f"{word!r} may be {' or '.join(same)}: write one of them in full")
    near = meant(wanted, known) or meant(wanted, [name for _, name, _ in known.values()])
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
