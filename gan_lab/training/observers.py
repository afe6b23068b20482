"""Those who watch a training: what is written down, drawn, saved and said."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from gan_lab.datasets import Dataset
from gan_lab.errors import GanLabError, ResourceError
from gan_lab.rows import Rows
from gan_lab.storage import checkpoint
from gan_lab.training.distributed import World
from gan_lab.training.logbook import Logbook, attempted

SHOWN = {"shown_real": "real", "shown_fake": "fresh"}
SECONDS_BETWEEN_SUMMARIES = 5.0
SECONDS_BETWEEN_PLOTS, PLOT_SHARE = 30.0, 0.01
PAUSES = (1.0, 5.0, 20.0)  # seconds


class Reporter:
    """Reads what the rounds said and writes it down, with what the watch makes of it."""

    def __init__(self, every: int, book: Logbook | None, watch, say: Callable[[str], None] = print):
        self.every, self.book, self.watch, self.say, self.has_failed = every, book, watch, say, False
        self.images, self.time, self.summarised = None, time.monotonic(), 0.0

    def tell(self, trainer) -> None:
        # The end of a run is no place of its own: a run that goes on from there reports as if it had not ended
        memory = self.watch.memory(trainer) if trainer.step % self.every else {}
        report = trainer.report()
        signals = self.watch.listen(trainer, report)
        if self.book is not None:
            attempted(lambda: self.write(trainer, report | signals), self.failed)
        self.watch.judge(trainer)
        self.watch.recall(trainer, memory)

    def failed(self, error: Exception) -> None:
        if not self.has_failed:
            self.say(f"The report of a step cannot be written: {error}. The training goes on.")
        self.has_failed = True

    def write(self, trainer, values):
        now, images = time.monotonic(), trainer.images
        if self.images is not None and now > self.time and images > self.images:  # fewer after a rollback
            values["speed/images_per_second"] = (images - self.images) / (now - self.time)
        self.images, self.time = images, now
        for seat in trainer.seats:
            values[f"learning_rate/{seat.name}"] = seat.optimizer.param_groups[0]["lr"]
        values["progress/images"], values["progress/epochs"] = images, trainer.epochs
        values |= memory(trainer.world.device)
        self.book.scalars(values, trainer.step)
        if now - self.summarised > SECONDS_BETWEEN_SUMMARIES:
            self.summarised = now
            self.book.summarise(status="running", step=trainer.step, images=images, seconds=round(trainer.seconds, 2))


class Painter:
    """Draws the same samples again and again, and what else a game shows of itself, with averaged weights."""

    def __init__(self, every: int, book: Logbook, dataset: Dataset, batch: Rows, count: int):
        self.every, self.book, self.dataset, self.batch, self.count = every, book, dataset, batch, count

    def tell(self, trainer) -> None:
        game = trainer.game
        game.noise.at("preview", trainer.step)
        with game.using(dict(trainer.ema.networks)):
            views = game.preview(self.batch, game.draw(range(self.count)), trainer.step)
            unchanged = [k for k, of in SHOWN.items() if k in views and torch.equal(views[k], views[of])]
            views = {k: v for k, v in views.items() if k not in unchanged}  # no view of the loss changes these
            drawn = self.dataset.draw({k: v.float() for k, v in views.items()}, game.critic if game.critics else None)
        for i, (name, array) in reversed([*enumerate(drawn.items())]):
            self.book.picture(name, array, trainer.step, keep=i == 0)


class Plotter:
    """Refreshes the picture of all curves, no oftener than after SECONDS_BETWEEN_PLOTS, nor for more than PLOT_SHARE.

    The book draws the last one when it closes, however the run ends.
    """

    def __init__(self, every: int, book: Logbook):
        self.every, self.book, self.due = every, book, time.monotonic() + SECONDS_BETWEEN_PLOTS

    def tell(self, trainer) -> None:
        began = time.monotonic()
        if began < self.due or trainer.progress >= 1 or trainer.stopping:
            return
        self.book.plot()
        now = time.monotonic()
        self.due = now + max(SECONDS_BETWEEN_PLOTS, (now - began) / PLOT_SHARE)


class Spared:
    """An observer whose failure is said once and ends no training: the weights are worth more than what it shows."""

    def __init__(self, observer, what: str, say: Callable[[str], None]):
        self.observer, self.every, self.what, self.say, self.has_failed = observer, observer.every, what, say, False

    def tell(self, trainer) -> None:
        attempted(lambda: self.observer.tell(trainer), self.failed)

    def failed(self, error: Exception) -> None:
        if not self.has_failed:
            reason = str(error).rstrip(".") if isinstance(error, GanLabError) else f"{type(error).__name__}: {error}"
            self.say(f"{self.what} failed and is left out, now and where it fails again: {reason}. Training goes on.")
        self.has_failed = True


class Saver:
    """Saves checkpoints, after asking the ranks whether they still hold the same weights.

    `memory` gives what observers remember of a trainer, beside its own state.
    A save that fails is said at once and tried again after PAUSES; ResourceError where it fails for good.
    """

    def __init__(
        self,
        every: int,
        folder: Path,
        keep: int,
        world: World,
        book: Logbook | None,
        say: Callable[[str], None] = print,
        memory: Callable[[Any], dict] = lambda trainer: {},
    ):
        self.every, self.folder, self.keep, self.world, self.book = every, folder, keep, world, book
        self.say, self.memory, self.last = say, memory, None

    def tell(self, trainer) -> None:
        self.last = trainer.step
        self.world.check_same(trainer.parameters, trainer.step)
        if not self.world.first or not trainer.is_whole():  # then the ones before it are worth more
            return
        attempted(self.book.flush, lambda error: None)  # the reporter says what it cannot write
        state = trainer.state_dict() | {"memory": self.memory(trainer)}
        for pause in PAUSES:
            try:
                checkpoint.save(self.folder, state, keep=self.keep)
                break
            except ResourceError as error:
                self.say(f"{error} It is tried again in {pause:g} s.")
                time.sleep(pause)
        else:
            checkpoint.save(self.folder, state, keep=self.keep)


class Teller:
    """Progress on the screen: a bar with the time that is left on a terminal, plain lines otherwise.

    While it follows a trainer it looks by itself every second, so that the screen moves also where a step is long.
    """

    def __init__(self, every: int, total: int | None, book: Logbook, seconds_between_lines: float = 10.0):
        self.every, self.total, self.book, self.between = every, total, book, seconds_between_lines
        self.bar = tqdm(total=total, unit="step", disable=None, dynamic_ncols=True, file=sys.stderr, leave=False)
        self.last_line, self.lock, self.closed = time.monotonic(), threading.Lock(), threading.Event()

    def follow(self, trainer) -> None:
        """Look at this trainer every second until `close`."""

        def look():
            while not self.closed.wait(1.0):
                self.show(trainer)

        threading.Thread(target=look, daemon=True).start()

    def tell(self, trainer) -> None:
        self.show(trainer, is_last=trainer.progress >= 1)

    def show(self, trainer, is_last: bool = False) -> None:
        step, progress = trainer.step, trainer.progress
        values = self.book.summary.get("metrics", {})
        terms = [f"{short(name)} {values[name]:.3g}" for name in values if name.startswith("loss/")]
        speed = values.get("speed/images_per_second")
        terms += [f"{speed:,.0f} img/s"] if speed else []
        with self.lock:
            if not self.bar.disable:
                self.bar.total = round(step / progress) if progress else self.total  # that of the nearer bound
                self.bar.update(step - self.bar.n)
                self.bar.set_postfix_str(", ".join(terms))
            elif is_last or time.monotonic() - self.last_line >= self.between:
                self.last_line = time.monotonic()
                of = f"/{self.total}" if self.total else ""
                left = f"  {duration(trainer.seconds * max(0.0, 1 / progress - 1))} left" if progress else ""
                self.say(f"step {step}{of}  {', '.join(terms)}{left}")

    def say(self, line: str) -> None:
        """A line that does not disturb the bar."""
        tqdm.write(line)
        sys.stdout.flush()

    def close(self) -> None:
        self.closed.set()
        self.bar.close()


@contextmanager
def waiting(what: str, first: float = 3.0, between: float = 10.0, say: Callable[[str], None] = print) -> Iterator[None]:
    """Say what is going on where it takes longer than `first` seconds, and every `between` that it still is."""
    over, started = threading.Event(), time.monotonic()

    def speak():
        if not over.wait(first):
            say(f"{what} ...")
        while not over.wait(between):
            say(f"{what}: {duration(time.monotonic() - started)} so far")

    threading.Thread(target=speak, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def short(name):
    """loss/discriminator/adversarial -> discriminator, and other terms by their own name."""
    _, player, term = name.split("/")
    return player if term == "adversarial" else term


def duration(seconds: float) -> str:
    """A time that people read: 45 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def memory(device: torch.device) -> dict[str, float]:
    """Peak memory so far, in MiB: of this process where the system tells, and of the device."""
    if sys.platform == "win32":
        return {}
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    values = {"memory/process_mib": peak / (2**20 if sys.platform == "darwin" else 2**10)}
    if device.type == "cuda":
        values["memory/device_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return values
