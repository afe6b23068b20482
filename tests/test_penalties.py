"""Penalties and terms where a formula says what must come out, and what they remember."""

import math

import pytest
import torch
from helpers import fingerprint, made, play
from torch import nn

from gan_lab.losses import GradientPenalty, Hinge, Penalty
from gan_lab.losses.augment import DiffAugment
from gan_lab.losses.base import ByName
from gan_lab.losses.features import FeatureMatching, features
from gan_lab.losses.history import HistoricalAveraging
from gan_lab.losses.logistic import RelativisticAverage
from gan_lab.losses.penalties import R1, R2, LocalGradientPenalty, SlopePower
from gan_lab.losses.replay import Replay
from gan_lab.losses.views import Packing
from gan_lab.models import Game
from gan_lab.noise import Noise
from gan_lab.rows import Rows

NOISE = Noise()


def owed(penalty, critic, real, fake, noise=NOISE):
    """A penalty on a critic of images alone."""
    return penalty(ByName(critic), Rows(image=real), Rows(image=fake), noise=noise)


def batch(seed, n=6):
    return torch.randn(n, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def linear(slope):
    """A critic whose gradient has this norm everywhere."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1, bias=False))
    nn.init.constant_(critic[1].weight, slope / math.sqrt(12))
    return critic


def squares(x):
    """A critic whose gradient at x is 2 x."""
    return x.square().flatten(1).sum(dim=1)


@pytest.mark.parametrize("slope", [0.0, 0.5, 3.0])
def test_what_a_linear_critic_owes(slope):
    due = lambda penalty: owed(penalty, linear(slope), batch(1), batch(2)).item()
    assert due(R1()) == pytest.approx(slope**2 / 2, abs=1e-5)
    assert due(R2()) == pytest.approx(slope**2 / 2, abs=1e-5)
    assert due(LocalGradientPenalty()) == pytest.approx((slope - 1) ** 2, abs=1e-4)
    assert due(SlopePower(power=6)) == pytest.approx(slope**6, rel=1e-4)


def test_r1_looks_at_real_and_r2_at_fake_samples():
    real, fake = batch(1), batch(2)
    of = lambda x: 0.5 * (2 * x).square().flatten(1).sum(dim=1).mean()
    torch.testing.assert_close(owed(R1(), squares, real, fake), of(real))
    torch.testing.assert_close(owed(R2(), squares, real, fake), of(fake))


def test_slope_power_lies_between_real_and_fake():
    same = batch(1)
    expected = (2 * same).flatten(1).norm(dim=1).pow(4).mean()
    torch.testing.assert_close(owed(SlopePower(power=4), squares, same, same), expected)


def test_dragan_stays_within_half_a_deviation_above_real_samples():
    seen = []
    critic = lambda x: seen.append(x.detach()) or squares(x)
    real = batch(1, n=64)
    owed(LocalGradientPenalty(spread=0.5), critic, real, batch(2, n=64))
    moved = seen[0] - real
    assert moved.min() >= 0
    assert 0.3 * real.std() < moved.max() <= 0.5 * real.std()


def test_a_place_between_real_and_fake_has_what_the_real_one_has_beside_it():
    seen = []

    def critic(image, condition):
        seen.append(condition)
        return image.flatten(1).sum(dim=1)

    real, fake = (Rows(image=batch(i), condition=torch.full((6, 2), float(i))) for i in (1, 2))
    for penalty in (GradientPenalty(), SlopePower(), LocalGradientPenalty(), R1()):
        penalty(ByName(critic), real, fake, noise=NOISE)
        assert (seen.pop() == 1).all()
    R2()(ByName(critic), real, fake, noise=NOISE)
    assert (seen.pop() == 2).all()


@pytest.mark.parametrize("make", [lambda: LocalGradientPenalty(spread=0.0), lambda: SlopePower(power=1.0),
                                  lambda: HistoricalAveraging(player="both")])  # fmt: skip
def test_numbers_out_of_range_are_refused_with_their_name(make):
    with pytest.raises(ValueError, match="="):
        make()


def test_a_critic_of_patches_owes_what_its_mean_score_does():
    """Objectives take the mean over patches, so that a weight means the same for every number of them."""
    of_patches = lambda x: x.square()  # [N, 3, 2, 2]: a score for each number
    of_mean = lambda x: of_patches(x).flatten(1).mean(dim=1)
    for penalty in (R1(), R2(), LocalGradientPenalty(), SlopePower(), GradientPenalty()):
        due = [owed(penalty, critic, batch(1), batch(2), NOISE.at(0)) for critic in (of_patches, of_mean)]
        torch.testing.assert_close(*due)


# --- Penalties and views ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", [["cutout"], ["translation", "color", "cutout"]])
def test_r1_and_r2_differentiate_through_the_augmentation(views):
    """Karras et al. 2020 (arXiv 2006.06676), official code: the slope at the picture before it is augmented."""
    penalties = {"r1": R1(weight=3.0), "r2": R2(weight=3.0)}
    objective = Hinge(penalties=penalties, views={"augment": DiffAugment(views)})
    game, critic = Game(objective), nn.Sequential(nn.Flatten(), nn.Linear(192, 1, bias=False))
    real, fake = (torch.randn(4, 3, 8, 8).requires_grad_() for _ in range(2))
    game.noise.at(0, "discriminator", 0)
    due = game.judge(critic, real, fake, 0).losses
    shown = objective.show(Rows(image=real), Rows(image=fake), game.noise, 0, judging=True)
    for name, side, seen in zip(("r1", "r2"), (real, fake), shown, strict=True):
        (slopes,) = torch.autograd.grad(critic(seen["image"]).sum(), side)
        torch.testing.assert_close(due[name], 1.5 * slopes.square().flatten(1).sum(dim=1).mean())
        at_augmented = 1.5 * critic[1].weight.square().sum()
        assert abs(due[name] / at_augmented - 1) > 0.05, "at the augmented picture it would be another number"


@pytest.mark.parametrize("order", [("replay", "augment"), ("augment", "replay"), ("augment", "pack")])
def test_what_remembers_is_gone_through_once_a_turn(order):
    views = {"replay": Replay(size=100, share=0.5), "augment": DiffAugment(["color"]), "pack": Packing(size=2)}
    objective = Hinge(penalties={"r2": R2()}, views={name: views[name] for name in order})
    game = Game(objective)
    game.noise.at(0, "discriminator", 0)
    terms = game.judge(lambda x: x.flatten(1).sum(dim=1), torch.randn(8, 1, 4, 4), torch.randn(8, 1, 4, 4), 0).losses
    assert terms["r2"].isfinite()
    assert "replay" not in order or views["replay"].pools[""].count == 4


class Constant(Penalty):
    """One, whatever the critic is."""

    def forward(self, critic, real, fake, noise):
        return 0 * critic(real).sum() + 1


@pytest.mark.parametrize("every", [1, 4, 6])
@pytest.mark.parametrize("turns", ["1", "3", "4", "5", "1/4", "1/3", "{usual: 1, warm: 5, first: 2, every: 3}"])
def test_a_lazy_penalty_counts_once_a_turn_on_average(turns, every):
    trainer = made("model=gan", f"trainer.turns={{discriminator: {turns}}}", "trainer.batch_size=2")
    trainer.game.objective.penalties["constant"] = Constant(weight=2.0, every=every)
    while trainer.turns_taken["discriminator"] < 3 * every:
        trainer.round()
    paid = sum(float(said.get("loss/discriminator/constant", 0)) for said in trainer.terms)
    due = -(-trainer.turns_taken["discriminator"] // every)  # the first of each `every` turns
    assert paid == pytest.approx(2.0 * every * due)


def test_turns_are_counted_on_after_a_resumption():
    words = "model=gan", "trainer.turns={discriminator: {usual: 1, warm: 5, first: 2}}"
    trainer, again = made(*words, rounds=3), made(*words)
    assert trainer.turns_taken == {"discriminator": 11, "generator": 3}
    again.load_state_dict(trainer.state_dict())
    assert again.turns_taken == trainer.turns_taken


# --- Relativistic averages -------------------------------------------------------------------------------------------


def test_relativistic_averages_by_hand():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, -2.0])
    soft = lambda x: math.log1p(math.exp(x))
    critic = (soft(-1 - 1) + soft(-1 - 3)) / 2 + (soft(0 - 2) + soft(-2 - 2)) / 2
    generator = (soft(2 - 0) + soft(2 + 2)) / 2 + (soft(1 + 1) + soft(3 + 1)) / 2
    assert RelativisticAverage().critic_loss(real, fake, NOISE).item() == pytest.approx(critic)
    assert RelativisticAverage().generator_loss(fake, real).item() == pytest.approx(generator)


def test_equal_scores_are_worth_two_log_two():
    score = torch.full((4,), 7.0)
    assert RelativisticAverage().critic_loss(score, score, NOISE).item() == pytest.approx(2 * math.log(2))


# --- Feature matching ------------------------------------------------------------------------------------------------


class Critic(nn.Module):
    """Its features are the samples times two."""

    def __init__(self):
        super().__init__()
        self.trunk, self.head = nn.Linear(3, 3, bias=False), nn.Linear(3, 1)
        self.trunk.weight.data = 2 * torch.eye(3)

    def forward(self, x, label=None):
        return self.head(self.trunk(x)).flatten()


def test_feature_matching_is_the_squared_distance_of_mean_features():
    real, fake = torch.randn(5, 3), torch.randn(7, 3)
    found = owed(FeatureMatching(), Critic(), real, fake)
    torch.testing.assert_close(found, (2 * (real.mean(0) - fake.mean(0))).square().sum())


def test_feature_matching_moves_fakes_alone_and_leaves_no_hook():
    critic = Critic()
    real, fake = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    sides = (Rows(image=x, label=torch.ones(5)) for x in (real, fake))
    FeatureMatching()(ByName(critic), *sides, noise=NOISE).backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0
    assert not critic.trunk._forward_hooks
    torch.testing.assert_close(features(ByName(critic), Rows(image=real)), 2 * real)


def test_feature_matching_is_owed_by_the_generator():
    said = made("loss/penalty=feature_matching", rounds=1).report()
    assert "loss/generator/feature_matching" in said
    assert "loss/discriminator/feature_matching" not in said


# --- Historical averaging --------------------------------------------------------------------------------------------


def test_historical_averaging_by_hand():
    network, term, seen = nn.Linear(1, 1, bias=False), HistoricalAveraging(), []
    for value in (1.0, 3.0, 8.0):
        nn.init.constant_(network.weight, value)
        seen.append(value)
        expected = (value - sum(seen) / len(seen)) ** 2
        loss = term(network, noise=NOISE)
        assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert network.weight.grad.item() == pytest.approx(2 * (8 - 4)), "the mean is held fixed"


def test_both_players_owe_it_apart():
    trainer = made("loss/penalty=historical_averaging", rounds=3)
    said = trainer.report()
    assert {"loss/discriminator/historical_critic", "loss/generator/historical_generator"} <= said.keys()
    sizes = {
        name: sum(mean.numel() for mean in trainer.game.objective.penalties[name].means[""])
        for name in ("historical_critic", "historical_generator")
    }
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in trainer.game.named_children()}
    assert sizes == {"historical_critic": counts["discriminator"], "historical_generator": counts["generator"]}


@pytest.mark.parametrize("extra", ["loss/penalty=historical_averaging", "loss/view=replay", "loss/view=instance_noise"])
def test_what_is_remembered_resumes_bit_for_bit(extra):
    whole = made(extra, rounds=6)
    half = made(extra, rounds=3)
    state = half.state_dict()
    resumed = made(extra)
    resumed.load_state_dict(state)
    assert fingerprint(play(resumed, 3).state_dict()) == fingerprint(whole.state_dict())


@pytest.mark.parametrize("extra", ["loss/penalty=historical_averaging", "loss/view=replay"])
def test_without_what_is_remembered_it_would_not(extra):
    """The control of the test above."""
    whole, half, resumed = made(extra, rounds=6), made(extra, rounds=3), made(extra)
    state = half.state_dict()
    for name, value in state["game"].items():
        if name.endswith("_extra_state"):
            state["game"][name] = {key: {} for key in value}
    resumed.load_state_dict(state)
    assert fingerprint(play(resumed, 3).state_dict()) != fingerprint(whole.state_dict())
