"""What a network that names photographs sees in a picture: VGG-16's features. Simonyan and Zisserman 2015."""

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # configuration D, table 1
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, colours in [0, 1]


class Features(nn.Module):
    """Pictures [N, 1 or 3, H, W] in [-1, 1] to VGG-16's features [N, C, h, w] behind the rectifier `layer`.

    `layer`: relu1_1 to relu5_3; relu2_2 has 128 channels at half the size. `weights`: a file of torchvision's vgg16
    (`torch.save(torchvision.models.vgg16(weights="DEFAULT").state_dict(), path)`), of which only the convolutions are
    read. Raises ValueError where it cannot be read, or is no such file. Simonyan and Zisserman 2015 (arXiv 1409.1556).
    """

    def __init__(self, weights: str, layer: str = "relu2_2"):
        super().__init__()
        names = [f"relu{stage}_{i}" for stage, widths in enumerate(STAGES, 1) for i in range(1, len(widths) + 1)]
        if layer not in names:
            raise ValueError(f"layer={layer} is not known; choose one of {', '.join(names)}.")
        layers, before = [], 3
        for widths in STAGES:
            for after in widths:
                layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
                before = after
            layers += [nn.MaxPool2d(2)]
        ends = [i for i, each in enumerate(layers) if isinstance(each, nn.ReLU)]
        self.features = nn.Sequential(*layers[: ends[names.index(layer)] + 1])
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.fill(Path(weights).expanduser())
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        colours = (image.expand(-1, 3, -1, -1) + 1) / 2
        return self.features((colours - self.mean) / self.std)

    def fill(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            mine = {name: state[f"features.{name}"] for name in self.features.state_dict()}
            self.features.load_state_dict(mine)
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise ValueError(f"weights={path} cannot be read: {str(error).splitlines()[0]}.") from error
        except (KeyError, TypeError) as error:
            raise ValueError(f"weights={path} holds no weights of torchvision's vgg16.") from error
