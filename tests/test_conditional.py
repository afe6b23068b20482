"""Games whose players are given a condition: it reaches networks, samples, previews, judges and the command."""

import json
import math
import re

import pytest
import torch
from helpers import config_of, fingerprint, made, trainer_of
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import gan_lab
from gan_lab.cli import main
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.metrics import classifier as classifiers
from gan_lab.networks import acgan
from gan_lab.networks.conditional import ConditionalBatchNorm, Discriminator, Generator, Projection
from gan_lab.rows import Rows
from gan_lab.training import assembly

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
    rows = game.draw(range(4))
    image = game.sample(rows)["image"]
    for label in (2, 7):
        labels = torch.full((4,), label)
        assert not torch.equal(game.sample(rows.changed(label=labels))["image"], image)
        condition = game.condition(Rows(label=labels))
        scores = game.discriminator(image, condition)
        assert not torch.equal(scores, game.discriminator(image, condition.roll(1, dims=1)))


def test_a_blind_critic_scores_whatever_it_is_told_alike():
    critic = Discriminator(1, 16, num_conditions=10, width=8, norm="none", blind=True)
    image, told = torch.randn(4, 1, 16, 16), torch.eye(10)[:4]
    assert torch.equal(critic(image, told), critic(image, told.roll(1, dims=1)))


def test_a_seed_has_a_latent_and_a_condition_of_the_data():
    game = made(*CGAN).game
    rows = game.draw(range(200))
    assert rows["latent"].shape == (200, game.latent_dim) and {*rows["label"].tolist()} == {*range(10)}
    assert torch.equal(rows["latent"][5], game.draw([5])["latent"][0]) and rows["label"][5] == game.draw([5])["label"]


def test_attributes_are_drawn_as_they_go_together_in_the_data():
    trainer = trainer_of(config_of(*SHAPES))
    there = {tuple(row) for row in trainer.loader.dataset.extras["attributes"].tolist()}
    drawn = {tuple(row) for row in trainer.game.draw(range(50))["attributes"].tolist()}
    assert drawn <= there and len(drawn) > 20


def test_what_is_remembered_of_the_data_resumes():
    trainer, again = made(*CGAN, rounds=3), made(*CGAN)
    again.load_state_dict(assembly.clone(trainer.state_dict()))
    assert torch.equal(trainer.game.known, again.game.known) and trainer.game.known.any()
    trainer.round(), again.round()
    assert fingerprint(trainer.state_dict()) == fingerprint(again.state_dict())


def test_a_preview_has_a_row_for_each_latent_and_a_column_for_each_condition():
    trainer = trainer_of(config_of(*CGAN))
    trainer.round()
    batch = {"image": torch.zeros(30, 1, 16, 16), "label": torch.arange(30) % 10}
    game = trainer.game.eval()
    table = game.preview(batch, game.draw(range(20)), 0)["fixed"]
    assert table.shape == (2, 10, 1, 16, 16)
    column = game.sample(game.draw(range(2)).changed(label=torch.tensor([3, 3])))["image"]
    assert torch.equal(table[:, 3], column)


def test_samples_are_asked_for_by_name(run, tmp_path, capsys):
    assert main(["sample", str(run), "label=3", "n=4", f"out={tmp_path / 'three.png'}"]) == 0
    loaded = gan_lab.load(run)
    assert loaded.rows([1, 2], label="3")["label"].tolist() == [3, 3]
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


def test_a_walk_moves_the_latent_and_leaves_the_condition(run):
    loaded = gan_lab.load(run)
    start, end = loaded.rows([1]), loaded.rows([2])
    for way in ("linear", "spherical"):
        walk = loaded.walk(start, end, 5, way)
        assert torch.equal(walk["latent"][0], start["latent"][0])
        torch.testing.assert_close(walk["latent"][-1], end["latent"][0])
        assert (walk["label"] == start["label"]).all()


def test_evaluate_says_how_many_attributes_are_as_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(classifiers, "IMAGES", 1500)
    launch.train(config_of(*SHAPES, "trainer.steps=2", "trainer.evaluate_every=null"), tmp_path / "run")
    assert main(["evaluate", str(tmp_path / "run"), "n=40", "extractor=pixels"]) == 0
    obeyed = json.loads((tmp_path / "run" / "summary.json").read_text())["evaluation"]["attribute_accuracy/attributes"]
    assert 0.3 < obeyed["value"] < 1 and obeyed["protocol"]["samples"] == 40


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


@pytest.mark.parametrize("model", ["cgan", "projection", "biggan", "conditional_stylegan2"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dataset=shapes", "model.condition=attributes"], "and the dataset has 21 attributes."),
        (["dataset=digits", "model.num_conditions=3"], "=3, and the dataset has 10 classes."),
    ],
)
def test_conditions_that_are_not_those_of_the_data_are_a_sentence_with_a_remedy_that_works(
    model, words, sentence, capsys
):
    words = ["train", f"model={model}", *words, "trainer.steps=1", "trainer.device=cpu", "--dry-run"]
    words += ["model.latent_dim=12", "model.generator.width=4", "model.discriminator.width=4"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    remedy = re.search(r"Set (model.num_conditions=\d+)\.", said).group(1)
    assert main([*(word for word in words if "num_conditions" not in word), remedy]) == 0


def test_labels_that_are_all_equal_are_pointed_out(monkeypatch):
    from gan_lab.datasets import Digits

    first = Digits.__init__

    def same(self, *words, **more):
        first(self, *words, **more)
        self.labels = torch.zeros_like(self.labels)

    monkeypatch.setattr(Digits, "__init__", same)
    with pytest.raises(ConfigError, match="all 1,797 are of the class 0. Set model=dcgan"):
        trainer_of(config_of("model=cgan"))


# --- Networks that are told ------------------------------------------------------------------------------------------


def critic_of(told, **words):
    torch.manual_seed(0)
    return Discriminator(2, 16, num_conditions=3, conditioning=told, width=4, norm="none", **words)


def test_planes_are_further_channels_and_a_projection_is_none():
    channels = {told: critic_of(told).trunk[0].in_channels for told in ("planes", "projection", "both")}
    assert channels == {"planes": 2 + 3, "projection": 2, "both": 2 + 3}
    projected = {told: isinstance(critic_of(told).projection, Projection) for told in channels}
    assert projected == {"planes": False, "projection": True, "both": True}


@pytest.mark.parametrize("told", ["planes", "projection", "both"])
@pytest.mark.parametrize("embedding", [0, 5])
def test_each_way_of_telling_reaches_the_score_and_trains_all_weights(told, embedding):
    critic, image, condition = critic_of(told, embedding=embedding), torch.randn(3, 2, 16, 16), torch.eye(3)
    scores = critic(image, condition)
    assert scores.shape == (3,) and (scores != critic(image, condition.roll(1, dims=1))).all()
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in critic.parameters())


def test_planes_hold_the_condition_at_every_place():
    critic, image, condition = critic_of("planes"), torch.randn(3, 2, 16, 16), torch.rand(3, 3)
    seen = []
    critic.trunk.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    critic(image, condition)
    assert torch.equal(seen[0][:, :2], image)
    assert torch.equal(seen[0][:, 2:], condition[:, :, None, None].expand(-1, -1, 16, 16))


def test_a_projection_adds_an_inner_product_with_the_sum_of_the_last_maps_to_the_score():
    critic, image, condition = critic_of("projection"), torch.randn(3, 2, 16, 16), torch.eye(3)
    features, vectors = critic.trunk(image).sum(dim=(2, 3)), critic.projection.vectors.weight.T
    expected = critic.head(critic.trunk(image)).flatten() + (features * vectors).sum(dim=1)
    torch.testing.assert_close(critic(image, condition), expected)


@pytest.mark.parametrize("module", [Generator, acgan.Generator])
def test_an_embedding_stands_in_for_the_condition(module):
    plain, embedded = (module(6, 1, 16, num_conditions=3, embedding=n, width=4).eval() for n in (0, 5))
    assert (plain.project.in_features, embedded.project.in_features) == (6 + 3, 6 + 5)
    latent, condition = torch.randn(3, 6), torch.eye(3)
    assert not torch.equal(embedded(latent, condition), embedded(latent, condition.roll(1, dims=1)))
    nn.init.zeros_(embedded.embed.weight)
    assert torch.equal(embedded(latent, condition), embedded(latent, condition.roll(1, dims=1)))


def test_an_unknown_way_of_telling_is_a_sentence():
    with pytest.raises(ConfigError, match="conditioning=word is not known; choose one of planes, projection, both"):
        trainer_of(config_of(*CGAN, "model.discriminator.conditioning=word"))


def test_what_attributes_do_to_a_norm_and_to_a_score_adds_up():
    norm, projection = ConditionalBatchNorm(4, 3).eval(), Projection(3, 4)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x, features = torch.randn(1, 4, 5, 5), torch.randn(1, 4)
    one, other, none = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 1.0, 0]]), torch.zeros(1, 3)
    plain = norm(x, none)
    torch.testing.assert_close(norm(x, one + other) - plain, (norm(x, one) - plain) + (norm(x, other) - plain))
    torch.testing.assert_close(
        projection(features, one + other), projection(features, one) + projection(features, other)
    )
    assert projection(features, none) == 0 and not torch.equal(norm(x, one), plain)


@pytest.mark.parametrize("words", [[], SHAPES[1:]], ids=["label", "attributes"])
def test_residual_networks_are_told_by_their_norms_and_by_a_projection(words):
    trainer = made("model=projection", "loss=hinge", *words, rounds=2)
    game = trainer.game.eval()
    assert all(math.isfinite(value) for value in trainer.report().values())
    norms = [m for m in game.generator.modules() if isinstance(m, ConditionalBatchNorm)]
    assert len(norms) == 4 and all(norm.weight.any() and norm.bias.any() for norm in norms), "each of them has learned"
    rows = game.draw([1, 2])
    image, condition = game.make(rows), game.condition(rows)
    assert not torch.equal(image, game.generator(rows["latent"], 1 - condition))
    assert not torch.equal(game.discriminator(image, condition), game.discriminator(image, 1 - condition))


# --- ACGAN's own networks --------------------------------------------------------------------------------------------

sides = st.builds(lambda b, k: b << k, st.integers(4, 7), st.integers(0, 2))


@given(sides, sides, st.integers(1, 3), st.sampled_from(["batch", "layer", "virtual", "none"]), st.integers(0, 5))
def test_acgans_networks_at_any_size(height, width, channels, norm, hidden):
    size, told = [height, width], torch.eye(3)
    generator = acgan.Generator(6, channels, size, num_conditions=3, width=4, norm=norm, references=2)
    images = generator(torch.randn(3, 6), told)
    assert images.shape == (3, channels, height, width) and images.abs().max() <= 1
    norm = "none" if norm == "virtual" else norm
    critic = acgan.Discriminator(channels, size, outputs=[2, 3], hidden=hidden, width=2, norm=norm, spectral_norm=True)
    scores, said = critic(images)
    assert scores.shape == (3,) and said.shape == (3, 5)
    (scores.sum() + said.sum()).backward()
    assert all(p.grad is not None for network in (generator, critic) for p in network.parameters())


def test_acgans_layers_are_those_of_the_papers_table():
    generator = acgan.Generator(100, 3, 32, num_conditions=10)
    critic = acgan.Discriminator(3, 32, outputs=10)
    assert generator.project.in_features == 110, "latents and classes"
    assert generator.project.out_features == 384 * 4 * 4 and not isinstance(generator.start[1], nn.BatchNorm2d)
    shapes = [(m.in_channels, m.out_channels, *m.kernel_size, *m.stride) for m in convolutions(generator)]
    assert shapes == [(384, 192, 5, 5, 2, 2), (192, 96, 5, 5, 2, 2), (96, 3, 5, 5, 2, 2)]
    trunk = convolutions(critic.trunk)
    assert [m.out_channels for m in trunk] == [16, 32, 64, 128, 256, 512]
    assert [m.stride[0] for m in trunk] == [2, 1, 2, 1, 2, 1] and {m.kernel_size for m in trunk} == {(3, 3)}
    assert [m.num_features for m in critic.trunk if isinstance(m, nn.BatchNorm2d)] == [32, 64, 128, 256, 512]
    assert [m.p for m in critic.trunk if isinstance(m, nn.Dropout)] == [0.5] * 6
    assert critic.says[-1].weight.shape == (10, 512 * 4 * 4)


def convolutions(network):
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
