"""An experiment that can be looked into."""

from gan_lab.analysis.base import Finding
from gan_lab.analysis.listing import function_of
from gan_lab.runs import run


class Run(run.Run):
    """A run with its looks, as `gan_lab.load` opens it."""

    def analyze(self, what: str, **options) -> Finding:
        """What a look of `gan_lab.analysis` finds, such as "interpolation": figures, pictures and notes."""
        return function_of(what)(self, **options)
