"""A player, and the seat from which it moves: what DDP wraps, with its optimizer and its gradient scaler."""

import contextlib

import torch
from torch import Tensor, nn

from gan_lab.models.base import Game
from gan_lab.rows import Rows


class Player(nn.Module):
    """The networks that move together: one optimizer, one scaler, one DDP unit, one loss.

    The loss runs inside `forward`, so that however often it calls the networks, DDP sees one forward and one backward.
    """

    def __init__(self, name: str, game: Game):
        super().__init__()
        self.networks = nn.ModuleDict({n: getattr(game, n) for n in game.players[name]})
        self.loss = getattr(game, f"{name}_loss")

    def forward(self, batch: Rows, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        losses, logs = self.loss(batch, step)
        return losses, {name: value.detach() for name, value in logs.items()}


class Seat:
    """Where a player sits: `unit` is the player, wrapped in DDP where there are several processes."""

    def __init__(
        self,
        name: str,
        player: Player,
        unit: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        clip: float | None = None,
    ):
        self.name, self.player, self.unit = name, player, unit
        self.optimizer, self.scaler, self.clip = optimizer, scaler, clip
        self.parameters = [p for p in player.parameters() if p.requires_grad]  # without those that stay frozen
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.taken: list[tuple[int, Tensor]] = []  # since the last report: step, and whether the update was taken
        # The fused kernels skip an update by a flag that stays on the device, as GradScaler uses it
        self.guarded = optimizer.defaults.get("fused", False)
        self.undoable = False  # whether an update of an optimizer without them can be undone on the device

    def reduce_only(self, last: bool) -> contextlib.AbstractContextManager:
        """Leave gradients unreduced until the last micro-batch."""
        return contextlib.nullcontext() if last or self.unit is self.player else self.unit.no_sync()

    def set_rates(self, factor: float) -> None:
        """Scale every learning rate to `factor` of its configured value."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def update(self, loss: Tensor, step: int, agree, *, measure: bool = True) -> Tensor | None:
        """Take the step if loss and gradients are finite on every rank; returns the gradient norm if it is asked for.

        `agree` makes a flag the same on all ranks. Nothing here waits for the device, except that an optimizer without
        fused kernels reads the flag until it has made its state: on a GPU in its first two updates, or in all of them
        where it keeps a part of its state elsewhere.
        """
        self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        finite = agree(all_finite(gradients, loss))
        norm = None
        if measure or self.clip is not None:
            norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm, foreach=True)
        if self.guarded:
            self.optimizer.grad_scale, self.optimizer.found_inf = None, (~finite).float()
            self.optimizer.step()
        elif self.undoable:
            self.step_or_undo(finite)
        elif finite:
            before = self.changing()
            self.optimizer.step()
            self.undoable = loss.is_cuda and lie_still(before, self.changing(), loss.device)
        self.scaler.update()
        self.taken.append((step, finite))
        return norm

    def changing(self) -> list:
        """All that an update changes: the weights, and the optimizer's state so far."""
        state = [value for each in self.optimizer.state.values() for value in each.values() if value is not None]
        return [*self.parameters, *state]

    @torch.no_grad()
    def step_or_undo(self, finite: Tensor) -> None:
        """Take the step, and put every bit back where the flag is false, without asking it."""
        memory = [x.as_strided((x.numel(),), (1,)) for x in self.changing()]
        before = torch.cat(memory)
        self.optimizer.step()
        torch.where(finite, torch.cat(memory), before, out=before)
        torch._foreach_copy_(memory, before.split([len(x) for x in memory]))

    def report(self) -> tuple[int, int]:
        """(updates skipped since the last report, step of the first or -1); waits for the device."""
        flags = torch.stack([finite for _, finite in self.taken]).tolist() if self.taken else []
        skipped = [step for (step, _), finite in zip(self.taken, flags, strict=True) if not finite]
        self.taken.clear()
        return len(skipped), skipped[0] if skipped else -1

    def state_dict(self) -> dict:
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        # By which kernels an update is taken is this machine's choice, and no part of what it resumes
        kernels = {k: v for k, v in self.optimizer.defaults.items() if k in ("fused", "foreach", "capturable")}
        groups = [group | kernels for group in state["optimizer"]["param_groups"]]
        self.optimizer.load_state_dict(state["optimizer"] | {"param_groups": groups})
        self.undoable = False
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])


SMALL = 16_384  # numbers; a kernel of its own costs more than copying as many


def all_finite(gradients: list[Tensor], loss: Tensor) -> Tensor:
    """A flag on the device: sums are finite only where all that they add up is, and cost half of a norm.

    They are taken in float32 at least, since float16 ends at 65,504. That numbers above 1e30 may sum up to no number is
    as it should be: their norm and their squares, by which they would be clipped and scaled, are none either.
    """
    large = [total(g).reshape(1) for g in gradients if g.numel() > SMALL]
    small = [g.reshape(-1) for g in gradients if g.numel() <= SMALL]
    return total(torch.cat([loss.reshape(1), *small, *large])) * 0 == 0


def total(x):
    return x.sum(dtype=torch.promote_types(x.dtype, torch.float32))


def lie_still(before: list, after: list, device: torch.device) -> bool:
    """Whether a step left all that it changes in the same tensors, all on the device."""
    return len(before) == len(after) and all(
        a is b and torch.is_tensor(a) and a.device == device for a, b in zip(before, after, strict=True)
    )
