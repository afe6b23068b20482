"""Around Hydra's jobs: all are checked before the first starts, none overwrites another, and a table ends a sweep."""

from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from gan_lab.config import compose as configuration
from gan_lab.config.compose import Callback, Job, Stop
from gan_lab.config.overrides import tag
from gan_lab.errors import ConfigError
from gan_lab.launch.sweep import RECORD, claimed, end_sweep, record
from gan_lab.storage.lock import check_free, locked
from gan_lab.wording import counted, shown, typed


def stopping(method):
    """Hydra only warns of an Exception in a callback; a Stop ends the command."""

    @wraps(method)
    def stops(self, config, **kwargs):
        try:
            return method(self, config)
        except Exception as error:
            raise Stop(error) from error

    return stops


class Jobs(Callback):
    """What Hydra calls before and after its jobs. `dry`: only look at each job and write nothing.

    `swept` is only for the configuration: the settings after which the jobs of a sweep are named.
    """

    def __init__(self, dry: bool = False, swept: Sequence[str] = ()):
        self.dry = dry

    @stopping
    def on_run_start(self, config):
        job = configuration.place_run(config)
        if self.dry:
            look([job])
        if configuration.sets(config, "hydra.run.dir"):
            check_free(job.run_dir)
        else:
            configuration.use_run_dir(config, claimed(job.run_dir))

    @stopping
    def on_multirun_start(self, config):
        if "BasicSweeper" not in config.hydra.sweeper._target_:  # another sweeper decides its jobs as it goes
            return
        place, jobs, swept = configuration.place_sweep(config)
        planned = all_jobs(config, jobs)
        if self.dry:
            look(planned)

        # Give the sweep a directory and every job its record, so that the table has a line for each
        if not configuration.sets(config, "hydra.sweep.dir"):
            names = tag([f"{key}=" for key in swept], swept)
            place = claimed(place.with_name(f"{place.name}_{names}" if names else place.name))
            configuration.use_sweep_dir(config, place, swept)
            planned = all_jobs(config, jobs)
        elif any(place.glob("*/" + RECORD)):
            raise ConfigError(
                f"{shown(place)} holds a sweep already, so no new one begins there.\n"
                f"  to run the missing jobs: {typed('gan-lab')} resume {shown(place)}\n"
                "  to start another: choose another directory"
            )
        if "gan_lab_launcher" not in config.hydra.launcher._target_:  # which holds it while its jobs run
            place.mkdir(parents=True, exist_ok=True)
            configuration.HELD.enter_context(locked(place))
        for job in planned:
            check_free(job.run_dir)
            record(job, status="waiting")
        print(f"{counted(len(planned), 'job')} in {shown(place)}")

    @stopping
    def on_multirun_end(self, config):
        end_sweep(Path(config.hydra.sweep.dir))


def look(jobs: list[Job]) -> None:
    """A dry run of each job, and the end of the command."""
    from gan_lab.launch import launch

    for job in jobs:
        if job.number is not None:
            print(f"job {job.number}: {' '.join(job.overrides)}")
        launch.dry_run(job.config)
    raise Stop


def all_jobs(config: Any, jobs: list[list[str]]) -> list[Job]:
    """Every job of a sweep; one ConfigError that lists those which cannot run."""
    planned, wrong = [], {}
    for number, overrides in enumerate(jobs):
        try:
            job = configuration.sweep_job(config, overrides, number)
            if job.run_dir in (other.run_dir for other in planned):
                raise ConfigError(f"hydra.sweep.subdir gives it a directory that another job has, {job.run_dir.name}")
            planned.append(job)
        except ConfigError as error:
            wrong.setdefault(str(error), []).append(str(number))
    if wrong:
        reasons = [f"job {', '.join(numbers)}: {reason}" for reason, numbers in wrong.items()]
        found = f"{len(jobs) - len(planned)} of {len(jobs)} jobs cannot run, so none was started:"
        raise ConfigError("\n  ".join([found, *reasons]))
    return planned
