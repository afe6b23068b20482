"""What a person types, put into the words that Hydra reads: options apart, paths quoted, any setting allowed."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gan_lab.config.choices import own_folders
from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import ConfigError
from gan_lab.storage.files import place
from gan_lab.wording import meant

DEMO = "experiment=dcgan_digits"  # what runs when nothing is chosen
FLAGS = {"--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m",
         "--shell-completion", "-sc"}  # fmt: skip
SHOWN, ABOUT = ("job", "hydra", "all"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
WITH_VALUE = {"--cfg": SHOWN, "-c": SHOWN, "--info": ABOUT, "-i": ABOUT, "--package": (), "-p": (),
              "--config-path": (), "-cp": (), "--config-name": (), "-cn": ()}  # fmt: skip
LOOKING = {"--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i"}
OURS = {"--dry-run", "-n", "--config-dir", "-cd", "--resume"}

PLACES = {"path", "root", "name", "dir", "file", "folder"}  # the last word of a setting that takes text, often a path
NESTED = re.compile(r"dataset([./](of|sources|images|background))+")  # the datasets of which one is made
PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$)(?:[A-Za-z_/]|\.(?!\d))[\w./:@%+-]*", re.ASCII | re.IGNORECASE)
FUNCTION = re.compile(r"(choice|range|glob|sort|shuffle|interval|tag|str|int|float|bool)\(.*\)")


@dataclass
class Line:
    """A command line in parts: settings, Hydra's options, the user's own folders of YAML, and whether to only look.

    `jobs` is how many jobs of a sweep run at once, where `jobs=N` says so.
    """

    overrides: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    dry: bool = False
    jobs: str | None = None

    @property
    def only_looks(self) -> bool:
        """Whether nothing is to be trained."""
        return self.dry or bool(LOOKING & set(self.options))


def read(argv: list[str]) -> Line:
    """Split a command line and rewrite its settings; ConfigError for a word that is neither option nor setting."""
    line, words = Line(folders=own_folders()), deque(argv)
    is_sweep = bool({"-m", "--multirun"} & set(argv))
    while words:
        word = words.popleft()
        option, equals, value = word.partition("=")
        if word in ("--dry-run", "-n"):
            line.dry = True
        elif option in FLAGS:
            line.options.append(option)
        elif option in ("--config-dir", "-cd"):
            line.folders.append(place(value if equals else next_value(option, words)).absolute())
        elif option in ("--info", "-i"):  # its value may be left out
            line.options += [option, value or (words.popleft() if words and words[0] in ABOUT else "all")]
        elif option in WITH_VALUE:
            line.options += [option, value if equals else next_value(option, words)]
        elif word.startswith("-"):
            raise ConfigError(f"unknown option {option!r}{without_dashes(option, value, words)}")
        elif option == "jobs" and equals:
            line.jobs = number_of_jobs(value)
        else:
            line.overrides.append(rewritten(word, is_sweep))
    check_options(line)
    return line


def without_dashes(option: str, value: str, words: Iterable[str]) -> str:
    """What was probably meant by an option that is none: a setting, with its value, or an option like it."""
    key = option.lstrip("-").replace("-", "_")
    places = {name: f"trainer.{name}" for name in TrainerSettings.__dataclass_fields__}
    places |= {"lr": "optimizer.lr", "seed": "seed"}
    if key not in places and not value and (near := meant(option, [*FLAGS, *WITH_VALUE, *OURS])):
        return near
    after = next(iter(words), "")
    value = value or (after if after and "=" not in after and not after.startswith("-") else "...")
    return f"; settings are written without dashes: {places.get(key, key)}={value}"


def next_value(option, words):
    if not words:
        raise ConfigError(f"{option} needs a value")
    return words.popleft()


def check_options(line):
    for option, value in zip(line.options, line.options[1:], strict=False):
        if WITH_VALUE.get(option) and value not in WITH_VALUE[option]:
            raise ConfigError(f"{option} takes {', '.join(WITH_VALUE[option])}, not {value!r}")
    missing = next((folder for folder in line.folders if not folder.is_dir()), None)
    if missing:
        raise ConfigError(f"--config-dir (or GAN_LAB_CONFIG_DIR): there is no folder {str(missing)!r}")


def number_of_jobs(value: str) -> str:
    if value != "auto" and not re.fullmatch(r"[1-9]\d*", value, re.ASCII):
        raise ConfigError(f"jobs={value} must be a whole number from 1, or auto")
    return value


def with_jobs(line: Line) -> list[str]:
    """The settings, and for `jobs=N` the launcher that runs the jobs of a sweep at once; ConfigError without -m."""
    if line.jobs is None:
        return line.overrides
    if not {"-m", "--multirun"} & set(line.options):
        raise ConfigError(f"jobs={line.jobs} is for a sweep: add -m and several values, such as seed=0,1")
    is_named = any(override.startswith("hydra/launcher=") for override in line.overrides)
    return [*line.overrides, *([] if is_named else ["hydra/launcher=local"]), f"hydra.launcher.jobs={line.jobs}"]


def with_demo(overrides: list[str]) -> list[str]:
    """The settings, after the demo's when no model, dataset or experiment is chosen."""
    is_choice = re.compile(r"[+~]*(model|dataset|experiment)(=|$)").match
    return overrides if any(map(is_choice, overrides)) else [DEMO, *overrides]


def rewritten(word: str, is_sweep: bool = False) -> str:
    """One setting in Hydra's grammar; `a.b=c` becomes `++a.b=c`, the schema says what may be set.

    `dataset.of=c` or `dataset/of=c` chooses c of the datasets, for the place dataset.of; so do other sets within one.
    """
    if word.startswith("~"):
        return word
    key, equals, value = word.partition("=")
    if not equals or not key.strip("+"):
        raise ConfigError(f"{word!r} is not a setting, which is written name=value, e.g. trainer.steps=500")
    if NESTED.fullmatch(key) and not value.startswith("{"):
        return f"dataset@{key.replace('/', '.')}={value}"
    value = re.sub(r"(^|,)~(?=/)", lambda match: match[1] + str(Path.home()), value)
    value = "null" if value == "None" else as_text(key, value, is_sweep)
    is_free = not key.startswith(("+", "hydra.")) and not {"@", "/"} & set(key)
    is_nested = "." in key or value.startswith("{")
    return f"{'++' if is_free and is_nested else ''}{key}={value}"


def as_text(key: str, value: str, is_sweep: bool) -> str:
    """The value, quoted if it is clearly a path or a name; in a sweep its commas part several."""
    is_place = key.rpartition(".")[2] in PLACES
    if not (is_place or "/" in value) or value[:1] in ("'", '"', "") or value in ("null", "None", "???"):
        return value
    if value.startswith("${") or FUNCTION.fullmatch(value):
        return value
    if not exists(value):
        if value[0] + value[-1] in ("[]", "{}"):
            return value
        if "," in value and (is_sweep or not is_place):
            return ",".join(as_text(key, item, is_sweep) for item in value.split(","))
    is_plain = PLAIN.fullmatch(value) if is_place else re.fullmatch(r"[\w./:@%+-]+", value, re.ASCII)
    return value if is_plain else quoted(value)


def exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # too long, or a null character
        return False


def quoted(value: str) -> str:
    """The value between Hydra's single quotes, where only a quote and the backslashes before one are special."""
    inner = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    return f"'{inner}'"


def tag(overrides: list[str], keys: list[str]) -> str:
    """A short name for one job of a sweep, safe in a path: loss-hinge_seed-1."""
    pairs = [override.removeprefix("++").partition("=") for override in overrides]
    words = [f"{key.rpartition('.')[2]}-{value}" for key, _, value in pairs if key in keys]
    return "_".join(re.sub(r"[^\w.-]+", "-", word).strip("-") for word in words)[:80]


def written(overrides: list[str]) -> list[str]:
    """Settings as the user wrote them, without the marks of `rewritten`."""
    return [override.removeprefix("++").removeprefix("dataset@") for override in overrides]
