"""What a run writes down and says: scalars, pictures, checkpoints, the summary, and lines on the screen."""

import csv
import re
import threading
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path

from tqdm import tqdm

from gan_lab import pictures
from gan_lab.errors import CheckpointError, DivergedError
from gan_lab.runs import results
from gan_lab.storage.files import RESULTS, TABLE, itself, read_json, replacing, rows_of, writable, write_summary

REMEMBERED = ("health", "figures", "best")  # of a summary


class Logbook:
    """The files of a run directory that people and tools read. Only the first rank has one.

    `events.out.tfevents...` for TensorBoard, `metrics.csv` (a row a report, a column a value), `samples/*.png`,
    `progress.gif`, `results.png` and `summary.json`. A resumed run drops what was written after the step that it
    resumes from.
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
        figures = list(self.summary.get("figures", {}).values())
        figures += [self.summary["best"]] if "best" in self.summary else []
        late = ["health", *(("figures", "best") if any(each["step"] > step for each in figures) else ())]
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
        """Close the event file, and draw what came of the training; none of it ends a run that is over."""
        ends = ("TensorBoard's file", self.writer.close), ("progress.gif", self.animate), (RESULTS, self.plot)
        for what, act in ends:
            attempted(act, lambda error, what=what: tqdm.write(f"{what} is not written: {error}."))
        threading.excepthook = self.hook

    def plot(self) -> None:
        """Draw the table so far; nothing where it has no line to show yet."""
        results.draw(self.table.rows, self.summary, self.folder / RESULTS)

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


def attempted(act: Callable[[], None], failed: Callable[[Exception], None]) -> None:
    """Do something that may fail without an end to everything; what is no longer finite is no such failure."""
    try:
        act()
    except DivergedError:
        raise
    except Exception as error:
        failed(error)
