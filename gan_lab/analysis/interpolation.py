"""The way from one latent to another: pictures between two samples should change evenly and stay samples."""

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, apart, distances, pictures_only
from gan_lab.rows import Rows
from gan_lab.runs.run import Run

WAYS = ("linear", "spherical")


def interpolation(
    run: Run, *, seeds: list[int] | None = None, steps: int = 9, pairs: int = 50, space: str | None = None
) -> Finding:
    """Interpolations between latents, linear and spherical, and how smooth they are.

    `seeds` are the ends, two by two (four pairs unless said); `steps` pictures a walk, ends included; `pairs`: how many
    further walks the figures are taken from; `space`: walk in another space than the latents', such as style. White
    2016 (arXiv 1609.04468), section 2.1. Figures, of either way: `largest_step`, the largest change from one picture to
    the next as a share of what two unrelated samples differ by (root mean square of pixels; the mean over walks);
    `unevenness`, that step over the mean step: 1 is a steady walk.
    """
    pictures_only(run, "interpolation")
    space = run.space(space)
    shown = list(zip(*[iter(seeds or range(8))] * 2, strict=False))
    measured = [(1_000_000 + 2 * i, 1_000_001 + 2 * i) for i in range(pairs)]
    finding = Finding()
    for way in WAYS:
        walks = Rows.joined(
            run.walk(*run.into(run.rows(ends), space).split(1), steps, way, space) for ends in shown + measured
        )
        samples = run.generate(walks, AT_ONCE).unflatten(0, (-1, steps))  # [walks, steps, C, H, W]
        finding.pictures[way] = pictures.grid(samples[: len(shown)].flatten(0, 1), columns=steps)
        walked = samples[len(shown) :]
        step = distances(walked[:, 1:].flatten(0, 1), walked[:, :-1].flatten(0, 1)).view(pairs, steps - 1)
        finding.figures[f"{way}/largest_step"] = float(step.amax(dim=1).mean()) / apart(walked[:, 0])
        finding.figures[f"{way}/unevenness"] = float((step.amax(dim=1) / step.mean(dim=1).clamp(min=1e-12)).mean())
    finding.notes.append(
        f"Each row goes from one latent to another in {steps} pictures. A step of 1 / {steps - 1} = "
        f"{1 / (steps - 1):.2f} of what unrelated samples differ by is the least that the largest step can be on a "
        "straight way; 1 would be a jump to another picture."
    )
    return finding
