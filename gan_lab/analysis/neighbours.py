"""The training pictures nearest to samples: whether a generator makes new pictures or repeats what it has seen."""

import torch

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, as_played, fresh, pictures_only
from gan_lab.datasets.base import chosen
from gan_lab.metrics import Extractor
from gan_lab.metrics.features import bytes_of
from gan_lab.metrics.neighbours import nearest
from gan_lab.runs.evaluation import extractor_of, features_of
from gan_lab.runs.references import reference_of
from gan_lab.runs.run import Run


def neighbours(
    run: Run, *, rows: int = 8, nearest_ones: int = 5, n: int = 500, most: int | None = None, features: str = "pixels"
) -> Finding:
    """Samples beside the training pictures nearest to them, and how near real pictures lie to each other.

    A row of the picture is a sample and its `nearest_ones`; figures are of `n` samples against all training pictures,
    or a fixed choice of `most` of them; `features`: pixels, classifier or inception. Figures: `samples` and `real`, the
    median distance to the nearest training picture, of samples and of real pictures that were not trained on (where
    there are none, of training pictures to others); `novelty`, the first over the second: near 0 for copies, about 1
    for what is as new as reality; `copies`, the share of samples nearer than 99 of 100 real pictures.
    """
    pictures_only(run, "neighbours")
    extractor = extractor_of(features, run.config, run.dataset)
    trained = chosen(len(run.dataset), most or len(run.dataset))  # rows of the training data
    known = lambda: features_of(extractor, run.dataset, trained)
    _, samples = fresh(run, max(n, rows), seed=2_000_000)
    made = looked(extractor, bytes_of(samples))

    # How near real pictures are to the training pictures
    remarks = []
    reference, split = reference_of(run.config, run.dataset, remarks.append)
    if split == "test":
        others = chosen(len(reference), n, seed=1)
        unseen = looked(extractor, reference.plain(others)["image"].permute(0, 3, 1, 2))
        usual, whose = nearest(unseen, known())[0][:, 0], "pictures of the test split"
    else:
        some = trained[chosen(len(trained), n)]
        themselves = torch.cat([*features_of(extractor, run.dataset, some)])
        usual, whose = nearest(themselves, known(), k=2)[0][:, 1], "training pictures"
    far, found = nearest(made, known(), k=nearest_ones)
    far = far[:, 0]
    shown = [as_played(run.dataset.plain(trained[found[i]])["image"]) for i in range(rows)]
    lines = [torch.cat([samples[i : i + 1], near]) for i, near in enumerate(shown)]
    return Finding(
        {
            "samples": float(far.median()),
            "real": float(usual.median()),
            "novelty": float(far.median() / usual.median()),
            "copies": float((far < usual.quantile(0.01)).double().mean()),
        },
        {"neighbours": pictures.grid(torch.cat(lines), columns=nearest_ones + 1)},
        [f"Each row: a sample, then the {nearest_ones} nearest of {len(trained):,} training pictures. Real: {whose}."],
    )


def looked(extractor: Extractor, images: torch.Tensor) -> torch.Tensor:
    """Features of pictures uint8 [N, C, H, W]."""
    with torch.no_grad():
        return torch.cat([extractor(part)[0] for part in images.split(AT_ONCE)])
