"""One file from the first address that gives it: whole and verified, or not there at all."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from tqdm import tqdm

from gan_lab.errors import MissingDataError

TIMEOUT_SECONDS = 30
PIECE = 1 << 20  # bytes read at a time


def download_file(target: Path, addresses: Sequence[str], checksum: str, remedy: str, kind: str = "md5") -> None:
    """Fetch `target`, checked by a checksum of this kind.

    Where that fails, leave no trace and raise a MissingDataError with each reason and the remedy.
    """
    reasons = []
    for address in addresses:
        try:
            fetch(target, address, checksum, kind)
            return
        except (OSError, HTTPException) as error:  # URLError is an OSError
            reasons.append(f"{address}: {getattr(error, 'reason', error)}")
    raise MissingDataError(f"{target} is missing and could not be downloaded ({'; '.join(reasons)}).\n{remedy}")


def fetch(target: Path, address: str, checksum: str, kind: str) -> None:
    new_folders = [folder for folder in target.parents if not folder.exists()]  # innermost first
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.new(kind, usedforsecurity=False)
        with urlopen(address, timeout=TIMEOUT_SECONDS) as answer, part.open("wb") as file:
            length = int(answer.headers.get("Content-Length", 0)) or None
            with tqdm(total=length, unit="B", unit_scale=True, desc=target.name, delay=2, disable=None) as bar:
                while piece := answer.read(PIECE):
                    file.write(piece)
                    digest.update(piece)
                    bar.update(len(piece))
        if digest.hexdigest() != checksum:
            raise OSError(f"what came has {kind} {digest.hexdigest()}, expected {checksum}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        for folder in new_folders:
            with suppress(OSError):  # not empty: the file has arrived
                folder.rmdir()
