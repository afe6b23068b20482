"""Experience replay: the critic does not forget what the generator used to do."""

import torch
from torch import Tensor

from gan_lab.losses.base import View


class Replay(View):
    """A share of the critic's fakes comes from a pool of earlier ones. Shrivastava et al. 2017 (arXiv 1612.07828), 2.3.

    In each of the critic's turns `share` of the batch is replaced by fakes drawn from a pool of `size`; the fakes whose
    place they take enter the pool, in random slots once it is full. The pool is part of the state of a run; where
    there are several processes each has its own, the first one's is saved, and the others start again from it.
    """

    couples_batch = True
    judge_only = True
    remembers = True

    def __init__(self, size: int = 1024, share: float = 0.5):
        super().__init__()
        if size < 1:
            raise ValueError(f"size={size} must be at least 1.")
        if not 0 < share <= 1:
            raise ValueError(f"share={share} must lie in (0, 1].")
        self.size, self.share = size, share
        self.pools: dict[str, Tensor] = {}  # by the critic's name where there are several

    @torch.no_grad()
    def forward(self, real: Tensor, fake: Tensor, noise, step: int) -> tuple[Tensor, Tensor]:
        new = fake[: max(1, round(self.share * len(fake)))]
        pool = self.pools.get(noise.scope, new[:0]).to(new)

        # Draw from the pool what takes the place of the first fakes; the very first turn finds it empty
        picks = (noise.uniform("replay/picks", (len(new),)) * len(pool)).long()
        shown = torch.cat([pool[picks], fake[len(new) :]]) if len(pool) else fake

        # Put these into the pool
        if room := self.size - len(pool):
            pool = torch.cat([pool, new[:room]])
        else:
            slots = noise.uniform("replay/slots", (len(pool),)).topk(min(len(new), len(pool))).indices
            pool = pool.index_copy(0, slots, new[: len(slots)])
        self.pools[noise.scope] = pool
        return real, shown

    def get_extra_state(self) -> dict:
        return {"pools": self.pools}

    def set_extra_state(self, state: dict) -> None:
        self.pools = dict(state["pools"])
