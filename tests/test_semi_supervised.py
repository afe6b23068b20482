"""A classifier that learns from pictures without labels, and the data with few of them."""

import pytest
import torch
from helpers import config_of, made, play, trainer_of
from torch.nn.functional import cross_entropy

from gan_lab.config.build import build_dataset
from gan_lab.errors import ConfigError
from gan_lab.models.semi_supervised import Scored, unit

SGAN = ["model=sgan", "dataset=few_labels", "dataset.of.split=train", "dataset.num_labelled=20"]


def played(*words, player="discriminator"):
    """The game and one batch at the place of a player's first turn."""
    trainer = trainer_of(config_of(*SGAN, *words))
    (batch,) = trainer.loader.batch(0)
    trainer.game.noise.at(0, player, 0)
    return trainer.game.eval(), batch


# --- Few labels ------------------------------------------------------------------------------------------------------


def data(*words):
    return build_dataset(config_of("dataset=few_labels", "dataset.of.split=train", *words))


def test_as_many_of_each_class_are_known_and_always_the_same():
    one, again, other = data(), data(), data("dataset.seed=1")
    assert torch.equal(one.known, again.known) and not torch.equal(one.known, other.known)
    assert torch.bincount(one.labels[one.known]).tolist() == [10] * 10


def test_a_known_picture_stands_beside_each_one_with_its_own_label():
    few, indices = data("dataset.num_labelled=20"), torch.tensor([5, 900, 31])
    rows, whole = few.rows(indices), few.tensors()
    for name, values in rows.items():
        assert torch.equal(values, whole[name][indices]), name
    pictures = few.of.tensors()["image"]
    for i in range(200):
        found = [k for k in few.known.tolist() if torch.equal(pictures[k], whole["known_image"][i])]
        assert found and few.labels[found[0]] == whole["known_label"][i]
    assert len(whole["known_image"].flatten(1).unique(dim=0)) == 20, "all of them are used"


def test_both_pictures_are_played_alike():
    few = data()
    rows = few.rows(torch.arange(4))
    batch = few.prepare(rows, torch.zeros(4, dtype=torch.int64))
    assert batch["known_image"].shape == batch["image"].shape and batch["known_image"].abs().max() <= 1
    torch.testing.assert_close(batch["known_image"], rows["known_image"].permute(0, 3, 1, 2) / 127.5 - 1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dataset.num_labelled=25"], "multiple of the 10 classes.*Set dataset.num_labelled=20"),
        (["dataset.num_labelled=5000"], "with at most 174 of each. Set dataset.num_labelled=1740"),
        (["dataset.of=moving_shapes"], "have no labels"),
    ],
)
def test_labels_that_cannot_be_known_are_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_dataset(config_of("dataset=few_labels", *words))


# --- The game --------------------------------------------------------------------------------------------------------


def test_the_score_is_what_the_papers_sigmoid_takes():
    """D(x) = Z / (Z + 1) with Z the sum of the classes' exponentials: its logit is log Z."""
    logits = torch.randn(5, 10)
    z = logits.exp().sum(dim=1)
    torch.testing.assert_close(torch.sigmoid(Scored(lambda x: x)(logits)), z / (z + 1))


def test_known_labels_are_learned_from_known_pictures():
    game, batch = played("model.supervised=2")
    terms, logs = game.discriminator_loss(batch, 0)
    said = game.discriminator(batch["known_image"])
    torch.testing.assert_close(terms["supervised"], 2 * cross_entropy(said, batch["known_label"]))
    assert logs["accuracy_known"] == (said.argmax(dim=1) == batch["known_label"]).float().mean()
    assert "adversarial" in terms and "virtual" not in terms


def test_labels_alone_leave_out_all_other_pictures():
    game, batch = played("model.labels_alone=true", "model.virtual=1")
    terms = game.discriminator_loss({**batch, "image": batch["image"] * float("nan")}, 0).losses
    assert list(terms) == ["supervised"] and terms["supervised"].isfinite()


def test_the_generator_matches_mean_features_and_heeds_its_weights():
    game, batch = played("model.matching=3", "model.adversarial=0", player="generator")
    terms = game.generator_loss(batch, 0).losses
    fake = game.fresh(batch)
    apart = game.discriminator.trunk(batch["image"]).mean(dim=0) - game.discriminator.trunk(fake).mean(dim=0)
    torch.testing.assert_close(terms["matching"], 3 * apart.abs().mean())
    assert terms["adversarial"] == 0


def test_a_pooled_classifier_matches_what_is_seen_and_not_where():
    game, batch = played("model.discriminator.pool=true", "model.adversarial=0", player="generator")
    features = game.discriminator.trunk(batch["image"])
    *before, _ = game.discriminator.trunk
    maps = torch.nn.Sequential(*before)(batch["image"])
    assert features.shape == (len(batch["image"]), maps.shape[1])
    torch.testing.assert_close(features, maps.mean(dim=(2, 3)))
    assert game.discriminator.head[-1].in_features == maps.shape[1]
    fake = game.fresh(batch)
    apart = features.mean(dim=0) - game.discriminator.trunk(fake).mean(dim=0)
    torch.testing.assert_close(game.generator_loss(batch, 0).losses["matching"], apart.abs().mean())


def test_virtual_adversarial_training_finds_a_direction_that_changes_more_than_chance():
    game, batch = played("model.virtual=1", "model.reach=2")
    with torch.no_grad():
        for parameter in game.discriminator.parameters():
            parameter.mul_(8)
    worst = float(game.unsteady(batch["image"]).detach())
    with torch.no_grad():
        said = game.discriminator(batch["image"]).log_softmax(dim=1)
        moved = [batch["image"] + 2 * unit(torch.randn_like(batch["image"])) for _ in range(8)]
        chance = [(said.exp() * (said - game.discriminator(x).log_softmax(dim=1))).sum(dim=1).mean() for x in moved]
    assert worst > 1.5 * max(map(float, chance)) > 0


DROPPING = ("model.virtual=1", "model.discriminator.norm=batch", "model.discriminator.dropout=0.5")


def test_virtual_adversarial_training_asks_one_function_and_leaves_its_statistics():
    """Each pass had a mask of its own: what the mask changes drowned what the direction does."""
    game, batch = played(*DROPPING)
    game.train()
    before = {name: buffer.clone() for name, buffer in game.discriminator.named_buffers()}
    first, second = (game.log_probabilities(batch["image"]) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, game.discriminator(batch["image"]).log_softmax(dim=1)), "it drops, too"
    for name, buffer in before.items():
        game.discriminator.get_buffer(name).copy_(buffer)
    game.unsteady(batch["image"]).backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in game.discriminator.named_buffers())


def test_the_worst_direction_is_found_in_float32_under_autocast():
    game, batch = played(*DROPPING)
    game.train()
    plain = game.unsteady(batch["image"])
    with torch.autocast("cpu", torch.bfloat16):
        under = game.unsteady(batch["image"])
    assert under.dtype == torch.float32 and torch.equal(plain, under)


def test_it_learns_the_digits_names():
    trainer = made(*SGAN, "trainer.batch_size=32", "optimizer.lr=0.002", "model.discriminator.norm=batch")
    play(trainer, 120)
    game, of = trainer.game.eval(), trainer.loader.dataset.of
    with torch.no_grad():
        said = game.classify(of.prepare(of.tensors(), torch.zeros(len(of), dtype=torch.int64))["image"]).argmax(dim=1)
    assert (said == of.labels).float().mean() > 0.5
