"""One latent coordinate at a time: what it means is what changes along its row."""

import torch
from torch import Tensor

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, apart, distances, latents_only
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
) -> Finding:
    """One latent coordinate per row, from -1 to 1, everything else held.

    `coordinates` to walk along; unless said, the `rows` of them that change pictures most. `reach`: from -reach to
    reach; `seed`: of the latent that is changed; `over`: latents that the figures are a mean over. Chen et al. 2016
    (arXiv 1606.03657), figure 2. Figures: `effect/<coordinate>`, how far its ends differ, as a share of what unrelated
    samples do (root mean square of pixels).
    """
    latents_only(run, "traversal")
    base = run.rows(range(seed, seed + over))
    width = base["latent"][0].numel()
    wrong = [c for c in coordinates or () if not 0 <= c < width]
    if wrong:
        raise ConfigError(f"coordinates={wrong[0]} is not there: the latents of this run have 0 to {width - 1}.")
    unrelated = apart(run.generate(base, AT_ONCE))
    effects = {c: effect(run, base, c, reach) / unrelated for c in coordinates or range(width)}
    chosen = coordinates or sorted(effects, key=effects.get, reverse=True)[:rows]
    walks = [moved(base.at([0] * steps), c, torch.linspace(-reach, reach, steps)) for c in chosen]
    finding = Finding({f"effect/{c}": effects[c] for c in chosen})
    finding.pictures["traversal"] = pictures.grid(run.generate(Rows.joined(walks), AT_ONCE), columns=steps)
    finding.notes.append(f"Rows, from above: coordinates {', '.join(map(str, chosen))}, from {-reach:g} to {reach:g}.")
    return finding


def effect(run: Run, base: Rows, coordinate: int, reach: float) -> float:
    """How far pictures of the two ends of a coordinate differ, by the mean over latents."""
    ends = [run.generate(moved(base, coordinate, torch.full((base.count,), end)), AT_ONCE) for end in (-reach, reach)]
    return float(distances(*ends).mean())


def moved(rows: Rows, coordinate: int, values: Tensor) -> Rows:
    """Rows in whose latents a coordinate has the given values [N]."""
    flat = rows["latent"].flatten(1).clone()
    flat[:, coordinate] = values.to(flat.device)
    return rows.changed(latent=flat.view_as(rows["latent"]))
