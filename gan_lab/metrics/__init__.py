"""Judges of samples: figures in the features of an extractor, and the protocol that travels with each of them."""

from gan_lab.metrics.extractors import Extractor, PerColour, Pixels
from gan_lab.metrics.figure import Figure, Protocol, called, lower_is_better
from gan_lab.metrics.judgement import cheap_names, judge
from gan_lab.metrics.seen import Seen, look

__all__ = [
    "Extractor",
    "Figure",
    "PerColour",
    "Pixels",
    "Protocol",
    "Seen",
    "called",
    "cheap_names",
    "judge",
    "look",
    "lower_is_better",
]
