"""Adversarial objectives, the penalties that go with them, and what the critic is shown."""

from gan_lab.losses.base import Critic, Objective, Penalty, View, at_least_float32
from gan_lab.losses.least_squares import LeastSquares
from gan_lab.losses.logistic import Minimax, NonSaturating, Relativistic
from gan_lab.losses.margin import Hinge, Wasserstein
from gan_lab.losses.penalties import GradientPenalty

__all__ = [
    "Critic",
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Objective",
    "Penalty",
    "Relativistic",
    "View",
    "Wasserstein",
    "at_least_float32",
]
