"""Codes that hide their domain: what the third player is asked, what the encoder owes, and what a fresh probe finds."""

import pytest
import torch
from helpers import config_of, made, trainer_of
from torch.nn.functional import binary_cross_entropy_with_logits

import gan_lab
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.metrics.probe import told_apart
from gan_lab.networks.code_critic import CodeCritic
from gan_lab.runs.evaluation import evaluate

HIDDEN = ["model=latent_domain", "dataset=split_domains", "dataset.transform=invert"]


def at_turn(player, *words):
    """The game, in eval mode, one batch, and the place of a player's first turn."""
    trainer = trainer_of(config_of(*words))
    (batch,) = trainer.loader.batch(0)
    trainer.game.noise.at(0, player, 0)
    return trainer.game.eval(), batch


def test_three_players_move_and_nothing_is_shared():
    trainer = made(*HIDDEN, rounds=1)
    assert [seat.name for seat in trainer.seats] == ["discriminator", "domain_critic", "generator"]
    networks = trainer.game.encoder, trainer.game.decoder
    assert not any(len(network.stacks.shared) for network in networks)


def test_the_critic_guesses_and_the_encoder_wants_the_other_answer():
    game, batch = at_turn("generator", *HIDDEN, "model.hidden=0.3")
    said = [game.domain_critic(game.encoder(**{name: batch[name]})[0]) for name in ("source", "image")]
    cost = binary_cross_entropy_with_logits
    right = (cost(said[0], torch.zeros(8)) + cost(said[1], torch.ones(8))) / 2
    wrong = (cost(said[0], torch.ones(8)) + cost(said[1], torch.zeros(8))) / 2
    torch.testing.assert_close(game.domain_critic_loss(batch, 0).losses["domain"], right)
    torch.testing.assert_close(game.generator_loss(batch, 0).losses["domain"], 0.3 * wrong)


def test_the_weight_rises_from_nothing_in_the_first_steps():
    game, batch = at_turn("generator", *HIDDEN, "model.hidden=0.3", "model.ramp=10")
    costs = [float(game.generator_loss(batch, step).losses["domain"]) for step in (0, 5, 10, 99)]
    assert costs[0] == 0 and costs[1] == pytest.approx(costs[2] / 2) and costs[2] == pytest.approx(costs[3]) != 0


def test_the_critic_of_codes_is_moved_by_its_own_player_alone():
    trainer = trainer_of(config_of(*HIDDEN))
    critic = trainer.game.domain_critic
    before = [p.clone() for p in critic.parameters()]
    owners = [seat.name for seat in trainer.seats if {*map(id, seat.parameters)} & {*map(id, critic.parameters())}]
    trainer.round()
    assert owners == ["domain_critic"]
    assert not any(torch.equal(a, b) for a, b in zip(before, critic.parameters(), strict=True))


@pytest.mark.parametrize(("size", "halvings"), [(16, 2), (28, 2), ([16, 32], 1), (16, None), (28, None)])
def test_codes_of_any_size_get_one_logit(size, halvings):
    critic = CodeCritic(size, 4, halvings)
    height, width = (size, size) if isinstance(size, int) else size
    times = 2 if halvings is None else halvings
    sides = (1, 1) if halvings is None else (height >> times, width >> times)
    assert critic(torch.randn(3, 4 * 2**times, *sides)).shape == (3,)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("model.hidden=-1", "hidden=-1 must not be negative"),
        ("model.ramp=-1", "ramp=-1 must not be negative"),
        ("model.domain_critic.dropout=1", r"dropout=1 must lie in \[0, 1\)"),
        ("model.prior=-1", "prior=-1 must not be negative"),
    ],
)
def test_what_cannot_be_is_a_sentence(word, sentence):
    with pytest.raises(ConfigError, match=sentence):
        made(*HIDDEN, word)


def test_a_probe_tells_apart_what_differs_and_nothing_else():
    torch.manual_seed(0)
    a, b, c, d = torch.randn(4, 600, 8)
    assert told_apart(a, b, c, d) == pytest.approx(0.5, abs=0.06)
    assert told_apart(a, b + 2, c, d + 2) > 0.95
    ring = lambda x, far: far * x / x.norm(dim=1, keepdim=True)
    assert told_apart(ring(a, 1), ring(b, 3), ring(c, 1), ring(d, 3)) > 0.9, "also where no line parts them"
    before = torch.get_rng_state()
    told_apart(a, b, c, d)
    assert torch.equal(before, torch.get_rng_state())


def test_a_report_says_what_codes_tell_and_how_pictures_are_rebuilt(tmp_path):
    launch.train(config_of(*HIDDEN, "trainer.steps=1", "trainer.evaluate_every=null"), tmp_path / "run")
    figures = {f.name: f.value for f in evaluate(gan_lab.load(tmp_path / "run"), n=20, extractor="pixels")}
    assert figures["domain_told/probe"] > 0.9, "white and black digits, untrained"
    assert figures["l1/rebuilt_source"] > 0 and figures["l1/rebuilt_image"] > 0
