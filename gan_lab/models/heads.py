"""A critic with a second head: it scores samples, and predicts something else of them too."""

from torch import Tensor, nn


class TwoHeads:
    """A discriminator that returns (scores, predictions), as a critic that returns scores alone.

    What its second head predicts of each set of samples is kept in `second`, in the order in which they were shown,
    with the rows that stood beside the images, of which the network itself is told nothing: views that move samples
    move these with them. So losses and penalties meet an ordinary critic, and both heads share one pass.
    """

    def __init__(self, func: nn.Module):
        self.func, self.second = func, []

    def __call__(self, image: Tensor, **beside: Tensor) -> Tensor:
        score, second = self.func(image)
        self.second.append((second, beside))
        return score
