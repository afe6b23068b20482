"""Every model plays every loss, or says in a sentence why not and what to set instead."""

import math
import re

import pytest
import torch
from helpers import INNER, config_of, names, play, trainer_of, weights, words_for, yaml_of

from gan_lab.errors import ConfigError

CELLS = [(model, loss) for model in names("model") for loss in names("loss")]
REMEDY = re.compile(r"Set ([\w.]+=[^\s,]+?)(?=[.,]?(?:\s|$))")


def words_of(model, loss):
    return *words_for(model), f"loss={loss}"


def check_trains(words, rounds=2, may_skip=False):
    """A few rounds on tiny data: everything moves, stays finite, and every penalty that was asked for is in the log."""
    trainer = trainer_of(config_of(*words))
    before = weights(trainer)
    play(trainer, rounds)
    report = trainer.report()
    assert torch.isfinite(weights(trainer)).all()
    for seat in trainer.seats:
        skipped, _ = seat.report()
        assert skipped <= may_skip * rounds // 2, f"{seat.name} skipped {skipped} updates"
        assert f"grad_norm/{seat.name}" in report
    assert not torch.equal(before, weights(trainer))
    for name in trainer.game.objective.penalties:
        assert any(re.fullmatch(rf"loss/\w+/{name}(_\w+)?", term) for term in report), f"{name} is not in the log"
    assert may_skip or all(math.isfinite(value) for value in report.values())


def complaints_of(words):
    try:
        trainer_of(config_of(*words))
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(("model", "loss"), CELLS)
def test_every_model_plays_every_loss_or_says_why_not(model, loss):
    words = words_of(model, loss)
    complaints = complaints_of(words)
    for complaint in complaints:
        assert REMEDY.search(complaint), f"no remedy of one override: {complaint}"
    remedies = [REMEDY.search(complaint)[1] for complaint in complaints]
    check_trains([*words, *remedies])


@pytest.mark.slow
def test_complaints_are_few():
    complained = [cell for cell in CELLS if complaints_of(words_of(*cell))]
    assert len(complained) < 0.15 * len(CELLS), complained


EXTRAS = [f"{group}={name}" for group in INNER for name in names(group)]


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("model", names("model"))
def test_every_model_takes_every_penalty_and_view(model, extra):
    if extra == "loss/view=packing" and "discriminator" not in yaml_of("model", model):
        pytest.skip("packing widens model.discriminator, and this model has several critics")
    words = [*words_for(model), "loss=hinge", extra]
    complaints = complaints_of(words)
    if any("Set loss/view=[]." in complaint for complaint in complaints):  # what mixes rows and conditions has no other
        return
    rounds = 17 if model == "gan" else 2  # lazy penalties are due again in the 17th
    check_trains([*words, *(REMEDY.search(complaint)[1] for complaint in complaints)], rounds)


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("loss", names("loss"))
def test_every_loss_takes_every_penalty_and_view(loss, extra):
    check_trains([*words_of("gan", loss), extra])


def test_all_views_and_penalties_play_together():
    check_trains(
        ["loss/penalty=" + "+".join(names("loss/penalty")), "loss/view=" + "+".join(sorted(names("loss/view")))]
    )


@pytest.mark.parametrize("loss", names("loss"))
def test_every_loss_plays_in_half_precision(loss):
    check_trains([*words_of("gan", loss), "trainer.precision=bf16"])
    check_trains([*words_of("gan", loss), "trainer.precision=fp16"], rounds=6, may_skip=True)  # finds its scale


@pytest.mark.parametrize(
    "words",
    [
        [
            "model=biggan",
            "model.latent_dim=12",
            "model.generator.attention=[8]",
            "loss=hinge",
            "loss/penalty=orthogonal",
        ],
        ["model=stylegan2", "loss=stylegan2"],
        ["model=conditional_stylegan2", "loss=stylegan2"],
        ["model=stylegan", "loss=stylegan2"],
    ],
    ids=lambda words: words[0],
)
def test_what_generators_owe_plays_in_half_precision(words):
    check_trains([*words, "trainer.precision=bf16"])
    check_trains([*words, "trainer.precision=fp16"], rounds=6, may_skip=True)


@pytest.mark.parametrize("dataset", ["ring8", "grid25", "gaussian1d"])
@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp", "wasserstein"])
def test_points_are_played_as_images_are(loss, dataset):
    check_trains(["model=gan", f"dataset={dataset}", f"loss={loss}"])


@pytest.mark.parametrize("optimizer", names("optimizer"))
@pytest.mark.parametrize("model", names("model"))
def test_every_model_takes_every_optimizer(model, optimizer):
    check_trains([*words_for(model), f"optimizer={optimizer}"])


@pytest.mark.parametrize("size", [4, 20, 28, 48])
@pytest.mark.parametrize("model", names("model"))
def test_every_model_takes_other_sizes(model, size):
    if "dataset=digits" in words_for(model):
        check_trains([*words_for(model), f"dataset.image_size={size}"])


def test_a_size_that_fits_no_network_is_a_sentence_with_the_nearest():
    (complaint, *others) = complaints_of(["model=dcgan", "dataset.image_size=30"])
    assert "28 and 32" in complaint
    assert REMEDY.search(complaint)[1] == "dataset.image_size=28"
    assert len(others) <= 1, "both networks say it, under their own names"


def test_all_reasons_are_told_at_once():
    complaints = complaints_of(["model=dcgan", "loss=wgan_gp", "trainer.turns={critic: 2}", "trainer.batch_size=5000"])
    assert len(complaints) == 3
