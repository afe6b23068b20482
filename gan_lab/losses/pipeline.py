"""The changes of adaptive augmentation, each with a probability. Karras et al. 2020 (arXiv 2006.06676), appendix B.

The numbers are those of the paper and its official code. All steps that move pixels are one transformation of places
and one sampling between an upsampling and a downsampling by 2 with a wavelet's low-pass filter, so that an image that
is shifted by whole pixels is what it was; all steps that change colours are one matrix. Everything is done for a
batch at once, on any device, without asking it for a number, and can be differentiated twice.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, conv_transpose1d, pad

from gan_lab.losses.base import at_least_float32
from gan_lab.rows import Rows

PARTS = ("blit", "geom", "color", "filter", "noise", "cutout")
PIPELINES = {name: frozenset([name]) for name in PARTS} | {
    "".join(name[0] for name in PARTS[:count]): frozenset(PARTS[:count]) for count in range(2, len(PARTS) + 1)
}  # bg, bgc, bgcf, bgcfn, bgcfnc

# Low-pass filters of orthogonal wavelets: the symlet of six vanishing moments and Daubechies' of two
SYM6 = (
    *(0.01540410932703, 0.00349071208422, -0.11799011114819, -0.04831174258563, 0.49105594192675, 0.78764114103019),
    *(0.33792942172763, -0.07263752278646, -0.02106029229673, 0.04472490177067, 0.00176771186424, -0.00780070832503),
)
SYM2 = tuple((a + b * math.sqrt(3)) / math.sqrt(32) for a, b in ((1, -1), (3, -1), (3, 1), (1, 1)))
REACH = 3  # pixels of an image that the filter sees on either side
MARGIN = 2 * REACH  # pixels of the mirrored image that are there before it is upsampled
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of natural images in octaves, from coarse to fine


class Pipeline(nn.Module):
    """Some of PARTS in their order. Rows to rows whose image is changed, each step with a probability p."""

    def __init__(self, parts: frozenset[str]):
        super().__init__()
        self.parts = parts
        self.register_buffer("taps", torch.tensor(SYM6), persistent=False)
        self.register_buffer("bands", octaves(len(POWER)) if "filter" in parts else None, persistent=False)

    def forward(self, rows: Rows, p: Tensor, noise, name: str) -> Rows:
        size, parts = rows["image"].shape[2:], self.parts
        pictures = [key for key, x in rows.items() if key == "image" or (x.dim() == 4 and x.shape[2:] == size)]
        draw, shown = Draws(rows.count, p, noise, name), {key: at_least_float32(rows[key]) for key in pictures}
        image = shown["image"]
        if parts & {"blit", "geom"}:
            together = moved(torch.cat([*shown.values()], dim=1), sources(draw, size, parts), self.taps)
            shown = dict(zip(shown, together.split([x.shape[1] for x in shown.values()], dim=1), strict=True))
            image = shown["image"]
        if "color" in parts:
            image = coloured(image, colours(draw, image.shape[1]))
        if "filter" in parts:
            image = filtered(image, gains(draw) @ self.bands)
        if "noise" in parts:
            std = 0.1 * draw.normal("noise").abs() * draw.happens("noise")
            image = image + std.to(image.dtype).view(-1, 1, 1, 1) * draw.normal("noise/image", *image.shape[1:])
        shown["image"] = image
        if "cutout" in parts:
            keep = kept(draw, size)
            shown = {key: x * keep for key, x in shown.items()}
        return rows.changed(**{key: x.to(rows[key].dtype) for key, x in shown.items()})


class Draws:
    """What is drawn for each of `count` samples, by the name of a step."""

    def __init__(self, count: int, p: Tensor, noise, name: str):
        self.count, self.p, self.noise, self.name = count, p, noise, name

    def happens(self, step: str, p: Tensor | None = None) -> Tensor:
        """Whether a step is taken, [N]."""
        return self.noise.uniform(f"{self.name}/{step}/happens", (self.count,)) < (self.p if p is None else p)

    def uniform(self, step: str, *more: int) -> Tensor:
        return self.noise.uniform(f"{self.name}/{step}", (self.count, *more))

    def normal(self, step: str, *more: int) -> Tensor:
        return self.noise(f"{self.name}/{step}", (self.count, *more))

    def whole(self, step: str, most: int) -> Tensor:
        """Whole numbers from 0 to `most` - 1 where the step is taken, 0 where not."""
        return (self.uniform(step) * most).floor() * self.happens(step)

    def factor(self, step: str, std: float) -> Tensor:
        """Powers of 2 about 1 where the step is taken, 1 where not."""
        return torch.exp2(std * self.normal(step) * self.happens(step))

    def angle(self, step: str, p: Tensor | None = None) -> Tensor:
        """Anything within a half turn either way where the step is taken, 0 where not."""
        return (2 * self.uniform(step) - 1) * math.pi * self.happens(step, p)


# --- Places ----------------------------------------------------------------------------------------------------------


def sources(draw: Draws, size: tuple[int, int], parts: frozenset[str]) -> Tensor:
    """Where each place of a new image comes from: matrices [N, 2, 3] of places (x, y, 1), in pixels from the centre.

    A step that is taken later stands to the right: places are sent back through the steps from the last to the first.
    """
    height, width = size
    in_pixels = lambda shares: torch.stack([shares[:, 0] * width, shares[:, 1] * height], dim=1)
    steps = []
    if "blit" in parts:
        flip, quarters = 1 - 2 * draw.whole("flip", 2), draw.whole("quarters", 4)
        shift = in_pixels((2 * draw.uniform("shift", 2) - 1) / 8).round() * draw.happens("shift")[:, None]
        steps += [scaling(flip, torch.ones_like(flip)), turning(quarters * (math.pi / 2)), shifting(-shift)]
    if "geom" in parts:
        once = 1 - (1 - draw.p).clamp(min=0).sqrt()  # of two turns, so that one of them happens with p
        scale, stretch = draw.factor("scale", 0.2), draw.factor("stretch", 0.2)
        shift = in_pixels(draw.normal("slide", 2) / 8) * draw.happens("slide")[:, None]
        steps += [scaling(1 / scale, 1 / scale), turning(draw.angle("turn", once)), scaling(1 / stretch, stretch)]
        steps += [turning(draw.angle("turn_again", once)), shifting(-shift)]
    whole = steps[0]
    for step in steps[1:]:
        whole = whole @ step
    return whole[:, :2]


def scaling(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def turning(angle: Tensor) -> Tensor:
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return torch.stack([cos, sin, none, -sin, cos, none, none, none, none + 1], dim=1).view(-1, 3, 3)


def shifting(by: Tensor) -> Tensor:
    """By [N, 2], of x and y."""
    last = torch.cat([by, torch.ones_like(by[:, :1])], dim=1)  # [N, 3]
    unit = torch.eye(3, device=by.device, dtype=by.dtype)
    return torch.cat([unit[:, :2].expand(len(by), 3, 2), last[:, :, None]], dim=2)


def moved(x: Tensor, back: Tensor, taps: Tensor) -> Tensor:
    """Images [N, C, H, W] whose places come from `back`, [N, 2, 3]; what lies outside is mirrored."""
    # As products of matrices, which at these sizes are several times as fast as convolutions by a line
    sides, taps = x.shape[2:], taps.to(x.dtype)
    higher, wider = (enlarging(side, taps) for side in sides)
    fine = higher.mT @ x @ wider  # pixel i is at 2 * (i + MARGIN)

    # Send each place of the new image's fine grid back, and mirror those that come from farther outside
    rows, columns = (
        torch.arange(-2 * REACH, 2 * (side + REACH), device=x.device) / 2 - (side - 1) / 2 for side in sides
    )
    y, x_ = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([x_, y, torch.ones_like(y)], dim=-1).flatten(0, 1).to(back.dtype)  # [h * w, 3]
    places = (places @ back.mT).view(len(x), *y.shape, 2)
    grid = []
    for i, side in enumerate(reversed(sides)):
        place = places[..., i] + (side - 1) / 2
        place = torch.where((place < -REACH) | (place > side - 1 + REACH), reflected(place, side), place)
        grid.append(4 * (place + MARGIN) / (4 * MARGIN + 2 * side - 1) - 1)  # from -1 to 1
    lower, narrower = (reducing(side, taps) for side in sides)
    return lower.mT @ Sampled.apply(fine, torch.stack(grid, dim=-1).to(x.dtype)) @ narrower


def reflected(places: Tensor, side: int) -> Tensor:
    """Places, mirrored at the first and the last pixel until they lie between them."""
    last = side - 1
    return (last - (places.remainder(max(1, 2 * last)) - last).abs()).clamp(min=0)


def mirrored(x: Tensor, dim: int, more: int) -> Tensor:
    """The same with `more` places on either end of a dimension, however short it is."""
    side = x.shape[dim]
    return x.index_select(dim, reflected(torch.arange(-more, side + more, device=x.device), side))


def enlarging(side: int, taps: Tensor) -> Tensor:
    """What upsampling makes of each pixel of a mirrored line: [side, 2 * (side + 2 * MARGIN)]."""
    unit = mirrored(torch.eye(side, device=taps.device, dtype=taps.dtype), 1, MARGIN)
    return conv_transpose1d(unit[:, None], math.sqrt(2) * taps.view(1, 1, -1), stride=2, padding=5)[:, 0]


def reducing(side: int, taps: Tensor) -> Tensor:
    """What downsampling makes of each place of a fine line that is REACH pixels longer on either end, the inverse."""
    unit = torch.eye(2 * (side + 2 * REACH), device=taps.device, dtype=taps.dtype)
    return conv1d(unit[:, None, 1:-1], math.sqrt(0.5) * taps.view(1, 1, -1), stride=2)[:, 0]


BILINEAR = 0, 0, True  # zeros outside; -1 and 1 are the middles of the outermost pixels


class Sampled(torch.autograd.Function):
    """Images at places between their pixels, whose gradient has a gradient: torch's own has none."""

    @staticmethod
    def forward(ctx, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.sides = x.shape[2:]
        return torch.ops.aten.grid_sampler_2d(x, grid, *BILINEAR)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return Spread.apply(gradient, *ctx.saved_tensors, ctx.sides), None


class Spread(torch.autograd.Function):
    """The transpose of `Sampled`: numbers at places between pixels, added to the pixels about them."""

    @staticmethod
    def forward(ctx, y: Tensor, grid: Tensor, sides: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        like = y.new_zeros(*y.shape[:2], *sides)
        return torch.ops.aten.grid_sampler_2d_backward(y.contiguous(), like, grid, *BILINEAR, [True, False])[0]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return Sampled.apply(gradient, *ctx.saved_tensors), None, None


# --- Colours ---------------------------------------------------------------------------------------------------------


def colours(draw: Draws, channels: int) -> Tensor:
    """Matrices [N, C + 1, C + 1] of colours with a 1 behind them; a step that is taken later stands to the left."""
    unit = torch.eye(channels + 1, device=draw.p.device, dtype=draw.p.dtype)
    grey = unit.new_ones(channels) / math.sqrt(channels)  # the direction of what all channels share
    along = torch.block_diag(torch.outer(grey, grey), unit.new_zeros(1, 1))
    across = torch.block_diag(unit[:channels, :channels], unit.new_zeros(1, 1)) - along
    last = unit - along - across
    each = lambda x: x.to(unit.dtype).view(-1, 1, 1)

    light = 0.2 * draw.normal("brightness") * draw.happens("brightness")
    matrix = unit + each(light) * torch.outer(torch.cat([unit.new_ones(channels), unit.new_zeros(1)]), unit[-1])
    matrix = (each(draw.factor("contrast", 0.5)) * (along + across) + last) @ matrix
    matrix = (unit - 2 * each(draw.whole("invert", 2)) * along) @ matrix
    if channels == 3:
        angle, (red, green, blue) = draw.angle("hue"), unit[:3]
        turn = sum(torch.outer(a, b) - torch.outer(b, a) for a, b in ((green, red), (blue, green), (red, blue)))
        turn = turn / math.sqrt(3)  # a quarter of a turn of what lies across
        matrix = (along + last + each(angle.cos()) * across + each(angle.sin()) * turn) @ matrix
    if channels > 1:
        matrix = (along + last + each(draw.factor("saturation", 1.0)) * across) @ matrix
    return matrix


def coloured(x: Tensor, matrix: Tensor) -> Tensor:
    """Images [N, C, H, W] whose colours go through `matrix`, [N, C + 1, C + 1]."""
    matrix = matrix[:, :-1].to(x.dtype)
    return (matrix[:, :, :-1] @ x.flatten(2) + matrix[:, :, -1:]).view(x.shape)


# --- Octaves, and holes ----------------------------------------------------------------------------------------------


def octaves(count: int) -> Tensor:
    """Filters [count, taps] of an image's octaves from coarse to fine, whose sum changes nothing."""
    low = torch.tensor(SYM2, dtype=torch.float64)
    high = low * torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    low, high = (conv1d(h.view(1, 1, -1), h.view(1, 1, -1), padding=3).flatten() / 2 for h in (low, high))
    bands = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(count - 1):
        wide = torch.zeros(len(bands), 2 * bands.shape[1] - 1, dtype=torch.float64)
        wide[:, ::2] = bands
        bands = conv1d(wide[:, None], low.view(1, 1, -1), padding=len(low) - 1)[:, 0]
        side = (bands.shape[1] - len(high)) // 2
        bands = torch.cat([bands, pad(high, (side, side))[None]])
    return bands.to(torch.get_default_dtype())


def gains(draw: Draws) -> Tensor:
    """How much of each octave there is, [N, bands]; the power of a natural image stays as it is."""
    gain = torch.ones((), device=draw.p.device, dtype=draw.p.dtype)
    factors = [draw.factor(f"octave/{i}", 1.0) for i in range(len(POWER))]
    for factor, power in zip(factors, POWER, strict=True):
        gain = gain / (1 - power + power * factor.square()).sqrt()
    return torch.stack([factor * gain for factor in factors], dim=1)


def filtered(x: Tensor, taps: Tensor) -> Tensor:
    """Images through a filter of their own each, [N, taps], along both sides; what lies outside is mirrored."""
    n, channels = x.shape[:2]
    taps = taps.to(x.dtype).repeat_interleave(channels, dim=0)[:, None, :, None]  # [N * C, 1, taps, 1]
    reach = taps.shape[2] // 2
    single = mirrored(mirrored(x, 2, reach), 3, reach).flatten(0, 1)[None]
    single = conv2d(conv2d(single, taps, groups=n * channels), taps.mT, groups=n * channels)
    return single.view(x.shape)


def kept(draw: Draws, size: tuple[int, int]) -> Tensor:
    """Masks [N, 1, H, W] with a hole of half of each side where the step is taken; its middle lies anywhere."""
    middle, outside = draw.uniform("hole", 2), []
    for i, side in enumerate(size):
        place = (torch.arange(side, device=middle.device) + 0.5) / side
        outside.append((place - middle[:, i, None]).abs() >= 0.25)  # [N, side]
    rows, columns = outside
    return (rows[:, None, :, None] | columns[:, None, None, :]) | ~draw.happens("hole").view(-1, 1, 1, 1)
