"""What a training says of itself: what it will do, what to know before, and what to type next."""

import math
from pathlib import Path

import torch

from gan_lab.config.settings import TrainerSettings
from gan_lab.storage.files import RESULTS
from gan_lab.training.machine import precision_name
from gan_lab.training.observers import duration
from gan_lab.training.trainer import Trainer
from gan_lab.wording import counted, shown, typed

FEW_STEPS = 1000  # below which pictures show nothing, as a rule
LONG = 36 * 3600  # seconds that nobody waits for without having been asked


def jump(trainer: Trainer, settings: TrainerSettings) -> str:
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


def opening(config: dict, settings: TrainerSettings, trainer: Trainer, seconds: float | None) -> str:
    """One line: what the run will do, and about how long it will take here."""
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
    left = time_left(trainer, seconds)
    if left is None:
        return line + "."
    line += f": about {duration(left)} here."
    line += " For a shorter look: trainer.max_minutes=5" if left > 600 else ""
    return "\n".join([line, *too_slow(config, trainer, seconds)])


def time_left(trainer: Trainer, seconds: float | None) -> float | None:
    """About how many seconds a run still takes, at so many a step; None where nothing tells."""
    if seconds is None or not trainer.total:
        return None
    left = seconds * (trainer.total - trainer.step)
    return min(left, trainer.max_seconds - trainer.seconds) if trainer.max_seconds else left


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


def more(trainer: Trainer, settings: TrainerSettings) -> str:
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


def closing(run_dir: Path, trainer: Trainer, settings: TrainerSettings, judging: float = 0.0) -> str:
    """Where to look and what to type next."""
    place, gan_lab = shown(run_dir), typed("gan-lab")
    grids = sorted((run_dir / "samples").glob("step-*.png"))
    judged = f", {judging:.1%} of it for evaluation" if judging else ""
    takes_files = trainer.game.translated_channels("forth") in (1, 3)
    names = trainer.loader.dataset.vocabulary
    along = "".join(f" {name}={names[name][i]}" for i, name in enumerate(trainer.game.along))
    done = f"{counted(trainer.step, 'step')}, {counted(trainer.images, 'image')}"
    lines = [
        f"Finished: {done} in {duration(trainer.seconds)}{judged}.",
        f"  samples      {shown(grids[-1])}" if grids else "",
        f"  the training {shown(run_dir / 'progress.gif')}" if grids else "",
        f"  curves       {shown(run_dir / RESULTS)}" if (run_dir / RESULTS).is_file() else "",
        f"  in a browser {typed('tensorboard')} --logdir {shown(run_dir.parent)}",
        f"  more samples {gan_lab} sample {place}",
        f"  translate    {gan_lab} translate {place} my_pictures out{along}" if takes_files else "",
        f"  train on     {gan_lab} resume {place} {more(trainer, settings)}",
    ]
    return "\n".join(line for line in lines if line)
