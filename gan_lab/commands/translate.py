"""Translate your own pictures with an image-to-image run: a file, a folder or a zip file."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gan_lab.commands.sample import more_usage, parted
from gan_lab.errors import ConfigError, DataError, ResourceError
from gan_lab.storage.files import place as path_of

USAGE = """usage: gan-lab translate RUN INPUT OUTPUT [key=value ...]

Translates INPUT, a picture, a folder or a zip file of pictures, with the averaged weights of a run's last checkpoint.
OUTPUT is a folder, in which each picture keeps its name and becomes a PNG; for one picture it may be a file (.png).

  direction=forth        forth (source to image), or back for runs that learned both directions
  attributes=[blond]     runs whose translations have conditions: theirs, and options of the run's own
                         (gan-lab translate RUN --help)
  size=256               resize and centre-crop each picture first, 256 or 240x320 (height x width); the default is the
                         size of the training; size=own keeps the size of each picture
  seed=1                 seed of the network's noise, if it has any (pix2pix's dropout)
  batch_size=8           pictures per batch
  on_error=skip          skip and list pictures that are unreadable or have no fitting size (default: stop)
  resume=true            skip pictures whose output exists, for example after an interruption
  overwrite=true         replace existing files
  weights=ema            ema (averaged) or raw
  checkpoint=last        last, best or a step that the run keeps
  device=cpu             cpu or cuda
  trust=[mypackage]      packages of your own that the run's configuration names
"""
NAMED = 20  # files that are named one by one
MOST_PIXELS = 50_000_000  # of one picture
ORIENTATION = 0x0112  # where EXIF says how a camera was held
WHITE = (255, 255, 255)  # behind what is transparent


@dataclass
class Options:
    """What `gan-lab translate` understands."""

    size: str | None = None
    seed: int | None = None
    batch_size: int = 8
    on_error: str = "stop"
    resume: bool = False
    overwrite: bool = False
    weights: str = "ema"
    checkpoint: str = "last"
    device: str = "cpu"
    trust: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int | None:
    if not argv or {"-h", "--help"} & set(argv):
        print(USAGE, end="")
        print(more_usage(argv))
        return None
    if len(argv) < 3:
        raise ConfigError("translate needs a run, what to translate and where to write: RUN INPUT OUTPUT.")
    options, words = parted(Options, argv[3:], "translate")
    if options.on_error not in ("stop", "skip"):
        raise ConfigError(f"on_error={options.on_error} must be stop or skip.")
    size = size_of(options.size) if options.size not in (None, "own") else None
    source, names, places = planned(path_of(argv[1]), path_of(argv[2]), options)
    if not names:
        print(f"All pictures of {argv[1]} are translated already: {argv[2]}")
        return None

    from gan_lab.runs.run import Run
    from gan_lab.runs.words import words_of

    how = {name: getattr(options, name) for name in ("checkpoint", "weights", "device", "trust")}
    run = Run(argv[0], **how)
    if not run.game.translators:
        raise ConfigError("this run does not translate images: use gan-lab sample.")
    conditions, chosen = words_of(run, words, fields(Options))
    way = Way(run, conditions, chosen)
    check(way, options)
    size = size or (None if options.size == "own" else tuple(run.game.translated_size))
    names, places = readable(way, options, source, names, places, size)
    try:
        translate(way, options, source, names, places, size)
    except OSError as error:
        raise ResourceError(f"cannot write to {str(error.filename or argv[2])!r}: {error.strerror}.") from error
    print(f"Translated {len(names):,} picture{'s' if len(names) > 1 else ''}: {argv[2]}")
    return None


class Way:
    """A translation as it was asked for: by which network, of how many channels, under which conditions."""

    def __init__(self, run, conditions: dict[str, Any], options: dict[str, Any]):
        self.run, self.conditions, self.options = run, conditions, options
        run.rows([0], **conditions)  # what is wrong with them is said before the first file is read
        self.direction = options.get("direction", "forth")
        self.network = getattr(run.game, run.game.translators[self.direction])
        self.channels = run.game.translated_channels(self.direction)

    def __call__(self, images):
        """Translations of pictures [N, C, H, W] in [-1, 1], of the same form; ResourceError."""
        import torch

        from gan_lab.rows import Rows

        try:
            rows = self.run.rows(range(len(images)), **self.conditions) if self.run.game.conditions else {}
            return self.run.generate(Rows(rows).changed(source=images), len(images), **self.options)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise ResourceError("the memory is full: set batch_size=1, or a smaller size=.") from error


def planned(given: Path, output: Path, options: Options):
    """The source that holds the pictures, their names, and the file that each becomes; nothing is written yet.

    What lies in the output is no input, also where the output is a folder of the input.
    """
    from gan_lab.datasets.decode import EXTENSIONS
    from gan_lab.datasets.source import Directory, open_source

    if given.is_file() and given.suffix.lower() in EXTENSIONS:
        source, names = Directory(given.parent), [given.name]
        places = [output if output.suffix else output / f"{given.stem}.png"]
    else:
        if output.suffix.lower() in EXTENSIONS:
            raise ConfigError(f"{str(output)!r} names one picture, and {str(given)!r} holds several: name a folder.")
        if not given.exists():
            raise DataError(f"{str(given)!r} does not exist: name a picture, a folder or a zip file.")
        if given.resolve() == output.resolve():
            raise ConfigError(f"{str(given)!r} would be input and output at once: name another folder for the output.")
        source = open_source(given)
        names = [name for name in source.files if name.lower().endswith(EXTENSIONS)]
        if given.is_dir() and output.resolve().is_relative_to(given.resolve()):
            inside = f"{output.resolve().relative_to(given.resolve()).as_posix()}/"
            names = [name for name in names if not name.startswith(inside)]
        places = [output / Path(name).with_suffix(".png") for name in names]
    if not names:
        raise DataError(f"{str(given)!r} holds no pictures: looked for {', '.join(EXTENSIONS)}.")
    wrong = next((place for place in places if place.suffix.lower() != ".png"), None)
    if wrong:
        raise ConfigError(f"{str(wrong)!r}: pictures are written as PNG; end the name in .png.")
    if twice := next((place for place, count in Counter(places).items() if count > 1), None):
        raise ConfigError(f"two pictures of {str(given)!r} would both become {str(twice)!r}: rename one of them.")
    if options.overwrite:
        return source, names, places
    there = {place for place in places if place.exists()}
    if there and not options.resume:
        raise ConfigError(
            f"{str(min(there))!r} is there already: choose another place, or set overwrite=true, or resume=true to "
            "leave out what is translated."
        )
    left = [(name, place) for name, place in zip(names, places, strict=True) if place not in there]
    return source, [name for name, _ in left], [place for _, place in left]


def readable(way: Way, options: Options, source, names: list[str], places: list[Path], size: tuple[int, int] | None):
    """Names and places of the pictures that can be translated, before the first one is; DataError, ConfigError.

    Each file is decoded to its end, which takes little beside translating it. What is wrong is named, up to TOLD.
    """
    from tqdm import tqdm

    from gan_lab.datasets.decode import Unreadable, opened

    if size:
        check_size("size=" + "x".join(map(str, size)), size, way.network)
    good, wrong = [], []
    each = tqdm(zip(names, places, strict=True), desc="checking", total=len(names), unit="", disable=None, leave=False)
    for name, place in each:
        try:
            picture = opened(source.read(name, 8 * MOST_PIXELS), MOST_PIXELS, 2 * max(size) if size else None)
            if not size:
                check_size(name, picture.size[::-1], way.network)
            good.append((name, place))
        except Unreadable as error:
            wrong.append(DataError(f"{name} cannot be read as a picture: {error}."))
        except ConfigError as error:
            wrong.append(error)
    if wrong and (options.on_error == "stop" or not good):
        more = f" {len(wrong) - 1:,} more are wrong." if len(wrong) > 1 else ""
        skip = " Set on_error=skip to leave such files out." if good else ""
        raise type(wrong[0])(f"{wrong[0]}{more}{skip}")
    for error in wrong[:NAMED]:
        print(f"left out: {error}")
    if len(wrong) > NAMED:
        print(f"left out: {len(wrong) - NAMED:,} more")
    return [name for name, _ in good], [place for _, place in good]


def check(way: Way, options: Options) -> None:
    """ConfigError for what cannot be translated, or for a seed that chooses nothing."""
    from gan_lab.networks.unet import redraw

    if options.seed and not redraw(way.network, options.seed):
        raise ConfigError(f"seed={options.seed} chooses noise, and this network has none: leave it out.")
    if way.channels not in (1, 3):
        raise ConfigError(f"the sources of this run have {way.channels} channels, which no picture file has.")


def translate(
    way: Way, options: Options, source, names: list[str], places: list[Path], size: tuple[int, int] | None
) -> None:
    """Read, translate and write, some pictures at a time."""
    import torch
    from tqdm import tqdm

    from gan_lab import pictures

    with tqdm(total=len(names), desc="translating", unit="", disable=None) as bar:
        for part in batches(source, names, places, way.channels, size, options.batch_size):
            images = torch.stack([image for _, _, image in part])  # [n, C, H, W]
            check_size(part[0][0], images.shape[2:], way.network)
            made = way(images)
            for (_, place, _), image in zip(part, made, strict=True):
                place.parent.mkdir(parents=True, exist_ok=True)
                pictures.save_png(pictures.grid(image[None], columns=1, padding=0, least_side=1), place)
            bar.update(len(part))


def batches(source, names: list[str], places: list[Path], channels: int, size, most: int) -> Iterator[list[tuple]]:
    """Neighbours of one size: name, place and picture [C, H, W] in [-1, 1] of each."""
    part = []
    for name, place in zip(names, places, strict=True):
        image = picture(source, name, channels, size)
        if part and (len(part) == most or part[0][2].shape != image.shape):
            yield part
            part = []
        part.append((name, place, image))
    yield part


def picture(source, name: str, channels: int, size: tuple[int, int] | None):
    """A file as a picture [C, H, W] in [-1, 1], as large as it is or brought to a size; DataError."""
    import torch

    from gan_lab.datasets.decode import Unreadable, decode

    try:
        data = source.read(name, 8 * MOST_PIXELS)
        pixels = decode(data, size or own_size(data), channels, WHITE, MOST_PIXELS)
    except Unreadable as error:
        raise DataError(f"{name} cannot be read as a picture: {error}.") from error
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def own_size(data: bytes) -> tuple[int, int]:
    """Height and width of a picture as a person sees it: a camera may say that it is to be turned. Unreadable."""
    import io

    from PIL import Image

    from gan_lab.datasets.decode import header

    height, width = map(int, header(data)[0].split(" x "))
    with Image.open(io.BytesIO(data)) as image:
        is_turned = image.getexif().get(ORIENTATION, 1) >= 5
    return (width, height) if is_turned else (height, width)


def check_size(name: str, size: tuple[int, int], network) -> None:
    """ConfigError for a size that the network does not take: sides must be multiples of a number, or these alone."""
    only = getattr(network, "takes", None)
    if only:
        if tuple(size) != only:
            sides = "x".join(map(str, only))
            raise ConfigError(
                f"{name} has {size[0]} x {size[1]} pixels, and this network takes {sides}: leave size out."
            )
        return
    multiple = network.multiple
    if any(side % multiple or side < 8 for side in size):
        near = "x".join(str(max(1, round(side / multiple)) * multiple) for side in size)
        raise ConfigError(
            f"{name} has {size[0]} x {size[1]} pixels, and this network takes sides that are multiples of {multiple}: "
            f"set size={near}, for example."
        )


def size_of(text: str) -> tuple[int, int]:
    """Height and width of `256` or `240x320`."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ConfigError(f"size={text} must be one number, or height x width such as 240x320.")
    return int(sides[0]), int(sides[-1])
