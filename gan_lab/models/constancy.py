"""Translation that keeps what a network sees in a picture: the code of a translation is that of its source."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Terms, losses
from gan_lab.models.heads import TwoHeads
from gan_lab.models.sources import SourceGame, beside, distance_of
from gan_lab.rows import Rows


class DTN(SourceGame):
    """The encoder f finds a code of a picture, the generator g makes an image of it: G = g(f). Domain Transfer Network.

    Taigman et al. 2017 (arXiv 1611.02200), equations 3 to 7. The generator minimises its adversarial losses for
    translated sources and for images by way of their codes, plus `constancy` times the mean `distance` between the code
    of a source and that of its translation (equation 5), `identity` times that between an image and what its code
    becomes (equation 6), and `variation` times the total variation of a translation (equation 7).

    The discriminator may have three `outputs`, which tell the two kinds of fakes apart too (equation 3): its score is
    the log odds of "an image of the data", so that with the logistic loss it is the paper's classifier. Each kind of
    fake is judged beside the images, so that these count twice, where in equation 3 they count once.

    A frozen `guest`, which a run has lent (`FromRun`), is f as in the paper, where it has learned classes. Without one
    the `encoder` is, and learns as a player of its own: from the classes of the sources, by a `head` on its codes, with
    `supervised` times the cross-entropy, and from the constancy term, as in the port. With `labels_alone` it learns
    from the classes and nobody else plays: a run that lends f to another. A code of other than [N, D] is flattened, and
    f sees grey images in as many channels as it takes, or of coloured ones the luma.
    """

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        latent_dim: int = 128,
        head: nn.Module | None = None,
        guest: nn.Module | None = None,
        constancy: float = 15.0,
        identity: float = 15.0,
        variation: float = 0.0,
        distance: Literal["l1", "l2"] = "l2",
        supervised: float = 1.0,
        labels_alone: bool = False,
        remember: int = 64,
    ):
        super().__init__(objective, source_channels, image_size, remember)
        check_channels(source_channels, channels)
        learns = guest is None
        by_labels = learns and supervised > 0
        weights = {"constancy": constancy, "identity": identity, "variation": variation, "supervised": supervised}
        for name, weight in weights.items():
            if weight < 0:
                raise ValueError(f"{name}={weight} must not be negative.")
        if learns and not (supervised or constancy):
            raise ValueError(
                "supervised=0 and constancy=0 leave the encoder nothing to learn from. Set model.supervised=1, or "
                "name a run that lends one: model.guest={_target_: gan_lab.models.FromRun, run: ..., network: encoder}."
            )
        if labels_alone and not by_labels:
            why = f"supervised={supervised} leaves no labels" if learns else "a guest stands in its place"
            raise ValueError(f"labels_alone=true trains the encoder alone, and {why}. Set model.labels_alone=false.")
        if by_labels and head is None:
            raise ValueError(f"supervised={supervised} needs a head, which names the class of a code. Set model.head.")
        self.encoder, self.generator, self.discriminator = encoder if learns else guest, generator, discriminator
        self.head = head if by_labels else None
        self.weights, self.distance, self.labels_alone = weights, distance_of(distance), labels_alone
        self.kinds = getattr(discriminator, "outputs", 1) == 3
        self.channels, self.latent_dim = channels, latent_dim
        found = {"encoder": ("encoder", "head") if by_labels else ("encoder",)} if learns else {}
        others = {} if labels_alone else {"discriminator": ("discriminator",), "generator": ("generator",)}
        self.players = {**found, **others}
        self.critics = () if labels_alone else ("discriminator",)
        self.averaged = tuple(name for names in self.players.values() for name in names if name != "discriminator")
        if by_labels:
            self.needs, self.measures = (*self.needs, "source_label"), ("source_accuracy",)
        if labels_alone:  # there is nobody to make pictures
            self.makes, self.translators = (), {}

    # The players' losses

    def encoder_loss(self, batch: Rows, step: int) -> Terms:
        codes, terms = self.encode(batch["source"]), Terms()
        if self.head is not None:
            logits = at_least_float32(self.head(codes))
            wrong = self.weights["supervised"] * cross_entropy(logits, batch["source_label"])
            terms += Terms({"classes": wrong}, {"accuracy": share_right(logits, batch["source_label"])})
        if self.weights["constancy"] and not self.labels_alone:
            terms += losses(constancy=self.weights["constancy"] * self.changed(codes, self.generator(codes)))
        return terms

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        image = batch["image"]
        terms = self.told_apart(image, self.translated(batch["source"]), step, 0)
        return terms + self.told_apart(image, self.translated(image), step, 1, "rebuilt")

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        source, image, weights = batch["source"], batch["image"], self.weights
        codes = self.encode(source)
        fake, rebuilt = self.generator(codes), self.translated(image)
        terms = self.fool(self.scoring(), fake, image, step) + self.fool(
            self.scoring(), rebuilt, image, step, "rebuilt"
        )
        if weights["constancy"]:
            terms += losses(constancy=weights["constancy"] * self.changed(codes, fake))
        if weights["identity"]:
            terms += losses(identity=weights["identity"] * self.distance(rebuilt, image))
        if weights["variation"]:
            terms += losses(variation=weights["variation"] * total_variation(fake))
        return terms + self.regularise(self.generator, source, lambda rows: self.translated(rows["source"]))

    def told_apart(self, image: Tensor, fake: Tensor, step: int, kind: int, name: str = "") -> Terms:
        """The critic's turn against fakes of one kind, which it is also to tell from the other kind."""
        critic = self.scoring()
        if not self.kinds:
            return self.judge(critic, image, fake, step, name)
        hot = torch.zeros(len(fake), 2, device=fake.device)
        hot[:, kind] = 1
        terms = self.judge(critic, Rows(image=image, kind=hot), Rows(image=fake, kind=hot), step, name)
        logits, shown = critic.second[1]
        asked = shown["kind"].reshape(len(logits), -1, 2).mean(dim=1)  # of several fakes in a pack, their mean
        return terms + losses(**{f"kind_{name or 'translated'}": cross_entropy(at_least_float32(logits), asked)})

    def scoring(self) -> Callable:
        """The discriminator as a critic that returns scores, and keeps its logits of the two kinds of fakes."""
        return TwoHeads(Odds(self.discriminator)) if self.kinds else self.discriminator

    # What the encoder sees

    def encode(self, pictures: Tensor) -> Tensor:
        """The codes of sources or images, [N, D]."""
        return self.encoder(in_channels(pictures, self.known.shape[1])).flatten(1)

    def changed(self, codes: Tensor, fake: Tensor) -> Tensor:
        """How far codes are from those of what was made of them, a scalar."""
        return self.distance(self.encode(fake), codes)

    def translated(self, pictures: Tensor) -> Tensor:
        """G: images by way of the codes of pictures of either kind."""
        return self.generator(self.encode(pictures))

    def translate(self, pictures: Tensor, direction: str = "forth") -> Tensor:
        return self.translated(pictures)

    def calibrate(self, batch: Rows) -> None:
        self.translated(batch["source"])

    def translated_channels(self, direction: str) -> int | None:
        return super().translated_channels(direction) if self.translators else None

    def measure(self, batch: Rows) -> dict[str, Tensor]:
        """The share of sources whose class the head reads from their codes."""
        return {"source_accuracy": share_right(self.head(self.encode(batch["source"])), batch["source_label"])}

    def critic(self, x: Tensor) -> Tensor:
        return self.scoring()(self.alone(x))

    @property
    def main_critic(self) -> nn.Module:
        return self.discriminator

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Each row one source of the batch and its translation, or one image and what its code becomes."""
        if not self.makes:
            return {}
        source, image = batch["source"], batch["image"]
        fresh = self.translate(source)
        return {
            "fixed": beside(source, fresh),
            "rebuilt": beside(image, self.translated(image)),
            **self.compared(image, fresh, step),
        }

    def complaints(self, parts, name: str = "model") -> Iterator[str]:
        yield from super().complaints(parts, name)
        if self.head is None:
            return
        there, outputs = parts.dataset.num_classes, getattr(self.head, "num_classes", None)
        if "source_label" not in parts.dataset.gives:
            yield (
                "The encoder is to learn from the classes of sources, of which this dataset says nothing. "
                "Set model.supervised=0, or name a run that lends one as model.guest."
            )
        elif outputs is not None and outputs < there:
            yield (
                f"model.head.num_classes={outputs}, and the sources have {there} classes. "
                f"Set model.head.num_classes={there}."
            )


class Odds:
    """Logits of (fake of one kind, fake of the other, real), as the log odds of real and the logits of the fakes.

    Cross-entropy of the score and that of the two logits are together the cross-entropy of all three.
    """

    def __init__(self, func: nn.Module):
        self.func = func

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits = at_least_float32(self.func(image))
        fakes, real = logits[:, :2], logits[:, 2]
        return real - fakes.logsumexp(dim=1), fakes


def in_channels(pictures: Tensor, channels: int) -> Tensor:
    """Pictures [N, C, H, W] in another number of channels: grey is repeated, and of colours the luma is taken."""
    if pictures.shape[1] == channels:
        return pictures
    if pictures.shape[1] == 3:
        red, green, blue = pictures.split(1, dim=1)
        pictures = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
    return pictures.expand(-1, channels, -1, -1)


def check_channels(source_channels: int, channels: int) -> None:
    if source_channels != channels and {source_channels, channels} != {1, 3}:
        raise ValueError(
            f"sources have {source_channels} channels and images {channels}, and one encoder sees both: they must have "
            "equally many, or one of them 1 and the other 3."
        )


def total_variation(images: Tensor) -> Tensor:
    """The length of the slope at each pixel, a mean over pixels. Taigman et al. 2017, equation 7, whose B is 1."""
    images = at_least_float32(images)
    right = images[:, :, :-1, 1:] - images[:, :, :-1, :-1]
    down = images[:, :, 1:, :-1] - images[:, :, :-1, :-1]
    return (right.square() + down.square() + 1e-8).sqrt().mean()


def share_right(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of logits [N, K] that are largest at their label."""
    return (logits.argmax(dim=1) == labels).float().mean()
