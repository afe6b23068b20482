"""Generate samples from a run: a grid, single files, or an interpolation."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from gan_lab.errors import ConfigError, ResourceError
from gan_lab.options import MOST_SEED, free, limited, parse, whole
from gan_lab.stored import shortened

USAGE = """usage: gan-lab sample RUN [key=value ...]

Generates samples with the averaged weights of the last checkpoint. Existing files are never overwritten.

  n=64                   how many samples, at most 10,000
  seeds=0-63,100         which samples: one latent for each seed, the same in every call (instead of n)
  label=3                conditional runs: the class of all samples
  attributes=[red,circle]  conditional runs: the attributes of all samples
  code.0=3               runs with latent codes: the value of one code, whole or, of a continuous code, any number
  files=true             one PNG for each seed instead of a grid
  interpolate=spherical  interpolate between the seeds' latents: spherical or linear; one row per pair
  steps=9                number of images from one seed to the next
  gif=true               the interpolation as a GIF
  weights=ema            ema (averaged) or raw
  checkpoint=last        last, best or a step that the run keeps
  root=PATH              where the data is now, if needed (dataset.root, or the path of your own pictures)
  out=PATH               where to write (default: <RUN>/generated/...)
  device=cpu             cpu or cuda
  trust=[mypackage]      packages of your own that the run's configuration names
"""
MOST_SAMPLES = 10_000  # of one call, which are all held in memory


@dataclass
class Options:
    """What `gan-lab sample` understands."""

    n: int = limited(64, most=MOST_SAMPLES)
    seeds: str | None = None
    label: str | None = None
    attributes: list[str] | None = None
    files: bool = False
    interpolate: str | None = None
    steps: int = limited(9, most=MOST_SAMPLES)
    gif: bool = False
    weights: str = "ema"
    checkpoint: str = "last"
    root: str | None = None
    out: str | None = None
    device: str = "cpu"
    trust: list[str] = field(default_factory=list)
    codes: dict[int, float] = field(default_factory=dict, init=False)


def main(argv: list[str]) -> int | None:
    if not argv or {"-h", "--help"} & set(argv):
        print(USAGE)
        return None
    options = options_of(argv[1:])
    seeds = list(range(options.n)) if options.seeds is None else seeds_of(options.seeds)
    check(options, seeds)

    from gan_lab.run import Run

    run = Run(
        argv[0],
        checkpoint=options.checkpoint,
        weights=options.weights,
        device=options.device,
        trust=options.trust,
    )
    if options.root:
        run.moved(options.root)
    try:
        print(draw(run, options, seeds))
    except OSError as error:
        place = error.filename or options.out or run.folder
        raise ResourceError(f"cannot write to {str(place)!r}: {error.strerror}; choose a place with out=...") from error
    return None


def options_of(words: list[str]) -> Options:
    """What `name=value` words ask for, codes among them; ConfigError for a wrong one."""
    options = parse(Options, [word for word in words if not word.startswith("code.")], "sample")
    options.codes = codes_of([word for word in words if word.startswith("code.")])
    return options


def draw(run, options: Options, seeds: list[int]) -> Path:
    """What the options ask for, as files; returns where it lies."""
    from gan_lab import pictures
    from gan_lab.run import interpolate

    folder = run.folder / "generated"
    condition, asked = None, ""
    if options.label is not None:
        condition, asked = run.condition("label", [options.label]), f"-{options.label}"
    elif options.attributes is not None:
        condition, asked = run.condition("attributes", options.attributes), f"-{'-'.join(options.attributes)}"
    latents = run.coded(run.latents(seeds, condition), options.codes)
    asked += "".join(f"-code{number}={value:g}" for number, value in options.codes.items())
    name = f"step-{run.state['step']:08d}-{options.weights}{asked}"

    # Walk from seed to seed, and around where a GIF repeats
    if options.interpolate:
        ends = [*zip(latents, latents[1:], strict=False)] + ([(latents[-1], latents[0])] if options.gif else [])
        import torch

        rows = [interpolate(a, b, options.steps, options.interpolate) for a, b in ends]
        samples = run.generate(torch.cat(rows))
        if options.gif:
            frames = [pictures.grid(image[None], columns=1) for image in images(samples)]
            path = free(Path(options.out or folder / f"{name}-{options.interpolate}.gif"))
            pictures.save_gif(frames, path, 0.08)
        else:
            path = free(Path(options.out or folder / f"{name}-{options.interpolate}.png"))
            pictures.save_png(pictures.grid(images(samples), columns=options.steps), path)
    elif options.files:
        path = free(Path(options.out or folder / name))
        path.mkdir(parents=True)
        for seed, image in zip(seeds, images(run.generate(latents)), strict=True):
            pictures.save_png(pictures.grid(image[None], columns=1, padding=0, least_side=1), path / f"seed-{seed}.png")
    else:
        samples = run.generate(latents)
        path = free(Path(options.out or folder / f"{name}.png"))
        drawn = run.dataset.draw({"fixed": samples}, None) if samples.dim() != 4 else {"fixed": pictures.grid(samples)}
        pictures.save_png(drawn["fixed"], path)
    return path


def check(options: Options, seeds: list[int]) -> None:
    """ConfigError for options that do not go together."""
    if options.interpolate not in (None, "linear", "spherical"):
        raise ConfigError(f"interpolate={options.interpolate} is not known; choose linear or spherical.")
    if options.interpolate and len(seeds) < 2:
        raise ConfigError("interpolate needs two seeds or more, for example seeds=3,8.")
    if options.interpolate and options.files:
        raise ConfigError("files=true writes single samples, and interpolate rows of them: leave out one of the two.")
    pairs = len(seeds) - (not options.gif)
    if options.interpolate and pairs * options.steps > MOST_SAMPLES:
        made = f"{pairs:,} interpolations of steps={options.steps} are {pairs * options.steps:,} pictures"
        raise ConfigError(f"{made}; at most {MOST_SAMPLES:,} are made at once.")
    if options.gif and not options.interpolate:
        raise ConfigError("gif=true is for interpolations: add interpolate=spherical.")


def codes_of(words: list[str]) -> dict[int, float]:
    """Values of codes by their number, from code.0=3 and the like."""
    codes = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            codes[int(name.removeprefix("code."))] = float(value)
        except ValueError:
            raise ConfigError(f"{word} must be a code's number and its value, for example code.0=3.") from None
    if any(number < 0 or not math.isfinite(value) for number, value in codes.items()):
        raise ConfigError(f"{' '.join(words)}: numbers of codes count from 0, and values are finite.")
    return codes


def seeds_of(text: str) -> list[int]:
    """Seeds from ranges, both ends included: 0-3,10 is 0, 1, 2, 3, 10."""
    seeds, said = [], f"seeds={shortened(text)}"
    for part in text.strip("[]").split(","):
        first, dash, last = part.strip().partition("-")
        ends = whole(first), whole(last if dash else first)
        if None in ends or max(ends) > MOST_SEED:
            raise ConfigError(f"{said} must be numbers below 2^63 and ranges, for example seeds=0-15,42.")
        if len(seeds) + ends[1] - ends[0] >= MOST_SAMPLES:
            raise ConfigError(f"{said} names too many seeds: at most {MOST_SAMPLES:,} samples are made at once.")
        seeds += range(ends[0], ends[1] + 1)
    if not seeds:
        raise ConfigError(f"{said} names no seed; ranges run upwards, for example seeds=0-15.")
    return seeds


def images(samples):
    """Samples that are images; points have no picture of their own."""
    if samples.dim() != 4:
        raise ConfigError("This run generates points, which are drawn in one plot: leave out files and interpolate.")
    return samples
