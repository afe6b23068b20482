"""A game, a network, a loss, a penalty, a view, a dataset, a look and a judge are added by files; none is edited."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import SMALL_GENERATOR

import gan_lab
import gan_lab.models
from gan_lab.models import Game

ROOT = Path(gan_lab.__file__).parents[1]
FILES = {
    "gan_lab/models/added.py": '''
from gan_lab.models.gan import GAN
from gan_lab.rows import Rows


class Added(GAN):
    """A GAN whose samples can be made paler."""

    def sample(self, rows: Rows, *, pale: float = 1.0) -> Rows:
        """Images.

        `pale`: what their contrast is multiplied by.
        """
        return Rows(image=pale * self.generator(rows["latent"]))
''',
    "gan_lab/networks/added.py": f"from torch import nn\n\n\n{SMALL_GENERATOR}",
    "gan_lab/losses/added.py": '''
from gan_lab.losses.base import Objective, Penalty, View


class Added(Objective):
    """Squares."""

    def critic_loss(self, real, fake, noise):
        return (real - 1).square().mean() + fake.square().mean()

    def generator_loss(self, fake, real):
        return (fake - 1).square().mean()


class Small(Penalty):
    """The mean square of the critic's scores of real samples."""

    def forward(self, critic, real, fake, noise):
        return critic(real).square().mean()


class Darker(View):
    """Images at three quarters of their contrast."""

    def forward(self, real, fake, noise, step):
        return real.changed(image=0.75 * real["image"]), fake.changed(image=0.75 * fake["image"])

    def complaints(self, parts, name):
        yield from super().complaints(parts, name)
        if parts.settings.batch_size == 13:
            yield f"The view {name} fears 13. Set trainer.batch_size=12."
''',
    "gan_lab/datasets/added.py": '''
import torch

from gan_lab.datasets.base import Stored


class Stripes(Stored):
    """Forty pictures of eight pixels a side, of two classes: stripes that lie, and stripes that stand."""

    def __init__(self, channels: int = 1, image_size: int = 8, num_classes: int = 2):
        lying = (torch.arange(8) % 2 * 255).byte().view(1, 8, 1, 1).expand(20, 8, 8, 1)
        pixels = torch.cat([lying, lying.transpose(1, 2)])
        super().__init__(pixels.contiguous(), image_size, torch.arange(40) // 20, ["lying", "standing"])
''',
    "gan_lab/analysis/added.py": '''
"""How bright samples are."""

from gan_lab.analysis.base import Finding, fresh
from gan_lab.runs.run import Run


def added(run: Run, *, n: int = 4) -> Finding:
    """The mean of samples."""
    return Finding({"brightness": float(fresh(run, n, seed=0)[1].mean())})
''',
    "gan_lab/runs/judges/added.py": '''
from gan_lab.metrics import Pixels


def extractor(config, dataset, **options):
    """Pixels under another name."""
    made = Pixels()
    made.title = "added"
    return made
''',
    "conf/model/added.yaml": """# An added model
_target_: gan_lab.models.Added
latent_dim: 8
generator:
  _target_: gan_lab.networks.added.Generator
  latent_dim: ${..latent_dim}
  channels: ${dataset.channels}
  image_size: ${dataset.image_size}
discriminator:
  _target_: gan_lab.networks.mlp.Discriminator
  channels: ${dataset.channels}
  image_size: ${dataset.image_size}
  width: 16
""",
    "conf/loss/added.yaml": """# An added loss
_target_: gan_lab.losses.added.Added
critic_turns: 1
penalties: {}
views: {}
""",
    "conf/loss/penalty/added.yaml": """# @package loss.penalties.added
# An added penalty
_target_: gan_lab.losses.added.Small
weight: 0.1
""",
    "conf/loss/view/added.yaml": """# @package loss.views.added
# An added view
_target_: gan_lab.losses.added.Darker
""",
    "conf/dataset/added.yaml": """# An added dataset
_target_: gan_lab.datasets.added.Stripes
channels: 1
image_size: 8
num_classes: 2
""",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project, with the files."""
    place = tmp_path_factory.mktemp("checkout")
    for folder in ("gan_lab", "conf", "tests"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__", "*.zip"))
    shutil.copy(ROOT / "pyproject.toml", place)
    for name, text in FILES.items():
        (place / name).write_text(text.lstrip("\n"), encoding="utf-8")
    return place


def called(checkout, *words):
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=checkout, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_one_of_each_is_added_by_files_alone(checkout):
    parts = ["model=added", "dataset=added", "loss=added", "loss/penalty=[added]", "loss/view=[added]"]
    tiny = ["trainer.steps=2", "trainer.batch_size=8", "trainer.device=cpu", "trainer.threads=1", "trainer.watch=false"]
    run = "hydra.run.dir=run"
    judged = ["trainer.evaluate_every=2", "trainer.evaluate_with=added", "trainer.evaluate_samples=16"]
    code, text = called(checkout, "gan_lab", "train", *parts, *tiny, *judged, run)
    assert code == 0 and "fid/added" in text, text
    code, text = called(checkout, "gan_lab", "sample", "run", "n=2", "pale=0.5", "out=pale.png")
    assert code == 0 and (checkout / "pale.png").is_file(), text
    code, text = called(checkout, "gan_lab", "analyze", "run", "what=added", "n=2")
    assert code == 0 and "brightness" in text, text
    code, text = called(checkout, "gan_lab", "evaluate", "run", "n=20", "extractor=added")
    assert code == 0 and "fid/added" in text, text
    code, text = called(checkout, "gan_lab", "validate", *parts, "trainer.batch_size=13")
    assert code == 2 and "fears 13. Set trainer.batch_size=12." in text, text


@pytest.mark.slow
def test_what_was_added_plays_the_matrix(checkout):
    cells = "added and (plays_every_loss or every_model_takes_every_penalty)"
    code, text = called(checkout, "pytest", "-q", "-p", "no:cacheprovider", "tests/test_matrix.py", "-k", cells)
    assert code == 0, text[-3000:]


def test_every_game_of_the_folder_is_found_by_its_name():
    found = set()
    for file in Path(gan_lab.models.__file__).parent.glob("*.py"):
        names = [
            line.split("(")[0].removeprefix("class ") for line in file.read_text().splitlines() if line[:6] == "class "
        ]
        found |= {getattr(gan_lab.models, name.rstrip(":")) for name in names}
    assert sum(isinstance(each, type) and issubclass(each, Game) for each in found) > 12
    with pytest.raises(AttributeError, match="no attribute 'StyleGAN99'"):
        _ = gan_lab.models.StyleGAN99
