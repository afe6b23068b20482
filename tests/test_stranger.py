"""A package and a folder of YAML that know gan-lab, and that gan-lab knows nothing of: a network, a loss and a game."""

import json

import pytest
from helpers import SMALL_GENERATOR

from gan_lab import cli

PACKAGE = f"""
import torch
from torch import nn
from gan_lab.losses import Objective
from gan_lab.models import GAN


{SMALL_GENERATOR}

class Absolute(Objective):
    def critic_loss(self, real, fake, noise):
        return (real - 1).abs().mean() + fake.abs().mean()

    def generator_loss(self, fake, real):
        return (fake - 1).abs().mean()


class Mirrored(GAN):
    def generator_loss(self, batch, step):
        terms = super().generator_loss(batch, step)
        terms.logs["mirrored"] = torch.ones(())
        return terms
"""
MODEL = """
# A stranger's model
_target_: {package}.Mirrored
latent_dim: 8
generator:
  _target_: {package}.Generator
  latent_dim: ${{..latent_dim}}
  channels: ${{dataset.channels}}
  image_size: ${{dataset.image_size}}
discriminator:
  _target_: gan_lab.networks.mlp.Discriminator
  channels: ${{dataset.channels}}
  image_size: ${{dataset.image_size}}
  width: 8
"""
LOSS = """
# A stranger's loss
_target_: {package}.Absolute
critic_turns: 2
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A folder with a package of its own name, and YAML beside it."""
    package = f"stranger_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{package}.py").write_text(PACKAGE)
    for group, name, text in (("model", "mine", MODEL), ("loss", "mine", LOSS)):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text.format(package=package))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


WORDS = [
    "--config-dir",
    "conf",
    "model=mine",
    "loss=mine",
    "trainer.steps=3",
    "trainer.batch_size=8",
    "trainer.samples=4",
]


def test_a_strangers_network_loss_and_game_train_sample_and_resume(stranger, tmp_path):
    assert cli.main(["train", *WORDS, f"trust=[{stranger}]", "hydra.run.dir=run", "trainer.threads=1"]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["step"] == 3
    assert summary["metrics"]["generator/mirrored"] == 1
    assert cli.main(["sample", "run", "n=4", f"trust=[{stranger}]"]) == 0
    assert cli.main(["resume", "run", "trainer.steps=5", f"trust=[{stranger}]"]) == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["step"] == 5


def test_a_package_that_nobody_trusts_is_not_built(stranger, capsys):
    assert cli.main(["train", *WORDS, "hydra.run.dir=run"]) == 2
    assert f"trust=[{stranger}]" in capsys.readouterr().err


def test_a_stored_run_does_not_trust_itself(stranger, capsys):
    assert cli.main(["train", *WORDS, f"trust=[{stranger}]", "hydra.run.dir=run", "trainer.threads=1"]) == 0
    for words in (["sample", "run", "n=4"], ["resume", "run", "trainer.steps=5"]):
        assert cli.main(words) == 2
        assert "trust=" in capsys.readouterr().err
