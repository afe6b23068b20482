"""What a game keeps of the data, so that a seed is the same sample for life."""

import torch
from torch import Tensor, nn


class Kept(nn.Module):
    """Holds rows of the data, handed over before the first round, in its buffer `known`: they are part of the run."""

    known: Tensor

    @torch.no_grad()
    def fill(self, rows: Tensor) -> None:
        """Keep rows [N, ...]; fewer than there is room for are repeated."""
        self.known.copy_(rows[torch.arange(len(self.known)) % len(rows)])

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        # Checkpoints of version 0.1 say beside it how many rows had been seen; now all are there from the start
        if type(self).set_extra_state is nn.Module.set_extra_state:
            state_dict.pop(f"{prefix}_extra_state", None)
        super()._load_from_state_dict(state_dict, prefix, *args)
