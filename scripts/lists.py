"""Write docs/choices.md: every choice of every config group, with the comment that its YAML file begins with.

Usage: python scripts/lists.py [--check]    --check writes nothing and ends with 1 where the page is stale
"""

import os
import sys
from pathlib import Path

from gan_lab.config.choices import choices, description, groups

PAGE = Path(__file__).resolve().parents[1] / "docs" / "choices.md"
REMEDY = "docs/choices.md is stale: run `python scripts/lists.py`."
HEAD = """# What can be chosen

`python scripts/lists.py` writes this page from the first comment of each file in `conf`; do not edit it.

A word of a command chooses: `gan-lab train model=dcgan dataset=mnist`. Of `loss/penalty` and `loss/view` several can be
chosen at once: `gan-lab train loss/penalty=[r1,r2]`. `gan-lab show model/dcgan` shows a file, `gan-lab train --cfg job`
all settings of a run. What the tricks among them are good for stands in [tricks.md](tricks.md).
"""


def main(words: list[str]) -> int:
    if set(words) - {"--check"}:
        print(__doc__.strip())
        return 2
    os.environ.pop("GAN_LAB_CONFIG_DIR", None)  # the user's own files are no part of the page
    text = page()
    if "--check" not in words:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    is_stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
    if is_stale:
        print(REMEDY, file=sys.stderr)
    return int(is_stale)


def page() -> str:
    """The page, with a table for each group that offers something."""
    found = {group: choices(group) for group in [*groups(), "hydra/launcher"]}
    return "\n".join([HEAD, *(table(group, files) for group, files in found.items() if files)])


def table(group: str, files: dict[str, Path]) -> str:
    rows = [f"| `{name}` | {description(file).replace('|', chr(92) + '|')} |" for name, file in files.items()]
    return "\n".join([f"## {group}", "", f"| `{group}=` | what it is |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
