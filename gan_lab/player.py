"""A player, and the seat from which it moves: what DDP wraps, with its optimizer and its gradient scaler."""

import contextlib

import torch
from torch import Tensor, nn

from gan_lab.models.base import Game


class Player(nn.Module):
    """The networks that move together: one optimizer, one scaler, one DDP unit, one loss.

    The loss runs inside `forward`, so that however often it calls the networks, DDP sees one forward and one backward.
    """

    def __init__(self, name: str, game: Game):
        super().__init__()
        self.networks = nn.ModuleDict({n: getattr(game, n) for n in game.players[name]})
        self.loss = getattr(game, f"{name}_loss")

    def forward(self, batch: dict[str, Tensor], step: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
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
        self.parameters = list(player.parameters())
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.taken: list[tuple[int, Tensor]] = []  # since the last report: step, and whether the update was taken
        # The fused kernels skip an update by a flag that stays on the device, as GradScaler uses it
        self.guarded = optimizer.defaults.get("fused", False)

    def hold(self, last: bool) -> contextlib.AbstractContextManager:
        """Leave gradients unreduced until the last micro-batch."""
        return contextlib.nullcontext() if last or self.unit is self.player else self.unit.no_sync()

    def set_rates(self, factor: float) -> None:
        """Scale every learning rate to `factor` of its configured value."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def update(self, loss: Tensor, step: int, agree, *, measure: bool = True) -> Tensor | None:
        """Take the step if loss and gradients are finite on every rank; returns the gradient norm if it is asked for.

        `agree` makes a flag the same on all ranks. Nothing here waits for the device, except that an optimizer without
        fused kernels on a GPU reads the flag, as GradScaler itself does.
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
        elif finite:
            self.optimizer.step()
        self.scaler.update()
        self.taken.append((step, finite))
        return norm

    def report(self) -> tuple[int, int]:
        """(updates skipped since the last report, step of the first or -1); waits for the device."""
        flags = torch.stack([finite for _, finite in self.taken]).tolist() if self.taken else []
        skipped = [step for (step, _), finite in zip(self.taken, flags, strict=True) if not finite]
        self.taken.clear()
        return len(skipped), skipped[0] if skipped else -1

    def state_dict(self) -> dict:
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])


SMALL = 16_384  # numbers; a kernel of its own costs more than copying as many


def all_finite(gradients: list[Tensor], loss: Tensor) -> Tensor:
    """A flag on the device: sums are finite only where all that they add up is, and cost half of a norm."""
    large = [g.sum() for g in gradients if g.numel() > SMALL]
    small = [g.reshape(-1) for g in gradients if g.numel() <= SMALL]
    return torch.cat([loss.reshape(1), *small, *(total.reshape(1) for total in large)]).sum() * 0 == 0
