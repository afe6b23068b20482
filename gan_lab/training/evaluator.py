"""Judgement while a run goes on: its figures, its best checkpoint, and its end when it no longer gets better."""

import math
import time
from collections.abc import Callable

from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Dataset
from gan_lab.errors import ConfigError, DataError
from gan_lab.metrics import Figure, lower_is_better
from gan_lab.models import Game
from gan_lab.runs.evaluation import Judge, drawn, extractor_of, materials, measured
from gan_lab.runs.references import split_of
from gan_lab.storage import checkpoint
from gan_lab.training.logbook import Logbook
from gan_lab.training.observers import duration
from gan_lab.training.trainer import Trainer

FIRST_SEED = 10_000_000  # of the samples, the same each time; no report uses them
REFERENCE = 10_000  # real pictures to judge against, at most
LAST = 30.0  # seconds that judging the last step may take in any case
SHARE = 0.1  # of a run's time that judging may take before somebody says so


class Evaluator:
    """Judges averaged weights every `every` rounds, a shorter run at its end: training data against `count` samples.

    The checkpoint whose figure `metric` is the best so far is kept as best.pt. After `patience` judgements without a
    better one it asks the trainer to stop. All that it remembers is the summary's `best`, so that a resumed run goes
    on as one that was never cut.
    """

    def __init__(
        self,
        every: int,
        judge: Judge,
        count: int,
        *,
        metric: str | None = None,
        patience: int | None = None,
        book: Logbook | None = None,
        say: Callable[[str], None] = print,
    ):
        self.every, self.judge, self.count, self.metric, self.patience = every, judge, count, metric, patience
        self.book, self.say = book, say
        self.rows, self.has_warned = None, False
        self.names: list[str] = []  # of the figures that are to come
        self.seconds, self.started, self.ended = 0.0, time.monotonic(), None

    def tell(self, trainer: Trainer) -> None:
        if trainer.step % self.every and not self.is_short(trainer):  # the end of a run is no place of its own
            return
        began = time.monotonic()
        try:
            figures = self.figures(trainer)
        except DataError as error:  # too few pictures, for example: no reason to end a training
            self.say(f"not evaluated at step {trainer.step:,}: {error}")
            return
        judged = {figure.name: figure.as_dict() for figure in figures}
        self.book.judged(judged, trainer.step, str(figures[0].protocol))
        self.say(self.line(figures))
        if self.metric is not None:
            self.keep_best(judged[self.metric], trainer)
            self.lose_patience(trainer)
        self.account(began)

    def is_short(self, trainer: Trainer) -> bool:
        """Whether a run is over before its first judgement was due, and one is no large part of what it took."""
        if trainer.progress < 1 or trainer.step > self.every:
            return False
        cost = self.count / 4 * trainer.seconds / max(1, trainer.images)  # samples: a quarter of training on as many
        if cost > max(LAST, SHARE * trainer.seconds):
            self.say(f"Evaluating this run would take about {duration(cost)}; gan-lab evaluate does it on request.")
            return False
        return True

    def figures(self, trainer: Trainer) -> list[Figure]:
        """What is said of the averaged weights now."""
        game = trainer.game
        if self.rows is None and game.makes:
            self.rows = materials(game, self.judge.reference, range(FIRST_SEED, FIRST_SEED + self.count))
        facts = {"weights": "ema", "batch_norm": trainer.ema.statistics(game), "seed": FIRST_SEED}
        with game.using(dict(trainer.ema.networks)):
            facts["step"] = trainer.step
            made = self.judge.figures(drawn(game, self.rows), cheap=True, **facts) if game.makes else []
            return made + (self.own(game, facts) if game.measures else [])

    def own(self, game: Game, facts: dict) -> list[Figure]:
        """The figures that a game has of its own."""
        judge = self.judge
        return measured(game, judge.reference, judge.split, most=judge.most, device=judge.device, **facts)

    def line(self, figures: list[Figure]) -> str:
        """The figures on the screen, the first time with what made them, which then stays the same."""
        values = "  ".join(f"{figure.name} {figure.value:.4g}" for figure in figures)
        how = str(figures[0].protocol) if self.ended is None else "as before"
        return f"evaluated at step {figures[0].step:,}: {values}  ({how})"

    def keep_best(self, judged: dict, trainer: Trainer) -> None:
        """Save best.pt where the figure is better than ever in this run."""
        value, record = judged["value"], self.best and self.best["value"]
        is_better = record is None or (value < record if lower_is_better(self.metric) else value > record)
        if is_better and math.isfinite(value):
            checkpoint.save(self.book.folder / "checkpoints", trainer.state_dict(), name="best")
            self.book.summarise(best={"metric": self.metric, **judged})

    def lose_patience(self, trainer: Trainer) -> None:
        """Ask the trainer to stop where the best is too long ago; it does after the next round."""
        if self.patience is None or self.best is None or trainer.step - self.best["step"] < self.patience * self.every:
            return
        trainer.stopping = True
        self.book.summarise(stopped_early=trainer.step)
        self.say(
            f"No better {self.metric} than {self.best['value']:.4g}, of step {self.best['step']:,}, in {self.patience} "
            "evaluations: the run ends here."
        )

    @property
    def best(self) -> dict | None:
        """The best judgement so far by this metric."""
        best = self.book.summary.get("best")
        return best if best and best["metric"] == self.metric else None

    @property
    def share(self) -> float:
        """The share of the time that went into judging, from the start of this process to the last judgement."""
        return self.seconds / (self.ended - self.started) if self.ended else 0.0

    def account(self, began: float) -> None:
        """Add up what judging takes, and say so once where it is more than its share; the first time makes caches."""
        now = time.monotonic()
        self.seconds += now - began
        if self.ended is not None and now - began > SHARE * (now - self.ended) and not self.has_warned:
            share = (now - began) / (now - self.ended)
            every = self.every * math.ceil(share / SHARE)
            self.say(f"Evaluation takes {share:.0%} of the time: set trainer.evaluate_every={every} for less.")
            self.has_warned = True
        self.ended = now


def evaluator_of(config: dict, settings: TrainerSettings, dataset: Dataset, game: Game, device) -> Evaluator | None:
    """The evaluator that the settings ask for, still without a book; None for none.

    A classifier is trained now if it must be. Raises ConfigError where the metric that is to choose the best checkpoint
    will not be among the judgements.
    """
    if settings.evaluate_every is None or (dataset.image_size is None and not dataset.exact_samples):
        return None
    points = dataset.image_size is None
    extractor = None if points or not game.makes else extractor_of(settings.evaluate_with, config, dataset)
    judge = Judge(dataset, split_of(config), extractor, REFERENCE, device)
    names = [*(judge.names if game.makes else ()), *game.measures]
    if not names:
        return None
    usual = f"exact/{dataset.exact_best}" if points and game.makes else names[0]
    metric = settings.best_metric or (usual if usual in names else None)
    if metric is not None and metric not in names:
        raise ConfigError(f"trainer.best_metric={metric} is not among the evaluated figures: {', '.join(names)}.")
    if metric is None and settings.patience:
        raise ConfigError(f"trainer.patience needs a trainer.best_metric, one of {', '.join(names)}.")
    count = dataset.exact_samples if points else settings.evaluate_samples
    made = Evaluator(settings.evaluate_every, judge, count, metric=metric, patience=settings.patience)
    made.names = names
    return made
