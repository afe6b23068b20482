"""What the scores of real and fake are worth to each side, and what the critic owes beside."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Critic = Callable[[Tensor], Tensor]


class Penalty(nn.Module):
    """A term that a player owes beside its objective, such as a bound on the critic's gradient.

    `weight` multiplies the term. It is taken every `every` steps and then counts `every` times (lazy regularisation,
    Karras et al. 2020, appendix B). It runs in float32, outside torch.compile, which has no double backward.
    """

    name = "penalty"
    player = "critic"  # who owes it: "critic" or "generator"
    per_sample = False  # true: it needs each sample's own score, which batch norm in the critic does not give
    couples_batch = False  # true: the term of a batch is not the mean of the terms of its parts

    def __init__(self, weight: float = 1.0, every: int = 1):
        super().__init__()
        if every < 1:
            raise ValueError(f"every={every} must be at least 1.")
        self.weight, self.every = weight, every

    def forward(self, network: Critic, *played: Tensor, noise) -> Tensor:
        """The term as a scalar: of (critic, real, fake) for the critic, of (generator, ...) for the generator."""
        raise NotImplementedError


class View(nn.Module):
    """A change of what the critic is shown, the same in its own turn and in the generator's: (real, fake) to the same.

    It must be differentiable in `fake`. What it remembers lies in buffers.
    """

    couples_batch = False

    def forward(self, real: Tensor, fake: Tensor, noise) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class Objective(nn.Module):
    """An adversarial objective on raw scores, with its penalties and views.

    `critic_turns`: turns of the critic in a round. Scores are float32, of any shape, higher for real.
    """

    compares = False  # true: the generator's loss looks at the scores of real samples too
    couples_batch = False  # true: the loss of a batch is not the mean of the losses of its parts
    bounded = True  # false: the scores run away unless a penalty or a clip holds the critic

    def __init__(self, critic_turns: int = 1, penalties: Sequence[Penalty] = (), views: Sequence[View] = ()):
        super().__init__()
        if critic_turns < 1:
            raise ValueError(f"critic_turns={critic_turns} must be at least 1.")
        self.critic_turns = critic_turns
        self.penalties, self.views = nn.ModuleList(penalties), nn.ModuleList(views)

    def critic_loss(self, real: Tensor, fake: Tensor, noise) -> Tensor:
        """What the critic minimises, given its scores of real and fake samples."""
        raise NotImplementedError

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """What the generator minimises; `real` holds the scores of real samples if the objective `compares`."""
        raise NotImplementedError

    def constrain(self, critic: nn.Module) -> None:
        """Put a critic's weights back where they must lie, after its update."""

    def show(self, real: Tensor, fake: Tensor, noise) -> tuple[Tensor, Tensor]:
        """Real and fake as the critic sees them."""
        for view in self.views:
            real, fake = view(real, fake, noise)
        return real, fake

    def penalise(self, player: str, network: Critic, *played: Tensor, step: int, noise) -> dict[str, Tensor]:
        """The penalties that `player` owes at this step, by name."""
        due = [p for p in self.penalties if p.player == player and step % p.every == 0]
        if not due:
            return {}
        with torch.autocast(played[0].device.type, enabled=False), torch.compiler.set_stance("force_eager"):
            played = [widened(x) for x in played]
            return {p.name: p.weight * p.every * p(network, *played, noise=noise) for p in due}


def widened(x: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return x.float() if x.dtype.itemsize < 4 else x
