"""The options of a command: a dataclass whose fields are the `name=value` words that it takes."""

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from gan_lab.choices import meant
from gan_lab.errors import ConfigError

T = TypeVar("T")


def parse(options: type[T], words: list[str], verb: str) -> T:
    """`name=value` words as an object of the dataclass `options`; ConfigError with a did-you-mean for a wrong word."""
    return options(**given({field.name: field.type for field in fields(options) if field.init}, words, verb))


def given(kinds: dict[str, Any], words: list[str], verb: str) -> dict[str, Any]:
    """The values of `name=value` words whose names and types are `kinds`; ConfigError as in `parse`."""
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in kinds:
            raise ConfigError(f"unknown setting '{name}'{meant(name, kinds)}; see gan-lab {verb} --help.")
        values[name] = read(name, value, kinds[name])
    return values


def read(name: str, value: str, kind: Any) -> Any:
    """One value: a whole number from 1, a number above 0, true or false, a list, or text."""
    if kind in (int, int | None):
        if not value.isdecimal() or int(value) < 1:
            raise ConfigError(f"{name}={value} must be a whole number from 1.")
        return int(value)
    if kind is float:
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            raise ConfigError(f"{name}={value} must be a number greater than 0.")
        return number
    if kind is bool:
        if value not in ("true", "false"):
            raise ConfigError(f"{name}={value} must be true or false.")
        return value == "true"
    if kind == list[int] | None:
        numbers = [item.strip() for item in value.strip("[]").split(",")]
        if not all(number.isdecimal() for number in numbers):
            raise ConfigError(f"{name}={value} must be whole numbers, for example {name}=[0,1].")
        return [int(number) for number in numbers]
    if kind in (list[str], list[str] | None):
        return [item.strip() for item in value.strip("[]").split(",") if item.strip()]
    return value


def free(path: Path) -> Path:
    """This path, or the next that nobody has written yet: a.png, a-2.png, ..."""
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    again = 2
    chosen = path
    while chosen.exists():
        chosen = path.with_name(f"{path.stem}-{again}{path.suffix}")
        again += 1
    return chosen
