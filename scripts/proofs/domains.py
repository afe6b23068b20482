"""What is said of translations between domains of the same classes: is the class kept, and is the domain reached."""

import torch

from gan_lab.datasets.base import chosen
from gan_lab.metrics.classifier import Classifier, classifier
from gan_lab.runs.domains import IMAGE, domain_reader, share_of
from gan_lab.runs.evaluation import drawn, labelled, materials, reference_of
from gan_lab.runs.run import Run

MOST = 2000  # sources
KEPT, REACHED = 0.85, 0.9  # shares that are asked for


def judges(run: Run) -> list[Classifier]:
    """Two classifiers of the images; the second has another architecture and another seed."""
    data = labelled(run.config, run.dataset)
    return [classifier(data, seed=0, architecture="plain"), classifier(data, seed=1, architecture="residual")]


def kept_and_reached(run: Run, judge: Classifier) -> float:
    """The lesser of two, as shares of what is asked: translations of their source's class, and taken for images.

    Of sources that the run has not seen. A classifier of the two domains, of the judge's seed and shape, says the
    second.
    """
    reference, _ = reference_of(run.config, run.dataset, say=lambda line: None)
    which = chosen(len(reference), MOST)
    made = torch.cat([*drawn(run.game, materials(run.game, reference, range(MOST)))])
    kept = share_of(judge, made, reference.columns(which, "source_label")["source_label"])
    reached = share_of(domain_reader(run.dataset, judge.seed, judge.architecture), made, IMAGE)
    print(f"class kept {kept:.3f}, domain reached {reached:.3f}")
    return min(kept / KEPT, reached / REACHED)
