"""One rank's run from a configuration to its last word: assembled, rehearsed, trained and written down."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch

from gan_lab.config.build import build_game, with_guests
from gan_lab.config.dataset_nodes import with_known
from gan_lab.config.settings import TrainerSettings
from gan_lab.config.stages import at_home
from gan_lab.datasets import Dataset
from gan_lab.errors import ConfigError, DivergedError
from gan_lab.storage import checkpoint
from gan_lab.storage.files import SUMMARY, is_staged, read_json
from gan_lab.training.assembly import assemble, fixed_batch, rehearse, restore, tensors
from gan_lab.training.distributed import World
from gan_lab.training.evaluator import evaluator_of
from gan_lab.training.hparams import main_settings
from gan_lab.training.logbook import Logbook, attempted
from gan_lab.training.machine import device_count, device_of, precision_name, signals, translated, tune_process
from gan_lab.training.observers import Painter, Plotter, Reporter, Saver, Spared, Teller, memory, waiting
from gan_lab.training.record import record
from gan_lab.training.remarks import closing, jump, more, opening, time_left
from gan_lab.training.trainer import Trainer
from gan_lab.training.transfer import matches, start_from
from gan_lab.training.watch import SYMPTOMS, Diversity, Watch
from gan_lab.version import __version__
from gan_lab.wording import shown, typed

WATCHED = (8, 64)  # samples whose diversity the watch looks at, at least and at most


def play(
    config: dict,
    settings: TrainerSettings,
    run_dir: Path,
    world: World,
    resume: bool,
    overrides: Sequence[str] = (),
) -> dict:
    """Assemble a run on this rank, train it, and close its books whatever happens; returns its summary.

    `settings` are those of `config["trainer"]`.
    """
    tune_process(settings, world.device, world.size)
    config = with_guests(config)
    here = config if resume else at_home(config, run_dir)  # with the directories of the stages that it builds on
    trainer, dataset = assemble(here, settings, world, stored=resume)
    say = print if world.first else lambda *words, **how: None
    origin = here["trainer"]["init_from"]
    if resume:
        remembered, seconds = pick_up(trainer, settings, run_dir, say)
    else:
        remembered, seconds = set_out(trainer, origin, settings.freeze, say)
    say(opening(config, settings, trainer, seconds), flush=True)
    if world.first:
        observers = Observers(config, settings, trainer, dataset, run_dir, overrides)
    else:
        observers = Ranks(settings, trainer, run_dir)
    with ended_well(observers, trainer, settings) as received:
        observers.begin(trainer, remembered)
        observers.watch.attend(trainer, observers.all)
        if trainer.cut and observers.saver.last != trainer.step:
            observers.saver.tell(trainer)
    if received:
        whole = run_dir.parent if is_staged(run_dir.parent) else run_dir
        say(f"Stopped at step {trainer.step} and saved. To go on: {typed('gan-lab')} resume {shown(whole)}")
    else:
        say(closing(run_dir, trainer, settings, observers.judging_share))
    return observers.summary


def pick_up(trainer: Trainer, settings: TrainerSettings, run_dir: Path, say) -> tuple[dict, float]:
    """Go to where the newest checkpoint left off: what observers remembered then, and the seconds of a step so far."""
    state = checkpoint.load_newest(run_dir / "checkpoints", say=say)
    restore(trainer, state)
    if trainer.progress >= 1 and read_json(run_dir / SUMMARY).get("status") != "running":  # killed at its very end
        raise ConfigError(
            f"The run is complete at step {trainer.step}. To go on, give it more: {more(trainer, settings)}."
        )
    say(jump(trainer, settings)) if jump(trainer, settings) else None
    remembered = state.get("memory", {})  # none in checkpoints from before it was kept
    return remembered, trainer.seconds / max(1, trainer.step)


def set_out(trainer: Trainer, origin: str | None, freeze: dict[str, int], say) -> tuple[None, float | None]:
    """Start from the weights of a run, if any, and see how many seconds a step takes here; nothing is remembered."""
    say(start_from(trainer, origin, freeze)) if origin else None
    return None, rehearse(trainer) if trainer.world.size == 1 else None


@contextmanager
def ended_well(observers: "Ranks", trainer: Trainer, settings: TrainerSettings) -> Iterator[list[int]]:
    """The signals that ask a run to stop, as they come; whatever happens, it is written down how the run ended."""
    received, status = [], "failed"

    def stop(number):
        received.append(number)
        trainer.interrupted = True

    try:
        with signals(stop):
            yield received
        status = "stopped" if received else "finished"
        observers.finish(trainer) if status == "finished" else None
    except DivergedError:
        status = "diverged"
        raise
    except (torch.OutOfMemoryError, MemoryError, RuntimeError, OSError) as error:
        raise translated(error, settings) from error
    finally:
        observers.close(trainer, status, received)


class Ranks:
    """Who watches a training on a rank that writes nothing: the watch, a reporter without a book, and the saver."""

    judging_share = 0.0

    def __init__(self, settings: TrainerSettings, trainer: Trainer, run_dir: Path):
        self.settings, self.summary = settings, {}
        self.saver = self.saver_of(trainer, run_dir, None)
        self.watch = Watch(self.saver.folder, settings.on_divergence, symptoms=(), say=lambda *_: None)
        self.all = [Reporter(settings.log_every, None, self.watch), self.saver]

    def saver_of(self, trainer: Trainer, run_dir: Path, book: Logbook | None) -> Saver:
        folder, settings = run_dir / "checkpoints", self.settings
        return Saver(settings.checkpoint_every, folder, settings.keep_checkpoints, trainer.world, book)

    def begin(self, trainer: Trainer, remembered: dict | None) -> None:
        """Recall what was remembered at a checkpoint; a new run saves its state where it may have to go back to it."""
        if remembered is not None:
            self.watch.recall(trainer, remembered)
        elif self.settings.on_divergence == "rollback":
            self.saver.tell(trainer)

    def finish(self, trainer: Trainer) -> None:
        """The end of a run that came to its end."""

    def close(self, trainer: Trainer, status: str, received: list[int]) -> None:
        """The end of every run, by its status."""


class Observers(Ranks):
    """All who watch a training, on the first rank: what they say, draw, judge and save is told of in their order."""

    def __init__(
        self,
        config: dict,
        settings: TrainerSettings,
        trainer: Trainer,
        dataset: Dataset,
        run_dir: Path,
        overrides: Sequence,
    ):
        self.config, self.settings, self.run_dir = config, settings, run_dir
        world, batch = trainer.world, lambda count: fixed_batch(dataset, count, trainer.world.device)
        with waiting("Preparing the evaluation"):
            self.evaluator = evaluator_of(config, settings, dataset, trainer.game, world.device)
        record(config, run_dir, overrides, dataset)
        facts = {"device": str(world.device), "devices": world.size, "precision": precision_name(trainer.amp)}
        facts |= {"version": __version__, "name": config["run"]["name"]}
        self.book = book = Logbook(run_dir, step=trainer.step, facts=facts)
        self.teller = teller = Teller(settings.log_every, trainer.total, book)
        book.summary.pop("stopped_early", None)
        self.saver = self.saver_of(trainer, run_dir, book)
        self.watch = watch = Watch(
            self.saver.folder,
            settings.on_divergence,
            symptoms=SYMPTOMS if settings.watch else (),
            diversity=Diversity(batch(watched(settings))) if trainer.game.makes else None,
            book=book,
            say=teller.say,
        )
        self.saver.say, self.saver.memory = teller.say, lambda trainer: watch.memory(trainer) | book.memory()
        painter = Painter(settings.sample_every, book, dataset, batch(settings.samples), settings.samples)
        self.shows = [Spared(painter, "Drawing samples", teller.say)]
        if self.evaluator:
            self.evaluator.book, self.evaluator.say = book, teller.say
            self.shows.append(Spared(self.evaluator, "Evaluating samples", teller.say))
        reporter = Reporter(settings.log_every, book, watch, teller.say)
        plotter = Spared(Plotter(settings.checkpoint_every, book), "Drawing results.png", teller.say)
        self.all = [reporter, self.saver, *self.shows, plotter, teller]  # saved before what may fail, or take long

    @property
    def summary(self) -> dict:
        return self.book.summary

    @property
    def judging_share(self) -> float:
        """The share of the time that went into judging."""
        return self.evaluator.share if self.evaluator else 0.0

    def begin(self, trainer: Trainer, remembered: dict | None) -> None:
        if remembered is None:
            text = (self.run_dir / "config.yaml").read_text(encoding="utf-8")
            self.book.text("config", f"```\n{text}```")
            self.book.begin(main_settings(self.config, self.run_dir), self.evaluator.names if self.evaluator else ())
        self.teller.follow(trainer)
        super().begin(trainer, remembered)
        if remembered is not None:
            self.book.recall(remembered, trainer.step)
            self.catch_up(trainer)

    def catch_up(self, trainer: Trainer) -> None:
        """Let be drawn and judged what was due at the step of the checkpoint: the run may have ended before it was.

        It is judged again in any case, since that may have asked the run to stop.
        """
        painter, *judges = self.shows
        if trainer.step == 0:  # no round has been played
            return
        if trainer.step % painter.every == 0 and not self.book.has_drawn(trainer.step):
            painter.tell(trainer)
        for judge in judges:  # it knows by itself when it is due
            judge.tell(trainer)

    def finish(self, trainer: Trainer) -> None:
        self.book.end(trainer.step)

    def close(self, trainer: Trainer, status: str, received: list[int]) -> None:
        self.teller.close()
        if self.evaluator:
            self.summary["judging_share"] = round(self.evaluator.share, 4)
        last = {"step": trainer.step, "images": trainer.images, "seconds": round(trainer.seconds, 2)}
        last |= {"signal": received[0]} if received else {}
        failed = lambda error: print(f"No summary is written: {error}.")
        attempted(lambda: self.book.summarise(status=status, **last), failed)
        self.book.close()


def dry_run(config: dict, before: dict | None = None) -> float | None:
    """Compose, build and take two steps on the real data; print what a run would be, and write nothing.

    `before` is the configuration of the stage whose weights it starts from, which is still to come. Returns about how
    many seconds it would take here, None where nothing tells.
    """
    settings = TrainerSettings(**config["trainer"])
    device, size = device_of(settings), device_count(settings)
    tune_process(settings, device, 1)
    unpacked = {**config, "dataset": with_known(config["dataset"], cache="never")}  # packs would be written
    trainer, dataset = assemble(unpacked, settings, World(0, 1, device))
    print(start(trainer, settings, before)) if settings.init_from else None
    seconds = rehearse(trainer, rounds=2)
    game = trainer.game
    print(opening(config, settings, trainer, seconds))
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
    return time_left(trainer, seconds)


def expected(config: dict, before: dict | None = None) -> tuple[int | None, float]:
    """How many steps a run would have, if steps bound it, and about how many seconds it takes here; see `dry_run`."""
    settings = TrainerSettings(**config["trainer"])
    device = device_of(settings)
    tune_process(settings, device, 1)
    with redirect_stdout(io.StringIO()):
        trainer, _ = assemble(config, settings, World(0, 1, device))
        start(trainer, settings, before) if settings.init_from else None
    seconds = rehearse(trainer)
    return trainer.total, time_left(trainer, seconds) or trainer.max_seconds


def start(trainer: Trainer, settings: TrainerSettings, before: dict | None) -> str:
    """Take the weights that a run starts from; of a stage that is still to come only those that its networks have."""
    if before is None:
        return start_from(trainer, settings.init_from, settings.freeze)
    found = matches(trainer.game, build_game(before).state_dict(), settings.init_from, settings.freeze)
    return f"Starts from {settings.init_from}: {'; '.join(match.summary() for match in found)}."


def watched(settings: TrainerSettings) -> int:
    """How many samples the watch looks at: a tenth of what is trained on between two reports, within WATCHED."""
    least, most = WATCHED
    return min(most, max(least, settings.batch_size * settings.log_every // 10))
