"""Linear classifiers on what a discriminator sees: its features, a fit, and how often it is right."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_lab.analysis.base import AT_ONCE, as_played
from gan_lab.config.build import build_game
from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen
from gan_lab.errors import ConfigError
from gan_lab.models import Game
from gan_lab.runs.references import reference_of
from gan_lab.runs.run import Run

SIDE = 4  # of the map that each layer is pooled to: DCGAN, section 5.1
MOST_FEATURES = 512  # numbers that one layer may give; channels beyond are left out


def labelled_pictures(run: Run, n: int, n_test: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures [n, C, H, W] in [-1, 1] with labels [n] to learn from, and others to be examined with.

    Of the test split, or where there is none of the last part of the training data. ConfigError without labels.
    """
    if not run.dataset.classes:
        raise ConfigError(
            "This analysis trains a classifier, and this data has no labels: choose a run on labelled images."
        )
    reference, split = reference_of(run.config, run.dataset, lambda _: None)
    order = chosen(len(run.dataset))
    if split == "test":
        learnt, others = order[:n], chosen(len(reference), n_test, seed=1)
    else:
        n_test = min(n_test, len(order) // 3)
        learnt, others = order[: min(n, len(order) - n_test)], order[len(order) - n_test :]
    return *rows_of(run.dataset, learnt), *rows_of(reference, others)


def rows_of(dataset: Dataset, indices: Tensor) -> tuple[Tensor, Tensor]:
    rows = dataset.plain(indices)
    return as_played(rows["image"]), rows["label"]


@torch.no_grad()
def layers_of(game: Game, images: Tensor) -> list[nn.Module]:
    """The convolutions that images pass in a game's critic, or where there are none its hidden linear layers."""
    layers, passed = [m for m in critic_of(game).modules() if isinstance(m, nn.Conv2d | nn.Linear)], set()
    hooks = [layer.register_forward_hook(lambda m, *_: passed.add(m)) for layer in layers]
    try:
        game.critic(images[:2])
    finally:
        for hook in hooks:
            hook.remove()
    convolutions = [m for m in layers if m in passed and isinstance(m, nn.Conv2d)]
    hidden = [m for m in layers if m in passed and isinstance(m, nn.Linear)]
    return convolutions[:-1] or convolutions or hidden[:-1] or hidden


def critic_of(game: Game) -> nn.Module:
    if not game.critics:
        raise ConfigError("this run has no critic to look into.")
    return game.main_critic


def features_by(game: Game) -> Callable[[Tensor], Tensor]:
    """What a game's critic makes of pictures: every layer's output, rectified, max-pooled to 4 x 4, joined: [N, D]."""

    def features(images: Tensor) -> Tensor:
        layers, seen = layers_of(game, images), {}
        hooks = [layer.register_forward_hook(lambda m, _, out: seen.__setitem__(m, pooled(out))) for layer in layers]
        try:
            game.critic(images)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([seen[layer] for layer in layers], dim=1)

    return features


def pooled(out: Tensor) -> Tensor:
    x = F.leaky_relu(out.float(), 0.2)
    if x.dim() == 4:
        x = F.adaptive_max_pool2d(x, [min(SIDE, side) for side in x.shape[2:]])
        x = x[:, : max(1, MOST_FEATURES // (x.shape[2] * x.shape[3]))]
    return x.flatten(1)[:, :MOST_FEATURES]


def untrained(run: Run) -> Game:
    """The same game as it was before training, from another seed; its guests are the same."""
    game = build_game({**run.config, "seed": run.config["seed"] + 1}, stored=True)
    for name, guest in game.guests.items():
        guest.load_state_dict(run.game.guests[name].state_dict())
    return game.eval().requires_grad_(False)


class Linear:
    """A softmax classifier on standardised features [N, D], fitted with a quadratic penalty by L-BFGS."""

    def __init__(self, features: Tensor, labels: Tensor, num_classes: int, decay: float = 1e-2):
        self.mean, self.std = features.mean(dim=0), features.std(dim=0).clamp(min=1e-4)
        x = (features - self.mean) / self.std
        self.weight = torch.zeros(num_classes, x.shape[1], requires_grad=True)
        self.bias = torch.zeros(num_classes, requires_grad=True)
        optimizer = torch.optim.LBFGS([self.weight, self.bias], max_iter=60, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(x @ self.weight.T + self.bias, labels) + decay * self.weight.square().sum() / 2
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        self.weight.requires_grad_(False), self.bias.requires_grad_(False)

    def __call__(self, features: Tensor) -> Tensor:
        """Logits [N, K]."""
        return (features - self.mean) / self.std @ self.weight.T + self.bias

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        return float((self(features).argmax(dim=1) == labels).double().mean())


@torch.no_grad()
def gathered(features: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Features of many pictures, some at a time."""
    return torch.cat([features(part) for part in images.split(AT_ONCE)])
