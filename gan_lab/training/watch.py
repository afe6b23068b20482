"""The health of a run: what goes wrong is said once, written down and, where nothing leads on, acted upon."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import torch
from torch import Tensor

from gan_lab.errors import DivergedError
from gan_lab.metrics import lower_is_better
from gan_lab.storage import checkpoint
from gan_lab.training.logbook import Logbook
from gan_lab.training.trainer import Observer, Trainer

Signals = dict[str, float]

MOST_ROLLBACKS = 3
REPLACED = ("seen", "norms", "judged", "undecided")  # of what a watch remembers, beside what it counts
LEAST_SCALE = 2.0**-7  # of fp16 losses; a search for a scale that has come below it finds none
QUIET_REPORTS = 10
WARM_UP_STEPS = (100, 2000)  # at least and at most; a tenth of the run in between
RISE_REPORTS = 4  # in which diversity that is still being learned rises
GROWTH_STEPS = 100  # over which the growth of weights is measured, at least
FIRST_REPORTS = 4  # whose median is the generator's own level


@dataclass(frozen=True)
class Symptom:
    """One way in which training goes wrong.

    It is there once `holds` was true of the signals of `reports` reports in a row, and gone after QUIET_REPORTS in
    which it was not. A report without one of the signals that it `reads` counts for neither, nor does one of the first
    tenth of a run (within WARM_UP_STEPS) where training needs time for it (`late`). `says` is what a person is told,
    with the signals filled in, and what to try.
    """

    name: str
    reads: tuple[str, ...]
    holds: Callable[[Signals], bool]
    reports: int
    says: str
    late: bool = False


# Chosen on the tuning half of scripts/exam_watch.py; docs/health.md tells what healthy and sick runs showed
SYMPTOMS = (
    Symptom(
        "skipped updates",
        ("skipped",),
        lambda now: now["skipped"] > 0,
        1,
        "{skipped:.0%} of the last updates were skipped, because a loss or gradient was not finite. If it goes on, "
        "lower optimizer.lr or set trainer.clip=1.0.",
    ),
    Symptom(
        "mode collapse",
        ("diversity", "rise"),
        lambda now: now["diversity"] < 0.15 and now["rise"] < 1.1,
        4,
        "generated samples are nearly identical: their mean distance is {diversity:.2g} times that of real samples. "
        "Try loss=relativistic, model.discriminator.spectral_norm=true or a lower optimizer.lr.",
        late=True,
    ),
    Symptom(
        "discriminator saturation",
        ("separation", "loss_left"),
        lambda now: now["separation"] > 0.99 and now["loss_left"] < 0.02,
        3,
        "the discriminator ranks {separation:.1%} of pairs of real and generated samples correctly, and its loss has "
        "fallen to {loss_left:.1g} of its value for random guesses, so the generator hardly learns. Try "
        "model.discriminator.spectral_norm=true, loss/penalty=[r1] or a lower learning rate for the discriminator "
        "(optimizer_overrides).",
    ),
    Symptom(
        "vanished gradient",
        ("separation", "gradient_left"),
        lambda now: now["separation"] > 0.99 and now["gradient_left"] < 0.01,
        3,
        "the discriminator ranks {separation:.1%} of pairs of real and generated samples correctly, and the "
        "generator's gradient norm has fallen to {gradient_left:.1g} of its first value. Try loss=non_saturating, "
        "loss=relativistic or a lower learning rate for the discriminator (optimizer_overrides).",
    ),
    Symptom(
        "steps too large",
        ("growth",),
        lambda now: now["growth"] > 8.0,
        1,
        "the squared norm of a player's weights grew by {growth:.0%} in a hundred updates. Divide optimizer.lr by ten.",
    ),
    Symptom(
        "scattered samples",
        ("diversity",),
        lambda now: now["diversity"] > 3.0,
        2,
        "the mean distance of generated samples is {diversity:.1f} times that of real ones. "
        "Divide optimizer.lr by ten.",
    ),
    Symptom(
        "runaway scores",
        ("loss_left",),
        lambda now: now["loss_left"] > 30.0,
        2,
        "the discriminator's loss is {loss_left:.0f} times its value for random guesses. Divide optimizer.lr by "
        "ten, or set loss/penalty=[r1].",
    ),
    Symptom(
        "worse than its best",
        ("worse",),
        lambda now: now["worse"] > 1.5,
        2,
        "the last evaluation is {worse:.2g} times worse than the best one, whose weights are in checkpoints/best.pt. "
        "trainer.patience=3 stops such a run; trainer.schedule=linear or a lower optimizer.lr may avoid it.",
        late=True,
    ),
    Symptom(
        "slow data",
        ("waiting",),
        lambda now: now["waiting"] > 0.25,
        3,
        "training waits for data for {waiting:.0%} of the time. Raise trainer.workers, or set "
        "trainer.placement=resident if the data fits into memory.",
    ),
)


class Diversity:
    """How far apart the samples of fixed latents lie, as a share of how far apart as many real ones do.

    Mean Euclidean distance over all pairs of `batch["image"]`, [N, ...]: 0 where all are one, 1 where they are as
    different as real ones. Averaged weights are looked at.
    """

    def __init__(self, batch: dict[str, Tensor]):
        self.count, self.real = len(batch["image"]), spread(batch["image"])

    def __call__(self, trainer: Trainer) -> float:
        with trainer.game.using(dict(trainer.ema.networks)) as game:
            made = game.sample(game.draw(range(self.count)))
            return float(spread(made[game.makes[0]]) / self.real)


def spread(samples: Tensor) -> Tensor:
    """Mean distance of two of the samples, [N, ...] to a scalar."""
    return torch.pdist(samples.flatten(1).float()).mean()


class Watch:
    """Listens to every report. Says each symptom once, and again only after it was gone; raises on divergence.

    `folder` holds the run's checkpoints. Every rank has one, so that all of them stop or go back together; the first
    one's has the `book`, and a `diversity` to look at samples with. `symptoms` may be empty: divergence is noticed
    all the same. What is there is the summary's `health`, so that a resumed run does not say it again.
    """

    def __init__(
        self,
        folder: Path,
        on_divergence: Literal["stop", "rollback", "continue"] = "stop",
        *,
        symptoms: Sequence[Symptom] = SYMPTOMS,
        diversity: Diversity | None = None,
        book: Logbook | None = None,
        say: Callable[[str], None] = print,
    ):
        self.folder, self.on_divergence = folder, on_divergence
        self.symptoms, self.diversity, self.book, self.say = symptoms, diversity, book, say
        self.streaks = defaultdict(int)  # reports in a row in which a symptom held; below zero: in which it did not
        self.levels: list[float] = []  # the generator's gradient in the first reports
        self.undecided: float | None = None  # what a critic loses that scores everything alike
        self.seen: list[float] = []  # diversities of the last reports
        self.taken = defaultdict(int)  # updates of each player
        self.norms: list[tuple[int, list[int], list[float]]] = []  # step, updates and norm of weights of each player
        self.time, self.judged = None, None
        self.reason: str | None = None  # why nothing leads on from here

    # What is measured

    @torch.no_grad()
    def listen(self, trainer: Trainer, report: dict[str, float]) -> dict[str, float]:
        """The signals of this report by their names in TensorBoard; `report` holds the means over its rounds."""
        self.signals = self.updates(trainer)
        if self.symptoms and self.book is not None:
            self.signals |= self.scores(trainer, report) | self.growth(trainer)
            self.signals |= self.pace(trainer) | self.record(trainer)
            if self.diversity is not None:
                self.signals |= self.spread(trainer)
        return {f"health/{name}": value for name, value in self.signals.items()}

    def updates(self, trainer: Trainer) -> Signals:
        """The share of updates that were skipped, by design of fp16 excepted; also looks for divergence."""
        reasons, skipped_in_all, planned_in_all = [], 0, 0
        for seat in trainer.seats:
            planned, scaled = len(seat.taken), seat.scaler.is_enabled()
            self.taken[seat.name] += planned
            skipped, first = seat.report()
            collapsed = scaled and seat.scaler.get_scale() < LEAST_SCALE
            if skipped and skipped == planned and (collapsed or not scaled):
                reasons.append(
                    f"in all of the last {planned} updates the {seat.name}'s loss or gradient was not finite, first at "
                    f"step {first}"
                )
            elif collapsed:
                reasons.append(f"the scale of the {seat.name}'s losses fell below {LEAST_SCALE:g}")
            if not scaled:  # fp16 skips while it looks for its scale, and now and then later
                skipped_in_all, planned_in_all = skipped_in_all + skipped, planned_in_all + planned

        # Every rank must know what one of them sees
        (broken,) = trainer.world.most(not trainer.is_whole())
        if broken:
            reasons.append("weights, their averages or buffers are not finite")
        self.reason = "; ".join(reasons) or None
        return {"skipped": skipped_in_all / planned_in_all} if planned_in_all else {}

    def scores(self, trainer: Trainer, report: dict[str, float]) -> Signals:
        """How well critics separate, and what is left of their losses and of the generator's gradient.

        With several critics or generators the worst of them counts.
        """
        game, found = trainer.game, {}
        if self.undecided is None:
            even = torch.zeros(64, device=trainer.world.device)
            self.undecided = float(game.objective.critic_loss(even, even, game.noise))
        critics = [player for player, networks in game.players.items() if set(networks) & set(game.critics)]
        separation = [value for name, value in report.items() if "/separation" in name]
        losses = [report[name] for name in report if name.startswith(tuple(f"loss/{c}/adversarial" for c in critics))]
        others = [f"grad_norm/{player}" for player in game.players if player not in critics]
        gradients = [report[name] for name in others if name in report]
        if separation:
            found["separation"] = max(separation)
        if losses and self.undecided > 0:  # a Wasserstein critic may win by any margin
            found["loss_left"] = min(losses) / self.undecided
        if gradients:
            if len(self.levels) < FIRST_REPORTS and math.isfinite(min(gradients)):
                self.levels.append(min(gradients))
            found["gradient_left"] = min(gradients) / (median(self.levels or [1.0]) or 1.0)
        return found

    def spread(self, trainer: Trainer) -> Signals:
        """The diversity of samples, and how many times as large it is as RISE_REPORTS ago."""
        now = self.diversity(trainer)
        self.seen = [*self.seen[-RISE_REPORTS:], now]
        if len(self.seen) <= RISE_REPORTS:
            return {"diversity": now}
        return {"diversity": now, "rise": now / self.seen[0] if self.seen[0] else 1.0}

    def growth(self, trainer: Trainer) -> Signals:
        """By what share the squared norm of a player's weights grew in a hundred updates, that of the fastest player.

        Updates in unrelated directions add up in squares, so that the growth of many is divided by their number.
        """
        norms = torch.stack([torch.nn.utils.get_total_norm(s.parameters, foreach=True) for s in trainer.seats]).tolist()
        now = trainer.step, [self.taken[seat.name] for seat in trainer.seats], norms
        old = [entry for entry in self.norms if entry[0] <= trainer.step - GROWTH_STEPS]
        self.norms = [*old[-1:], *self.norms[len(old) :], now]
        if not old:
            return {}
        _, counts, before = old[-1]
        grown = [(norm / then) ** 2 - 1 for norm, then in zip(norms, before, strict=True)]
        new = [count - then for count, then in zip(now[1], counts, strict=True)]
        return {"growth": max(share * 100 / number for share, number in zip(grown, new, strict=True) if number)}

    def pace(self, trainer: Trainer) -> Signals:
        """The share of the time since the last report in which training waited for streamed data."""
        seconds, waited = trainer.seconds, trainer.loader.waited
        before, self.time = self.time, (seconds, waited)
        if trainer.loader.resident or before is None or seconds <= before[0]:
            return {}
        return {"waiting": (waited - before[1]) / (seconds - before[0])}

    def record(self, trainer: Trainer) -> Signals:
        """How many times worse than the best judgement a new one is, by the metric of best.pt."""
        best = self.book.summary.get("best")
        figure = best and self.book.summary["figures"].get(best["metric"])
        if not figure or figure["step"] == self.judged:
            return {}
        self.judged = figure["step"]
        good, now = best["value"], figure["value"]
        if good <= 0 or best["metric"].startswith("kid"):  # an estimate of zero that may be below it has no multiples
            return {}
        if lower_is_better(best["metric"]):
            return {"worse": now / good}
        return {"worse": good / now if now > 0 else math.inf}

    # What is said and done

    def judge(self, trainer: Trainer) -> None:
        """Say what is new, note what is gone; DivergedError where nothing leads on and the run is not to go on."""
        if self.reason is not None:
            text = f"{self.reason}. Lower optimizer.lr, or set trainer.clip=1.0 or trainer.precision=fp32"
            self.begin("divergence", f"{text}.", trainer.step)
            if self.on_divergence != "continue":
                raise DivergedError(f"Diverged: {text}; the last checkpoint is from before it.")
            return
        self.end("divergence", trainer.step)
        least, most = WARM_UP_STEPS
        is_late = trainer.step > most or (trainer.step > least and trainer.progress > 0.1)
        for symptom in self.symptoms:
            if (is_late or not symptom.late) and self.signals.keys() >= set(symptom.reads):
                self.follow(symptom, symptom.holds(self.signals), trainer.step)

    def follow(self, symptom: Symptom, holds: bool, step: int) -> None:
        """Count the reports in a row in which a symptom held, or did not, and note when it begins and ends."""
        streak = self.streaks[symptom.name]
        self.streaks[symptom.name] = max(1, streak + 1) if holds else min(-1, streak - 1)
        if self.streaks[symptom.name] >= symptom.reports:
            self.begin(symptom.name, symptom.says.format(**self.signals), step)
        elif self.streaks[symptom.name] <= -QUIET_REPORTS:
            self.end(symptom.name, step)

    def begin(self, name: str, text: str, step: int) -> None:
        """Say it, and write it down, unless it is there already."""
        if self.book is None or any(entry["name"] == name for entry in self.present):
            return
        self.say(f"health: step {step:,}, {name}: {text}")
        self.book.text(f"health/{name}", text, step)
        self.book.summarise(health=[*self.entries, {"name": name, "step": step, "said": text, "gone": None}])

    def end(self, name: str, step: int) -> None:
        """Note that it is gone, if it was there."""
        ended = [entry for entry in self.present if entry["name"] == name]
        for entry in ended:
            entry["gone"] = step
        if ended:
            self.book.summarise(health=self.entries)

    @property
    def entries(self) -> list[dict]:
        """All that was said in this run: name, step, said, and the step at which it was gone, or None."""
        return self.book.summary.get("health", []) if self.book is not None else []

    @property
    def present(self) -> list[dict]:
        return [entry for entry in self.entries if entry["gone"] is None]

    # What a checkpoint holds

    def memory(self, trainer: Trainer) -> dict:
        """What later reports need beside a trainer's state: what was said since the last one, and of those before."""
        counts = {"streaks": dict(self.streaks), "taken": dict(self.taken), "levels": [*self.levels]}
        whole = {name: getattr(self, name) for name in REPLACED}  # replaced, and never changed in place
        return {"unreported": trainer.unreported(), "watch": counts | whole}

    def recall(self, trainer: Trainer, state: dict) -> None:
        """Take what `memory` gave; nothing of a checkpoint from before it was kept."""
        if "unreported" in state:
            trainer.recall(state["unreported"])
            kept = state["watch"]
            self.streaks, self.taken = defaultdict(int, kept["streaks"]), defaultdict(int, kept["taken"])
            self.levels = kept["levels"]
            for name in REPLACED:
                setattr(self, name, kept[name])

    # What keeps a run going

    def attend(self, trainer: Trainer, observers: Sequence[Observer]) -> None:
        """Train. With `rollback`, go back after divergence, at most MOST_ROLLBACKS times; DivergedError after that."""
        while True:
            if not self.norms:
                self.growth(trainer)  # what it is at first
            try:
                return trainer.run(observers)
            except DivergedError as error:
                if self.on_divergence != "rollback":
                    raise
                if trainer.rollbacks == MOST_ROLLBACKS:
                    raise DivergedError(f"{error} Gave up after {MOST_ROLLBACKS} rollbacks.") from error
                self.roll_back(trainer)

    def roll_back(self, trainer: Trainer) -> None:
        """Put the trainer back to the last checkpoint, with rates halved and other draws, and save that at once."""
        step, rollbacks = trainer.step, trainer.rollbacks + 1
        state = checkpoint.load_newest(self.folder, say=self.say)
        trainer.load_state_dict({**state, "rollbacks": rollbacks, "seconds": trainer.seconds})
        trainer.forget()
        self.norms, self.seen = [], []
        trainer.world.most(0)  # all have read it before it is written again
        if self.book is None:
            return
        self.end("divergence", step)
        self.book.rewind(trainer.step)
        text = (
            f"rolled back from step {step:,} to the checkpoint of step {trainer.step:,}; training continues "
            f"with learning rates divided by {2**rollbacks} and other draws (rollback {rollbacks} of {MOST_ROLLBACKS})."
        )
        self.say(f"ROLLBACK: {text}")
        self.book.text("health/rollback", text, step)
        note = {"name": "rollback", "step": step, "said": text, "gone": trainer.step}
        self.book.summarise(health=[*self.entries, note], rollbacks=rollbacks)
        checkpoint.save(self.folder, trainer.state_dict() | {"memory": self.memory(trainer) | self.book.memory()})
