"""What takes something away from pictures: colour, detail, or a part of them; bytes become bytes."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

from gan_lab.noise import hashed

UNKNOWN = 128  # the byte in the middle, where nothing is told
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


def grey(pixels: Tensor) -> Tensor:
    """Luma of colours, [B, H, W, 1]; what is grey stays so."""
    if pixels.shape[3] == 1:
        return pixels
    return (pixels.float() * torch.tensor(GREY)).sum(dim=3, keepdim=True).round().byte()


def edges(pixels: Tensor) -> Tensor:
    """Half of the length of Sobel's gradient of the luma, bright where it is steep, [B, H, W, 1]."""
    right = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    luma = pad(grey(pixels).permute(0, 3, 1, 2).float(), (1, 1, 1, 1), mode="replicate")
    slopes = conv2d(luma, torch.stack((right, right.T))[:, None])  # [B, 2, H, W]
    return slopes.square().sum(dim=1).sqrt().div(2).clamp(max=255).round().byte()[..., None]


def downsampled(pixels: Tensor, factor: int) -> Tensor:
    """Means of squares of `factor` pixels, each as large as its square, [B, H, W, C]."""
    small = avg_pool2d(pixels.permute(0, 3, 1, 2).float(), factor).round().byte().permute(0, 2, 3, 1)
    return small.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def hinted(pixels: Tensor, indices: Tensor, most: int, seed: int) -> Tensor:
    """Luma, the colours of 0 to `most` small squares, and where these are: [B, H, W, 1 + C + 1].

    A hint is the mean colour of its square. In the manner of Zhang et al. 2017 (arXiv 1705.02999), section 3.1.
    """
    side = max(1, min(pixels.shape[1:3]) // 16)
    hint, where = torch.full_like(pixels, UNKNOWN), torch.zeros_like(pixels[..., :1])
    counts = hashed(indices, seed, "hints") % (most + 1)
    for number in range(most):
        chosen = (
            square(pixels, indices, side, side, seed, "hint", number) & (number < counts)[:, None, None]
        )  # [B, H, W]
        area = chosen[..., None]
        mean = (pixels * area).sum(dim=(1, 2), keepdim=True, dtype=torch.float32) / side**2
        hint, where = torch.where(area, mean.round().byte(), hint), where.masked_fill(area, 255)
    return torch.cat((grey(pixels), hint, where), dim=3)


def masked(pixels: Tensor, indices: Tensor, most: float, seed: int) -> Tensor:
    """The picture without a rectangle, and where that is, [B, H, W, C + 1].

    Each side of it is half of `most` to `most` of the picture's. Pathak et al. 2016 (arXiv 1604.07379), section 3.3;
    the channel that tells the hole is that of Iizuka et al. 2017, Globally and locally consistent image completion.
    """
    sides = []
    for name, whole in zip(("height", "width"), pixels.shape[1:3], strict=True):
        largest = max(1, round(whole * most))
        smallest = (largest + 1) // 2
        sides.append(smallest + hashed(indices, seed, "hole", name) % (largest - smallest + 1))
    hole = square(pixels, indices, *sides, seed, "hole", 0)[..., None]
    where = torch.zeros_like(pixels[..., :1]).masked_fill(hole, 255)
    return torch.cat((pixels.masked_fill(hole, UNKNOWN), where), dim=3)


def square(pixels: Tensor, indices: Tensor, height, width, seed: int, name: str, number: int) -> Tensor:
    """A rectangle of one size, or of sizes [B], somewhere in each picture, by its index: bool [B, H, W]."""
    inside = []
    for axis, length, whole in (("top", height, pixels.shape[1]), ("left", width, pixels.shape[2])):
        start = hashed(indices, seed, name, axis, number) % (whole - length + 1)  # [B]
        place = torch.arange(whole) - start[:, None]  # [B, whole]
        inside.append((place >= 0) & (place < torch.as_tensor(length).expand(len(indices))[:, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]
