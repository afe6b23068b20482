"""The machine under a run: its devices, precision, memory and threads, and the signals that end a process."""

import ctypes
import os
import platform
import signal
import time
from contextlib import contextmanager

import torch

from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Dataset
from gan_lab.errors import DISK_IS_FULL, ConfigError, ResourceError, is_out_of_memory


def device_of(settings: TrainerSettings) -> torch.device:
    """The device that the settings ask for; raises ResourceError if it is not there."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(settings.device)
    except RuntimeError:
        raise ConfigError(f"trainer.device={settings.device} is not known; choose auto, cpu, cuda or cuda:0.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ResourceError("trainer.device=cuda: this machine has no CUDA device. Set trainer.device=cpu, or auto.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"trainer.device={settings.device}: this machine has {torch.cuda.device_count()} CUDA devices, from cuda:0."
        )
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"trainer.device={settings.device} is not supported; choose auto, cpu, cuda or cuda:0.")
    return device


def device_count(settings: TrainerSettings) -> int:
    """How many processes to train with."""
    device = device_of(settings)
    there = torch.cuda.device_count() if device.type == "cuda" else (os.cpu_count() or 1)
    if settings.devices == "auto":
        return there if device.type == "cuda" else 1
    if settings.devices > there:
        raise ResourceError(
            f"trainer.devices={settings.devices}: this machine has {there} ({device.type}). "
            f"Set trainer.devices={there}."
        )
    return settings.devices


def precision(settings: TrainerSettings, device: torch.device) -> torch.dtype | None:
    """The autocast type: None is float32. `auto` takes bfloat16 where the device has it natively."""
    if settings.precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[settings.precision]


def precision_name(amp):
    return {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[amp]


def is_resident(settings: TrainerSettings, dataset: Dataset, device: torch.device) -> bool:
    """Whether the whole dataset lies on the device: where it takes less than half of the free memory."""
    if settings.placement != "auto":
        return settings.placement == "resident"
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    return dataset.nbytes < free / 2


def free_memory() -> int:
    """Bytes of free memory; 4 GiB where the system does not tell, as on macOS and Windows."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def tune_process(settings: TrainerSettings, device: torch.device, size: int) -> None:
    """Threads, kernels, memory and the current GPU of this process; asked for once."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    if settings.threads or size > 1:
        torch.set_num_threads(settings.threads or max(1, (os.cpu_count() or 1) // size))
    if device.type == "cuda":
        # torch has TF32 for convolutions and not for matrices; here one setting holds for both
        torch.set_float32_matmul_precision(settings.matmul_precision)
        torch.backends.cudnn.allow_tf32 = settings.matmul_precision != "highest"
    torch.backends.cudnn.benchmark = not settings.deterministic
    if settings.deterministic and torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if platform.libc_ver()[0] == "glibc":
        # Keep the memory of activations instead of mapping it anew at every step (mallopt(3))
        libc = ctypes.CDLL(None)
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
            libc.mallopt(parameter, value)


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


SAME_SIGNAL_SECONDS = 0.5


@contextmanager
def signals(stop):
    """Call `stop(number)` at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once.

    What follows within half a second is the same one: a terminal and a launcher both tell each process of Ctrl-C.
    """
    seen = []

    def handle(number, frame):
        if not seen:
            seen.append(time.monotonic())
            stop(number)
        elif time.monotonic() - seen[0] > SAME_SIGNAL_SECONDS:
            os._exit(128 + number)

    try:
        before = {number: signal.signal(number, handle) for number in ends()}
    except ValueError:  # not the main thread, as in a notebook: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ends() -> list[int]:
    """The signals that end a run; that of a closed terminal only where `nohup` has not said to ignore it."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if os.name != "nt" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def translated(error: Exception, settings: TrainerSettings | None) -> Exception:
    """Out of memory and disk as a sentence; any other error as it is."""
    if is_out_of_memory(error):
        now = f" (now {settings.batch_size})" if settings else ""
        return ResourceError(
            f"Out of memory. Set a smaller trainer.batch_size{now}, keep the effective batch with "
            "trainer.accumulate=2, or set trainer.precision=bf16 or trainer.placement=streamed."
        )
    if isinstance(error, OSError) and error.errno in DISK_IS_FULL:
        return ResourceError("The disk is full. Free some space, then `gan-lab resume` the run.")
    return error
