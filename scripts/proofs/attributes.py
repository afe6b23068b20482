"""What is said of shapes whose attributes were changed: whether they have what was asked for, and kept the rest."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gan_lab.config.build import build_dataset
from gan_lab.datasets.shapes import BACKGROUNDS, COLOURS
from gan_lab.runs.evaluation import altered_shares
from gan_lab.runs.run import Run

MOST = 1000  # pictures
COLOURFUL = 12  # pixels, of 32 x 32: about half of what the smallest shapes cover
ASKED, KEPT = 0.9, 0.9


def asked_and_kept(run: Run) -> float:
    """The lesser of two shares, of what is asked: pictures with the attribute asked for, others that are as they were.

    Of pictures that the run has not seen: those of another seed. Its attributes are all colours and all backgrounds.
    """
    settings = run.config["dataset"]
    unseen = build_dataset({**run.config, "dataset": {**settings, "seed": settings["seed"] + 1, "size": MOST}})
    _, shares = altered_shares(run.game, unseen, painted, range(MOST))
    print(f"asked {shares['asked']:.4f}, kept {shares['kept']:.4f}")
    return min(shares["asked"] / ASKED, shares["kept"] / KEPT)


def painted(images: Tensor) -> tuple[None, Tensor]:
    """The colour and the background of shapes, [N, 9] of 0 and 1, read from bytes [N, 3, H, W] by rule.

    The colour is the nearest one to the mean of the most colourful pixels, the background that to the median level. So
    the colour and background of all of 1,000 real shapes are right.
    """
    images = images.float() / 255
    vivid = (images.amax(dim=1) - images.amin(dim=1)).flatten(1).topk(COLOURFUL).indices
    paint = images.flatten(2).gather(2, vivid[:, None].expand(-1, 3, -1)).mean(dim=2)
    level = images.mean(dim=1).flatten(1).median(dim=1).values[:, None]
    colour = torch.cdist(paint, torch.tensor([*COLOURS.values()])).argmin(dim=1)
    ground = (level - torch.tensor([*BACKGROUNDS.values()])).abs().argmin(dim=1)
    return None, torch.cat([one_hot(colour, len(COLOURS)), one_hot(ground, len(BACKGROUNDS))], dim=1).float()
