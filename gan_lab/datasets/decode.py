"""The bytes of one image file become one picture of the wanted size and channels, by a stated policy.

Every file is decoded to its end, so a cut one is noticed. The camera's orientation is applied; 16-bit greys are scaled
to 8 bits, from `span` where their values do not use it all; what is transparent lies on the background; palettes, CMYK,
one-bit and grey pictures become RGB (or grey). The shorter side is brought to the wanted size (bicubic, with antialias)
and the rest cut away evenly. Of an animation the first picture counts. GIF (256 colours) and TIFF (floats, pages, many
compressions) are not read.
"""

import io

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
FULL = (0, 65535)  # what becomes black and white of 16 bits
POLICY = 1  # raised when the same bytes become other pixels, so that no pack of earlier ones is taken


class Unreadable(Exception):
    """One file that is no picture, or no whole one; the message says why."""


def decode(
    data: bytes,
    size: tuple[int, int],
    channels: int,
    background: tuple[int, ...],
    max_pixels: int,
    span: tuple[int, int] = FULL,
) -> np.ndarray:
    """Bytes of a file as uint8 [H, W, C]; raises Unreadable."""
    side = 2 * max(size)  # a JPEG may be decoded at 1/2, 1/4 or 1/8, as long as it stays twice as large
    return fitted(opened(data, max_pixels, side), size, channels, background, span)


def opened(data: bytes, max_pixels: int, side: int | None = None) -> Image.Image:
    """Bytes of a file as an upright picture, of which a JPEG may be reduced to this side; raises Unreadable."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise Unreadable(f"{image.width} x {image.height} pixels are more than max_pixels={max_pixels}")
            if side:
                image.draft(None, (side, side))
            return ImageOps.exif_transpose(image)
    except Unreadable:
        raise
    except Image.UnidentifiedImageError as error:
        raise Unreadable(f"not a picture of the formats {', '.join(FORMATS)}") from error
    except Exception as error:  # a decoder raises almost anything on damaged data
        raise Unreadable(str(error)) from error


def fitted(
    picture: Image.Image,
    size: tuple[int, int],
    channels: int,
    background: tuple[int, ...],
    span: tuple[int, int] = FULL,
) -> np.ndarray:
    """A picture as uint8 [H, W, C]; with four channels the last one is its opacity, and no background shows."""
    height, width = size
    picture = eight_bits(picture, span)
    picture = (picture if channels == 4 else flatten(picture, background)).convert(MODES[channels])
    picture = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture).reshape(height, width, channels)


GREY = 8  # levels by which the colours of a grey picture differ, at most: a JPEG is not exact


def is_grey(picture: Image.Image, background: tuple[int, ...], span: tuple[int, int] = FULL) -> bool:
    """Whether a picture shows no colour."""
    small = fitted(picture, (32, 32), 3, background, span).astype(np.int16)
    return int(np.ptp(small, axis=2).max()) <= GREY


def eight_bits(picture: Image.Image, span: tuple[int, int] = FULL) -> Image.Image:
    """A picture of eight bits, of 16 bits too, which a conversion would saturate."""
    if not picture.mode.startswith("I"):
        return picture
    low, high = span
    grey = (np.asarray(picture).astype(np.float32) - low) * np.float32(255 / (high - low))
    return Image.fromarray(grey.clip(0, 255).round().astype(np.uint8))


def flatten(picture: Image.Image, background: tuple[int, ...]) -> Image.Image:
    """A picture of eight bits without transparency."""
    if picture.has_transparency_data:
        sheet = Image.new("RGBA", picture.size, (*background, 255))
        return Image.alpha_composite(sheet, picture.convert("RGBA")).convert("RGB")
    return picture


def header(data: bytes) -> tuple[str, str]:
    """Size and mode as a file states them; raises Unreadable."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return f"{image.height} x {image.width}", image.mode
    except Exception as error:  # as above
        raise Unreadable(str(error)) from error
