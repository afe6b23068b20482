"""What a game keeps of the data, so that a seed is the same sample for life."""

import torch
from torch import Tensor, nn


class Remembers(nn.Module):
    """Keeps the first rows of the data that it sees, in its buffer `known`; until there are enough they are repeated.

    With several processes each remembers rows of its own, and those of the first are saved.
    """

    known: Tensor
    remembered = 0

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        """Take rows [N, ...] for the places that are left."""
        room = len(self.known) - self.remembered
        if room == 0:
            return
        rows = rows[:room]
        self.remembered += len(rows)
        self.known[len(self.known) - room :] = rows[torch.arange(room, device=rows.device) % len(rows)]

    def get_extra_state(self) -> dict:
        return {"remembered": self.remembered}

    def set_extra_state(self, state: dict) -> None:
        self.remembered = state["remembered"]

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        # A checkpoint from before the count was kept is of a run that has seen enough
        state_dict.setdefault(f"{prefix}_extra_state", {"remembered": len(self.known)})
        super()._load_from_state_dict(state_dict, prefix, *args)
