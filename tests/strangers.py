"""Games and data of somebody else's package, each with conditions that gan-lab itself has no game for yet."""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_lab.datasets.shapes import NAMES, Shapes
from gan_lab.losses import Objective
from gan_lab.models import Game, Terms, losses
from gan_lab.models.conditional import ConditionalGAN
from gan_lab.models.gan import GAN
from gan_lab.models.memory import Kept
from gan_lab.models.sources import SourceGame
from gan_lab.networks import conditional, mlp
from gan_lab.rows import Rows

WORDS = ("", *NAMES)  # of a caption, by their numbers; 0 is none
LENGTH = 3  # words of a caption, at most


class Apart(ConditionalGAN):
    """Labels of fakes are drawn apart from those of the data, as in BigGAN."""

    def new(self, batch: Rows) -> Rows:
        labels = self.noise.integers("labels", self.num_conditions, (len(batch["image"]),))
        return Rows(latent=self.latent(len(labels)), label=labels)

    def sides(self, batch: Rows, rows: Rows) -> tuple[Rows, Rows]:
        real = Rows(image=batch["image"], condition=self.condition(batch))
        return real, Rows(image=self.make(rows), condition=self.condition(rows))


class Change(nn.Module):
    """A picture [N, 3, S, S] and attributes [N, A] to a picture; its layers are those of nobody's paper."""

    multiple = 1

    def __init__(self, attributes: int, width: int = 8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3 + attributes, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1), nn.Tanh()
        )

    def forward(self, source, attributes):
        return self.layers(torch.cat([source, conditional.Beside()(source[:, :0], attributes)], dim=1))


class Target(SourceGame):
    """A picture is changed so that it has the attributes of another one, which the critic has to name."""

    needs = ("image", "attributes")
    made_of = ("source", "attributes")
    given = "image"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        num_attributes: int,
        image_size: int,
        remember: int = 16,
    ):
        super().__init__(objective, 3, image_size, remember)
        self.generator, self.discriminator = generator, discriminator
        self.keeps = {"image": remember, "attributes": remember}
        self.register_buffer("targets", torch.zeros(remember, num_attributes))

    def keep(self, rows: Rows) -> None:
        if "image" in rows:
            super().keep(Rows(source=rows["image"]))
        else:
            self.targets.copy_(rows["attributes"].roll(1, dims=0)[torch.arange(len(self.targets)) % rows.count])

    def draw(self, seeds) -> Rows:
        places = [int(seed) % len(self.targets) for seed in seeds]
        return super().draw(seeds).changed(attributes=self.targets[places].to(self.noise.device))

    def sample(self, rows: Rows, *, strength: float = 1.0) -> Rows:
        """Changed pictures.

        `strength`: how much of the change is made, from 0 to 1.
        """
        made = self.generator(rows["source"], rows["attributes"])
        return Rows(image=torch.lerp(rows["source"], made, strength))

    def sides(self, batch: Rows) -> tuple[Rows, Rows]:
        wanted = batch["attributes"].roll(1, dims=0)
        fake = self.generator(batch["image"], wanted)
        return batch.only("image", "attributes"), Rows(image=fake, attributes=wanted)

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        real, fake = self.sides(batch)
        return self.judge(self.discriminator, real.only("image"), fake.only("image"), step)

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        real, fake = self.sides(batch)
        grey = fake["image"].mean(dim=(1, 2, 3))[:, None].expand_as(fake["attributes"])
        terms = self.fool(self.discriminator, fake.only("image"), real.only("image"), step)
        return terms + losses(named=binary_cross_entropy_with_logits(grey, fake["attributes"]))

    def calibrate(self, batch: Rows) -> None:
        self.generator(batch["image"], batch["attributes"])


class Captioned(Shapes):
    """Shapes with a caption of up to three words, numbers [N, 3]."""

    def __init__(self, **words):
        super().__init__(**words)
        there = self.extras["attributes"].long()
        order = there.cumsum(dim=1) * there
        self.extras["caption"] = torch.stack([(order == i).long().argmax(dim=1) + 1 for i in (1, 2, 3)], dim=1)
        self.gives = (*self.gives, "caption")

    def encode(self, column, words):
        if column != "caption":
            return super().encode(column, words)
        (text,) = words
        unknown = [word for word in text.split() if word not in WORDS]
        if unknown or len(text.split()) > LENGTH:
            raise ValueError(f"caption={text!r}: {unknown[0] if unknown else text!r} is no word of this data")
        numbers = [WORDS.index(word) for word in text.split()]
        return torch.tensor([*numbers, *[0] * (LENGTH - len(numbers))])

    def readable(self, column, values):
        if column != "caption":
            return super().readable(column, values)
        said = torch.zeros(len(values), len(WORDS)).scatter_(1, values.cpu(), 1.0)
        return "attributes", said[:, 1:]


class Teller(nn.Module):
    """Latents and captions to pictures."""

    def __init__(self, latent_dim: int, image_size: int, width: int = 8):
        super().__init__()
        self.words = nn.Embedding(len(WORDS), width)
        self.generator = mlp.Generator(latent_dim + width, 3, image_size, width=width, norm="none")

    def forward(self, latent, caption):
        return self.generator(torch.cat([latent, self.words(caption).mean(dim=1)], dim=1))


class Listener(nn.Module):
    """Pictures and captions to raw scores."""

    def __init__(self, image_size: int, width: int = 8):
        super().__init__()
        self.words = nn.Embedding(len(WORDS), width)
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, width), nn.LeakyReLU(0.2))
        self.head = nn.Linear(2 * width, 1)

    def forward(self, image, caption):
        return self.head(torch.cat([self.trunk(image), self.words(caption).mean(dim=1)], dim=1)).flatten()


class Matching(Kept, GAN):
    """The critic is also shown real pictures with the caption of another one, which it is to reject, as StackGAN's."""

    needs = ("image", "caption")
    made_of = ("latent", "caption")
    keeps = {"caption": 32}

    def __init__(self, generator: nn.Module, discriminator: nn.Module, objective: Objective, latent_dim: int = 8):
        super().__init__(generator, discriminator, objective, latent_dim)
        self.register_buffer("known", torch.zeros(32, LENGTH, dtype=torch.int64))

    def keep(self, rows: Rows) -> None:
        self.fill(rows["caption"])

    def draw(self, seeds) -> Rows:
        places = [int(seed) % len(self.known) for seed in seeds]
        return super().draw(seeds).changed(caption=self.known[places].to(self.noise.device))

    def sample(self, rows: Rows, *, truncation: float = 1.0) -> Rows:
        """Pictures of captions.

        `truncation`: what latents are multiplied by; less is more usual and less varied.
        """
        return Rows(image=self.generator(truncation * rows["latent"], rows["caption"]))

    def fake(self, batch: Rows) -> Rows:
        made = self.generator(self.latent(len(batch["image"])), batch["caption"])
        return Rows(image=made, caption=batch["caption"])

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        real = batch.only("image", "caption")
        wrong = real.changed(caption=real["caption"].roll(1, dims=0))
        terms = self.judge(self.discriminator, real, self.fake(batch), step)
        return terms + self.judge(self.discriminator, real, wrong, step, "wrong")

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        return self.fool(self.discriminator, self.fake(batch), batch.only("image", "caption"), step)

    def fresh(self, batch: Rows):
        return self.fake(batch)["image"]

    def critic(self, x):
        return self.discriminator(x, self.known[torch.arange(len(x)) % len(self.known)])


class Autoencoder(Game):
    """One player and no critic."""

    players = {"autoencoder": ("encoder", "generator")}
    critics = ()
    averaged = ("encoder", "generator")
    makes = ()
    made_of = ()
    measures = ("l1/rebuilt",)

    def __init__(self, encoder: nn.Module, generator: nn.Module, objective: Objective):
        super().__init__(objective)
        self.encoder, self.generator = encoder, generator

    def rebuilt(self, images):
        return self.generator(self.encoder(images))

    def autoencoder_loss(self, batch: Rows, step: int) -> Terms:
        return losses(rebuilt=(self.rebuilt(batch["image"]) - batch["image"]).square().mean())

    def measure(self, batch: Rows):
        return {"l1/rebuilt": (self.rebuilt(batch["image"]) - batch["image"]).abs().mean()}

    def preview(self, batch: Rows, rows: Rows, step: int):
        return {"fixed": torch.stack([batch["image"], self.rebuilt(batch["image"])], dim=1)}

    def draw(self, seeds) -> Rows:
        return Rows()

    def calibrate(self, batch: Rows) -> None:
        self.rebuilt(batch["image"])


class Coupled(GAN):
    """A sample is two pictures, of one latent: the second is the first one's negative."""

    makes = ("image", "negative")

    def sample(self, rows: Rows) -> Rows:
        image = self.generator(rows["latent"])
        return Rows(image=image, negative=-image)


class Negatives(Shapes):
    """Shapes, and the negatives of other ones."""

    def load(self):
        rows = super().load()
        return {**rows, "negative": 255 - rows["image"].flip(0)}

    def rows(self, indices):
        rows = super().rows(indices)
        return {**rows, "negative": 255 - super().rows(len(self) - 1 - indices)["image"]}
