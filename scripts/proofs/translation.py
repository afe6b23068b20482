"""What is said of translations: whether they are right where the truth is known, and whether they look real."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_lab.datasets.base import chosen, in_play
from gan_lab.metrics import look
from gan_lab.metrics.classifier import Classifier, classifier
from gan_lab.metrics.features import bytes_of
from gan_lab.metrics.frechet import frechet_distance
from gan_lab.runs.evaluation import labelled, materials, reference_of
from gan_lab.runs.run import Run

MOST = 2000  # pictures
MOST_FAR, MOST_AWAY = 1.25, 0.0873  # the latter is 1.15 times what L1 alone leaves, 0.0759 on seed 0


def judges(run: Run) -> list[Classifier]:
    """Two classifiers of the inner set's pictures; the second has another architecture and another seed."""
    config = {**run.config, "dataset": run.config["dataset"]["of"]}
    data = labelled(config, run.dataset.of)
    return [classifier(data, seed=0, architecture="plain"), classifier(data, seed=1, architecture="residual")]


def truth_missed(run: Run) -> float:
    """The mean difference of translations to the hidden truth, as a share of what the sources differ from it.

    Of sources that the run has not seen, where there are others; 0 where every one is right, 1 where nothing is done.
    """
    source = unseen(run)[0]
    truth = run.dataset.truth(source)
    return float((made_of(run, source) - truth).abs().mean() / (source - truth).abs().mean())


def real_and_near(run: Run, judge: Classifier) -> float:
    """The lesser of two, as shares of what is asked: how real translations look, and how near they are to the truth.

    The first is the Frechet distance, in the judge's features, to the true pictures of the pairs; the second the mean
    difference of pixels. Less is asked than is reached, so that 1 is enough.
    """
    source, image = unseen(run)
    made = made_of(run, source)
    moments = [look(judge, bytes_of(x).split(500)).moments for x in (image, made)]
    far, away = frechet_distance(*moments), float((made - image).abs().mean())
    print(f"Frechet distance {far:.3f}, mean difference {away:.4f}")
    return min(MOST_FAR / far, MOST_AWAY / away)


def kept(run: Run, judge: Classifier) -> float:
    """The share of translations that the judge takes for the class of their source's picture."""
    source, image = unseen(run)
    said = [torch.cat([judge(part)[1] for part in bytes_of(x).split(500)]).argmax(dim=1)
            for x in (image, made_of(run, source))]  # fmt: skip
    return float((said[0] == said[1]).double().mean())


def unseen(run: Run) -> tuple[Tensor, Tensor]:
    """Sources and images that the run was not trained on, each [N, C, H, W] in [-1, 1]."""
    reference, _ = reference_of(run.config, run.dataset, say=lambda line: None)
    image = in_play(reference.plain(chosen(len(reference), MOST))["image"])
    return materials(run.game, reference, range(MOST))["source"], image


def made_of(run: Run, source: Tensor) -> Tensor:
    return torch.cat([*parts(run, source)])


@torch.no_grad()
def parts(run: Run, source: Tensor) -> Iterator[Tensor]:
    torch.manual_seed(0)  # for dropout that stays
    for part in source.split(250):
        yield run.game.translate(part).clamp(-1, 1)
