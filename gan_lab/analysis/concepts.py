"""What can be asked of a picture: a class, attributes, or to be one of some seeds; and who reads it off."""

import torch
from torch import Tensor

from gan_lab.config.options import seeds_of
from gan_lab.datasets import Dataset
from gan_lab.errors import ConfigError
from gan_lab.metrics.classifier import Classifier, classifier
from gan_lab.metrics.features import bytes_of
from gan_lab.runs.references import labelled
from gan_lab.runs.run import Run
from gan_lab.wording import meant

SURE = 0.5  # the probability from which a reader says that a concept is there
HOW = "label:3, attribute:red+circle or seeds:1,2,3"


class Concept:
    """`label:NAME`, `attribute:NAME+NAME...` (all of them) or `seeds:1,2,3`, as it is typed."""

    def __init__(self, text: str, dataset: Dataset):
        self.text = text
        self.kind, colon, names = text.partition(":")
        if not colon or self.kind not in ("label", "attribute", "seeds"):
            raise ConfigError(f"{text!r} is no concept; write {HOW}.")
        self.seeds = seeds_of(names) if self.kind == "seeds" else []
        known = {"label": dataset.classes, "attribute": names_of(dataset), "seeds": []}[self.kind]
        words = [] if self.kind == "seeds" else names.split("+")
        if self.kind != "seeds" and not known:
            raise ConfigError(f"{text!r}: this data has no {self.kind}s; name samples by seeds:1,2,3.")
        for word in words:
            if word not in known:
                raise ConfigError(f"{text!r}: there is no {self.kind} {word!r}{meant(word, known) or '.'}")
        if self.kind == "label" and len(words) > 1:
            raise ConfigError(f"{text!r}: a picture has one label.")
        self.columns = [known.index(word) for word in words]

    def there(self, probabilities: Tensor) -> Tensor:
        """Whether the concept is there, bool [N], by a reader's probabilities [N, K]."""
        return (probabilities[:, self.columns] > SURE).all(dim=1)


def names_of(dataset: Dataset) -> list[str]:
    return dataset.attribute_names if "attributes" in dataset.gives else []


def reader(run: Run, kind: str, *, judges: bool = False) -> Classifier:
    """Who reads a kind of concept off pictures, trained on real ones, once.

    The one that `judges` has another seed and another architecture than the one that chooses samples.
    """
    data = labelled(run.config, run.dataset, "label" if kind == "label" else "attributes")
    return classifier(data, seed=int(judges), architecture="residual" if judges else "plain")


@torch.no_grad()
def read(by: Classifier, samples: Tensor) -> Tensor:
    """Probabilities [N, K] of what pictures [N, C, H, W] in [-1, 1] show."""
    return torch.cat([by(bytes_of(part))[1] for part in samples.split(250)])
