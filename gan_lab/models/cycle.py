"""Translation in both directions without pairs: what is translated forth and back should be what it was."""

from typing import Literal

from torch import Tensor, nn

from gan_lab.losses import Objective
from gan_lab.losses.features import layer_gap
from gan_lab.models.base import Terms, losses
from gan_lab.models.fakes import ImagePool
from gan_lab.models.sources import SourceGame, beside, distance_of
from gan_lab.rows import Rows


class CycleGAN(SourceGame):
    """Two translators and two critics; a fake must also find its way back. Zhu et al. 2017 (arXiv 1703.10593).

    The generators minimise their adversarial losses plus `cycle` times the mean `distance` of both ways back
    (equations 2 and 3), plus `identity` times `cycle` times that of pictures which are already of the kind asked for
    (section 5.2). The critics see fakes through an `ImagePool` of `pool`. With `reuse_fakes` the generators move first
    and hand their fakes on, as in the official code.

    DiscoGAN (Kim et al. 2017, arXiv 1703.05192, and its code) weighs them by a share r that changes once: (1 - r) times
    `adversarial` * adversarial + `feature_matching` * the gap between the critics' features, plus r * `cycle` * the
    ways back; r is `first_share` in the first `first_steps` steps, then `share`. A share of null adds all in full. Its
    pictures lie in [0, 1], where squared differences are a quarter of those in [-1, 1].
    DualGAN (Yi et al. 2017, arXiv 1704.02510) is this game with a cycle of 500 and a Wasserstein loss.
    """

    players = {
        "discriminator": ("critic_source", "critic_image"),
        "generator": ("source_to_image", "image_to_source"),
    }
    critics = ("critic_image", "critic_source")
    averaged = ("source_to_image", "image_to_source")
    translators = {"forth": "source_to_image", "back": "image_to_source"}

    def __init__(
        self,
        source_to_image: nn.Module,
        image_to_source: nn.Module,
        critic_source: nn.Module,
        critic_image: nn.Module,
        objective: Objective,
        source_channels: int,
        channels: int,
        image_size: int | list[int],
        cycle: float = 10.0,
        identity: float = 0.5,
        distance: Literal["l1", "l2"] = "l1",
        pool: int = 50,
        adversarial: float = 1.0,
        feature_matching: float = 0.0,
        share: float | None = None,
        first_share: float | None = None,
        first_steps: int = 0,
        remember: int = 64,
        reuse_fakes: bool = False,
    ):
        super().__init__(objective, source_channels, image_size, remember)
        weights = {"cycle": cycle, "identity": identity, "feature_matching": feature_matching}
        for name, weight in weights.items():
            if weight < 0:
                raise ValueError(f"{name}={weight} must not be negative.")
        if adversarial <= 0:
            raise ValueError(f"adversarial={adversarial} must be greater than 0.")
        for name, part in {"share": share, "first_share": first_share}.items():
            if part is not None and not 0 <= part < 1:
                raise ValueError(f"{name}={part} must lie in [0, 1), or be null.")
        if identity and source_channels != channels:
            raise ValueError(
                f"identity={identity} feeds images to a translator of sources, and sources have {source_channels} "
                f"channels where images have {channels}. Set model.identity=0."
            )
        self.source_to_image, self.image_to_source = source_to_image, image_to_source
        self.critic_source, self.critic_image = critic_source, critic_image
        self.weights, self.adversarial, self.distance = weights, adversarial, distance_of(distance)
        self.share, self.first_share, self.first_steps = share, first_share, first_steps
        self.pools = {name: ImagePool(pool, name) for name in ("source", "image")}
        self.channels = channels
        self.reuse(reuse_fakes)

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        source, image = batch["source"], batch["image"]
        fakes = (
            self.last_fakes.take() if self.reuse_fakes else (self.image_to_source(image), self.source_to_image(source))
        )
        fake_source, fake_image = (
            self.pools[n](x, self.noise) for n, x in zip(("source", "image"), fakes, strict=True)
        )
        terms = self.judge(self.critic_source, source, fake_source, step, "source")
        return terms + self.judge(self.critic_image, image, fake_image, step, "image")

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        source, image = batch["source"], batch["image"]
        forth, back = self.source_to_image, self.image_to_source
        fake_image, fake_source = forth(source), back(image)
        self.last_fakes.keep((fake_source, fake_image))
        fooling, returning = self.balance(step)
        terms = self.against(self.critic_source, fake_source, source, step, "source", fooling)
        terms += self.against(self.critic_image, fake_image, image, step, "image", fooling)

        # Find the way back, and leave alone what needs no translation
        cycle, identity = returning * self.weights["cycle"], self.weights["identity"]
        if cycle:
            terms += losses(
                cycle_source=cycle * self.distance(back(fake_image), source),
                cycle_image=cycle * self.distance(forth(fake_source), image),
            )
        if cycle * identity:
            terms += losses(
                identity_source=cycle * identity * self.distance(back(source), source),
                identity_image=cycle * identity * self.distance(forth(image), image),
            )
        return terms + self.regularise(forth, source, name="image") + self.regularise(back, image, name="source")

    def against(self, critic: nn.Module, fake: Tensor, real: Tensor, step: int, name: str, factor: float) -> Terms:
        """What one critic's opinion of fakes costs, weighed, and the gap between its features."""
        terms = self.fool(critic, fake, real, step, name, weight=factor * self.adversarial)
        gap = self.weights["feature_matching"]
        return terms + Terms({f"features_{name}": factor * gap * layer_gap(critic, real, fake)} if gap else {})

    def balance(self, step: int) -> tuple[float, float]:
        """The factors on what critics say and on the ways back at this step."""
        share = self.first_share if self.first_share is not None and step < self.first_steps else self.share
        return (1.0, 1.0) if share is None else (1 - share, share)

    def sample(self, rows: Rows, *, direction: Literal["forth", "back"] = "forth") -> Rows:
        """Pictures as those of the other kind, [N, C, H, W] in [-1, 1].

        `direction`: forth (source to image) or back.
        """
        return Rows(image=self.translate(rows["source"], direction))

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Each row one picture of the batch, its translation and its way back, in both directions."""
        source, image = batch["source"], batch["image"]
        fresh, fake_source = self.source_to_image(source), self.image_to_source(image)
        return {
            "fixed": beside(source, fresh, self.image_to_source(fresh)),
            "back": beside(image, fake_source, self.source_to_image(fake_source)),
            **self.compared(image, fresh, step),
        }

    def get_extra_state(self) -> dict:
        return {"pools": {name: pool.state() for name, pool in self.pools.items()}}

    def set_extra_state(self, state: dict) -> None:
        for name, pool in self.pools.items():
            pool.load(state["pools"][name])
