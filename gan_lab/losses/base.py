"""What the scores of real and fake are worth to each side, and what the critic owes beside."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Critic = Callable[[Tensor], Tensor]


class Penalty(nn.Module):
    """A term that a player owes beside its objective, such as a bound on the critic's gradient.

    `weight` multiplies the term. Its player owes it in every `every`-th of its turns, where it counts `every` times
    (lazy regularisation, Karras et al. 2020, appendix B). It runs in float32, outside torch.compile, which has no
    double backward.
    """

    at: Literal["judge", "fool", "pay"] = "judge"  # the move of a game at which it is owed
    through: Literal["real", "fake"] | None = None  # the side that it looks at before augmentation, and through it
    per_sample = False  # true: it needs each sample's own score, which batch norm in the critic does not give
    couples_batch = False  # true: the term of a batch is not the mean of the terms of its parts
    reads_trunk = False  # true: it looks at what the critic's `trunk` makes of a sample

    def __init__(self, weight: float = 1.0, every: int = 1):
        super().__init__()
        if every < 1:
            raise ValueError(f"every={every} must be at least 1.")
        self.weight, self.every = weight, every

    def forward(self, network: Critic, *played: Tensor, noise) -> Tensor:
        """The term as a scalar: of (critic, real, fake) at `judge` and `fool`, of (generator, latents) at `pay`."""
        raise NotImplementedError


class View(nn.Module):
    """A change of what the critic is shown, the same in its own turn and in the generator's: (real, fake) to the same.

    It must be differentiable in `fake`. What it remembers is part of its state (`get_extra_state`).
    """

    couples_batch = False  # true: a row that is shown comes from several rows of the batch, or from another time
    judge_only = False  # true: the generator's turn goes without it
    images_only = False  # true: points cannot be shown through it
    augments = False  # true: it changes each sample by itself, so that penalties can look through it
    remembers = False  # true: it shows what it has seen before, so that a turn goes through it once

    def forward(self, real: Tensor, fake: Tensor, noise, step: int) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def alone(self, x: Tensor) -> Tensor:
        """Samples, each by itself in the shape that the critic takes, [N, ...]: for pictures of its scores."""
        return x


class Objective(nn.Module):
    """An adversarial objective on raw scores, with its penalties and views, each under a name of its own.

    `critic_turns`: turns of the critic in a round. Scores are float32, of any shape, higher for real. The views are
    looked through in their order.
    """

    compares = False  # true: the generator's loss looks at the scores of real samples too
    couples_batch = False  # true: the loss of a batch is not the mean of the losses of its parts
    bounded = True  # false: the scores run away unless a penalty or a clip holds the critic

    def __init__(
        self,
        critic_turns: int = 1,
        penalties: dict[str, Penalty] | None = None,
        views: dict[str, View] | None = None,
    ):
        super().__init__()
        if critic_turns < 1:
            raise ValueError(f"critic_turns={critic_turns} must be at least 1.")
        self.critic_turns = critic_turns
        self.penalties, self.views = nn.ModuleDict(penalties), nn.ModuleDict(views)

    def critic_loss(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        """What the critic minimises, given its scores of real and fake samples."""
        raise NotImplementedError

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """What the generator minimises; `real` holds the scores of real samples if the objective `compares`."""
        raise NotImplementedError

    def mirrored(self, score: Tensor) -> Tensor:
        """Scores as they would be were real and fake to change sides: for whoever makes real samples look fake."""
        return -score

    def constrain(self, critic: nn.Module) -> None:
        """Put a critic's weights back where they must lie, after its update."""

    def show(self, real: Tensor, fake: Tensor, noise, step: int, *, judging: bool = False) -> tuple[Tensor, Tensor]:
        """Real and fake as the critic sees them, in its own turn (`judging`) or in another's."""
        for look in self.looks(noise, step, judging=judging):
            real, fake = look(real, fake)
        return real, fake

    def looks(self, noise, step: int, *, judging: bool) -> tuple[Callable, Callable]:
        """The views in two parts, each of (real, fake): up to the first that augments, and from there on.

        What remembers is in the first part, whatever the order, so that the second one can be looked through again.
        """
        views = [view for view in self.views.values() if judging or not view.judge_only]
        start = 1 + max((i for i, view in enumerate(views) if view.remembers), default=-1)
        split = next((i for i in range(start, len(views)) if views[i].augments), len(views))

        def through(part):
            def look(real, fake):
                for view in part:
                    real, fake = view(real, fake, noise, step)
                return real, fake

            return look

        return through(views[:split]), through(views[split:])

    def alone(self, x: Tensor) -> Tensor:
        """Samples in the shape in which the critic sees them, but unchanged and each by itself, [N, ...]."""
        for view in self.views.values():
            x = view.alone(x)
        return x

    def penalise(
        self, at: str, network: Critic, *played: Tensor, turn: int, noise, before: "Before | None" = None
    ) -> dict[str, Tensor]:
        """The penalties that are owed at this move, by name; `turn` counts those that the player has had before.

        `before`: real and fake before they were augmented, for penalties that look through that.
        """
        due = {name: p for name, p in self.penalties.items() if p.at == at and turn % p.every == 0}
        if not due:
            return {}
        with torch.autocast(played[0].device.type, enabled=False), torch.compiler.set_stance("force_eager"):
            terms = {}
            for name, p in due.items():
                critic, shown = before.of(network, p.through) if before and p.through else (network, played)
                terms[name] = p.weight * p.every * p(critic, *map(widened, shown), noise=noise)
            return terms


class Before(NamedTuple):
    """Real and fake before they are augmented, and what augments them: of (real, fake) the same."""

    real: Tensor
    fake: Tensor
    augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

    def of(self, critic: Critic, side: Literal["real", "fake"]) -> tuple[Critic, tuple[Tensor, Tensor]]:
        """The critic as it sees samples of one side through the augmentation, and the samples before it."""
        return Through(critic, self.augment, side), (self.real, self.fake)


class Through:
    """A critic behind the augmentation of one side."""

    def __init__(self, func: Critic, augment: Callable, side: Literal["real", "fake"]):
        self.func, self.augment, self.side = func, augment, ("real", "fake").index(side)

    def __call__(self, x: Tensor) -> Tensor:
        return self.func(self.augment(x, x)[self.side])


def widened(x: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return x.float() if x.dtype.itemsize < 4 else x
