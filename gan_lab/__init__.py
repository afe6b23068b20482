"""gan-lab: every famous GAN, one training loop, one command."""

__version__ = "0.1.0"


def load(run, trust=()):
    """Open a finished or running experiment by its directory; see `gan_lab.run.Run`."""
    from gan_lab.run import Run

    return Run(run, trust=trust)
