"""One network for each of several things, such as domains: alike in all but their weights."""

from collections.abc import Callable

from torch import Tensor, nn

from gan_lab.networks.layers import check_counts


class Each(nn.Module):
    """`count` networks of one kind, with weights of their own; called with what one of them takes and its number.

    `network` makes one (`_partial_: true` in its YAML).
    """

    def __init__(self, count: int, network: Callable[[], nn.Module]):
        super().__init__()
        check_counts(count=count)
        self.networks = nn.ModuleList(network() for _ in range(count))

    def forward(self, x: Tensor, number: int) -> Tensor:
        return self.networks[number](x)

    @property
    def multiple(self) -> int:
        """What both sides of pictures are multiples of."""
        return self.networks[0].multiple
