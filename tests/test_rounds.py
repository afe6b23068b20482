"""What a captured round needs, as far as a CPU can tell: the host decides nothing in it that changes with the step.

A graph repeats the kernels of one round with the numbers that the host gave them then. So every turn must be the same
sequence of operations, on tensors of the same shapes and with the same numbers, however far the training is. Learning
rates are constant here: under a schedule they are numbers of the host, which a graph would need as tensors.
"""

import contextlib
from itertools import zip_longest

import pytest
import torch
from helpers import INNER, config_of, names, trainer_of, words_for
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

MODELS, LOSSES = names("model"), names("loss")
COUNTED = ["loss/penalty=historical_averaging", "loss/view=instance_noise", "loss/view=replay"]
PLAYED = ["model=dcgan", "dataset=digits", "model.discriminator.norm=layer"]


class Operations(TorchDispatchMode):
    """Every operation, with shape and type of the tensors it is given and the numbers as they are."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        shown = lambda x: (tuple(x.shape), x.dtype) if isinstance(x, Tensor) else "a generator" if is_random(x) else x
        if function.namespace != "profiler":
            self.seen.append((str(function), str(tree_map(shown, (args, kwargs or {})))))
        return function(*args, **(kwargs or {}))


def is_random(x):
    return isinstance(x, torch.Generator)


def turns(trainer) -> list[tuple[str, str]]:
    """The operations of all turns of the next round: without its batches and the average, which a graph is given."""
    seen, turn = [], type(trainer).turn

    def recorded(*args):
        with Operations() as operations:
            turn(trainer, *args)
        seen.extend(operations.seen)

    trainer.turn = recorded
    trainer.round()
    del trainer.turn
    return seen


def check_rounds_are_alike(*words, first=5, period=1):  # lazy penalties are not due in the sixth round
    """Rounds that are `period` apart have the same operations, from the one after the `first` ones on."""
    trainer = trainer_of(config_of(*words))
    trainer.watched = False
    for _ in range(first):
        trainer.round()
    one, other = ([turns(trainer) for _ in range(period)] for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert len(a) > 50
        assert [(x, y) for x, y in zip_longest(a, b) if x != y][:3] == []


@pytest.mark.parametrize("model", MODELS)
def test_every_game(model):
    check_rounds_are_alike(*words_for(model), first=8)  # after which pools are full


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss):
    check_rounds_are_alike(*PLAYED, f"loss={loss}")


@pytest.mark.parametrize("extra", [f"{group}={name}" for group in INNER for name in names(group)])
def test_every_penalty_and_view(extra):
    """But for three whose numbers the host counts: a captured round would have to do without them."""
    with pytest.raises(AssertionError) if extra in COUNTED else contextlib.nullcontext():
        check_rounds_are_alike(*PLAYED, extra)


def test_a_lazy_penalty_makes_two_kinds_of_rounds():
    words = [*PLAYED, "loss/penalty=r1", "loss.penalties.r1.every=4"]
    check_rounds_are_alike(*words, first=4, period=4)
    with pytest.raises(AssertionError):
        check_rounds_are_alike(*words, first=4, period=1)
