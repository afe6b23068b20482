"""What a training says when nobody listens any more: nothing, and it goes on."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

GONE = (errno.EPIPE, errno.EIO)  # the reader of a pipe, such as `head`; the terminal


class Steady:
    """A stream that falls silent where its reader is gone, in place of an error in the midst of a training."""

    def __init__(self, stream: Any):
        self.stream, self.is_open = stream, True

    def write(self, text: str) -> int:
        self.attempt(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self.attempt(self.stream.flush)

    def attempt(self, act) -> None:
        if not self.is_open:
            return
        try:
            act()
        except OSError as error:
            if error.errno not in GONE:
                raise
            self.is_open = False
            with suppress(io.UnsupportedOperation):  # what is buffered would fail again when the process ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def filled() -> None:
    """Put the null device where the caller closed a stream, so that no file of ours takes its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


@contextmanager
def steady() -> Iterator[None]:
    """Let both streams of this process be steady."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Steady(sys.stdout), Steady(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
