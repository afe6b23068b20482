"""A training put together of a configuration's parts, measured, and put where a checkpoint left off."""

import time

import torch

from gan_lab.config import compat
from gan_lab.config.build import build_dataset, build_game, build_optimizer, tell
from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen
from gan_lab.errors import CheckpointError, ConfigError, fault_in
from gan_lab.models import Game
from gan_lab.models.ema import Ema
from gan_lab.models.layers import first
from gan_lab.rows import Rows
from gan_lab.training.distributed import World
from gan_lab.training.loader import Loader
from gan_lab.training.machine import is_resident, precision, translated
from gan_lab.training.observers import waiting
from gan_lab.training.player import Player, Seat
from gan_lab.training.schedule import build_turns, rate_of
from gan_lab.training.trainer import Trainer

SLOW = 10.0  # seconds after which a rehearsal has seen enough


def assemble(
    config: dict, settings: TrainerSettings, world: World, *, stored: bool = False, dataset: Dataset | None = None
) -> tuple[Trainer, Dataset]:
    """The dataset, the game and the trainer of a configuration, on this rank's device; complaints come first.

    `stored`: the weights of a checkpoint follow, guests' too. `dataset` stands in for the configuration's own.
    """
    with waiting("Checking the data"):
        dataset = dataset or build_dataset(config)
    try:
        with waiting("Building the networks"):
            game = build_game(config, stored=stored)
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
    game.meet(dataset)
    for name, count in game.keeps.items():
        game.keep(dataset.columns(chosen(len(dataset), count), name))
    for network, count in settings.freeze.items():
        for weight in first(getattr(game, network), count).values():
            weight.requires_grad_(False)
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
    optimizer = build_optimizer(config, name, [p for p in player.parameters() if p.requires_grad])
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


def fixed_batch(dataset: Dataset, count: int, device) -> Rows:
    """The same real samples at every preview."""
    return dataset.columns(chosen(len(dataset), count), device=device)
