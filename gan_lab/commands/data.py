"""Inspect a dataset: a grid of samples, counts, class balance, value range and duplicates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_lab.config.options import free, parse
from gan_lab.config.overrides import read
from gan_lab.errors import ConfigError, ResourceError

USAGE = """usage: gan-lab data dataset=NAME [setting=value ...] [n=...] [out=...] [--config-dir DIR]

Draws the first samples of the first epoch as the discriminator gets them (mirrored with dataset.flip, before the views
of the loss), with their sources if there are any, and prints statistics of the data.

  n=64      samples in the picture (default: 64 images, or 2,000 points)
  out=PATH  where to draw it (default: outputs/data/<NAME>.png); nothing that exists is overwritten

Other words are those of gan-lab train: gan-lab data dataset=folder dataset.path=my_pictures dataset.image_size=64
Missing files are downloaded, as in training. Statistics of sets larger than 1 GB, or than half of the free memory, are
those of a sample of 20,000.

Exit codes: 0 done, 2 a wrong word, 3 data that is missing or cannot be read, 6 a place that cannot be written."""


@dataclass
class Options:
    """What `gan-lab data` understands beside the words of train."""

    n: int | None = None
    out: str | None = None


def main(argv: list[str]) -> None:
    if not argv or {"-h", "--help"} & set(argv):
        return print(USAGE)
    ours = [word for word in argv if word.partition("=")[0] in ("n", "out")]
    options, line = parse(Options, ours, "data"), read([word for word in argv if word not in ours])
    if line.options or line.dry:
        raise ConfigError("data takes settings and --config-dir; see gan-lab data --help")
    chosen = {key: value for key, _, value in (word.partition("=") for word in line.overrides)}
    if not {"dataset", "experiment"} & chosen.keys():
        raise ConfigError("data needs to know which: dataset=digits, for example; gan-lab ls datasets lists them")

    from gan_lab.config.build import build_dataset
    from gan_lab.config.compose import compose, own_folders
    from gan_lab.training import survey

    any_data = [] if {"model", "experiment"} & chosen.keys() else ["model=gan"]  # which takes images and points
    with own_folders(line.folders):
        config = compose([*any_data, *line.overrides])
    dataset = build_dataset(config)
    print(dataset.describe())
    for sentence in survey.survey(dataset):
        print(sentence)
    default = chosen["dataset"].rpartition("/")[2] if "dataset" in chosen else "data"
    return draw(
        survey.first_samples(dataset, options.n, config["seed"]),
        Path(options.out or Path(config["run"]["root"], "data", f"{default}.png")),
    )


def draw(samples: Any, target: Path) -> None:
    """Images as a grid, points on the line or in the plane."""
    from gan_lab import pictures
    from gan_lab.training import survey

    array = pictures.grid(samples) if samples.dim() == 4 else survey.plot(samples)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        path = free(target)
        pictures.save_png(array, path)
    except OSError as error:
        raise ResourceError(f"cannot write {str(target)!r}: {error.strerror}; choose a place with out=...") from error
    print(f"{path} shows {len(samples):,} of them")
