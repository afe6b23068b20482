"""What a look inside a run finds, and what several of them need."""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from gan_lab.datasets.base import chosen
from gan_lab.errors import ConfigError
from gan_lab.metrics import Extractor
from gan_lab.rows import Rows
from gan_lab.runs.evaluation import extractor_of
from gan_lab.runs.run import Run
from gan_lab.wording import shortened

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


def fresh(run: Run, n: int, seed: int, space: str | None = None) -> tuple[Rows, Tensor]:
    """What n samples of seeds from `seed` on are made of, in a space, and the samples [n, C, H, W] in [-1, 1]."""
    rows = run.into(run.rows(range(seed, seed + n)), run.space(space))
    return rows, run.generate(rows, AT_ONCE)


def extent(run: Run, space: str, n: int = 1000) -> tuple[Tensor, Tensor]:
    """Mean [...] of where samples lie in a space, and how far each number strays from it, as a standard deviation.

    Of the first space, in which latents are drawn, they are 0 and 1.
    """
    if space == run.game.made_of[0]:
        nowhere = run.rows([0])[space][0].cpu() * 0
        return nowhere, nowhere + 1
    values = run.into(run.rows(range(8_000_000, 8_000_000 + n)), space)[space].cpu()
    return values.mean(dim=0), values.std(dim=0)


def real(run: Run, n: int, seed: int = 0) -> Tensor:
    """A fixed choice of training pictures, [n, C, H, W] in [-1, 1]; all of them where there are fewer."""
    return as_played(run.dataset.plain(chosen(len(run.dataset), n, seed))["image"])


def as_played(stored: Tensor) -> Tensor:
    """Bytes [N, H, W, C] as pictures [N, C, H, W] in [-1, 1]."""
    return stored.permute(0, 3, 1, 2).float() / 127.5 - 1


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Root mean square differences of pictures [N, ...] to those in the same place, [N], in units of their values."""
    return (a - b).flatten(1).square().mean(dim=1).sqrt()


def smooth(run: Run, features: str | None) -> Extractor:
    """The extractor that a look's `features` name, or the one that judges this data; one that can be differentiated."""
    if features not in (None, "classifier", "pixels"):
        raise ConfigError(f"features={shortened(features)} is not known here; choose classifier or pixels.")
    return extractor_of(features, run.config, run.dataset).to(run.device)


def apart(pictures: Tensor) -> float:
    """The mean `distances` of pictures to others of the set: what those differ by that have nothing in common."""
    return max(float(distances(pictures, pictures.roll(1, dims=0)).mean()), 1e-12)
