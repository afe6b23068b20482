"""What classifiers say of a run's pictures: whether they are like real ones, and whether all kinds are there."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from proofs.points import spearman
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from gan_lab.datasets.base import chosen, in_play
from gan_lab.metrics import Features, look
from gan_lab.metrics.classes import label_accuracy, purity
from gan_lab.metrics.classifier import Classifier, classifier
from gan_lab.metrics.features import bytes_of
from gan_lab.metrics.frechet import frechet_distance
from gan_lab.metrics.neighbours import density_coverage
from gan_lab.runs.evaluation import labelled, reference_of
from gan_lab.runs.run import Run

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
    for part in bytes_of(run.generate(run.rows(range(FIRST_SEED, FIRST_SEED + STACKED)))).split(1000):
        colours = part.flatten(0, 1)[:, None]  # [3 * n, 1, H, W]
        near = torch.cdist(colours.flatten(1).float(), digits).amin(dim=1) <= reach
        read = judge(colours)[1].argmax(dim=1).view(-1, 3) @ torch.tensor([100, 10, 1])
        found |= {*read[near.view(-1, 3).all(dim=1)].tolist()}
    return float(len(found))


def obeyed(run: Run, judge: Classifier) -> float:
    """The share of samples that are of the class that they were told to be, each class as often as any other."""
    asked = torch.arange(SAMPLES) % run.dataset.num_classes
    rows = run.rows(range(FIRST_SEED, FIRST_SEED + SAMPLES)).changed(label=asked)
    said = torch.cat([judge(part)[1] for part in bytes_of(run.generate(rows)).split(500)])
    return label_accuracy(said, asked)


def kept(run: Run, judge: Classifier) -> float:
    """The share of real digits, unseen by the run, that the judge takes for the same digit when they are rebuilt."""
    real, rebuilt = rebuilding(run)
    return same(judge, real, rebuilt)


KEPT, FINE = 0.9, 0.55  # what is asked of reconstructions


def rebuilt_sharply(run: Run, judge: Classifier) -> float:
    """The lesser of two figures, each as a share of what is asked: 1 where both are met.

    Asked is that KEPT of the rebuilt digits stay the same digit, and that their spectrum beyond half of the highest
    frequency has at least FINE of the power that the digits' own has, and at most as much more. Distances in the
    judge's features are said beside: of each digit to what is rebuilt of it, and Frechet's of all to all.
    """
    real, rebuilt = rebuilding(run)
    fine, share = fineness(rebuilt) / fineness(real), same(judge, real, rebuilt)
    looked = [look(judge, bytes_of(x).split(500)) for x in (real, rebuilt)]
    far = float((looked[0].features - looked[1].features).norm(dim=1).mean())
    frechet = frechet_distance(*(each.moments for each in looked))
    print(f"kept {share:.3f}, fine strokes {fine:.3f} of real ones, distance {far:.3f}, Frechet {frechet:.3f}")
    return min(share / KEPT, min(fine, 1 / fine) / FINE)


@torch.no_grad()
def rebuilding(run: Run) -> tuple[Tensor, Tensor]:
    """Real pictures that the run has not seen, and what encoder and generator make of them, [N, C, H, W] in [-1, 1]."""
    real = torch.cat([*unseen(run)]).float() / 127.5 - 1
    return real, torch.cat([run.game.rebuild(part) for part in real.split(500)])


def same(judge: Classifier, real: Tensor, rebuilt: Tensor) -> float:
    said = [torch.cat([judge(part)[1] for part in bytes_of(x).split(500)]).argmax(dim=1) for x in (real, rebuilt)]
    return float((said[0] == said[1]).double().mean())


def fineness(images: Tensor) -> float:
    """The power of images [N, 1, H, W] beyond half of the highest frequency, summed over directions."""
    power = torch.fft.fft2(images[:, 0]).abs().square().mean(dim=0)  # [H, W]
    rows, columns = (torch.fft.fftfreq(side).abs() for side in power.shape)
    return float(power[torch.hypot(rows[:, None], columns[None, :]) > 0.25].sum())


PURITY, CORRELATION, NAMED = 0.5, 0.5, 6  # what is asked of codes


def code_meaning(run: Run, judge: Classifier) -> float:
    """The lesser of two figures, each as a share of what is asked: 1 where both are met.

    Asked is that the values of the code of ten are PURITY pure, with NAMED digits that have one (0 with fewer), and
    that a continuous code goes along with slant or thickness: absolute rank correlation among samples of one value, by
    the mean over values.
    """
    rows = run.rows(range(FIRST_SEED, FIRST_SEED + SAMPLES))
    values = torch.arange(SAMPLES) % run.game.codes[0]
    for value in range(run.game.codes[0]):
        rows["code"][values == value] = run.with_part(rows.at(values == value), "code", "0", value)["code"]
    images = run.generate(rows)
    said = torch.cat([judge(part)[1] for part in bytes_of(images).split(500)])
    pure, named = purity(said, values)
    codes = [rows["code"][:, first] for first in run.game.bounds[1:-1]]
    strokes = (slant(images), thickness(images))
    along = max(
        abs(sum(spearman(code[values == v], stroke[values == v]) for v in range(run.game.codes[0]))) / run.game.codes[0]
        for code in codes
        for stroke in strokes
    )
    print(f"purity {pure:.3f}, classes named {named}, rank correlation {along:.3f}")
    return min(pure / PURITY if named >= NAMED else 0.0, along / CORRELATION)


def ink(images: Tensor) -> Tensor:
    """How much of a pixel is written on, [N, H, W] in [0, 1]."""
    return images[:, 0].add(1).div(2).clamp(0, 1)


def slant(images: Tensor) -> Tensor:
    """By how much a digit leans: the covariance of x and y over the variance of y, of its ink, [N]."""
    weight = ink(images) + 1e-6
    weight = weight / weight.sum(dim=(1, 2), keepdim=True)
    rows = torch.arange(weight.shape[1], dtype=weight.dtype)[None, :, None]
    columns = torch.arange(weight.shape[2], dtype=weight.dtype)[None, None, :]
    y = rows - (weight * rows).sum(dim=(1, 2), keepdim=True)
    x = columns - (weight * columns).sum(dim=(1, 2), keepdim=True)
    return (weight * x * y).sum(dim=(1, 2)) / (weight * y * y).sum(dim=(1, 2))


def thickness(images: Tensor) -> Tensor:
    """How broad strokes are: the area of the ink over the length of its outline, [N]."""
    written = ink(images)
    outline = written.diff(dim=1).abs().sum(dim=(1, 2)) + written.diff(dim=2).abs().sum(dim=(1, 2))
    return written.sum(dim=(1, 2)) / outline.clamp(min=1e-6)


@torch.no_grad()
def levels_help(run: Run, judge: Classifier) -> float:
    """The least over a pyramid's levels of how many times nearer to real pictures its work is than plain enlarging.

    Frechet distances in the judge's features, at the level's size, which is enlarged to that of the data to be looked
    at: of samples as they are below the level, made twice as large, over that of what the level makes of them.
    """
    latents = run.rows(range(FIRST_SEED, FIRST_SEED + SAMPLES))["latent"]
    stages = [torch.cat(parts) for parts in zip(*map(run.game.generator.stages, latents.split(500)), strict=True)]
    real = torch.cat([*unseen(run)]).float() / 127.5 - 1
    full, least = real.shape[2:], float("inf")
    moments = lambda images: look(judge, bytes_of(large(images, full)).split(500)).moments
    for below, level in pairwise(stages):
        wanted = moments(adaptive_avg_pool2d(real, level.shape[2:]))
        plain, refined = (frechet_distance(wanted, moments(x)) for x in (large(below, level.shape[2:]), level))
        print(f"{level.shape[2]} pixels: {refined:.3g}, plain enlarging {plain:.3g}")
        least = min(least, plain / refined)
    return least


def large(images: Tensor, size: torch.Size) -> Tensor:
    return interpolate(images.clamp(-1, 1), size=tuple(size), mode="bilinear", align_corners=False)


def seen(run: Run, judge: Classifier) -> Features:
    return look(judge, pictures(run))


def pictures(run: Run) -> Iterator[Tensor]:
    """New samples of the averaged weights as bytes, some at a time."""
    yield from bytes_of(run.generate(run.rows(range(FIRST_SEED, FIRST_SEED + SAMPLES)))).split(500)


def unseen(run: Run) -> Iterator[Tensor]:
    """Real pictures that the run was not trained on, as many as are sampled at most.

    Those are the test split, from which no judge has learned either; of a run on the test split, the other one.
    """
    data = labelled(run.config, run.dataset)
    pictures = data.images if run.config["dataset"]["split"] == "test" else data.test_images
    yield from pictures[chosen(len(pictures), SAMPLES)].split(500)


@torch.no_grad()
def error(run: Run) -> float:
    """The share of the test set that a run's own classifier puts into a wrong class."""
    test, _ = reference_of(run.config, run.dataset)
    rows = test.tensors()
    said = torch.cat([run.game.classify(part) for part in in_play(rows["image"]).split(500)]).argmax(dim=1)
    return float((said != rows["label"]).double().mean())
