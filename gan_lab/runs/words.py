"""The words of a command that belong to the game of a run: conditions of its samples, and options of their making."""

import math
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from gan_lab.config.options import MOST, read
from gan_lab.errors import ConfigError
from gan_lab.runs.run import Run, options_of
from gan_lab.wording import meant, shortened

LONGEST = 20  # letters of a condition's name


def words_of(run: Run, words: Iterable[str], known: Iterable[Any] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """`name=value` words as conditions, which `Run.rows` takes, and as options, which `Run.make` takes.

    ConfigError for a word that is neither; `known` are the options of the command, one of which may have been meant.
    """
    conditions, options, parameters = {}, {}, options_of(run.game)
    for word in words:
        name, equals, value = word.partition("=")
        column, _, part = name.partition(".")
        if equals and name in run.game.spoken:
            options |= run.heard({name: listed(value)})
        elif equals and name in parameters:
            options[name] = option(name, value, parameters[name].annotation)
        elif equals and part:
            conditions.setdefault(column, {})[part] = number(word)
        elif equals and (column in run.game.conditions or may_be_a_condition(name, [each.name for each in known])):
            conditions[column] = listed(value)
        else:
            own = [*(each.name for each in known), *run.game.conditions, *parameters]
            raise ConfigError(f"unknown setting {shortened(name)!r}{meant(name, own)}; see gan-lab sample --help.")
    return conditions, options


def may_be_a_condition(name: str, known: list[str]) -> bool:
    """Whether a word that is no setting may have been meant as a condition, which other runs have."""
    return name.isidentifier() and len(name) <= LONGEST and not meant(name, known)


def option(name: str, value: str, kind: Any) -> Any:
    """A value of an option by its annotation: of choices, a number, true or false, or text."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ConfigError(
                f"{name}={shortened(value)} is not known; choose {' or '.join(map(str, get_args(kind)))}."
            )
        return value
    if kind is float:  # of any sign, as a truncation or the strength of a direction
        return number(f"{name}={value}")
    return read(name, value, kind, most=MOST)


def number(word: str) -> float:
    try:
        value = float(word.partition("=")[2])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{shortened(word)} must be a number, for example {word.partition('=')[0]}=3.")
    return value


def listed(value: str) -> str | list[str]:
    """A word, or several of them in brackets or between commas; a caption with spaces is one."""
    if value.startswith("[") and value.endswith("]"):
        return [word.strip() for word in value[1:-1].split(",") if word.strip()]
    return value.split(",") if "," in value and " " not in value else value
