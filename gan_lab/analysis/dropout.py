"""Which of a generator's last features draw an object: they are found, taken away, and samples looked at again."""

import torch
from torch import Tensor, nn

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, fresh, pictures_only
from gan_lab.analysis.concepts import Concept, names_of, read, reader
from gan_lab.analysis.linear import Linear
from gan_lab.errors import ConfigError
from gan_lab.rows import Rows
from gan_lab.runs.run import Run


def dropout(run: Run, *, concept: str | None = None, share: float = 0.3, n: int = 2000) -> Finding:
    """The features of the generator's last hidden layer that draw something, taken away.

    `concept`: label:3 or attribute:red; unless said, a common one. A logistic regression on the last hidden layer of
    `n` samples (each channel in each place of a 4 x 4 grid) finds them; the `share` of features that add most to the
    concept is set to zero. Radford et al. 2016 (arXiv 1511.06434), section 6.3.1. Figures: how often the concept is
    there `before` and `after`, and `others/before`, `others/after`: the mean of all others of its kind that were in one
    sample of a hundred at least; `random/after`: with as many features chosen at random.
    """
    pictures_only(run, "dropout")
    rows, samples = fresh(run, n, seed=7_000_000)
    concept = Concept(concept or commonest(run, samples), run.dataset)
    if concept.kind == "seeds":
        raise ConfigError("dropout counts a concept in new samples: name it by label:3 or attribute:red.")
    chooser, judge = reader(run, concept.kind), reader(run, concept.kind, judges=True)
    there = concept.there(read(chooser, samples))
    if not 0 < int(there.sum()) < n:
        raise ConfigError(
            f"{concept.text} is in {int(there.sum())} of {n} samples: choose one that is in some of them."
        )

    # Find the features of the last hidden layer that speak for the concept
    layer = last_hidden(run)
    seen = []
    hook = layer.register_forward_pre_hook(lambda m, args: seen.append(gridded(args[0].float())))
    run.generate(rows, AT_ONCE)
    hook.remove()
    maps = torch.cat(seen)  # [n, channels, g, g]
    fit = Linear(maps.flatten(1), there.long(), 2)
    speaks = ((fit.weight[1] - fit.weight[0]) / fit.std).view(maps.shape[1:])  # of a unit of activation
    gains = speaks * maps[there].mean(dim=0)  # how much each feature adds to the concept where that is
    kept = gains < gains.flatten().quantile(1 - share)
    at_random = torch.rand(gains.shape, generator=torch.Generator().manual_seed(0)) > share
    after, random_after = (without(run, layer, rows, mask) for mask in (kept, at_random))

    # Count it, and the others, in the eyes of another judge
    predicted = {
        name: read(judge, x) > 0.5 for name, x in {"before": samples, "after": after, "random": random_after}.items()
    }
    shares = {name: x.double().mean(dim=0) for name, x in predicted.items()}
    others = [i for i in range(len(shares["before"])) if i not in concept.columns and shares["before"][i] >= 0.01]
    counted = {name: float(x[:, concept.columns].all(dim=1).double().mean()) for name, x in predicted.items()}
    figures = {"before": counted["before"], "after": counted["after"], "random/after": counted["random"]}
    figures |= {f"others/{name}": float(shares[name][others].mean()) for name in ("before", "after")}
    examples = there.nonzero().flatten()[:8]
    fine = torch.cat([samples[examples], after[examples], samples[:8], after[:8]])
    return Finding(
        figures,
        {"dropout": pictures.grid(fine, columns=8)},
        [f"{concept.text}: {int((~kept).sum())} of {kept.numel()} features taken away. Rows: samples of it, the same "
         f"latents without these features; other samples, and again without. Classifier: {judge.about}."],
    )  # fmt: skip


def commonest(run: Run, samples: Tensor) -> str:
    """The attribute that comes nearest to being in half of the samples, or the class that most are of."""
    names = names_of(run.dataset)
    if names:
        shares = (read(reader(run, "attribute"), samples) > 0.5).double().mean(dim=0)
        return f"attribute:{names[int((shares - 0.5).abs().argmin())]}"
    if run.dataset.classes:
        return f"label:{run.dataset.classes[int((read(reader(run, 'label'), samples) > 0.5).sum(dim=0).argmax())]}"
    raise ConfigError("dropout needs labels or attributes to count, and this data has neither.")


def last_hidden(run: Run) -> nn.Module:
    """The layer that makes the picture: what comes into it is the last hidden layer."""
    generator = getattr(run.game, run.game.averaged[0])
    layers = [m for m in generator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    return layers[-1]


def gridded(x: Tensor) -> Tensor:
    """Features [N, C, H, W] in a grid of 4 x 4 places, or [N, C] as they are with places of one."""
    return (
        nn.functional.adaptive_avg_pool2d(x, [min(4, side) for side in x.shape[2:]])
        if x.dim() == 4
        else x[..., None, None]
    )


def without(run: Run, layer: nn.Module, rows: Rows, kept: Tensor) -> Tensor:
    """Samples [N, C, H, W] of a generator whose last features are zero where `kept` [C, g, g] is false."""

    def drop(module, args):
        (x,) = args
        mask = kept.float().to(x.device)
        mask = (
            nn.functional.interpolate(mask[None], x.shape[2:], mode="nearest") if x.dim() == 4 else mask.flatten()[None]
        )
        return (x * mask.to(x.dtype),)

    hook = layer.register_forward_pre_hook(drop)
    try:
        return run.generate(rows, AT_ONCE)
    finally:
        hook.remove()
