"""What is said of predicted frames: whether they stay sharp, and how far they are from the truth."""

import torch
from proofs.translation import made_of, parts, unseen
from torch import Tensor

from gan_lab.evaluation import reference_of
from gan_lab.run import Run

CLIPS, AHEAD = 100, 20  # frames that are predicted from predicted ones
LEAST_DETAIL = 0.7  # of the true frames'
MOST_MISSED = 0.5  # of what changes from frame to frame


def foreseen(run: Run) -> float:
    """The lesser of two, as shares of what is asked: how sharp frames stay, and how near the first one is.

    Sharpness is the mean difference of neighbouring pixels as a share of the true frames', or its inverse where that is
    greater than 1: the least of AHEAD frames. The first frame's mean difference to the truth is a share of that of the
    last known frame, which is what a predictor misses that expects no change.
    """
    made, true = rolled_out(run)
    sharpness = detail(made) / detail(true)
    sharp = float(torch.minimum(sharpness, 1 / sharpness).nan_to_num(0.0).min())
    source, image = unseen(run)
    last = source[:, -image.shape[1] :]
    missed = float((made_of(run, source) - image).abs().mean() / (last - image).abs().mean())
    print(f"sharpness {', '.join(f'{value:.2f}' for value in sharpness.tolist())}; missed {missed:.4f}")
    return min(sharp / LEAST_DETAIL, MOST_MISSED / missed)


def rolled_out(run: Run) -> tuple[Tensor, Tensor]:
    """Frames that follow from each other, and the true ones, of clips that the run has not seen: [N, AHEAD, C, H, W]."""
    data, _ = reference_of(run.config, run.dataset, say=lambda line: None)
    clips = min(CLIPS, len(data) // data.starts)
    true = torch.stack([data.sequence(clip * data.starts, data.past + AHEAD) for clip in range(clips)])
    frames = [*true[:, : data.past].unbind(1)]
    for _ in range(AHEAD):
        frames.append(torch.cat([*parts(run, torch.cat(frames[-data.past :], dim=1))]))
    return torch.stack(frames[data.past :], dim=1), true[:, data.past :]


def detail(frames: Tensor) -> Tensor:
    """The mean difference of pixels to those below and beside them, by time: [N, T, C, H, W] to [T]."""
    return sum(frames.diff(dim=axis).abs().mean(dim=(0, 2, 3, 4)) for axis in (3, 4))
