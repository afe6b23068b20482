"""The loop: rounds and turns, and observers who are told."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from gan_lab.models.base import Game
from gan_lab.models.ema import Ema
from gan_lab.noise import Noise, seed_networks, seed_of
from gan_lab.rows import Rows
from gan_lab.training.distributed import World
from gan_lab.training.loader import Loader
from gan_lab.training.player import Seat, all_finite


class Observer(Protocol):
    """Somebody who is told of the game after every `every` rounds, and at its end."""

    every: int

    def tell(self, trainer: "Trainer") -> None: ...


class Trainer:
    """Plays a game round by round. A step is one round: every player takes its turns, on fresh batches.

    `turns` maps a player to a function of the step that says how many turns it takes in that round. The player with
    the most turns sees a fresh batch in each; the others play the last ones of the round. `total` is the number of
    steps, None when only `max_seconds` bounds the run.
    """

    def __init__(
        self,
        game: Game,
        seats: Sequence[Seat],
        loader: Loader,
        ema: Ema,
        *,
        turns: dict[str, Callable[[int], int]],
        total: int | None,
        max_seconds: float | None = None,
        rate: Callable[[float, int], float] = lambda progress, step: 1.0,
        amp: torch.dtype | None = None,
        ema_every: int = 1,
        seed: int = 0,
        world: World | None = None,
    ):
        self.game, self.seats, self.loader, self.ema = game, seats, loader, ema
        self.turns, self.rate, self.amp, self.ema_every = turns, rate, amp, ema_every
        self.total, self.max_seconds, self.seed = total, max_seconds, seed
        self.world = world or World()
        self.rollbacks, self.draws = 0, seed
        game.noise = Noise(seed, self.world.device)
        self.parameters = [p for seat in seats for p in seat.parameters]
        kept = game.objective.state_dict()  # without constants
        self.shared = [b for name, b in game.objective.named_buffers() if name in kept]  # averaged after each round
        self.step, self.batches, self.seconds = 0, 0, 0.0
        self.turns_taken = {seat.name: 0 for seat in seats}  # turns of each player so far
        self.terms: list[dict[str, Tensor]] = []  # what every turn since the last report said, on the device
        self.stopping = False  # whether the run is to end after this round
        self.interrupted = False  # whether it is to be cut there, to go on later
        self.cut = False  # whether it was, which all ranks agree on
        self.watched = True  # whether this round measures gradient norms, because observers are told after it

    @property
    def images(self) -> int:
        """Real images that the players have seen."""
        return self.batches * self.loader.images

    @property
    def epochs(self) -> float:
        return self.batches / self.loader.batches_per_epoch

    @property
    def progress(self) -> float:
        """The share of the run that is over, by whichever bound is nearer."""
        by_step = self.step / self.total if self.total else 0.0
        by_time = self.seconds / self.max_seconds if self.max_seconds else 0.0
        return max(by_step, by_time)

    def run(self, observers: Sequence[Observer] = ()) -> None:
        """Play until the bound, or until somebody sets `stopping` or `interrupted`.

        Observers are told of the rounds that their `every` divides, and of the last one: one where a run is merely
        interrupted is none of theirs, so that it leaves what a run leaves that was not.
        """
        self.game.train()
        started = time.monotonic() - self.seconds
        over, cut = self.progress >= 1, any(self.world.most(self.interrupted))
        while not over and not cut:
            self.watched = any((self.step + 1) % observer.every == 0 for observer in observers)
            self.round()
            # By one clock, so that bounds and learning rates are the same on all ranks
            mine = time.monotonic() - started, self.stopping, self.interrupted
            self.seconds, stopping, cut = self.world.most(*mine)
            over = bool(self.progress >= 1 or stopping)
            for observer in observers:
                if over or self.step % observer.every == 0:
                    observer.tell(self)
        self.cut = bool(cut)

    def round(self) -> None:
        """One round: the players' turns in order, then the average follows."""
        step = self.step
        counts = {seat.name: self.turns[seat.name](step) for seat in self.seats}
        fresh = max(counts.values())
        drawn = [self.loader.batch(self.batches + i) for i in range(fresh)]
        seed_networks(seed_of(self.draws, "networks", self.world.rank, step), self.world.device)
        factor = self.rate(self.progress, step) * 0.5**self.rollbacks
        for seat in self.seats:
            seat.set_rates(factor)
            for turn in range(counts[seat.name]):
                self.turn(seat, step, turn, drawn[fresh - counts[seat.name] + turn])
        self.world.average_(self.shared)
        self.game.objective.settle(step + 1, fresh * self.loader.images)
        self.step, self.batches = step + 1, self.batches + fresh
        if self.step % self.ema_every == 0:
            recent = sum(self.fresh(past) for past in range(self.step - self.ema_every, self.step))
            self.ema.update(self.game, recent * self.loader.images, self.images, drawn[-1][-1])

    def fresh(self, step: int) -> int:
        """How many batches a round draws: one for each turn of the player with the most."""
        return max(self.turns[seat.name](step) for seat in self.seats)

    def turn(self, seat: Seat, step: int, turn: int, batches: list[Rows]) -> None:
        """One turn: one loss over all micro-batches, one update. Everybody else is frozen."""
        for parameter in self.parameters:
            parameter.requires_grad_(False)
        for parameter in seat.parameters:
            parameter.requires_grad_(True)
            parameter.grad = None

        # Add up the gradients of the micro-batches
        total = 0.0
        self.game.turn = self.turns_taken[seat.name]
        for i, batch in enumerate(batches):
            self.game.noise.at(step, seat.name, turn, shard=self.loader.mine[i], shards=self.loader.shards)
            with seat.reduce_only(last=i == len(batches) - 1):
                with torch.autocast(self.world.device.type, self.amp, enabled=self.amp is not None):
                    losses, logs = seat.unit(batch, step)
                    assert all(term.requires_grad for term in losses.values()), f"{seat.name}: {list(losses)}"
                    loss = sum(losses.values()) / len(batches)
                seat.scaler.scale(loss).backward()
            total = total + loss.detach()
            self.terms.append({f"loss/{seat.name}/{name}": term.detach() for name, term in losses.items()})
            self.terms.append({f"{seat.name}/{name}": value for name, value in logs.items()})

        norm = seat.update(total, step, self.world.agree, measure=self.watched)
        self.terms += [{f"grad_norm/{seat.name}": norm}] if self.watched else []
        self.game.constrain_critics(seat.name)
        self.turns_taken[seat.name] += 1

    def report(self) -> dict[str, float]:
        """The mean of every term since the last report, of this rank, and figures as they are; waits for the device."""
        names = dict.fromkeys(name for said in self.terms for name in said)
        means = {name: torch.stack([s[name].float() for s in self.terms if name in s]).mean() for name in names}
        means |= {name: value.float() for name, value in self.game.objective.figures().items()}
        self.terms.clear()
        return dict(zip(means, torch.stack([*means.values()]).tolist(), strict=True)) if means else {}

    def unreported(self) -> dict:
        """What was said and taken since the last report: a resumed run reports the same means as one never cut."""
        values = [value.float() for said in self.terms for value in said.values()]
        flags = {seat.name: [finite for _, finite in seat.taken] for seat in self.seats}
        return {
            "names": [list(said) for said in self.terms],
            "values": torch.stack(values).cpu() if values else torch.empty(0),
            "steps": {seat.name: [step for step, _ in seat.taken] for seat in self.seats},
            "taken": {name: torch.stack(each).cpu() if each else torch.empty(0) for name, each in flags.items()},
        }

    def recall(self, state: dict) -> None:
        """Take what `unreported` gave."""
        values = iter(state["values"].to(self.world.device))
        self.terms = [{name: next(values) for name in names} for names in state["names"]]
        for seat in self.seats:
            flags = state["taken"][seat.name].to(self.world.device)
            seat.taken = list(zip(state["steps"][seat.name], flags, strict=True))

    def is_whole(self) -> bool:
        """Whether all weights, buffers and averages are finite numbers on this rank; waits for the device."""
        tensors = [t for module in (self.game, self.ema) for t in (*module.parameters(), *module.buffers())]
        numbers = [t.detach() for t in tensors if t.is_floating_point()]
        return bool(all_finite(numbers, torch.zeros((), device=self.world.device)))

    def retry(self, rollbacks: int) -> None:
        """Go on after so many rollbacks in all: at rates halved each time, with other draws than those that failed."""
        self.rollbacks = rollbacks
        self.draws = seed_of(self.seed, "rollback", rollbacks) if rollbacks else self.seed
        self.game.noise.seed = self.draws
        self.loader.reseed(self.draws)

    def forget(self) -> None:
        """Drop what was said and taken since the last report."""
        self.terms.clear()
        for seat in self.seats:
            seat.taken.clear()

    def state_dict(self) -> dict:
        """All that a resumed run needs: names to tensors and numbers."""
        return {
            "step": self.step,
            "batches": self.batches,
            "seconds": self.seconds,
            "rollbacks": self.rollbacks,
            "game": self.game.state_dict(),
            "ema": self.ema.state_dict(),
            **{f"seat/{seat.name}": seat.state_dict() for seat in self.seats},
        }

    def load_state_dict(self, state: dict) -> None:
        self.step, self.batches, self.seconds = state["step"], state["batches"], state["seconds"]
        self.turns_taken = {seat.name: sum(map(self.turns[seat.name], range(self.step))) for seat in self.seats}
        self.retry(state.get("rollbacks", 0))  # none in checkpoints from before there were any
        self.game.load_state_dict(state["game"])
        self.ema.load_state_dict(state["ema"])
        for seat in self.seats:
            seat.load_state_dict(state[f"seat/{seat.name}"])
