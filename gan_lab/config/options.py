"""The options of a command: a dataclass whose fields are the `name=value` words that it takes."""

from dataclasses import field, fields
from pathlib import Path
from typing import Any, TypeVar

from gan_lab.errors import ConfigError
from gan_lab.storage.files import place
from gan_lab.wording import meant, shortened

T = TypeVar("T")


MOST_SAMPLES = 10_000  # of one call, which are all held in memory
MOST = 1_000_000  # of a whole number or a number that names no limit of its own
MOST_SEED = 2**63 - 1


def limited(default: Any, *, least: float = 0, most: float = MOST) -> Any:
    """A number of a dataclass of options, with the limits that its words must keep."""
    return field(default=default, metadata={"least": least, "most": most})


def parse(options: type[T], words: list[str], verb: str) -> T:
    """`name=value` words as an object of the dataclass `options`; ConfigError with a did-you-mean for a wrong word."""
    known = [each for each in fields(options) if each.init]
    limits = {each.name: dict(each.metadata) for each in known}
    return options(**given({each.name: each.type for each in known}, words, verb, limits))


def given(kinds: dict[str, Any], words: list[str], verb: str, limits: dict[str, dict] | None = None) -> dict[str, Any]:
    """The values of `name=value` words whose names and types are `kinds`; ConfigError as in `parse`."""
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in kinds:
            raise ConfigError(f"unknown setting {shortened(name)!r}{meant(name, kinds)}; see gan-lab {verb} --help.")
        values[name] = read(name, value, kinds[name], **(limits or {}).get(name, {}))
    return values


def read(name: str, value: str, kind: Any, *, least: float = 0, most: float = MOST) -> Any:
    """One value: a whole number from 1, a number above 0, true or false, a list, or text."""
    setting = f"{name}={shortened(value)}"
    if kind in (int, int | None):
        number = whole(value)
        if number is None or not max(1, least) <= number <= most:
            raise ConfigError(f"{setting} must be a whole number from {max(1, int(least))} to {most:,}.")
        return number
    if kind is float:
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not (number > 0 and least <= number <= most):
            raise ConfigError(f"{setting} must be a number {f'from {least:g}' if least else 'above 0'} to {most:,g}.")
        return number
    if kind is bool:
        if value not in ("true", "false"):
            raise ConfigError(f"{setting} must be true or false.")
        return value == "true"
    if kind == list[int] | None:
        numbers = [whole(item.strip()) for item in value.strip("[]").split(",")]
        if any(number is None or number > MOST_SEED for number in numbers):
            raise ConfigError(f"{setting} must be whole numbers, for example {name}=[0,1].")
        return numbers
    if kind in (list[str], list[str] | None):
        return [item.strip() for item in value.strip("[]").split(",") if item.strip()]
    if not value:
        raise ConfigError(f"{name}= needs a value; leave it out for what is usual.")
    return value


def whole(text: str) -> int | None:
    """A whole number from 0 as it is written in decimal digits, or None; more than 19 digits are none that is used."""
    digits = text.lstrip("0") or text[-1:]
    return int(digits) if text.isascii() and text.isdecimal() and len(digits) < 20 else None


def free(path: Path) -> Path:
    """This path, or the next that nobody has written yet: a.png, a-2.png, ..."""
    path = place(path)
    if path.name in ("", ".."):
        raise ConfigError(f"{str(path)!r} names no file; add one.")
    path.parent.mkdir(parents=True, exist_ok=True)
    again = 2
    chosen = path
    while chosen.exists():
        chosen = path.with_name(f"{path.stem}-{again}{path.suffix}")
        again += 1
    return chosen


def seeds_of(text: str) -> list[int]:
    """Seeds from ranges, both ends included: 0-3,10 is 0, 1, 2, 3, 10."""
    seeds, setting = [], f"seeds={shortened(text)}"
    for part in text.strip("[]").split(","):
        first, dash, last = part.strip().partition("-")
        ends = whole(first), whole(last if dash else first)
        if None in ends or max(ends) > MOST_SEED:
            raise ConfigError(f"{setting} must be numbers below 2^63 and ranges, for example seeds=0-15,42.")
        if len(seeds) + ends[1] - ends[0] >= MOST_SAMPLES:
            raise ConfigError(f"{setting} names too many seeds: at most {MOST_SAMPLES:,} samples are made at once.")
        seeds += range(ends[0], ends[1] + 1)
    if not seeds:
        raise ConfigError(f"{setting} names no seed; ranges run upwards, for example seeds=0-15.")
    return seeds
