"""How far a picture moves on a short step of a walk: the smoother a space, the shorter its paths."""

import torch
from torch import Tensor

from gan_lab.analysis.base import AT_ONCE, Finding, latents_only, smooth
from gan_lab.metrics import Extractor
from gan_lab.rows import Rows
from gan_lab.runs.run import Run, between

STEP = 1e-2  # of the way: the paper's 1e-4 drowns in float32, at pictures of a few pixels
CUT = 0.01  # the share of paths that is left out at either end


def path_length(
    run: Run, *, n: int = 1000, space: str | None = None, step: float = STEP, features: str | None = None
) -> Finding:
    """Perceptual path length: how much pictures change on a short step between two samples.

    Of `n` pairs of seeds, pictures at a random place of the way between them and a `step` of the way further are
    compared by the squared distance of their features, over step squared; the mean leaves out the lowest and the
    highest hundredth. Ways are spherical between latents and straight in another `space`; unless one is named, there
    are figures of latents and, where samples have one, of their style. `features`: classifier or pixels; unless said,
    what gan-lab evaluate uses. Karras et al. 2019 (arXiv 1812.04948), section 4.1, whose figures have the features of
    VGG-16 and a step of 1e-4: they cannot be held against these. Figures, of each space: `full`, of places all along
    the way; `end`, of its start alone, which is a sample. Lower is smoother; figures of other features do not compare.
    """
    latents_only(run, "path_length")
    extractor = smooth(run, features)
    spaces = [run.space(space)] if space else [run.game.made_of[0], *run.game.spaces[:1]]
    finding = Finding()
    for name in spaces:
        ends = [run.into(run.rows(range(first, first + n)), name) for first in (9_000_000, 9_500_000)]
        drawn = torch.rand(n, generator=torch.Generator().manual_seed(0))
        for kind, places in {"full": drawn, "end": torch.zeros(n)}.items():
            lengths = paths(run, *ends, name, places, step, extractor)
            finding.figures[f"{name}/{kind}"] = trimmed(lengths)
    finding.notes.append(
        f"Features: {extractor.title} ({extractor.about}; {extractor.resize}). {n:,} pairs, step {step:g} in float32, "
        f"{CUT:.0%} left out at either end, samples untruncated and under the conditions of the first of each pair."
    )
    return finding


@torch.no_grad()
def paths(run: Run, start: Rows, end: Rows, space: str, places: Tensor, step: float, extractor: Extractor) -> Tensor:
    """Squared distance of features over step squared, [N], at places [N] of the way from start to end."""
    way = "spherical" if space == run.game.made_of[0] else "linear"
    found = []
    for a, b, t in zip(start.split(AT_ONCE), end.split(AT_ONCE), places.split(AT_ONCE), strict=True):
        seen = [
            looked(run, a.changed(**{space: between(a[space], b[space], t + more, way)}), extractor)
            for more in (0.0, step)
        ]
        found.append((seen[1] - seen[0]).double().square().sum(dim=1) / step**2)
    return torch.cat(found).cpu()


def looked(run: Run, rows: Rows, extractor: Extractor) -> Tensor:
    """Features [N, D] of the pictures of rows, which no rounding to bytes has made steps of."""
    drawn = run.game.sample(rows)[run.game.makes[0]]
    return extractor((drawn.float() + 1) * 127.5)[0].float()


def trimmed(lengths: Tensor) -> float:
    """The mean of those that lie between the 1st and the 99th hundredth."""
    low, high = lengths.quantile(torch.tensor([CUT, 1 - CUT], dtype=lengths.dtype))
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())
