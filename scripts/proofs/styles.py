"""What is said of generators that paint by styles."""

import math

import torch
from torch import Tensor

from gan_lab.noise import Noise
from gan_lab.runs.run import Run

SAMPLES, IMAGES = 1000, 16
FIRST_SEED = 20_000_000  # of latents that neither training nor its pictures have seen


def uneven(run: Run) -> float:
    """How much path lengths vary from sample to sample: their standard deviation over their mean.

    A length is the root of the mean of |J^T y|^2 over random images y, J being the slope of a new sample in its styles.
    Karras et al. 2020 (arXiv 1912.04958), section 3.2. How lengths vary with y, too, is said beside.
    """
    firsts = range(FIRST_SEED, FIRST_SEED + SAMPLES, 250)
    squared = torch.cat([squares(run, range(first, first + 250)) for first in firsts], dim=1)  # [IMAGES, SAMPLES]
    lengths = squared.mean(dim=0).sqrt()
    mean, deviation = lengths.mean(), lengths.std()
    print(f"lengths {mean:.4g} +- {deviation:.4g}, of single images {float(squared.sqrt().std() / mean):.3g} of that")
    return float(deviation / mean)


def squares(run: Run, seeds: range) -> Tensor:
    """|J^T y|^2 of random images y, the mean over layers, [IMAGES, N]."""
    generator, found = run.game.generator, []
    with torch.no_grad():
        styles = generator.styles(run.rows(seeds)["latent"])  # [N, num_styles, style_dim]
    for i in range(IMAGES):
        made = generator.synthesis(styles.requires_grad_())
        y = Noise(seeds[0])(f"path_length/{i}", made.shape) / math.sqrt(made[0, 0].numel())
        (slope,) = torch.autograd.grad((made * y).sum(), styles)
        found.append(slope.square().sum(dim=2).mean(dim=1))
    return torch.stack(found)
