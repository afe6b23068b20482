"""Arithmetic that must not be rounded to eight bits, though the network around it is."""

from collections.abc import Callable

import torch
from torch import Tensor


def in_float32(layer: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """What a layer makes of its inputs in float32, also where autocast is on; float64 stays as it is.

    A critic's head is such a layer, since an objective and its slope live on small differences of scores, of which
    bfloat16 knows 8 bits; so is what stands beside a 1.
    """
    with torch.autocast(inputs[0].device.type, enabled=False):
        return layer(*(x.to(torch.promote_types(x.dtype, torch.float32)) for x in inputs))
