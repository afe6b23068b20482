"""What points say of a run: their density is known, so that no network judges."""

import csv

import torch

from gan_lab.datasets.points import density
from gan_lab.runs.run import Run

SAMPLES = 10_000
FIRST_SEED = 20_000_000  # of latents that neither training nor its pictures have seen


def quality(run: Run) -> float:
    """The share of modes that are found times the share of samples within three sigma of one."""
    return exact(run)["quality"]


def modes(run: Run) -> float:
    """How many modes are found."""
    return exact(run)["modes"]


def good_share(run: Run) -> float:
    """The share of samples within three sigma of a mode."""
    return exact(run)["good_share"]


def exact(run: Run) -> dict[str, float]:
    return run.dataset.exact(samples(run))


def samples(run: Run) -> torch.Tensor:
    return run.generate(run.rows(range(FIRST_SEED, FIRST_SEED + SAMPLES)), batch_size=1000)


def equilibrium(run: Run) -> float:
    """How far the game on one Gaussian is from its end: the larger of two distances, each 0 there and at most 1.

    What the real and the generated density do not share, and mean |D - 1/2| over three deviations to each side.
    Goodfellow et al. 2014 (arXiv 1406.2661), propositions 1 and 2.
    """
    dataset = run.dataset
    line = torch.linspace(dataset.mean - 5 * dataset.std, dataset.mean + 5 * dataset.std, 401)
    apart = 1 - shared(run)
    support = line[(line - dataset.mean).abs() <= 3 * dataset.std]
    with torch.no_grad():
        believed = torch.sigmoid(run.game.critic(support[:, None]).float().flatten())
    return max(apart, float((believed - 0.5).abs().mean()))


def shared(run: Run) -> float:
    """The area that the real and the generated density have in common: 1 where they are equal."""
    dataset = run.dataset
    line = torch.linspace(dataset.mean - 5 * dataset.std, dataset.mean + 5 * dataset.std, 401)
    real = torch.exp(-0.5 * ((line - dataset.mean) / dataset.std) ** 2) / (dataset.std * (2 * torch.pi) ** 0.5)
    return float(torch.minimum(real, density(samples(run).flatten(), line)).sum() * (line[1] - line[0]))


def tracking(run: Run) -> float:
    """Whether the critic's loss tells of quality: the rank correlation of its fall with the growth of the distance.

    Of the changes from one judgement to the next, after a fifth of the run, since two curves that only fall correlate
    whatever they mean. The loss is the mean of all reports in between; the distance is the exact figure of that name.
    Between -1 and 1: a critic of real against generated samples has the lower a loss, the farther apart they are.
    """
    with (run.folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    losses, pairs = [], []
    for row in rows:
        losses += [float(row["loss/discriminator/adversarial"])] if row["loss/discriminator/adversarial"] else []
        if row["exact/distance"]:
            pairs.append((sum(losses) / len(losses), float(row["exact/distance"])))
            losses = []
    loss, distance = torch.tensor(pairs[len(pairs) // 5 :]).diff(dim=0).unbind(1)
    return -spearman(loss, distance)


def spearman(a: torch.Tensor, b: torch.Tensor) -> float:
    """The correlation of ranks, ties broken by place."""
    ranks = torch.stack([values.argsort().argsort().double() for values in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])
