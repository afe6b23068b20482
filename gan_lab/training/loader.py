"""Batches on the device, in an order that follows from the seed and the position alone."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from gan_lab.datasets import Dataset
from gan_lab.noise import hashed, seed_of
from gan_lab.rows import Rows


class Loader:
    """Batch number b of training, for one rank: always the same, whenever and on however many workers it is asked for.

    The data order is a permutation of (seed, epoch); a batch never straddles two epochs, and what is left over at the
    end of an epoch is left out of it. What lies beside the rows without belonging to them (`Dataset.decks`) is dealt
    from decks of its own, each of which is shuffled whenever it has been dealt. The global batch of `batch_size *
    accumulate` samples is sliced first by rank, then into micro-batches. `resident` data lies on the device as uint8;
    `streamed` data is decoded ahead by threads, for a GPU into pinned memory, from which it is copied while others
    compute.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        accumulate: int = 1,
        seed: int = 0,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        resident: bool = True,
        workers: int = 2,
    ):
        self.dataset, self.seed, self.device = dataset, seed, torch.device(device)
        self.decks = {name: deck for name, deck in dataset.decks.items() if len(deck[1])}
        self.shards = accumulate * world_size
        self.micro_batch = batch_size // world_size
        self.images = self.micro_batch * self.shards  # real images of one global batch
        self.mine = range(rank * accumulate, (rank + 1) * accumulate)
        self.resident = resident
        self.data = {k: v.to(self.device) for k, v in dataset.tensors().items()} if resident else {}
        self.ahead = {} if resident else Ahead(workers, self.device)
        self.epoch, self.order = None, None
        self.shuffled: dict[str, tuple[int, torch.Tensor]] = {}  # by its name: how often a deck was, and how it lies
        self.waited = 0.0  # seconds for which training stood still because rows were not decoded yet

    def reseed(self, seed: int) -> None:
        """Take another data order from here on."""
        self.seed, self.epoch, self.shuffled = seed, None, {}
        if not self.resident:
            self.ahead.pending.clear()

    @property
    def batches_per_epoch(self) -> int:
        return len(self.dataset) // self.images

    def batch(self, number: int) -> list[Rows]:
        """The micro-batches of global batch `number` that this rank plays."""
        return [self.prepared(number, shard) for shard in self.mine]

    def prepared(self, number, shard):
        epoch, indices = self.indices(number, shard)
        rows = self.rows(number, shard, indices, self.dealt(number, shard))
        bits = hashed(indices.to(self.device, non_blocking=True), self.seed, "augment", epoch)
        return Rows(self.dataset.prepare(rows, bits))

    def indices(self, number, shard):
        """The epoch of a global batch, and the dataset's rows in one of its shards, [micro_batch]."""
        epoch, place = divmod(number, self.batches_per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, self.placed(self.permutation(len(self.dataset), "order", epoch))
        start = place * self.images + shard * self.micro_batch
        return epoch, self.order[start : start + self.micro_batch]

    def dealt(self, number, shard):
        """The dataset's rows from which a shard of a global batch has what is loose, by its column, [micro_batch]."""
        start, found = number * self.images + shard * self.micro_batch, {}
        for name, (columns, cards) in self.decks.items():
            found |= dict.fromkeys(columns, self.cut(name, cards, start, start + self.micro_batch))
        return found

    def cut(self, name, cards, start, end):
        """What a deck deals from one place to another: it is shuffled whenever it is through."""
        parts = []
        while start < end:
            shuffle, place = divmod(start, len(cards))
            if self.shuffled.get(name, (None,))[0] != shuffle:
                order = self.placed(cards[self.permutation(len(cards), name, shuffle)])
                self.shuffled[name] = shuffle, order
            parts.append(self.shuffled[name][1][place : place + end - start])
            start += len(parts[-1])
        return torch.cat(parts)

    def permutation(self, many, name, number):
        return torch.randperm(many, generator=torch.Generator().manual_seed(seed_of(self.seed, name, number)))

    def placed(self, order):
        order = self.pinned(order)
        return order.to(self.device, non_blocking=True) if self.resident else order

    def rows(self, number, shard, indices, others):
        if self.resident:
            return {n: values.index_select(0, others.get(n, indices)) for n, values in self.data.items()}
        started = time.monotonic()
        rows = self.ahead.take((number, shard), lambda: self.decoded(indices, others))
        self.waited += time.monotonic() - started
        for later in range(number + 1, number + 1 + self.ahead.batches):
            for each in self.mine:
                if not self.ahead.knows((later, each)):
                    soon = self.indices(later, each)[1], self.dealt(later, each)
                    self.ahead.ask((later, each), lambda soon=soon: self.decoded(*soon))
        return {name: values.to(self.device, non_blocking=True) for name, values in rows.items()}

    def decoded(self, indices, others):
        return {name: self.pinned(values) for name, values in self.dataset.dealt(indices, others).items()}

    def pinned(self, values):
        return values.pin_memory() if self.device.type == "cuda" else values


class Ahead:
    """Rows that threads decode before they are needed."""

    batches = 4

    def __init__(self, workers: int, device: torch.device):
        # A new thread's GPU is the first one, whichever is its process's, and there it would pin memory
        begin = (lambda: torch.cuda.set_device(device)) if device.type == "cuda" and device.index is not None else None
        self.pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="decode", initializer=begin)
        self.pending: dict[tuple[int, int], Future] = {}

    def knows(self, key):
        return key in self.pending

    def ask(self, key, read):
        self.pending[key] = self.pool.submit(read)

    def take(self, key, read):
        return self.pending.pop(key).result() if key in self.pending else read()
