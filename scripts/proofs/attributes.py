"""What is said of pictures whose attributes were changed: whether they have what was asked for, and kept the rest."""

from gan_lab.config.build import build_dataset
from gan_lab.metrics.classifier import Classifier, classifier
from gan_lab.runs.evaluation import altered_shares, labelled
from gan_lab.runs.run import Run

MOST = 2000  # pictures
ASKED, KEPT = 0.9, 0.9


def judges(run: Run) -> list[Classifier]:
    """Two readers of real pictures' attributes; the second has another architecture and another seed."""
    data = labelled(run.config, run.dataset, "attributes")
    return [classifier(data, seed=0, architecture="plain"), classifier(data, seed=1, architecture="residual")]


def asked_and_kept(run: Run, judge: Classifier) -> float:
    """The lesser of two shares, of what is asked: pictures with the attribute asked for, others that are as they were.

    Of pictures that the run has not seen: those of another seed.
    """
    settings = run.config["dataset"]
    unseen = build_dataset({**run.config, "dataset": {**settings, "seed": settings["seed"] + 1, "size": MOST}})
    _, shares = altered_shares(run.game, unseen, judge, range(MOST))
    print(f"asked {shares['asked']:.4f}, kept {shares['kept']:.4f}")
    return min(shares["asked"] / ASKED, shares["kept"] / KEPT)
