"""gan-lab: every famous GAN, one training loop, one command."""

from gan_lab.version import __version__ as __version__


def load(run, **options):
    """Open a finished or running experiment by its directory; the options are those of `gan_lab.runs.run.Run`."""
    from gan_lab.analysis.run import Run

    return Run(run, **options)


def train(*settings, trust=(), config_dir=None):
    """Train with the words of `gan-lab train`, such as "model=cgan", "dataset=digits"; the finished `Run`.

    Without a model, a dataset or an experiment it trains the demo. `trust` names packages of your own whose classes the
    configuration may build, `config_dir` is a folder of your own YAML. What goes wrong is raised as a GanLabError.
    """
    from gan_lab.commands.train import trained

    return load(trained(settings, trust, config_dir), trust=trust)
