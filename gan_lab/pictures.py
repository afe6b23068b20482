"""Numbers become pictures: grids of images, points on a plane, curves over a line; PNG and GIF files of them."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from gan_lab.stored import replacing

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]  # left, bottom, right, top

INK, GREY, RULE = (40, 40, 40), (120, 120, 120), (215, 215, 215)
BLUE, GREEN, ORANGE, VIOLET = (38, 96, 186), (22, 134, 72), (217, 95, 2), (122, 82, 160)

FINE = 3  # drawn this many times larger, then reduced: smooth edges
MOST_PIXELS = 2**25  # of a picture that is read back
MARGIN = 40  # pixels around a plot, for numbers and legend


# ---- pictures -------------------------------------------------------------------------------------------------------


def grid(images: Tensor, columns: int | None = None, padding: int = 2, least_side: int = 512) -> np.ndarray:
    """Images [N, C, H, W] in [-1, 1], side by side as uint8 [H, W, 3]; small ones are enlarged.

    One channel is grey and three are colours; more are several pictures that were packed into one.
    """
    images = images.reshape(-1, 1 if images.shape[1] % 3 else 3, *images.shape[2:])
    columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
    rows = math.ceil(len(images) / columns)

    # Turn into bytes, channels last, three of them.
    bytes_ = images.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).cpu()
    pixels = bytes_.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()

    # Enlarge until the longer side of the grid is long enough to look at.
    sides = ((rows, pixels.shape[1]), (columns, pixels.shape[2]))
    factor = max(1, min(math.ceil((least_side - padding * (n + 1)) / (n * side)) for n, side in sides))
    pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)

    # Lay the tiles on a white sheet.
    height, width = pixels.shape[1] + padding, pixels.shape[2] + padding
    sheet = np.full((rows * height + padding, columns * width + padding, 3), 255, dtype=np.uint8)
    for i, tile in enumerate(pixels):
        top, left = i // columns * height + padding, i % columns * width + padding
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def table(images: Tensor) -> np.ndarray:
    """Images as a `grid`; [rows, columns, C, H, W] keep their rows and columns."""
    return grid(images) if images.dim() == 4 else grid(images.flatten(0, 1), columns=images.shape[1])


def scatter(real: Tensor, fake: Tensor, extent: float, shade: Tensor | None = None, size: int = 512) -> np.ndarray:
    """Generated points [N, 2] over real ones, on the square [-extent, extent]^2, as uint8 [size, size, 3].

    `shade` [S, S] holds the critic's score over the square, its first row at the bottom: orange where it is highest
    (taken for real), blue where it is lowest.
    """
    plot = Plot(size, size, (-extent, -extent, extent, extent))
    if shade is not None:
        plot.shade(shade)
    plot.frame(ticks_of(extent), ticks_of(extent))
    plot.dots(real, GREY, radius=2.6, opacity=90)
    plot.dots(fake, GREEN, radius=1.5, opacity=130)
    plot.legend([("real", GREY, None), ("generated", GREEN, None)])
    return plot.pixels()


@dataclass
class Line:
    """One curve of `curves`: its values over the common line, on the left scale or on the right one (0 to 1)."""

    label: str
    values: Tensor  # [S]
    colour: Colour
    dash: tuple[int, int] | None = None  # pixels on and off
    thickness: float = 2.2
    on_right: bool = False


def curves(line: Tensor, lines: Sequence[Line], top: float, size: tuple[int, int] = (400, 640)) -> np.ndarray:
    """Curves over the points `line` [S], as uint8 [H, W, 3]; the left scale ends at `top`, the right one at 1."""
    left, right = float(line[0]), float(line[-1])
    height, width = size
    plot = Plot(height, width, (left, 0.0, right, top))
    plot.frame(ticks_between(left, right), ticks_between(0.0, top), right_ticks=[0.0, 0.5, 1.0])
    for one in lines:
        scale = top if one.on_right else 1.0
        plot.path(line, one.values * scale, one.colour, one.thickness, one.dash)
    plot.legend([(one.label, one.colour, one) for one in lines])
    return plot.pixels()


# ---- files ----------------------------------------------------------------------------------------------------------


def save_png(array: np.ndarray, path: Path | str) -> None:
    """Write uint8 [H, W, 3] as a PNG, of one channel where all are grey: whole, or not at all."""
    array = array[..., 0] if (array == array[..., :1]).all() else array
    write(Image.fromarray(array), Path(path), format="PNG")


def save_gif(frames: Sequence[np.ndarray | Path | str], path: Path | str, seconds_per_frame: float = 0.2) -> int:
    """Write frames (uint8 arrays, or PNG files) as a GIF that repeats, its last frame held for longer.

    Frames of another size than the last are fitted into it; files that cannot be read are left out, and without any
    that can there is no GIF. Returns how many were left out.
    """
    pictures = [Image.fromarray(f) if isinstance(f, np.ndarray) else opened(f) for f in frames]
    pictures = [picture for picture in pictures if picture is not None]
    left_out = len(frames) - len(pictures)
    if not pictures:
        return left_out
    size = pictures[-1].size
    pictures = [p if p.size == size else ImageOps.pad(p, size, Image.Resampling.NEAREST, "white") for p in pictures]

    # Share one palette, taken from up to eight frames: colours then do not flicker.
    chosen = pictures[:: max(1, len(pictures) // 7)] + [pictures[-1]]
    width, height = pictures[0].size
    strip = Image.new("RGB", (width, height * len(chosen)))
    for i, picture in enumerate(chosen):
        strip.paste(picture, (0, height * i))
    palette = strip.quantize(256)
    first, *rest = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]

    beat = round(1000 * seconds_per_frame)
    durations = [beat] * len(rest) + [max(2000, beat)]
    write(first, Path(path), format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return left_out


def opened(file: Path | str) -> Image.Image | None:
    """A picture file in colours; None for one that is damaged, no regular file or larger than MOST_PIXELS."""
    try:
        if not Path(file).is_file():
            return None
        with warnings.catch_warnings(action="ignore"), Image.open(file) as picture:
            return picture.convert("RGB") if math.prod(picture.size) <= MOST_PIXELS else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # as PIL tells of damage
        return None


def write(image: Image.Image, path: Path, **options) -> None:
    with replacing(path) as temporary:
        image.save(temporary, **options)


# ---- plots ----------------------------------------------------------------------------------------------------------


class Plot:
    """A white sheet with a frame, drawn `FINE` times larger than it is given back."""

    def __init__(self, height: int, width: int, box: Box):
        self.size, self.box = (width, height), box
        self.inner = (MARGIN, MARGIN, width - MARGIN, height - MARGIN)  # left, top, right, bottom in pixels
        self.sheet = Image.new("RGB", (width * FINE, height * FINE), "white")
        self.draw = ImageDraw.Draw(self.sheet, "RGBA")  # blends what has an opacity
        self.font = ImageFont.load_default(size=12 * FINE)

    def at(self, x: Tensor | float, y: Tensor | float):
        """Where a point of the plot lies on the enlarged sheet."""
        (x0, y0, x1, y1), (left, top, right, bottom) = self.box, self.inner
        return (
            FINE * (left + (x - x0) / (x1 - x0) * (right - left)),
            FINE * (bottom - (y - y0) / (y1 - y0) * (bottom - top)),
        )

    def frame(self, x_ticks: list[float], y_ticks: list[float], right_ticks: Sequence[float] = ()) -> None:
        left, top, right, bottom = (FINE * side for side in self.inner)
        self.draw.rectangle((left, top, right, bottom), outline=RULE, width=FINE)
        gap, small = 6 * FINE, 4 * FINE
        for value in x_ticks:
            x, _ = self.at(value, self.box[1])
            self.draw.line((x, bottom, x, bottom - small), fill=GREY, width=FINE)
            self.draw.text((x, bottom + gap), f"{value:g}", GREY, self.font, anchor="mt")
        for value in y_ticks:
            _, y = self.at(self.box[0], value)
            self.draw.line((left, y, left + small, y), fill=GREY, width=FINE)
            self.draw.text((left - gap, y), f"{value:g}", GREY, self.font, anchor="rm")
        for value in right_ticks:
            y = bottom - value * (bottom - top)
            self.draw.line((right, y, right - small, y), fill=BLUE, width=FINE)
            self.draw.text((right + gap, y), f"{value:g}", BLUE, self.font, anchor="lm")

    def shade(self, scores: Tensor) -> None:
        """Tint the plane by rank, so that one extreme score does not wash out the rest."""
        ranks = scores.flatten().argsort().argsort().view_as(scores).double() / max(1, scores.numel() - 1)
        low, high = torch.tensor((198.0, 217, 240)), torch.tensor((253.0, 222, 190))
        white = torch.tensor((252.0, 252, 252))
        tilt = (ranks.flip(0) * 2 - 1)[..., None]  # [S, S, 1] in [-1, 1], first row on top
        tint = white + (high - white) * tilt.clamp(min=0) + (low - white) * (-tilt).clamp(min=0)
        left, top, right, bottom = (FINE * side for side in self.inner)
        picture = Image.fromarray(tint.round().byte().numpy())
        self.sheet.paste(picture.resize((right - left, bottom - top), Image.Resampling.BICUBIC), (left, top))

    def dots(self, points: Tensor, colour: Colour, radius: float, opacity: int) -> None:
        x0, y0, x1, y1 = self.box
        inside = (points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)
        xs, ys = self.at(*points[inside].unbind(1))
        r = radius * FINE
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, opacity))

    def path(self, x: Tensor, y: Tensor, colour: Colour, thickness: float, dash: tuple[int, int] | None) -> None:
        xs, ys = self.at(x, y.nan_to_num().clamp(self.box[1], self.box[3]))
        for piece in dashes(torch.stack((xs, ys), dim=1), dash):
            self.draw.line(
                [tuple(p) for p in piece.tolist()], fill=colour, width=round(thickness * FINE), joint="curve"
            )

    def legend(self, entries: list[tuple[str, Colour, Line | None]]) -> None:
        """Name the colours above the frame; an entry without a line is shown as a dot."""
        x, y = FINE * self.inner[0], FINE * MARGIN // 2
        for label, colour, line in entries:
            long = 8 * FINE if line is None else 26 * FINE
            if line is None:
                self.draw.ellipse((x, y - 4 * FINE, x + long, y + 4 * FINE), fill=colour)
            else:
                stroke = torch.tensor([(x, y), (x + long, y)], dtype=torch.float32)
                for piece in dashes(stroke, line.dash):
                    self.draw.line([tuple(p) for p in piece.tolist()], fill=colour, width=round(line.thickness * FINE))
            self.draw.text((x + long + 6 * FINE, y), label, INK, self.font, anchor="lm")
            x += long + round(self.draw.textlength(label, self.font)) + 24 * FINE

    def pixels(self) -> np.ndarray:
        return np.asarray(self.sheet.resize(self.size, Image.Resampling.BOX))


def dashes(points: Tensor, dash: tuple[int, int] | None) -> list[Tensor]:
    """A polyline [S, 2] cut into strokes of `dash[0]` pixels with gaps of `dash[1]`, measured along it."""
    if dash is None:
        return [points]
    along = torch.cat((torch.zeros(1), (points[1:] - points[:-1]).norm(dim=1).cumsum(0)))
    on, period = dash[0] * FINE, sum(dash) * FINE
    pieces = []
    for start in torch.arange(0, float(along[-1]), period).tolist():
        stops = torch.linspace(start, min(start + on, float(along[-1])), 6)
        right = torch.searchsorted(along, stops).clamp(1, len(along) - 1)
        share = (stops - along[right - 1]) / (along[right] - along[right - 1]).clamp(min=1e-9)
        pieces.append(torch.lerp(points[right - 1], points[right], share[:, None]))
    return pieces


def ticks_of(extent: float) -> list[float]:
    return ticks_between(-extent, extent)


def ticks_between(low: float, high: float) -> list[float]:
    """Four to nine round numbers between two ends."""
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = max(s * power for s in (1, 2, 5) if s * power <= rough)
    return [round(i * step, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
