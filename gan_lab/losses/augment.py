"""Differentiable augmentation of what the critic sees, so that few images last."""

import torch

from gan_lab.losses.base import View
from gan_lab.rows import Rows


class DiffAugment(View):
    """Random changes of real and fake, each drawn apart. Zhao et al. 2020 (arXiv 2006.10738), section 3.2 and its code.

    `policy` names them in order: `color` (brightness by -0.5 to 0.5, saturation by a factor of 0 to 2, contrast by 0.5
    to 1.5), `translation` (up to an eighth of each side, zeros behind it), `cutout` (a hole of half of each side).
    Images [N, C, H, W] in [-1, 1], of any number of channels. Other pictures of the same side, such as the source of a
    translation, are shifted and cut with their image; their colours stay.
    """

    images_only = True
    augments = True

    def __init__(self, policy: tuple[str, ...] = ("color", "translation", "cutout")):
        super().__init__()
        unknown = [name for name in policy if name not in CHANGES]
        if unknown or not policy:
            raise ValueError(f"policy={list(policy)} must name one or more of {', '.join(CHANGES)}.")
        self.policy = list(policy)

    def forward(self, real: Rows, fake: Rows, noise, step: int) -> tuple[Rows, Rows]:
        return self.changed(real, noise, "real"), self.changed(fake, noise, "fake")

    def changed(self, rows: Rows, noise, side: str) -> Rows:
        size = rows["image"].shape[2:]
        beside = {name for name, x in rows.items() if name != "image" and x.dim() == 4 and x.shape[2:] == size}
        for policy in self.policy:
            moved = {"image"} if policy == "color" else {"image", *beside}  # one draw moves all pictures of a row alike
            change = lambda x, policy=policy: CHANGES[policy](x, noise, f"{policy}/{side}")
            rows = rows.changed(**{name: change(rows[name]) for name in moved})
        return rows


def color(x, noise, name):
    brightness, saturation, contrast = (
        noise.uniform(f"{name}/{what}", (len(x),)).to(x.dtype).view(-1, 1, 1, 1)
        for what in ("brightness", "saturation", "contrast")
    )
    x = x + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = torch.lerp(grey, x, saturation * 2)
    return torch.lerp(x.mean(dim=(1, 2, 3), keepdim=True), x, contrast + 0.5)


def translation(x, noise, name, most=1 / 8):
    """Shifts by whole pixels, which move and do not blur."""
    rows, columns = shifts(x, noise, name, most)
    for dim, shift in ((2, rows), (3, columns)):
        side = x.shape[dim]
        source = torch.arange(side, device=x.device) - shift  # [N, side]: where each row or column comes from
        shape = [len(x), 1, 1, 1]
        shape[dim] = side
        inside = ((source >= 0) & (source < side)).view(shape)
        x = x.gather(dim, source.clamp(0, side - 1).view(shape).expand_as(x)) * inside
    return x


def shifts(x, noise, name, most):
    """Rows and columns to shift by, whole numbers [N, 1] each."""
    draw = noise.uniform(name, (len(x), 2))
    reach = [int(side * most + 0.5) for side in x.shape[2:]]
    return [(draw[:, i : i + 1] * (2 * r + 1)).floor().long() - r for i, r in enumerate(reach)]


def cutout(x, noise, name, share=1 / 2):
    draw = noise.uniform(name, (len(x), 2))
    keep = torch.zeros(len(x), 1, 1, dtype=torch.bool, device=x.device)
    for i, side in enumerate(x.shape[2:]):
        hole = int(side * share + 0.5)
        first = (draw[:, i] * (side + 1 - hole % 2)).floor().long() - hole // 2  # [N]: the hole may lie half outside
        place = torch.arange(side, device=x.device)
        outside = (place < first[:, None]) | (place >= first[:, None] + hole)  # [N, side]
        keep = keep | (outside[:, :, None] if i == 0 else outside[:, None, :])
    return x * keep[:, None]


CHANGES = {"color": color, "translation": translation, "cutout": cutout}
