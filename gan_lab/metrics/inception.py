"""The network that FID is defined by: torch-fidelity's Inception, its weights, and its own way of resizing."""

import hashlib
import io
import pickle
from pathlib import Path

import torch
from torch import Tensor

from gan_lab.errors import ConfigError, DataError
from gan_lab.metrics.extractors import Extractor
from gan_lab.metrics.store import place

FILE = "weights-inception-2015-12-05-6726825d.pth"
ADDRESS = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class Inception(Extractor):
    """The 2048 features of the last pooling and the 1008 probabilities without bias, as torch-fidelity takes them.

    `weights` is the published file (`ADDRESS`); it is checked against `sha256` and opened without running any code
    from it. Raises ConfigError without the package, DataError for another or a damaged file.
    """

    title, about, resize = (
        "inception",
        "Inception of 2015-12-05 (torch-fidelity)",
        "bilinear as TensorFlow 1, 299 x 299",
    )
    splits = 10  # of an Inception score: Salimans et al. 2016 (arXiv 1606.03498), its code

    def __init__(self, weights: Path, sha256: str = SHA256):
        super().__init__()
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise ConfigError(
                "extractor=inception needs the package torch-fidelity: pip install torch-fidelity, or the extra [fid]."
            ) from error
        # It reads a file without safeguards, so it is given one that holds nothing but the tensors
        tensors = io.BytesIO()
        torch.save(opened(weights, sha256), tensors)
        tensors.seek(0)
        wanted = ["2048", "logits_unbiased"]
        try:
            self.network = FeatureExtractorInceptionV3("inception", wanted, feature_extractor_weights_path=tensors)
        except RuntimeError as error:
            raise DataError(f"{weights} holds the weights of another network.") from error
        self.identity = f"inception {sha256}"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        features, logits = self.network(colour)
        return features, logits.softmax(dim=1)


def opened(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a weights file whose checksum is right; DataError otherwise."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise DataError(f"{path} is not the published file: its sha256 is {found}, expected {sha256}.")
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(missing(path)) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(f"{path} holds more, or less, than tensors; it is not opened.") from error


def cached_weights() -> Path:
    """Where the file lies after a download."""
    return place() / FILE


def missing(path: Path) -> str:
    """One message with the address and the path."""
    return f"Inception's weights are missing: fetch {ADDRESS} to {path}, or name your copy with inception=PATH."
