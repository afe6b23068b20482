"""The configuration: composed by Hydra from YAML and the command line, checked, and handed on as a plain dictionary."""

import copy
import errno
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra._internal import hydra as hydra_itself
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_launcher import BasicLauncher as BasicLauncher
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn as JobReturn
from hydra.errors import MissingConfigException, OverrideParseException
from hydra.experimental.callback import Callback as Callback
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from gan_lab.config import guard, schema
from gan_lab.config.choices import CONF, choices, groups
from gan_lab.config.overrides import Line, exists, quoted, tag, written
from gan_lab.config.settings import Settings
from gan_lab.config.stages import check_names, check_references, parted, words_of
from gan_lab.errors import DISK_IS_FULL, CheckpointError, ConfigError, GanLabError
from gan_lab.storage import files as stored
from gan_lab.wording import meant

HELD = ExitStack()  # the lock of the sweep whose jobs this process runs
MOST_JOBS = 1000  # of one sweep
WHERE_IT_WRITES = (errno.EPIPE, errno.EACCES, errno.EPERM, errno.EROFS)  # no errors of the configuration


@dataclass
class Job:
    """One training: its checked configuration, its directory, the settings that made it, its number in a sweep.

    A job of a sweep that is resumed goes on from its checkpoint where it has one (`resume`), with some `changes`.
    """

    config: dict[str, Any]
    run_dir: Path
    overrides: list[str]
    number: int | None = None
    resume: bool = False
    changes: list[str] = field(default_factory=list)


class Stop(BaseException):
    """Carries an error, or the exit code of an early end, past Hydra, which swallows or decorates every Exception."""

    def __init__(self, reason: Exception | None = None, code: int = 0):
        self.reason, self.code = reason, code


def follow_hydra(line: Line, train: Callable[[Job], Any]) -> int:
    """Let Hydra do what the line asks: show, complete, run one job or a sweep. Returns the exit code."""

    def task(config: DictConfig) -> Any:
        try:
            return train(current_job(config))
        except Exception as error:
            raise Stop(error) from error

    look = ["hydra.callbacks.gan_lab.dry=true"] if line.dry else []
    argv, wants_traceback = sys.argv, os.environ.get("HYDRA_FULL_ERROR") == "1"
    sys.argv = [argv[0], *line.overrides, *look, *line.options]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors instead of printing them
    try:
        with own_folders(line.folders), guarded(line.overrides):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
    except Stop as stop:
        if stop.reason is None:
            return stop.code
        if isinstance(stop.reason, OmegaConfBaseException):  # a reference to nothing in a setting of Hydra's own
            raise explained(stop.reason) from stop.reason
        raise stop.reason from None
    except SystemExit as end:
        return end.code or 0
    except ConfigError:
        raise
    except Exception as error:  # a job's errors come in a Stop, so this one is about the configuration
        is_of_a_file = isinstance(error, OSError) and error.errno in (*WHERE_IT_WRITES, *DISK_IS_FULL)
        if wants_traceback or is_of_a_file:
            raise
        raise explained(error) from error
    finally:
        HELD.close()
        sys.argv = argv
        if not wants_traceback:
            del os.environ["HYDRA_FULL_ERROR"]
    return 0


def compose(overrides: list[str]) -> dict[str, Any]:
    """The checked configuration of a list of settings in Hydra's grammar, outside any command."""
    try:
        with guarded(overrides), hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            config = hydra.compose("config", overrides, return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            return checked(config)
    except GanLabError:
        raise
    except Exception as error:
        raise explained(error) from error


def recompose(words: list[str]) -> dict[str, Any]:
    """What `compose` gives for these words, in a hundredth of its time where they only choose whole files.

    The rest of the words is composed once; a file without a defaults list or a package of its own then takes its place.
    """
    chosen = {word.partition("=")[0]: plain_file(*word.partition("=")[::2]) for word in words}
    swaps = {group: file for group, file in chosen.items() if file}
    marked = [word for word in words if word.startswith("++")]
    rest = [word for word in words if word.partition("=")[0] not in swaps and word not in marked]
    inner = [word.partition("=")[0] for word in rest if not word.startswith("trust=")]
    if any("/" not in group or group.partition("/")[0] in swaps for group in inner):  # may reach into a swapped group
        return compose(words)
    with guarded(words):
        config = copy.deepcopy(base(tuple(rest), tuple(OwnFolders.folders)))
        if config.get("stages"):
            return compose(words)
        with flag_override(config, "struct", False):
            for group, file in swaps.items():
                check_file(file)
                config[group] = OmegaConf.load(file)
            for key, value in parsed(marked):
                OmegaConf.update(config, key, value, force_add=True)
        return checked(config)


def plain_file(group: str, name: str) -> Path | None:
    """The YAML of a choice, if it stands alone and its group has no inner one that the defaults fill."""
    files = [folder / group / f"{name}.yaml" for folder in (*OwnFolders.folders, CONF)]
    file = next((file for file in files if file.is_file()), None)
    is_plain = file and not re.search(r"^defaults:|^#\s*@package", file.read_text(encoding="utf-8"), re.MULTILINE)
    return file if is_plain and group != "experiment" else None


@cache
def base(words: tuple[str, ...], folders: tuple[Path, ...]) -> DictConfig:
    """What every choice is laid over: composed from these words, in these folders, and not to be changed."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        config = hydra.compose("config", list(words), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with flag_override(config, ["struct", "readonly"], False):
        config.pop("hydra")
    return config


def checked(config: DictConfig) -> dict[str, Any]:
    """The plain configuration; ConfigError with everything that is wrong with it."""
    if config.get("stages"):
        return staged(config.stages)
    config = copy.deepcopy(config)
    try:
        with flag_override(config, ["struct", "readonly"], False):
            config.pop("hydra", None)
            gaps = OmegaConf.missing_keys(config)
            for key in gaps:
                OmegaConf.update(config, key, schema.GAP)
            count_in_files(config)
        values = plain(config)
    except OmegaConfBaseException as error:  # a reference to nothing, or to itself
        raise explained(error) from error
    return schema.check(values, [re.sub(r"\[(\d+)\]", r".\1", key) for key in gaps])


def staged(stages: DictConfig) -> dict[str, Any]:
    """The configuration of an experiment in stages: each composed as if it were typed, and the last one's for all.

    What the user typed holds in every stage, and `stages.NAME.SETTING=VALUE` in that one. ConfigError with what is
    wrong with any of them.
    """
    loader, own, found, wrong = GlobalHydra.instance().config_loader(), HydraConfig.get(), {}, []
    load = lambda words: loader.load_configuration(own.job.config_name, [*own.overrides.hydra, *words], RunMode.RUN)
    typed, typed_of = parted(own.overrides.task)
    stages = load(typed).get("stages") if typed_of else stages
    differences = OmegaConf.to_container(stages, resolve=False) if stages else dict.fromkeys(typed_of, {})
    check_names(differences, typed_of)
    for number, (name, differs) in enumerate(differences.items()):
        words = [*words_of(differs, groups()), *typed, *typed_of.get(name, [])]
        try:
            config = load(words)
            with flag_override(config, ["struct", "readonly"], False):
                config.stages = {}
            values = checked(config)
            check_references(values, [*differences][:number])
            found[name] = {"overrides": written(words), "config": values}
        except Exception as error:
            wrong.append(f"stage {name}: {error if isinstance(error, GanLabError) else explained(error)}")
    if wrong:
        raise ConfigError("\n  ".join(wrong))
    return {**values, "stages": found}


def count_in_files(config: DictConfig) -> None:
    """Fill in how many classes, domains or attributes a folder has where a model asks; its files tell. DataError."""
    asking = [OmegaConf.to_container(config[part], resolve=False) for part in ("model", "loss") if config.get(part)]
    level = config.get("dataset") if "dataset.num_" in str(asking) else None
    while isinstance(level, DictConfig):
        unknown = [key for key in level if key.startswith("num_") and level.get(key) is None]
        target, path = str(level.get("_target_")), level.get("path")
        if path == schema.GAP:  # it is asked for, and nothing else is said of what it would tell
            level.update(dict.fromkeys(unknown, 1))
        elif unknown and isinstance(path, str) and target.startswith("gan_lab."):
            from gan_lab.config.build import resolve  # torch comes with it

            with suppress(ConfigError):  # no such class: the schema says it
                found = resolve(target).numbers(OmegaConf.to_container(level, resolve=True))
                level.update({key: found.get(key) for key in unknown})
        level = level.get("of", level.get("images"))


def plain(config: DictConfig) -> dict[str, Any]:
    """Dictionaries, lists, text and numbers, with every reference resolved."""
    return OmegaConf.to_container(config, resolve=True)


def parsed(words: list[str]) -> list[tuple[str, Any]]:
    """Keys and values of settings without a sweep, such as those that change a resumed run."""
    try:
        overrides = OverridesParser.create().parse_overrides(words)
    except Exception as error:
        raise explained(error) from error
    for override in overrides:
        if override.is_sweep_override() or override.is_delete():
            raise ConfigError(f"{written([override.input_line])[0]} must give one value")
    return [(override.key_or_group, override.value()) for override in overrides]


def current_job(config: DictConfig) -> Job:
    """The job that Hydra is running."""
    now = HydraConfig.get()
    number = now.job.num if now.mode == RunMode.MULTIRUN else None
    return Job(checked(config), Path(now.runtime.output_dir), written(now.overrides.task), number)


# --- What the callback needs -----------------------------------------------------------------------------------------


def place_run(config: DictConfig) -> Job:
    """The one job of a run, checked, before Hydra makes its directory; `run_dir` is where it would go."""
    HydraConfig.instance().set_config(config)
    return Job(checked(config), Path(config.hydra.run.dir), written(config.hydra.overrides.task))


def use_run_dir(config: DictConfig, run_dir: Path) -> None:
    with flag_override(config.hydra, "readonly", False):
        config.hydra.run.dir = str(run_dir)


def place_sweep(config: DictConfig) -> tuple[Path, list[list[str]], list[str]]:
    """Where a sweep goes, the settings of each of its jobs, and which of them differ between jobs."""
    HydraConfig.instance().set_config(config)
    try:
        sweeper = config.hydra.sweeper
        words = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        overrides = parser.parse_overrides([*words, *config.hydra.overrides.task])
        number = math.prod(values_of(override) for override in overrides if override.is_sweep_override())
        if number > MOST_JOBS:
            raise ConfigError(
                f"these settings make {number:,} jobs, and a sweep has at most {MOST_JOBS:,}: split the sweep"
            )
        (jobs,) = hydra.utils.get_class(sweeper._target_).split_arguments(overrides, None)
        swept = [override.get_key_element().lstrip("+") for override in overrides if override.is_sweep_override()]
        return Path(config.hydra.sweep.dir), jobs, swept
    except ConfigError:
        raise
    except Exception as error:
        raise explained(error) from error


def values_of(override: Override) -> int:
    """How many values a sweep over one setting has, without listing them."""
    sweep = override.value()
    if isinstance(sweep, RangeSweep):
        return max(0, math.ceil((sweep.stop - sweep.start) / sweep.step)) if sweep.step else 0
    return len(sweep.list) if isinstance(sweep, ChoiceSweep) else 1


def use_sweep_dir(config: DictConfig, sweep_dir: Path, swept: list[str]) -> None:
    """Send a sweep and its jobs below `sweep_dir`, each job named after what differs."""
    with flag_override(config.hydra, ["struct", "readonly"], False):
        config.hydra.sweep.dir = str(sweep_dir)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(sweep_dir))}")
        config.hydra.overrides.hydra.append(f"hydra.callbacks.gan_lab.swept=[{','.join(map(quoted, swept))}]")


def sweep_job(config: DictConfig, overrides: list[str], number: int) -> Job:
    """One job of a sweep, composed and checked; ConfigError with the reason why it cannot run."""
    try:
        job = GlobalHydra.instance().config_loader().load_sweep_config(config, list(overrides))
        with flag_override(job.hydra, ["struct", "readonly"], False):
            job.hydra.job.num = job.hydra.job.id = number
        HydraConfig.instance().set_config(job)
        place, name = Path(job.hydra.sweep.dir).absolute(), job.hydra.sweep.subdir
        if place not in Path(os.path.normpath(place / name)).parents:
            raise ConfigError(f"hydra.sweep.subdir={name} must lie below the directory of the sweep")
        return Job(checked(job), Path(job.hydra.sweep.dir, name), written(overrides), number)
    except GanLabError:
        raise
    except Exception as error:
        raise explained(error) from error


def sets(config: DictConfig, key: str) -> bool:
    """Whether the user said where to go, such as `hydra.run.dir=here`."""
    return any(override.lstrip("+").startswith(f"{key}=") for override in config.hydra.overrides.hydra)


# --- Hydra's own errors ----------------------------------------------------------------------------------------------


def explained(error: Exception) -> ConfigError:
    """Hydra's error in one to three lines: the cause and the remedy."""
    if isinstance(error.__cause__, ConfigError):  # of a resolver of ours
        return error.__cause__
    text = str(error)
    inside = re.match(r"In '([^']+)': ", text)
    where = f"in {inside[1]}.yaml: " if inside and inside[1] != "config" else ""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.removesuffix(".yaml").lstrip("/").rpartition("/")
        found = re.fullmatch(r"dataset/(.*?)(\.yaml)?", error.missing_cfg_file)
        if found and ("/" in found[1] or exists(found[1])):
            own = f"dataset=folder dataset.path={found[1]}"
            return ConfigError(f"dataset={found[1]} is no dataset; for pictures of your own: {own}")
        options = error.options or offered(group, text)
        offer = f"\n  {group} can be: {', '.join(options)}" if options else ""
        return ConfigError(f"{where}unknown {group or 'configuration'} {name!r}{meant(name, options)}{offer}")
    if isinstance(error, OverrideParseException):
        return ConfigError(unreadable(error))
    if found := re.search(r"Ambiguous value for argument '([^=]*)=(.*?)'\n", text, re.DOTALL):
        key, value = written([found[1]])[0], found[2]
        return ConfigError(
            f"{key}={value} has several values: add -m to train with each of them,\n"
            f"  write {key}=[{value}] for a list, or {key}=\"'{value}'\" for one text with a comma"
        )
    if found := re.search(r"Could not (?:override|append to config[^']*|delete[^']*) '([^']+)'", text):
        key = found[1].lstrip("+")
        if "An item is already at" in text:
            return ConfigError(f"{key!r} is already set: write {key}=... without the +")
        if key.startswith("dataset@"):
            made = "such as dataset=degraded, split_domains or next_frame"
            return ConfigError(f"{written([key])[0]} is for a dataset that is made of another one, {made}")
        if key in groups():
            return ConfigError(f"~{key} removes nothing; {key}=[] chooses none")
        return ConfigError(f"{where}unknown setting {key!r}{whole_key(key)}")
    if found := re.match(r"Error merging override (.*)", text, re.DOTALL):
        reason = str(error.__cause__).splitlines()[0]
        return ConfigError(f"{written([found[1]])[0]} cannot be set: {reason[:1].lower()}{reason[1:]}")
    if text.startswith("Config group override must be a string or a list"):
        return ConfigError("a group of several choices takes a name or a list of names, and [] for none: loss/view=[]")
    key = re.search(r"full_key: (\S+)", text)
    lines = [line.strip() for line in text.removeprefix(inside[0] if inside else "").splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("See http", "full_key:", "object_type=", "Set the env"))]
    first = f"{key[1]}: " if key else ""
    return ConfigError(where + first + "\n  ".join(lines[:3] or [type(error).__name__]))


def offered(group, text):
    """The choices of a group in the folders that Hydra's message lists, where it tells no choices itself."""
    folders = re.findall(r"path=file://(.+)", text)
    return sorted({file.stem for folder in folders for file in Path(folder, group).glob("*.yaml")})


def unreadable(error):
    """A setting that Hydra's grammar does not take: mostly a value with a special character."""
    setting = written([error.override])[0]
    key, _, value = setting.partition("=")
    lines = [line for line in error.message.splitlines() if not line.startswith(("Error parsing", "See http"))]
    if not lines or re.search(r"Lexer|mismatched|extraneous|viable|missing", lines[0]):
        return f"cannot read the setting {setting!r}; quote a value with special characters: {key}=\"'{value}'\""
    return f"cannot read the setting {setting!r}: {lines[0]}"


def whole_key(key):
    """A did-you-mean for a top-level word: `sed` is `seed`, `lr` is `optimizer.lr`."""
    top = list(Settings.__dataclass_fields__)
    nested = [f"{group}.{key}" for group in ("trainer", "optimizer", "run") if is_setting(group, key)]
    near = f"; did you mean {nested[0]!r}?" if nested else meant(key, [*top, "experiment"])
    return near or "; gan-lab train --cfg job shows all"


def is_setting(group, key):
    files = {"trainer": "trainer/default.yaml", "optimizer": "optimizer/adam.yaml"}
    values = OmegaConf.load(CONF / files[group]) if group in files else OmegaConf.load(CONF / "config.yaml")[group]
    return key in values


# --- Resolvers and search path ---------------------------------------------------------------------------------------


def run_name(choices: DictConfig) -> str:
    """A run is called after its experiment, or after its model and dataset."""
    return str(choices.get("experiment") or f"{choices.get('model')}_{choices.get('dataset')}").replace("/", "_")


def job_tag(overrides, keys):
    name = tag(list(overrides), list(keys))
    return f"_{name}" if name else ""


def unless_set(value: Any, key: str, overrides: Any) -> Any:
    """A value that a word of the command line for another setting takes back: None then."""
    return None if any(re.split("[@=]", word.lstrip("+~"))[0] == key for word in overrides or ()) else value


OmegaConf.register_new_resolver("gan_lab.name", run_name, replace=True)
OmegaConf.register_new_resolver("gan_lab.unless_set", unless_set, replace=True)
OmegaConf.register_new_resolver("gan_lab.tag", job_tag, replace=True)
OmegaConf.register_new_resolver("gan_lab.times", lambda a, b: a * b, replace=True)
OmegaConf.register_new_resolver("gan_lab.plus", lambda a, b: a + b, replace=True)
OmegaConf.register_new_resolver("gan_lab.length", lambda values: len(values or ()), replace=True)
OmegaConf.register_new_resolver("gan_lab.groups", lambda: listed_groups(), replace=True)
OmegaConf.register_new_resolver("gan_lab.choose", lambda key, values: values.get(key), replace=True)


def listed_groups() -> str:
    """Each group with its choices as they are typed: experiment=proof/ema, not experiment/proof=ema."""
    return "\n".join(f"{group}: {', '.join(choices(group, OwnFolders.folders))}" for group in groups())


@contextmanager
def guarded(overrides: list[str]) -> Iterator[None]:
    """Compose with a loader that looks at each file, and at each configuration before Hydra acts on it; see `guard`."""
    words = guard.Words(tuple(overrides))

    class Loader(ConfigLoaderImpl):
        def load_configuration(self, config_name, overrides, *args: Any, **kwargs: Any) -> DictConfig:
            config = super().load_configuration(config_name, overrides, *args, **kwargs)
            guard.check(OmegaConf.to_container(config, resolve=False), words, overrides)
            return config

        def _process_config_searchpath(self, config_name, parsed_overrides, repo):
            loaded = repo.load_config(config_path=config_name) if config_name else None
            if loaded and OmegaConf.is_dict(loaded.config) and not words.say("hydra.searchpath"):
                guard.check_search_path(OmegaConf.select(loaded.config, "hydra.searchpath") or ())
            super()._process_config_searchpath(config_name, parsed_overrides, repo)

    Plugins.instance()
    files = SourcesRegistry.instance().resolve("file")
    before = files.load_config

    def load(self, config_path):
        check_file(Path(self.path, self._normalize_file_name(config_path)))
        return before(self, config_path)

    hydra_itself.ConfigLoaderImpl, files.load_config = Loader, load
    OmegaConf.register_new_resolver("oc.env", partial(guard.variable, words), replace=True)
    try:
        yield
    finally:
        hydra_itself.ConfigLoaderImpl, files.load_config = ConfigLoaderImpl, before
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def check_file(file: Path) -> None:
    """ConfigError for a YAML of the user's that grows beyond limits, as by its aliases; Hydra would write them out."""
    if CONF not in file.parents and os.path.lexists(file):
        try:
            stored.yaml_of(file)
        except CheckpointError as error:
            raise ConfigError(str(error)) from None


class OwnFolders(SearchPathPlugin):
    """Puts the user's folders before ours; Hydra's own --config-dir puts them behind, where nothing is replaced."""

    folders: list[Path] = []

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in self.folders:
            search_path.prepend(provider="gan-lab", path=f"file://{folder}")


PLUGINS = str(Path(__file__).parents[1] / "_plugins")  # where Hydra finds our part of its namespace


@contextmanager
def own_folders(folders: list[Path]) -> Iterator[None]:
    if PLUGINS not in sys.path:
        sys.path.append(PLUGINS)
    Plugins.instance().register(OwnFolders)
    Plugins.instance().register(import_module("hydra_plugins.gan_lab_launcher").Local)
    OwnFolders.folders = folders
    try:
        yield
    finally:
        OwnFolders.folders = []
