"""Experience replay: the critic does not forget what the generator used to do."""

import torch

from gan_lab.losses.base import View
from gan_lab.rows import Rows


class Replay(View):
    """A share of the critic's fakes comes from a pool of earlier ones. Shrivastava et al. 2017 (arXiv 1612.07828), 2.3.

    In each of the critic's turns `share` of the batch is replaced by fakes drawn from a pool of `size`; the fakes whose
    place they take enter the pool, in random slots once it is full, with what the critic sees beside them. The pool is
    part of the state of a run; where
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
        self.pools: dict[str, Rows] = {}  # by the critic's name where there are several

    @torch.no_grad()
    def forward(self, real: Rows, fake: Rows, noise, step: int) -> tuple[Rows, Rows]:
        new = fake.at(slice(max(1, round(self.share * fake.count))))
        pool = self.pools.get(noise.scope) or new.at(slice(0))
        pool = Rows({name: kept.to(new[name]) for name, kept in pool.items()})

        # Draw from the pool what takes the place of the first fakes; the very first turn finds it empty
        picks = (noise.uniform("replay/picks", (new.count,)) * pool.count).long()
        shown = Rows.joined([pool.at(picks), fake.at(slice(new.count, None))]) if pool.count else fake

        # Put these into the pool
        if room := self.size - pool.count:
            pool = Rows.joined([pool, new.at(slice(room))])
        else:
            slots = noise.uniform("replay/slots", (pool.count,)).topk(min(new.count, pool.count)).indices
            pool = Rows({name: kept.index_copy(0, slots, new[name][: len(slots)]) for name, kept in pool.items()})
        self.pools[noise.scope] = pool
        return real, shown

    def get_extra_state(self) -> dict:
        return {"pools": {scope: dict(pool) for scope, pool in self.pools.items()}}

    def set_extra_state(self, state: dict) -> None:
        self.pools = {scope: Rows.of(pool) for scope, pool in state["pools"].items()}  # once images alone
