"""A folder or zip file of any number of domains: pictures of each, which do not belong together."""

from pathlib import Path
from typing import Any, Literal

import torch

from gan_lab.datasets.decode import EXTENSIONS
from gan_lab.datasets.folder import Folder
from gan_lab.datasets.layout import Choice, common_folder, count_domains, find_domains, is_held_out
from gan_lab.datasets.many import Many
from gan_lab.datasets.source import open_source
from gan_lab.errors import DataError


class DomainsFolder(Many):
    """A folder for each domain, whose name is that of the domain: monet/, photo/, and more.

    Splits stand above or below them as in a `Folder` (train/monet, monet/train), or in one word with them (trainA,
    trainB, testA, testB, or train0, train1, ...), whose domains are A and B, or 0, 1, ... Each is read as a `Folder`:
    its pictures may lie deeper, and other settings mean the same. A test split has the domains of train. `num_classes`
    null takes the domains as found, a number asserts how many there are. Raises DataError where there are not two, or
    one of them has a single picture.
    """

    def __init__(
        self,
        path: str,
        split: str | None = None,
        on_error: Literal["stop", "skip"] = "stop",
        max_pixels: int = 50_000_000,
        background: int | list[int] = 255,
        range: list[int] | None = None,
        cache: str = "auto",
        seed: int = 0,
        flip: bool = False,
        jitter: int = 0,
        channels: int = 3,
        image_size: int | list[int] = 256,
        num_classes: int | None = None,
    ):
        self.path = Path(path).expanduser()
        names = [name for name in open_source(self.path).files if name.lower().endswith(EXTENSIONS)]
        found = find_domains(names, split, self.path)
        if num_classes not in (None, len(found)):
            raise DataError(
                f"dataset.num_classes={num_classes}, but {self.path} has {len(found)} domains: {', '.join(found)}.\n"
                f"Set dataset.num_classes={len(found)}, or null to take them as they are."
            )
        single = next((name for name, its in found.items() if len(its) < 2), None)
        if single is not None and not is_held_out(split):
            raise DataError(
                f"{self.path}: the domain {single} has one picture, {found[single][0]}, from which nothing can be "
                "learnt of a domain. Put more of its pictures there, or remove its folder."
            )
        domains = [
            Domain(
                its, path, split, on_error, max_pixels, background, range, cache,
                jitter=jitter, channels=channels, image_size=image_size, num_classes=0,
            )
            for its in found.values()
        ]  # fmt: skip
        super().__init__(domains, [torch.arange(len(each)) for each in domains], list(found), seed, flip, jitter)

    @classmethod
    def numbers(cls, settings: dict[str, Any]) -> dict[str, int | None]:
        return {"num_classes": count_domains(settings["path"], settings.get("split"))}

    def describe(self) -> str:
        return f"{super().describe()}\nfrom {self.path}; what lies beside what follows from seed {self.seed}"


class Domain(Folder):
    """The pictures of one domain, by their names."""

    def __init__(self, wanted: list[str], *args, **settings):
        self.wanted = wanted
        super().__init__(*args, **settings)

    def chosen(self, names: list[str], split: str | None) -> Choice:
        return Choice(common_folder(self.wanted), self.wanted)
