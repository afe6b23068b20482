"""A run that starts from another's weights takes what fits, says what did not, and trains on from there."""

import pytest
import torch
from helpers import config_of, made, play, trainer_of

from gan_lab import cli
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.models.layers import first, layers
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


# --- First layers that stay ------------------------------------------------------------------------------------------


def places(network):
    """The name of each layer's first weight, without the weight's own."""
    return [next(iter(layer)).rpartition(".")[0] for layer in layers(network)]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("dcgan", ["trunk.0", "trunk.2", "head"]),
        ("resnet", ["trunk.0.conv1", "trunk.1.conv1", "trunk.2.conv1", "head"]),
        (
            "stylegan2",
            ["trunk.from_image.0", *(f"trunk.blocks.{i}.convs.0" for i in (0, 1)), "head.0", "head.2", "head.3"],
        ),
    ],
)
def test_layers_are_counted_as_a_picture_meets_them(model, expected):
    assert places(made(f"model={model}").game.discriminator) == expected


def test_blocks_of_r3gan_are_layers_and_norms_belong_to_the_layer_before():
    assert len(layers(made("model=r3gan").game.discriminator)) == 11
    names = first(made("model=dcgan").game.discriminator, 2)
    assert [*names] == ["trunk.0.weight", "trunk.0.bias", "trunk.2.weight", "trunk.3.weight", "trunk.3.bias"]


CLIPPED = ["loss=wasserstein", "optimizer=rmsprop", "model.generator.norm=none"]
FROZEN = ["trainer.init_from=RUN", "trainer.freeze.discriminator=2"]


@pytest.mark.parametrize("loss", [["loss=hinge"], CLIPPED, ["loss=logistic_r1", "optimizer.weight_decay=0.1"]])
def test_frozen_layers_stay_and_all_others_move(loss):
    trainer = made("model=dcgan", "model.discriminator.norm=layer", *FROZEN, *loss, "trainer.clip=1.0")
    before = {name: weight.clone() for name, weight in trainer.game.discriminator.named_parameters()}
    play(trainer, 3)
    still = {n for n, weight in trainer.game.discriminator.named_parameters() if torch.equal(weight, before[n])}
    assert still - {"head.bias"} == {*first(trainer.game.discriminator, 2)}  # the bias may owe as much to either side
    assert [p.requires_grad for p in first(trainer.game.discriminator, 2).values()] == [False] * 5


def test_a_run_with_frozen_layers_resumes(tmp_path):
    words = ["model=dcgan", *FROZEN]
    trainer = made(*words, rounds=2)
    checkpoint.save(tmp_path, trainer.state_dict())
    again = trainer_of(config_of(*words))
    again.load_state_dict(checkpoint.load_newest(tmp_path))
    assert same(play(again, 2).game, play(trainer, 2).game)


def test_layers_that_stay_are_those_of_the_other_run(run):
    folder, old = run
    new = made("model=gan", f"trainer.init_from={folder}", "trainer.freeze.discriminator=1", "seed=5")
    said = start_from(new, folder, {"discriminator": 1})
    assert said.endswith("The first 1 layer of the discriminator will stay as in that run.")
    play(new, 2)
    assert torch.equal(new.game.discriminator.trunk[1].weight, old.game.discriminator.trunk[1].weight)
    assert not torch.equal(new.game.discriminator.head.weight, old.game.discriminator.head.weight)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trainer.init_from=RUN", "trainer.freeze.discriminator=3"], "none of the 3 layers.*freeze.discriminator=2"),
        (["trainer.freeze.discriminator=1"], "init_from names none. Set trainer.init_from=RUN"),
        (["trainer.init_from=RUN", "trainer.freeze.diskriminator=1"], r"Set trainer.freeze=\{discriminator:1\}"),
        (["trainer.init_from=RUN", "trainer.freeze.discriminator=-1"], "must not be negative"),
    ],
)
def test_what_cannot_be_frozen_is_a_sentence(words, says):
    with pytest.raises(ConfigError, match=says):
        trainer_of(config_of("model=dcgan", *words))


def test_a_layer_that_the_other_run_has_not_cannot_stay(run):
    folder, _ = run
    new = made("model=gan", "model.discriminator.width=4", "trainer.init_from=RUN", "trainer.freeze.discriminator=1")
    with pytest.raises(ConfigError, match="trunk.1.weight does not fit.*Set trainer.freeze.discriminator=0"):
        start_from(new, folder, {"discriminator": 1})


def test_fine_tuning_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny = ["model=dcgan", "dataset=digits", "trainer.steps=2", "trainer.batch_size=8", "trainer.device=cpu"]
    tiny += ["model.generator.width=8", "model.discriminator.width=8", "trainer.threads=1"]
    assert cli.main(["train", *tiny, "run.name=one"]) == 0
    (old,) = (tmp_path / "outputs" / "one").iterdir()
    assert cli.main(["train", *tiny, "run.name=two", f"trainer.init_from={old}", "trainer.freeze.discriminator=2"]) == 0
    assert "The first 2 layers of the discriminator will stay as in that run." in capsys.readouterr().out
    (new,) = (tmp_path / "outputs" / "two").iterdir()
    assert cli.main(["resume", str(new), "trainer.steps=4"]) == 0
    one, two = (checkpoint.load_newest(place / "checkpoints")["game"] for place in (old, new))
    equal = [name for name in one if name.startswith("discriminator") and torch.equal(one[name], two[name])]
    assert {"discriminator.trunk.0.weight", "discriminator.trunk.2.weight"} <= {*equal}
    assert "discriminator.head.weight" not in equal
