"""Who tells the two domains of a translation apart, and what its translations are taken for."""

import torch
from torch import Tensor

from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen
from gan_lab.metrics.classifier import Classifier, Labelled, classifier
from gan_lab.metrics.features import bytes_of

MOST = 500  # pictures of each domain that a reader of domains learns from, and a fifth of them to examine it with
SOURCE, IMAGE = 0, 1  # the domains as classes
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


def domain_reader(dataset: Dataset, seed: int = 0, architecture: str = "plain") -> Classifier:
    """A classifier of sources and images of a set, trained once; both in as many channels as images have.

    So coloured sources of grey images are seen as their luma: what is told apart is not the number of channels.
    """
    rows = dataset.plain(chosen(len(dataset), MOST + MOST // 5))
    image = rows["image"].permute(0, 3, 1, 2)
    pictures = torch.stack([as_images(rows["source"].permute(0, 3, 1, 2), image.shape[1]), image])  # [2, N, C, H, W]
    domains = torch.tensor([SOURCE, IMAGE])[:, None].expand(2, pictures.shape[1])
    fifth = pictures.shape[1] // 6
    parts = (slice(fifth, None), slice(fifth))
    learnt, examined = ((pictures[:, part].flatten(0, 1), domains[:, part].flatten()) for part in parts)
    return classifier(Labelled(*learnt, *examined, num_classes=2), seed, architecture)


def as_images(pictures: Tensor, channels: int) -> Tensor:
    """Bytes [N, C, H, W] in as many channels as images have: the luma of colours, grey repeated, else as they are."""
    if channels == 1 and pictures.shape[1] == 3:
        return (pictures.float() * torch.tensor(GREY)[:, None, None]).sum(dim=1, keepdim=True).round().byte()
    return pictures.expand(-1, channels, -1, -1) if pictures.shape[1] == 1 else pictures


@torch.no_grad()
def share_of(reader: Classifier, pictures: Tensor, classes: Tensor | int, device: torch.device | str = "cpu") -> float:
    """The share of pictures [N, C, H, W] in [-1, 1] that a reader takes for these classes, [N] or one for all."""
    read = torch.cat([reader(bytes_of(part).to(device))[1].argmax(dim=1).cpu() for part in pictures.split(100)])
    return float((read == classes).double().mean())
