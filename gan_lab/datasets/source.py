"""Files in a folder or in a zip file, which is read in place: their names, their bytes, and what tells a change."""

import os
import re
import stat
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from gan_lab.datasets.decode import Unreadable
from gan_lab.errors import DataError


class Source(Protocol):
    """`files` are the names of all files, sorted, with `/` between folders; several threads may read at once."""

    files: list[str]

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file; raises Unreadable, also where there are more than `most`."""

    def stamp(self, name: str) -> tuple[int, int]:
        """Bytes of a file, and a number that changes with its content."""


def open_source(path: Path) -> Source:
    """A folder or a zip file; hidden files are left out. Raises DataError."""
    if path.is_dir():
        return Directory(path)
    if not path.exists():
        raise DataError(f"{path} does not exist (looked in {Path.cwd()}). Set dataset.path to a folder or a zip file.")
    try:
        if not path.is_file():  # a pipe or a device may never end
            raise OSError("not a regular file")
        return Archive(zipfile.ZipFile(path))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is neither a folder nor a zip file that can be read ({error}).") from error


class Directory:
    """The files below a folder; their stamp is the time of the last change."""

    def __init__(self, path: Path):
        self.path, self.files = path, sorted(walk(path))

    def read(self, name: str, most: int) -> bytes:
        return read_file(self.path / name, most)

    def stamp(self, name: str) -> tuple[int, int]:
        try:
            found = (self.path / name).stat()
        except OSError:  # a link to nowhere: named when it is read
            return 0, 0
        return found.st_size, found.st_mtime_ns


class Archive:
    """The members of a zip file, by names with `/` also where Windows wrote them with a backslash.

    Their stamp is the checksum that the archive lists. DataError for a name that leads out of the archive, so that
    whoever writes files by these names stays where it writes.
    """

    def __init__(self, archive: zipfile.ZipFile):
        self.archive, self.lock = archive, threading.Lock()
        members = {member.filename.replace("\\", "/"): member for member in archive.infolist()}
        if wrong := next((name for name in members if leads_out(name)), None):
            raise DataError(f"{archive.filename} is refused: the name of its member {wrong!r} leads out of it.")
        self.members = {name: member for name, member in members.items() if name[-1:] != "/" and not hidden(name)}
        self.files = sorted(self.members)

    def read(self, name: str, most: int) -> bytes:
        try:
            with self.lock, self.archive.open(self.members[name]) as file:
                return limited(file.read(most + 1), most)
        except Unreadable:
            raise
        except Exception as error:  # encrypted, of an unknown method, damaged: zipfile raises each in its own way
            raise Unreadable(str(error)) from error

    def stamp(self, name: str) -> tuple[int, int]:
        member = self.members[name]
        return member.file_size, member.CRC


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a regular file; raises Unreadable, also where there are more than `most`."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe or a device may never end
            raise Unreadable("not a regular file")
        with path.open("rb") as file:
            return limited(file.read(min(most, found.st_size) + 1), most)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero in it
        raise Unreadable(str(error)) from error


def walk(root: Path) -> Iterable[str]:
    """Names of the files below a folder; links to folders are followed, each folder is entered once."""
    entered = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        here = Path(folder)
        entered.add(here.resolve())
        folders[:] = [name for name in folders if not hidden(name) and (here / name).resolve() not in entered]
        yield from ((here / name).relative_to(root).as_posix() for name in files if not hidden(name))


def hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def leads_out(name: str) -> bool:
    """Whether a name of an archive is absolute, begins with a drive or climbs: it may not become a path."""
    return name.startswith("/") or bool(re.match("[A-Za-z]:", name)) or ".." in name.split("/")


def limited(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise Unreadable(f"more than {most:,} bytes, too many for max_pixels")
    return data
