"""The rules of each game; networks are handed in."""

from gan_lab.models.auxiliary import ACGAN
from gan_lab.models.base import Game, Terms, as_game, losses
from gan_lab.models.conditional import ConditionalGAN
from gan_lab.models.cycle import CycleGAN
from gan_lab.models.direct import Direct
from gan_lab.models.encoding import VAEGAN, BiGAN
from gan_lab.models.gan import GAN
from gan_lab.models.guests import FromRun
from gan_lab.models.infogan import InfoGAN
from gan_lab.models.pyramid import LAPGAN
from gan_lab.models.semi_supervised import SGAN
from gan_lab.models.sources import SourceGame
from gan_lab.models.translation import Pix2Pix

__all__ = [
    "ACGAN",
    "GAN",
    "LAPGAN",
    "SGAN",
    "VAEGAN",
    "BiGAN",
    "ConditionalGAN",
    "CycleGAN",
    "Direct",
    "FromRun",
    "Game",
    "InfoGAN",
    "Pix2Pix",
    "SourceGame",
    "Terms",
    "as_game",
    "losses",
]
