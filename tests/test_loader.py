"""Batches follow from the seed and the position: the same for every placement, rank and number of workers."""

import pytest
import torch
from helpers import config_of
from hypothesis import given
from hypothesis import strategies as st

from gan_lab.config.build import build_dataset
from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Dataset, Digits
from gan_lab.errors import ResourceError
from gan_lab.training import machine
from gan_lab.training.loader import Loader


class Numbers(Dataset):
    """Images of one pixel whose label is their index, and bits that are handed through."""

    def __init__(self, size):
        super().__init__(channels=1, image_size=(1, 1), labels=torch.zeros(size, dtype=torch.int64), classes=["0", "1"])
        self.size = size

    def __len__(self):
        return self.size

    def load(self):
        return {"image": torch.zeros(self.size, 1, 1, 1, dtype=torch.uint8), "label": torch.arange(self.size)}

    def prepare(self, rows, bits):
        return {**super().prepare(rows, bits), "bits": bits}


def labels(loader, number):
    return torch.cat([batch["label"] for batch in loader.batch(number)])


def same(a, b):
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x) for x, y in zip(a, b, strict=True)
    )


@given(st.integers(1, 60), st.integers(1, 8), st.integers(0, 5))
def test_an_epoch_is_a_permutation_and_no_batch_straddles_two(size, batch_size, seed):
    if batch_size > size:
        return
    loader = Loader(Numbers(size), batch_size, seed=seed)
    per_epoch = loader.batches_per_epoch
    assert per_epoch == size // batch_size
    for epoch in range(2):
        seen = torch.cat([labels(loader, epoch * per_epoch + i) for i in range(per_epoch)]).tolist()
        assert len(set(seen)) == len(seen) == per_epoch * batch_size
        assert set(seen) <= set(range(size))


def test_the_order_changes_with_epoch_and_seed():
    loader = Loader(Numbers(64), 64, seed=0)
    assert not torch.equal(labels(loader, 0), labels(loader, 1))
    assert not torch.equal(labels(loader, 0), labels(Loader(Numbers(64), 64, seed=1), 0))
    assert not torch.equal(labels(loader, 0), torch.arange(64))


@given(st.integers(0, 80), st.booleans())
def test_a_batch_is_the_same_however_one_gets_there(number, resident):
    """The position is all there is to resume: batch 37 asked for at once equals batch 37 after 0 to 36."""
    make = lambda: Loader(Numbers(30), 4, seed=5, resident=resident, workers=1)
    walked = make()
    for i in range(number):
        walked.batch(i)
    assert same(walked.batch(number), make().batch(number))
    backwards = make()
    backwards.batch(number + 9)
    assert same(backwards.batch(number), make().batch(number))


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_streamed_and_resident_batches_are_the_same_with_any_number_of_workers(workers, accumulate):
    dataset = Digits()
    dataset.flip = True
    resident = Loader(dataset, 300, accumulate=accumulate, seed=2, resident=True)
    streamed = Loader(dataset, 300, accumulate=accumulate, seed=2, resident=False, workers=workers)
    for number in range(3 * resident.batches_per_epoch):
        assert same(resident.batch(number), streamed.batch(number)), number


def test_threads_that_finish_in_another_order_change_nothing():
    import random
    import time

    class Slow(Numbers):
        def rows(self, indices):
            time.sleep(random.random() / 200)
            return super().rows(indices)

    slow, plain = Loader(Slow(40), 4, resident=False, workers=4), Loader(Numbers(40), 4)
    for number in range(30):
        assert same(slow.batch(number), plain.batch(number))


def test_an_error_in_a_worker_reaches_the_loop():
    class Broken(Numbers):
        def rows(self, indices):
            raise OSError("planted: picture 7 is truncated")

    loader = Loader(Broken(40), 4, resident=False, workers=2)
    with pytest.raises(OSError, match="picture 7"):
        loader.batch(0)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(("ranks", "accumulate"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_ranks_and_micro_batches_share_one_global_batch(ranks, accumulate, resident):
    whole = Loader(Numbers(100), 8 * accumulate, seed=1)
    parts = [
        Loader(Numbers(100), 8, accumulate=accumulate, seed=1, rank=r, world_size=ranks, resident=resident)
        for r in range(ranks)
    ]
    for number in (0, 3, 7, 20):
        micro = [batch for part in parts for batch in part.batch(number)]
        assert len(micro) == ranks * accumulate
        assert {len(batch["label"]) for batch in micro} == {8 // ranks}
        (expected,) = whole.batch(number)
        for key in expected:
            assert torch.equal(torch.cat([batch[key] for batch in micro]), expected[key]), key
    assert all(part.images == whole.images and part.batches_per_epoch == whole.batches_per_epoch for part in parts)


def test_augmentation_bits_follow_seed_epoch_and_index():
    loader = Loader(Numbers(20), 20, seed=0)
    by_index = [dict(zip(*(loader.batch(n)[0][k].tolist() for k in ("label", "bits")), strict=True)) for n in (0, 1)]
    assert by_index[0].keys() == by_index[1].keys()
    assert all(by_index[0][i] != by_index[1][i] for i in range(20)), "anew in each epoch"
    (other,) = Loader(Numbers(20), 5, seed=0).batch(2)
    for index, bits in zip(other["label"].tolist(), other["bits"].tolist(), strict=True):
        assert by_index[0][index] == bits, "whatever the batch size"


# --- The machine that it lies on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AttributeError, ValueError, OSError])
def test_memory_is_guessed_where_the_system_does_not_tell(monkeypatch, error):
    """Windows has no `sysconf`, and that of macOS does not know the free pages."""

    def sysconf(name):
        raise error(name)

    assert machine.free_memory() > 0
    monkeypatch.setattr(machine.os, "sysconf", sysconf)
    assert machine.free_memory() == 4 << 30
    assert machine.is_resident(TrainerSettings(), Numbers(10), torch.device("cpu"))


def test_a_gpu_that_is_not_there_is_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert machine.device_of(TrainerSettings(device="cuda:0")) == torch.device("cuda:0")
    with pytest.raises(ResourceError, match="trainer.device=cuda:1: this machine has 1 CUDA devices, from cuda:0"):
        machine.device_of(TrainerSettings(device="cuda:1"))


# ---- what lies beside the rows --------------------------------------------------------------------------------------


def counts(loader, name, batches, first=0):
    """How often each loose thing was dealt in some batches, and beside which rows."""
    seen = [batch for number in range(first, first + batches) for batch in loader.batch(number)]
    values = torch.cat([batch[name].flatten(1)[:, 0] if batch[name].dim() > 1 else batch[name] for batch in seen])
    return torch.unique(values, return_counts=True)


class Loose(Numbers):
    """Numbers beside which lie `many` other numbers."""

    loose = ("beside",)

    def __init__(self, size, many):
        super().__init__(size)
        self.partner, self.cards = torch.arange(size) % many, torch.arange(many)

    def load(self):
        return {**super().load(), "beside": self.partner}


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_each_loose_thing_is_dealt_equally_often(size, many, batch_size, resident):
    if batch_size > size or many > size:
        return
    loader = Loader(Loose(size, many), batch_size, resident=resident)
    batches = -(-3 * many // batch_size)
    found, often = counts(loader, "beside", batches)
    assert len(found) == many and often.max() - often.min() <= 1
    assert torch.cat([batch["label"] for batch in loader.batch(0)]).unique().numel() == batch_size


def test_partners_change_from_epoch_to_epoch_and_slices_equal_the_whole():
    loader = Loader(Loose(64, 64), 64)
    first, second = (dict(zip(*[b[n].tolist() for n in ("label", "beside")], strict=True))
                     for number in (0, 1) for b in loader.batch(number))  # fmt: skip
    assert sum(first[row] == second[row] for row in first) < 10
    parts = Loader(Loose(64, 64), 16, accumulate=2, rank=1, world_size=2).batch(3)
    whole = Loader(Loose(64, 64), 32).batch(3)[0]
    assert torch.equal(torch.cat([part["beside"] for part in parts]), whole["beside"][16:])


@pytest.mark.parametrize("many", [20, 1000, 1270])
def test_every_known_label_is_learned_equally_often(many):
    """A partner by hash and modulo left 8 in 100 of 20,000 labels unseen beside 50,000 pictures, and 37 of all."""
    data = build_dataset(config_of("dataset=few_labels", "dataset.of.split=train", f"dataset.num_labelled={many}"))
    loader = Loader(data, 64, resident=False)
    batches = [batch for number in range(3 * many // 64 + 1) for batch in loader.batch(number)]
    found, often = torch.cat([batch["known_image"].flatten(1) for batch in batches]).unique(dim=0, return_counts=True)
    assert len(found) == many and often.max() - often.min() <= 1


@pytest.mark.parametrize("classes", ["[0,1]", "[1,0]"])
def test_pictures_of_the_smaller_domain_are_seen_equally_often(classes):
    words = "dataset=split_domains", "dataset.of=digits", "dataset.channels=1", "dataset.image_size=16"
    data = build_dataset(config_of(*words, "dataset.by=class", f"dataset.classes={classes}"))
    (small,) = data.loose
    loader = Loader(data, 8)
    seen = torch.cat([batch[small].flatten(1) for number in range(3 * loader.batches_per_epoch)
                      for batch in loader.batch(number)])  # fmt: skip
    _, often = seen.unique(dim=0, return_counts=True)
    assert often.max() - often.min() <= 1
    assert not torch.equal(*(loader.batch(i * loader.batches_per_epoch)[0][small] for i in (0, 1)))
