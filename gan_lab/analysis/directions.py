"""Directions along which samples change: those that a generator's weights favour, and those of named concepts."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, apart, distances, fresh, latents_only
from gan_lab.analysis.concepts import Concept, read, reader
from gan_lab.analysis.linear import Linear
from gan_lab.errors import ConfigError
from gan_lab.rows import Rows
from gan_lab.runs.run import Run

POOL_SEED = 7_500_000  # of the first sample that directions of concepts are learned from


def directions(
    run: Run,
    *,
    concepts: list[str] | None = None,
    space: str | None = None,
    layers: list[int] | None = None,
    count: int = 6,
    steps: int = 7,
    reach: float = 3.0,
    seed: int = 1,
    over: int = 20,
    n: int = 2000,
) -> Finding:
    """Directions in a latent space: the generator's own, in closed form, or those of concepts.

    Without `concepts`: the `count` directions of unit length that the layers which a space enters amplify most, the
    first eigenvectors of A^T A, where A holds the weights of these layers, each row scaled to length 1 (as in the
    code). Shen & Zhou 2021, SeFa (arXiv 2007.06600). `space`: unless said, that of the styles of all layers,
    or latents where there are none; `layers`: use and move these alone, as [0,1]. With `concepts`, as label:3 or
    attribute:red: for each the normal of a logistic regression that tells samples with it from others, of `n` samples.
    Each row of the picture goes along one, from -reach to `reach` standard deviations of the samples, from the sample
    of `seed`. Figures, means over `over` samples: `effect/1` and so on, how far its two ends differ, as a share of what
    unrelated samples do (root mean square of pixels). Of concepts: how often it is there `before` and `after` a way of
    `reach`, in the eyes of another classifier, and `accuracy` of the regression on other samples, the mean of that on
    samples with it and on those without: 0.5 is chance.
    """
    latents_only(run, "directions")
    if over < 2:
        raise ConfigError("over=1 leaves no other sample to compare with: set over=2 or more.")
    space = run.space(space or run.game.per_layer or None)
    base, samples = fresh(run, over, seed, space)
    entrances = entered(run, space)
    blocks = sorted({each.block for each in entrances})
    chosen = blocks if layers is None else sorted(set(layers))
    missing = [each for each in chosen if each not in blocks]
    if not entrances and (layers or not concepts):
        others = [each for each in (run.game.made_of[0], *run.game.spaces) if each != space and entered(run, each)]
        remedy = f"set space={others[-1]}" if others else "name concepts, as concepts=[label:3]"
        raise ConfigError(f"no layer of this run's generator takes a {space} as it is: {remedy}.")
    if missing:
        raise ConfigError(f"layers={missing[0]} is not there: the layers that a {space} enters are 0 to {blocks[-1]}.")
    mask = moves(base[space][0], entrances, chosen, layers)
    if concepts:
        names = concepts
        found, figures = of_concepts(run, space, mask, concepts, n)
    else:
        matrices = [each.matrix for each in entrances if each.block in chosen]
        found = closed_form(torch.cat(matrices), count)
        names, figures = [str(i + 1) for i in range(len(found))], {}

    # Walk along each, in standard deviations of the samples in its direction
    spread = deviations(run, space, found)
    unrelated, rows = apart(samples), []
    for name, direction, sigma in zip(names, found, spread, strict=True):
        shift = lambda t, d=direction, s=sigma: mask * d * s * t
        ends = [run.generate(moved(base, space, shift(t)), AT_ONCE) for t in (-reach, reach)]
        figures[f"effect/{name}"] = float(distances(*ends).mean()) / unrelated
        walk = torch.stack([shift(float(t)) for t in torch.linspace(-reach, reach, steps)])
        rows.append(moved(base.at([0] * steps), space, walk))
    if concepts:
        figures |= counted(run, space, concepts, [mask * d * s * reach for d, s in zip(found, spread, strict=True)])
    where = f"Space: {space}" + (f", layers {', '.join(map(str, chosen))}" if len(blocks) > 1 else "")
    drawn = run.generate(Rows.joined(rows), AT_ONCE)
    return Finding(
        figures,
        {"directions": pictures.grid(drawn, columns=steps)},
        [f"{where}. Rows, from above: {', '.join(names)}, from {-reach:g} to {reach:g} standard deviations."],
    )


# ---- what a generator amplifies -------------------------------------------------------------------------------------


@dataclass
class Entrance:
    """A layer that takes numbers of a space as they are: which block of it, and by which weights [outputs, D].

    Of a space with a vector for each layer a block is that vector; of any other what begins at one number.
    """

    block: int
    start: int
    size: int
    matrix: Tensor


@torch.no_grad()
def entered(run: Run, space: str) -> list[Entrance]:
    """The linear and convolutional layers whose inputs hold a piece of a space unchanged, in the order of their call.

    They are found by sending two random points through the game.
    """
    rows = run.into(run.rows([0, 1]), space)
    shape = rows[space].shape[1:]
    draw = torch.Generator().manual_seed(0)
    known = torch.randn(2, *shape, generator=draw).to(rows[space])
    flat, width = known.flatten(1), shape[-1]
    found, done = [], set()

    def look(layer, args):
        x = args[0][-2:]
        if x.dim() not in (2, 4) or (x.dim() == 4 and x.shape[2:] != (1, 1)):
            return
        start, size = piece(flat, x.flatten(1).to(flat))
        if size and (layer, start) not in done:
            done.add((layer, start))
            weight = by_input(layer)[:, :size]
            place = start % width if len(shape) == 2 else start
            found.append((start // width if len(shape) == 2 else start, place, size, weight.float().cpu()))

    hooks = [
        layer.register_forward_pre_hook(look)
        for layer in run.game.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]
    try:
        run.game.sample(rows.changed(**{space: known}))
    finally:
        for hook in hooks:
            hook.remove()
    blocks = {begin: i for i, begin in enumerate(sorted({begin for begin, *_ in found}))}
    entrances = []
    for begin, place, size, weight in found:
        matrix = torch.zeros(len(weight), width if len(shape) == 2 else flat.shape[1])
        matrix[:, place : place + size] = weight
        block = begin if len(shape) == 2 else blocks[begin]
        entrances.append(Entrance(block, place, size, matrix))
    return entrances


def piece(known: Tensor, x: Tensor) -> tuple[int, int]:
    """Where the first numbers of inputs [2, I] stand among known ones [2, K], and how many of them follow there."""
    starts = (known == x[:, :1]).all(dim=0).nonzero().flatten()
    if not len(starts):
        return 0, 0
    start = int(starts[0])
    most = min(known.shape[1] - start, x.shape[1])
    same = (known[:, start : start + most] == x[:, :most]).all(dim=0)
    return start, int(same.long().cumprod(dim=0).sum())


def by_input(layer: nn.Module) -> Tensor:
    """The weights of a layer with a row for each number that it makes of a single place: [outputs, inputs]."""
    weight = layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
    return weight.movedim(1, -1).flatten(0, -2)


def closed_form(weights: Tensor, count: int) -> Tensor:
    """The directions [count, D] of unit length that weights [outputs, D] amplify most, most first.

    Eigenvectors of A^T A, where A has the weights with each row scaled to length 1. Their sign is chosen so that the
    largest number is positive.
    """
    rows = weights.double()
    length = rows.norm(dim=1, keepdim=True)
    rows = rows[length[:, 0] > 0] / length[length[:, 0] > 0]
    vectors = torch.linalg.eigh(rows.T @ rows).eigenvectors.flip(1).T[:count]
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    return (vectors * largest.sign()).float()


# ---- what tells a concept -------------------------------------------------------------------------------------------


def of_concepts(run: Run, space: str, mask: Tensor, texts: list[str], n: int) -> tuple[Tensor, dict[str, float]]:
    """A direction [K, D] of unit length for each concept, and how well each regression does on samples of its own."""
    rows, samples = fresh(run, n, POOL_SEED, space)
    places = vectors(rows[space].cpu())
    found, figures, half = [], {}, n // 2
    for text in texts:
        concept = named(text, run)
        there = concept.there(read(reader(run, concept.kind), samples)).long()
        if not 0 < int(there[:half].sum()) < half:
            raise ConfigError(f"{text} is in {int(there[:half].sum())} of {half} samples: raise n= or choose another.")
        fit = Linear(places[:half], there[:half], 2)
        normal = (fit.weight[1] - fit.weight[0]) / fit.std
        found.append(normal / normal.norm())
        right = (fit(places[half:]).argmax(dim=1) == there[half:]).double()
        sides = [right[there[half:] == side] for side in (0, 1)]
        figures[f"accuracy/{text}"] = float(torch.stack([side.mean() for side in sides if len(side)]).mean())
    return torch.stack(found), figures


def counted(run: Run, space: str, texts: list[str], shifts: list[Tensor], n: int = 200) -> dict[str, float]:
    """How often each concept is there before and after its shift, in the eyes of a judge that chose no samples."""
    rows, samples = fresh(run, n, POOL_SEED + 1_000_000, space)
    figures = {}
    for text, shift in zip(texts, shifts, strict=True):
        concept = named(text, run)
        judge = reader(run, concept.kind, judges=True)
        for when, drawn in {"before": samples, "after": run.generate(moved(rows, space, shift), AT_ONCE)}.items():
            figures[f"{when}/{text}"] = float(concept.there(read(judge, drawn)).double().mean())
    return figures


def named(text: str, run: Run) -> Concept:
    concept = Concept(text, run.dataset)
    if concept.kind == "seeds":
        raise ConfigError(
            f"{text}: a direction is learned from samples with a concept: write label:3 or attribute:red."
        )
    return concept


# ---- along a direction ----------------------------------------------------------------------------------------------


def vectors(places: Tensor) -> Tensor:
    """Points of a space as vectors [N, D]; of one for each layer, their mean."""
    return places.mean(dim=1) if places.dim() == 3 else places.flatten(1)


def moves(point: Tensor, entrances: list[Entrance], chosen: list[int], layers: list[int] | None) -> Tensor:
    """1 where a point of a space is to move and 0 elsewhere, of its shape or one that becomes it."""
    mask = torch.ones(point.shape)
    if layers is not None:
        mask.zero_()
        for each in (each for each in entrances if each.block in chosen):
            if point.dim() == 2:
                mask[each.block] = 1
            else:
                mask[each.start : each.start + each.size] = 1
    return mask


def deviations(run: Run, space: str, found: Tensor, n: int = 1000) -> Tensor:
    """The standard deviation of samples along each direction, [K]."""
    places = vectors(run.into(run.rows(range(8_000_000, 8_000_000 + n)), space)[space].float().cpu())
    return (places @ found.T).std(dim=0)


def moved(rows: Rows, space: str, shift: Tensor) -> Rows:
    """Rows shifted in a space by one vector, or each by its own."""
    return rows.changed(**{space: rows[space] + shift.to(rows[space])})
