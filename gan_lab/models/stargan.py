"""Translation between many domains by one generator, which is told the attributes that a picture is to have."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Terms, losses
from gan_lab.models.groups import altered, numbered, together
from gan_lab.models.heads import TwoHeads
from gan_lab.models.sources import SourceGame, beside, l1
from gan_lab.rows import Rows

TARGETS = 1024  # rows of attributes of the data, among which those to be made are drawn


class StarGAN(SourceGame):
    """One generator changes pictures into any attributes, a critic reads them. Choi et al. 2018 (arXiv 1711.09020).

    The generator takes (picture, attributes [N, num_attributes]); the discriminator returns (scores, logits of the
    attributes). It minimises its adversarial loss plus `classify` times the class term of real pictures (equation 2);
    the generator its own, plus `classify` times that of its pictures (equation 3), plus `rebuild` times the mean
    absolute difference of what is changed and changed back (equation 4). A class term is the cross-entropy as a sum
    over the attributes, as in the official code: of two values for one that is alone, of all of them in a group of
    which each picture has exactly one.

    Attributes to be made are drawn among 1,024 rows of the data, so that they go together as they do there; the
    official code permutes those of the batch. Seed i has the attributes of the picture after its source.
    """

    needs = ("image", "attributes")
    made_of = ("source", "attributes")
    given = "image"
    optional = ("attributes",)
    spoken = {"to": "attributes", "without": "attributes"}

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        channels: int,
        num_attributes: int,
        image_size: int | list[int],
        classify: float = 1.0,
        rebuild: float = 10.0,
        remember: int = 64,
    ):
        super().__init__(objective, channels, image_size, remember)
        if num_attributes < 1:
            raise ValueError(
                f"num_attributes={num_attributes}: this model needs attributes with each picture. Choose a dataset "
                "that has some, such as dataset=shapes."
            )
        for name, weight in {"classify": classify, "rebuild": rebuild}.items():
            if weight < 0:
                raise ValueError(f"{name}={weight} must not be negative.")
        self.generator, self.discriminator = generator, discriminator
        self.num_attributes, self.classify, self.rebuild = num_attributes, classify, rebuild
        self.keeps = {"image": remember, "attributes": TARGETS}
        self.register_buffer("targets", torch.zeros(TARGETS, num_attributes))
        self.register_buffer("groups", torch.arange(num_attributes))  # the group that each attribute is in

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        critic = TwoHeads(self.discriminator)
        terms = self.judge(critic, batch.only("image", "attributes"), self.changed(batch["image"]), step)
        logits, beside = critic.second[0]
        return terms + losses(class_real=self.classify * self.mismatch(logits, **beside))

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        real, critic = batch.only("image", "attributes"), TwoHeads(self.discriminator)
        fake = self.changed(real["image"])
        terms = self.fool(critic, fake, real, step)
        logits, beside = critic.second[0]
        back = self.generator(fake["image"], real["attributes"])
        terms += losses(
            class_fake=self.classify * self.mismatch(logits, **beside), rebuilt=self.rebuild * l1(back, real["image"])
        )
        return terms + self.regularise(self.generator, Rows(source=real["image"], attributes=fake["attributes"]))

    def changed(self, source: Tensor) -> Rows:
        """Pictures with other attributes, and these: a row for each source."""
        wanted = self.targets[self.noise.integers("target", len(self.targets), (len(source),))]
        return Rows(image=self.generator(source, wanted), attributes=wanted)

    def mismatch(self, logits: Tensor, attributes: Tensor) -> Tensor:
        """Cross-entropy, summed over attributes, a mean over samples; both [N, A], or [N, k * A] of k in a row."""
        logits, wanted = (at_least_float32(x).reshape(-1, self.num_attributes) for x in (logits, attributes))
        same = together(self.groups)
        whole = logits[:, None].masked_fill(~same, -torch.inf).logsumexp(dim=2)  # [N, A], of each one's group
        alone = binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return torch.where(same.sum(dim=1) == 1, alone, wanted * (whole - logits)).sum(dim=1).mean()

    def read(self, images: Tensor, without: Tensor | None = None) -> Tensor:
        """The attributes that the critic reads in pictures, [N, A] of 0 and 1; of `without`, [A], it may read none."""
        if tuple(images.shape[2:]) != self.translated_size:
            images = interpolate(images, self.translated_size, mode="bilinear", antialias=True)
        critic = TwoHeads(self.discriminator)
        critic(self.alone(images))
        logits, same = critic.second[0][0][:, : self.num_attributes].float(), together(self.groups)
        if without is not None:
            logits = logits.masked_fill(without.to(logits.device) > 0, -torch.inf)
        most = logits[:, None].masked_fill(~same, -torch.inf).amax(dim=2)
        read = torch.where(same.sum(dim=1) == 1, logits > 0, (logits == most) & (most > -torch.inf))
        return read.to(self.targets.dtype)

    def sample(self, rows: Rows, *, to: Tensor | None = None, without: Tensor | None = None) -> Rows:
        """Pictures with other attributes; where rows have none, each beside itself with every attribute changed.

        `to`: attributes that each picture gets, to=[red,large]; it keeps the others, as the discriminator reads them
        `without`: attributes that each picture loses, without=[glasses]
        """
        source, wanted = rows["source"], rows.get("attributes")
        if to is not None or without is not None:
            wanted, asked = self.read(source, without), torch.zeros_like(self.targets[0]) if to is None else to
            asked = asked.to(wanted)
            wanted = torch.where(together(self.groups).to(wanted) @ asked > 0, asked, wanted)
        if wanted is None:
            return Rows(image=torch.cat([source, *self.each(source, self.read(source))], dim=3))
        return Rows(image=self.generator(source, wanted))

    def each(self, source: Tensor, attributes: Tensor) -> Iterator[Tensor]:
        """Pictures with one of their attributes changed: with the first, then with the second, and so on."""
        for i in range(self.num_attributes):
            which = torch.full((len(source),), i, device=source.device)
            yield self.generator(source, altered(attributes, which, self.groups))

    def meet(self, dataset) -> None:
        self.groups.copy_(numbered(dataset.attribute_groups, self.num_attributes))

    def keep(self, rows: Rows) -> None:
        if "image" in rows:
            super().keep(Rows(source=rows["image"]))
        else:
            self.targets.copy_(rows["attributes"][torch.arange(len(self.targets)) % rows.count])

    def draw(self, seeds: Sequence[int]) -> Rows:
        """The source that each seed has, and attributes for it: those of the data's picture after it."""
        places = [(int(seed) + 1) % len(self.targets) for seed in seeds]
        return super().draw(seeds).changed(attributes=self.targets[places].to(self.noise.device))

    def check(self, word: str, value: Tensor) -> None:
        together_with = together(self.groups).cpu().float() @ value.cpu().float()  # how many of each one's group
        if word != "without" and bool((together_with > 1).any()):
            raise ValueError("names several attributes of which a picture has one: leave one of them")
        grouped = together(self.groups).sum(dim=1).cpu() > 1
        if word == "attributes" and bool((together_with[grouped] == 0).any()):
            raise ValueError(
                "says all that a picture has, and leaves out a group of which it has one: set to=... instead"
            )

    def complaints(self, parts, name: str = "model") -> Iterator[str]:
        yield from super().complaints(parts, name)
        data = parts.dataset
        if "attributes" not in data.gives:
            return
        if len(data.attribute_names) != self.num_attributes:
            there = len(data.attribute_names)
            yield (
                f"model.num_attributes={self.num_attributes}, and the dataset has {there} attributes. "
                f"Set model.num_attributes={there}."
            )
        shares = data.extras["attributes"].mean(dim=0).tolist()
        fixed = [each for each, share in zip(data.attribute_names, shares, strict=True) if share in (0.0, 1.0)]
        if fixed:
            rest = ",".join(each for each in data.attribute_names if each not in fixed)
            yield (
                f"All {len(data):,} pictures agree in {', '.join(fixed)}, so that nothing can be learned of it. "
                f"Set dataset.attributes=[{rest}] and dataset.num_attributes={len(shares) - len(fixed)}."
            )

    @property
    def beside_images(self) -> dict[str, int]:
        return {"outputs": self.num_attributes}

    def calibrate(self, batch: Rows) -> None:
        self.generator(batch["image"], batch["attributes"])

    def critic(self, x: Tensor) -> Tensor:
        return TwoHeads(self.discriminator)(self.alone(x))

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Each row a picture of the batch, then the same with each of its attributes changed."""
        shown = batch.at(slice(8))
        source, wanted = shown["image"], self.targets[: len(batch["image"])].roll(1, dims=0)
        fresh = self.generator(batch["image"][: len(wanted)], wanted)
        table = beside(source, *self.each(source, shown["attributes"]))
        return {"fixed": table, **self.compared(batch["image"], fresh, step)}
