"""Time to target: the processor seconds until the samples are good enough, of gan-lab, a tutorial and a collection.

    python scripts/race.py --data DIR --script dcgan.py=path/to/dcgan.py

One figure for speed and quality together. Every contender is a process of its own on one thread. Its processor seconds
are counted from its start, imports included and judging left out, until its samples first reach the target. gan-lab
trains a shipped experiment as `gan-lab train` does, and its averaged weights are judged. The tutorial's loop (see
bench.py) trains the shipped networks at the settings of the DCGAN tutorial. A script of a collection is run unchanged,
on the data where it looks for it, and judged whenever it saves its pictures; it must call torchvision's `save_image`
from a module that holds a `generator`, and take vectors of its `opt.latent_dim`.

Pictures are judged by the Frechet distance to 10,000 training pictures in the features of a classifier that no
contender sees; points by the truth.
"""

import argparse
import json
import os
import platform
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from bench import Work, commit, cpu_name, endless, features, loader_of, textbook_gan
from torch.nn.functional import interpolate

from gan_lab.config.build import build_dataset, build_game
from gan_lab.config.compose import compose
from gan_lab.config.settings import TrainerSettings
from gan_lab.noise import seed_networks
from gan_lab.runs.evaluation import Judge, drawn, extractor_of
from gan_lab.training import assembly, machine
from gan_lab.training.distributed import World
from gan_lab.training.evaluator import REFERENCE
from gan_lab.training.logbook import Logbook
from gan_lab.training.observers import Reporter, Teller
from gan_lab.training.watch import Diversity, Watch


@dataclass
class Race:
    """What is trained for: the words of gan-lab's run, those of the tutorial's networks, and what is good enough."""

    gan_lab: tuple[str, ...]
    tutorial: tuple[str, ...]
    figure: str
    targets: tuple[float, ...]  # from the easiest to the one that ends the race
    samples: int
    scripts: bool = False  # whether a script of a collection takes part, which looks for MNIST
    batch_size: int = 64


RACES = {
    "mnist": Race(
        ("experiment=dcgan_mnist",),
        ("model=dcgan", "dataset=mnist"),
        figure="fid/classifier",
        targets=(60.0, 30.0, 20.0),
        samples=5000,
        scripts=True,
    ),
    "shapes": Race(
        ("experiment=dcgan_mnist", "dataset=shapes"),
        ("model=dcgan", "dataset=shapes"),
        figure="fid/classifier",
        targets=(80.0, 60.0, 50.0),
        samples=5000,
    ),
    "ring": Race(
        ("experiment=ring8",),
        ("experiment=ring8",),
        figure="exact/quality",
        targets=(0.5, 0.7, 0.8),
        samples=10_000,
        batch_size=128,
    ),
}
FIRST_SEED = 30_000_000  # of the samples that are judged
LOOK_EVERY = 25  # steps between two looks at the clock
SHARE = 0.06  # a look at the samples is due when this share of the seconds so far has passed
LEAST = 2.0  # and at least so many seconds


class Jury:
    """Judges samples now and then, without the clock, and ends the process when the target is reached."""

    def __init__(self, race: Race, words: list[str], limit: float):
        self.race, self.limit, self.spent, self.last = race, limit, 0.0, 0.0
        began = time.process_time()
        config = compose(words)
        dataset = build_dataset(config)
        extractor = None if dataset.image_size is None else extractor_of("classifier", config, dataset)
        self.judge = Judge(dataset, "train", extractor, REFERENCE)
        if extractor:
            _ = self.judge.real
        self.spent += time.process_time() - began

    @property
    def seconds(self) -> float:
        """Processor seconds of this process, less those of judging."""
        return time.process_time() - self.spent

    def look(self, step: int, samples: Callable[[], Iterator[torch.Tensor]], last: bool = False) -> None:
        """Judge what `samples` gives, if it is time to; it leaves the state of every generator as it was."""
        seconds = self.seconds
        if seconds < self.last + max(LEAST, SHARE * self.last) and not last:
            return
        began, states = time.process_time(), torch.get_rng_state()
        with torch.no_grad():
            figures = self.judge.figures(samples(), step=step, weights="", batch_norm="", seed=0, cheap=True)
        value = next(figure.value for figure in figures if figure.name == self.race.figure)
        print(json.dumps({"seconds": seconds, "step": step, "value": value}), file=sys.stderr, flush=True)
        torch.set_rng_state(states)
        self.last = seconds
        self.spent += time.process_time() - began
        if better(self.race, value, self.race.targets[-1]) or seconds > self.limit:
            os._exit(0)


def better(race: Race, value: float, target: float) -> bool:
    return value >= target if race.figure == "exact/quality" else value <= target


# The contenders: each trains until the jury ends the process


def gan_lab(race: Race, jury: Jury, words: list[str], seed: int) -> None:
    """What `gan-lab train` runs, with reports to TensorBoard and on the screen; averaged weights are judged."""
    config = compose([*words, f"seed={seed}", "trainer.threads=1", "trainer.device=cpu"])
    settings = TrainerSettings(**config["trainer"])
    machine.tune_process(settings, torch.device("cpu"), 1)
    trainer, dataset = assembly.assemble(config, settings, World())
    rows = trainer.game.draw(range(FIRST_SEED, FIRST_SEED + race.samples))
    folder = Path(tempfile.mkdtemp(prefix="gan-lab-race-"))
    book = Logbook(folder)
    teller = Teller(settings.log_every, settings.steps, book)
    watch = Watch(folder, diversity=Diversity(assembly.fixed_batch(dataset, 64, "cpu")), book=book, say=teller.say)

    class Observer:
        every = LOOK_EVERY

        def tell(self, trainer):
            def samples():
                with trainer.game.using(dict(trainer.ema.networks)):
                    yield from drawn(trainer.game, rows)

            jury.look(trainer.step, samples, last=trainer.progress >= 1)

    trainer.run([Reporter(settings.log_every, book, watch), teller, Observer()])


def tutorial(race: Race, jury: Jury, words: list[str], seed: int) -> None:
    """The loop of the DCGAN tutorial on one thread, float32; the generator is judged as it stands."""
    torch.set_num_threads(1)
    seed_networks(seed, torch.device("cpu"))
    config = compose(words)
    dataset, game = build_dataset(config), build_game(config)
    model = "gan" if dataset.image_size is None else "dcgan"
    work = Work(model, len(dataset), 0, dataset.channels, steps=0, target=0.0, batch_size=race.batch_size)
    step = textbook_gan(work, game, endless(batches_of(dataset, race.batch_size)), torch.device("cpu"))
    rows = game.draw(range(FIRST_SEED, FIRST_SEED + race.samples))

    def samples():
        with game.using({}):
            yield from drawn(game, rows)

    game.train()
    for number in range(1, 10**9):
        step()
        if number % LOOK_EVERY == 0:
            jury.look(number, samples)


def batches_of(dataset, batch_size: int):
    """Batches as tutorials have them: pictures one by one through transforms, points from a tensor."""
    data = dataset.tensors()["image"]
    if dataset.image_size is None:
        pairs = torch.utils.data.TensorDataset(data, torch.zeros(len(data)))
        return torch.utils.data.DataLoader(pairs, batch_size=batch_size, shuffle=True, drop_last=True)
    return loader_of(data.numpy(), batch_size=batch_size)


def script(path: Path, data: Path, race: Race, jury: Jury, seed: int) -> None:
    """A collection's script, unchanged; its generator is judged in training mode, as it draws its own pictures."""
    import torchvision.utils

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    size = jury.judge.reference.image_size

    def look(*_, **__):
        held = sys._getframe(1).f_globals
        generator, latent_dim = held["generator"], held["opt"].latent_dim
        buffers = {name: buffer.clone() for name, buffer in generator.named_buffers()}

        def samples():
            random = torch.Generator().manual_seed(FIRST_SEED)
            for _ in range(race.samples // 100):
                made = generator(torch.randn(100, latent_dim, generator=random))
                same = made.shape[2:] == torch.Size(size)
                yield made if same else interpolate(made, tuple(size), mode="bilinear", antialias=True)

        jury.look(held["batches_done"], samples)
        for name, buffer in generator.named_buffers():
            buffer.copy_(buffers[name])

    torchvision.utils.save_image = look
    place = Path(tempfile.mkdtemp(prefix="gan-lab-race-"))
    (place / "data/mnist").mkdir(parents=True)
    (place / "data/mnist/MNIST").symlink_to(data.resolve() / "MNIST")
    (place / "implementations/script").mkdir(parents=True)
    os.chdir(place / "implementations/script")
    sys.argv = [path.name, "--sample_interval", str(LOOK_EVERY)]
    runpy.run_path(str(path), run_name="__main__")


def work_on(options) -> None:
    """What a contender's process does; the words of what it says itself go nowhere."""
    name, contender, seed = options.worker
    race = RACES[name]
    data = [f"dataset.root={options.data}"] if name == "mnist" and options.data else []
    words = [*(race.tutorial if contender == "tutorial" else race.gan_lab), *data]
    jury = Jury(race, words, 60 * options.minutes)
    if contender == "gan-lab":
        gan_lab(race, jury, [*words, *options.words], int(seed))
    elif contender == "tutorial":
        tutorial(race, jury, words, int(seed))
    else:
        path = Path(dict(pair(text) for text in options.script)[contender]).resolve()
        script(path, options.data, race, jury, int(seed))


def pair(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    return (name, path) if path else (Path(name).name, name)


# The race and its report


def run(options, name: str, contender: str, seed: int) -> list[dict]:
    """The looks of one contender: processor seconds, step and figure of each."""
    words = [sys.executable, __file__, "--worker", name, contender, str(seed), "--minutes", str(options.minutes)]
    words += ["--data", str(options.data)] if options.data else []
    for text in options.script:
        words += ["--script", text]
    words += options.words if contender == "gan-lab" else []
    with tempfile.TemporaryDirectory(prefix="gan-lab-race-") as place:  # the jury ends a process without cleaning up
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TMPDIR": place}
        process = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    looks = [json.loads(line) for line in process.stderr.splitlines() if line.startswith('{"seconds"')]
    if process.returncode or not looks:
        raise SystemExit(f"race: {contender} on {name} ended with code {process.returncode}:\n{process.stderr[-2000:]}")
    return looks


def seconds_to(race: Race, looks: list[dict], target: float) -> float | None:
    """The processor seconds at the first look that is good enough; None where none is."""
    return next((look["seconds"] for look in looks if better(race, look["value"], target)), None)


def table(results: list[dict]) -> str:
    """A row for each race, contender and target: every seed's seconds, or those after which it gave up."""
    lines = ["| race | target | contender | seconds, by seed | median |", "|---|---:|---|---|---:|"]
    for name, race in RACES.items():
        for target in race.targets:
            for contender in dict.fromkeys(r["contender"] for r in results if r["race"] == name):
                looks = [r["looks"] for r in results if (r["race"], r["contender"]) == (name, contender)]
                times = [seconds_to(race, each, target) for each in looks]
                ends = [each[-1]["seconds"] for each in looks]
                shown = [f"{t:.0f}" if t else f"> {end:.0f}" for t, end in zip(times, ends, strict=True)]
                middle = median(t or float("inf") for t in times)
                reached = f"by {sum(map(bool, times))} of {len(times)}"
                told = f"{middle:.0f}" if middle < float("inf") else reached
                lines.append(f"| {name} | {target:g} | {contender} | {', '.join(shown)} | {told} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the directory that holds MNIST/raw; without it there is no MNIST")
    parser.add_argument("--script", action="append", default=[], metavar="NAME=FILE", help="of a collection, for MNIST")
    parser.add_argument("--race", action="append", choices=RACES, help=f"of {', '.join(RACES)}; all")
    parser.add_argument("--contender", action="append", help="gan-lab, tutorial or the name of a script; all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=15.0, help="of processor time after which one gives up")
    parser.add_argument("--json", type=Path, help="write every look there; what it holds already is kept")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help="of gan-lab's run, such as trainer.precision=fp32")
    options = parser.parse_args()
    if options.worker:
        work_on(options)
        return
    results = json.loads(options.json.read_text())["results"] if options.json and options.json.exists() else []
    facts = {"processor": f"{cpu_name()} ({', '.join(features())})", "words": options.words, "commit": commit()}
    facts |= {"torch": torch.__version__, "python": platform.python_version()}
    for name in options.race or [each for each in RACES if each != "mnist" or options.data]:
        scripts = [pair(text)[0] for text in options.script] if RACES[name].scripts else []
        for seed in options.seeds:
            for contender in ["gan-lab", "tutorial", *scripts]:
                if options.contender and contender not in options.contender:
                    continue
                print(f"{name}, {contender}, seed {seed}: ", end="", file=sys.stderr, flush=True)
                looks = run(options, name, contender, seed)
                print(f"{looks[-1]['value']:.4g} after {looks[-1]['seconds']:.0f} s", file=sys.stderr, flush=True)
                results.append({"race": name, "contender": contender, "seed": seed, "looks": looks, **facts})
                if options.json:
                    options.json.write_text(json.dumps({"results": results}) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
