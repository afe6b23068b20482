"""A run that starts from another's weights takes what fits, says what did not, and trains on from there."""

import pytest
import torch
from helpers import made

from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.storage import checkpoint
from gan_lab.storage.files import CONFIG
from gan_lab.training.transfer import start_from


@pytest.fixture
def run(tmp_path):
    """A run directory with the checkpoint of a few rounds, and the trainer that made it."""
    trainer = made("model=gan", rounds=3)
    (tmp_path / CONFIG).write_text("{}")
    checkpoint.save(tmp_path / "checkpoints", trainer.state_dict())
    return tmp_path, trainer


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_same_networks_are_taken_whole_and_nothing_else_is(run):
    folder, old = run
    new = made("model=gan", "seed=5")
    said = start_from(new, folder)
    assert "step 3" in said and "generator whole" in said and "discriminator whole" in said
    assert same(new.game.generator, old.game.generator)
    assert same(new.game.discriminator, old.game.discriminator)
    assert same(new.ema.networks, old.ema.networks)
    assert not same(new.ema.networks["generator"], new.game.generator), "the average is the other run's average"
    assert new.step == 0 and not new.seats[0].optimizer.state


def test_what_does_not_fit_is_left_and_named(run):
    folder, old = run
    new = made("model=gan", "model.latent_dim=7", "seed=5")
    before = new.game.generator.layers[0].weight.clone()
    said = start_from(new, folder)
    assert "layers.0.weight, 8x100 there and 8x7 here" in said
    assert torch.equal(new.game.generator.layers[0].weight, before)
    assert same(new.game.discriminator, old.game.discriminator)


def test_another_model_is_a_sentence(run):
    folder, _ = run
    with pytest.raises(ConfigError, match="none of its weights fits"):
        start_from(made("model=dcgan"), folder)


def test_no_run_is_a_sentence(tmp_path):
    with pytest.raises(CheckpointError):
        start_from(made("model=gan"), tmp_path / "nowhere")
