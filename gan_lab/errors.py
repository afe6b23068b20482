"""What can go wrong for a user, each kind with its documented exit code; the message is the whole answer."""

import errno

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was not enough, of the machine or of a device, as Python or torch tell."""
    text = str(error)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in text


class GanLabError(Exception):
    """A mistake or a mishap that one to three lines explain: the cause, the offending value and the remedy."""

    exit_code = 1


class ConfigError(GanLabError):
    """A word, a type, a value or a combination in the configuration that cannot work."""

    exit_code = 2


class DataError(GanLabError):
    """Data that is missing, unreadable or not what the configuration says it is."""

    exit_code = 3


class MissingDataError(DataError):
    """A split or a file that is not there; what is wrong with one that is there is another DataError."""


class CheckpointError(GanLabError):
    """A checkpoint or a run directory that is missing, damaged or of another experiment."""

    exit_code = 4


class DivergedError(GanLabError):
    """Training that left the finite numbers and cannot go on."""

    exit_code = 5


class ResourceError(GanLabError):
    """A device, memory or disk that is not there or not enough."""

    exit_code = 6
