"""What only the user's own words may ask for: packages to trust, the environment, and what Hydra itself builds."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gan_lab.config.signatures import class_of, look_here
from gan_lab.errors import ConfigError

BUILT = {  # what Hydra builds of each of its own nodes; other classes only of packages that the user trusts
    "callbacks": {"gan_lab.launch.callbacks.Jobs", "gan_lab.commands.validate.Look"},
    "launcher": {"hydra._internal.core_plugins.basic_launcher.BasicLauncher", "hydra_plugins.gan_lab_launcher.Local"},
    "sweeper": {"hydra._internal.core_plugins.basic_sweeper.BasicSweeper"},
}
LOGS = ("job_logging", "hydra_logging")  # what Python's logging builds: `class` and `()` name what it calls
LOGGING = {f"logging.{name}" for name in ("StreamHandler", "FileHandler", "NullHandler", "Formatter", "Filter")}
STREAMS = {"ext://sys.stdout", "ext://sys.stderr"}
ENVIRONMENT = ("env_set", "env_copy")  # of hydra.job
# What these nodes may refer to: plain texts of Hydra's, which cannot become something to build later
REFERENCE = re.compile(
    r"\$\{hydra\.(?:run\.dir|sweep\.(?:dir|subdir)|job\.(?:name|num|id|override_dirname)|runtime\.(?:output_dir|cwd))\}"
)
OF_THE_RUN = "${hydra.runtime.output_dir}/"


@dataclass(frozen=True)
class Words:
    """The settings of a command line, or of a call in Python: what a YAML file asks for beyond them is refused."""

    words: tuple[str, ...]

    @property
    def trust(self) -> tuple[str, ...]:
        """The packages that the words name."""
        values = (value for key, _, value in (word.partition("=") for word in self.words) if key.lstrip("+") == "trust")
        return tuple(name for value in values for name in re.findall(r"[\w.]+", value))

    @property
    def variables(self) -> set[str]:
        """The names that may be variables of the environment, in words that read it."""
        return {name for word in self.words if "oc.env" in word for name in re.findall(r"\w+", word)}

    def say(self, text: str) -> bool:
        return any(text in word for word in self.words)


def variable(words: Words, name: str, *default: Any) -> str | None:
    """A variable of the environment for the user's own words; ConfigError where only a YAML file asks for it."""
    if name not in words.variables:
        raise ConfigError(
            f"a YAML file asks for the environment variable {name!r}, which only the command line may read: "
            f"write it there, such as dataset.root='${{oc.env:{name}}}'"
        )
    if name in os.environ or not default:
        return os.environ[name]
    return None if default[0] is None else str(default[0])


def check(config: dict[str, Any], words: Words, overrides: Sequence[str] = ()) -> None:
    """ConfigError for a configuration, not yet resolved, that asks for more than the words do.

    `overrides` are what it was composed with: what Hydra then notes as typed.
    """
    trusted, hydra = config.get("trust"), config.get("hydra") or {}
    trusted = trusted if isinstance(trusted, list) else [trusted] if trusted else []
    foreign = [str(name) for name in trusted if isinstance(name, str) and name not in words.trust]
    found = [f"a YAML file asks for trust=[{', '.join(foreign)}], which only the command line can give"] * bool(foreign)
    found += problems(hydra, words)
    noted = hydra.get("overrides") or {}
    if sorted(map(str, [*(noted.get("hydra") or ()), *(noted.get("task") or ())])) != sorted(overrides):
        found.append("hydra.overrides stands in a YAML file, and only the command line has words")
    if found:
        raise ConfigError("\n  ".join(found))


def check_search_path(places: Iterable[Any]) -> None:
    """ConfigError for a package among the places where a YAML file looks for more: to look there would run it."""
    for place in places:
        if "://" in str(place) and not str(place).startswith("file://"):
            raise ConfigError(f"hydra.searchpath={place}: a YAML file may name folders only, as file:///home/me/conf")


def problems(hydra: dict[str, Any], words: Words) -> Iterator[str]:
    """A sentence for each thing that Hydra would call, import or set though neither gan-lab nor the user names it."""
    own = (hydra.get("callbacks") or {}).get("gan_lab")
    parts = {"launcher": hydra.get("launcher"), "sweeper": hydra.get("sweeper"), "callbacks.gan_lab": own}
    for key, node in parts.items():
        if hydra and not (isinstance(node, dict) and node.get("_target_")):
            yield f"hydra.{key} must be a mapping with a _target_: nothing begins without it"
    for part, known in BUILT.items():
        for key, value in leaves(hydra.get(part), f"hydra.{part}"):
            if key.endswith("._target_"):
                yield from target(key, value, known, words)
            yield from reference(key, value)
    for part in LOGS:
        for key, value in leaves(hydra.get(part), f"hydra.{part}"):
            last = key.rpartition(".")[2]
            if last in ("class", "()"):
                yield from target(key, value, LOGGING, words)
            if last == "filename" and not is_below_the_run(str(value)):
                yield f"{key}={value} must lie in the run's own directory: {OF_THE_RUN}..."
            if isinstance(value, str) and re.match("[a-z]+://", value) and value not in STREAMS:
                yield f"{key}={value} is not allowed; streams are {', '.join(sorted(STREAMS))}"
            yield from reference(key, value)
    job = hydra.get("job") or {}
    for name in ENVIRONMENT:
        if job.get(name) and not words.say(f"hydra.job.{name}"):
            yield f"hydra.job.{name} stands in a YAML file, and only the command line may change the environment"
    for key, name in (("hydra.job.name", job.get("name")), ("hydra.output_subdir", hydra.get("output_subdir"))):
        if isinstance(name, str) and name != "???" and not re.fullmatch(r"\.?[\w-][\w.-]*", name):
            yield f"{key}={name} must be one plain name"


def target(key: str, value: Any, known: set[str], words: Words) -> Iterator[str]:
    """What is wrong with the name of something that is called; a class of a trusted package is looked at itself."""
    if value in known:
        return
    look_here(words.trust)
    try:
        class_of(str(value), words.trust)
    except ImportError as error:
        yield f"{key}: {error}"
    except LookupError:
        package = str(value).partition(".")[0]
        yield f"{key}={value} is not what gan-lab lets Hydra call; if the package is yours, say so: trust=[{package}]"


def reference(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and "${" in REFERENCE.sub("", value):
        yield f"{key}={value} must be written out: what Hydra builds refers to nothing"


def is_below_the_run(path: str) -> bool:
    return path.startswith(OF_THE_RUN) and ".." not in path and "${" not in REFERENCE.sub("", path)


def leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value below a node that is not itself a mapping or a list, with its dotted key."""
    if isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, f"{key}.{name}")
    elif node is not None:
        yield key, node
