"""Games whose players are told a condition: it reaches networks, samples, previews, judges and the command."""

import json

import pytest
import torch
from helpers import config_of, fingerprint, made, trainer_of

import gan_lab
from gan_lab import launch, session
from gan_lab.cli import main
from gan_lab.errors import ConfigError
from gan_lab.metrics import classifier as classifiers
from gan_lab.networks.conditional import Discriminator

CGAN = ["model=cgan", "loss=hinge", "dataset.split=train"]
SHAPES = ["model=cgan", "dataset=shapes", "dataset.size=100", "dataset.image_size=16", "model.condition=attributes"]
SHAPES += ["model.num_conditions=21", "model.generator.num_conditions=21", "model.discriminator.num_conditions=21"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "run"
    launch.train(config_of(*CGAN, "trainer.steps=3", "trainer.evaluate_every=null", "trainer.samples=20"), folder)
    return folder


def test_both_networks_are_told():
    game = made(*CGAN, rounds=1).game.eval()
    latents = game.draw_latents(range(4))
    image = game.sample(latents)
    for label in (2, 7):
        told = torch.nn.functional.one_hot(torch.full((4,), label), 10).float()
        assert not torch.equal(game.sample(game.asked(latents, told)), image) or label == int(latents[0, -10:].argmax())
        scores = game.discriminator(image, told)
        assert not torch.equal(scores, game.discriminator(image, told.roll(1, dims=1)))


def test_a_blind_critic_scores_whatever_it_is_told_alike():
    critic = Discriminator(1, 16, num_conditions=10, width=8, norm="none", blind=True)
    image, told = torch.randn(4, 1, 16, 16), torch.eye(10)[:4]
    assert torch.equal(critic(image, told), critic(image, told.roll(1, dims=1)))


def test_a_seed_has_a_latent_and_a_condition_of_the_data():
    trainer = made(*CGAN, rounds=2)
    game, latents = trainer.game, trainer.game.draw_latents(range(200))
    conditions = latents[:, game.latent_dim :]
    assert (conditions.sum(dim=1) == 1).all() and conditions.shape == (200, 10)
    played = {int(label) for number in range(2) for label in trainer.loader.batch(number)[0]["label"]}
    assert {*conditions.argmax(dim=1).tolist()} <= played and len(played) > 2
    assert torch.equal(latents[5], game.draw_latents([5])[0])


def test_attributes_are_drawn_as_they_go_together_in_the_data():
    trainer = trainer_of(config_of(*SHAPES))
    trainer.round()
    seen = {tuple(row) for row in trainer.loader.batch(0)[0]["attributes"].tolist()}
    drawn = trainer.game.draw_latents(range(50))[:, trainer.game.latent_dim :]
    assert {tuple(row) for row in drawn.tolist()} <= seen


def test_what_is_remembered_of_the_data_resumes():
    trainer, again = made(*CGAN, rounds=3), made(*CGAN)
    again.load_state_dict(session.clone(trainer.state_dict()))
    assert torch.equal(trainer.game.known, again.game.known) and trainer.game.known.any()
    trainer.round(), again.round()
    assert fingerprint(trainer.state_dict()) == fingerprint(again.state_dict())


def test_a_preview_has_a_row_for_each_latent_and_a_column_for_each_condition():
    trainer = trainer_of(config_of(*CGAN))
    trainer.round()
    batch = {"image": torch.zeros(30, 1, 16, 16), "label": torch.arange(30) % 10}
    game = trainer.game.eval()
    table = game.preview(batch, game.draw_latents(range(20)), 0)["fixed"]
    assert table.shape == (2, 10, 1, 16, 16)
    column = game.sample(game.asked(game.draw_latents(range(2)), torch.eye(10)[3]))
    assert torch.equal(table[:, 3], column)


def test_samples_are_asked_for_by_name(run, tmp_path, capsys):
    assert main(["sample", str(run), "label=3", "n=4", f"out={tmp_path / 'three.png'}"]) == 0
    loaded = gan_lab.load(run)
    assert torch.equal(loaded.latents([1], loaded.condition("label", ["3"]))[0, -10:], torch.eye(10)[3])
    for words, sentence in (
        (["label=12"], "there is no label '12'; did you mean"),
        (["attributes=[red]"], "attributes=... asks for a condition, and this run has label"),
    ):
        assert main(["sample", str(run), *words]) == 2
        assert sentence in capsys.readouterr().err


def test_a_run_without_conditions_takes_none(tmp_path, capsys):
    launch.train(config_of("trainer.steps=1", "trainer.evaluate_every=null"), tmp_path / "run")
    assert main(["sample", str(tmp_path / "run"), "label=3"]) == 2
    assert "this run has none: leave it out" in capsys.readouterr().err


def test_evaluate_says_how_many_samples_are_what_they_were_told_to_be(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(classifiers, "IMAGES", 1500)
    assert main(["evaluate", str(run), "n=40"]) == 0
    figures = json.loads((run / "summary.json").read_text())["evaluation"]
    obeyed, varied = figures["label_accuracy/classifier"], figures["class_diversity/classifier"]
    assert 0 <= obeyed["value"] <= 1 and obeyed["protocol"]["samples"] == 40
    assert 0 < varied["value"] < 1, "an untrained generator draws each class much alike"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["dataset=shapes", "dataset.size=40", "dataset.image_size=16", "model.condition=colour"],
            "condition=colour is not",
        ),
        (["model.num_conditions=0"], "num_conditions=0: this model needs a label with each sample."),
    ],
)
def test_a_condition_that_is_not_there_is_told_before_training(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        trainer_of(config_of("model=cgan", *words))


def test_labels_that_are_all_equal_are_pointed_out(monkeypatch):
    from gan_lab.datasets import Digits

    first = Digits.__init__

    def same(self, *words, **more):
        first(self, *words, **more)
        self.labels = torch.zeros_like(self.labels)

    monkeypatch.setattr(Digits, "__init__", same)
    with pytest.raises(ConfigError, match="all 1,797 are of the class 0. Set model=dcgan"):
        trainer_of(config_of("model=cgan"))
