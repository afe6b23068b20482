"""Latents that were looked for: gradient descent from many starts at once, for projection and editing."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_lab.analysis.base import AT_ONCE, fresh
from gan_lab.rows import Rows
from gan_lab.runs.run import Run


def solved(
    run: Run,
    start: Rows,
    cost: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    rate: float,
    space: str = "latent",
) -> tuple[Rows, Tensor]:
    """Rows that lower `cost` by their place in a space, and their costs [N]; every row is a search of its own.

    `cost` takes pictures [N, C, H, W] in [-1, 1] and places [N, ...], of latents for example, and answers [N]. Adam
    with beta1 0.9, its rate falling to a tenth; of each row the best of all steps is kept.
    """
    start = start.to(run.device)
    latents = start[space].clone().requires_grad_(True)
    optimizer = torch.optim.Adam([latents], lr=rate)
    best, least = latents.detach().clone(), torch.full((start.count,), torch.inf, device=run.device)
    for step in range(steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.1 ** (step / steps)
        with torch.enable_grad():
            drawn = run.game.sample(start.changed(**{space: latents}))[run.game.makes[0]]
            costs = cost(drawn.float(), latents)  # [N]
        better = costs.detach() < least
        least = torch.where(better, costs.detach(), least)
        best[better] = latents.detach()[better]
        optimizer.zero_grad()
        costs.sum().backward()
        optimizer.step()
    return start.changed(**{space: best}), least.cpu()


def encoder(run: Run, pairs: int, width: int = 32, steps: int = 500) -> Callable[[Tensor], Tensor]:
    """A small network that has learned from samples of the run which latents they came from.

    Zhu et al. 2016 (arXiv 1609.03552), section 3.1.1: its guess is a start that descent then betters.
    """
    rows, samples = fresh(run, pairs, seed=4_000_000)
    latents = rows["latent"]
    flat = latents.flatten(1).cpu()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torch.nn.Sequential(
            *(torch.nn.Conv2d(samples.shape[1], width, 4, stride=2, padding=1), torch.nn.ReLU()),
            *(
                torch.nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
                torch.nn.BatchNorm2d(2 * width),
                torch.nn.ReLU(),
            ),
            *(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(32 * width, 256), torch.nn.ReLU()),
            torch.nn.Linear(256, flat.shape[1]),
        )
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    draw = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(len(flat), (64,), generator=draw)
        loss = F.mse_loss(network(samples[chosen]), flat[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval().requires_grad_(False)
    return lambda images: torch.cat([network(part) for part in images.split(AT_ONCE)]).view(-1, *latents.shape[1:])
