"""Go on with a run that was stopped or interrupted: the same game, exactly where it was."""

from pathlib import Path
from typing import Any

from gan_lab import schema
from gan_lab.choices import CONFIG, find_run, meant
from gan_lab.commands.train import code_of, follow, is_follower
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.overrides import read, written

LOOP = ("steps", "epochs", "max_minutes", "log_every", "sample_every", "checkpoint_every", "keep_checkpoints",
        "samples", "device", "devices", "workers", "threads", "placement")  # fmt: skip
CHANGEABLE = (*(f"trainer.{name}" for name in LOOP), "trust")
USAGE = f"""usage: gan-lab resume RUN [setting=value ...]

RUN is the directory of a run, such as outputs/dcgan_digits/20261120-140502.
Settings that may change without making it another experiment:
  {", ".join(CHANGEABLE)}

Packages of your own are not trusted from the run's file: name them again, trust=[mypackage]."""


def main(argv: list[str]) -> int | None:
    if not argv or {"--help", "-h"} & set(argv):
        return print(USAGE)
    if is_follower():
        return follow()
    run, overrides = find_run(argv[0]), changes(argv[1:])

    # Take nothing on trust that the file itself asks for
    config = schema.check(stored(run / CONFIG) | {"trust": overrides.pop("trust", [])})
    for key, value in overrides.items():
        put(config, key, value)
    config = schema.check(config)

    from gan_lab import launch

    return code_of(launch.train(config, run.absolute(), written(argv[1:]), resume=True))


def stored(file: Path) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise CheckpointError(f"{str(file)!r} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{str(file)!r} holds no configuration")
    return config


def changes(words: list[str]) -> dict[str, Any]:
    """The settings to change, by key; ConfigError for one that would make it another experiment."""
    from gan_lab.config import parsed

    line = read(words)
    if line.options or line.dry:
        raise ConfigError("resume takes a run and settings, no options; see gan-lab resume --help")
    found = dict(parsed(line.overrides))
    for key in found:
        near = meant(key, CHANGEABLE)
        if key not in CHANGEABLE:
            reason = f"{key!r} cannot change while a run goes on: it would be another experiment{near}"
            raise ConfigError(f"{reason}\n  start one with gan-lab train {key}=... and the run's own settings")
    return found


def put(config: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for step in above:
        config = config.setdefault(step, {})
    config[last] = value
