"""Numbers become pictures: grids of images, points on a plane, curves over a line; PNG and GIF files of them."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from gan_lab.storage.files import replacing

INK, GREY, RULE = "#282828", "#787878", "#d7d7d7"
BLUE, GREEN, ORANGE, VIOLET = "#2660ba", "#168648", "#d95f02", "#7a52a0"
STYLE = {  # of every plot, on top of matplotlib's own: the font is the one that it brings along
    "figure.dpi": 100, "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "text.parse_math": False,
    "axes.edgecolor": RULE, "axes.labelcolor": GREY, "axes.titlesize": 10, "axes.titlelocation": "left",
    "axes.unicode_minus": False, "xtick.color": GREY, "ytick.color": GREY, "xtick.direction": "in",
    "ytick.direction": "in", "legend.frameon": False, "legend.borderaxespad": 0.3,
}  # fmt: skip

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


# ---- files ----------------------------------------------------------------------------------------------------------


def save_png(array: np.ndarray, path: Path | str, software: str | None = None) -> None:
    """Write uint8 [H, W, 3] as a PNG, of one channel where all are grey: whole, or not at all.

    `software` is what the file says of who drew it.
    """
    array = array[..., 0] if (array == array[..., :1]).all() else array
    facts = PngInfo()
    facts.add_text("Software", software) if software else None
    write(Image.fromarray(array), Path(path), format="PNG", pnginfo=facts)


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


@dataclass
class Dots:
    """Points [N, 2] of one kind in a `scatter`; those that do not lie within the frame are left out."""

    label: str
    points: Tensor
    colour: str
    size: float  # pixels across
    opacity: float


def scatter(kinds: Sequence[Dots], extent: float, shade: Tensor | None = None, size: int = 512) -> np.ndarray:
    """Points on the square [-extent, extent]^2, the last kind on top, as uint8 [size, size, 3].

    `shade` [S, S] holds the critic's score over the square, its first row at the bottom: orange where it is highest
    (taken for real), blue where it is lowest.
    """
    with figure(size, size) as sheet:
        axes = framed(sheet, (-extent, extent), (-extent, extent))
        if shade is not None:
            tint(axes, shade, extent)
        for kind in kinds:
            inside = (kind.points.abs() < extent).all(dim=1)
            look = {"color": kind.colour, "markersize": kind.size * 0.72, "alpha": kind.opacity}  # 72 points an inch
            axes.plot(*kind.points[inside].T.numpy(), "o", markeredgewidth=0, label=kind.label, **look)
        for handle in named(axes).legend_handles:
            handle.set(alpha=1, markersize=6)
        return pixels(sheet)


@dataclass
class Line:
    """One curve of `curves`: its values over the common line, on the left scale or on the right one (0 to 1)."""

    label: str
    values: Tensor  # [S]
    colour: str
    dash: str | tuple = "-"
    thickness: float = 2.0
    on_right: bool = False


def curves(line: Tensor, lines: Sequence[Line], top: float, size: tuple[int, int] = (400, 640)) -> np.ndarray:
    """Curves over the points `line` [S], as uint8 [H, W, 3]; the left scale ends at `top`, the right one at 1."""
    with figure(*size) as sheet:
        axes = framed(sheet, (float(line[0]), float(line[-1])), (0.0, top))
        if any(one.on_right for one in lines):
            right = axes.secondary_yaxis("right", functions=(lambda y: y / top, lambda share: share * top))
            right.set_yticks([0, 0.5, 1])
            right.tick_params(colors=BLUE)
        for one in lines:
            heights = one.values.nan_to_num() * (top if one.on_right else 1)
            look = {"color": one.colour, "linestyle": one.dash, "linewidth": one.thickness}
            axes.plot(line.numpy(), heights.numpy(), label=one.label, **look)
        named(axes)
        return pixels(sheet)


@contextmanager
def figure(height: int, width: int) -> Iterator:
    """A white matplotlib figure of so many pixels, in the `STYLE` of this file whatever the user's own is."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with warnings.catch_warnings(action="ignore"), style.context(["default", STYLE]):  # a font lacks some letters
        sheet = Figure(figsize=(width / 100, height / 100))
        FigureCanvasAgg(sheet)
        yield sheet


def pixels(sheet) -> np.ndarray:
    """What a figure shows, as uint8 [H, W, 3]."""
    sheet.canvas.draw()
    return np.asarray(sheet.canvas.buffer_rgba())[..., :3].copy()


def framed(sheet, x: tuple[float, float], y: tuple[float, float]):
    """The one plot of a figure, with MARGIN around it."""
    width, height = sheet.bbox.size
    return sheet.add_axes(
        (MARGIN / width, MARGIN / height, 1 - 2 * MARGIN / width, 1 - 2 * MARGIN / height), xlim=x, ylim=y
    )


def named(axes):
    """The legend, in one line above the frame."""
    return axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=9, columnspacing=1.5, handletextpad=0.4)


def tint(axes, scores: Tensor, extent: float) -> None:
    """Tint the plane by rank, so that one extreme score does not wash out the rest."""
    from matplotlib.colors import LinearSegmentedColormap

    ranks = scores.flatten().argsort().argsort().view_as(scores)
    colours = LinearSegmentedColormap.from_list("", ["#c6d9f0", "#fcfcfc", "#fddebe"])
    axes.imshow(ranks.numpy(), colours, extent=(-extent, extent) * 2, origin="lower", interpolation="bicubic")
