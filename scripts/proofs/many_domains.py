"""What is said of translations among many domains: whether they are right where the truth is known."""

import torch
from torch import Tensor

from gan_lab.datasets.base import chosen
from gan_lab.runs.evaluation import AT_ONCE
from gan_lab.runs.references import reference_of
from gan_lab.runs.run import Run

MOST = 500  # pictures of each domain


@torch.no_grad()
def pairs_missed(run: Run) -> float:
    """The mean difference of translations to the hidden truth, as a share of what the sources differ from it.

    Of pictures that the run has not seen, where there are others; a mean over all ordered pairs of domains. 0 where
    every one is right, 1 where nothing is done.
    """
    data, _ = reference_of(run.config, run.dataset, say=lambda line: None)
    rows = chosen(len(data), MOST)
    missed = []
    for a, place in enumerate(data.places):
        source = data.columns(rows, place)[place]
        for b in range(len(data.places)):
            if a != b:
                truth = data.truth(source, torch.full((len(source),), a), torch.full((len(source),), b))
                away = (translations(run, source, a, b) - truth).abs().mean() / (source - truth).abs().mean()
                print(f"{data.classes[a]} to {data.classes[b]}: {away:.3f}")
                missed.append(float(away))
    return sum(missed) / len(missed)


def translations(run: Run, source: Tensor, a: int, b: int) -> Tensor:
    return torch.cat([run.game.translate(part, a, b).clamp(-1, 1) for part in source.split(AT_ONCE)])
