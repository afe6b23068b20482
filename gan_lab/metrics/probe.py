"""A fresh probe: whether two sets of codes can be told apart, by a small network that has seen neither before."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

HIDDEN, STEPS, BATCH, RATE, DECAY = 64, 400, 128, 3e-3, 1e-2


def told_apart(a: Tensor, b: Tensor, other_a: Tensor, other_b: Tensor, seed: int = 0) -> float:
    """The share of further codes [M, D] put into the right one of two sets, by a probe of codes [N, D]: 0.5 is chance.

    Codes are scaled by the mean and deviation of those that the probe learns from. Both sets count alike.
    """
    codes, labels = torch.cat([a, b]), torch.cat([torch.zeros(len(a)), torch.ones(len(b))])
    mean, deviation = codes.mean(dim=0), codes.std(dim=0).clamp(min=1e-6)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        probe = nn.Sequential(nn.Linear(codes.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0))
        optimizer = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=DECAY)
        for _ in range(STEPS):
            rows = torch.randint(len(codes), (BATCH,))
            loss = binary_cross_entropy_with_logits(probe((codes[rows] - mean) / deviation), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said = [probe((x - mean) / deviation) > 0 for x in (other_a, other_b)]
    return float(((~said[0]).double().mean() + said[1].double().mean()) / 2)
