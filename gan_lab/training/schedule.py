"""How settings become functions of the step: turns of a player, and the factor on its learning rate."""

import math
from collections.abc import Callable
from fractions import Fraction

from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import ConfigError
from gan_lab.models import Game


def turns_of(count: int | str | dict) -> Callable[[int], int]:
    """Turns as a function of the step: n in each round, "1/n" for one in every n rounds, or a warm-up.

    A warm-up is {usual: n, warm: m, first: a, every: b}: m turns in the first a rounds and in every b-th round, else n
    (Arjovsky et al. 2017, official code: usual 5, warm 100, first 25, every 500). Raises ValueError.
    """
    if isinstance(count, dict):
        if count.keys() - {"usual", "warm", "first", "every"} or not {"usual", "warm"} <= count.keys():
            raise ValueError(f"turns={count} must hold usual and warm, and may hold first and every.")
        usual, warm, first, every = count["usual"], count["warm"], count.get("first", 0), count.get("every")
        if not all(type(n) is int and n > 0 for n in (usual, warm)):
            raise ValueError(f"turns={count}: usual and warm must be whole numbers from 1.")
        if not all(type(n) is int and n >= 0 for n in (first, every or 0)):
            raise ValueError(f"turns={count}: first and every must be whole numbers.")
        return lambda step: warm if step < first or (every and step % every == 0) else usual
    try:
        share = Fraction(str(count))
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if share <= 0 or 1 not in (share.numerator, share.denominator):
        raise ValueError(f"turns={count} must be a whole number from 1, or 1/n for one turn in every n rounds.")
    if share.denominator == 1:
        return lambda step: share.numerator
    return lambda step: int(step % share.denominator == 0)


def rate_of(schedule: str, decay_from: float = 0.0, warm_up_steps: int = 0) -> Callable[[float, int], float]:
    """The factor on every learning rate: a function of the share of the run that is over, and of the step."""

    def factor(progress, step):
        warm = min(1.0, (step + 1) / warm_up_steps) if warm_up_steps else 1.0
        over = min(max(0.0, (progress - decay_from) / (1 - decay_from)), 1.0)
        if schedule == "linear":
            return warm * (1 - over)
        if schedule == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * over))
        return warm

    return factor


def build_turns(game: Game, settings: TrainerSettings) -> dict[str, Callable[[int], int]]:
    """Turns of each player, as the game says, unless `trainer.turns` says otherwise."""
    try:
        return {player: turns_of(settings.turns.get(player, usual)) for player, usual in game.turns.items()}
    except ValueError as error:
        raise ConfigError(f"trainer.{error}") from error
