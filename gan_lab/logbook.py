"""What a run writes down and says: scalars, pictures, checkpoints, the summary, and lines on the screen."""

import csv
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from gan_lab import checkpoint, pictures
from gan_lab.datasets import Dataset
from gan_lab.distributed import World
from gan_lab.errors import CheckpointError, ConfigError, DivergedError, GanLabError, ResourceError
from gan_lab.stored import TABLE, itself, replacing, rows_of, summary_of

REMEMBERED = ("health", "figures", "best")  # of a summary


class Logbook:
    """The files of a run directory that people and tools read. Only the first rank has one.

    `events.out.tfevents...` for TensorBoard, `metrics.csv` (a row a report, a column a value), `samples/*.png`,
    `progress.gif` and `summary.json`. A resumed run drops what was written after the step it resumes from.
    """

    def __init__(self, folder: Path, *, step: int = 0, facts: dict | None = None):
        self.folder = folder
        self.summary = {**read_json(folder / "summary.json"), **(facts or {})}
        self.hook, threading.excepthook = threading.excepthook, self.hear
        self.open(step)

    def hear(self, args) -> None:
        """What a thread raised that nobody caught; TensorBoard's raises it again where somebody writes."""
        if type(args.thread).__name__ != "_AsyncWriterThread":
            self.hook(args)

    def open(self, step: int) -> None:
        """Go on after a step, without what was written after it."""
        from torch.utils.tensorboard import SummaryWriter  # takes half a second, which previews need not pay

        # TensorBoard reads a run's files by their names, which know whole seconds and then sort 10 before 9
        while any(self.folder.glob(f"events.out.tfevents.{int(time.time())}.*")):
            time.sleep(0.02)

        # TensorBoard heeds no first mark in a run, so that a new one writes one too
        later = step + 1 if any(self.folder.glob("events.out.tfevents.*")) else 0
        self.writer = SummaryWriter(writable(self.folder), purge_step=later, max_queue=1000, flush_secs=20)
        rows = [row for row in self.rows() if int(row["step"]) <= step]
        self.table = Table(self.folder / "metrics.csv", rows)

    def rows(self) -> list[dict[str, str]]:
        """The rows of the table so far; a damaged table is put aside, said aloud, and a new one begun."""
        try:
            return rows_of(self.folder)
        except CheckpointError as error:
            file = self.folder / TABLE
            aside = file.with_name(f"{file.stem}-damaged-{time.time_ns()}{file.suffix}")
            file.rename(aside)
            print(f"{error}. It was renamed to {aside.name}, and a new table begins.")
            return []

    def rewind(self, step: int) -> None:
        """Go on from an earlier step."""
        self.writer.close()
        self.open(step)

    def memory(self) -> dict:
        """What a checkpoint keeps of the summary: findings, and the last and the best evaluation."""
        return {"summary": {name: deepcopy(self.summary[name]) for name in REMEMBERED if name in self.summary}}

    def recall(self, state: dict, step: int) -> None:
        """Take back what was said of later steps; nothing for a checkpoint from before it was kept."""
        if "summary" not in state:
            return
        said = [*self.summary.get("figures", {}).values(), *([self.summary["best"]] if "best" in self.summary else [])]
        late = ["health", *(("figures", "best") if any(each["step"] > step for each in said) else ())]
        kept = {name: value for name, value in self.summary.items() if name not in late}
        self.summary = kept | {name: state["summary"][name] for name in late if name in state["summary"]}

    def scalars(self, values: dict[str, float], step: int) -> None:
        """One report: to TensorBoard, to a row of metrics.csv and, as the last values, to the summary."""
        for name, value in values.items():
            self.writer.add_scalar(tag_of(name), value, step)
        self.note(values, step)

    def note(self, values: dict[str, float], step: int) -> None:
        """Values as a part of this step's row, and as the last ones of the summary."""
        self.table.add({"step": step, **{name: f"{value:.6g}" for name, value in values.items()}})
        self.summary["metrics"] = {**self.summary.get("metrics", {}), **values}

    def judged(self, figures: dict[str, dict], step: int, protocol: str) -> None:
        """One evaluation: values by name as in `scalars`, with the protocol in the row and in the summary."""
        for name, figure in figures.items() if not self.has_judged(step) else ():
            self.writer.add_scalar(f"{FIGURES}/{name}", figure["value"], step)
        self.flush()  # the row says that it was done
        self.note({name: figure["value"] for name, figure in figures.items()}, step)
        self.table.add({"step": step, "protocol": protocol})
        self.summary["figures"] = {**self.summary.get("figures", {}), **figures}

    def has_judged(self, step: int) -> bool:
        """Whether the evaluation of a step is in the table."""
        return any(int(row["step"]) == step and row.get("protocol") for row in self.table.rows)

    def has_drawn(self, step: int) -> bool:
        return (self.folder / "samples" / f"step-{step:08d}.png").is_file()

    def picture(self, name: str, array, step: int, *, keep: bool = False) -> None:
        """One picture, uint8 [H, W, 3]: to TensorBoard, with what it shows; where it is to be kept, to samples/ too."""
        self.writer.file_writer.add_summary(
            described(f"{SAMPLES}/{name}", array, SHOWS.get(name.rstrip("_0123456789"))), step
        )
        if keep:
            self.flush()  # the file says that it was done
            (self.folder / "samples").mkdir(exist_ok=True)
            pictures.save_png(array, self.folder / "samples" / f"step-{step:08d}.png")

    def text(self, name: str, text: str, step: int | None = None) -> None:
        self.writer.add_text(name, text, step)

    def begin(self, settings: dict[str, str | float], figures: Iterable[str] = ()) -> None:
        """Tell TensorBoard a new run's settings, for its HPARAMS page, and what its page Custom Scalars draws.

        `figures` are the names of what will be evaluated. The metrics of HPARAMS are the run's own scalars.

        The page's `Experiment` is left out: TensorBoard takes that of one run, whichever it meets first, for all.
        """
        from torch.utils.tensorboard.summary import hparams

        _, start, _ = hparams(settings, {})
        self.writer.file_writer.add_summary(start)
        self.writer.add_custom_scalars(layout_of(figures))

    def end(self, step: int) -> None:
        """Tell the page that the run is finished."""
        from torch.utils.tensorboard.summary import hparams

        _, _, end = hparams({}, {})
        self.writer.file_writer.add_summary(end, step)

    def summarise(self, **facts) -> None:
        """Update summary.json in one step."""
        self.summary |= facts
        write_summary(self.folder, self.summary)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        """Close the event file, and make the GIF of the training; neither ends a run that is over."""
        for what, act in (("TensorBoard's file", self.writer.close), ("progress.gif", self.animate)):
            attempted(act, lambda error, what=what: tqdm.write(f"{what} is not written: {error}."))
        threading.excepthook = self.hook

    def animate(self) -> None:
        frames = sorted((self.folder / "samples").glob("step-*.png"))
        if frames:
            every = -(-len(frames) // 100)
            chosen = frames[::every] if frames[-1] in frames[::every] else [*frames[::every], frames[-1]]
            left_out = pictures.save_gif(chosen, self.folder / "progress.gif", 0.2)
            if left_out:
                tqdm.write(
                    f"progress.gif leaves out {left_out} of {len(chosen)} pictures in samples/: they cannot be read."
                )


# TensorBoard sorts all its pages by tag, capitals before the rest, and its page HPARAMS shows the first five
FIGURES, LOSSES, SAMPLES = "Figures", "Losses", "Samples"
SHOWN = {"shown_real": "real", "shown_fake": "fresh"}
SHOWS = {
    "fixed": "The same latents or sources at every step, with averaged weights; a column for each class or code.",
    "fresh": "New samples at every step, with averaged weights.",
    "real": "Real data, as it is trained on.",
    "shown_real": "Real data as the discriminator sees it, after the views of the loss.",
    "shown_fake": "Generated samples as the discriminator sees them, after the views of the loss.",
    "rebuilt": "Pairs of a real image and what the encoder and the generator make of it.",
    "levels": "The levels of the pyramid, from coarse to fine.",
    "code": "One code varies from left to right; each row has other latents.",
}


def layout_of(figures: Iterable[str]) -> dict[str, dict[str, list]]:
    """The page Custom Scalars: the losses of all players in one chart, then each figure, then what explains them."""
    chart = lambda pattern: ["Multiline", [f"^{pattern}$"]]
    each = {name: chart(f"{FIGURES}/{re.escape(name)}") for name in figures}
    return {
        "Losses": {"adversarial losses of all players": chart(f"{LOSSES}/[^/]+/adversarial")},
        **({FIGURES: each} if each else {}),
        "Training": {
            "scores of real and generated samples": chart(".+/score_(real|fake)"),
            "gradient norms": chart("grad_norm/.+"),
            "learning rates": chart("learning_rate/.+"),
        },
    }


def tag_of(name: str) -> str:
    """The name of a value in TensorBoard: losses with a capital, so that they come before the rest."""
    return f"{LOSSES}/{name.removeprefix('loss/')}" if name.startswith("loss/") else name


def described(tag: str, array, description: str | None):
    """TensorBoard's summary of a picture, uint8 [H, W, 3], with a sentence that its card shows on request.

    It is a tensor: of an image its data server leaves the sentence out.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.data_compat import migrate_value
    from torch.utils.tensorboard.summary import image

    (value,) = image(tag, array, dataformats="HWC").value
    value.metadata.summary_description = description or ""
    return Summary(value=[migrate_value(value)])


class Table:
    """A CSV file that grows by rows, and now and then by a column."""

    def __init__(self, path: Path, rows: list[dict]):
        self.path, self.rows = path, rows
        self.columns = list(dict.fromkeys(name for row in rows for name in row))
        self.rewrite()

    def add(self, row: dict) -> None:
        """Append a row, or complete the last one where it is of the same step."""
        again = bool(self.rows) and int(self.rows[-1]["step"]) == int(row["step"])
        if again:
            self.rows[-1] |= row
        else:
            self.rows.append(row)
        if again or row.keys() - set(self.columns):
            self.columns += [name for name in row if name not in self.columns]
            self.rewrite()
        else:
            with open(self.path, "a", newline="", opener=itself) as file:
                csv.DictWriter(file, self.columns, restval="").writerow(row)

    def rewrite(self):
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


class Reporter:
    """Reads what the rounds said and writes it down, with what the watch makes of it."""

    def __init__(self, every: int, book: Logbook | None, watch, say: Callable[[str], None] = print):
        self.every, self.book, self.watch, self.say, self.has_failed = every, book, watch, say, False
        self.images, self.time, self.summarised = None, time.monotonic(), 0.0

    def tell(self, trainer) -> None:
        # The end of a run is no place of its own: a run that goes on from there reports as if it had not ended
        memory = self.watch.memory(trainer) if trainer.step % self.every else {}
        said = trainer.report()
        signals = self.watch.listen(trainer, said)
        if self.book is not None:
            attempted(lambda: self.write(trainer, said | signals), self.failed)
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


SECONDS_BETWEEN_SUMMARIES = 5.0


class Painter:
    """Draws the same latents again and again, and what else a game shows of itself, with averaged weights."""

    def __init__(self, every: int, book: Logbook, dataset: Dataset, batch: dict, count: int):
        self.every, self.book, self.dataset, self.batch, self.count = every, book, dataset, batch, count

    def tell(self, trainer) -> None:
        game = trainer.game
        game.noise.at("preview", trainer.step)
        with game.using(dict(trainer.ema.networks)):
            latents = game.draw_latents(range(self.count))
            views = game.preview(self.batch, latents, trainer.step)
            unchanged = [k for k, of in SHOWN.items() if k in views and torch.equal(views[k], views[of])]
            views = {k: v for k, v in views.items() if k not in unchanged}  # no view of the loss changes these
            drawn = self.dataset.draw({k: v.float() for k, v in views.items()}, game.critic)
        for i, (name, array) in reversed([*enumerate(drawn.items())]):
            self.book.picture(name, array, trainer.step, keep=i == 0)


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


def attempted(act: Callable[[], None], failed: Callable[[Exception], None]) -> None:
    """Do something that may fail without an end to everything; what is no longer finite is no such failure."""
    try:
        act()
    except DivergedError:
        raise
    except Exception as error:
        failed(error)


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


PAUSES = (1.0, 5.0, 20.0)  # seconds


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


def plain(value):
    """Numbers that JSON can hold: not-a-number and infinity as words."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    return value


def write_summary(folder: Path, summary: dict) -> None:
    """Replace summary.json in one step."""
    checkpoint.write_text(folder / "summary.json", json.dumps(plain(summary), indent=2) + "\n")


def writable(folder: Path) -> str:
    """A folder by a name that TensorBoard can write: Unicode, from here if not from the root. Raises ConfigError."""
    for name in (str(folder), os.path.relpath(folder)):
        if not any(0xD800 <= ord(letter) < 0xE000 for letter in name):  # what stands for bytes that are no UTF-8
            return name
    raise ConfigError(f"{str(folder)!r} is not UTF-8, and TensorBoard can write to no such place; rename it.")


def read_json(path: Path) -> dict:
    """What a summary holds; nothing where it is missing or damaged, since no run depends on it."""
    try:
        return summary_of(path.parent)
    except CheckpointError:
        return {}
