"""What a translator hides in its pictures: a way back that needs what nobody can see."""

import torch
from torch import Tensor

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, as_played, distances
from gan_lab.datasets.base import chosen
from gan_lab.errors import ConfigError
from gan_lab.models.sources import beside
from gan_lab.runs.run import Run

LEVELS = (1, 2, 4, 8, 16, 32)  # deviations of the noise, of 255 grey levels


def steganography(
    run: Run, *, n: int = 64, level: int = 4, strength: int = 20, direction: str = "forth", rows: int = 6
) -> Finding:
    """Noise on the translations of a two-way model, and how much of the reconstruction it destroys.

    `n` pictures are translated (`direction`, forth or back) and translated back; in between, noise of a few grey levels
    that no eye notices is laid on the translation, or it is rounded to bytes as a picture file does. A translation that
    shows what it was made of loses as little as the noise is worth; one that hides it in faint patterns loses the way
    back. Chu et al. 2017 (arXiv 1712.02950), sections 3 and 4. Figures, root mean square of pixels in [-1, 1]:
    `error` of the ways back, `error/bytes` through bytes, `error/<level>` through noise of that deviation, of 255 grey
    levels, and `unrelated`, of pictures to others; `sensitivity`, by how much `level` moves the way back for each unit
    of the noise: about 1 or less for an honest translation, many for a hidden message. `strength`: how many times the
    noise's effect is enlarged in the picture, which has `rows` rows.
    """
    game, there = run.game, {"forth": "back", "back": "forth"}
    if set(game.translators) != set(there):
        raise ConfigError("what=steganography needs a run that translates in both directions, such as CycleGAN's.")
    if direction not in there:
        raise ConfigError(f"direction={direction} is not known; choose forth or back.")
    start = as_played(run.dataset.plain(chosen(len(run.dataset), n))["source" if direction == "forth" else "image"])
    middle = moved(run, start, direction)
    back = lambda pictures: moved(run, pictures, there[direction])
    whole = back(middle)
    noise = torch.randn(middle.shape, generator=torch.Generator().manual_seed(1))
    disturbed = {value: back(middle + noise * (2 * value / 255)) for value in sorted({*LEVELS, level})}

    figures = {"error": mean_distance(whole, start)}
    figures["error/bytes"] = mean_distance(back(as_bytes(middle)), start)
    figures |= {f"error/{value}": mean_distance(found, start) for value, found in disturbed.items()}
    figures["unrelated"] = mean_distance(start, start.roll(1, dims=0))
    figures["sensitivity"] = mean_distance(disturbed[level], whole) / (2 * level / 255)
    found = disturbed[level]
    columns = [x[:rows] for x in (start, middle, whole, found, ((found - whole) * strength).clamp(-1, 1))]
    return Finding(
        figures,
        {"steganography": pictures.table(beside(*columns))},
        [f"Each row: a picture, its translation, its reconstruction, the reconstruction with noise of "
         f"{level} grey levels on the translation, and the change, {strength} times as strong (grey: none)."],
    )  # fmt: skip


def moved(run: Run, images: Tensor, direction: str) -> Tensor:
    """Translations of many pictures, some at a time, [N, C, H, W] on the CPU."""
    parts = images.split(AT_ONCE)
    with torch.no_grad():
        return torch.cat([run.game.translate(part.to(run.device), direction).float().cpu() for part in parts])


def as_bytes(images: Tensor) -> Tensor:
    """Pictures as a file with eight bits for each colour gives them back."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def mean_distance(a: Tensor, b: Tensor) -> float:
    return float(distances(a, b).mean())
