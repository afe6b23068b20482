"""Whether a critic has learned the pictures that it is trained on by heart, and what that does to samples."""

import torch
from proofs.digits import pictures, unseen
from torch import Tensor

from gan_lab.datasets.base import in_play
from gan_lab.metrics import Pixels, look
from gan_lab.metrics.frechet import frechet_distance
from gan_lab.runs.run import Run

HEART, FAR = 0.8, 1.2  # what is asked: at most so much


def open_minded(run: Run) -> float:
    """The lesser of two figures, each as a share of what is asked: 1 where both are met.

    Asked is that the critic has learned at most HEART by heart (`by_heart`), and that samples are at most FAR away from
    pictures that the run has not seen: Frechet's distance of pixels in [0, 1].
    """
    held, fake = torch.cat([*unseen(run)]), torch.cat([*pictures(run)])
    known = in_play(run.dataset.tensors()["image"])
    scores = [scored(run, x) for x in (known, held.float() / 127.5 - 1, fake.float() / 127.5 - 1)]
    heart = by_heart(*scores)
    far = frechet_distance(*(look(Pixels(), x.split(500)).moments for x in (held, fake)))
    said = ", ".join(f"{float(x.mean()):.3f}" for x in scores)
    print(f"scores of known, unseen and generated pictures {said}: by heart {heart:.3f}; Frechet {far:.4f}")
    return min(HEART / max(heart, 1e-9), FAR / max(far, 1e-9))


@torch.no_grad()
def scored(run: Run, images: Tensor) -> Tensor:
    """What the critic says of images [N, C, H, W] in [-1, 1] as they are, without augmentation: [N]."""
    return torch.cat([run.game.critic(part).float().flatten() for part in images.split(500)])


def by_heart(known: Tensor, unseen: Tensor, fake: Tensor) -> float:
    """How far unseen pictures lie from the known ones, on the way to generated ones, by mean scores: r_v.

    0: the critic takes them for real ones as well; 1: for generated ones. Karras et al. 2020 (arXiv 2006.06676),
    equation 1; generated pictures are here those of the averaged weights.
    """
    known, unseen, fake = (float(x.double().mean()) for x in (known, unseen, fake))
    return (known - unseen) / max(known - fake, 1e-9)
