"""One rank's run from a configuration to its last word: assembled, rehearsed, trained and written down."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from gan_lab import __version__, checkpoint, compat
from gan_lab.build import build_dataset, build_game, build_optimizer, build_turns, tell
from gan_lab.choices import shown, typed
from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen
from gan_lab.distributed import World
from gan_lab.ema import Ema
from gan_lab.errors import CheckpointError, ConfigError, DivergedError, fault_in
from gan_lab.evaluator import evaluator_of
from gan_lab.hparams import main_settings
from gan_lab.loader import Loader
from gan_lab.logbook import Logbook, Painter, Reporter, Saver, Spared, Teller, attempted, duration, memory, waiting
from gan_lab.machine import (
    device_count,
    device_of,
    is_resident,
    precision,
    precision_name,
    signals,
    translated,
    tune_process,
)
from gan_lab.models import Game
from gan_lab.nested import with_known
from gan_lab.player import Player, Seat
from gan_lab.record import record
from gan_lab.schedule import rate_of
from gan_lab.settings import Trainer as Settings
from gan_lab.stored import counted
from gan_lab.trainer import Trainer
from gan_lab.transfer import start_from
from gan_lab.watch import SYMPTOMS, Diversity, Watch

FEW_STEPS = 1000  # below which pictures show nothing, as a rule
SLOW = 10.0  # seconds after which a rehearsal has seen enough
LONG = 36 * 3600  # seconds that nobody waits for without having been asked
WATCHED = (8, 64)  # samples whose diversity the watch looks at, at least and at most


def play(config: dict, run_dir: Path, world: World, resume: bool, overrides: Sequence[str] = ()) -> dict:
    """Assemble a run on this rank, train it, and close its books whatever happens."""
    settings = Settings(**config["trainer"])
    tune_process(settings, world.device, world.size)
    say = print if world.first else lambda *_: None
    trainer, dataset = assemble(config, world)

    # Pick up where a checkpoint left off, or see how long a step takes here
    if resume:
        state = checkpoint.load_newest(run_dir / "checkpoints", say=say)
        restore(trainer, state)
        memory = state.get("memory", {})  # none in checkpoints from before it was kept
        if trainer.progress >= 1:
            raise ConfigError(
                f"The run is complete at step {trainer.step}. To go on, give it more: {more(trainer, settings)}."
            )
        say(jump(trainer, settings)) if jump(trainer, settings) else None
        seconds = trainer.seconds / max(1, trainer.step)
    else:
        say(start_from(trainer, settings.init_from)) if settings.init_from else None
        seconds = rehearse(trainer) if world.size == 1 else None
    say(opening(config, trainer, dataset, seconds), flush=True) if world.first else None

    # Set the observers at the table
    saver = Saver(settings.checkpoint_every, run_dir / "checkpoints", settings.keep_checkpoints, world, None)
    if not world.first:
        watch = Watch(saver.folder, settings.on_divergence, symptoms=(), say=say)
        with signals(lambda number: setattr(trainer, "interrupted", True)):
            watch.recall(trainer, memory) if resume else begin(trainer, saver, settings)
            watch.attend(trainer, [Reporter(settings.log_every, None, watch), saver])
            save_cut(trainer, saver)
        return {}
    with waiting("Preparing the evaluation"):
        evaluator = evaluator_of(config, settings, dataset, world.device)
    record(config, run_dir, overrides, dataset)
    facts = {"device": str(world.device), "devices": world.size, "precision": precision_name(trainer.amp)}
    book = Logbook(run_dir, step=trainer.step, facts={**facts, "version": __version__, "name": config["run"]["name"]})
    teller = Teller(settings.log_every, trainer.total, book)
    book.summary.pop("stopped_early", None)
    saver.book = book
    watch = Watch(
        saver.folder,
        settings.on_divergence,
        symptoms=SYMPTOMS if settings.watch else (),
        diversity=Diversity(fixed_batch(dataset, watched(settings), world.device)),
        book=book,
        say=teller.say,
    )
    saver.say, saver.memory = teller.say, lambda trainer: watch.memory(trainer) | book.memory()
    reporter = Reporter(settings.log_every, book, watch, teller.say)
    painter = Painter(
        settings.sample_every, book, dataset, fixed_batch(dataset, settings.samples, world.device), settings.samples
    )
    shows = [Spared(painter, "Drawing samples", teller.say)]
    if evaluator:
        evaluator.book, evaluator.say = book, teller.say
        shows.append(Spared(evaluator, "Evaluating samples", teller.say))
    observers = [reporter, saver, *shows, teller]  # saved before what may fail, or take long
    received = []

    def stop(number):
        received.append(number)
        trainer.interrupted = True

    status = "failed"
    try:
        if not resume:
            book.text("config", "```\n" + (run_dir / "config.yaml").read_text(encoding="utf-8") + "```")
            book.begin(main_settings(config, run_dir), evaluator.judge.names if evaluator else ())
        teller.follow(trainer)
        with signals(stop):
            if resume:
                watch.recall(trainer, memory)
                book.recall(memory, trainer.step)
                catch_up(trainer, shows, book)
            else:
                begin(trainer, saver, settings)
            watch.attend(trainer, observers)
            save_cut(trainer, saver)
        status = "stopped" if received else "finished"
        book.end(trainer.step) if status == "finished" else None
    except DivergedError:
        status = "diverged"
        raise
    except (torch.OutOfMemoryError, MemoryError, RuntimeError, OSError) as error:
        raise translated(error, settings) from error
    finally:
        teller.close()
        if evaluator:
            book.summary["judging_share"] = round(evaluator.share, 4)
        last = {"step": trainer.step, "images": trainer.images, "seconds": round(trainer.seconds, 2)}
        last |= {"signal": received[0]} if received else {}
        attempted(lambda: book.summarise(status=status, **last), lambda error: say(f"No summary is written: {error}."))
        book.close()
    if received:
        say(f"Stopped at step {trainer.step} and saved. To go on: {typed('gan-lab')} resume {shown(run_dir)}")
    else:
        say(closing(run_dir, trainer, settings, evaluator.share if evaluator else 0.0))
    return book.summary


def begin(trainer: Trainer, saver: Saver, settings: Settings) -> None:
    """Save the state that a run begins with, where a rollback may come before the first checkpoint is due."""
    if settings.on_divergence == "rollback":
        saver.tell(trainer)


def save_cut(trainer: Trainer, saver: Saver) -> None:
    """Save where a run was interrupted, unless that was done in its turn."""
    if trainer.cut and saver.last != trainer.step:
        saver.tell(trainer)


def catch_up(trainer: Trainer, shows: Sequence[Spared], book: Logbook) -> None:
    """Let be drawn and evaluated what was due at the step of the checkpoint: the run may have ended before it was.

    An evaluation is made again in any case, since it may have asked the run to stop.
    """
    painter, *judges = shows
    if trainer.step == 0:  # no round has been played
        return
    if trainer.step % painter.every == 0 and not book.has_drawn(trainer.step):
        painter.tell(trainer)
    for judge in judges:  # it knows by itself when it is due
        judge.tell(trainer)


def dry_run(config: dict) -> None:
    """Compose, build and take two steps on the real data; print what a run would be, and write nothing."""
    settings = Settings(**config["trainer"])
    device, size = device_of(settings), device_count(settings)
    tune_process(settings, device, 1)
    unpacked = {**config, "dataset": with_known(config["dataset"], cache="never")}  # packs would be written
    trainer, dataset = assemble(unpacked, World(0, 1, device))
    print(start_from(trainer, settings.init_from)) if settings.init_from else None
    seconds = rehearse(trainer, rounds=2)
    game = trainer.game
    print(opening(config, trainer, dataset, seconds))
    print(f"This was measured in one process; a training starts {size}.") if size > 1 else None
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
    print("No run was written. Leave out --dry-run to train.")


def assemble(config: dict, world: World) -> tuple[Trainer, Dataset]:
    """The dataset, the game and the trainer of a configuration, on this rank's device; complaints come first."""
    settings = Settings(**config["trainer"])
    with waiting("Checking the data"):
        dataset = build_dataset(config)
    try:
        with waiting("Building the networks"):
            game = build_game(config)
    except (MemoryError, RuntimeError) as error:
        raise translated(error, settings) from error
    parts = compat.Parts(dataset, game, settings, config["optimizer_overrides"], world.size, world.device.type)
    tell(compat.complaints(parts))
    if world.first:
        print(f"{config['run']['name']}: {dataset.describe()}", flush=True)
    layout = torch.channels_last if settings.channels_last else torch.preserve_format
    try:
        game = game.to(world.device, memory_format=layout)
        with waiting("Reading the data"):
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
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        first = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise CheckpointError(f"The checkpoint does not fit this configuration: {first}") from error


def jump(trainer: Trainer, settings: Settings) -> str:
    """What to know where a schedule that had come down starts again from higher, since it ends later; or nothing."""
    seat, factor = trainer.seats[0], trainer.rate(trainer.progress, trainer.step) * 0.5**trainer.rollbacks
    before, after = seat.optimizer.param_groups[0]["lr"], seat.rates[0] * factor
    if settings.schedule == "constant" or trainer.step <= settings.warm_up_steps or after <= 1.5 * before:
        return ""
    return (
        f"The learning rate of the {seat.name} rises from {before:.3g} to {after:.3g}: "
        f"trainer.schedule={settings.schedule} now falls to a later end. For another rate, start a run from these "
        "weights with trainer.init_from=RUN, trainer.schedule=constant and optimizer.lr=..."
    )


def rehearse(trainer: Trainer, rounds: int = 3) -> float:
    """Seconds of one round, measured on the real data; the trainer is afterwards as it was before."""
    before = clone(trainer.state_dict())
    trainer.game.train()
    times = []
    try:
        with waiting("Measuring how long a step takes here"):
            while len(times) < rounds and sum(times) < SLOW:
                started = time.perf_counter()
                trainer.round()
                if trainer.world.device.type == "cuda":
                    torch.cuda.synchronize()
                times.append(time.perf_counter() - started)
    except (MemoryError, RuntimeError) as error:
        known = translated(error, None)
        if known is not error:
            raise known from error
        if "shape" in str(error) or "size" in str(error):
            place = fault_in(error)
            first = str(error).splitlines()[0]
            raise ConfigError(f"The parts do not fit together: {first}{place and f' - in {place}'}") from error
        raise
    trainer.forget()
    trainer.load_state_dict(before)
    return min(times[1:] or times)


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


def watched(settings: Settings) -> int:
    """How many samples the watch looks at: a tenth of what is trained on between two reports, within WATCHED."""
    least, most = WATCHED
    return min(most, max(least, settings.batch_size * settings.log_every // 10))


def fixed_batch(dataset: Dataset, count: int, device) -> dict:
    """The same real samples at every preview."""
    indices = chosen(len(dataset), count)
    rows = {name: values.to(device) for name, values in dataset.rows(indices).items()}
    return dataset.prepare(rows, torch.zeros(len(indices), dtype=torch.int64, device=device))


def opening(config: dict, trainer: Trainer, dataset: Dataset, seconds: float | None) -> str:
    """One line: what the run will do, and about how long it will take here."""
    settings = Settings(**config["trainer"])
    world = trainer.world
    place = "resident" if trainer.loader.resident else "streamed"
    threads = f", {counted(torch.get_num_threads(), 'thread')}" if world.device.type == "cpu" else ""
    devices = f"{world.size} x {world.device.type}" if world.size > 1 else str(world.device)
    images, minutes = counted(trainer.loader.images, "image"), settings.max_minutes
    time = [f"{minutes:g} minute{'s'[: minutes != 1]}"] if minutes else []
    if trainer.step:
        ends = ([f"to {trainer.total:,}"] if trainer.total else []) + [f"for {each} in all" for each in time]
        goal = f"from step {trainer.step:,} {' or '.join(ends)}, each of {images},"
    else:
        goal = f"for {' or '.join(([counted(trainer.total, 'step')] if trainer.total else []) + time)} of {images}"
    how = f"{precision_name(trainer.amp)}{threads}, {place} data"
    line = f"Training {goal} on {devices} ({how})"
    if seconds is None or not trainer.total:
        return line + "."
    left = seconds * (trainer.total - trainer.step)
    left = min(left, trainer.max_seconds - trainer.seconds) if trainer.max_seconds else left
    line += f": about {duration(left)} here."
    line += " For a shorter look: trainer.max_minutes=5" if left > 600 else ""
    return "\n".join([line, *too_slow(config, trainer, seconds)])


def too_slow(config: dict, trainer: Trainer, seconds: float) -> list[str]:
    """A sentence where the steps that fit into the time show nothing yet, or all of them take days; else none."""
    left = trainer.max_seconds - trainer.seconds if trainer.max_seconds else None
    fit = math.inf if left is None else left / max(seconds, 1e-9)
    whole = trainer.total - trainer.step if trainer.total else math.inf
    if fit < min(FEW_STEPS, whole):
        first = f"Only about {fit:,.0f} steps fit into that time, usually too few for anything but noise."
    elif min(fit, whole) * seconds > LONG:
        first = "That is days."
    else:
        return []
    sides = config["dataset"].get("image_size")
    less = ["dataset.image_size=32"] if isinstance(sides, int) and sides > 32 else []
    is_wide = lambda node: isinstance(node, dict) and "width" in node
    parts = {name: node["width"] for name, node in config["model"].items() if is_wide(node)}
    less += [f"model.{name}.width={width // 2}" for name, width in parts.items() if width >= 32]
    if "path" in config["dataset"] and isinstance(sides, int) and sides > 32 and trainer.world.device.type == "cpu":
        less = [f"experiment=my_images_cpu, or {' '.join(less)}"]
    return [f"{first} Fewer pixels and narrower networks are faster: {' '.join(less)}" if less else first]


def more(trainer: Trainer, settings: Settings) -> str:
    """The setting that gives a run as much again, by the bounds that it has reached."""
    words = []
    if trainer.max_seconds and trainer.seconds >= trainer.max_seconds:
        words.append(f"trainer.max_minutes={2 * trainer.max_seconds / 60:g}")
    if settings.steps and trainer.step >= settings.steps:
        words.append(f"trainer.steps={2 * trainer.step}")
    if settings.epochs and trainer.epochs >= settings.epochs:
        words.append(f"trainer.epochs={2 * settings.epochs:g}")
    if settings.patience and trainer.progress < 1:
        words.append("trainer.patience=null")
    return " ".join(words)


def closing(run_dir: Path, trainer: Trainer, settings: Settings, judging: float = 0.0) -> str:
    """Where to look and what to type next."""
    place, gan_lab = shown(run_dir), typed("gan-lab")
    grids = sorted((run_dir / "samples").glob("step-*.png"))
    judged = f", {judging:.1%} of it for evaluation" if judging else ""
    takes_files = bool(trainer.game.translators) and trainer.game.known.shape[1] in (1, 3)
    done = f"{counted(trainer.step, 'step')}, {counted(trainer.images, 'image')}"
    lines = [
        f"Finished: {done} in {duration(trainer.seconds)}{judged}.",
        f"  samples      {shown(grids[-1])}" if grids else "",
        f"  the training {shown(run_dir / 'progress.gif')}" if grids else "",
        f"  curves       {typed('tensorboard')} --logdir {shown(run_dir.parent)}",
        f"  more samples {gan_lab} sample {place}",
        f"  translate    {gan_lab} translate {place} my_pictures out" if takes_files else "",
        f"  train on     {gan_lab} resume {place} {more(trainer, settings)}",
    ]
    return "\n".join(line for line in lines if line)
