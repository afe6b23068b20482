"""Whether the watch sees planted failures and is silent on healthy runs: `python scripts/exam_watch.py tuning`.

Thresholds in gan_lab/training/watch.py were chosen on the half `tuning`; `held-out` has other seeds, magnitudes and
presets and is for asking once. Prints a table, and ends with 1 if a failure is missed or a healthy run is alarmed.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gan_lab.config.compose import compose
from gan_lab.errors import DivergedError
from gan_lab.launch import launch
from gan_lab.models import GAN, Terms
from gan_lab.rows import Rows
from gan_lab.storage.files import read_json
from gan_lab.training.record import git_state


class OneLatent(GAN):
    """A game whose generator is only ever fed one latent."""

    def latent(self, n: int) -> Tensor:
        return self.draw(range(n))["latent"]

    def draw(self, seeds) -> Rows:
        return super().draw([0]).at([0] * len(seeds))


class Broken(GAN):
    """A game in which one layer of one network becomes not-a-number at step `at`, on the rank `rank` alone."""

    def __init__(self, network: str, at: int, rank: int, **settings):
        super().__init__(**settings)
        self.network, self.at, self.rank = network, at, rank

    def discriminator_loss(self, batch: dict[str, Tensor], step: int) -> Terms:
        if step == self.at and torch.distributed.get_rank() == self.rank:
            layer = next(p for p in getattr(self, self.network).parameters() if p.ndim > 1)
            layer.data.view(-1)[0] = float("nan")
        return super().discriminator_loss(batch, step)


RING = ["experiment=ring8", "trainer.steps=1500", "trainer.log_every=25", "trainer.evaluate_every=300"]
LINE = ["experiment=gaussian1d", "trainer.steps=2000", "trainer.log_every=50"]
GRID = ["experiment=grid25", "trainer.steps=700", "trainer.log_every=20", "trainer.evaluate_every=150"]
DCGAN = ["experiment=dcgan_digits", "trainer.steps=400", "trainer.log_every=10", "trainer.evaluate_every=80"]
RESNET = ["experiment=resnet_digits", "trainer.steps=150", "trainer.log_every=5", "trainer.evaluate_every=30"]
PLAIN = ["model=gan", "dataset=digits", "trainer.steps=800", "trainer.log_every=20", "trainer.evaluate_every=160"]
SHAPES = ["model=dcgan", "dataset=shapes", "dataset.image_size=16", "model.generator.width=16"]
SHAPES += ["model.discriminator.width=16", "trainer.steps=400", "trainer.log_every=10", "trainer.evaluate_every=80"]
TWO = ["model=gan", "dataset=digits", "trainer.devices=2", "trainer.steps=200", "trainer.log_every=10"]
ALL = ["trainer.threads=1", "trainer.device=cpu", "trainer.evaluate_samples=500", "trainer.sample_every=100000"]
FAST = [
    "steps too large",
    "scattered samples",
    "runaway scores",
    "discriminator saturation",
    "vanished gradient",
    "divergence",
]
STRONG = ["discriminator saturation", "vanished gradient"]


@dataclass
class Case:
    """A run and what the watch must say of it: one of `expected`, or nothing at all where that is empty."""

    name: str
    words: list[str]
    expected: list[str]
    seed: int
    game: dict | None = None  # what replaces the game of the configuration

    @property
    def config(self) -> dict:
        config = compose([*self.words, *ALL, f"seed={self.seed}"])
        if self.game:
            config["model"] |= self.game
            config["trust"] = ["exam_watch"]
        return config


def fast(name: str, words: list[str], factor: float, seed: int) -> Case:
    """All learning rates times `factor`."""
    config = compose(words)
    faster = [f"optimizer.lr={config['optimizer']['lr'] * factor:g}"]
    faster += [
        f"optimizer_overrides.{player}.lr={override['lr'] * factor:g}"
        for player, override in config["optimizer_overrides"].items()
    ]
    return Case(f"{name}: learning rates x {factor:g}", [*words, *faster], FAST, seed)


def strong(name: str, words: list[str], factor: float, turns: int, seed: int) -> Case:
    """A critic with `factor` times the learning rate and `turns` turns, without spectral norm."""
    rate = compose(words)["optimizer"]["lr"] * factor
    words = [*words, f"+optimizer_overrides.discriminator.lr={rate:g}", f"loss.critic_turns={turns}"]
    return Case(f"{name}: critic's rate x {factor:g}, {turns} turns", words, STRONG, seed)


def one_latent(name: str, words: list[str], seed: int) -> Case:
    game = {"_target_": "exam_watch.OneLatent"}
    return Case(f"{name}: one latent", words, ["mode collapse"], seed, game)


def broken(network: str, at: int, rank: int, seed: int) -> Case:
    game = {"_target_": "exam_watch.Broken", "network": network, "at": at, "rank": rank}
    return Case(f"two ranks: NaN in the {network} of rank {rank} at step {at}", TWO, ["divergence"], seed, game)


def healthy(name: str, words: list[str], seed: int) -> Case:
    return Case(f"healthy {name}", words, [], seed)


FREE = "model.discriminator.spectral_norm=false"
SATURATING = "loss=minimax"
TUNING = [
    fast("ring8", RING, 50, 0),
    fast("gan on digits", PLAIN, 50, 0),
    fast("dcgan_digits", DCGAN, 50, 0),
    strong("gan on digits, minimax", [*PLAIN, SATURATING], 50, 5, 0),
    strong("dcgan_digits, non_saturating", [*DCGAN, "loss=non_saturating", FREE, "optimizer.lr=0.0001"], 20, 3, 0),
    one_latent("ring8", RING, 0),
    one_latent("dcgan_digits", DCGAN, 0),
    broken("generator", 20, 1, 0),
    healthy("ring8", RING, 0),
    healthy("gaussian1d", LINE, 0),
    healthy("dcgan_digits", DCGAN, 0),
    healthy("gan on digits", PLAIN, 0),
    healthy("grid25", GRID, 0),
]
HELD_OUT = [
    fast("ring8", RING, 80, 101),
    fast("grid25", GRID, 60, 102),
    fast("dcgan on shapes", SHAPES, 50, 103),
    strong("gan on digits, minimax", [*PLAIN, SATURATING], 100, 3, 104),
    strong("dcgan on shapes", [*SHAPES, "optimizer.lr=0.0001", "model.discriminator.norm=none"], 30, 4, 105),
    one_latent("grid25", GRID, 106),
    one_latent("gan on digits", PLAIN, 107),
    broken("discriminator", 33, 0, 108),
    healthy("ring8", RING, 109),
    healthy("dcgan on shapes", SHAPES, 110),
    healthy("dcgan_digits, hinge", [*DCGAN, "loss=hinge"], 111),
    healthy("gan on digits, wgan_gp", [*PLAIN, "loss=wgan_gp", "model.discriminator.norm=none"], 112),
    healthy("resnet_digits", RESNET, 113),
]
HALVES = {"tuning": TUNING, "held-out": HELD_OUT}


def sit(case: Case, folder: Path) -> tuple[str, bool]:
    """What the watch said of a run, and whether that is what it must say."""
    config = case.config
    with contextlib.suppress(DivergedError), contextlib.redirect_stdout(io.StringIO()):
        launch.train(config, folder)
    health = read_json(folder / "summary.json").get("health", [])
    said = ", ".join(f"{entry['name']} ({entry['step']})" for entry in health)
    names = {entry["name"] for entry in health}
    return said or "nothing", bool(names & set(case.expected)) if case.expected else not names


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("half", choices=HALVES)
    parser.add_argument("--only", default="", metavar="WORD", help="cases whose name holds the word")
    options = parser.parse_args()
    state = git_state()
    print(f"{options.half}, commit {state['commit'][:12]}{'+' * state['dirty']}\n" if state else options.half)
    print("| run | seed | steps | the watch said (at step) | as it must | s |\n|---|---:|---:|---|---|---:|")
    passed, cases = 0, [case for case in HALVES[options.half] if options.only in case.name]
    for case in cases:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            said, right = sit(case, Path(folder))
        passed += right
        cells = [case.name, case.seed, case.config["trainer"]["steps"], said, "yes" if right else "NO"]
        print(f"| {' | '.join(map(str, cells))} | {time.monotonic() - started:.0f} |", flush=True)
    cpu = sum(os.times()[:4])
    print(f"\n{passed} of {len(cases)} as they must be, in {cpu:.0f} CPU seconds")
    return 0 if passed == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
