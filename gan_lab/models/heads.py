"""A critic with a second head: it scores samples, and says something else of them too."""

from torch import Tensor, nn


class Heard:
    """A discriminator that returns (scores, what it says), as a critic that returns scores alone.

    What it said of each set of samples is kept in `said`, in the order in which they were shown; so losses and
    penalties meet an ordinary critic, and both heads share one pass through the trunk.
    """

    def __init__(self, func: nn.Module):
        self.func, self.said = func, []

    def __call__(self, x: Tensor) -> Tensor:
        score, said = self.func(x)
        self.said.append(said)
        return score
