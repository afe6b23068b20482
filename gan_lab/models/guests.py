"""A network that somebody else has trained: what a configuration says of it."""

from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True)
class FromRun:
    """A frozen network of a finished run: `{_target_: gan_lab.models.FromRun, run: outputs/..., network: generator}`.

    `network` is one of those that the run's model has, such as discriminator; `part` a module inside it, such as its
    `trunk`, so that one run's critic lends its features to another. `weights` are averaged (`ema`, where the run
    averages this network) or `raw`, of the run's last checkpoint or of its best one. `built` is the network itself,
    with whatever weights: it need not be given, since it stands in the configuration of that run.

    It only says so: `gan_lab.config.build` reads the run, checks what its configuration names as it checks any other,
    and puts the network in this object's place. A run keeps how its guests are built in its own configuration and
    their weights in its own checkpoints, so that only its start needs the other run.
    """

    run: str
    network: str
    part: str | None = None
    weights: Literal["ema", "raw"] = "ema"
    checkpoint: Literal["last", "best"] = "last"
    built: nn.Module | None = None
