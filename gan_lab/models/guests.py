"""A network that somebody else has trained: what a configuration says of it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FromRun:
    """A frozen network of a finished run: `{_target_: gan_lab.models.FromRun, run: outputs/..., network: generator}`.

    `network` is one of those that the run's model has, such as discriminator; `part` a module inside it, such as its
    `trunk`, so that one run's critic lends its features to another. `weights` are averaged (`ema`, where the run
    averages this network) or `raw`, of the run's last checkpoint or of its best one.

    It only says so: `gan_lab.build` reads the run, checks what its configuration names as it checks any other, and
    puts the network itself in this object's place.
    """

    run: str
    network: str
    part: str | None = None
    weights: Literal["ema", "raw"] = "ema"
    checkpoint: Literal["last", "best"] = "last"
