"""The latent of a given picture: how well a generator can draw what it was not asked to."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, as_played, distances, extent, latents_only, smooth
from gan_lab.analysis.solve import encoder, solved
from gan_lab.datasets.base import chosen
from gan_lab.datasets.decode import EXTENSIONS, MODES, Unreadable, decode
from gan_lab.datasets.source import open_source, read_file
from gan_lab.errors import ConfigError, DataError
from gan_lab.metrics import Extractor
from gan_lab.metrics.neighbours import nearest
from gan_lab.rows import Rows
from gan_lab.runs.references import reference_of
from gan_lab.runs.run import Run
from gan_lab.storage.files import place

CHUNK = 1000  # training pictures that lie in memory together
SEARCHES = 64  # that move together
MOST = 100  # of a person's own pictures at once
SAME = 1e-3  # of [-1, 1]: below a quarter of a grey level


def projection(
    run: Run,
    *,
    picture: str | None = None,
    images: list[str] | None = None,
    space: str | None = None,
    n: int = 8,
    starts: int = 8,
    steps: int = 300,
    rate: float = 0.1,
    use_encoder: bool = True,
    pairs: int = 3000,
    features: str | None = None,
    weight: float = 0.1,
    most: int | None = None,
) -> Finding:
    """The latents whose pictures come nearest to given ones, from several starts.

    `picture` is a file, a folder or a zip file, `images` several files; unless said, `n` pictures that were not trained
    on (of the test split, where there is one). Each is looked for from `starts` latents by `steps` of Adam at `rate`;
    `use_encoder` makes one of the starts the guess of a small network that has learned from `pairs` samples. Zhu et al.
    2016 (arXiv 1609.03552), section 3.1. `space`: search in another space than the latents', such as style or styles (W
    and W+); one start is then the mean of samples, as in Karras et al. 2020 (arXiv 1912.04958), section 5, and a step
    is measured in their standard deviations there. What is lowered is the mean square difference of pixels, and if
    `features` are named, as classifier, `weight` times that of its features, too. Figures, as root mean square
    differences of pixels in [-1, 1], means over pictures: `error` of what was found, `start`, of the best start before
    any step; `encoder`, of its guess; `nearest`, of the nearest training picture, of all or of a fixed choice of
    `most`; `below`, the share of pictures whose error is smaller than that.
    """
    latents_only(run, "projection")
    space, extractor = run.space(space), smooth(run, features) if features else None
    names, wanted = given(run, picture, images) if picture or images else ([], held_out(run, n))
    first = run.rows(range(5_000_000, 5_000_000 + starts * len(wanted)))  # each picture's own, side by side
    leading = torch.arange(0, first.count, starts)
    if use_encoder:
        first["latent"][leading] = encoder(run, pairs)(wanted).to(first.device)
    first, (mean, deviation) = run.into(first, space), extent(run, space)
    if space != run.game.made_of[0] and starts > use_encoder:
        first[space][leading + starts - 1] = mean.to(first.device)

    # Search from all starts of some pictures together, then keep the best start of each
    begun = errors(run, first, wanted.repeat_interleave(starts, dim=0)).view(-1, starts)
    best = []
    for part in torch.arange(len(wanted)).split(max(1, SEARCHES // starts)):
        goal = wanted[part].repeat_interleave(starts, dim=0).to(run.device)
        some = first.at(slice(int(part[0]) * starts, (int(part[-1]) + 1) * starts))
        cost = cost_of(goal, extractor, weight)
        found, costs = solved(run, some, cost, steps, rate * float(deviation.mean()), space)
        best.append(found.at(torch.arange(0, found.count, starts) + costs.view(-1, starts).argmin(dim=1)))
    drawn = run.generate(Rows.joined(best), AT_ONCE)
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
    guess = " (the encoder's guess)" if use_encoder else ""
    note = (
        f"Space: {space}. Each row: the picture, the first start{guess}, what was found from {starts} starts, and the "
        f"nearest of {len(trained):,} training pictures."
    )
    each = [f"{name}: error {e:.4f}, nearest {d:.4f}" for name, e, d in zip(names, error, near, strict=False)]
    return Finding(figures, {"projection": pictures.grid(rows, columns=4)}, [note, *each])


def cost_of(goal: Tensor, extractor: Extractor | None, weight: float):
    """What a search lowers, of pictures [N, C, H, W] and where they were made: [N]."""
    pixels = lambda drawn: (drawn - goal).square().flatten(1).mean(dim=1)
    if extractor is None:
        return lambda drawn, _: pixels(drawn)
    seen = lambda images: extractor((images + 1) * 127.5)[0]
    wanted = seen(goal)
    return lambda drawn, _: pixels(drawn) + weight * (seen(drawn) - wanted).square().mean(dim=1)


def errors(run: Run, rows: Rows, goal: Tensor) -> Tensor:
    return distances(run.generate(rows, AT_ONCE), goal.cpu())


def held_out(run: Run, n: int) -> Tensor:
    """Pictures that were not trained on, or training pictures where nothing is held out, [n, C, H, W] in [-1, 1]."""
    reference, _ = reference_of(run.config, run.dataset, lambda _: None)
    return as_played(reference.plain(chosen(len(reference), n, seed=2))["image"])


def given(run: Run, picture: str | None, images: list[str] | None) -> tuple[list[str], Tensor]:
    """Names and pictures [N, C, H, W] in [-1, 1] of one's own: of a file, a folder or a zip file, or several files."""
    if picture and images:
        raise ConfigError("picture= names one file or a folder and images= several files: leave out one of the two.")
    whole = place(picture) if picture else None
    if whole is None or (whole.is_file() and whole.suffix.lower() in EXTENSIONS) or not whole.exists():
        names = [picture] if picture else images
        check_count(names, "images=")
        return names, torch.cat([picture_of(path, run) for path in names])
    source = open_source(whole)
    names = [name for name in source.files if name.lower().endswith(EXTENSIONS)]
    if not names:
        raise DataError(f"{picture} holds no pictures: looked for {', '.join(EXTENSIONS)}.")
    check_count(names, picture)
    return names, torch.cat([picture_of(name, run, read=source.read) for name in names])


def check_count(names: list[str], where: str) -> None:
    if len(names) > MOST:
        raise ConfigError(f"{where} holds {len(names):,} pictures; at most {MOST} are looked for at once.")


def picture_of(path: str, run: Run, channels: int | None = None, read: Callable | None = None) -> Tensor:
    """A file as a picture [1, C, H, W] in [-1, 1] of the run's size and colours, decoded as in training.

    `channels`: 4 for colours and opacity; `read`: how its bytes are come by, if it is no path. DataError where it
    cannot be read.
    """
    dataset, channels = run.dataset, channels or run.dataset.channels
    if channels not in MODES:
        raise DataError(f"{path}: pictures of {channels} channels cannot be given as a file.")
    try:
        data = (read or by_path)(path, 8 * dataset.decoding[1] + (1 << 20))
        pixels = decode(data, dataset.image_size, channels, *dataset.decoding)
    except Unreadable as error:
        raise DataError(f"{path} cannot be read as a picture: {error}.") from error
    return as_played(torch.from_numpy(np.array(pixels))[None])


def by_path(path: str, most: int) -> bytes:
    return read_file(place(path), most)
