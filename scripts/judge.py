"""Judge runs by what their samples are, with a classifier that has seen only the real data.

    python scripts/judge.py RUN...          judge runs that are there
    python scripts/judge.py --all           train the README's presets, seeds 100 to 102, and judge them

Labelled images: a small convolutional classifier is trained on the real training set (its accuracy on held-out real
images is printed), then asked about 10,000 samples of averaged weights: the share of each class, the mean top
probability, and exp(mean KL(p(y|x) || p(y))), which is the Inception score's formula in this classifier's
probabilities. Stacked digits: the classifier of single digits reads the three colours of 26,000 samples; how many of
the 1,000 numbers they spell, KL(samples || real) over them, and the share of colours that lie near a real digit,
since a classifier reads digits into noise too. Unlabelled or coloured images: the mean pairwise distance of pixels
against the real images'. Points: the exact figures of the dataset.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import gan_lab
from gan_lab.datasets import Dataset
from gan_lab.datasets.stacked import Stacked

PRESETS = ("dcgan_digits", "ring8", "grid25", "gaussian1d")


class Judge(nn.Module):
    """A classifier of small images, [N, C, H, W] in [-1, 1] to logits [N, classes]."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, 32, 4, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
            *(nn.Conv2d(64, 128, 3, stride=2, padding=1), nn.BatchNorm2d(128), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(512, classes)),
        )

    def forward(self, x):
        return self.layers(x)


def trained_judge(dataset: Dataset, seconds: float = 120.0):
    """A judge trained on four fifths of the real images, and its accuracy on the rest."""
    torch.manual_seed(12345)
    rows = dataset.tensors()
    images, labels = dataset.prepare(rows, torch.zeros(len(dataset), dtype=torch.int64))["image"], rows["label"]
    order = torch.randperm(len(images))
    held, seen = order[: len(order) // 5], order[len(order) // 5 :]
    judge = Judge(dataset.channels, dataset.num_classes)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.05)
    ends, steps = time.monotonic() + seconds, 3000
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        batch = seen[torch.randint(len(seen), (128,))]
        shift = torch.randint(-1, 2, (2,)).tolist()
        loss = F.cross_entropy(judge(images[batch].roll(shift, dims=(2, 3))), labels[batch], label_smoothing=0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if time.monotonic() > ends:
            break
    judge.eval()
    with torch.no_grad():
        guess = torch.cat([judge(part).argmax(dim=1) for part in images[held].split(1000)])
    return judge, (guess == labels[held]).double().mean().item(), images


@torch.no_grad()
def classified(judge, images):
    return torch.cat([judge(part).softmax(dim=1) for part in images.split(1000)]).double()


def score(probabilities):
    mean = probabilities.mean(dim=0, keepdim=True)
    return (
        (probabilities * (probabilities.clamp(min=1e-12).log() - mean.clamp(min=1e-12).log()))
        .sum(dim=1)
        .mean()
        .exp()
        .item()
    )


def spread(images, pairs: int = 20_000):
    """The mean distance of two images, in pixels of [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randint(len(images), (2, pairs), generator=generator)
    keep = a != b
    return (images[a[keep]] - images[b[keep]]).flatten(1).norm(dim=1).mean().item()


def judge_stacked(run, dataset: Stacked, n: int = 26_000) -> dict[str, float]:
    """Modes by the protocol of Metz et al. 2017 (arXiv 1611.02163), section 3.3.1."""
    judge, accuracy, _ = trained_judge(dataset.digits, 40.0)
    samples = run.generate(run.latents(range(20_000_000, 20_000_000 + n)), batch_size=1000)
    digits = [classified(judge, samples[:, i : i + 1]).argmax(dim=1) for i in range(3)]
    counts = torch.bincount(digits[0] * 100 + digits[1] * 10 + digits[2], minlength=1000).double()
    real = torch.bincount(dataset.labels, minlength=1000).double()
    p, q = counts / counts.sum(), real.clamp(min=0.5) / real.sum()
    kl = (p * (p.clamp(min=1e-12) / q).log()).sum().item()

    # See how many colours of samples lie as near to a real digit as real digits lie to each other
    digit = dataset.digits.prepare(dataset.digits.tensors(), torch.zeros(len(dataset.digits), dtype=torch.int64))
    real, planes = digit["image"].flatten(1), samples[:2000].flatten(0, 1).flatten(1)
    usual = torch.cdist(real, real).fill_diagonal_(torch.inf).amin(dim=1).quantile(0.99)
    near = (torch.cdist(planes, real).amin(dim=1) <= usual).double().mean().item()
    return {"judge_accuracy": accuracy, "modes": (counts > 0).sum().item(), "kl": kl, "near_real": near}


def judge_run(folder: Path, n: int = 10_000) -> dict[str, float]:
    run = gan_lab.load(folder)
    dataset = run.dataset
    if isinstance(dataset, Stacked):
        return judge_stacked(run, dataset)
    samples = run.generate(run.latents(range(20_000_000, 20_000_000 + n)))
    if dataset.image_size is None:
        return dataset.exact(samples)
    figures = {}
    index = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(1))[: min(n, len(dataset))]
    real = dataset.prepare(dataset.rows(index), torch.zeros(len(index), dtype=torch.int64))["image"]
    if dataset.num_classes and dataset.channels == 1:
        judge, accuracy, _ = trained_judge(dataset)
        fake_p, real_p = classified(judge, samples), classified(judge, real)
        shares = torch.bincount(fake_p.argmax(dim=1), minlength=dataset.num_classes) / n
        figures |= {
            "judge_accuracy": accuracy,
            "score": score(fake_p),
            "score_of_real": score(real_p),
            "least_class_share": shares.min().item(),
            "classes_found": (shares > 0).sum().item(),
            "mean_top_probability": fake_p.max(dim=1).values.mean().item(),
        }
    return figures | {"diversity_of_real": spread(samples) / spread(real)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--all", action="store_true", help="train the README's presets with seeds 100, 101, 102 first")
    options = parser.parse_args()
    runs = options.runs
    if options.all:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for preset in PRESETS:
            for seed in (100, 101, 102):
                runs.append(Path("outputs/proofs") / stamp / f"{preset}-{seed}")
                words = [f"experiment={preset}", f"seed={seed}", f"hydra.run.dir={runs[-1]}"]
                subprocess.run([sys.executable, "-m", "gan_lab", "train", *words], check=True)
    for run in runs:
        figures = "  ".join(f"{name} {value:.4g}" for name, value in judge_run(run).items())
        print(f"{run}: {figures}", flush=True)


if __name__ == "__main__":
    main()
