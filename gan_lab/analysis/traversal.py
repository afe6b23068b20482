"""One latent coordinate at a time: what it means is what changes along its row."""

import torch
from torch import Tensor

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, apart, distances, extent, latents_only
from gan_lab.errors import ConfigError
from gan_lab.rows import Rows
from gan_lab.runs.run import Run


def traversal(
    run: Run,
    *,
    coordinates: list[int] | None = None,
    rows: int = 8,
    steps: int = 9,
    reach: float = 1.0,
    seed: int = 1,
    over: int = 20,
    space: str | None = None,
) -> Finding:
    """One latent coordinate per row, from -1 to 1, everything else held.

    `coordinates` to walk along; unless said, the `rows` of them that change pictures most. `reach`: from -reach to
    reach; `seed`: of the latent that is changed; `over`: latents that the figures are a mean over; `space`: coordinates
    of another space, such as style, in which they go from the mean of samples minus `reach` standard deviations to the
    mean plus as many. Chen et al. 2016 (arXiv 1606.03657), figure 2. Figures: `effect/<coordinate>`, how far its ends
    differ, as a share of what unrelated samples do (root mean square of pixels).
    """
    latents_only(run, "traversal")
    if over < 2:
        raise ConfigError(f"over={over}: figures are shares of what two samples differ by, so it must be 2 at least.")
    space = run.space(space)
    base = run.into(run.rows(range(seed, seed + over)), space)
    mean, deviation = (each.flatten() for each in extent(run, space))
    width = len(mean)
    wrong = [c for c in coordinates or () if not 0 <= c < width]
    if wrong:
        raise ConfigError(f"coordinates={wrong[0]} is not there: the numbers of a {space} are 0 to {width - 1}.")
    unrelated = apart(run.generate(base, AT_ONCE))
    at = lambda c, places: mean[c] + places * deviation[c]
    ends = torch.tensor([-reach, reach])
    effects = {c: effect(run, base, space, c, at(c, ends)) / unrelated for c in coordinates or range(width)}
    chosen = coordinates or sorted(effects, key=effects.get, reverse=True)[:rows]
    walks = [moved(base.at([0] * steps), space, c, at(c, torch.linspace(-reach, reach, steps))) for c in chosen]
    finding = Finding({f"effect/{c}": effects[c] for c in chosen})
    finding.pictures["traversal"] = pictures.grid(run.generate(Rows.joined(walks), AT_ONCE), columns=steps)
    finding.notes.append(f"Rows, from above: coordinates {', '.join(map(str, chosen))}, from {-reach:g} to {reach:g}.")
    return finding


def effect(run: Run, base: Rows, space: str, coordinate: int, ends: Tensor) -> float:
    """How far pictures of the two ends of a coordinate differ, by the mean over latents."""
    pictures = [run.generate(moved(base, space, coordinate, end.expand(base.count)), AT_ONCE) for end in ends]
    return float(distances(*pictures).mean())


def moved(rows: Rows, space: str, coordinate: int, values: Tensor) -> Rows:
    """Rows in which a coordinate of a space has the given values [N]."""
    flat = rows[space].flatten(1).clone()
    flat[:, coordinate] = values.to(flat.device)
    return rows.changed(**{space: flat.view_as(rows[space])})
