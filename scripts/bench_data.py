"""How fast batches of pictures are read from a pack, against torchvision's ImageFolder, on this machine.

The pictures are JPEGs of about 300 x 250 pixels that this script makes in a temporary directory. Each contender makes
normalised float32 batches of 64 pictures of 64 x 64 pixels in a shuffled order, in one thread (and in the workers of
the DataLoader); the files are warm. They take turns, and ratios are those of the medians.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from gan_lab.datasets import Folder
from gan_lab.training.loader import Loader

SIZE, BATCH, CLASSES = 64, 64, 10
TARGET = 20.0  # the pack must be this many times as fast as the faster ImageFolder
PASSES = 20  # of a contender that reads the pictures in milliseconds


# The contenders: each makes a function that reads every picture once


def image_folder(pictures: Path, workers: int) -> Callable[[], int]:
    """The usual pipeline: ImageFolder, PIL transforms for each picture, DataLoader."""
    from torchvision import datasets, transforms

    steps = [transforms.Resize(SIZE), transforms.CenterCrop(SIZE), transforms.ToTensor()]
    transform = transforms.Compose([*steps, transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(pictures, transform),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda: sum(len(images) for images, _ in loader)


def from_pack(dataset: Folder) -> Callable[[], int]:
    """Rows by their indices, and what training makes of them."""
    bits = torch.zeros(BATCH, dtype=torch.int64)

    def read():
        parts = torch.randperm(len(dataset)).split(BATCH)[: len(dataset) // BATCH]
        return sum(len(dataset.prepare(dataset.rows(part), bits)["image"]) for part in parts)

    return read


def through_loader(dataset: Folder) -> Callable[[], int]:
    """What a run with trainer.placement=streamed does: threads read ahead, and the bits of each picture are hashed."""
    loader, number = Loader(dataset, BATCH, resident=False), 0

    def read():
        nonlocal number
        number += loader.batches_per_epoch
        batches = range(number - loader.batches_per_epoch, number)
        return sum(len(batch["image"]) for i in batches for batch in loader.batch(i))

    return read


# What is measured


def draw(folder: Path, count: int) -> None:
    """JPEGs with large and small structure in folders of classes, about 25 kB each."""

    def make(number: int) -> None:
        random = np.random.default_rng(number)
        width, height = int(random.integers(250, 350)), int(random.integers(210, 290))
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.float32)
        pixels += random.normal(0, 6, (height, width, 1))
        path = folder / str(number % CLASSES) / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)

    with ThreadPoolExecutor() as pool:
        list(pool.map(make, range(count)))


def timed(read: Callable[[], int], passes: int) -> float:
    """Pictures in a second."""
    started = time.perf_counter()
    count = sum(read() for _ in range(passes))
    return count / (time.perf_counter() - started)


def measure(pictures: Path, cache: Path, repetitions: int) -> dict:
    """Pictures a second of each contender, all repetitions, and what packing costs."""
    seconds = {}
    for what in ("packing", "opening the pack"):
        started = time.perf_counter()
        dataset = Folder(str(pictures), image_size=SIZE, cache=str(cache))
        seconds[what] = time.perf_counter() - started
    contenders = {
        "ImageFolder, 0 workers": (image_folder(pictures, workers=0), 1),
        "ImageFolder, 2 workers": (image_folder(pictures, workers=2), 1),
        "pack": (from_pack(dataset), PASSES),
        "pack, streamed by the loader": (through_loader(dataset), PASSES),
    }
    for read, _ in contenders.values():
        read()  # starts the workers, warms the files
    speeds = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, (read, passes) in contenders.items():
            speeds[name].append(timed(read, passes))
    return {"pictures": len(dataset), "seconds": seconds, "pictures_per_second": speeds}


# The report


def table(result: dict) -> tuple[str, float]:
    """The figures in rows, and how many times as fast the pack is as the faster ImageFolder."""
    speeds = {name: median(values) for name, values in result["pictures_per_second"].items()}
    usual = max(speed for name, speed in speeds.items() if name.startswith("ImageFolder"))
    lines = ["| reading | pictures/s | x the faster ImageFolder | each repetition |", "|---|---:|---:|---|"]
    for name, speed in speeds.items():
        each = ", ".join(f"{value:,.0f}" for value in result["pictures_per_second"][name])
        lines.append(f"| {name} | {speed:,.0f} | {speed / usual:.1f} | {each} |")
    once = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in result["seconds"].items())
    lines.append(f"\nonce, for {result['pictures']:,} pictures: {once}")
    return "\n".join(lines), speeds["pack"] / usual


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=3000, metavar="N", help="how many to make (3000)")
    parser.add_argument("--repetitions", type=int, default=2, metavar="N", help="turns of each contender (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 below {TARGET:g} times ImageFolder")
    options = parser.parse_args()
    if options.pictures < BATCH:
        parser.error(f"--pictures={options.pictures} must be at least {BATCH}, one batch")

    torch.set_num_threads(1)
    facts = {"cores": os.cpu_count(), "load before": round(os.getloadavg()[0], 1), "torch": torch.__version__}
    facts |= {"python": platform.python_version()}
    with tempfile.TemporaryDirectory(prefix="gan-lab-bench-") as folder:
        pictures, cache = Path(folder) / "pictures", Path(folder) / "cache"
        draw(pictures, options.pictures)
        facts["kB a picture"] = round(sum(f.stat().st_size for f in pictures.rglob("*.jpg")) / options.pictures / 1e3)
        result = measure(pictures, cache, options.repetitions)
    text, ratio = table(result)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), text, sep="\n\n")
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, **result}, indent=2) + "\n", encoding="utf-8")
    print(f"\n{'the target is met' if ratio >= TARGET else 'missed'}: {ratio:.1f} times ImageFolder, target {TARGET:g}")
    return 1 if options.check and ratio < TARGET else 0


if __name__ == "__main__":
    sys.exit(main())
