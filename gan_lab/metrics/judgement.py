"""All figures that two sets of gathered features allow."""

from torch import Tensor

from gan_lab.metrics.extractors import Extractor
from gan_lab.metrics.features import Features
from gan_lab.metrics.figure import called
from gan_lab.metrics.frechet import frechet_distance
from gan_lab.metrics.kernel import kernel_deviation, kernel_distance
from gan_lab.metrics.neighbours import density_coverage, diversity, precision_recall

OF_PAIRS = ("kid", "kid_deviation", "precision", "recall", "density", "coverage", "diversity_of_real")


def judge(
    real: Features, fake: Features, extractor: Extractor, labels: Tensor | None = None, cheap: bool = False
) -> dict:
    """Figures of generated against real pictures, by their full names; `labels` are the real classes' counts [K].

    `cheap` leaves out what looks at pairs of samples. Raises DataError where there are too few.
    """
    figures = {"fid": frechet_distance(real.moments, fake.moments)}
    figures |= {} if cheap else of_pairs(real.features, fake.features)
    if fake.classes is not None:
        figures["score"] = fake.classes.score
        if not cheap:
            figures["score_of_real"] = real.classes.score
    if extractor.classes:
        figures["modes"] = float(fake.classes.found)
        figures["least_class_share"] = float(fake.classes.shares.min())
        figures["reverse_kl"] = fake.classes.reverse_kl(real.classes.hits if labels is None else labels)
    return {called(name, extractor.title): value for name, value in figures.items()}


def cheap_names(extractor: Extractor) -> list[str]:
    """The cheap figures of an extractor, before it has seen anything."""
    names = ["fid", *(["score"] if extractor.guesses else [])]
    names += ["modes", "least_class_share", "reverse_kl"] if extractor.classes else []
    return [called(name, extractor.title) for name in names]


def of_pairs(real: Tensor, fake: Tensor) -> dict[str, float]:
    """What takes the distances between samples: minutes for tens of thousands of them; without a ratio to nothing."""
    precision, recall = precision_recall(real, fake)
    density, coverage = density_coverage(real, fake)
    kernels = kernel_distance(real, fake), kernel_deviation(real, fake)
    figures = dict(zip(OF_PAIRS, (*kernels, precision, recall, density, coverage), strict=False))
    apart = diversity(real)
    return {**figures, OF_PAIRS[-1]: diversity(fake) / apart} if apart else figures  # 0 of pictures that are all one
