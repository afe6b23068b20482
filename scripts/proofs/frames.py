"""What is said of predicted frames: whether they stay sharp, and how far they are from the truth."""

import torch
from proofs.translation import made_of, parts, unseen
from torch import Tensor

from gan_lab.datasets.base import chosen
from gan_lab.runs.evaluation import reference_of
from gan_lab.runs.run import Run

CLIPS, AHEAD = 100, 20  # frames that are predicted from predicted ones
LEAST_DETAIL = 0.8  # of the true frames'
MOST_MISSED = 0.5  # of what changes from frame to frame
MOST_GROWN = 1.5  # of the true frames' light and detail


def foreseen(run: Run) -> float:
    """The least of three, as shares of what is asked: how sharp and how near the next frame is, and what it leads to.

    Sharpness is the mean difference of neighbouring pixels as a share of the true frames', or its inverse where that is
    greater than 1. The mean difference to the truth is a share of that of the last known frame, which is what a
    predictor misses that expects no change. AHEAD frames, each predicted from predicted ones, must not explode: their
    light and detail, as shares of the true ones', stay below MOST_GROWN.
    """
    made, true = rolled_out(run)
    light = (made + 1).mean(dim=(0, 2, 3, 4)) / (true + 1).mean(dim=(0, 2, 3, 4))
    sharpness = detail(made) / detail(true)
    grown = float(torch.cat([light, sharpness]).max())
    source, image = unseen(run)
    next_frame = made_of(run, source)
    sharp = float(detail(next_frame[:, None]) / detail(image[:, None]))
    last = source[:, -image.shape[1] :]
    missed = float((next_frame - image).abs().mean() / (last - image).abs().mean())
    told = [f"{name} {', '.join(f'{x:.2f}' for x in values.tolist())}" for name, values in
            {"light": light, "detail": sharpness}.items()]  # fmt: skip
    print(f"sharpness {sharp:.3f}, missed {missed:.4f}; {AHEAD} frames ahead: {'; '.join(told)}")
    return min(min(sharp, 1 / sharp) / LEAST_DETAIL, MOST_MISSED / max(missed, 1e-9), MOST_GROWN / grown)


def rolled_out(run: Run) -> tuple[Tensor, Tensor]:
    """Frames that follow from each other, and the true ones, of clips that are new to the run: [N, AHEAD, C, H, W]."""
    data, _ = reference_of(run.config, run.dataset, say=lambda line: None)
    clips = chosen(len(data) // data.starts, CLIPS).tolist()
    true = torch.stack([data.sequence(clip * data.starts, data.past + AHEAD) for clip in clips])
    frames = [*true[:, : data.past].unbind(1)]
    for _ in range(AHEAD):
        frames.append(torch.cat([*parts(run, torch.cat(frames[-data.past :], dim=1))]))
    return torch.stack(frames[data.past :], dim=1), true[:, data.past :]


def detail(frames: Tensor) -> Tensor:
    """The mean difference of pixels to those below and beside them, by time: [N, T, C, H, W] to [T]."""
    return sum(frames.diff(dim=axis).abs().mean(dim=(0, 2, 3, 4)) for axis in (3, 4))
