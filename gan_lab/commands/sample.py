"""Generate samples from a run: a grid, single files, or an interpolation."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gan_lab.config.options import MOST_SAMPLES, free, limited, parse, seeds_of, whole
from gan_lab.errors import ConfigError, ResourceError
from gan_lab.wording import shortened

USAGE = """usage: gan-lab sample RUN [key=value ...]

Generates samples with the averaged weights of the last checkpoint. Existing files are never overwritten.

  n=64                   how many samples, at most 10,000
  seeds=0-63,100         which samples: the same seed is the same sample in every call (instead of n)
  label=3                conditional runs: the class of all samples; attributes=[red,circle], or whatever else the
                         run's samples are made of (gan-lab sample RUN --help)
  code.0=3               runs with latent codes: the value of one code, whole or, of a continuous code, any number
  files=true             one PNG for each seed instead of a grid
  interpolate=spherical  interpolate between the seeds' latents: spherical or linear; one row per pair, with the
                         conditions of its first seed
  space=style            interpolate there: latent (the default), or a space that the run names (styles of StyleGAN)
  mix=4                  runs with styles: a table of samples with the styles of one seed in the first layers (its row)
                         and of another in all others (its column); mix=3x5: rows x columns. The sources stand beside it
  cut=4                  mix: how many layers are the row's (default: half of them)
  steps=9                number of images from one seed to the next
  gif=true               the interpolation as a GIF
  weights=ema            ema (averaged) or raw
  checkpoint=last        last, best or a step that the run keeps
  root=PATH              where the data is now, if needed (dataset.root, or the path of your own pictures)
  out=PATH               where to write (default: <RUN>/generated/...)
  device=cpu             cpu or cuda
  trust=[mypackage]      packages of your own that the run's configuration names
"""


@dataclass
class Options:
    """What `gan-lab sample` understands."""

    n: int = limited(64, most=MOST_SAMPLES)
    seeds: str | None = None
    files: bool = False
    interpolate: str | None = None
    space: str | None = None
    mix: str | None = None
    cut: int | None = None
    steps: int = limited(9, most=MOST_SAMPLES)
    gif: bool = False
    weights: str = "ema"
    checkpoint: str = "last"
    root: str | None = None
    out: str | None = None
    device: str = "cpu"
    trust: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int | None:
    if not argv or {"-h", "--help"} & set(argv):
        print(USAGE, end="")
        print(more_usage(argv))
        return None
    options, words = parted(Options, argv[1:], "sample")
    table = table_of(options)
    seeds = list(range(sum(table) or options.n)) if options.seeds is None else seeds_of(options.seeds)
    check(options, seeds, table)

    from gan_lab.runs.run import Run

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
        print(draw(run, options, seeds, words))
    except OSError as error:
        place = error.filename or options.out or run.folder
        raise ResourceError(f"cannot write to {str(place)!r}: {error.strerror}; choose a place with out=...") from error
    return None


def parted(options: type, words: list[str], verb: str) -> tuple[Any, list[str]]:
    """The options of a command, and the words that are none of them: those may be the game's."""
    own = {each.name for each in fields(options)}
    mine = [word for word in words if word.partition("=")[0] in own]
    return parse(options, mine, verb), [word for word in words if word not in mine]


def more_usage(argv: list[str]) -> str:
    """What the samples of a run take beside: the conditions of its game, and the options of its samples."""
    from gan_lab.storage.files import CONFIG, place

    runs = [word for word in argv if not word.startswith("-") and "=" not in word]
    if not runs or not (place(runs[0]) / CONFIG).is_file():
        return ""
    from gan_lab.runs.run import Run, help_of

    trust = [word for word in argv if word.startswith("trust=")]
    game = Run(runs[0], trust=parse(Options, trust, "sample").trust).game
    lines = {f"{name}=...": f"a condition that {runs[0]} has" for name in game.conditions}
    lines |= {f"{name}=...": text for name, text in help_of(game).items()}
    return "".join(f"\n  {name:<23}{text}" for name, text in lines.items()) if lines else "\n  This run takes no more."


def draw(run, options: Options, seeds: list[int], words: list[str]) -> Path:
    """What the options ask for, as files; returns where it lies."""
    from gan_lab import pictures
    from gan_lab.rows import Rows
    from gan_lab.runs.words import words_of

    folder = run.folder / "generated"
    given, chosen = words_of(run, words, fields(Options))
    rows = run.rows(seeds, **given)
    if options.interpolate:
        rows = run.into(rows, run.space(options.space))
    make = lambda rows: run.make(rows, **chosen)
    suffix = "".join(f"-{tagged(word)}" for word in words)
    name = f"step-{run.state['step']:08d}-{options.weights}{suffix}"

    # Walk from seed to seed, and around where a GIF repeats
    if options.interpolate:
        ends = [(i, i + 1) for i in range(len(seeds) - 1)] + ([(len(seeds) - 1, 0)] if options.gif else [])
        walks = [
            run.walk(rows.at([a]), rows.at([b]), options.steps, options.interpolate, options.space) for a, b in ends
        ]
        samples = images(make(Rows.joined(walks)))
        if options.gif:
            frames = [pictures.grid(image[None], columns=1) for image in samples]
            path = free(Path(options.out or folder / f"{name}-{options.interpolate}.gif"))
            pictures.save_gif(frames, path, 0.08)
        else:
            path = free(Path(options.out or folder / f"{name}-{options.interpolate}.png"))
            pictures.save_png(pictures.grid(samples, columns=options.steps), path)
    elif options.mix:
        path = free(Path(options.out or folder / f"{name}-mix{options.mix}.png"))
        samples = images(make(mixed(run, rows, *table_of(options), options.cut)))
        beside = images(make(rows)).split(table_of(options))  # the samples whose styles are mixed
        pictures.save_png(pictures.grid(bordered(samples, *beside), columns=len(beside[1]) + 1), path)
    elif options.files:
        path = free(Path(options.out or folder / name))
        path.mkdir(parents=True)
        made = make(rows)
        images(made)
        for number, (kind, samples) in enumerate(made.items()):
            for seed, image in zip(seeds, samples, strict=True):
                file = path / f"seed-{seed}{f'-{kind}' if number else ''}.png"
                pictures.save_png(pictures.grid(image[None], columns=1, padding=0, least_side=1), file)
    else:
        made = make(rows)
        path = free(Path(options.out or folder / f"{name}.png"))
        samples = side_by_side(made)
        drawn = run.dataset.draw({"fixed": samples}, None) if samples.dim() != 4 else {"fixed": pictures.grid(samples)}
        pictures.save_png(drawn["fixed"], path)
    return path


def table_of(options: Options) -> tuple[int, int] | tuple[()]:
    """Rows and columns of the table that `mix` asks for; none where it is not asked for. ConfigError."""
    if options.mix is None:
        return ()
    sides = options.mix.split("x")
    if len(sides) > 2 or not all(whole(side) for side in sides):
        raise ConfigError(f"mix={shortened(options.mix)} must be one number, or rows x columns such as 3x5.")
    height, width = int(sides[0]), int(sides[-1])
    if height * width > MOST_SAMPLES:
        asked = f"mix={options.mix} is a table of {height * width:,} pictures"
        raise ConfigError(f"{asked}; at most {MOST_SAMPLES:,} are made at once.")
    return height, width


def mixed(run, rows, height: int, width: int, cut: int | None):
    """Rows of a table, row by row: the first `cut` layers are styled by one of `height` rows, the others by `width`."""
    import torch

    space = run.game.per_layer
    if not space:
        raise ConfigError("mix joins the styles of two samples, and this run's samples have none: leave it out.")
    rows = run.into(rows, space)
    layers = rows[space].shape[1]
    cut = layers // 2 if cut is None else cut
    if cut >= layers:
        raise ConfigError(
            f"cut={cut} leaves the columns no layer: this run's samples have {layers}; set cut={layers - 1}."
        )
    coarse, fine = rows.at(slice(height)), rows.at(slice(height, None))
    coarse = coarse.each(lambda x: x.repeat_interleave(width, dim=0))
    fine = fine[space].repeat(height, 1, 1)
    return coarse.changed(**{space: torch.cat([coarse[space][:, :cut], fine[:, cut:]], dim=1)})


def bordered(samples, left, top):
    """A table of pictures [rows * columns, C, H, W] with those of its rows on the left and of its columns on top."""
    import torch

    body = samples.unflatten(0, (len(left), len(top)))
    corner = torch.ones_like(left[:1])
    return torch.cat([corner, top, torch.cat([left[:, None], body], dim=1).flatten(0, 1)])


def tagged(word: str) -> str:
    """A word as a part of a file's name: of a condition its value, `label=3` as 3; of anything else both."""
    name, _, value = word.partition("=")
    value = value.strip("[]").replace(",", "-")
    tag = f"code{name.removeprefix('code.')}={value}" if name.startswith("code.") else value
    return "".join(letter if letter.isalnum() or letter in "-=._" else "_" for letter in tag)[:60]


def side_by_side(made):
    """The pictures of each sample in one row of pixels, where it has several of one size: [N, C, H, W]."""
    import torch

    several = list(made.values())
    alike = len(several) > 1 and all(x.dim() == 4 and x.shape[1:] == several[0].shape[1:] for x in several)
    return torch.cat(several, dim=3) if alike else several[0]


def check(options: Options, seeds: list[int], table: tuple[int, ...]) -> None:
    """ConfigError for options that do not go together."""
    if options.space and not options.interpolate:
        raise ConfigError(f"space={shortened(options.space)} is for interpolations: add interpolate=linear.")
    if options.cut and not table:
        raise ConfigError("cut says where styles are mixed: add mix=4.")
    if table and (options.interpolate or options.files):
        other = "interpolate" if options.interpolate else "files"
        raise ConfigError(f"mix makes one table, and {other} something else: leave out one of the two.")
    if table and len(seeds) != sum(table):
        needs = f"mix={options.mix} needs {sum(table)} seeds, {table[0]} for its rows and {table[1]} for its columns"
        raise ConfigError(f"{needs}, and there are {len(seeds)}: set seeds=0-{sum(table) - 1}, for example.")
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


def images(made):
    """The first pictures of samples, which are images; points have no picture of their own."""
    samples = next(iter(made.values()))
    if samples.dim() != 4:
        raise ConfigError("This run generates points, which are drawn in one plot: leave out files and interpolate.")
    return samples
