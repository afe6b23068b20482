"""Which parts fit together: every reason why a combination cannot work, each with a remedy of one override.

No part is known here by its class: what one needs, or cannot stand, it says itself. Here stand those of the training.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Dataset
from gan_lab.losses.base import mixes_batch
from gan_lab.models import Game
from gan_lab.models.layers import layers


@dataclass
class Parts:
    """What is about to train together."""

    dataset: Dataset
    game: Game
    settings: TrainerSettings
    overrides: dict[str, dict]  # of the optimizer, by player
    world_size: int = 1
    device: str = "cpu"  # or cuda


def complaints(parts: Parts) -> list[str]:
    """All reasons why these parts cannot train together; empty if they can.

    Each part speaks for itself, where it has a method `complaints(parts, name)`: the game, the dataset, the objective
    with its penalties and views, and every layer of every network, which is told the network's name.
    """
    found = [complaint for part, name in speakers(parts) for complaint in part.complaints(parts, name)]
    return list(dict.fromkeys([*found, *(complaint for rule in RULES for complaint in rule(parts))]))


def speakers(parts: Parts) -> Iterator[tuple[Any, str]]:
    """The parts that may complain, each with the name that it has in the configuration."""
    objective = parts.game.objective
    named = [(parts.game, "model"), (parts.dataset, "dataset"), (objective, "loss")]
    named += [(part, name) for group in (objective.penalties, objective.views) for name, part in group.items()]
    for name, network in parts.game.named_children():
        named += [(layer, name) for layer in network.modules() if network is not objective]
    return ((part, name) for part, name in named if hasattr(part, "complaints"))


def uneven_batch(parts):
    size, shares = parts.settings.batch_size, parts.world_size
    if size % shares:
        yield (
            f"trainer.batch_size={size} cannot be shared evenly by {shares} devices. "
            f"Set trainer.batch_size={max(1, size // shares) * shares}."
        )


def single_samples(parts):
    names = [name for names in parts.game.players.values() for name in names]
    mixing = [name for name in names if mixes_batch(getattr(parts.game, name))]
    if parts.settings.batch_size // parts.world_size <= 1 and mixing:
        remedy = f"Set trainer.batch_size={2 * parts.world_size}."
        if len(parts.dataset) < 2 * parts.world_size:
            remedy = f"Add data, or set {' '.join(f'model.{name}.norm=layer' for name in mixing)}."
        size = parts.settings.batch_size
        yield f"trainer.batch_size={size} leaves batch norm a single sample per batch. {remedy}"


def unknown_players(parts):
    known = list(parts.game.players)
    clips = parts.settings.clip if isinstance(parts.settings.clip, dict) else {}
    by_key = {"trainer.turns": parts.settings.turns, "trainer.clip": clips, "optimizer_overrides": parts.overrides}
    for key, by_player in by_key.items():
        for player in by_player.keys() - set(known):
            close = (difflib.get_close_matches(player, known, n=1, cutoff=0.4) or known)[0]
            yield (
                f"{key}.{player}: this model has no player '{player}'; its players are {' and '.join(known)}. "
                f"Set {key}.{close} instead."
            )


def frozen_layers(parts):
    """What `trainer.freeze` asks for, by the layers that there are."""
    trained = [name for names in parts.game.players.values() for name in names]
    for network, count in parts.settings.freeze.items():
        key = f"trainer.freeze.{network}"
        if network not in trained:
            close = (difflib.get_close_matches(network, trained, n=1, cutoff=0.4) or trained)[0]
            yield (
                f"{key}={count}: this model trains no network '{network}', but {' and '.join(trained)}. "
                f"Set trainer.freeze={{{close}:{count}}}."
            )
            continue
        there = len(layers(getattr(parts.game, network)))
        if count >= max(1, there):
            yield (
                f"{key}={count} leaves none of the {there} layers of the {network} to be trained. "
                f"Set {key}={max(0, there - 1)}."
            )
        elif count and parts.settings.init_from is None:
            yield (
                f"{key}={count} keeps layers as another run has trained them, and trainer.init_from names none. "
                f"Set trainer.init_from=RUN, or {key}=0."
            )


# What a GPU differentiates by additions in no certain order, and refuses to where the order is to be certain: the
# layers behind the callers of `alertNotDeterministic` in torch 2.14.1, which max_pool2d, avg_pool2d and cdist are not
UNCERTAIN = (
    *(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool2d, nn.AvgPool3d, nn.MaxPool3d),
    *(nn.FractionalMaxPool2d, nn.FractionalMaxPool3d, nn.MaxUnpool2d, nn.MaxUnpool3d),
    *(nn.UpsamplingBilinear2d, nn.CTCLoss),
)


def uncertain_kernels(parts):
    """Some layers have no deterministic backward pass on a GPU."""
    if not parts.settings.deterministic or parts.device != "cuda":
        return
    for name, network in parts.game.named_children():
        found = [type(m).__name__ for m in network.modules() if isinstance(m, UNCERTAIN) or is_blurred(m)]
        if found:
            yield (
                f"The {name} has {found[0]}, whose gradient has no deterministic kernel on a GPU. "
                "Set trainer.deterministic=false."
            )


def is_blurred(layer):
    return isinstance(layer, nn.Upsample) and layer.mode not in ("nearest", "nearest-exact")


RULES = (uneven_batch, single_samples, uncertain_kernels, unknown_players, frozen_layers)
