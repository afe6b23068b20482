"""Judges of samples: figures in the features of an extractor, and the protocol that travels with each of them."""

from gan_lab.metrics.extractors import Extractor, PerColour, Pixels
from gan_lab.metrics.features import Features, look
from gan_lab.metrics.figure import Figure, Protocol, called, lower_is_better
from gan_lab.metrics.judgement import cheap_names, judge

__all__ = [
    "Extractor",
    "Figure",
    "PerColour",
    "Pixels",
    "Protocol",
    "Features",
    "called",
    "cheap_names",
    "judge",
    "look",
    "lower_is_better",
]
