"""Make a GIF or WebP of a run's training, labelled with its steps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_lab.config.options import free, limited, parse, seeds_of
from gan_lab.errors import CheckpointError, ConfigError, ResourceError
from gan_lab.storage.files import place
from gan_lab.storage.finding import find_run
from gan_lab.wording import counted

USAGE = """usage: gan-lab timelapse RUN [key=value ...]

Joins the grids in RUN/samples, or generates new ones from the kept checkpoints.

  fps=8                frames per second; the last one stays for two seconds
  every=1              every k-th frame, and the last
  size=512             width in pixels (default: unchanged)
  seeds=0-15           generate these seeds from each kept checkpoint (a run keeps trainer.keep_checkpoints)
  weights=ema          with seeds: ema (averaged) or raw
  out=PATH             .gif or .webp (default: <RUN>/generated/timelapse.gif); existing files are never overwritten
  trust=[mypackage]    with seeds: packages of your own that the run's configuration names

Exit codes: 0 done, 2 a wrong setting, 4 no such run or too few pictures, 6 a place that cannot be written."""
LABEL = 20  # height in pixels of the line with the step


@dataclass
class Options:
    """What `gan-lab timelapse` understands."""

    fps: float = limited(8.0, least=0.1, most=50)  # viewers slow down what is faster
    every: int = 1
    size: int | None = limited(None, most=4096)
    seeds: str | None = None
    weights: str = "ema"
    root: str | None = None
    out: str | None = None
    trust: list[str] = field(default_factory=list)


def main(argv: list[str]) -> None:
    if not argv or {"-h", "--help"} & set(argv):
        return print(USAGE)
    run, options = find_run(argv[0]), parse(Options, argv[1:], "timelapse")
    target = place(options.out) if options.out else run / "generated" / "timelapse.gif"
    if target.suffix not in (".gif", ".webp"):
        raise ConfigError(f"out={options.out} must end in .gif or .webp.")

    # Choose, draw and join the pictures
    steps = thinned(sampled(run) if options.seeds is None else kept(run), options.every)
    pictures = drawn(steps) if options.seeds is None else generated(run, steps, options)
    frames = labelled(pictures, options.size)
    try:
        path = free(target)
        save(frames, path, options.fps)
    except OSError as error:
        raise ResourceError(f"cannot write {str(target)!r}: {error.strerror}; choose a place with out=...") from error
    return print(f"{path} ({counted(len(frames), 'picture')}, steps {min(steps):,} to {max(steps):,})")


# ---- pictures by step -----------------------------------------------------------------------------------------------


def sampled(run: Path) -> dict[int, Path]:
    """The sample grids of a run by step; CheckpointError where there are fewer than two."""
    found = sorted((run / "samples").glob("step-*.png"))
    if len(found) < 2:
        raise CheckpointError(
            f"{run} has {counted(len(found), 'sample grid')}, and a timelapse needs two. The next run makes more "
            "with a smaller trainer.sample_every; or draw from the kept checkpoints with seeds=0-15."
        )
    return {int(path.stem.removeprefix("step-")): path for path in found}


def kept(run: Path) -> dict[int, Path]:
    """The checkpoints that a run keeps by step; CheckpointError where there are fewer than two."""
    from gan_lab.storage import checkpoint

    found = checkpoint.committed(run / "checkpoints")[::-1]
    if len(found) < 2:
        raise CheckpointError(
            f"{run} keeps {counted(len(found), 'checkpoint')}, and a timelapse needs two. Leave out seeds, or train "
            "with a larger trainer.keep_checkpoints, such as 20."
        )
    return {int(path.stem.removeprefix("step-")): path for path in found}


def thinned(by_step: dict[int, Path], every: int) -> dict[int, Path]:
    chosen = list(by_step)[::every]
    return {step: path for step, path in by_step.items() if step in (*chosen, max(by_step))}


def drawn(steps: dict[int, Path]) -> Iterator[tuple[int, Any]]:
    from gan_lab.pictures import opened

    for step, path in steps.items():
        picture = opened(path)
        if picture is None:
            raise CheckpointError(f"{path} is no picture that can be read; remove it and try again.")
        yield step, picture


def generated(run: Path, steps: dict[int, Path], options: Options) -> Iterator[tuple[int, Any]]:
    """The same samples at each kept checkpoint."""
    from PIL import Image

    from gan_lab import pictures
    from gan_lab.runs.run import Run

    seeds = seeds_of(options.seeds)
    for step in steps:
        opened = Run(run, checkpoint=step, weights=options.weights, trust=options.trust)
        if options.root:
            opened.moved(options.root)
        samples = opened.generate(opened.rows(seeds))
        is_image = samples.dim() == 4
        array = pictures.grid(samples) if is_image else opened.dataset.draw({"fixed": samples}, None)["fixed"]
        yield step, Image.fromarray(array)


# ---- frames ---------------------------------------------------------------------------------------------------------


def labelled(pictures: Iterator[tuple[int, Any]], width: int | None) -> list[Any]:
    """Pictures of one size, that of the first, each above a line with its step."""
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    frames, size, font = [], None, ImageFont.load_default(size=13)
    for step, picture in pictures:
        if width is not None:
            smooth = Image.Resampling.LANCZOS if width < picture.width else Image.Resampling.NEAREST
            picture = picture.resize((width, max(1, round(picture.height * width / picture.width))), smooth)
        size = size or picture.size
        picture = picture if picture.size == size else ImageOps.pad(picture, size, color="white")
        frame = Image.new("RGB", (size[0], size[1] + LABEL), "white")
        frame.paste(picture)
        ImageDraw.Draw(frame).text((4, size[1] + LABEL // 2), f"step {step:,}", (40, 40, 40), font, anchor="lm")
        frames.append(frame)
    return frames


def save(frames: list[Any], path: Path, fps: float) -> None:
    import numpy as np

    from gan_lab import pictures

    if path.suffix == ".gif":
        pictures.save_gif([np.asarray(frame) for frame in frames], path, 1 / fps)
        return
    first, *rest = frames
    durations = [round(1000 / fps)] * len(rest) + [2000]
    pictures.write(first, path, format="WEBP", save_all=True, append_images=rest, duration=durations, loop=0)
