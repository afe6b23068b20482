"""Objectives and penalties where a formula says what must come out."""

import math

import pytest
import torch
from helpers import config_of, made, names, play, trainer_of
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_lab.losses import (
    GradientPenalty,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Penalty,
    Relativistic,
    View,
    Wasserstein,
)
from gan_lab.losses.base import ByName
from gan_lab.noise import Noise
from gan_lab.rows import Rows

REAL = torch.tensor([2.0, -1.0, 0.5, 3.0])
FAKE = torch.tensor([-2.0, 1.5, 0.0, -0.5])
NOISE = Noise(seed=1)
scores = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=8).map(torch.tensor)


def slope_of_generator(objective, fake, real=REAL):
    fake = fake.clone().requires_grad_()
    objective.generator_loss(fake, real).backward()
    return fake.grad


# --- Wasserstein and hinge -------------------------------------------------------------------------------------------


def test_wasserstein_of_equal_scores_is_zero():
    assert Wasserstein().critic_loss(REAL, REAL, NOISE) == 0


def test_wasserstein_is_the_difference_of_means():
    torch.testing.assert_close(Wasserstein().critic_loss(REAL, FAKE, NOISE), torch.tensor(-0.25 - 1.125))
    torch.testing.assert_close(Wasserstein().generator_loss(FAKE, None), torch.tensor(0.25))


@given(st.floats(0.001, 1.0), st.integers(0, 100))
def test_clipping_clamps_every_weight_and_nothing_else(clip, seed):
    torch.manual_seed(seed)
    critic = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    nn.init.normal_(critic[0].weight, std=clip)
    before = [p.clone() for p in critic.parameters()]
    buffers = [b.clone() for b in critic.buffers()]
    Wasserstein(clip=clip).constrain(critic)
    for old, new in zip(before, critic.parameters(), strict=True):
        assert torch.equal(new, old.clamp(-clip, clip))
    assert all(torch.equal(a, b) for a, b in zip(buffers, critic.buffers(), strict=True))


def test_without_a_clip_the_weights_are_left_alone():
    critic = nn.Linear(4, 4)
    before = critic.weight.clone()
    Wasserstein().constrain(critic)
    assert torch.equal(before, critic.weight)


def test_a_clipped_critic_is_clipped_after_each_of_its_turns():
    trainer = made("loss=wasserstein", "optimizer.lr=0.1", rounds=2)
    assert max(p.abs().max() for p in trainer.game.discriminator.parameters()) <= 0.01
    assert max(p.abs().max() for p in trainer.game.generator.parameters()) > 0.01


def test_only_a_bound_makes_wasserstein_bounded():
    assert not Wasserstein().bounded
    assert Wasserstein(clip=0.01).bounded
    assert Hinge().bounded


def test_hinge_counts_scores_up_to_the_margin():
    hinge = Hinge()
    assert hinge.critic_loss(torch.tensor([1.0, 5.0]), torch.tensor([-1.0, -5.0]), NOISE) == 0
    assert hinge.critic_loss(torch.zeros(3), torch.zeros(3), NOISE) == 2
    score = torch.tensor([0.5, 1.5]).requires_grad_()
    hinge.critic_loss(score, -score.detach(), NOISE).backward()
    assert score.grad.tolist() == [-0.5, 0.0], "beyond the margin nothing pulls"
    assert hinge.generator_loss(torch.tensor([1.0, 3.0]), None) == -2


# --- Cross-entropy ---------------------------------------------------------------------------------------------------


@given(scores, scores)
def test_non_saturating_is_binary_cross_entropy(real, fake):
    expected = binary_cross_entropy_with_logits(real, torch.ones_like(real))
    expected = expected + binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    torch.testing.assert_close(NonSaturating().critic_loss(real, fake, NOISE), expected, atol=1e-5, rtol=1e-5)


def test_an_undecided_critic_pays_two_log_two():
    loss = NonSaturating().critic_loss(torch.zeros(4), torch.zeros(4), NOISE)
    torch.testing.assert_close(loss, torch.tensor(2 * math.log(2)))


def test_scores_far_out_stay_finite():
    far = torch.tensor([1e4, -1e4])
    for name in (NonSaturating, Minimax, Relativistic):
        objective = name()
        assert torch.isfinite(objective.critic_loss(far, far.flip(0), NOISE))
        assert torch.isfinite(slope_of_generator(objective, far, real=far.flip(0))).all()


@given(scores)
def test_minimax_pulls_the_same_way_and_dies_where_the_critic_is_sure(fake):
    """With p = D(G(z)): the slope of log(1 - p) is -p, that of -log p is p - 1; their difference is 1 / N."""
    minimax, heuristic = slope_of_generator(Minimax(), fake), slope_of_generator(NonSaturating(), fake)
    p = torch.sigmoid(fake)
    torch.testing.assert_close(minimax * len(fake), -p, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(heuristic * len(fake), p - 1, atol=1e-5, rtol=1e-4)
    assert (minimax <= 0).all()
    assert (heuristic <= 0).all()


def test_minimax_saturates_and_the_heuristic_does_not():
    sure = torch.tensor([-10.0])
    assert slope_of_generator(Minimax(), sure).abs().item() < 1e-4
    assert slope_of_generator(NonSaturating(), sure).abs().item() > 0.99


def test_minimax_is_zero_sum():
    """What the generator minimises is what the critic's loss says of fakes, with the sign turned."""
    of_fakes = NonSaturating().critic_loss(torch.full((4,), 100.0), FAKE, NOISE)
    torch.testing.assert_close(Minimax().generator_loss(FAKE, None), -of_fakes)


def test_smoothing_moves_the_best_real_score_and_leaves_fakes_alone():
    objective = NonSaturating(smoothing=0.1)
    real = torch.tensor([math.log(0.9 / 0.1)]).requires_grad_()  # sigmoid(score) = 0.9
    objective.critic_loss(real, FAKE, NOISE).backward()
    assert real.grad.abs().item() < 1e-6
    fake = FAKE.clone().requires_grad_()
    objective.critic_loss(REAL, fake, NOISE).backward()
    torch.testing.assert_close(fake.grad, torch.sigmoid(FAKE) / 4)


# --- Least squares and relativistic ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0)])
def test_least_squares_vanishes_at_its_targets_and_nowhere_else(a, b, c):
    objective = LeastSquares(fake_target=a, real_target=b, generator_target=c)
    assert objective.critic_loss(torch.full((3,), b), torch.full((3,), a), NOISE) == 0
    assert objective.generator_loss(torch.full((3,), c), None) == 0
    assert objective.critic_loss(torch.full((3,), a), torch.full((3,), b), NOISE) == (b - a) ** 2
    assert objective.generator_loss(torch.full((3,), c + 2), None) == 4


def test_the_generators_squares_count_by_their_weight():
    assert LeastSquares(generator_weight=0.5).generator_loss(torch.full((3,), 3.0), None) == 2
    with pytest.raises(ValueError, match="generator_weight=0 must be greater than 0"):
        LeastSquares(generator_weight=0)


def test_least_squares_smooths_towards_the_fake_target():
    assert LeastSquares(fake_target=-1.0, real_target=1.0, smoothing=0.25).real_target == 0.5


@given(scores)
def test_relativistic_is_symmetric(real):
    objective, fake = Relativistic(), -0.5 * real + 1
    torch.testing.assert_close(objective.critic_loss(real, fake, NOISE), objective.generator_loss(real, fake))
    equal = objective.critic_loss(real, real, NOISE)
    torch.testing.assert_close(equal, torch.tensor(math.log(2)))


def test_relativistic_sees_differences_alone():
    objective = Relativistic()
    shifted = objective.critic_loss(REAL + 3, FAKE + 3, NOISE)
    torch.testing.assert_close(objective.critic_loss(REAL, FAKE, NOISE), shifted)
    assert objective.compares


# --- Labels that are swapped -----------------------------------------------------------------------------------------


@given(st.floats(0.05, 0.95), st.integers(0, 10**6), st.sampled_from([NonSaturating, LeastSquares]))
def test_flipping_swaps_about_its_share_of_the_targets(share, seed, kind):
    n, noise = 4000, Noise(seed)
    score = torch.zeros(n).requires_grad_()
    kind(flip=share).critic_loss(score, torch.zeros(n), noise).backward()
    wants_up = score.grad < 0  # a real sample whose target is 1; a swapped one is pulled down, or stays
    swapped = 1 - wants_up.float().mean().item()
    assert abs(swapped - share) < 5 * math.sqrt(share * (1 - share) / n)


def test_real_and_fake_are_swapped_apart_and_anew_at_each_place():
    def swaps(step, side):
        noise, score = Noise(0).at(step, "discriminator", 0), torch.zeros(64).requires_grad_()
        sides = (score, torch.zeros(64)) if side == "real" else (torch.zeros(64), score)
        NonSaturating(flip=0.5).critic_loss(*sides, noise).backward()
        return score.grad < 0

    assert torch.equal(swaps(0, "real"), swaps(0, "real"))
    assert not torch.equal(swaps(0, "real"), ~swaps(0, "fake"))
    assert not torch.equal(swaps(0, "real"), swaps(1, "real"))


def test_maps_of_scores_are_swapped_by_sample():
    score = torch.zeros(16, 1, 3, 3).requires_grad_()
    NonSaturating(flip=0.5).critic_loss(score, torch.zeros(16, 1, 3, 3), Noise(0)).backward()
    up = (score.grad < 0).flatten(1)
    assert torch.equal(up.all(dim=1), up.any(dim=1))
    assert 0 < up[:, 0].sum() < 16


# --- Penalties -------------------------------------------------------------------------------------------------------


def linear_critic(slope, features=12):
    """A critic whose gradient has the norm `slope` everywhere."""
    direction = torch.randn(features, generator=torch.Generator().manual_seed(0))
    weight = slope * direction / direction.norm()
    return lambda x: x.flatten(1) @ weight.to(x.dtype)


def batch(seed, n=6):
    return torch.randn(n, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_the_gradient_penalty_of_a_unit_slope_is_zero():
    assert (
        GradientPenalty()(ByName(linear_critic(1.0)), Rows(image=batch(1)), Rows(image=batch(2)), noise=NOISE) < 1e-10
    )


@given(st.floats(0.0625, 8, width=32), st.sampled_from([0.0, 1.0, 2.0]))
def test_the_gradient_penalty_of_a_linear_critic_is_known(slope, center):
    term = GradientPenalty(center=center)(
        ByName(linear_critic(slope)), Rows(image=batch(1)), Rows(image=batch(2)), noise=NOISE
    )
    torch.testing.assert_close(term, torch.tensor((slope - center) ** 2), atol=1e-4, rtol=1e-4)


def test_the_gradient_penalty_looks_on_the_lines_between_real_and_fake():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).square().sum(dim=1)

    real, fake = torch.zeros(200, 1, 2, 2), torch.ones(200, 1, 2, 2)
    GradientPenalty()(ByName(critic), Rows(image=real), Rows(image=fake), noise=NOISE)
    (place,) = seen
    share = place.flatten(1)
    assert (share == share[:, :1]).all(), "one place for each sample"
    assert share.min() >= 0
    assert share.max() <= 1
    assert 0.4 < share[:, 0].mean() < 0.6
    assert share[:, 0].unique().numel() > 190


def test_the_gradient_penalty_trains_the_critic():
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1))
    GradientPenalty()(ByName(critic), Rows(image=batch(1)), Rows(image=batch(2)), noise=NOISE).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in critic[:-1].parameters())


class Constant(Penalty):
    """One, with a gradient of one."""

    def forward(self, network, *played, noise):
        return network(played[0]).mean() * 0 + 1


def owed(objective, critic, turn=0, real=None):
    real, fake = Rows(image=batch(1) if real is None else real), Rows(image=batch(2))
    return objective.penalise("judge", critic, real, fake, turn=turn, noise=NOISE)


@pytest.mark.parametrize("every", [1, 4])
def test_a_lazy_penalty_costs_the_same_on_average(every):
    objective = Hinge(penalties={"constant": Constant(weight=3.0, every=every)})
    paid = [owed(objective, ByName(linear_critic(1.0)), turn=t) for t in range(16)]
    due = [sum(terms.values()) for terms in paid if terms]
    assert len(due) == 16 // every
    assert sum(due) / 16 == 3
    assert objective.penalise("regularise", linear_critic(1.0), Rows(latent=batch(1)), turn=0, noise=NOISE) == {}


def test_a_lazy_penalty_is_logged_when_it_is_paid():
    config = config_of("loss=wgan_gp")
    config["loss"]["penalties"]["gradient_penalty"]["every"] = 15  # of the critic's turns, of which a round has five
    trainer = trainer_of(config)
    said = ["loss/discriminator/gradient_penalty" in play(trainer, 1).report() for _ in range(6)]
    assert said == [True, False, False, True, False, False]


def test_penalties_run_in_float32_under_autocast():
    seen = []

    class Watch(Constant):
        def forward(self, network, *played, noise):
            seen.extend(x.dtype for x in (*(rows["image"] for rows in played), network(played[0])))
            return super().forward(network, *played, noise=noise)

    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(batch(1)).dtype == torch.bfloat16
        objective = Hinge(penalties={"watch": Watch()})
        owed(objective, ByName(critic), real=batch(1).bfloat16())
    assert seen == [torch.float32] * 3


# --- What every objective is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names("loss"))
def test_every_objective_likes_the_right_order_of_scores(name):
    """A critic that separates pays less than one that has it the wrong way round; a generator that fools pays less."""
    objective = made(f"loss={name}").game.objective
    high, low = torch.full((8,), 0.5), torch.full((8,), -0.5)
    assert objective.critic_loss(high, low, NOISE) < objective.critic_loss(low, high, NOISE)
    assert objective.generator_loss(high, low) < objective.generator_loss(low, high)


@pytest.mark.parametrize("name", names("loss"))
def test_an_objective_that_does_not_couple_the_batch_is_a_mean_over_its_parts(name):
    objective = made(f"loss={name}").game.objective
    if objective.couples_batch:
        return
    torch.manual_seed(0)
    real, fake = torch.randn(8), torch.randn(8)
    halves = [objective.critic_loss(real[i : i + 4], fake[i : i + 4], NOISE) for i in (0, 4)]
    torch.testing.assert_close(objective.critic_loss(real, fake, NOISE), sum(halves) / 2)
    halves = [objective.generator_loss(fake[i : i + 4], real[i : i + 4]) for i in (0, 4)]
    torch.testing.assert_close(objective.generator_loss(fake, real), sum(halves) / 2)


@pytest.mark.parametrize("name", names("loss"))
def test_scores_of_any_shape_will_do(name):
    objective = made(f"loss={name}").game.objective
    real, fake = torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3)
    flat = objective.critic_loss(real.flatten(), fake.flatten(), NOISE)
    torch.testing.assert_close(objective.critic_loss(real, fake, NOISE), flat)
    assert objective.generator_loss(fake, real).shape == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: NonSaturating(smoothing=1.0),
        lambda: NonSaturating(flip=-0.1),
        lambda: LeastSquares(flip=1.5),
        lambda: Wasserstein(clip=0.0),
        lambda: Hinge(critic_turns=0),
        lambda: GradientPenalty(every=0),
    ],
)
def test_numbers_out_of_range_are_refused_with_their_name(make):
    with pytest.raises(ValueError, match="="):
        make()


class Halved(View):
    def forward(self, real, fake, noise, step):
        return real.each(lambda x: x / 2), fake.each(lambda x: x / 2)


def test_views_are_the_same_for_judge_and_fool_and_reach_penalties():
    trainer = made("loss=wgan_gp")
    game = trainer.game
    game.objective.views["halved"] = Halved()
    seen = []
    critic = lambda x: seen.append(x.detach()) or game.discriminator(x)
    real, fake = torch.full((4, 1, 16, 16), 0.8), torch.full((4, 1, 16, 16), 0.4)
    game.judge(critic, real, fake, 0)
    game.fool(critic, fake, real, 0)
    assert [round(x.max().item(), 3) for x in seen[:2]] == [0.4, 0.2]
    assert seen[2].max() <= 0.4, "the penalty sees what the critic sees"
    assert torch.equal(seen[3], fake / 2)


def test_an_objective_alone_is_no_loss():
    with pytest.raises(NotImplementedError):
        Objective().critic_loss(REAL, FAKE, NOISE)
