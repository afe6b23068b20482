"""What is said of samples whose latents are truncated: variety against quality, and whether classes are obeyed."""

import torch
from proofs.digits import FIRST_SEED, SAMPLES, obeyed, unseen
from proofs.digits import judges as judges
from proofs.points import spearman

from gan_lab.metrics import look
from gan_lab.metrics.classifier import Classifier
from gan_lab.metrics.features import bytes_of
from gan_lab.metrics.neighbours import density_coverage, precision_recall
from gan_lab.runs.run import Run

TRUNCATIONS = 1.0, 0.7, 0.5, 0.3
OBEYED, IN_ORDER = 0.95, 0.75  # what is asked; of four values the latter is right but for one pair of neighbours


def obeyed_and_traded(run: Run, judge: Classifier) -> float:
    """The least of three figures, each as a share of what is asked: 1 where all of it is met.

    Asked is that OBEYED of the samples are of the class that they were told to be, and that precision rises and
    coverage falls where latents are scaled by TRUNCATIONS, one after the other: by rank correlations of IN_ORDER.
    Kynkaanniemi et al. 2019 (arXiv 1904.06991), equation 1, and Naeem et al. 2020 (arXiv 2002.09797), equation 7, to
    pictures that the run has not seen.
    """
    share, real = obeyed(run, judge), look(judge, unseen(run)).features
    rows = run.rows(range(FIRST_SEED, FIRST_SEED + SAMPLES))
    precision, coverage = [], []
    for truncation in TRUNCATIONS:
        images = run.generate(rows, batch_size=500, truncation=truncation)
        fake = look(judge, bytes_of(images).split(500)).features
        precision.append(precision_recall(real, fake)[0])
        coverage.append(density_coverage(real, fake)[1])
    print(f"obeyed {share:.3f}, precision {precision}, coverage {coverage}")
    less = -torch.tensor(TRUNCATIONS)
    rises, falls = spearman(less, torch.tensor(precision)), spearman(less, -torch.tensor(coverage))
    return min(share / OBEYED, rises / IN_ORDER, falls / IN_ORDER)
