"""Check the settings, data and networks of a train command, or of each job of a sweep; writes nothing."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from gan_lab.config.dataset_nodes import levels, with_known
from gan_lab.config.overrides import LOOKING, read, with_demo
from gan_lab.errors import ConfigError, DataError, GanLabError

USAGE = """usage: gan-lab validate [group=choice ...] [setting=value ...] [-m] [--config-dir DIR]

Takes the same settings as gan-lab train and checks them without training: the settings, the data (it reads the first
batch), the networks, the optimizers, the initial weights, and whether they work together. It downloads and writes
nothing. gan-lab train --dry-run also runs two steps and reports time and memory.

  gan-lab validate model=dcgan dataset=cifar10
  gan-lab validate -m loss=hinge,wgan_gp model=gan,dcgan

Exit codes: 0 all can train, 2 a setting or a combination cannot work, 3 data, 4 a run to start from, 6 a device that is
not there; where the jobs of a sweep differ in that, 2."""
TO_BE_FETCHED = "download is false"  # what a dataset says that may not fetch its files
T = TypeVar("T")


def main(argv: list[str]) -> int | None:
    if {"-h", "--help"} & set(argv):
        return print(USAGE)
    line = read(argv)
    if line.dry or LOOKING & set(line.options):
        raise ConfigError("validate takes settings, -m and --config-dir; for other options see gan-lab train --help")

    from gan_lab.config.compose import follow_hydra

    look = "hydra.callbacks.gan_lab._target_=gan_lab.commands.validate.Look"
    line.overrides = [*with_demo(line.overrides), look]
    found.cache_clear()
    return follow_hydra(line, never)


def never(job: Any) -> None:
    raise AssertionError("validate trains nothing")


class Look:
    """What Hydra calls in place of `callbacks.Jobs`: it checks the jobs, and ends the command before one starts."""

    def __init__(self, dry: bool = False, swept: Sequence[str] = ()):
        pass

    def on_run_start(self, config: Any, **kwargs: Any) -> None:
        from gan_lab.config import compose as configuration

        def tell() -> int:
            job = configuration.place_run(config)
            code, sentences, data = findings(job.config)
            if code:
                raise with_code(GanLabError("\n  ".join(sentences)), code)
            print(f"ok: {job.config['run']['name']}: {data.described}")
            return 0

        end_with(tell)

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        from gan_lab.config import compose as configuration

        def tell() -> int:
            if "BasicSweeper" not in config.hydra.sweeper._target_:
                raise ConfigError("validate knows the jobs of the basic sweeper only; another decides them as it goes")
            _, jobs, _ = configuration.place_sweep(config)
            codes = [tell_job(config, overrides, number) for number, overrides in enumerate(jobs)]
            wrong = [code for code in codes if code]
            if wrong:
                error = GanLabError(f"{len(wrong)} of {len(jobs)} jobs cannot train.")
                raise with_code(error, wrong[0] if len(set(wrong)) == 1 else ConfigError.exit_code)
            print("the job can train" if len(jobs) == 1 else f"all {len(jobs)} jobs can train")
            return 0

        end_with(tell)


def end_with(tell: Callable[[], int]) -> None:
    """End the command with what `tell` says; Hydra only warns of an Exception in a callback."""
    from gan_lab.config.compose import Stop

    try:
        code = tell()
    except Exception as error:
        raise Stop(error) from error
    raise Stop(code=code)


def with_code(error: GanLabError, code: int) -> GanLabError:
    error.exit_code = code
    return error


def tell_job(config: Any, overrides: list[str], number: int) -> int:
    """Check one job of a sweep, print a line on it and what is wrong below, and return its exit code."""
    from gan_lab.config import compose as configuration
    from gan_lab.config.overrides import written

    try:
        code, sentences, data = findings(configuration.sweep_job(config, overrides, number).config)
    except GanLabError as error:
        code, sentences, data = error.exit_code, [str(error)], None
    note = f"  ({data.described})" if data and not data.is_there else ""
    print(f"job {number:<3} {'wrong' if code else 'ok   '}  {' '.join(written(overrides))}{note}")
    for line in [line for sentence in sentences for line in sentence.splitlines()]:
        print(f"    {line}")
    return code


# ---- one job --------------------------------------------------------------------------------------------------------


def findings(config: dict[str, Any]) -> tuple[int, list[str], "Data | None"]:
    """What keeps a configuration from training: an exit code, 0 if nothing does, the sentences; and its data."""
    if not config["stages"]:
        return findings_of_one(config)

    from gan_lab.launch.stages import planned

    sentences, codes = [], set()
    for stage in planned(config):
        code, wrong, data = findings_of_one(stage.config, stage.before)
        sentences += [f"stage {stage.name}: {sentence}" for sentence in wrong]
        codes |= {code} - {0}
    return codes.pop() if len(codes) == 1 else ConfigError.exit_code if codes else 0, sentences, data


def findings_of_one(
    config: dict[str, Any], before: dict[str, Any] | None = None
) -> tuple[int, list[str], "Data | None"]:
    """The findings of one run; `before` is the configuration of the stage whose weights it starts from."""
    from gan_lab.config import compat
    from gan_lab.config.build import build_game, build_optimizer
    from gan_lab.config.settings import TrainerSettings
    from gan_lab.training.machine import device_count, device_of
    from gan_lab.training.player import Player
    from gan_lab.training.schedule import build_turns
    from gan_lab.training.transfer import matched, matches

    errors, settings = [], TrainerSettings(**config["trainer"])

    def attempt(make: Callable[[], T]) -> T | None:
        try:
            return make()
        except GanLabError as error:
            errors.append(error)
            return None

    size = attempt(lambda: device_count(settings))
    data = attempt(lambda: data_of(config))
    game = attempt(lambda: build_game(config))
    if game is not None:
        attempt(lambda: build_turns(game, settings))
        for player in game.players:
            attempt(lambda player=player: build_optimizer(config, player, list(Player(player, game).parameters())))
    if game is not None and settings.init_from:
        start = lambda: matches(game, build_game(before).state_dict(), settings.init_from, settings.freeze)
        attempt(start if before else lambda: matched(game, settings.init_from, settings.freeze))
    if game is not None and data is not None and (data.is_there or set(game.needs) <= set(data.dataset.gives)):
        device = attempt(lambda: device_of(settings).type) or "cpu"
        parts = compat.Parts(data.dataset, game, settings, config["optimizer_overrides"], size or 1, device)
        errors += map(ConfigError, compat.complaints(parts))
    codes = {error.exit_code for error in errors}
    code = codes.pop() if len(codes) == 1 else ConfigError.exit_code if codes else 0
    return code, list(dict.fromkeys(map(str, errors))), data


@dataclass
class Data:
    """A dataset in a line; where its files are still to be fetched, the facts of its YAML stand for it."""

    dataset: Any
    described: str
    is_there: bool = True


def data_of(config: dict[str, Any]) -> Data:
    """The dataset of a configuration, without a download and without a cache on the disk; raises DataError."""
    node = quiet(config["dataset"])
    try:
        return found(json.dumps([node, config["trust"]]), config["trainer"]["batch_size"])
    except DataError as error:
        if TO_BE_FETCHED not in str(error) or any(
            level.get("download") is False for level in levels(config["dataset"])
        ):
            raise
        from gan_lab.config.fits import facts_of

        return Data(
            facts_of(node, config["trust"]),
            "its files are not here; training would download them first",
            is_there=False,
        )


def quiet(node: dict[str, Any]) -> dict[str, Any]:
    """A dataset's settings such that building it writes nothing."""
    return with_known(node, download=False, cache="never")


@lru_cache(maxsize=2)
def found(node_and_trust: str, batch_size: int) -> Data:
    """A dataset whose first batch can be read; the jobs of a sweep mostly share it."""
    import torch

    from gan_lab.config.build import build_dataset

    node, trust = json.loads(node_and_trust)
    dataset = build_dataset({"dataset": node, "trust": trust})
    dataset.rows(torch.arange(min(batch_size, len(dataset))))
    return Data(dataset, dataset.describe().splitlines()[0])
