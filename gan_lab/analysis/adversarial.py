"""Adversarial examples, which are not adversarial training: small changes that turn a classifier's mind."""

import torch
from torch.nn import functional as F

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, pictures_only
from gan_lab.analysis.linear import Linear, features_by, gathered, labelled_pictures
from gan_lab.runs.run import Run

EPSILONS = (2, 4, 8, 16, 32)  # of 255 grey levels


def adversarial(run: Run, *, n: int = 2000, n_test: int = 500, shown: int = 8, level: int = 16) -> Finding:
    """Adversarial examples: one step along the sign of the gradient fools a classifier on the discriminator's features.

    The classifier is that of the look `features`, on `n` pictures; `n_test` others are changed by at most epsilon grey
    levels each: x + epsilon * sign(gradient of the loss). Goodfellow et al. 2015 (arXiv 1412.6572), section 4. Nothing
    is trained against these examples, and no generator makes them: a GAN's generator learns to make samples that
    its discriminator takes for real; these only step to where one classifier errs. Figures: `accuracy/<epsilon>`
    by grey levels of 255, and `noise/<epsilon>` under random signs of the same size. `level`: the
    epsilon of the picture.
    """
    pictures_only(run, "adversarial")
    features = features_by(run.game)
    images, labels, tests, answers = labelled_pictures(run, n, n_test)
    classifier = Linear(gathered(features, images), labels, run.dataset.num_classes)
    signs = torch.cat(
        [
            sign_of(classifier, features, *part)
            for part in zip(tests.split(AT_ONCE), answers.split(AT_ONCE), strict=True)
        ]
    )
    random = torch.randint(0, 2, tests.shape, generator=torch.Generator().manual_seed(0)).float() * 2 - 1
    right = lambda pictures: classifier.accuracy(gathered(features, pictures), answers)
    changed = lambda direction, epsilon: (tests + 2 * epsilon / 255 * direction).clamp(-1, 1)

    figures = {"accuracy/0": right(tests)}
    figures |= {f"accuracy/{epsilon}": right(changed(signs, epsilon)) for epsilon in EPSILONS}
    figures |= {f"noise/{epsilon}": right(changed(random, epsilon)) for epsilon in EPSILONS}
    fooled = changed(signs, level)
    predicted = [classifier(gathered(features, x)).argmax(dim=1) for x in (tests, fooled)]
    turned = ((predicted[0] == answers) & (predicted[1] != answers)).nonzero().flatten()[:shown]
    turned = turned if len(turned) else torch.arange(min(shown, len(tests)))
    rows = torch.cat([tests[turned], (signs[turned] * min(1.0, 10 * 2 * level / 255)).clamp(-1, 1), fooled[turned]])
    names = run.dataset.classes
    read = ", ".join(f"{names[predicted[0][i]]} -> {names[predicted[1][i]]}" for i in turned.tolist())
    return Finding(
        figures,
        {"adversarial": pictures.grid(rows, columns=len(turned))},
        [f"Rows: pictures, their change (ten times as strong), and both together at epsilon {level}. Read as {read}."],
    )


def sign_of(classifier: Linear, features, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The sign of the gradient of each picture's own loss, [N, C, H, W]."""
    with torch.enable_grad():
        pixels = images.clone().requires_grad_(True)
        loss = F.cross_entropy(classifier(features(pixels)), labels, reduction="sum")
        return torch.autograd.grad(loss, pixels)[0].sign()
