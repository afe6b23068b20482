"""A critic of codes. Lample et al. 2017, Fader Networks (arXiv 1706.00409), section 4, official code."""

from torch import Tensor, nn

from gan_lab.networks.layers import MeanPool, check_counts, norm2d, pair
from gan_lab.networks.layers import halvings as halvings_of
from gan_lab.networks.precision import in_float32

MOST = 512  # channels


class CodeCritic(nn.Module):
    """Codes [N, width * 2^k, h, w] of pictures that were halved k times, to logits [N].

    k is `halvings`; null: as often as the picture can be, and codes have one place. Convolutions of 4 x 4 halve a code
    until a side is one, with twice the channels each time, up to 512; a layer of `hidden` units and the logit follow.
    `dropout` is that behind each convolution, or of a code that has one place.
    """

    def __init__(
        self,
        image_size: int | list[int],
        width: int,
        halvings: int | None = None,
        hidden: int = 512,
        dropout: float = 0.3,
        norm: str = "batch",
    ):
        super().__init__()
        check_counts(width=width, hidden=hidden)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} must lie in [0, 1).")
        times = halvings_of(image_size) if halvings is None else halvings
        channels, side = width * 2**times, 1 if halvings is None else min(pair(image_size)) >> times
        layers = [nn.Dropout(dropout)] if side == 1 else []
        while side > 1:
            after = max(channels, min(2 * channels, MOST))
            convolution = nn.Conv2d(channels, after, 4, stride=2, padding=1, bias=norm == "none")
            layers += [convolution, norm2d(norm, after), nn.LeakyReLU(0.2), nn.Dropout(dropout)]
            channels, side = after, side // 2
        self.trunk = nn.Sequential(*layers, MeanPool())
        self.says = nn.Sequential(nn.Linear(channels, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def forward(self, code: Tensor) -> Tensor:
        return in_float32(self.says, self.trunk(code)).flatten()
