"""Translation that is shown how: each source has the picture that it should become."""

from torch import Tensor, nn

from gan_lab.losses import Objective, at_least_float32
from gan_lab.models.base import Terms, losses
from gan_lab.models.sources import SourceGame, beside
from gan_lab.rows import Rows


class Pix2Pix(SourceGame):
    """A generator of pictures from sources, and a critic that sees both. Isola et al. 2017 (arXiv 1611.07004).

    The generator minimises its adversarial loss plus `l1` times the mean absolute difference to the true picture
    (equation 4; 0 leaves it out), plus `l2` times the mean squared one. `adversarial` multiplies the first: 0 is the
    paper's baseline of L1 alone, or with `l1` of 0 a predictor by least squares. The
    discriminator takes (image, source=source), so that it judges whether a picture belongs to its source (equation 1).
    With `reuse_fakes` the generator moves first and hands its fakes on.
    """

    needs_pairs = True

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        source_channels: int,
        image_size: int | list[int],
        l1: float = 100.0,
        l2: float = 0.0,
        adversarial: float = 1.0,
        remember: int = 64,
        reuse_fakes: bool = False,
    ):
        super().__init__(objective, source_channels, image_size, remember)
        for name, weight in {"l1": l1, "l2": l2, "adversarial": adversarial}.items():
            if weight < 0:
                raise ValueError(f"{name}={weight} must not be negative.")
        self.generator, self.discriminator = generator, discriminator
        self.l1, self.l2, self.adversarial = l1, l2, adversarial
        self.reuse(reuse_fakes)

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        source, real = batch["source"], batch["image"]
        fake = self.last_fakes.take() if self.reuse_fakes else self.generator(source)
        return self.judge(self.discriminator, *(Rows(image=x, source=source) for x in (real, fake)), step)

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        source, real = batch["source"], batch["image"]
        fake = self.generator(source)
        self.last_fakes.keep(fake)
        sides = (Rows(image=x, source=source) for x in (fake, real))
        terms = self.fool(self.discriminator, *sides, step, weight=self.adversarial)
        terms += self.regularise(self.generator, source)
        difference = at_least_float32(fake) - real
        terms += losses(l2=self.l2 * difference.square().mean()) if self.l2 else Terms()
        away = difference.abs().mean()
        return terms + (losses(l1=self.l1 * away) if self.l1 else Terms(logs={"l1": away}))

    @property
    def beside_images(self) -> dict[str, int]:
        return {"source_channels": self.known.shape[1]}

    def critic(self, x: Tensor) -> Tensor:
        """Score maps of pictures beside the mean of the sources that are remembered."""
        source = self.draw(range(len(self.known)))["source"].mean(dim=0).to(x)
        rows = self.objective.alone(Rows(image=x, source=source.expand(len(x), -1, -1, -1)))
        return self.discriminator(rows["image"], source=rows["source"])

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Each row one source of the batch, what is made of it, and the truth; and what other games show."""
        source, real = batch["source"], batch["image"]
        fresh = self.translate(source)
        return {"fixed": beside(source, fresh, real), **self.compared(real, fresh, step)}
