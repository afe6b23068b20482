"""Go on with a run that was stopped or interrupted: the same game, exactly where it was."""

from typing import Any

from gan_lab import schema
from gan_lab.choices import find_run, meant, stored
from gan_lab.commands.train import code_of, follow, is_follower
from gan_lab.errors import ConfigError
from gan_lab.overrides import read, written

LOOP = ("steps", "epochs", "max_minutes", "log_every", "sample_every", "checkpoint_every", "keep_checkpoints",
        "samples", "device", "devices", "workers", "threads", "placement")  # fmt: skip
CHANGEABLE = (*(f"trainer.{name}" for name in LOOP), "dataset.path", "dataset.root", "trust")
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
    config = schema.check(stored(run) | {"trust": overrides.pop("trust", [])})
    for key, value in overrides.items():
        put(config, key, value)
    config = schema.check(config)

    from gan_lab import launch

    return code_of(launch.train(config, run.absolute(), written(argv[1:]), resume=True))


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
