"""A picture changed by a brush or a sketch and kept a sample: iGAN without its window."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, extent, latents_only
from gan_lab.analysis.projection import picture_of
from gan_lab.analysis.solve import solved
from gan_lab.errors import ConfigError
from gan_lab.runs.run import Run

SPREAD = 0.5  # of the way from the mean of samples to one, by which the other candidates' starts leave the original
ORIENTATIONS, CELLS = 8, 7  # of an edge histogram: bins of direction, and cells to a side


def edit(
    run: Run,
    *,
    seed: int = 1,
    brush: str | None = None,
    sketch: str | None = None,
    candidates: int = 32,
    steps: int = 100,
    rate: float = 0.1,
    near: float = 5.0,
    edges: float = 0.2,
    shown: int = 6,
    space: str | None = None,
) -> Finding:
    """A sample made to fit strokes of colour and of edges, by a search among latents or in another `space`.

    `seed`: of the sample to change. `brush`: a picture file whose opaque pixels are the colours wanted there; `sketch`:
    one whose dark strokes on white or transparent ground are edges wanted there. `candidates` are searched from places
    around the original and ranked by cost: mean square colour difference under the brush, plus `edges` times that of
    histograms of edge directions under the sketch, plus `near` times the mean square way over the width of the space
    squared, as Zhu et al. 2016 (arXiv 1609.03552), equations 4 and 5, and their code. Figures: `colour` and `edge`,
    root mean square misfits of the best, with `.../before` for the original; `way`, how far it moved in the space.
    """
    latents_only(run, "edit")
    if not brush and not sketch:
        raise ConfigError("edit needs strokes: brush=strokes.png (colours, transparent elsewhere) or sketch=edges.png.")
    space = run.space(space)
    origin = run.into(run.rows([seed]), space)
    here = origin[space]
    terms = {}
    if brush:
        terms["colour"] = colour_term(run, brush)
    if sketch:
        terms["edge"] = edge_term(run, sketch)
    weights = {"colour": 1.0, "edge": edges}

    def cost(drawn: Tensor, places: Tensor) -> Tensor:
        away = (places - here).flatten(1).square().mean(dim=1) / places[0].numel()
        return sum(weights[name] * term(drawn) for name, term in terms.items()) + near * away

    around = run.into(run.rows(range(6_000_000, 6_000_000 + candidates - 1)), space)[space]
    around = around - extent(run, space)[0].to(around)
    start = origin.at([0] * candidates).changed(**{space: torch.cat([here, here + SPREAD * around])})
    found, costs = solved(run, start, cost, steps, rate, space)
    best = found.at(costs.argsort())

    before, after = (run.generate(rows, AT_ONCE) for rows in (origin, best))
    figures = {"way": float((best[space][0] - here[0]).norm())}
    for name, term in terms.items():
        figures |= {name: float(term(after[:1])) ** 0.5, f"{name}/before": float(term(before)) ** 0.5}
    walk = run.generate(run.walk(origin, best.at([0]), 9, "linear", space), AT_ONCE)
    strokes = [picture_on(path, run, before) for path in (brush, sketch) if path]
    return Finding(
        figures,
        {
            "edit": pictures.grid(torch.cat([before, *strokes, after[:shown]]), columns=1 + len(strokes) + shown),
            "way": pictures.grid(walk, columns=9),
        },
        [f"edit: the original, the strokes on it, and the {shown} best of {candidates} candidates, best first. "
         "way: from the original to the best, along a straight line."],
    )  # fmt: skip


def colour_term(run: Run, path: str):
    """Mean square difference of colours where the brush has painted, [N] of pictures [N, C, H, W]."""
    wanted, mask = strokes_of(path, run)
    return lambda drawn: ((drawn.cpu() - wanted).square() * mask).flatten(1).sum(dim=1) / (mask.sum() * wanted.shape[1])


def edge_term(run: Run, path: str):
    """Mean square difference of edge histograms in the cells that the sketch has touched, [N]."""
    ink = picture_of(path, run, 4)
    dark = ((1 - ink[:, :3].mean(dim=1, keepdim=True)) / 2) * ((ink[:, 3:] + 1) / 2)  # [1, 1, H, W] in [0, 1]
    wanted = histogram(dark * 2 - 1)
    touched = (wanted.sum(dim=1, keepdim=True) > 1e-3).float()
    if not touched.any():
        raise ConfigError(f"sketch={path} has no dark stroke.")
    wanted = wanted / wanted.norm(dim=1, keepdim=True).clamp(min=1e-3)

    def term(drawn: Tensor) -> Tensor:
        edges = histogram(drawn.cpu())
        edges = edges / edges.norm(dim=1, keepdim=True).clamp(min=1e-3)
        return ((edges - wanted).square().mean(dim=1, keepdim=True) * touched).flatten(1).sum(dim=1) / touched.sum()

    return term


def histogram(images: Tensor) -> Tensor:
    """How much edge of which direction lies in each cell, [N, ORIENTATIONS, CELLS, CELLS].

    Dalal & Triggs 2005, with bins that overlap so that it has a gradient; of the mean of the colours.
    """
    grey = images.mean(dim=1, keepdim=True)
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    across, down = (F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), k[None, None]) for k in (kernel, kernel.T))
    strength = (across.square() + down.square() + 1e-8).sqrt()
    angle = torch.atan2(down, across + 1e-8)
    centres = torch.arange(ORIENTATIONS).view(1, -1, 1, 1) * (torch.pi / ORIENTATIONS)
    share = torch.cos(angle - centres).square() ** 4  # a line has no sign: opposite directions are one
    return F.adaptive_avg_pool2d(strength * share, CELLS)


def strokes_of(path: str, run: Run) -> tuple[Tensor, Tensor]:
    """Colours [1, C, H, W] in [-1, 1] and where they are painted, [1, 1, H, W] of 0 and 1."""
    painted = picture_of(path, run, 4)
    mask = (painted[:, 3:] > 0).float()
    if not mask.any():
        raise ConfigError(f"brush={path} is transparent everywhere: paint the colours that are wanted.")
    colours = painted[:, :3] if run.dataset.channels == 3 else painted[:, :3].mean(dim=1, keepdim=True)
    return colours, mask


def picture_on(path: str, run: Run, under: Tensor) -> Tensor:
    """Strokes on a paled picture, as a person would see them."""
    painted, mask = strokes_of(path, run)
    return torch.where(mask.bool(), painted, under * 0.3)
