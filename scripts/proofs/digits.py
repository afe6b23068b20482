"""What classifiers say of a run's pictures: whether they are like real ones, and whether all kinds are there."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_lab.evaluation import labelled
from gan_lab.metrics import Seen, look
from gan_lab.metrics.classes import label_accuracy
from gan_lab.metrics.classifier import Classifier, classifier
from gan_lab.metrics.neighbours import density_coverage
from gan_lab.metrics.seen import bytes_of
from gan_lab.run import Run

SAMPLES, STACKED = 2000, 26_000
FIRST_SEED = 20_000_000  # of latents that neither training nor its pictures have seen
NEAR = 1.25
SCORE, LEAST_SHARE, COVERAGE = 0.75, 0.05, 0.5  # what is asked: shares of real pictures' score, of all, of real ones


def judges(run: Run) -> list[Classifier]:
    """Two classifiers of real pictures; the second has another architecture and another seed."""
    data = labelled(run.config, run.dataset)
    return [classifier(data, seed=0, architecture="plain"), classifier(data, seed=1, architecture="residual")]


def demands(run: Run, judge: Classifier) -> float:
    """The least of three figures, each as a share of what is asked: 1 where all of it is met.

    Asked is three quarters of the score of real pictures that the run has not seen, a twentieth of the samples in every
    class, and that half of those pictures are covered. A score alone proves nothing: ten pictures repeated get a
    perfect one.
    """
    fake, real = seen(run, judge), look(judge, unseen(run))
    _, coverage = density_coverage(real.features, fake.features)
    score, least = fake.classes.score / real.classes.score, float(fake.classes.shares.min())
    return min(score / SCORE, least / LEAST_SHARE, coverage / COVERAGE)


def coverage(run: Run, judge: Classifier) -> float:
    """The share of real pictures, unseen by the run, that have a sample nearer than their fifth neighbour.

    Naeem et al. 2020 (arXiv 2002.09797), equation 7, in the features of the judge.
    """
    return density_coverage(look(judge, unseen(run)).features, seen(run, judge).features)[1]


def spelled_modes(run: Run, judge: Classifier) -> float:
    """How many of the thousand numbers stacked digits spell, in 26,000 samples: Metz et al. 2017 (1611.02163), 3.3.1.

    A sample counts only where each of its colours lies near a real digit, in pixels: a classifier reads digits into
    noise too. Near is within NEAR times the distance in which 99 of 100 real ones have another.
    """
    digits = run.dataset.digits.tensors()["image"].flatten(1).float()  # [M, H * W]
    reach = torch.cdist(digits, digits).fill_diagonal_(torch.inf).amin(dim=1).quantile(0.99) * NEAR
    found = set()
    for part in bytes_of(run.generate(run.latents(range(FIRST_SEED, FIRST_SEED + STACKED)))).split(1000):
        colours = part.flatten(0, 1)[:, None]  # [3 * n, 1, H, W]
        near = torch.cdist(colours.flatten(1).float(), digits).amin(dim=1) <= reach
        read = judge(colours)[1].argmax(dim=1).view(-1, 3) @ torch.tensor([100, 10, 1])
        found |= {*read[near.view(-1, 3).all(dim=1)].tolist()}
    return float(len(found))


def obeyed(run: Run, judge: Classifier) -> float:
    """The share of samples that are of the class that they were told to be, each class as often as any other."""
    asked = torch.arange(SAMPLES) % run.dataset.num_classes
    latents = run.latents(range(FIRST_SEED, FIRST_SEED + SAMPLES))
    latents = run.game.asked(latents, torch.nn.functional.one_hot(asked, run.dataset.num_classes))
    said = torch.cat([judge(part)[1] for part in bytes_of(run.generate(latents)).split(500)])
    return label_accuracy(said, asked)


def seen(run: Run, judge: Classifier) -> Seen:
    return look(judge, pictures(run))


def pictures(run: Run) -> Iterator[Tensor]:
    """New samples of the averaged weights as bytes, some at a time."""
    yield from bytes_of(run.generate(run.latents(range(FIRST_SEED, FIRST_SEED + SAMPLES)))).split(500)


def unseen(run: Run) -> Iterator[Tensor]:
    """Real pictures that the run was not trained on, as many as are sampled at most.

    Those are the test split, from which no judge has learned either; of a run on the test split, the other one.
    """
    data = labelled(run.config, run.dataset)
    pictures = data.images if run.config["dataset"]["split"] == "test" else data.test_images
    chosen = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))[:SAMPLES]
    yield from pictures[chosen].split(500)
