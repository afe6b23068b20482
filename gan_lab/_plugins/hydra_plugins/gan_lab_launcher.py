"""`hydra/launcher=local`: Hydra takes launchers from its namespace `hydra_plugins` only, so this one lies here."""

from collections.abc import Sequence
from pathlib import Path

from gan_lab.config.compose import BasicLauncher, JobReturn, Stop, current_job
from gan_lab.errors import ConfigError
from gan_lab.launch.sweep import read_or_reported, table


class Local(BasicLauncher):
    """Runs each job of a sweep in a process of its own, `jobs` at once; "auto" is one a GPU, or one for two cores."""

    def __init__(self, jobs: int | str = "auto"):
        super().__init__()
        if jobs != "auto" and not (type(jobs) is int and jobs > 0):
            raise ConfigError(f"hydra.launcher.jobs={jobs} must be a whole number from 1, or auto.")
        self.jobs = jobs

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        # Let Hydra make the directory of each job with its files, and only say what the job is
        self.task_function = current_job
        runs = super().launch(job_overrides, initial_job_idx)
        jobs, place = [run.return_value for run in runs], Path(self.config.hydra.sweep.dir)

        # Then run them all
        from gan_lab.launch import pool

        received = pool.run(jobs, self.jobs, place)
        if received:
            table(place)
            raise Stop(code=128 + received)
        for run, job in zip(runs, jobs, strict=True):
            run.return_value = read_or_reported(job.run_dir)
        return runs
