"""The ranks that train together, and what they must agree on."""

import contextlib
import hashlib
import inspect
import os
import re
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gan_lab.errors import ConfigError, GanLabError, ResourceError

MINUTES = 10.0  # that ranks wait for one another
GONE = r"gloo|Connection (closed|reset)|Broken pipe|[Tt]imed? ?out"  # how torch tells of a lost rank


class LostRankError(ResourceError):
    """Another rank that has ended, or does not answer: never the first cause."""


class World:
    """This process among its peers: `rank` of `size`, on one device. A world of one needs no process group."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | str = "cpu"):
        self.rank, self.size, self.device = rank, size, torch.device(device)

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def agree(self, flag: Tensor) -> Tensor:
        """A flag on the device that is true only if it is true on every rank."""
        if self.size == 1:
            return flag
        count = flag.to(torch.int32)
        dist.all_reduce(count, op=dist.ReduceOp.MIN)
        return count.bool()

    def most(self, *numbers: float) -> list[float]:
        """The largest of each number of the host over all ranks; does not wait for the device."""
        if self.size == 1:
            return list(numbers)
        most = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(most, op=dist.ReduceOp.MAX)
        return most.tolist()

    def broadcast(self, thing: object) -> object:
        """What rank 0 holds, on every rank; plain Python values."""
        box = [thing]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def average_(self, buffers: list[Tensor]) -> None:
        """Replace floating-point buffers by their mean over ranks."""
        if self.size > 1:
            for buffer in buffers:
                if buffer.is_floating_point():
                    dist.all_reduce(buffer.div_(self.size))

    def wrap(self, player: nn.Module) -> nn.Module:
        """A player as a DDP unit."""
        if self.size == 1:
            return player
        # Renamed in torch 2.13; each rank keeps its own batch-norm statistics, and rank 0's are saved
        known = inspect.signature(DistributedDataParallel.__init__).parameters
        sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(player, device_ids=devices, **{sync: False})

    def check_same(self, parameters: list[Tensor], step: int) -> None:
        """Raise if the ranks' weights have drifted apart, which no resumed run could repair."""
        if self.size == 1:
            return
        digest = hashlib.sha256()
        for parameter in parameters:
            digest.update(parameter.detach().float().cpu().contiguous().numpy().tobytes())
        digests = [None] * self.size
        dist.all_gather_object(digests, digest.hexdigest())
        if len(set(digests)) > 1:
            raise GanLabError(f"At step {step} the ranks hold different weights; this is a bug, please report it.")


@contextlib.contextmanager
def joined(rank: int, size: int, device: torch.device, minutes: float = MINUTES):
    """Join the process group that the environment describes (MASTER_ADDR, MASTER_PORT), and leave it at the end.

    Raises LostRankError where another rank has ended, or has not answered for so many minutes.
    """
    if size == 1:
        yield World(0, 1, device)
        return
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigError(
            f"RANK and WORLD_SIZE are set in the environment, as torchrun sets them, and {' and '.join(missing)} not. "
            "Start with torchrun, which sets all, or remove them: unset RANK WORLD_SIZE."
        )
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, rank=rank, world_size=size, timeout=timedelta(minutes=minutes))
        yield World(rank, size, device)
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or re.search(GONE, str(error))):
            raise
        raise LostRankError(
            f"Another process of this training has ended, or has not answered for {minutes:g} minutes, so this one "
            "ends, too. `gan-lab resume` goes on from the last checkpoint."
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
