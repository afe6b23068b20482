"""What a discriminator has learned to see: a linear classifier on its features, against ones that it did not learn."""

from gan_lab.analysis.base import Finding, pictures_only
from gan_lab.analysis.linear import Linear, features_by, gathered, labelled_pictures, layers_of, untrained
from gan_lab.runs.run import Run


def features(run: Run, *, n: int = 2000, n_test: int = 1000) -> Finding:
    """A linear classifier on the discriminator's layers, against random weights and pixels.

    Every convolution's output is rectified, max-pooled to 4 x 4 and joined with the others (of perceptrons, the hidden
    layers); a linear classifier learns `n` labelled pictures and is examined with `n_test`. Radford et al. 2016 (arXiv
    1511.06434), section 5.1. Figures: its `accuracy`, and that of the same on the `random` weights of another seed and
    on `pixels`.
    """
    pictures_only(run, "features")
    images, labels, test_images, test_labels = labelled_pictures(run, n, n_test)
    ways = {
        "accuracy": features_by(run.game),
        "random": features_by(untrained(run)),
        "pixels": lambda pictures: pictures.flatten(1),
    }
    finding = Finding()
    for name, way in ways.items():
        classifier = Linear(gathered(way, images), labels, run.dataset.num_classes)
        finding.figures[name] = classifier.accuracy(gathered(way, test_images), test_labels)
    layers = layers_of(run.game, images)
    kinds = {type(layer).__name__ for layer in layers}
    finding.notes.append(
        f"{len(layers)} layers ({', '.join(kinds)}), {len(images):,} pictures to learn from, "
        f"{len(test_images):,} to be examined with."
    )
    return finding
