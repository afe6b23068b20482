"""Points with a known density: what a GAN learns of them is judged exactly and drawn as it is."""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gan_lab import pictures
from gan_lab.datasets.base import Batch, Critic, Dataset, check_choice, check_fact

SHOWN = 2000  # points in a picture
LATTICE = 96  # points to a side where a critic is asked for its scores


class Points(Dataset):
    """Points float32 [N, D] at rest and in play; a subclass draws them from a generator of their own seed."""

    exact_samples = 10_000

    def __init__(self, points: Tensor):
        super().__init__(channels=points.shape[1], image_size=None)
        self.points = points

    def __len__(self) -> int:
        return len(self.points)

    @property
    def nbytes(self) -> int:
        return self.points.nbytes

    def load(self) -> Batch:
        return {"image": self.points}

    def prepare(self, rows: Batch, bits: Tensor) -> Batch:
        return rows

    def draw(self, views: Batch, critic: Critic | None = None) -> dict[str, np.ndarray]:
        """Each sample set but "real" over this dataset's own points or density, which every picture shows anyway."""
        mine = {name: points.reshape(-1, self.channels) for name, points in views.items() if name != "real"}
        return {name: self.plot(points, critic) for name, points in mine.items()}

    def describe_range(self) -> str:
        return f"in [{float(self.points.min()):.3g}, {float(self.points.max()):.3g}]"

    def plot(self, points: Tensor, critic: Critic | None) -> np.ndarray:
        raise NotImplementedError


class GaussianMixture(Points):
    """Equally likely Gaussians in the plane, on a ring or a square grid around the origin.

    `distance` is the ring's radius, or the step of the grid.
    """

    exact_best = "quality"

    def __init__(
        self,
        layout: Literal["ring", "grid"],
        modes: int,
        distance: float,
        sigma: float,
        size: int = 100_000,
        seed: int = 0,
        channels: int = 2,
        image_size: int | None = None,
        num_classes: int = 0,
    ):
        check_choice("layout", layout, ("ring", "grid"))
        check_facts(channels, 2, image_size, num_classes)
        check_positive(modes=modes, distance=distance, sigma=sigma, size=size)
        if layout == "grid" and math.isqrt(modes) ** 2 != modes:
            raise ValueError(f"modes={modes} must be a square number for a grid, for example 25.")
        self.layout, self.distance, self.sigma = layout, distance, sigma
        self.centres = (ring if layout == "ring" else lattice)(modes) * distance  # [modes, 2]
        self.extent = float(self.centres.abs().max()) + max(0.4 * distance, 4 * sigma)

        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(modes, (size,), generator=generator)
        super().__init__(self.centres[chosen] + sigma * torch.randn(size, 2, generator=generator))

    def describe(self) -> str:
        way = (
            f"on a ring of radius {self.distance:g}"
            if self.layout == "ring"
            else f"on a grid of step {self.distance:g}"
        )
        mixture = f"{len(self.centres)} Gaussians of sigma {self.sigma:g} {way}"
        return f"{len(self):,} points in the plane: {mixture}, {self.describe_range()}"

    def exact(self, samples: Tensor) -> dict[str, float]:
        """How many modes are found, and which share of the samples is good.

        A sample is good within 3 sigma of its nearest centre (98.9 % of real ones are); a mode is found when at least a
        tenth of its fair share of the samples, N / modes, is good and nearest to it. Meant for N of some 10,000.
        `quality` is the share of modes found times the share of good samples. `reverse_kl` is KL(generated || even), in
        nats, of the shares of samples nearest to each centre; `distance` is to real points, by `sliced_wasserstein`.
        """
        samples = samples.double().cpu()
        far, nearest = torch.cdist(samples, self.centres.double()).min(dim=1)
        good = far <= 3 * self.sigma
        hits = torch.bincount(nearest[good], minlength=len(self.centres))
        found = hits >= 0.1 * len(samples) / len(self.centres)
        modes, share = float(found.sum()), float(good.double().mean())
        shares = torch.bincount(nearest, minlength=len(self.centres)).double() / len(samples)
        return {
            "modes": modes,
            "good_share": share,
            "quality": modes / len(self.centres) * share,
            "reverse_kl": float(torch.xlogy(shares, shares * len(self.centres)).sum()),
            "distance": sliced_wasserstein(samples, self.points.double()),
        }

    def plot(self, points: Tensor, critic: Critic | None) -> np.ndarray:
        shade = None
        if critic is not None:
            side = torch.linspace(-self.extent, self.extent, LATTICE, device=points.device)
            plane = torch.cartesian_prod(side, side).flip(1)  # x fastest, rows from the bottom
            shade = scores(critic, plane).view(LATTICE, LATTICE)
        real = pictures.Dots("real", self.points[:SHOWN], pictures.GREY, size=5, opacity=0.35)
        fake = pictures.Dots("generated", points[:SHOWN].float().cpu(), pictures.GREEN, size=3, opacity=0.5)
        return pictures.scatter([real, fake], self.extent, shade)


class Gaussian1D(Points):
    """One Gaussian on the line, the example of Goodfellow et al. 2014 (arXiv 1406.2661), figure 1."""

    def __init__(
        self,
        mean: float = 0.0,
        std: float = 1.0,
        size: int = 100_000,
        seed: int = 0,
        channels: int = 1,
        image_size: int | None = None,
        num_classes: int = 0,
    ):
        check_facts(channels, 1, image_size, num_classes)
        check_positive(std=std, size=size)
        self.mean, self.std = mean, std
        super().__init__(mean + std * torch.randn(size, 1, generator=torch.Generator().manual_seed(seed)))

    def describe(self) -> str:
        gaussian = f"a Gaussian of mean {self.mean:g} and deviation {self.std:g}"
        return f"{len(self):,} points on the line: {gaussian}, {self.describe_range()}"

    def exact(self, samples: Tensor) -> dict[str, float]:
        """Mean and standard deviation of the samples, to be held against the true ones."""
        return {"mean": float(samples.double().mean()), "std": float(samples.double().std())}

    def plot(self, points: Tensor, critic: Critic | None) -> np.ndarray:
        """Figure 1 of the paper: densities of real and generated points, D(x), and the best D for these densities."""
        line = torch.linspace(self.mean - 5 * self.std, self.mean + 5 * self.std, 401)
        real = torch.exp(-0.5 * ((line - self.mean) / self.std) ** 2) / (self.std * math.sqrt(2 * math.pi))
        fake = density(points[:SHOWN].float().cpu().flatten(), line)
        best = real / (real + fake).clamp(min=1e-12)  # proposition 1
        lines = [
            pictures.Line("real", real, pictures.INK, dash=":"),
            pictures.Line("generated", fake, pictures.GREEN),
            pictures.Line("best D", best, pictures.VIOLET, thickness=1.0, on_right=True),
        ]
        if critic is not None:
            judged = torch.sigmoid(scores(critic, line[:, None].to(points.device)))
            lines.append(pictures.Line("D", judged, pictures.BLUE, dash="--", on_right=True))
        return pictures.curves(line, lines, top=2.2 * float(real.max()))


def ring(modes: int) -> Tensor:
    angles = torch.arange(modes) * (2 * math.pi / modes)
    return torch.stack((angles.cos(), angles.sin()), dim=1)


def lattice(modes: int) -> Tensor:
    side = torch.arange(math.isqrt(modes), dtype=torch.float32)
    side = side - side.mean()
    return torch.cartesian_prod(side, side)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 32) -> float:
    """The mean, over even directions, of the Wasserstein-1 distance between projections of points [N, 2] and [M, 2].

    The first min(N, M) of each are looked at. Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters.
    """
    n = min(len(a), len(b))
    angles = torch.arange(directions, dtype=a.dtype) * (math.pi / directions)
    axes = torch.stack((angles.cos(), angles.sin()))  # [2, directions]
    return float(((a[:n] @ axes).sort(dim=0).values - (b[:n] @ axes).sort(dim=0).values).abs().mean())


def scores(critic: Critic, points: Tensor) -> Tensor:
    with torch.no_grad():
        return critic(points).float().flatten().cpu()


def density(samples: Tensor, line: Tensor) -> Tensor:
    """A Gaussian kernel estimate over the line; its width by Silverman's rule (1986, eq. 3.31)."""
    spread = min(float(samples.std()), float(samples.quantile(0.75) - samples.quantile(0.25)) / 1.34)
    width = max(0.9 * spread * len(samples) ** -0.2, 2 * float(line[1] - line[0]))
    kernels = torch.exp(-0.5 * ((line[:, None] - samples) / width) ** 2)  # [line, samples]
    return kernels.mean(dim=1) / (width * math.sqrt(2 * math.pi))


def check_facts(channels: int, true_channels: int, image_size: int | None, num_classes: int) -> None:
    check_fact("channels", channels, true_channels)
    check_fact("image_size", image_size, None)
    check_fact("num_classes", num_classes, 0)


def check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name}={number} must be greater than 0.")
