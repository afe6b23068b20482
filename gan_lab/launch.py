"""One process, spawned workers or torchrun: where a configuration becomes a run."""

import ctypes
import errno
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import torch

from gan_lab import __version__, checkpoint, compat
from gan_lab.build import build_dataset, build_game, build_optimizer, build_turns, tell
from gan_lab.datasets import Dataset
from gan_lab.distributed import World, joined
from gan_lab.ema import Ema
from gan_lab.errors import CheckpointError, ConfigError, DivergedError, GanLabError, ResourceError
from gan_lab.loader import Loader
from gan_lab.logbook import Logbook, Painter, Reporter, Saver, Teller, duration, memory
from gan_lab.models import Game
from gan_lab.player import Player, Seat
from gan_lab.settings import Trainer as Settings
from gan_lab.trainer import Trainer, rate_of

# Entry points


def train(config: dict, run_dir: Path, overrides: list[str] = (), *, resume: bool = False) -> dict:
    """Train what `config` (plain and resolved) describes in `run_dir`, and return its summary."""
    run_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings(**config["trainer"])
    with locked(run_dir):
        checkpoint.sweep(run_dir / "checkpoints")
        record(config, run_dir, overrides)
        if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
            return under_torchrun((config, str(run_dir), resume))
        size = device_count(settings)
        if size > 1:
            return spawned(config, run_dir, resume, size)
        return play(config, run_dir, World(0, 1, device_of(settings)), resume)


def follow() -> dict:
    """Take part in a run under torchrun as a rank other than the first, which has the configuration."""
    return under_torchrun(None)


def dry_run(config: dict) -> None:
    """Compose, build and take two steps on the real data; print what a run would be, and write nothing."""
    settings = Settings(**config["trainer"])
    tune_process(settings, 1)
    trainer, dataset = assemble(config, World(0, 1, device_of(settings)))
    seconds = rehearse(trainer, rounds=2)
    game = trainer.game
    print(opening(config, trainer, dataset, seconds))
    print(f"\n{'network':<24}{'player':<16}{'parameters':>12}")
    for player, networks in game.players.items():
        for name in networks:
            count = sum(p.numel() for p in getattr(game, name).parameters())
            print(f"{name:<24}{player:<16}{count:>12,}")
    for name, guest in game.guests.items():
        print(f"{name:<24}{'guest, frozen':<16}{sum(p.numel() for p in guest.parameters()):>12,}")
    state = sum(t.numel() * t.element_size() for t in tensors(trainer.state_dict()))
    peak = ", ".join(
        f"{name.split('/')[1].removesuffix('_mib')} {mib:,.0f} MiB"
        for name, mib in memory(trainer.world.device).items()
    )
    print(f"\ndata: {dataset.nbytes / 2**20:,.0f} MiB; peak memory of two steps: {peak}")
    print(f"disk: {settings.keep_checkpoints} checkpoints of {state / 2**20:,.1f} MiB")
    print("Nothing was written. Leave out --dry-run to train.")


# Ranks


def under_torchrun(mine: tuple | None) -> dict:
    """Join the group that torchrun made; the first rank tells the others what to play and where."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    with joined(rank, size, device) as world:
        config, run_dir, resume = world.broadcast(mine)
        return play(config, Path(run_dir), world, resume)


def spawned(config: dict, run_dir: Path, resume: bool, size: int) -> dict:
    """Train with `size` processes on this machine, one for each device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    context = torch.multiprocessing.get_context("spawn")
    said = context.SimpleQueue()
    workers = [
        context.Process(target=work, args=(rank, size, config, str(run_dir), resume, said)) for rank in range(size)
    ]
    with signals(lambda number: [os.kill(w.pid, number) for w in workers if w.is_alive()], forward=signal.SIGTERM):
        for worker in workers:
            worker.start()
        died = None
        while any(w.is_alive() for w in workers):
            time.sleep(0.1)
            if died is None and any(w.exitcode for w in workers):
                died = time.monotonic()
            if died is not None and time.monotonic() - died > 10:  # the others wait for a rank that is gone
                for worker in workers:
                    worker.kill()
    results = []
    while not said.empty():
        results.append(said.get())
    for result in results:
        if isinstance(result, GanLabError):
            raise result
    codes = [w.exitcode for w in workers]
    if any(codes):
        reason = next((r for r in results if isinstance(r, str)), "")
        raise GanLabError(
            f"Rank {next(i for i, c in enumerate(codes) if c)} ended with code {codes}.\n{reason}".strip()
        )
    return next(r for r in results if isinstance(r, dict))


def work(rank, size, config, run_dir, resume, said):
    """What a spawned process does."""
    device = device_of(Settings(**config["trainer"]))
    device = torch.device("cuda", rank) if device.type == "cuda" else device
    try:
        with joined(rank, size, device) as world:
            summary = play(config, Path(run_dir), world, resume)
        if rank == 0:
            said.put(summary)
    except GanLabError as error:
        said.put(error)
        sys.exit(error.exit_code)
    except Exception:
        said.put(traceback.format_exc())
        sys.exit(1)


# One rank's run


def play(config: dict, run_dir: Path, world: World, resume: bool) -> dict:
    """Assemble a run on this rank, train it, and close its books whatever happens."""
    settings = Settings(**config["trainer"])
    tune_process(settings, world.size)
    say = print if world.first else lambda *_: None
    trainer, dataset = assemble(config, world)

    # Pick up where a checkpoint left off, or see how long a step takes here
    if resume:
        restore(trainer, checkpoint.load_newest(run_dir / "checkpoints", say=say))
        if trainer.progress >= 1:
            raise ConfigError(
                f"The run is complete at step {trainer.step}. To go on, give it more: trainer.steps={2 * trainer.step}."
            )
        seconds = trainer.seconds / max(1, trainer.step)
    else:
        seconds = rehearse(trainer) if world.size == 1 else None
    say(opening(config, trainer, dataset, seconds), flush=True) if world.first else None

    # Set the observers at the table
    saver = Saver(settings.checkpoint_every, run_dir / "checkpoints", settings.keep_checkpoints, world, None)
    if not world.first:
        observers = [Reporter(settings.log_every, None, say), saver]
        with signals(lambda number: setattr(trainer, "stopping", True)):
            trainer.run(observers)
        return {}
    facts = {"device": str(world.device), "devices": world.size, "precision": precision_name(trainer.amp)}
    book = Logbook(run_dir, step=trainer.step, facts={**facts, "version": __version__, "name": config["run"]["name"]})
    teller = Teller(settings.log_every, trainer.total, book)
    saver.book = book
    reporter = Reporter(settings.log_every, book, teller.say)
    painter = Painter(
        settings.sample_every, book, dataset, fixed_batch(dataset, settings.samples, world.device), settings.samples
    )
    received = []

    def stop(number):
        received.append(number)
        trainer.stopping = True

    status = "failed"
    try:
        if not resume:
            book.text("config", "```\n" + (run_dir / "config.yaml").read_text() + "```")
        with signals(stop):
            trainer.run([reporter, painter, saver, teller])
        status = "stopped" if received else "finished"
    except DivergedError:
        status = "diverged"
        raise
    except (torch.OutOfMemoryError, MemoryError, RuntimeError, OSError) as error:
        raise translated(error, settings) from error
    finally:
        teller.close()
        book.summarise(status=status, step=trainer.step, images=trainer.images, seconds=round(trainer.seconds, 2))
        book.close()
    if received:
        book.summarise(signal=received[0])
        say(f"Stopped at step {trainer.step} and saved. To go on: gan-lab resume {shown(run_dir)}")
    else:
        say(closing(run_dir, trainer))
    return book.summary


def assemble(config: dict, world: World) -> tuple[Trainer, Dataset]:
    """The dataset, the game and the trainer of a configuration, on this rank's device; complaints come first."""
    settings = Settings(**config["trainer"])
    dataset = build_dataset(config)
    game = build_game(config)
    tell(compat.complaints(compat.Parts(dataset, game, settings, config["optimizer_overrides"], world.size)))
    if world.first:
        print(f"{config['run']['name']}: {dataset.describe()}", flush=True)
    layout = torch.channels_last if settings.channels_last else torch.preserve_format
    try:
        game = game.to(world.device, memory_format=layout)
        loader = Loader(
            dataset,
            settings.batch_size,
            accumulate=settings.accumulate,
            seed=config["seed"],
            device=world.device,
            rank=world.rank,
            world_size=world.size,
            resident=is_resident(settings, dataset, world.device),
            workers=settings.workers,
        )
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise translated(error, settings) from error
    if settings.compile:
        for network in {n for networks in game.players.values() for n in networks}:
            getattr(game, network).compile()
    ema = Ema(game, settings.ema_half_life_images, settings.ema_ramp)
    amp = precision(settings, world.device)
    turns = build_turns(game, settings)
    trainer = Trainer(
        game,
        [seat(config, settings, game, name, world, amp) for name in game.players],
        loader,
        ema,
        turns=turns,
        total=total_steps(settings, loader, turns),
        max_seconds=settings.max_minutes * 60 if settings.max_minutes else None,
        rate=rate_of(settings.schedule, settings.decay_from, settings.warm_up_steps),
        amp=amp,
        ema_every=settings.ema_every,
        seed=config["seed"],
        world=world,
    )
    return trainer, dataset


def seat(config, settings, game: Game, name: str, world: World, amp) -> Seat:
    player = Player(name, game)
    optimizer = build_optimizer(config, name, list(player.parameters()))
    scaler = torch.amp.GradScaler(world.device.type, enabled=amp == torch.float16)
    clip = settings.clip.get(name) if isinstance(settings.clip, dict) else settings.clip
    return Seat(name, player, world.wrap(player), optimizer, scaler, clip)


def total_steps(settings, loader, turns) -> int | None:
    """Steps by the nearer of `steps` and `epochs`; epochs are counted as the players with most turns see them."""
    bounds = [settings.steps] if settings.steps else []
    if settings.epochs:
        step, batches, wanted = 0, 0, settings.epochs * loader.batches_per_epoch
        while batches < wanted:
            batches += max(turn(step) for turn in turns.values())
            step += 1
        bounds.append(step)
    return min(bounds, default=None)


def restore(trainer: Trainer, state: dict) -> None:
    """Put a trainer where a checkpoint left off; CheckpointError if it is of another configuration."""
    try:
        trainer.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError) as error:
        first = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise CheckpointError(f"The checkpoint does not fit this configuration: {first}") from error


def rehearse(trainer: Trainer, rounds: int = 3) -> float:
    """Seconds of one round, measured on the real data; the trainer is afterwards as it was before."""
    before = clone(trainer.state_dict())
    trainer.game.train()
    times = []
    try:
        for _ in range(rounds):
            started = time.perf_counter()
            trainer.round()
            if trainer.world.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise translated(error, None) from error
        if "shape" in str(error) or "size" in str(error):
            raise ConfigError(f"The parts do not fit together: {str(error).splitlines()[0]}") from error
        raise
    trainer.report()
    for seat_ in trainer.seats:
        seat_.report()
    trainer.load_state_dict(before)
    return min(times[1:])


def clone(state):
    if isinstance(state, dict):
        return {k: clone(v) for k, v in state.items()}
    if isinstance(state, list):
        return [clone(v) for v in state]
    return state.clone() if isinstance(state, torch.Tensor) else state


def tensors(state):
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict | list | tuple):
        for value in state.values() if isinstance(state, dict) else state:
            yield from tensors(value)


def fixed_batch(dataset: Dataset, count: int, device) -> dict:
    """The same real samples at every preview."""
    chosen = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:count]
    rows = {name: values.to(device) for name, values in dataset.rows(chosen).items()}
    return dataset.prepare(rows, torch.zeros(len(chosen), dtype=torch.int64, device=device))


# Device, precision, memory


def device_of(settings: Settings) -> torch.device:
    """The device that the settings ask for; raises ResourceError if it is not there."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(settings.device)
    except RuntimeError:
        raise ConfigError(f"trainer.device={settings.device} is not known; choose auto, cpu, cuda or cuda:0.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ResourceError("trainer.device=cuda: this machine has no CUDA device. Set trainer.device=cpu, or auto.")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"trainer.device={settings.device} is not supported; choose auto, cpu, cuda or cuda:0.")
    return device


def device_count(settings: Settings) -> int:
    """How many processes to train with."""
    device = device_of(settings)
    there = torch.cuda.device_count() if device.type == "cuda" else (os.cpu_count() or 1)
    if settings.devices == "auto":
        return there if device.type == "cuda" else 1
    if settings.devices > there:
        raise ResourceError(
            f"trainer.devices={settings.devices}: this machine has {there} ({device.type}). "
            f"Set trainer.devices={there}."
        )
    return settings.devices


def precision(settings: Settings, device: torch.device) -> torch.dtype | None:
    """The autocast type: None is float32. `auto` takes bfloat16 where the device has it natively."""
    if settings.precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[settings.precision]


def precision_name(amp):
    return {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[amp]


def is_resident(settings: Settings, dataset: Dataset, device: torch.device) -> bool:
    """Whether the whole dataset lies on the device: where it takes less than half of the free memory."""
    if settings.placement != "auto":
        return settings.placement == "resident"
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4 << 30
    return dataset.nbytes < free / 2


def tune_process(settings: Settings, size: int) -> None:
    """Threads, kernels and memory of this process; asked for once."""
    if settings.threads or size > 1:
        torch.set_num_threads(settings.threads or max(1, (os.cpu_count() or 1) // size))
    torch.backends.cudnn.benchmark = not settings.deterministic
    if settings.deterministic and torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if platform.libc_ver()[0] == "glibc":
        # Keep the memory of activations instead of mapping it anew at every step (mallopt(3))
        libc = ctypes.CDLL(None)
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
            libc.mallopt(parameter, value)


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


# The run directory


def record(config: dict, run_dir: Path, overrides) -> None:
    """Write what made the run: configuration, overrides (those of a resumed run below), versions and git state."""
    import yaml

    checkpoint.write_text(run_dir / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    with (run_dir / "overrides.txt").open("a", encoding="utf-8") as file:
        file.writelines(f"{override}\n" for override in overrides)
    facts = {
        "gan_lab": __version__,
        "git": git_state(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    checkpoint.write_text(run_dir / "environment.json", json.dumps(facts, indent=2) + "\n")


def git_state() -> dict | None:
    """Commit and dirt of the repository that gan-lab runs from; None where it is installed from a wheel."""
    here = Path(__file__).parent

    def git(*words):
        done = subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        commit = git("rev-parse", "HEAD") if (here.parent / ".git").exists() else None
        return {"commit": commit, "dirty": bool(git("status", "--porcelain"))} if commit else None
    except FileNotFoundError:
        return None


@contextmanager
def locked(run_dir: Path):
    """Hold the run directory for this process; raises ConfigError if another one holds it."""
    if os.name == "nt":  # Windows has no flock
        yield
        return
    import fcntl

    with (run_dir / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise ConfigError(
                f"{shown(run_dir)} is in use by {file.read().strip() or 'another process'}. "
                "Wait for it, or stop it first."
            ) from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


@contextmanager
def signals(stop, forward: int | None = None):
    """Call `stop(number)` at the first SIGINT or SIGTERM; a second one ends the process at once."""
    seen = []

    def handle(number, frame):
        if seen:
            os._exit(128 + number)
        seen.append(number)
        stop(forward or number)

    try:
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, as in a notebook: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def translated(error: Exception, settings: Settings | None) -> Exception:
    """Out of memory and disk as a sentence; any other error as it is."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        now = f" (now {settings.batch_size})" if settings else ""
        return ResourceError(
            f"Out of memory. Set a smaller trainer.batch_size{now}, keep the effective batch with "
            "trainer.accumulate=2, or set trainer.precision=bf16 or trainer.placement=streamed."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError("The disk is full. Free some space, then `gan-lab resume` the run.")
    return error


# What a run says


def opening(config: dict, trainer: Trainer, dataset: Dataset, seconds: float | None) -> str:
    """One line: what the run will do, and about how long it will take here."""
    settings = Settings(**config["trainer"])
    world = trainer.world
    place = "resident" if trainer.loader.resident else "streamed"
    threads = f", {torch.get_num_threads()} threads" if world.device.type == "cpu" else ""
    devices = f"{world.size} x {world.device.type}" if world.size > 1 else str(world.device)
    goal = f"{trainer.total:,} steps" if trainer.total else f"{settings.max_minutes:g} minutes"
    if trainer.step:
        goal = f"step {trainer.step:,} to {goal}"
    how = f"{precision_name(trainer.amp)}{threads}, {place} data"
    line = f"Training for {goal} of {trainer.loader.images} images on {devices} ({how})"
    if seconds is None or not trainer.total:
        return line + "."
    left = seconds * (trainer.total - trainer.step)
    left = min(left, trainer.max_seconds - trainer.seconds) if trainer.max_seconds else left
    line += f": about {duration(left)} here."
    return line + (" For a shorter look: trainer.max_minutes=5" if left > 600 else "")


def closing(run_dir: Path, trainer: Trainer) -> str:
    """Where to look and what to type next."""
    place = shown(run_dir)
    grids = sorted((run_dir / "samples").glob("step-*.png"))
    lines = [
        f"Finished: {trainer.step:,} steps, {trainer.images:,} images in {duration(trainer.seconds)}.",
        f"  samples      {shown(grids[-1])}" if grids else "",
        f"  the training {shown(run_dir / 'progress.gif')}" if grids else "",
        f"  curves       tensorboard --logdir {shown(run_dir.parent)}",
        f"  more samples gan-lab sample {place}",
        f"  train on     gan-lab resume {place} trainer.steps={2 * trainer.step}",
    ]
    return "\n".join(line for line in lines if line)


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    try:
        path = path.resolve().relative_to(Path.cwd())
    except ValueError:
        path = path.resolve()
    return f"'{path}'" if " " in str(path) else str(path)
