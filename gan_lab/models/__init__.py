"""The rules of each game; networks are handed in."""

from gan_lab.models.base import Game, Terms, losses
from gan_lab.models.conditional import ConditionalGAN
from gan_lab.models.gan import GAN

__all__ = ["GAN", "ConditionalGAN", "Game", "Terms", "losses"]
