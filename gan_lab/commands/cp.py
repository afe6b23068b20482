"""Copy a built-in YAML into a folder of your own, to change it there."""

import shlex
from pathlib import Path

from gan_lab.config.choices import find_file
from gan_lab.errors import ConfigError, ResourceError
from gan_lab.storage.files import place
from gan_lab.wording import typed

USAGE = """usage: gan-lab cp PART FILE

  PART  a name such as model/dcgan, loss/hinge, experiment/ring8, or dcgan where one group has it (gan-lab ls models)
  FILE  where to: <your folder>/<group>/<name>.yaml, for example my_conf/model/mine.yaml.
        Folders are made; a file that exists is never overwritten.

Exit codes: 0 copied, 2 an unknown part or a wrong place, 6 a place that cannot be written."""


def main(argv: list[str]) -> None:
    if not argv or {"-h", "--help"} & set(argv):
        return print(USAGE)
    if len(argv) != 2:
        raise ConfigError("cp takes two words: a part and a file, for example model/dcgan my_conf/model/mine.yaml.")
    group, name, source = find_file(argv[0])
    target = destination(group, name, argv[1])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(source.read_bytes())
    except FileExistsError:
        raise ConfigError(f"{str(target)!r} is there already and stays as it is; choose another name.") from None
    except OSError as error:
        raise ResourceError(f"cannot write {str(target)!r}: {error.strerror}.") from error

    # Say how to use it
    folder = target.parents[group.count("/") + 1]
    choice = f"{group}=[{target.stem}]" if "/" in group else f"{group}={target.stem}"
    words = f"--config-dir {quoted(folder)} {quoted(choice)}"
    gan_lab = typed("gan-lab")
    print(f"{target}\n  check it     {gan_lab} validate {words}\n  train it     {gan_lab} train {words}")
    return None


def destination(group: str, name: str, word: str) -> Path:
    """The file to write; ConfigError unless it lies in a folder that is called after the group."""
    path = place(word)
    if path.suffix != ".yaml":
        path = (path if is_of(group, path) else path / group) / f"{name.rpartition('/')[2]}.yaml"
    if not is_of(group, path.parent):
        example = path.parent / group / path.name
        raise ConfigError(f"{word!r} must lie in a folder called {group}, where it can be found: {example}.")
    return path


def is_of(group: str, folder: Path) -> bool:
    return f"/{folder.absolute().as_posix()}".endswith(f"/{group}")


def quoted(text: Path | str) -> str:
    """As a shell reads it."""
    return shlex.quote(str(text))
