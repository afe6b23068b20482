"""A judge that learns from the labelled data itself: a small classifier, trained once and kept with its accuracy."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from gan_lab.errors import DataError
from gan_lab.metrics.extractors import Extractor, shrunk
from gan_lab.metrics.store import digest, kept

MOST = 32  # pixels of the longer side that it looks at
FEATURES = 128
LEAST = 0.1  # of what there is above chance: a judge that is no better knows nothing
BATCH = 256
SECONDS = 200.0  # of training, whatever the machine: the schedule of one that falls behind is shortened to end there
GRACE = 0.05  # the share of them in which nobody is called late


@dataclass(frozen=True)
class Labelled:
    """Pictures uint8 [N, C, H, W] with their classes int64 [N], to learn from and to be examined with.

    Or with attributes, float32 [N, A] of 0 and 1, of which a picture may have any number; `num_classes` is then A.
    """

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    num_classes: int


class Classifier(Extractor):
    """The features before the last layer of a small classifier, and its probabilities.

    Features are scaled to a mean square of 1 on real pictures, so that two judges speak of like figures. `seed` and
    `architecture` make a second judge that shares neither start nor shape with the first.
    """

    title = "classifier"

    def __init__(self, channels: int, num_classes: int, seed: int = 0, architecture: str = "plain"):
        super().__init__()
        if architecture not in BODIES:
            raise ValueError(f"architecture={architecture} is not known; choose {' or '.join(BODIES)}.")
        self.seed, self.architecture, self.classes = seed, architecture, num_classes
        self.resize = f"area, at most {MOST} x {MOST}"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body, self.head = BODIES[architecture](channels), nn.Linear(FEATURES, num_classes)
        self.register_buffer("scale", torch.ones(()))
        self.accuracy, self.identity = 0.0, ""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(images.float() / 127.5 - 1)
        return features / self.scale, self.probabilities(self.head(features))

    def features(self, images: Tensor) -> Tensor:
        return self.body(shrunk(images, MOST))

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels)

    def accuracy_of(self, probabilities: Tensor, labels: Tensor) -> float:
        """The share of right answers among probabilities [N, K]."""
        return float((probabilities.argmax(dim=1) == labels).double().mean())

    @property
    def about(self) -> str:
        return f"{self.architecture} classifier of seed {self.seed}, {self.accuracy:.2%} right on held-out pictures"

    @property
    def says_little(self) -> bool:
        """Whether it is hardly more often right than by chance, by a tenth of what there is to gain."""
        chance = 1 / self.classes
        return not self.accuracy - chance > LEAST * (1 - chance)


class AttributeReader(Classifier):
    """The same network asked which of the data's attributes a picture has: a probability of each by itself, [N, A]."""

    title = "attributes"

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, labels)

    def accuracy_of(self, probabilities: Tensor, labels: Tensor) -> float:
        return float(((probabilities > 0.5) == labels.bool()).double().mean())


def classifier(data: Labelled, seed: int = 0, architecture: str = "plain", quiet: bool = False) -> Classifier:
    """The classifier of this data, from the cache or, once, trained; DataError where it has fewer than two classes.

    An `AttributeReader` where the labels are attributes.
    """
    reads = data.labels.is_floating_point()
    if data.num_classes < 2 - reads or not len(data.images):
        raise DataError("A classifier needs pictures of two classes or more.")
    kind = AttributeReader if reads else Classifier
    new = lambda: kind(data.images.shape[1], data.num_classes, seed, architecture)
    contents = (data.images, data.labels, data.test_images, data.test_labels, data.num_classes)
    name = f"classifier-{digest(*contents, seed, architecture, RECIPE)}"
    model, state = new(), kept(name, lambda: learned(new(), data, quiet))
    model.load_state_dict(state["weights"])
    model.accuracy, model.identity = state["accuracy"], f"{name} {digest(*state['weights'].values())}"
    return model.eval().requires_grad_(False)


# ---- training -------------------------------------------------------------------------------------------------------

IMAGES = 240_000  # that are shown in training; smaller sets are shown fifty times at most
TIMES = 50
RATE, DECAY = 6e-3, 0.02
SHIFT, TURN, ZOOM = 2 / 28, math.radians(10), 0.1  # largest changes of a picture: share of its side, angle, share
RECIPE = f"adamw {RATE} {DECAY}, {IMAGES} {TIMES} {BATCH}, {SHIFT} {TURN} {ZOOM}, {MOST} {FEATURES}, 2"


def learned(model: Classifier, data: Labelled, quiet: bool) -> dict:
    """Train, examine, and return the state to keep."""
    steps = -(-min(IMAGES, TIMES * len(data.images)) // BATCH)
    model.train().requires_grad_(True).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    started = time.monotonic()
    with tqdm(total=steps, desc="training the classifier, once", unit="step", delay=2, disable=quiet or None) as bar:
        for step, (images, labels) in enumerate(batches(data, model.seed)):
            done, late = step / steps, (time.monotonic() - started) / SECONDS
            done = done if late < max(done, GRACE) else late  # a machine in time trains the same judge each time
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, 10 * done + 1 / steps) * 0.5 * (1 + math.cos(math.pi * done))
            with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_amx_tile_supported()):
                features = model.features(images)
            loss = model.loss(model.head(features.float()), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            bar.update()
    accuracy = examine(model.eval(), data)
    return {"weights": {k: v.contiguous() for k, v in model.state_dict().items()}, "accuracy": accuracy}


@torch.no_grad()
def examine(model: Classifier, data: Labelled) -> float:
    """The share of the test pictures that it puts into the right class; its features get their scale from the same."""
    seen = [model(part) for part in data.test_images.split(500)]
    model.scale.fill_(torch.cat([features for features, _ in seen]).square().mean().sqrt())
    return model.accuracy_of(torch.cat([probabilities for _, probabilities in seen]), data.test_labels)


def batches(data: Labelled, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled and slightly moved pictures in [-1, 1], without end."""
    generator = torch.Generator().manual_seed(seed)
    size = min(BATCH, len(data.images))
    while True:
        order = torch.randperm(len(data.images), generator=generator)
        for chosen in order[: len(order) // size * size].split(size):
            images = shrunk(data.images[chosen].float() / 127.5 - 1, MOST)
            yield moved(images, generator).contiguous(memory_format=torch.channels_last), data.labels[chosen]


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture shifted, turned and zoomed by a little of its own; what comes in at the edge repeats the border."""
    n = len(images)
    draw = lambda most: (torch.rand(n, generator=generator) * 2 - 1) * most
    angle, zoom = draw(TURN), 1 + draw(ZOOM)
    cosine, sine = angle.cos() / zoom, angle.sin() / zoom
    rows = torch.stack([cosine, -sine, draw(2 * SHIFT), sine, cosine, draw(2 * SHIFT)], dim=1)
    grid = F.affine_grid(rows.view(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


# ---- architectures --------------------------------------------------------------------------------------------------


def plain(channels: int) -> nn.Module:
    """Four convolutions, of which the first and the third halve the sides, and one hidden layer."""
    return nn.Sequential(
        *block(channels, 32, kernel_size=5, stride=2),
        *block(32, 64),
        *block(64, 64, stride=2),
        *block(64, 128),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(512, FEATURES),
        nn.ReLU(),
    )


def residual(channels: int) -> nn.Module:
    """Three pairs of convolutions around which the signal also flows, and a mean over all places."""
    return nn.Sequential(
        *block(channels, 32, stride=2),
        Around(32),
        *block(32, 64, stride=2),
        Around(64),
        *block(64, FEATURES),
        Around(FEATURES),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class Around(nn.Module):
    """A convolution beside which the signal passes unchanged."""

    def __init__(self, width: int):
        super().__init__()
        self.inner = nn.Sequential(*block(width, width), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def block(width: int, wider: int, kernel_size: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(width, wider, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(wider), nn.ReLU()]


BODIES = {"plain": plain, "residual": residual}
