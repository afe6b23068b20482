"""What every game is: networks, the players who train them, and one loss for each player."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gan_lab.losses import Objective, at_least_float32
from gan_lab.losses.base import Before, ByName
from gan_lab.models.fakes import LastFakes
from gan_lab.noise import Noise, seed_of
from gan_lab.rows import Rows

GIVEN_BY = {  # datasets
    "source": "degraded", "known_image": "few_labels", "attributes": "shapes", "label": "digits",
    "domain0": "many_domains",
}  # fmt: skip
OF_ANY = ("degraded", "few_labels", "many_domains")  # of them, those that are made of any pictures


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
    2. `<player>_loss(batch, step)` takes rows, named tensors of the same things, and returns `Terms`. The trainer
       detaches the logs and asserts that every loss carries gradient. The names are what TensorBoard shows.
    3. It never calls backward, step or zero_grad, and never detaches to protect another player: everyone else is
       frozen already. A stop-gradient inside a player cites its equation.
    4. Every parameter of the player takes part in every turn.
    5. Critics return raw scores. `judge` and `fool` get a critic and rows of both sides, each with its own conditions:
       the critic is called with the column `image` first and the others by their names. Where a critic says more, they
       get a callable that returns scores alone, so that objectives and penalties compose with every game.
    6. Penalties are added to the player's own loss, by `judge` for critics and `regularise` for the others.
    7. What critics are shown passes through the objective's views, which hear what the critics made of it.
    8. A game reads no config, rank or device. `needs` names its batch keys, `averaged` the networks that EMA follows.
       Random draws come from `self.noise(name, shape)`; no name is drawn twice in a turn.
    9. A sample is made of the columns that `made_of` names, which `draw` gives for seeds and `sample` turns into the
       pictures that `makes` names. The keyword options of `sample` are words of `gan-lab sample` and `translate`; a
       line of its docstring, "`name`: what it does.", is their help.
    10. A game whose samples pass through further spaces on their way from `made_of` to pictures names them in `spaces`:
       `into` says where rows lie in one, in a column of its name, and `sample` takes such rows, too.
    11. What a seed has of the data is fixed before the first round: `keeps` says how many rows of which columns the
       game is handed then (`keep`), which it holds in buffers.
    """

    players: dict[str, tuple[str, ...]] = {"discriminator": ("discriminator",), "generator": ("generator",)}
    critics: tuple[str, ...] = ("discriminator",)  # none: a game of one player, such as an autoencoder
    averaged: tuple[str, ...] = ("generator",)
    needs: tuple[str, ...] = ("image",)
    made_of: tuple[str, ...] = ("latent",)  # what a sample is made of; the first is what walks and searches move
    spaces: tuple[str, ...] = ()  # beside that first column: where else samples can be walked and searched, as styles
    per_layer: str = ""  # that of the spaces which has a vector for each layer, coarse ones first: [N, layers, D]
    makes: tuple[str, ...] = ("image",)  # the pictures of a sample; each is judged against the data's of its name
    measures: tuple[str, ...] = ()  # the figures of its own that `measure` gives
    given: str = "source"  # the column of the data whose pictures become the column "source" of a sample
    along: tuple[str, ...] = ()  # the columns of the data that say how such a picture is translated, such as its domain
    keeps: dict[str, int] = {}  # by the column of the data, how many of its rows are remembered for seeds
    needs_pairs: bool = False  # true: each source of the data must belong to its image
    translators: dict[str, str] = {}  # by direction, the network that makes pictures of pictures; none: of latents

    def __init__(self, objective: Objective):
        super().__init__()
        self.objective = objective
        self.noise = Noise()
        self.turn = 0  # turns that the player at turn has had before; the trainer counts
        self.reuse(False)

    # What a person asks of a game

    def draw(self, seeds: Sequence[int]) -> Rows:
        """What the samples of these seeds are made of, a row each: the same on every device and at every step."""
        raise NotImplementedError

    def sample(self, rows: Rows) -> Rows:
        """The pictures that are made of rows: images [N, C, H, W] in [-1, 1], or points [N, D]."""
        raise NotImplementedError

    def into(self, rows: Rows, space: str) -> Rows:
        """The same samples by where they lie in one of `spaces`, or in the first column of `made_of`, as they are."""
        return rows

    def keep(self, rows: Rows) -> None:
        """Take the rows of the data that `keeps` asks for; called once, before the first round of a run."""

    def encode(self, column: str, words: object) -> Tensor | None:
        """A value of one of the columns of `made_of` by a person's words; None where they are the dataset's to know.

        ValueError, with a sentence, for words that mean nothing.
        """
        return None

    def complaints(self, parts, name: str = "model") -> Iterator[str]:
        """Why it cannot be played with these parts (`gan_lab.config.compat.Parts`), each with a remedy."""
        data, turns = parts.dataset, {**self.turns, **parts.settings.turns}
        missing = [column for column in self.needs if column not in data.gives]
        if missing:
            suited = next((name for column, name in GIVEN_BY.items() if column in missing), None)
            own = ", with your pictures as dataset.of=NAME" if suited in OF_ANY and data.image_size is not None else ""
            such = f", such as dataset={suited}{own}" if suited else ""
            yield (
                f"This model needs {' and '.join(missing)} with each sample, and the dataset gives only "
                f"{', '.join(data.gives)}. Choose a dataset that has it{such}."
            )
        if self.needs_pairs and data.source_channels and not data.paired:
            yield (
                "This model learns from pairs, and the sources of this dataset do not belong to its images. "
                "Set model=cyclegan, which needs no pairs."
            )
        if {"label", "known_label"} & {*self.needs} and data.labels is not None and len(data.labels.unique()) == 1:
            yield (
                f"This model is conditional on labels, and all {len(data.labels):,} are of the class "
                f"{data.classes[int(data.labels[0])]}. Set model=dcgan, which needs none."
            )
        uneven = [player for player in self.players if turns[player] != 1]
        if self.reuse_fakes and uneven:
            yield (
                f"model.reuse_fakes uses each generated sample in one turn of the discriminator, and the {uneven[0]} "
                f"takes {turns[uneven[0]]} in a round. Set model.reuse_fakes=false."
            )

    def set_part(self, rows: Rows, column: str, part: str, value: float) -> Rows:
        """The same rows with one part of a column set to a value, such as one code of several.

        ValueError, with a sentence, where there is no such part or no such value.
        """
        raise ValueError(f"{column} has no parts")

    @property
    def beside_images(self) -> dict[str, int]:
        """How many numbers belong to each image that a critic sees, by the critic's setting that counts them."""
        return {}

    @property
    def conditions(self) -> tuple[str, ...]:
        """What samples are made of beside what is merely drawn or given to be translated."""
        return tuple(column for column in self.made_of if column not in ("latent", "source"))

    def measure(self, batch: Rows) -> dict[str, Tensor]:
        """Figures of the game's own on real rows, means over them, by the names in `measures`.

        They are all that a game without pictures is evaluated by. On which side one is better says its name, up to a
        slash: l1 and the like are better lower, what ends in `_accuracy` higher (gan_lab.storage.sides).
        """
        return {}

    def translated_channels(self, direction: str) -> int | None:
        """How many channels the pictures have that are translated in a direction; None of a game that translates none.

        A game that has `translators` says it, and the size of its training as `translated_size`.
        """
        return None

    def returned(self, rows: Rows, made: Tensor) -> Tensor | None:
        """What was made of rows by a translation, on its way back; None of a game that knows no way back."""
        return None

    def calibrate(self, batch: dict[str, Tensor]) -> None:
        """Send through each averaged network once what it is given in play, so that its batch norm gathers statistics.

        It is called under `using`, without gradients, and changes nothing else. A game whose samples do not pass
        through all averaged networks says more.
        """
        first = seed_of(self.noise.seed, *self.noise.place, "calibrate") >> 24
        self.sample(self.draw(range(first, first + len(batch[self.needs[0]]))))

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Named sets of pictures for TensorBoard, from a fixed batch of real data and what fixed samples are made of.

        Unless a game says more: its samples, by the names in `makes`.
        """
        if not self.makes:
            return {}
        return {f"fixed_{name}" if i else "fixed": made for i, (name, made) in enumerate(self.sample(rows).items())}

    def compared(self, real: Tensor, fresh: Tensor, step: int) -> dict[str, Tensor]:
        """Sets for a preview: new samples and real ones, as they are and as the critic sees them."""
        shown = self.objective.show(Rows(image=real), Rows(image=fresh), self.noise, step)
        shown_real, shown_fake = (rows["image"] for rows in shown)
        return {"fresh": fresh, "real": real, "shown_real": shown_real, "shown_fake": shown_fake}

    @property
    def main_critic(self) -> nn.Module:
        """The network whose layers samples of the full size pass through: the one behind `critic`."""
        return getattr(self, self.critics[0])

    def critic(self, x: Tensor) -> Tensor:
        """Raw scores of samples, for pictures of what the critic believes."""
        return ByName(self.main_critic)(self.objective.alone(Rows(image=x)))

    def alone(self, images: Tensor) -> Tensor:
        """Images in the shape in which the critic sees them, but unchanged and each by itself."""
        return self.objective.alone(Rows(image=images))["image"]

    # The moves that losses are made of

    def judge(self, critic: Callable, real: Rows | Tensor, fake: Rows | Tensor, step: int, name: str = "") -> Terms:
        """The critic's turn: the objective on scores of real and fake, and the penalties that the critic owes.

        Each side is rows, with an `image` and what the critic takes beside it, or images alone.
        """
        critic, real, fake, noise = ByName(critic), Rows.of(real), Rows.of(fake), scoped(self.noise, name)
        first, augment = self.objective.looks(noise, step, judging=True)
        before = Before(*first(real, fake), augment)
        real, fake = augment(before.real, before.fake)
        score_real, score_fake = at_least_float32(critic(real)), at_least_float32(critic(fake))
        losses = {"adversarial": self.objective.critic_loss(score_real, score_fake, noise)}
        self.objective.hear(score_real, score_fake)
        scores = score_real, score_fake
        losses |= self.objective.penalise(
            "judge", critic, real, fake, turn=self.turn, noise=noise, before=before, scores=scores
        )
        logs = {"score_real": score_real.mean(), "score_fake": score_fake.mean()}
        logs["separation"] = (score_real > score_fake).float().mean()  # 0.5: undecided; 1: no fake passes for real
        return Terms(suffixed(losses, name), suffixed(logs, name))

    def fool(
        self,
        critic: Callable,
        fake: Rows | Tensor,
        real: Rows | Tensor,
        step: int,
        name: str = "",
        weight: float = 1.0,
        with_penalties: bool = True,
    ) -> Terms:
        """The generator's turn against one critic, with what it owes for the critic's sake, as feature matching is.

        `weight` multiplies the adversarial term alone; without `with_penalties` it is the only one.
        """
        critic, real, fake, noise = ByName(critic), Rows.of(real), Rows.of(fake), scoped(self.noise, name)
        real, fake = self.objective.show(real, fake, noise, step)
        score_fake = at_least_float32(critic(fake))
        score_real = at_least_float32(critic(real)) if self.objective.compares else None
        adversarial = self.objective.generator_loss(score_fake, score_real)
        losses = {"adversarial": adversarial if weight == 1 else weight * adversarial}
        if with_penalties:
            losses |= self.objective.penalise("fool", critic, real, fake, turn=self.turn, noise=noise)
        return Terms(suffixed(losses, name))

    def regularise(
        self, network: nn.Module, rows: Rows | Tensor, make: Callable | None = None, name: str = ""
    ) -> Terms:
        """The penalties that the generator's player owes, such as a bound on path lengths.

        `make`, of rows, is what the `network` makes of them; unless given, it takes them by their names. A tensor alone
        is what samples are made of first.
        """
        rows, noise = Rows.of(rows, self.made_of[0]), scoped(self.noise, name)
        made = Made(network, make or (lambda rows: network(*rows.values())))
        return Terms(suffixed(self.objective.penalise("regularise", made, rows, turn=self.turn, noise=noise), name))

    def reuse(self, fakes: bool) -> None:
        """Whether the generator moves first and hands its fakes on to the critic; set when the game is made."""
        self.reuse_fakes, self.last_fakes = fakes, LastFakes(fakes)
        if fakes:
            self.players = dict(reversed(type(self).players.items()))

    def constrain_critics(self, player: str) -> None:
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


class Made:
    """What a network makes of rows, which is called as one; `func` is the network itself."""

    def __init__(self, func: nn.Module, make: Callable[[Rows], Tensor]):
        self.func, self.make = func, make

    def __call__(self, rows: Rows) -> Tensor:
        return self.make(rows)


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
