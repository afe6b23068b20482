"""The command: finds the verb, hands it the rest of the line, and turns what goes wrong into a sentence and a code."""

import ast
import codecs
import errno
import io
import os
import sys
import traceback
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

from gan_lab.errors import DISK_IS_FULL, ConfigError, GanLabError, ResourceError, fault_in, in_words, is_out_of_memory
from gan_lab.streams import filled, steady
from gan_lab.version import __version__

TRAINING = ("train", "resume")  # go on when nobody reads what they say
VERBS = Path(__file__).parent / "commands"  # a file is a verb, the first line of its docstring what it does


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    filled()
    codecs.register_error("escaped", escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="escaped")
    debug = "--debug" in argv
    try:
        return dispatch([word for word in argv if word != "--debug"]) or 0
    except GanLabError as error:
        if debug:
            traceback.print_exc()
        print(f"gan-lab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        print("gan-lab: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in DISK_IS_FULL and not debug and error.filename is not None:
            print(f"gan-lab: {error.filename!r} cannot be used: {error.strerror}.", file=sys.stderr)
            return ConfigError.exit_code if error.errno == errno.ENAMETOOLONG else ResourceError.exit_code
        if error.errno not in DISK_IS_FULL:
            return bug(error, debug)
        print("gan-lab: The disk is full. Free some space, or choose another place with run.root=...", file=sys.stderr)
        return ResourceError.exit_code
    except Exception as error:
        if debug or not is_out_of_memory(error):
            return bug(error, debug)
        print("gan-lab: Out of memory. Ask for less at once, such as a smaller n=...", file=sys.stderr)
        return ResourceError.exit_code


def escaped(error: UnicodeError) -> tuple[str, int]:
    """What stands for letters that a terminal does not know: a plain mark like them, or their number."""
    plain = {"↑": "^", "↓": "v", "±": "+-"}
    word = error.object[error.start : error.end]
    return "".join(
        plain.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in word
    ), error.end


def bug(error: Exception, debug: bool = False) -> int:
    """Tell of an error that nobody foresaw: whose it is, gan-lab's or that of the user's own code."""
    is_theirs = bool(fault_in(error))
    if debug or not is_theirs:
        traceback.print_exc()
    if is_theirs:
        print(f"gan-lab: {in_words(error)}. That code is no part of gan-lab; --debug shows all calls.", file=sys.stderr)
        return ConfigError.exit_code
    print("gan-lab: this is a bug; please report it with the lines above.", file=sys.stderr)
    return 1


def dispatch(argv: list[str]) -> int | None:
    verb, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if verb in ("--help", "-h", "help"):
        return print(usage())
    if verb in ("--version", "-V"):
        return print(f"gan-lab {__version__}")
    if verb in ("-sc", "--shell-completion"):
        return complete(rest)
    if verb in verbs():
        with steady() if verb in TRAINING else nullcontext():
            return import_module(f"gan_lab.commands.{verb}").main(rest)
    raise unknown(verb)


def verbs() -> dict[str, str]:
    """Each verb with one line on what it does, without importing any."""
    files = sorted(path for path in VERBS.glob("*.py") if path.stem != "__init__")
    return {path.stem: (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n")[0] for path in files}


def usage() -> str:
    lines = [f"  {verb:<10} {what}" for verb, what in verbs().items()]
    return "\n".join(
        [
            "Train, compare and understand generative adversarial networks.",
            "",
            "usage: gan-lab COMMAND ...      (gan-lab COMMAND --help says more)",
            "",
            *lines,
            "",
            "  --version  the version",
            "  --debug    the traceback of an error, with any command",
            "",
            "first run:       gan-lab train",
            'tab completion:  eval "$(gan-lab train -sc install=bash)"',
        ]
    )


def unknown(verb: str) -> GanLabError:
    from gan_lab.wording import meant

    if "=" in verb:
        return ConfigError(f"{verb!r} is a setting, not a command; settings follow a command: gan-lab train {verb}")
    near = meant(verb, verbs()) or f"; the commands are {', '.join(verbs())}"
    return ConfigError(f"unknown command {verb!r}{near}")


def complete(argv: list[str]) -> int | None:
    """Answer the shell, which asks `gan-lab -sc query=bash` and passes its line in COMP_LINE."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    is_verb = len(words) < 2 or (len(words) == 2 and not line.endswith(" "))
    if "query=bash" in argv and is_verb:
        return print(" ".join(verbs()))

    # Let train complete what follows it, without the options that are not Hydra's
    if "query=bash" in argv:
        if words[1] not in ("train", "validate", "data"):
            return None
        kept = [word for word in words[2:] if not word.startswith("-") or word == "-m"]
        os.environ["COMP_LINE"] = " ".join([words[0], *kept, *([""] if line.endswith(" ") else [])])
    return import_module("gan_lab.commands.train").main(["-sc", *argv])
