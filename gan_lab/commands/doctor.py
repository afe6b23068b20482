"""Report versions, devices, disk space, data and speed, for example for a bug report."""

import contextlib
import io
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gan_lab.config.choices import choices
from gan_lab.config.options import parse
from gan_lab.errors import GanLabError
from gan_lab.storage.files import place
from gan_lab.version import __version__
from gan_lab.wording import counted

USAGE = """usage: gan-lab doctor [root=data] [outputs=outputs]

Takes about ten seconds and changes nothing. Names of machines and users are left out; the home directory becomes ~.

  root=data        where the files of datasets lie: each built-in dataset that reads files is tried there
  outputs=outputs  where runs are to be written

Exit codes: 0 whatever is found, 2 a wrong setting."""
PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "pillow", "tensorboard", "scikit-learn")
TRIAL = "experiment=dcgan_digits"
SHARED_MEMORY = Path("/dev/shm")
LOOK_SECONDS = 8.0  # spent on data; sets that are not reached by then are named
GIB = 2**30


@dataclass
class Options:
    """What `gan-lab doctor` understands."""

    root: str = "data"
    outputs: str = "outputs"


def main(argv: list[str]) -> None:
    if {"-h", "--help"} & set(argv):
        return print(USAGE)
    options = parse(Options, argv, "doctor")
    for title, lines in (
        ("versions", versions()),
        ("devices", devices()),
        ("disk", disk(place(options.outputs))),
        (f"data in {options.root}", data(options.root)),
        ("speed", speed()),
    ):
        print(private(title))
        for line in lines:
            print(f"  {private(line)}", flush=True)
    return None


def private(line: str) -> str:
    """Without what tells who is asking."""
    home = str(Path.home())
    return line.replace(home, "~") if len(home) > 1 else line


def versions() -> Iterator[str]:
    from gan_lab.training.record import git_state

    git = git_state()
    state = f", commit {git['commit'][:12]}{', with changes' if git['dirty'] else ''}" if git else ""
    yield f"gan-lab {__version__}{state}"
    yield f"python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}"
    yield ", ".join(f"{package} {installed(package)}" for package in PACKAGES)


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "MISSING"


def devices() -> Iterator[str]:
    import torch

    from gan_lab.config.settings import TrainerSettings
    from gan_lab.training.machine import free_memory, precision, precision_name

    found = [torch.device("cpu"), *(torch.device("cuda", i) for i in range(torch.cuda.device_count()))]
    for device in found:
        auto = precision_name(precision(TrainerSettings(), device))
        half = ", fp16" if device.type == "cuda" else ""
        native = f"native fp32{half}{', bf16' if auto == 'bf16' else ''}; trainer.precision=auto is {auto}"
        if device.type == "cpu":
            vectors = torch.backends.cpu.get_cpu_capability()
            memory = f"{free_memory() / GIB:.1f} GiB of memory free"
            cores = counted(os.cpu_count() or 1, "core")
            yield f"cpu: {cores}, {threads(torch.get_num_threads())}, {vectors}, {memory}; {native}"
            continue
        facts, (free, total) = torch.cuda.get_device_properties(device), torch.cuda.mem_get_info(device)
        memory = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
        chip = f"{facts.name}, capability {facts.major}.{facts.minor}, CUDA {torch.version.cuda}"
        yield f"{device}: {chip}, {memory}; {native}"
    if len(found) == 1:
        yield f"cuda: none{'' if torch.version.cuda else ' (this torch is built without CUDA)'}"


def threads(count: int) -> str:
    return counted(count, "thread")


def disk(outputs: Path) -> Iterator[str]:
    there = next(folder for folder in (outputs.absolute(), *outputs.absolute().parents) if folder.is_dir())
    yield f"{outputs}: {shutil.disk_usage(there).free / GIB:,.1f} GiB free"
    try:
        with tempfile.TemporaryFile(dir=there):
            yield f"{outputs}: can be written"
    except OSError as error:
        yield f"{outputs}: TRAP: cannot be written: {error.strerror}; choose another place with run.root=..."
    if SHARED_MEMORY.is_dir():
        size = shutil.disk_usage(SHARED_MEMORY)
        small = size.total < 0.25 * GIB
        trap = ", TRAP: too small for several processes; in a container: --shm-size=1g" if small else ""
        yield f"{SHARED_MEMORY}: {size.free / GIB:.2f} of {size.total / GIB:.2f} GiB free{trap}"


def data(root: str) -> Iterator[str]:
    """Each dataset that reads files below a root: found, missing, or damaged."""
    import yaml

    started = time.monotonic()
    for name, path in choices("dataset").items():
        node = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "root" in node:
            seconds_left = LOOK_SECONDS - (time.monotonic() - started)
            yield f"{name}: {there(name, root) if seconds_left > 0 else 'not checked: out of time'}"


def there(name: str, root: str) -> str:
    """What building a dataset from its files alone says, in a line."""
    from gan_lab.commands.validate import TO_BE_FETCHED, quiet
    from gan_lab.config.build import build_dataset
    from gan_lab.config.compose import compose
    from gan_lab.config.overrides import rewritten

    try:
        config = compose(["model=gan", f"dataset={name}", rewritten(f"dataset.root={root}")])
        dataset = build_dataset(config | {"dataset": quiet(config["dataset"])})
    except GanLabError as error:
        is_missing = TO_BE_FETCHED in str(error)
        return "not there; it is downloaded when it is first used" if is_missing else str(error).splitlines()[0]
    return f"found, {len(dataset):,} samples"


def speed() -> Iterator[str]:
    """The demo's step, with the threads that a run would take and with one."""
    import torch

    from gan_lab.config.compose import compose

    config, usual = compose([TRIAL]), torch.get_num_threads()
    try:
        rates = {usual: images_a_second(config)}
        if usual > 1:
            torch.set_num_threads(1)
            rates[1] = images_a_second(config)
    except GanLabError as error:
        yield f"the trial step failed: {error}"
        return
    finally:
        torch.set_num_threads(usual)
    figures = ", ".join(f"{rate:,.0f} images/s with {threads(n)}" for n, rate in rates.items())
    yield f"{TRIAL.partition('=')[2]} on {'cuda' if torch.cuda.is_available() else 'cpu'}: {figures}"
    if usual > 1 and rates[1] > rates[usual] and not torch.cuda.is_available():
        yield "TRAP: more threads are slower here, as on a busy machine: set trainer.threads=1"
    if os.name != "nt" and os.getloadavg()[0] > (os.cpu_count() or 1):
        yield f"TRAP: {os.getloadavg()[0]:.1f} processes want the {os.cpu_count()} cores, so that these figures are low"


def images_a_second(config: dict[str, Any]) -> float:
    """In the best of three rounds, after the first."""
    from gan_lab.config.settings import TrainerSettings
    from gan_lab.training.assembly import assemble, rehearse
    from gan_lab.training.distributed import World
    from gan_lab.training.machine import device_of

    settings = TrainerSettings(**config["trainer"])
    with contextlib.redirect_stdout(io.StringIO()):
        trainer, _ = assemble(config, settings, World(0, 1, device_of(settings)))
    return trainer.loader.images / rehearse(trainer)
