"""Fine-tuning: a new run starts from the weights of another, as far as they fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from gan_lab.config.build import under
from gan_lab.errors import ConfigError
from gan_lab.models import Game
from gan_lab.models.layers import first, layers
from gan_lab.storage import checkpoint
from gan_lab.storage.files import checked_state
from gan_lab.storage.finding import find_run
from gan_lab.training.trainer import Trainer
from gan_lab.wording import counted


@dataclass
class Match:
    """What of one network was found in the other run."""

    network: str
    found: dict[str, Tensor]
    missing: list[str]  # not there, or of another shape, with the reason

    def summary(self) -> str:
        of = len(self.found) + len(self.missing)
        if not self.missing:
            return f"{self.network} whole ({of} tensors)"
        shown = ", ".join(self.missing[:3]) + (", ..." if len(self.missing) > 3 else "")
        return f"{self.network} {len(self.found)} of {of} tensors (new: {shown})"


def start_from(trainer: Trainer, run: str | Path, freeze: Mapping[str, int] | None = None) -> str:
    """Give a trainer the last weights of a run, plain and averaged, where names and shapes agree; say what agreed.

    `freeze`: by network, how many of its first layers are to stay as they are there. Optimizers, steps and the loss's
    own state start anew. Raises ConfigError where nothing agrees, CheckpointError where the run has no checkpoint.
    """
    folder, state, matches = matched(trainer.game, run, freeze)
    for name, network in trainer.ema.networks.items():
        take(name, network, under(f"networks.{name}.", state["ema"]))
    said = f"Starts from {folder}, step {state['step']}: {'; '.join(match.summary() for match in matches)}."
    frozen = [f"the first {counted(count, 'layer')} of the {name}" for name, count in (freeze or {}).items() if count]
    return f"{said} {' and '.join(frozen).capitalize()} will stay as in that run." if frozen else said


def matched(game: Game, run: str | Path, freeze: Mapping[str, int] | None = None) -> tuple[Path, dict, list[Match]]:
    """Give a game the plain weights of a run that fit; the run, its checkpoint, and what fitted of each network."""
    folder = find_run(run)
    state = checked_state(checkpoint.load_newest(folder / "checkpoints"), folder)
    return folder, state, matches(game, state["game"], run, freeze)


def matches(
    game: Game, theirs: dict[str, Tensor], run: str | Path, freeze: Mapping[str, int] | None = None
) -> list[Match]:
    """Give a game those weights of another game's state that fit.

    ConfigError where none does, or where one of a layer that is to be frozen does not.
    """
    trained = {name for networks in game.players.values() for name in networks}
    found = [take(name, getattr(game, name), under(f"{name}.", theirs)) for name in sorted(trained)]
    if not any(value.dim() > 1 for match in found for value in match.found.values()):  # a lone bias fits anywhere
        raise ConfigError(
            f"trainer.init_from={run}: none of its weights fits these networks. Choose a run of the same model and "
            "the same sizes, or set trainer.init_from=null."
        )
    for match in (match for match in found if match.network in (freeze or {})):
        count, weights = freeze[match.network], getattr(game, match.network)
        if new := [name for name in first(weights, count) if name not in match.found]:
            fits = next(i for i, layer in enumerate(layers(weights)) if not layer.keys() <= match.found.keys())
            key = f"trainer.freeze.{match.network}"
            raise ConfigError(
                f"{key}={count}: {new[0]} does not fit what trainer.init_from={run} has. Set {key}={fits}."
            )
    return found


def take(name: str, network: nn.Module, theirs: dict[str, Tensor]) -> Match:
    """Copy what agrees from one state into a network."""
    found, missing = {}, []
    for key, mine in network.state_dict().items():
        if not isinstance(mine, Tensor):
            continue
        if key not in theirs:
            missing.append(key)
        elif theirs[key].shape != mine.shape:
            missing.append(f"{key}, {shape(theirs[key])} there and {shape(mine)} here")
        else:
            found[key] = theirs[key]
    network.load_state_dict(found, strict=False)
    return Match(name, found, missing)


def shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
