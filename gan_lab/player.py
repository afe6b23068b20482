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
        device = self.parameters[0].device
        self.skipped = torch.zeros((), device=device)  # updates not taken since the last report
        self.first_bad = torch.full((), -1, device=device)  # the step of the first of them
        # The fused kernels skip an update by a flag that stays on the device, as GradScaler uses it
        self.guarded = optimizer.defaults.get("fused", False)

    def hold(self, last: bool) -> contextlib.AbstractContextManager:
        """Leave gradients unreduced until the last micro-batch."""
        return contextlib.nullcontext() if last or self.unit is self.player else self.unit.no_sync()

    def set_rates(self, factor: float) -> None:
        """Scale every learning rate to `factor` of its configured value."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def update(self, loss: Tensor, step: int, agree) -> Tensor:
        """Take the step if loss and gradients are finite on every rank; returns the gradient norm.

        `agree` makes a flag the same on all ranks. Nothing here waits for the device, except that an optimizer without
        fused kernels on a GPU reads the flag, as GradScaler itself does.
        """
        self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        finite = agree(torch.isfinite(norm + loss))
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm, foreach=True)
        if self.guarded:
            self.optimizer.grad_scale, self.optimizer.found_inf = None, (~finite).float()
            self.optimizer.step()
        elif finite:
            self.optimizer.step()
        self.scaler.update()
        self.skipped += ~finite
        self.first_bad = torch.where((self.first_bad < 0) & ~finite, step, self.first_bad)
        return norm

    def report(self) -> tuple[int, int]:
        """(updates skipped since the last report, step of the first); waits for the device."""
        skipped, first = int(self.skipped), int(self.first_bad)
        self.skipped.zero_()
        self.first_bad.fill_(-1)
        return skipped, first

    def state_dict(self) -> dict:
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
