"""Fakes that are shown later: those of this round, and a pool of earlier ones."""

import torch
from torch import Tensor


class LastFakes:
    """The generator's fakes of this round, which the critic's turn takes in place of new ones where `active`."""

    def __init__(self, active: bool):
        self.active, self.fakes = active, []

    def keep(self, fakes) -> None:
        """Hand on images, or several sets of them, without their gradients."""
        if self.active:
            self.fakes.append(fakes.detach() if torch.is_tensor(fakes) else tuple(fake.detach() for fake in fakes))

    def take(self):
        """The fakes of one turn; None where new ones are to be made."""
        return self.fakes.pop(0) if self.active else None


class ImagePool:
    """Half of the fakes that a critic sees are older ones. Shrivastava et al. 2017 (arXiv 1612.07828), section 2.3.

    As in CycleGAN (Zhu et al. 2017, section 4): the first `size` fakes fill the pool and are shown themselves. From
    then on each fake is shown, or with probability 1/2 takes the place of one of the pool, which is shown in its stead.
    A size of 0 shows the fakes as they are. The pool is part of a run's state; where there are several processes each
    has its own, and the first one's is saved.
    """

    def __init__(self, size: int, name: str):
        if size < 0:
            raise ValueError(f"pool={size} must not be negative; 0 is no pool.")
        self.size, self.name = size, name
        self.images: Tensor | None = None  # [<= size, C, H, W]

    @torch.no_grad()
    def __call__(self, fake: Tensor, noise) -> Tensor:
        """What is shown in place of fakes [N, C, H, W]; fakes beyond the size of the pool are shown as they are."""
        if self.size == 0:
            return fake
        pool = fake[:0] if self.images is None else self.images.to(fake)
        first, new = fake[: self.size - len(pool)], fake[self.size - len(pool) :]
        pool = torch.cat([pool, first])
        if len(new) == 0:
            self.images = pool
            return fake

        # Draw a place for each, no place twice, and whether it is exchanged
        places = noise.uniform(f"pool/{self.name}/place", (self.size,)).topk(min(len(new), self.size)).indices
        swaps = noise.uniform(f"pool/{self.name}/swap", (len(new),))[: len(places)].view(-1, 1, 1, 1) < 0.5
        old, young = pool[places], new[: len(places)]
        self.images = pool.index_copy(0, places, torch.where(swaps, young, old))
        return torch.cat([first, torch.where(swaps, old, young), new[len(places) :]])

    def state(self) -> dict:
        return {} if self.images is None else {"images": self.images}

    def load(self, state: dict) -> None:
        self.images = state.get("images")
