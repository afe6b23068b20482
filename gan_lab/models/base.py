"""What every game is: networks, the players who train them, and one loss for each player."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective, widened
from gan_lab.losses.base import Before
from gan_lab.noise import Noise, seed_of


class Terms:
    """Two dicts of named scalars: `losses`, summed and minimised, and `logs`, only looked at. `+` joins two."""

    def __init__(self, losses: dict[str, Tensor] | None = None, logs: dict[str, Tensor] | None = None):
        self.losses, self.logs = losses or {}, logs or {}

    def __add__(self, other: "Terms") -> "Terms":
        twice = (self.losses.keys() | self.logs.keys()) & (other.losses.keys() | other.logs.keys())
        if twice:
            raise ValueError(f"two terms of one player are called {', '.join(sorted(twice))}.")
        return Terms(self.losses | other.losses, self.logs | other.logs)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter((self.losses, self.logs))


class Game(nn.Module):
    """The rules of one variant. The contract:

    1. `players` maps a player's name to the networks that it trains, in turn order. Each trainable network belongs to
       exactly one player; a network of no player is a guest: frozen and in eval mode, also after `train()`.
    2. `<player>_loss(batch, step)` returns `Terms`. The trainer detaches the logs and asserts that every loss carries
       gradient. The names are what TensorBoard shows.
    3. It never calls backward, step or zero_grad, and never detaches to protect another player: everyone else is
       frozen already. A stop-gradient inside a player cites its equation.
    4. Every parameter of the player takes part in every turn.
    5. Critics return raw scores. `judge` and `fool` get a callable that returns scores alone, so that objectives and
       penalties compose with every game; a condition is bound to it beforehand (`partial(critic, label=y)`).
    6. Penalties are added to the player's own loss, by `judge` for critics and `pay` for the others.
    7. What critics are shown passes through the objective's views.
    8. A game reads no config, rank or device. `needs` names its batch keys, `averaged` the networks that EMA follows.
       Random draws come from `self.noise(name, shape)`; no name is drawn twice in a turn.
    """

    players: dict[str, tuple[str, ...]] = {"discriminator": ("discriminator",), "generator": ("generator",)}
    critics: tuple[str, ...] = ("discriminator",)
    averaged: tuple[str, ...] = ("generator",)
    needs: tuple[str, ...] = ("image",)
    condition: str | None = None  # the batch key of what samples are told to be; its latents carry a condition behind
    shows_images: bool = True  # false: the critic is shown more than images, which views of images cannot change
    needs_pairs: bool = False  # true: each source of the data must belong to its image
    translators: dict[str, str] = {}  # by direction, the network that makes pictures of pictures; none: of latents
    reuse_fakes: bool = False  # true: the generator moves first and hands its fakes on to the critic

    def __init__(self, objective: Objective):
        super().__init__()
        self.objective = objective
        self.noise = Noise()
        self.turn = 0  # turns that the player at turn has had before; the trainer counts

    # What a person asks of a game

    def draw_latents(self, seeds: Sequence[int]) -> Tensor:
        """One latent for each seed, [N, ...], the same on every device."""
        raise NotImplementedError

    def asked(self, latents: Tensor, condition: Tensor) -> Tensor:
        """The same latents with another condition; only of a game that has one."""
        raise NotImplementedError

    def sample(self, latents: Tensor) -> Tensor:
        """What the generator makes of latents: images [N, C, H, W] in [-1, 1], or points [N, D]."""
        raise NotImplementedError

    def calibrate(self, batch: dict[str, Tensor]) -> None:
        """Send through each averaged network once what it is given in play, so that its batch norm gathers statistics.

        It is called under `using`, without gradients, and changes nothing else. A game whose samples do not pass
        through all averaged networks says more.
        """
        first = seed_of(self.noise.seed, *self.noise.place, "calibrate") >> 24
        self.sample(self.draw_latents(range(first, first + len(batch[self.needs[0]]))))

    def preview(self, batch: dict[str, Tensor], latents: Tensor, step: int) -> dict[str, Tensor]:
        """Named sets of samples for TensorBoard, from a fixed batch of real data and fixed latents."""
        raise NotImplementedError

    @property
    def main_critic(self) -> nn.Module:
        """The network whose layers samples of the full size pass through: the one behind `critic`."""
        return getattr(self, self.critics[0])

    def critic(self, x: Tensor) -> Tensor:
        """Raw scores of samples, for pictures of what the critic believes."""
        return self.main_critic(self.objective.alone(x))

    # The moves that losses are made of

    def judge(self, critic: Callable, real: Tensor, fake: Tensor, step: int, name: str = "") -> Terms:
        """The critic's turn: the objective on scores of real and fake, and the penalties that the critic owes."""
        noise = scoped(self.noise, name)
        first, augment = self.objective.looks(noise, step, judging=True)
        before = Before(*first(real, fake), augment)
        real, fake = augment(before.real, before.fake)
        score_real, score_fake = widened(critic(real)), widened(critic(fake))
        losses = {"adversarial": self.objective.critic_loss(score_real, score_fake, noise)}
        losses |= self.objective.penalise("judge", critic, real, fake, turn=self.turn, noise=noise, before=before)
        logs = {"score_real": score_real.mean(), "score_fake": score_fake.mean()}
        logs["separation"] = (score_real > score_fake).float().mean()  # 0.5: undecided; 1: no fake passes for real
        return Terms(suffixed(losses, name), suffixed(logs, name))

    def fool(self, critic: Callable, fake: Tensor, real: Tensor, step: int, name: str = "") -> Terms:
        """The generator's turn against one critic, with what it owes for the critic's sake, as feature matching is."""
        noise = scoped(self.noise, name)
        real, fake = self.objective.show(real, fake, noise, step)
        score_fake = widened(critic(fake))
        score_real = widened(critic(real)) if self.objective.compares else None
        losses = {"adversarial": self.objective.generator_loss(score_fake, score_real)}
        losses |= self.objective.penalise("fool", critic, real, fake, turn=self.turn, noise=noise)
        return Terms(suffixed(losses, name))

    def pay(self, network: nn.Module, *played: Tensor) -> Terms:
        """The penalties that the generator's player owes, such as a bound on path lengths."""
        return Terms(self.objective.penalise("pay", network, *played, turn=self.turn, noise=self.noise))

    def settle(self, player: str) -> None:
        """After a player's update: put its critics' weights back where the objective wants them."""
        for name in self.players[player]:
            if name in self.critics:
                self.objective.constrain(getattr(self, name))

    # What the loop needs to know

    @property
    def turns(self) -> dict[str, int]:
        """Turns of each player in a round, unless the trainer is told otherwise."""
        return {
            player: self.objective.critic_turns if set(networks) & set(self.critics) else 1
            for player, networks in self.players.items()
        }

    @property
    def guests(self) -> dict[str, nn.Module]:
        """The networks that nobody trains."""
        trained = {name for networks in self.players.values() for name in networks}
        return {n: m for n, m in self.named_children() if n not in trained and m is not self.objective}

    def train(self, mode: bool = True) -> "Game":
        super().train(mode)
        for guest in self.guests.values():
            guest.eval().requires_grad_(False)
        return self

    @contextmanager
    def using(self, networks: dict[str, nn.Module]) -> Iterator["Game"]:
        """Play with other networks in the named places, such as averaged ones, in eval mode and without gradients."""
        own, training = {name: getattr(self, name) for name in networks}, self.training
        try:
            for name, network in networks.items():
                setattr(self, name, network)
            with torch.no_grad():
                yield self.eval()
        finally:
            for name, network in own.items():
                setattr(self, name, network)
            self.train(training)


def as_game(thing: object) -> Game:
    """The same, known to be a game; TypeError for anything else."""
    if not isinstance(thing, Game):
        raise TypeError("it must extend gan_lab.models.Game")
    return thing


class Scoped:
    """A game's noise under a scope of its own, so that two critics of one turn draw apart."""

    def __init__(self, noise: Noise, scope: str):
        self.noise, self.scope = noise, scope

    def __call__(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.noise(f"{self.scope}/{name}", shape)

    def uniform(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.noise.uniform(f"{self.scope}/{name}", shape)

    def integers(self, name: str, high: int, shape: tuple[int, ...]) -> Tensor:
        return self.noise.integers(f"{self.scope}/{name}", high, shape)


def scoped(noise, scope):
    return Scoped(noise, scope) if scope else noise


def suffixed(terms, name):
    return {f"{key}_{name}": value for key, value in terms.items()} if name else terms


def losses(**terms: Tensor) -> Terms:
    """`Terms` that are all minimised."""
    return Terms(terms)
