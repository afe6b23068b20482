"""What a look inside a run finds, and what several of them need."""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from gan_lab.datasets.base import chosen
from gan_lab.errors import ConfigError
from gan_lab.rows import Rows
from gan_lab.runs.run import Run

AT_ONCE = 250  # pictures that pass through a network together


@dataclass
class Finding:
    """Figures by name, pictures uint8 [H, W, 3] by name, and sentences that say what they mean."""

    figures: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def pictures_only(run: Run, what: str) -> None:
    """ConfigError for a run that makes points."""
    if not run.game.makes:
        raise ConfigError(f"what={what} needs pictures, and this run makes none.")
    given = run.config["dataset"].get("image_size")  # so that a look at samples alone does without the data
    if (given or run.dataset.image_size) is None:
        raise ConfigError(f"what={what} needs a run on images, and this run generates points.")


def latents_only(run: Run, what: str) -> None:
    """ConfigError for a run that makes points, or whose samples have no latents, such as one that translates."""
    pictures_only(run, what)
    if "latent" not in run.game.made_of:
        raise ConfigError(f"what={what} needs a latent space, and this run translates images.")


def fresh(run: Run, n: int, seed: int) -> tuple[Rows, Tensor]:
    """What n samples of seeds from `seed` on are made of, and the samples [n, C, H, W] in [-1, 1]."""
    rows = run.rows(range(seed, seed + n))
    return rows, run.generate(rows, AT_ONCE)


def real(run: Run, n: int, seed: int = 0) -> Tensor:
    """A fixed choice of training pictures, [n, C, H, W] in [-1, 1]; all of them where there are fewer."""
    return as_played(run.dataset.plain(chosen(len(run.dataset), n, seed))["image"])


def as_played(stored: Tensor) -> Tensor:
    """Bytes [N, H, W, C] as pictures [N, C, H, W] in [-1, 1]."""
    return stored.permute(0, 3, 1, 2).float() / 127.5 - 1


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Root mean square differences of pictures [N, ...] to those in the same place, [N], in units of their values."""
    return (a - b).flatten(1).square().mean(dim=1).sqrt()


def apart(pictures: Tensor) -> float:
    """The mean `distances` of pictures to others of the set: what those differ by that have nothing in common."""
    return max(float(distances(pictures, pictures.roll(1, dims=0)).mean()), 1e-12)
