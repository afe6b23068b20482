"""The latent of a given picture: how well a generator can draw what it was not asked to."""

import numpy as np
import torch
from torch import Tensor

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, as_played, distances, latents_only
from gan_lab.analysis.solve import encoder, solved
from gan_lab.datasets.base import chosen
from gan_lab.datasets.decode import MODES, Unreadable, decode
from gan_lab.datasets.source import read_file
from gan_lab.errors import DataError
from gan_lab.metrics.neighbours import nearest
from gan_lab.rows import Rows
from gan_lab.runs.references import reference_of
from gan_lab.runs.run import Run
from gan_lab.storage.files import place

CHUNK = 1000  # training pictures that lie in memory together
SAME = 1e-3  # of [-1, 1]: below a quarter of a grey level


def projection(
    run: Run,
    *,
    images: list[str] | None = None,
    n: int = 8,
    starts: int = 8,
    steps: int = 300,
    rate: float = 0.1,
    use_encoder: bool = True,
    pairs: int = 3000,
    most: int | None = None,
) -> Finding:
    """The latents whose pictures come nearest to given ones, from several starts.

    `images` are files; unless said, `n` pictures that were not trained on (of the test split, where there is one).
    Each is looked for from `starts` latents by `steps` of Adam at `rate`; `use_encoder` makes one of the starts the
    guess of a small network that has learned from `pairs` samples. Zhu et al. 2016 (arXiv 1609.03552), section 3.1.
    Figures, as root mean square differences of pixels in [-1, 1], means over pictures: `error` of what was found,
    `start`, of the best start before any step; `encoder`, of its guess; `nearest`, of the nearest training picture, of
    all or of a fixed choice of `most`; `below`, the share of pictures whose error is smaller than that.
    """
    latents_only(run, "projection")
    wanted = torch.cat([picture_of(path, run) for path in images]) if images else held_out(run, n)
    first = run.rows(range(5_000_000, 5_000_000 + starts * len(wanted)))  # each picture's own, side by side
    leading = torch.arange(0, first.count, starts)
    if use_encoder:
        first["latent"][leading] = encoder(run, pairs)(wanted).to(first.device)

    # Search from all starts of all pictures together, then keep the best start of each
    goal = wanted.repeat_interleave(starts, dim=0).to(run.device)
    begun = errors(run, first, goal).view(-1, starts)
    cost = lambda drawn, latents: (drawn - goal).square().flatten(1).mean(dim=1)
    found, costs = solved(run, first, cost, steps, rate)
    drawn = run.generate(found.at(leading + costs.view(-1, starts).argmin(dim=1)), AT_ONCE)
    error = distances(drawn, wanted)

    trained, scale = chosen(len(run.dataset), most or len(run.dataset)), wanted[0].numel() ** 0.5
    known = (as_played(run.dataset.plain(rows)["image"]).flatten(1) for rows in trained.split(CHUNK))
    near, which = nearest(wanted.flatten(1), known, beyond=SAME * scale)  # a picture is no neighbour of its own
    near, closest = near[:, 0] / scale, as_played(run.dataset.plain(trained[which[:, 0]])["image"])
    figures = {
        "error": float(error.mean()),
        "start": float(begun.min(dim=1).values.mean()),
        "nearest": float(near.mean()),
        "below": float((error < near).double().mean()),
    }
    figures |= {"encoder": float(begun[:, 0].mean())} if use_encoder else {}
    rows = torch.stack([wanted, run.generate(first.at(leading), AT_ONCE), drawn, closest], dim=1).flatten(0, 1)
    return Finding(
        figures,
        {"projection": pictures.grid(rows, columns=4)},
        ["Each row: the picture, the first start" + (" (the encoder's guess)" if use_encoder else "") +
         f", what was found from {starts} starts, and the nearest of {len(trained):,} training pictures."],
    )  # fmt: skip


def errors(run: Run, rows: Rows, goal: Tensor) -> Tensor:
    return distances(run.generate(rows, AT_ONCE), goal.cpu())


def held_out(run: Run, n: int) -> Tensor:
    """Pictures that were not trained on, or training pictures where nothing is held out, [n, C, H, W] in [-1, 1]."""
    reference, _ = reference_of(run.config, run.dataset, lambda _: None)
    return as_played(reference.plain(chosen(len(reference), n, seed=2))["image"])


def picture_of(path: str, run: Run, channels: int | None = None) -> Tensor:
    """A file as a picture [1, C, H, W] in [-1, 1] of the run's size and colours, decoded as in training.

    `channels`: 4 for colours and opacity. DataError where it cannot be read.
    """
    dataset, channels = run.dataset, channels or run.dataset.channels
    if channels not in MODES:
        raise DataError(f"{path}: pictures of {channels} channels cannot be given as a file.")
    try:
        data = read_file(place(path), 8 * dataset.decoding[1] + (1 << 20))
        pixels = decode(data, dataset.image_size, channels, *dataset.decoding)
    except Unreadable as error:
        raise DataError(f"{path} cannot be read as a picture: {error}.") from error
    return as_played(torch.from_numpy(np.array(pixels))[None])
