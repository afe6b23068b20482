"""Views whose strength follows the critic: they step in as far as it has learned the real samples by heart."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_lab.losses.base import View
from gan_lab.losses.pipeline import PIPELINES, Pipeline
from gan_lab.rows import Rows


class Adaptive(View):
    """A view that happens to a sample with probability p, which follows the critic's scores of real samples.

    Karras et al. 2020 (arXiv 2006.06676), section 3.1, and the official code: every `every` rounds p rises where the
    mean sign of those scores is above `target`, and falls where it is below, by the images seen since then over
    1000 * `kimg`; it never falls below 0. It begins at `p`, and stays there where `target` is None. The sign is that of
    the score above the one of an undecided critic, which is 0 in the paper; of a loss that looks at gaps alone it is
    that of the gap to a fake sample, as in R3GAN's code. All critics of a game are heard alike, and share p.
    """

    hears = True
    shows = ("p",)

    def __init__(self, target: float | None = 0.6, kimg: float = 500.0, every: int = 4, p: float = 0.0):
        super().__init__()
        if target is not None and not -1 < target < 1:
            raise ValueError(f"target={target} must lie between -1 and 1, or be null for a p that stays.")
        if kimg <= 0:
            raise ValueError(f"kimg={kimg} must be greater than 0: thousands of images in which p moves by 1.")
        if every < 1:
            raise ValueError(f"every={every} must be at least 1 round.")
        if not 0 <= p <= 1:
            raise ValueError(f"p={p} must lie in [0, 1].")
        self.target, self.kimg, self.every = target, kimg, every
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("heard", torch.zeros(3))  # since p last moved: signs added up, scores, images

    def hear(self, belief: Tensor) -> None:
        signs = belief.sign().nan_to_num()  # a turn whose numbers are none is skipped, and says nothing
        self.heard[0] += signs.sum()
        self.heard[1] += len(signs)

    def settle(self, step: int, images: int) -> None:
        self.heard[2] += images
        if step % self.every or self.target is None:
            return
        signs, scores, seen = self.heard
        way = (signs - self.target * scores).sign()  # 0 where no critic had a turn
        self.p.add_(way * seen / (1000 * self.kimg)).clamp_(min=0)
        self.heard.zero_()


class ADA(Adaptive):
    """Each change of a pipeline happens with probability p. Karras et al. 2020 (arXiv 2006.06676), appendix B.

    `pipeline`: blit (mirrored, turned by quarters, shifted by whole pixels), geom (scaled, turned, stretched, shifted),
    color (brightness, contrast, inverted, hue, saturation), filter, noise, cutout, or several: bg, bgc (the paper's),
    bgcf, bgcfn, bgcfnc. Images [N, C, H, W] of any sides and channels; hue turns in three channels alone, and one
    channel has no saturation. Real and fake are changed in both players' turns, each drawn apart; R1 is the slope at
    the real sample before it. Other pictures of the same side, such as the source of a translation, are moved and cut
    with their image; their colours stay.

    Where it differs from the official code: a place outside of the image is mirrored back however far away it lies,
    where the code mirrors once and has zeros behind.
    """

    images_only = True
    augments = True

    def __init__(
        self,
        pipeline: str = "bgc",
        target: float | None = 0.6,
        kimg: float = 500.0,
        every: int = 4,
        p: float = 0.0,
    ):
        super().__init__(target, kimg, every, p)
        if pipeline not in PIPELINES:
            raise ValueError(f"pipeline={pipeline} is not known; choose one of {', '.join(PIPELINES)}.")
        self.pipeline = Pipeline(PIPELINES[pipeline])

    def forward(self, real: Rows, fake: Rows, noise, step: int) -> tuple[Rows, Rows]:
        with torch.autocast(real.device.type, enabled=False):
            return tuple(self.pipeline(x, self.p, noise, f"ada/{side}") for side, x in (("real", real), ("fake", fake)))

    def complaints(self, parts, name: str) -> Iterator[str]:
        yield from super().complaints(parts, name)
        if parts.settings.deterministic and parts.device == "cuda":
            yield (
                f"The view {name} turns images, whose gradient has no deterministic kernel on a GPU. "
                "Set trainer.deterministic=false."
            )


class APA(Adaptive):
    """With probability p a fake sample is shown as a real one. Jiang et al. 2021, APA (arXiv 2111.06849), section 3.2.

    It happens in the critic's turn alone, and before samples are augmented. What is shown is the fake of the same row
    with what belongs to it, such as its label; the official code shows an image of the generator's last turn, with the
    label of the real one.
    """

    judge_only = True

    def forward(self, real: Rows, fake: Rows, noise, step: int) -> tuple[Rows, Rows]:
        is_fake = noise.uniform("apa", (real.count,)) < self.p

        def mixed(name: str, x: Tensor) -> Tensor:
            return torch.where(is_fake.view(-1, *[1] * (x.dim() - 1)), fake[name].to(x.dtype), x)

        return Rows({name: mixed(name, x) for name, x in real.items()}), fake
