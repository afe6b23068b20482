"""What the scores of real and fake are worth to each side, and what the critic owes beside."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from gan_lab.rows import Rows

Critic = Callable[[Rows], Tensor]  # rows to raw scores


class ByName:
    """A network that is called with rows: it takes the `image` first, and every other column by its name."""

    def __init__(self, func: Callable):
        self.func = func

    def __call__(self, rows: Rows) -> Tensor:
        return self.func(rows["image"], **rows.without("image"))


class Penalty(nn.Module):
    """A term that a player owes beside its objective, such as a bound on the critic's gradient.

    `weight` multiplies the term. Its player owes it in every `every`-th of its turns, where it counts `every` times
    (lazy regularisation, Karras et al. 2020, appendix B). It runs in float32, outside torch.compile, which has no
    double backward.
    """

    at: Literal["judge", "fool", "regularise"] = "judge"  # the move of a game at which it is owed
    through: Literal["real", "fake"] | None = None  # the side that it looks at before augmentation, and through it
    per_sample = False  # true: it needs each sample's own score, which batch norm in the critic does not give
    couples_batch = False  # true: the term of a batch is not the mean of the terms of its parts
    of_scores = False  # true: it is called with the scores of real and fake in place of critic and rows
    shows: tuple[str, ...] = ()  # the buffers that are numbers of interest, which are reported beside the losses
    reads: str | None = None  # a part of the network at which it looks, such as the critic's `trunk`

    def __init__(self, weight: float = 1.0, every: int = 1):
        super().__init__()
        if every < 1:
            raise ValueError(f"every={every} must be at least 1.")
        self.weight, self.every = weight, every

    def forward(self, network: Critic, *played: Rows, noise) -> Tensor:
        """The term as a scalar: of (critic, real, fake) at `judge` and `fool`, of (generator, rows) at `regularise`.

        One that is `of_scores` is given (scores of real, scores of fake), and owed at `judge`.

        Critic and generator are called with rows. A critic's term differentiates the column `image`; what else a side
        has, such as its labels, stays beside it.
        """
        raise NotImplementedError

    def complaints(self, parts, name: str) -> Iterator[str]:
        """Why it cannot be owed in a training of these parts (`gan_lab.config.compat.Parts`), `name` being its own."""
        game = parts.game
        owing = [
            n for player in game.players.values() for n in player if (n in game.critics) is (self.at != "regularise")
        ]
        for network in owing:
            known = getattr(game, network)
            if self.per_sample and self.at == "judge" and mixes_batch(known):
                yield (
                    f"The loss penalises the gradient of each sample ({name}), which batch norm in the {network} "
                    f"mixes. Set model.{network}.norm=layer."
                )
            if self.reads and not any(n.endswith(self.reads) for n, _ in known.named_modules()):
                whose = "trunk and a head" if self.reads == "trunk" else "part of that name"
                yield (
                    f"{name} uses the features of the {network}'s {self.reads}, and this {network} has no submodule "
                    f"'{self.reads}'. Set ~loss.penalties.{name}, or give the network a {whose}."
                )


def mixes_batch(network: nn.Module) -> bool:
    """Whether a network's output for one sample depends on the others in the batch while it trains."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())


class View(nn.Module):
    """A change of what the critic is shown, the same in its own turn and in the generator's: (real, fake) to the same.

    Both are rows, whose column `image` has beside it whatever else the critic takes; a view that moves rows moves all
    of their columns. It must be differentiable in the images of `fake`. What it remembers is part of its state: in
    `get_extra_state`, or in buffers, which are equal on all ranks after each round.
    """

    couples_batch = False  # true: a row that is shown comes from several rows of the batch, or from another time
    judge_only = False  # true: the generator's turn goes without it
    images_only = False  # true: points cannot be shown through it
    augments = False  # true: it changes each sample by itself, so that penalties can look through it
    remembers = False  # true: it shows what it has seen before, so that a turn goes through it once
    hears = False  # true: it is told what the critic made of the real samples that it was shown
    shows: tuple[str, ...] = ()  # the buffers that are numbers of interest, which are reported beside the losses

    def forward(self, real: Rows, fake: Rows, noise, step: int) -> tuple[Rows, Rows]:
        raise NotImplementedError

    def hear(self, belief: Tensor) -> None:
        """What the critic made of real samples in its own turn, [N]: positive where it took one for real."""

    def settle(self, step: int, images: int) -> None:
        """The end of a round, by which buffers are means over ranks; `step` rounds are over.

        `images`: the real ones that all players have seen in it. Nothing here waits for the device.
        """

    def alone(self, rows: Rows) -> Rows:
        """Samples, each by itself in the shape that the critic takes: for pictures of its scores."""
        return rows

    def complaints(self, parts, name: str) -> Iterator[str]:
        """Why samples cannot be shown through it in a training of these parts, `name` being its own."""
        if self.images_only and parts.dataset.image_size is None:
            yield f"The view {name} changes images, and this dataset holds points. Set loss/view=[]."


class Objective(nn.Module):
    """An adversarial objective on raw scores, with its penalties and views, each under a name of its own.

    `critic_turns`: turns of the critic in a round. Scores are float32, of any shape, higher for real. The views are
    looked through in their order.
    """

    compares = False  # true: the generator's loss looks at the scores of real samples too
    couples_batch = False  # true: the loss of a batch is not the mean of the losses of its parts
    bounded = True  # false: the scores run away unless a penalty or a clip holds the critic
    undecided: float | None = 0.0  # the score of what may be real or fake; None: gaps between scores mean something

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

    def belief(self, real: Tensor, fake: Tensor) -> Tensor:
        """How far the critic takes each real sample for real, [N]: its score above that of an undecided critic.

        Where only gaps between scores mean something, it is the gap to a fake sample. A critic of patches is taken for
        the mean of its scores.
        """
        per_sample = lambda scores: scores.reshape(len(scores), -1).mean(dim=1)
        relative = self.compares or self.undecided is None
        return per_sample(real) - (per_sample(fake) if relative else self.undecided)

    @torch.no_grad()
    def hear(self, real: Tensor, fake: Tensor) -> None:
        """Tell the views that want to know what the critic's scores were in its own turn."""
        for view in self.views.values():
            if view.hears:
                view.hear(self.belief(real, fake))

    @torch.no_grad()
    def settle(self, step: int, images: int) -> None:
        """The end of a round: see `View.settle`."""
        for view in self.views.values():
            view.settle(step, images)

    def figures(self) -> dict[str, Tensor]:
        """The numbers that penalties and views show of themselves, by name; on the device."""
        parts = [("penalty", self.penalties), ("view", self.views)]
        return {
            f"{kind}/{name}/{what}": getattr(part, what)
            for kind, group in parts
            for name, part in group.items()
            for what in part.shows
        }

    def complaints(self, parts, name: str) -> Iterator[str]:
        """Why it cannot be played for in a training of these parts (`gan_lab.config.compat.Parts`)."""
        if parts.game.critics and not self.bounded and not any(p.per_sample for p in self.penalties.values()):
            yield (
                "This loss has neither a clip nor a penalty, so the discriminator's scores grow without bound. "
                "Set loss.clip=0.01, or choose loss=wgan_gp."
            )

    def constrain(self, critic: nn.Module) -> None:
        """Put a critic's weights back where they must lie, after its update."""

    def show(self, real: Rows, fake: Rows, noise, step: int, *, judging: bool = False) -> tuple[Rows, Rows]:
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

    def alone(self, rows: Rows) -> Rows:
        """Samples in the shape in which the critic sees them, but unchanged and each by itself."""
        for view in self.views.values():
            rows = view.alone(rows)
        return rows

    def penalise(
        self,
        at: str,
        network: Critic,
        *played: Rows,
        turn: int,
        noise,
        before: "Before | None" = None,
        scores: tuple[Tensor, ...] = (),
    ) -> dict[str, Tensor]:
        """The penalties that are owed at this move, by name; `turn` counts those that the player has had before.

        `before`: real and fake before they were augmented, for penalties that look through that; `scores`: those of
        both, for penalties of these.
        """
        due = {name: p for name, p in self.penalties.items() if p.at == at and turn % p.every == 0}
        if not due:
            return {}
        with torch.autocast(played[0].device.type, enabled=False), torch.compiler.set_stance("force_eager"):
            terms = {}
            for name, p in due.items():
                critic, shown = before.of(network, p.through) if before and p.through else (network, played)
                given = scores if p.of_scores else (critic, *(rows.each(at_least_float32) for rows in shown))
                terms[name] = p.weight * p.every * p(*given, noise=noise)
            return terms


class Before(NamedTuple):
    """Real and fake before they are augmented, and what augments them: of (real, fake) the same."""

    real: Rows
    fake: Rows
    augment: Callable[[Rows, Rows], tuple[Rows, Rows]]

    def of(self, critic: Critic, side: Literal["real", "fake"]) -> tuple[Critic, tuple[Rows, Rows]]:
        """The critic as it sees samples of one side through the augmentation, and the samples before it."""
        return Through(critic, self.augment, side), (self.real, self.fake)


class Through:
    """A critic behind the augmentation of one side."""

    def __init__(self, func: Critic, augment: Callable, side: Literal["real", "fake"]):
        self.func, self.augment, self.side = func, augment, ("real", "fake").index(side)

    def __call__(self, rows: Rows) -> Tensor:
        return self.func(self.augment(rows, rows)[self.side])


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return x.float() if x.dtype.itemsize < 4 else x
