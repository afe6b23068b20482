"""A CUDA device that is not there: games are played on tensors that have a shape, a type and a device, and no numbers.

What lies on the CPU is real; what lies on the pretended device is torch's FakeTensor. It is an error, as on a real
one, if tensors of both meet, or if a generator draws for the other device. It is an error, too, if the host asks for a
number of the device or for a shape that only the numbers tell, or carries a tensor from one to the other: a round
would wait for that.

Outside of a round the host may wait. What it reads then is made up, since there is nothing to be read: numbers that
are drawn, and flags that are true.

Not seen are kernels, so no backward pass: gradients are zeros for whatever weights a loss was made of. Written for
torch 2.11 to 2.14.
"""

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor, cuda
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_iter

UNSEEN = {torch._fused_sgd_}  # kernels that FakeTensor has no stand-in for; they write over what they are given
COMPARES = {torch.equal, Tensor.equal, torch.allclose, Tensor.allclose}
READS = {Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__}
MOVES = {Tensor.to, Tensor.cpu, Tensor.cuda, Tensor.copy_}
REAL_GENERATOR = torch.Generator


class Waits(RuntimeError):
    """The host would have to wait for the device."""


class Generator(REAL_GENERATOR):
    """A generator of the pretended device; the CPU has real ones."""

    def __new__(cls, device: torch.device | str = "cpu"):
        return REAL_GENERATOR() if torch.device(device).type == "cpu" else super().__new__(cls)

    def __init__(self, device: torch.device | str = "cpu"):
        self.where = torch.device(device)


class Apart(TorchFunctionMode):
    """Keeps the real CPU and the pretended device apart, and looks at who crosses between them."""

    def __init__(self):
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.pinned: dict[int, Tensor] = {}  # what lies in pinned memory, by its address
        self.crossing = True  # whether tensors may be carried from one to the other and numbers be read

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        seen = list(tree_iter((args, kwargs)))
        pretended = [x for x in seen if isinstance(x, FakeTensor)]
        asked = [x for x in seen if isinstance(x, torch.device) or (isinstance(x, str) and x[:4] in ("cpu", "cuda"))]
        to_device = any(torch.device(x).type == "cuda" for x in asked)
        if self.crossing and pretended and function in COMPARES:
            return False
        if not self.crossing and pretended and function in READS | COMPARES:
            raise Waits(f"{function.__name__} reads a number of the device")
        goals = [*asked, "cpu"] if function is Tensor.cpu else asked
        if self.crossing and args and isinstance(args[0], FakeTensor):
            if function in READS:
                return read(function, args[0])
            if function in MOVES and function is not Tensor.copy_ and "cpu" in (torch.device(x).type for x in goals):
                return made_up(args[0])
        if self.crossing and function is Tensor.copy_ and isinstance(args[1], FakeTensor) and not fake(args[0]):
            return args[0]
        if not self.crossing and function in MOVES and self.crosses(seen, goals, kwargs):
            raise Waits(f"{function.__name__} carries a tensor between the devices")
        if (generator := kwargs.get("generator")) is not None:
            mine = "cuda" if isinstance(generator, Generator) else "cpu"
            other = "cuda" if pretended or to_device else "cpu"
            if mine != other:
                raise RuntimeError(f"Expected a '{other}' device type for generator but found '{mine}'")
            if mine == "cuda":
                del kwargs["generator"]
        if function in UNSEEN:
            return None
        with self.fake if pretended or to_device else contextlib.nullcontext():
            return function(*args, **kwargs)

    def crosses(self, seen, goals, kwargs):
        """Whether a move has to wait: it does not where it is from pinned memory and need not block."""
        tensors = [x for x in seen if isinstance(x, Tensor)]
        places = {x.device.type for x in tensors} | {torch.device(x).type for x in goals}
        real = [x for x in tensors if not isinstance(x, FakeTensor)]
        free = kwargs.get("non_blocking") and real and all(address(x) in self.pinned for x in real)
        return len(places) > 1 and not free

    def pin(self, x):
        copy = x.clone()
        self.pinned[address(copy)] = copy
        return copy


@contextlib.contextmanager
def pretended() -> Iterator[Apart]:
    """A machine with the pretended device; what comes out of it can only be used within it."""
    apart = Apart()
    with contextlib.ExitStack() as stack:
        for place, name, stand_in in (
            (torch, "Generator", Generator),
            (torch.autograd, "grad", gradients),
            (torch.Tensor, "backward", backward),
            (torch.Tensor, "pin_memory", lambda x: apart.pin(x)),
            (torch.cuda, "is_bf16_supported", lambda *args, **kwargs: True),
            (torch.cuda, "manual_seed", lambda seed: None),
            (cuda.amp.common, "amp_definitely_not_available", lambda: False),
        ):
            stack.enter_context(mock.patch.object(place, name, stand_in))
        yield stack.enter_context(apart)


@contextlib.contextmanager
def nobody_waits(apart: Apart) -> Iterator[None]:
    """As in a round: whoever waits for the device is told."""
    apart.crossing = False
    try:
        yield
    finally:
        apart.crossing = True


def fake(x):
    return isinstance(x, FakeTensor)


def made_up(x: FakeTensor) -> Tensor:
    """Numbers in the place of those that a pretended tensor does not have."""
    numbers = REAL_GENERATOR().manual_seed(0)
    values = torch.rand(tuple(x.shape), generator=numbers)
    return (values > 0.5 if x.dtype == torch.bool else values).to(x.dtype)


def read(function, x: FakeTensor):
    """What the host reads of a pretended tensor: flags that are true, and numbers that are made up."""
    if x.dtype == torch.bool and function in (Tensor.item, Tensor.__bool__):
        return True
    return function(made_up(x))


def address(x):
    return x.untyped_storage().data_ptr()


def gradients(outputs, inputs, *args, **kwargs):
    """Zeros that hang on the outputs, as a gradient with `create_graph` does."""
    (outputs,) = outputs if isinstance(outputs, list | tuple) else (outputs,)
    several = isinstance(inputs, list | tuple)
    return tuple(torch.zeros_like(x) + 0 * outputs.sum() for x in (inputs if several else [inputs]))


def backward(loss):
    """Zeros as gradients of the leaves that a loss is made of."""
    assert loss.dim() == 0 and loss.requires_grad
    waiting, known = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in known:
            continue
        known.add(node)
        waiting += [before for before, _ in node.next_functions]
        if (leaf := getattr(node, "variable", None)) is not None and leaf.requires_grad:
            leaf.grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad + 0
