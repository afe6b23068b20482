"""Show a choice: its YAML, its class, what it works with; or where each setting of a run came from."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gan_lab.commands.ls import plural
from gan_lab.config.choices import CONF, choices, find_file, own_folders, with_own_folders
from gan_lab.config.options import parse
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.storage.files import CONFIG, text_of, yaml_of
from gan_lab.storage.finding import find_run
from gan_lab.wording import columns

USAGE = """usage: gan-lab show PART [trust=[mypackage]] [--config-dir DIR]
       gan-lab show run RUN [changed=true]

  PART          a name such as model/dcgan, loss/hinge, experiment/ring8, dcgan where one group has it, or a YAML file:
                prints its text, its source, the class that it builds, and what it works with
  RUN           a run's directory: each value of its configuration, and the file or command line it came from
  changed=true  only what the experiment, the command line or a resume changed
  --config-dir  a folder of your own YAML, in which parts are looked for too
  trust=[...]   packages of your own that the YAML names

Exit codes: 0 shown, 2 a wrong setting, 4 a run that is not there or cannot be read."""
ASKED = {"model": ("loss", "dataset"), "loss": ("model",), "loss/penalty": ("model",), "loss/view": ("model",),
         "dataset": ("model",)}  # fmt: skip
REMEDY = re.compile(r"Set ([\w.]+=[^\s,]+?)(?=[.,]?(?:\s|$))")


@dataclass
class PartOptions:
    """What `gan-lab show PART` understands."""

    trust: list[str] = field(default_factory=list)


@dataclass
class RunOptions:
    """What `gan-lab show run` understands."""

    changed: bool = False


def main(argv: list[str]) -> None:
    with with_own_folders(argv) as words:
        show(words)


def show(argv: list[str]) -> None:
    if not argv or {"-h", "--help"} & set(argv):
        return print(USAGE)
    if argv[0] == "run":
        return show_run(argv[1:])
    if (Path(argv[0]) / CONFIG).is_file():
        raise ConfigError(f"{argv[0]!r} is a run: gan-lab show run {' '.join(argv)}")
    return show_part(argv[0], parse(PartOptions, argv[1:], "show"))


# ---- runs -----------------------------------------------------------------------------------------------------------


def show_run(words: list[str]) -> None:
    if not words:
        raise ConfigError("show run needs a run, for example outputs/dcgan_digits/20261120-140502.")
    run, options = find_run(words[0]), parse(RunOptions, words[1:], "show")
    from gan_lab.config.provenance import origins

    found = [each for each in origins(run) if each.changed or not options.changed]
    columns([["key", "value", "origin"], *([each.key, text(each.value), each.source] for each in found)])


def text(value: Any) -> str:
    from gan_lab.config.schema import shown

    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return f"[{', '.join(value)}]"
    return value if isinstance(value, str) and value else shown(value)


# ---- parts ----------------------------------------------------------------------------------------------------------


def show_part(word: str, options: PartOptions) -> None:
    group, name, path = find_file(word)
    try:
        source, classes = text_of(path), dict(targets(yaml_of(path)))
    except CheckpointError as error:  # the file is no part of a run here
        raise ConfigError(str(error)) from error
    print(f"{group}/{name} in {path}\n\n{source.rstrip()}\n")
    for key, target in classes.items():
        tell_class(key, target)

    # Ask what it composes with, its own folder of YAML before the built-in one
    words = [f"{group}=[{name}]" if "/" in group else f"{group}={name}", f"trust=[{','.join(options.trust)}]"]
    folders = own_folders() if path.is_relative_to(CONF) else [*own_folders(), path.absolute().parents[depth(group)]]
    if group == "experiment":
        tell_experiment(words, folders)
    for other in ASKED.get(group, ()):
        tell_fits(group, words, other, folders)


def depth(group: str) -> int:
    return group.count("/") + 1


def targets(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each class that a YAML names, by the key where it stands, outermost first."""
    if isinstance(node, dict) and isinstance(node.get("_target_"), str):
        yield key, node["_target_"]
    for name, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from targets(value, f"{key}.{name}".lstrip("."))


def tell_class(key: str, target: str) -> None:
    """A class with what its source says of it: the outermost in full, an inner one in a line."""
    from gan_lab.config.signatures import OURS, find

    try:
        tree = find(target, (*OURS, target.partition(".")[0])).tree  # reads, and imports nothing
    except LookupError as error:
        return print(f"{target} {error}\n")
    says = (ast.get_docstring(tree) or "") if isinstance(tree, ast.ClassDef) else ""
    first, _, rest = says.partition("\n")
    if key:
        return print(f"{key}: {target}{': ' if first else ''}{first}\n")
    return print("\n  ".join([target, *([first] if first else []), *rest.splitlines()]).replace("  \n", "\n") + "\n")


def tell_fits(group: str, words: list[str], other: str, folders: list[Path]) -> None:
    """Which choices of another group compose with this one, as `compat` answers for each of them."""
    from gan_lab.training.observers import waiting

    with waiting(f"Asking which {plural(other)} fit", say=partial(print, file=sys.stderr)):
        found = answers(group, words, other, folders)
    fitting = [each for each, answer in found.items() if answer == []]
    print(f"{plural(other)} that fit: {', '.join(fitting) or 'none'}")
    unknown = [each for each, answer in found.items() if answer is None]
    if unknown:
        print(f"{plural(other)} whose files must tell: {', '.join(unknown)}")

    # Gather those with the same remedy, and give a reason once
    by_remedy = {}
    for each, answer in found.items():
        if answer:
            remedies = [remedy for line in answer for remedy in REMEDY.findall(line)]
            by_remedy.setdefault(" ".join(dict.fromkeys(remedies)), []).append(each)
    for remedy, names in by_remedy.items():
        print(f"{plural(other)} that {f'fit with {remedy}' if remedy else 'do not fit'}: {', '.join(names)}")
        for line in found[names[0]]:
            print(f"    {names[0]}: {line}")


def answers(group: str, words: list[str], other: str, folders: list[Path]) -> dict[str, list[str] | None]:
    """The complaints about this part with each choice of another group; None where only files can tell."""
    from gan_lab.config import fits
    from gan_lab.config.compose import own_folders as used

    with used(folders):
        if group == "dataset" or other == "dataset":
            return {each: fits.complaints([*words, f"{other}={each}"]) for each in choices(other)}
        if group == "model":
            place = fits.playground(words)
            return {each: fits.complaints([*words, f"{other}={each}", place]) for each in choices(other)}
        return {each: fits.complaints_anywhere(words, f"{other}={each}") for each in choices(other)}


def tell_experiment(words: list[str], folders: list[Path]) -> None:
    from gan_lab.config import fits
    from gan_lab.config.compose import own_folders as used

    with used(folders):
        answer = fits.complaints(words)
    print("its parts do not fit:\n    " + "\n    ".join(answer) if answer else "its parts fit")
