"""A critic's second head: what it says of a sample is heard by both players, and by whoever asks for samples."""

import json
import math

import pytest
import torch
from helpers import config_of, made, play, trainer_of
from torch.nn.functional import cross_entropy

import gan_lab
from gan_lab.cli import main
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.losses.features import network_of
from gan_lab.metrics import classifier as classifiers
from gan_lab.metrics.classes import purity
from gan_lab.models.heads import TwoHeads

INFO = ["model=infogan", "loss=hinge", "dataset.split=train"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "run"
    launch.train(config_of(*INFO, "trainer.steps=3", "trainer.evaluate_every=null", "trainer.samples=20"), folder)
    return folder


def test_a_critic_of_two_heads_returns_scores_alone_and_keeps_what_the_other_predicts():
    network = made("model=acgan").game.discriminator
    critic, x, code = TwoHeads(network), torch.randn(3, 1, 16, 16), torch.eye(3)
    score, predicted = network.eval()(x)
    assert torch.equal(critic(x, code=code), score) and torch.equal(critic.second[0][0], predicted)
    assert critic.second[0][1]["code"] is code
    assert score.shape == (3,) and predicted.shape == (3, 10)
    assert network_of(critic) is network


@pytest.mark.parametrize("loss", ["hinge", "wgan_gp", "relativistic"])
def test_the_class_terms_are_of_real_and_fake_samples_by_the_label(loss):
    trainer = trainer_of(config_of("model=acgan", f"loss={loss}"))
    game, (batch,) = trainer.game, trainer.loader.batch(0)
    game.noise.at(0, "discriminator", 0)
    game.eval()
    terms = game.discriminator_loss(batch, 0).losses
    fake = game.make(game.new(batch))
    for name, samples in (("class_real", batch["image"]), ("class_fake", fake)):
        torch.testing.assert_close(terms[name], cross_entropy(game.discriminator(samples)[1], batch["label"]))
    game.noise.at(0, "generator", 0)
    of_fake = game.generator_loss(batch, 0).losses["class_fake"]
    fake = game.make(game.new(batch))
    torch.testing.assert_close(of_fake, cross_entropy(game.discriminator(fake)[1], batch["label"]))


def test_a_critic_may_learn_the_classes_of_real_samples_alone():
    """WGAN-GP's code; ACGAN's paper has it learn those of fakes too, and so the generator's turn does in either."""
    trainer = trainer_of(config_of("model=acgan", "loss=wgan_gp", "model.classify_fakes=false"))
    game, (batch,) = trainer.game.eval(), trainer.loader.batch(0)
    terms = game.discriminator_loss(batch, 0).losses
    assert {*terms} == {"adversarial", "gradient_penalty", "class_real"}
    torch.testing.assert_close(
        terms["class_real"], cross_entropy(game.discriminator(batch["image"])[1], batch["label"])
    )
    assert "class_fake" in game.generator_loss(batch, 0).losses


def test_the_class_weights_multiply_their_terms():
    heavy = ["model.class_weight=2", "model.generator_class_weight=0"]
    one, other = (trainer_of(config_of("model=acgan", *words)) for words in ([], heavy))
    terms = []
    for trainer in (one, other):
        (batch,) = trainer.loader.batch(0)
        trainer.game.noise.at(0, "any", 0)
        terms.append((trainer.game.discriminator_loss(batch, 0).losses, trainer.game.generator_loss(batch, 0).losses))
    (a, b), (c, d) = terms
    torch.testing.assert_close(2 * a["class_real"], c["class_real"])
    assert b["class_fake"] > 0 and d["class_fake"] == 0


@pytest.mark.parametrize("model", ["acgan", "infogan", "vaegan"])
def test_terms_beside_the_score_are_as_precise_as_the_networks(model, double):
    trainer = trainer_of(config_of(f"model={model}"))
    (batch,) = trainer.loader.batch(0)
    for seat in trainer.seats:
        terms = seat.player.loss(batch, 0).losses
        assert {value.dtype for value in terms.values()} == {torch.float64}, seat.name


def test_attributes_are_told_apart_one_by_one():
    words = ["dataset=shapes", "dataset.size=100", "dataset.image_size=16", "model.condition=attributes"]
    words += ["model.num_conditions=21", "model.generator.num_conditions=21", "model.discriminator.outputs=21"]
    trainer = made("model=acgan", *words, rounds=1)
    report = trainer.report()
    assert report["loss/discriminator/class_real"] == pytest.approx(math.log(2), abs=0.1)


def test_codes_are_drawn_as_they_are_described():
    game = made(*INFO, "model.codes=[3,1,2]", "model.generator.num_conditions=[3,1,2]",
                "model.discriminator.outputs=[3,1,2]").game  # fmt: skip
    game.noise.at(0, "any", 0)
    codes = game.new({"image": torch.zeros(500)})["code"]
    assert codes.shape == (500, 6) and game.bounds == [0, 3, 4, 6]
    assert (codes[:, :3].sum(dim=1) == 1).all() and (codes[:, 4:].sum(dim=1) == 1).all()
    assert codes[:, :3].mean(dim=0).sub(1 / 3).abs().max() < 0.08
    assert codes[:, 3].abs().max() <= 1 and codes[:, 3].std() == pytest.approx(3**-0.5, abs=0.05)


def test_a_seed_has_its_codes():
    game = made(*INFO).game
    rows = game.draw(range(300))
    assert rows["latent"].shape == (300, game.latent_dim) and torch.equal(rows["code"][7], game.draw([7])["code"][0])
    assert rows["code"].shape == (300, 12) and (rows["code"][:, :-2].sum(dim=1) == 1).all()
    assert rows["code"][:, :-2].sum(dim=0).min() > 10


def test_what_is_read_back_perfectly_costs_nothing_but_the_constants():
    game = made(*INFO).game
    codes = game.draw(range(8))["code"]
    sure = torch.cat([codes[:, :10] * 1e3, codes[:, 10:]], dim=1)
    assert all(value < 1e-6 for value in game.mutual_information(sure, {"code": codes}).losses.values())
    blank = game.mutual_information(torch.zeros_like(codes), {"code": codes}).losses
    assert blank["code_0"] == pytest.approx(math.log(10)) and blank["code_1"] > 0


def test_the_weight_of_the_information_reaches_both_players():
    trainer = made(*INFO, "model.information=0", rounds=1)
    report = trainer.report()
    assert report["loss/discriminator/code_0"] == report["loss/generator/code_0"] == 0
    report = made(*INFO, rounds=1).report()
    assert report["loss/discriminator/code_0"] > 1 and report["loss/generator/code_0"] > 1


def test_one_code_changes_and_the_rest_is_held():
    game = made(*INFO).game
    rows = game.draw(range(4))
    for code, value in ((0, 3), (1, -1.5), (2, 2.0)):
        changed = game.set_part(rows, "code", str(code), value)
        first, last = game.bounds[code], game.bounds[code + 1]
        rest = [i for i in range(12) if not first <= i < last]
        assert torch.equal(changed["code"][:, rest], rows["code"][:, rest])
        assert torch.equal(changed["latent"], rows["latent"])
        there = changed["code"][:, first:last]
        assert torch.equal(there, torch.eye(10)[[3] * 4] if code == 0 else torch.full((4, 1), value))


def test_a_preview_walks_along_every_code():
    game = play(trainer_of(config_of(*INFO)), 1).game.eval()
    rows = game.draw(range(30))
    tables = game.tables(rows)
    assert {name: tuple(table.shape[:2]) for name, table in tables.items()} == {
        "fixed": (3, 10), "code_1": (3, 10), "code_2": (3, 10),
    }  # fmt: skip
    made = lambda code, value: game.sample(game.set_part(rows.at(slice(3)), "code", code, value))["image"]
    assert torch.equal(tables["fixed"][:, 4], made("0", 4)) and torch.equal(tables["code_2"][:, 0], made("2", -2.0))


def test_codes_are_asked_for_by_number(run, tmp_path, capsys):
    assert main(["sample", str(run), "code.0=3", "code.2=-1.5", "n=4", f"out={tmp_path / 'three.png'}"]) == 0
    loaded = gan_lab.load(run)
    code = loaded.rows([1], code={0: 3, 2: -1.5})["code"]
    assert torch.equal(code[0, :10], torch.eye(10)[3]) and code[0, -1] == -1.5
    for words, sentence in (
        (["code.3=1"], "code.3=1: this run has code.0 to code.2"),
        (["code.0=10"], "code.0=10: it must be a whole number from 0 to 9"),
        (["code.0=0.5"], "code.0=0.5: it must be a whole number from 0 to 9"),
        (["code.x=1"], "code.x=1: this run has code.0 to code.2"),
        (["code.1=nan"], "code.1=nan must be a number, for example code.1=3"),
        (["label=3"], "label=... asks for a condition, and this run has code"),
    ):
        capsys.readouterr()
        assert main(["sample", str(run), *words]) == 2, words
        assert sentence in capsys.readouterr().err


def test_a_run_without_codes_takes_none(tmp_path, capsys):
    launch.train(config_of("trainer.steps=1", "trainer.evaluate_every=null"), tmp_path / "run")
    assert main(["sample", str(tmp_path / "run"), "code.0=1"]) == 2
    assert "code=... asks for a condition, and this run has none: leave it out" in capsys.readouterr().err


@pytest.mark.parametrize("codes", ["[10,0]", "[10,-1]"])
def test_codes_that_are_none_are_a_sentence(codes):
    with pytest.raises(ConfigError, match="must list how many values each code has"):
        trainer_of(config_of("model=infogan", f"model.codes={codes}"))


def test_purity_is_the_share_of_the_most_frequent_class_of_each_value():
    said = torch.eye(3)[[0, 0, 1, 1, 1, 1]]
    values = torch.tensor([0, 0, 0, 1, 1, 1])
    assert purity(said, values) == (pytest.approx(5 / 6), 2)
    assert purity(torch.eye(3)[[2] * 6], values) == (1.0, 1), "one class is pure, and says nothing"


def test_evaluate_says_what_a_code_stands_for(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(classifiers, "IMAGES", 1500)
    assert main(["evaluate", str(run), "n=40"]) == 0
    figures = json.loads((run / "summary.json").read_text())["evaluation"]
    assert 0.1 <= figures["code_purity/0/classifier"]["value"] <= 1
    assert 1 <= figures["classes_named/0/classifier"]["value"] <= 10
