"""The rules of each game; networks are handed in."""

from gan_lab.models.auxiliary import ACGAN
from gan_lab.models.base import Game, Terms, losses
from gan_lab.models.conditional import ConditionalGAN
from gan_lab.models.encoding import VAEGAN, BiGAN
from gan_lab.models.gan import GAN
from gan_lab.models.infogan import InfoGAN
from gan_lab.models.pyramid import LAPGAN
from gan_lab.models.semi_supervised import SGAN

__all__ = ["ACGAN", "GAN", "LAPGAN", "SGAN", "VAEGAN", "BiGAN", "ConditionalGAN", "Game", "InfoGAN", "Terms", "losses"]
