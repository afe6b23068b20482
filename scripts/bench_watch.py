"""What the watch costs, as a share of a step, on the smallest networks: `python scripts/bench_watch.py`.

The calls of the watch are timed within a run, one by one, and set against the time of the whole run; the median of
several stretches is told. What the critic's turn adds up for it (`separation`) is timed by itself and added.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from gan_lab.config.compose import compose
from gan_lab.config.settings import TrainerSettings
from gan_lab.training import assembly, machine, session
from gan_lab.training.distributed import World
from gan_lab.training.logbook import Logbook
from gan_lab.training.observers import Reporter
from gan_lab.training.watch import Diversity, Watch

WORKS = {
    "gan on ring8": ["model=gan", "dataset=ring8"],
    "gan on digits": ["model=gan", "dataset=digits"],
    "experiment ring8": ["experiment=ring8"],
    "experiment gaussian1d": ["experiment=gaussian1d"],
}
MOST = 0.03  # of a step


class Timed(Reporter):
    """A reporter that adds up the seconds which the watch takes."""

    spent = 0.0

    def tell(self, trainer):
        said = trainer.report()
        began = time.perf_counter()
        signals = self.watch.listen(trainer, said)
        heard = time.perf_counter()
        self.write(trainer, said | signals)
        written = time.perf_counter()
        self.watch.judge(trainer)
        self.spent += heard - began + time.perf_counter() - written


def share(words: list[str], stretches: int, folder: Path) -> tuple[float, float]:
    """The watch's share of the time of a step, and the seconds of a step."""
    config = compose([*words, "trainer.threads=1", "trainer.device=cpu"])
    settings = TrainerSettings(**config["trainer"])
    machine.tune_process(settings, torch.device("cpu"), 1)
    trainer, dataset = assembly.assemble(config, settings, World())
    diversity = Diversity(assembly.fixed_batch(dataset, session.watched(settings), "cpu"))
    book = Logbook(folder)
    watch = Watch(folder, diversity=diversity, book=book)
    reporter = Timed(settings.log_every, book, watch)
    one, other = torch.randn(2, settings.batch_size, 1)
    began = time.perf_counter()
    for _ in range(1000):
        (one > other).float().mean()
    each = (time.perf_counter() - began) / 1000 * trainer.turns["discriminator"](1)

    # Compare stretches of ten reports
    shares, steps = [], 10 * settings.log_every
    for _ in range(stretches + 1):
        reporter.spent, trainer.total = 0.0, trainer.step + steps
        began = time.perf_counter()
        watch.attend(trainer, [reporter])
        seconds = time.perf_counter() - began
        shares.append(((reporter.spent + each * steps) / seconds, seconds / steps))
    book.close()
    return tuple(median(values) for values in zip(*shares[1:], strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stretches", type=int, default=5, metavar="N")
    options = parser.parse_args()
    rows = {}
    for name, words in WORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = share(words, options.stretches, Path(folder))
    print("\n| work | ms a step | share of the watch | at most |\n|---|---:|---:|---:|")
    for name, (part, seconds) in rows.items():
        print(f"| {name} | {1000 * seconds:.2f} | {part:.2%} | {MOST:.0%} |")
    return 1 if max(part for part, _ in rows.values()) > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
