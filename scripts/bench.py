"""How fast gan-lab trains, against a textbook loop and against its own bare steps, on this machine.

Every contender is a process of its own, because gan-lab sets the threads and the memory allocator of its process.
They take turns, one at a time, so that what else the machine does hits all of them; ratios are medians over the turns.
Measure on a quiet machine all the same: threads that wait for a core spin, which costs small networks most of all.
"""

import argparse
import atexit
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_lab.config.build import build_game
from gan_lab.config.compose import compose
from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Dataset
from gan_lab.training import assembly, machine, record, session
from gan_lab.training.distributed import World
from gan_lab.training.logbook import Logbook
from gan_lab.training.observers import Reporter, Teller
from gan_lab.training.trainer import Trainer
from gan_lab.training.watch import Diversity, Watch


@dataclass
class Work:
    """What is trained: a shipped model on synthetic images, `steps` rounds at a time."""

    model: str
    images: int
    image_size: int
    channels: int
    steps: int
    target: float | None = None  # gan-lab must be this many times as fast as the textbook loop; null: it has none
    float32: float = 1.0  # and so many times where it, too, computes in float32
    overhead: float = 0.05  # what gan-lab's loop may cost over its bare steps
    textbook_workers: int = 0  # of the DataLoader, as the well-known script of this game has them
    batch_size: int = 64
    overrides: tuple[str, ...] = ()

    @property
    def translates(self) -> bool:
        return self.model in ("pix2pix", "cyclegan")


REUSED = "model.reuse_fakes=true"  # as the loops of these games by their authors do
TRANSLATION = {"channels": 3, "target": 1.3}
SMALL = "model.latent_dim=64", "model.generator.width=16", "model.discriminator.width=16"  # sizes for a CPU
PIX2PIX = TRANSLATION | {"overrides": (REUSED,)}
CYCLEGAN = TRANSLATION | {"overrides": (REUSED, "loss=least_squares")}
WORKS = {
    "gan28": Work("gan", images=60_000, image_size=28, channels=1, steps=100, target=2.0, float32=2.0, overhead=0.1),
    "dcgan32": Work("dcgan", images=50_000, image_size=32, channels=3, steps=20, target=2.2, float32=2.4),
    "dcgan64": Work("dcgan", 10_000, 64, channels=3, steps=10, target=1.6, float32=1.15, textbook_workers=2),
    "pix2pix128-1": Work("pix2pix", images=400, image_size=128, steps=8, batch_size=1, **PIX2PIX),
    "pix2pix128-8": Work("pix2pix", images=400, image_size=128, steps=2, batch_size=8, **PIX2PIX),
    "cyclegan64-1": Work("cyclegan", 400, 64, steps=4, batch_size=1, **CYCLEGAN),
    "cyclegan64-8": Work("cyclegan", 400, 64, steps=1, batch_size=8, **CYCLEGAN),
    "r3gan32": Work("r3gan", 50_000, 32, 3, steps=2, batch_size=32, overrides=("loss=r3gan", *SMALL)),
    "stylegan2-32": Work("stylegan2", 50_000, 32, 3, steps=16, batch_size=32, overrides=("loss=stylegan2", *SMALL)),
    "biggan32": Work("biggan", 50_000, 32, 3, steps=4, batch_size=32, overrides=("loss=hinge", *SMALL)),
}
GPU_WORKS = {  # on a GPU, where small networks wait for the host and large batches do not
    "gan28": Work("gan", 60_000, 28, 1, steps=200, target=3.0, overhead=0.1, textbook_workers=4),
    "gan28-512": Work("gan", 60_000, 28, 1, 100, target=1.0, overhead=0.1, textbook_workers=4, batch_size=512),
    "dcgan32": Work("dcgan", 50_000, 32, 3, steps=100, target=3.0, textbook_workers=4),
    "dcgan64": Work("dcgan", 10_000, 64, 3, steps=100, target=6.0, textbook_workers=4),
    "dcgan64-512": Work("dcgan", 10_000, 64, 3, steps=20, target=1.0, textbook_workers=4, batch_size=512),
    "resnet32": Work("resnet", 50_000, 32, 3, steps=50, target=1.0, textbook_workers=4),
    "cyclegan128": Work("cyclegan", 400, 128, steps=20, batch_size=1, textbook_workers=4, **CYCLEGAN),
}


WORKS_THERE = GPU_WORKS if torch.cuda.is_available() else WORKS  # those of this machine
PEAK_SIZE, PEAK_TIMES = 8192, 20  # of the matrices by which a GPU's peak is taken


# The contenders: each makes a function that takes a number of steps and says by how many seconds it took too few:
# the share of reports that falls to these steps, less those that were made


def textbook(work: Work, resident: bool = False) -> Callable[[int], float]:
    """The loop that tutorials teach: DataLoader, per-image transforms, float32, NCHW, losses read at every step.

    `resident`: fed from images that lie on the device as floats, so that what is left is the loop itself.
    """
    config = configuration(work)
    device = machine.device_of(TrainerSettings(**config["trainer"]))
    steps = {"pix2pix": textbook_pix2pix, "cyclegan": textbook_cyclegan}.get(work.model, textbook_gan)
    batches = resident_batches(work, device) if resident else endless(textbook_loader(work))
    return repeated(steps(work, build_game(config).to(device), batches, device))


def resident_batches(work: Work, device) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of (picture, picture) or (source, picture), in another order in every epoch."""
    arrays = [pixels(work.images, work.image_size, work.channels, seed) for seed in range(1 + work.translates)]
    images, *sources = (torch.from_numpy(a).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1 for a in arrays)
    first = sources[0] if sources else images
    while True:
        order = torch.randperm(len(images), device=device)
        for rows in order.split(work.batch_size)[: len(images) // work.batch_size]:
            yield first[rows], images[rows]


def textbook_loader(work: Work) -> torch.utils.data.DataLoader:
    """Batches of (picture, label), or where pictures are translated of (source, picture)."""
    arrays = [pixels(work.images, work.image_size, work.channels, seed) for seed in range(1 + work.translates)]
    return loader_of(*arrays, batch_size=work.batch_size, workers=work.textbook_workers)


def loader_of(
    arrays: np.ndarray, sources: np.ndarray | None = None, *, batch_size: int, workers: int = 0
) -> torch.utils.data.DataLoader:
    """Pictures [N, H, W, C] as tutorials load them: one by one, as PIL images, through torchvision's transforms."""
    from PIL import Image
    from torchvision import transforms

    statistics = ((0.5,) * arrays.shape[-1],) * 2
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(*statistics)])

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(arrays)

        def __getitem__(self, i):
            picture = self.opened(arrays, i)
            return (picture, 0) if sources is None else (self.opened(sources, i), picture)

        def opened(self, pictures, i):
            return transform(Image.fromarray(pictures[i].squeeze()))

    return torch.utils.data.DataLoader(
        Pictures(), batch_size=batch_size, shuffle=True, drop_last=True, num_workers=workers
    )


def textbook_gan(work: Work, game, batches: Iterator, device) -> Callable[[], tuple]:
    """The loop of the DCGAN tutorial."""
    netG, netD, size = game.generator, game.discriminator, work.batch_size
    if work.model == "dcgan":  # ours would hand channels-last maps to a loop that knows nothing of them
        netG.start.register_forward_pre_hook(lambda module, inputs: inputs[0].contiguous())
    criterion = nn.BCEWithLogitsLoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step():
        real = next(batches)[0].to(device)

        # Update D: maximise log(D(x)) + log(1 - D(G(z)))
        netD.zero_grad()
        label = torch.full((size,), 1.0, device=device)
        errD_real = criterion(netD(real), label)
        errD_real.backward()
        noise = torch.randn(size, game.latent_dim, device=device)
        fake = netG(noise)
        label.fill_(0.0)
        errD_fake = criterion(netD(fake.detach()), label)
        errD_fake.backward()
        optimizerD.step()

        # Update G: maximise log(D(G(z)))
        netG.zero_grad()
        label.fill_(1.0)
        errG = criterion(netD(fake), label)
        errG.backward()
        optimizerG.step()
        return (errD_real + errD_fake).item(), errG.item()

    return step


def textbook_pix2pix(work: Work, game, batches: Iterator, device) -> Callable[[], tuple]:
    """The loop of pix2pix in PyTorch by its authors: one fake for both players, the critic's loss halved."""
    netG, netD = game.generator, game.discriminator
    criterionGAN, criterionL1 = nn.BCEWithLogitsLoss(), nn.L1Loss()
    optimizerG, optimizerD = (torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (netG, netD))

    def against(score, target):
        return criterionGAN(score, torch.full_like(score, target))

    def step():
        real_A, real_B = (part.to(device) for part in next(batches))
        fake_B = netG(real_A)

        # Update D
        netD.requires_grad_(True)
        optimizerD.zero_grad()
        loss_D = (against(netD(fake_B.detach(), real_A), 0.0) + against(netD(real_B, real_A), 1.0)) * 0.5
        loss_D.backward()
        optimizerD.step()

        # Update G
        netD.requires_grad_(False)
        optimizerG.zero_grad()
        loss_G = against(netD(fake_B, real_A), 1.0) + criterionL1(fake_B, real_B) * 100
        loss_G.backward()
        optimizerG.step()
        return loss_D.item(), loss_G.item()

    return step


def textbook_cyclegan(work: Work, game, batches: Iterator, device) -> Callable[[], tuple]:
    """The loop of CycleGAN in PyTorch by its authors: generators first, then critics on fakes from pools of 50."""
    netG_A, netG_B, netD_A, netD_B = game.source_to_image, game.image_to_source, game.critic_image, game.critic_source
    criterionGAN, criterionL1 = nn.MSELoss(), nn.L1Loss()
    generators, critics = ([*a.parameters(), *b.parameters()] for a, b in ((netG_A, netG_B), (netD_A, netD_B)))
    optimizerG, optimizerD = (torch.optim.Adam(p, lr=2e-4, betas=(0.5, 0.999)) for p in (generators, critics))
    pools = {netD_A: [], netD_B: []}

    def against(score, target):
        return criterionGAN(score, torch.full_like(score, target))

    def query(pool, images):
        shown = []
        for image in images.detach():
            if len(pool) < 50:
                pool.append(image)
            elif random.random() > 0.5:
                place = random.randrange(50)
                pool[place], image = image, pool[place]
            shown.append(image)
        return torch.stack(shown)

    def step():
        real_A, real_B = (part.to(device) for part in next(batches))

        # Update both generators
        for critic in (netD_A, netD_B):
            critic.requires_grad_(False)
        fake_B, fake_A = netG_A(real_A), netG_B(real_B)
        optimizerG.zero_grad()
        loss_G = against(netD_A(fake_B), 1.0) + against(netD_B(fake_A), 1.0)
        loss_G = loss_G + 10 * (criterionL1(netG_B(fake_B), real_A) + criterionL1(netG_A(fake_A), real_B))
        loss_G = loss_G + 5 * (criterionL1(netG_A(real_B), real_B) + criterionL1(netG_B(real_A), real_A))
        loss_G.backward()
        optimizerG.step()

        # Update both critics
        said, optimizer = [loss_G.item()], optimizerD
        optimizer.zero_grad()
        for critic, real, fake in ((netD_A, real_B, fake_B), (netD_B, real_A, fake_A)):
            critic.requires_grad_(True)
            loss_D = (against(critic(real), 1.0) + against(critic(query(pools[critic], fake)), 0.0)) * 0.5
            loss_D.backward()
            said.append(loss_D.item())
        optimizer.step()
        return tuple(said)

    return step


def bare(work: Work) -> Callable[[int], float]:
    """gan-lab's turns and nothing else: forward, backward and update on one batch, as one would write them by hand."""
    trainer = assembled(work)
    game, device, amp = trainer.game, trainer.world.device, trainer.amp
    (batch,) = trainer.loader.batch(0)
    losses = {"pix2pix": bare_pix2pix, "cyclegan": bare_cyclegan}.get(work.model, bare_gan)(game, batch, device)

    def step():
        for seat in trainer.seats:
            for other in trainer.seats:
                other.player.requires_grad_(other is seat)
            seat.optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, amp, enabled=amp is not None):
                loss = losses[seat.name]()
            loss.backward()
            seat.optimizer.step()

    game.train()
    return repeated(step)


def bare_gan(game, batch: dict[str, Tensor], device) -> dict[str, Callable[[], Tensor]]:
    """The losses of both players."""
    real = batch["image"]

    def fooled():
        return game.discriminator(game.generator(torch.randn(len(real), game.latent_dim, device=device))).float()

    return {
        "discriminator": lambda: softplus(-game.discriminator(real).float()).mean() + softplus(fooled()).mean(),
        "generator": lambda: softplus(-fooled()).mean(),
    }


def bare_pix2pix(game, batch: dict[str, Tensor], device) -> dict[str, Callable[[], Tensor]]:
    """The losses of both players; the generator moves first and hands its fakes on."""
    source, real, handed = batch["source"], batch["image"], []
    score = lambda image: game.discriminator(image, source).float()

    def generator_loss():
        fake = game.generator(source)
        handed.append(fake.detach())
        return softplus(-score(fake)).mean() + 100 * (fake.float() - real).abs().mean()

    return {
        "discriminator": lambda: softplus(-score(real)).mean() + softplus(score(handed.pop())).mean(),
        "generator": generator_loss,
    }


def bare_cyclegan(game, batch: dict[str, Tensor], device) -> dict[str, Callable[[], Tensor]]:
    """The losses of both players, without pools; the generators move first and hand their fakes on."""
    source, image, forth, back = batch["source"], batch["image"], game.source_to_image, game.image_to_source
    handed = []
    away = lambda a, b: (a.float() - b).abs().mean()
    miss = lambda score, target: (score.float() - target).square().mean()

    def generator_loss():
        fake_image, fake_source = forth(source), back(image)
        handed.append((fake_image.detach(), fake_source.detach()))
        fooling = miss(game.critic_image(fake_image), 1) + miss(game.critic_source(fake_source), 1)
        cycle = away(back(fake_image), source) + away(forth(fake_source), image)
        return fooling + 10 * cycle + 5 * (away(back(source), source) + away(forth(image), image))

    def discriminator_loss():
        fake_image, fake_source = handed.pop()
        pairs = (game.critic_image, image, fake_image), (game.critic_source, source, fake_source)
        return 0.5 * sum(miss(critic(real), 1) + miss(critic(fake), 0) for critic, real, fake in pairs)

    return {"discriminator": discriminator_loss, "generator": generator_loss}


def loop(work: Work, *overrides: str) -> Callable[[int], float]:
    """What `gan-lab train` runs, with reports to TensorBoard and on the screen, without pictures and checkpoints."""
    trainer = assembled(work, *overrides)
    settings = TrainerSettings(batch_size=work.batch_size)
    every = settings.log_every
    folder = Path(tempfile.mkdtemp(prefix="gan-lab-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    book = Logbook(folder)
    teller = Teller(every, None, book)
    batch = assembly.fixed_batch(trainer.loader.dataset, session.watched(settings), trainer.world.device)
    watch = Watch(folder, diversity=Diversity(batch), book=book, say=teller.say)
    observers = [Clocked(Reporter(every, book, watch)), Clocked(teller)]

    def steps(count):
        for observer in observers:
            observer.taken.clear()
        trainer.total = trainer.step + count
        trainer.run(observers)
        return sum((count / every - len(told)) * sum(told) / len(told) for told in (o.taken for o in observers))

    return steps


class Clocked:
    """An observer whose seconds are taken. The end of a run is reported, too, so short stretches report too often."""

    def __init__(self, observer):
        self.observer, self.every, self.taken = observer, observer.every, []

    def tell(self, trainer) -> None:
        started = time.perf_counter()
        self.observer.tell(trainer)
        wait_for_device()
        self.taken.append(time.perf_counter() - started)


CONTENDERS = {
    "textbook": textbook,
    **({"textbook, resident data": lambda work: textbook(work, resident=True)} if torch.cuda.is_available() else {}),
    "gan-lab": loop,
    f"gan-lab, {REUSED}": lambda work: loop(work, REUSED),
    "bare steps": bare,
}


# What they are made of


class Synthetic(Dataset):
    """Labelled images of random bytes; with `source_channels` each has a source, too."""

    paired = True

    def __init__(self, images: int, image_size: int, channels: int, source_channels: int | None = None):
        labels, classes = torch.arange(images) % 10, [str(i) for i in range(10)]
        super().__init__(channels, (image_size, image_size), labels, classes, source_channels=source_channels)
        self.pixels = torch.from_numpy(pixels(images, image_size, channels))
        self.sources = torch.from_numpy(pixels(images, image_size, source_channels, 1)) if source_channels else None

    def __len__(self) -> int:
        return len(self.pixels)

    def load(self) -> dict[str, Tensor]:
        return {"image": self.pixels, "label": self.labels} | ({"source": self.sources} if self.source_channels else {})


def pixels(images: int, image_size: int, channels: int, seed: int = 0) -> np.ndarray:
    shape = (images, image_size, image_size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def configuration(work: Work, *overrides: str) -> dict:
    """The shipped configuration of a work, on synthetic images instead of those that it would download."""
    stand_in = {1: "mnist", 3: "cifar10"}[work.channels]
    size = f"dataset.image_size={work.image_size}"
    words = [size, f"trainer.batch_size={work.batch_size}", *work.overrides, *overrides]
    config = compose([f"model={work.model}", f"dataset={stand_in}", *words])
    facts = {"images": work.images, "image_size": work.image_size, "channels": work.channels}
    facts |= {"source_channels": work.channels} if work.translates else {}
    return {**config, "dataset": {"_target_": "bench.Synthetic", **facts}, "trust": ["bench"]}


def assembled(work: Work, *overrides: str) -> Trainer:
    config = configuration(work, *overrides)
    settings = TrainerSettings(**config["trainer"])
    device = machine.device_of(settings)
    machine.tune_process(settings, device, 1)
    return assembly.assemble(config, settings, World(0, 1, device))[0]


def endless(loader) -> Iterator:
    while True:
        yield from loader


def repeated(step: Callable) -> Callable[[int], float]:
    def steps(count):
        for _ in range(count):
            step()
        return 0.0

    return steps


# The processes


def work_on(contender: str, name: str, words: list[str]) -> None:
    """What a contender's process does: build, warm up, then take steps and print the seconds for each line it reads."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what the loop says on the screen
    work = WORKS_THERE[name]
    steps = CONTENDERS[contender](replace(work, overrides=(*work.overrides, *words)))
    steps(work.steps)
    answers.write("ready\n")
    answers.flush()
    for _ in sys.stdin:
        wait_for_device()
        started = time.perf_counter()
        due = steps(work.steps)
        host = time.perf_counter() - started
        wait_for_device()
        answers.write(f"{time.perf_counter() - started + due} {host}\n")
        answers.flush()


def wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Process:
    """A contender in a process of its own."""

    def __init__(self, contender: str, name: str, words: list[str]):
        command = [sys.executable, __file__, "--worker", contender, name, *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.contender = contender

    def seconds(self) -> tuple[float, float]:
        """The seconds of one turn, and those after which the host was through with it."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        one, host = self.answer().split()
        return float(one), float(host)

    def answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: the contender {self.contender!r} ended with code {self.process.wait()}")
        return line

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(name: str, repetitions: int, words: list[str]) -> list[dict]:
    """A row for each contender of one work."""
    print(f"{name}: ", end="", file=sys.stderr, flush=True)
    work = WORKS_THERE[name]
    doubled = f"gan-lab, {REUSED}" if REUSED in work.overrides else None
    chosen = [contender for contender in CONTENDERS if contender != doubled] if work.target else ["gan-lab"]
    if torch.cuda.is_available():  # there are cores enough to start side by side
        processes = [Process(contender, name, words) for contender in chosen]
        for process in processes:
            process.answer()
    else:
        processes = []
        for contender in chosen:
            processes.append(Process(contender, name, words))
            processes[-1].answer()
    seconds, hosts = ({process.contender: [] for process in processes} for _ in range(2))
    for _ in range(repetitions):
        for process in processes:
            one, host = process.seconds()
            seconds[process.contender].append(one)
            hosts[process.contender].append(host)
        print(".", end="", file=sys.stderr, flush=True)
    for process in processes:
        process.end()
    print(file=sys.stderr)

    # Compare turns that stand side by side
    def ratio(one, other):
        return median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))

    images = work.batch_size * work.steps
    rows = []
    for contender, times in seconds.items():
        row = {"work": name, "contender": contender, "images_per_second": images / median(times)}
        row |= {"seconds": times} | ({"ratio": ratio("textbook", contender)} if work.target else {})
        row |= {"host_ms": 1000 * median(hosts[contender]) / work.steps}
        if contender == "gan-lab" and work.target:
            row |= {"target": work.float32 if in_float32(words) else work.target}
            row |= {"overhead": ratio("gan-lab", "bare steps") - 1, "largest_overhead": work.overhead}
        rows.append(row)
    return rows


# The report


def in_float32(words: list[str]) -> bool:
    """Whether gan-lab computes in float32 here, as the textbook does."""
    settings = TrainerSettings(**compose(words)["trainer"])
    return machine.precision(settings, machine.device_of(settings)) is None


def this_machine(words: list[str]) -> dict:
    """What the figures hold for."""
    settings = TrainerSettings(**compose(words)["trainer"])
    device = machine.device_of(settings)
    facts = {"device": torch.cuda.get_device_name(), "peak": f"{peak():.0f} TFLOP/s"} if device.type == "cuda" else {}
    return facts | {
        "processor": f"{cpu_name()} ({', '.join(features()) or 'no half precision'})",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load before": round(os.getloadavg()[0], 1),  # above 0.3 or so, something else is running too
        "precision": machine.precision_name(machine.precision(settings, device)),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit(),
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def features() -> list[str]:
    """What a processor has for half precision and wide vectors."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().partition("flags")[2].partition("\n")[0].split()) if info.exists() else set()
    return [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_fp16") if name in flags]


def peak() -> float:
    """The TFLOP/s at which a GPU multiplies large matrices in bfloat16."""
    a, b = (torch.randn(PEAK_SIZE, PEAK_SIZE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    wait_for_device()
    started = time.perf_counter()
    for _ in range(PEAK_TIMES):
        a @ b
    wait_for_device()
    return 2 * PEAK_SIZE**3 * PEAK_TIMES / (time.perf_counter() - started) / 1e12


def flops_per_image(name: str, images: int = 8) -> float:
    """Of the second of two rounds, with all its turns, on a CPU."""
    from torch.utils.flop_counter import FlopCounterMode

    work = WORKS_THERE[name]
    many = min(images, work.batch_size)
    words = "trainer.device=cpu", "trainer.precision=fp32", f"trainer.batch_size={many}"
    trainer = assembled(work, *words)
    trainer.round()
    with FlopCounterMode(display=False) as counter:
        trainer.round()
    return counter.get_total_flops() / many


def commit() -> str:
    """The commit that is measured, with a + if files differ from it."""
    state = record.git_state()
    return state["commit"][:12] + "+" * state["dirty"] if state else "unknown"


def table(rows: list[dict]) -> str:
    lines = [
        "| work | contender | images/s | x textbook | target | loop over bare | target | host, ms a round | of peak |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        speed = row["images_per_second"]
        cells = [row["work"], row["contender"], f"{speed:,.{0 if speed >= 100 else 1}f}"]
        cells.append(f"{row['ratio']:.2f}" if "ratio" in row else "")
        if "target" in row:
            cells += [f"{row['target']:g}", f"{row['overhead']:+.1%}", f"{row['largest_overhead']:+.0%}"]
        else:
            cells += [""] * 3
        cells += [f"{row['host_ms']:.2f}", f"{row['of_peak']:.1%}" if "of_peak" in row else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def missed(rows: list[dict]) -> list[str]:
    """What falls short of its target, in sentences."""
    found = []
    for row in (row for row in rows if "target" in row):
        if row["ratio"] < row["target"]:
            found.append(f"{row['work']}: {row['ratio']:.2f} times the textbook loop, not {row['target']}")
        if row["overhead"] > row["largest_overhead"]:
            found.append(f"{row['work']}: the loop costs {row['overhead']:.1%}, not {row['largest_overhead']:.0%}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 repetitions instead of 9")
    parser.add_argument("--only", action="append", choices=WORKS_THERE, metavar="WORK", help=", ".join(WORKS_THERE))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine, figures and every single time there")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help="of gan-lab's own contenders, such as trainer.precision=fp32")
    options = parser.parse_args()
    if options.worker:
        return work_on(*options.worker, options.words)

    # Measure one work after the other
    facts, rows = this_machine(options.words), []
    for name in options.only or WORKS_THERE:
        rows += measure(name, 3 if options.quick else 9, options.words)
        if "peak" in facts:
            each, most = flops_per_image(name), float(facts["peak"].split()[0])
            for row in (row for row in rows if row["work"] == name):
                row["of_peak"] = row["images_per_second"] * each / most / 1e12
        if options.json:  # as it goes: who is stopped leaves what was measured
            options.json.write_text(json.dumps({"machine": facts, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    print(", ".join(f"{name} {value}" for name, value in facts.items()), end="\n\n")
    print(table(rows))

    # Say what is missed
    short = missed(rows)
    print("\n" + ("\n".join(f"missed: {reason}" for reason in short) or "every target is met"))
    return 1 if options.check and short else 0


if __name__ == "__main__":
    sys.exit(main())
