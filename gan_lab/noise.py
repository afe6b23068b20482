"""Every random draw of a game, by name: a function of the seed, the place in training and the name, and of no state."""

import hashlib

import torch
from torch import Tensor


def seed_of(*key: int | str) -> int:
    """A seed in [0, 2^63) that depends on every part of `key`."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Noise:
    """Random draws of one turn, made for the global batch and sliced.

    A draw depends on (seed, place, name) alone, so that a resumed run repeats it. It is made for all shards of the
    global batch (ranks times micro-batches) and sliced, so that two ranks equal one process and accumulation equals
    the larger batch. The same name at the same place gives the same numbers; two draws of one turn need two names.
    """

    def __init__(self, seed: int = 0, device: torch.device | str = "cpu"):
        self.seed, self.device = seed, torch.device(device)
        self.place, self.shard, self.shards = (), 0, 1
        self.scope = ""  # one critic of several has a name here

    def at(self, *place: int | str, shard: int = 0, shards: int = 1) -> "Noise":
        """Move to a place of training, such as (step, player, turn), and to one shard of its global batch."""
        self.place, self.shard, self.shards = place, shard, shards
        return self

    def __call__(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers, [N, ...] for the N samples of this shard."""
        return self._slice(torch.randn(self._whole(shape), generator=self._generator(name), device=self.device), shape)

    def uniform(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Numbers uniform on [0, 1), [N, ...] for the N samples of this shard."""
        return self._slice(torch.rand(self._whole(shape), generator=self._generator(name), device=self.device), shape)

    def integers(self, name: str, high: int, shape: tuple[int, ...]) -> Tensor:
        """Whole numbers uniform on [0, high), [N, ...] for the N samples of this shard."""
        generator = self._generator(name)
        return self._slice(torch.randint(high, self._whole(shape), generator=generator, device=self.device), shape)

    def _generator(self, name):
        return torch.Generator(self.device).manual_seed(seed_of(self.seed, *self.place, name))

    def _whole(self, shape):
        return shape[0] * self.shards, *shape[1:]

    def _slice(self, whole, shape):
        return whole[self.shard * shape[0] : (self.shard + 1) * shape[0]]


def hashed(indices: Tensor, *key: int | str) -> Tensor:
    """63 random bits for each index, int64 [N]: the same on every device (splitmix64 of the index and the key)."""
    z = indices * 0x1E3779B97F4A7C15 + seed_of(*key)
    z = (z ^ (z >> 30)) * -0x40A7B892E31B1A47
    z = (z ^ (z >> 27)) * -0x6B2FB644ECCEEE15
    return (z ^ (z >> 31)) & 0x7FFFFFFFFFFFFFFF


def seed_networks(seed: int, device: torch.device) -> None:
    """Seed what networks draw by themselves, such as dropout, on this device alone: torch.manual_seed asks them all."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
