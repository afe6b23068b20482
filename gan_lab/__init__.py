"""gan-lab: every famous GAN, one training loop, one command."""

__version__ = "0.1.0"


def load(run, **options):
    """Open a finished or running experiment by its directory; the options are those of `gan_lab.run.Run`."""
    from gan_lab.run import Run

    return Run(run, **options)
