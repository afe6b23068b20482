"""What lies in a run's directory, read by its shape and within limits: a sentence about what cannot be used."""

import csv
import errno
import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.wording import shortened

CONFIG, SUMMARY, TABLE, RECORD = "config.yaml", "summary.json", "metrics.csv", "job.json"
OVERRIDES, START, RESULTS = "overrides.txt", "start.json", "results.png"
STAGES = "stages.json"  # of an experiment in stages, whose runs lie below it
MARK = ".gan-lab"  # written when a run begins in a directory of its own
MEBIBYTE = 2**20
MOST_BYTES = {CONFIG: MEBIBYTE // 2, TABLE: 256 * MEBIBYTE}  # of one file; of another 16 MiB
MOST_DEPTH, MOST_VALUES = 50, 200_000  # of a file of JSON or YAML, its aliases written out
MOST_FOLDERS = 50_000  # below a place where runs are looked for
NAME_BYTES, PATH_BYTES = 255, 4095  # that file systems take
KEPT_ASIDE = {".hydra", ".git"}  # where no run lies


def user_cache() -> Path:
    """gan-lab's directory among the user's caches: packs, judges, statistics; all in it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "gan-lab"


def place(word: str | Path) -> Path:
    """The path that a word names, with `~` written out; ConfigError for one that no file can have."""
    try:
        path = Path(word).expanduser()
        sizes = [len(os.fsencode(part)) for part in path.parts]
    except RuntimeError:
        raise ConfigError(f"{shortened(str(word))!r}: there is no user of that name; write the path in full.") from None
    except UnicodeEncodeError:
        raise ConfigError(f"{shortened(str(word))!r} is no name that a file can have.") from None
    if "\0" in str(path):
        raise ConfigError(f"{shortened(str(word))!r} holds a null character, which no file's name can.")
    if max(sizes, default=0) > NAME_BYTES or sum(sizes) + len(sizes) > PATH_BYTES:
        limit = f"at most {NAME_BYTES} bytes in a name and {PATH_BYTES:,} in all"
        raise ConfigError(f"{shortened(str(word))!r} is too long for a path: {limit}.")
    return path


def folders_with(root: Path, *names: str) -> list[Path]:
    """The folders below `root` that hold a file of one of these names; ConfigError where there are too many."""
    found = []
    for number, (folder, inner, files) in enumerate(os.walk(root)):
        if number >= MOST_FOLDERS:
            far = f"more than {MOST_FOLDERS:,} folders lie below {str(root)!r}"
            raise ConfigError(f"{far}, so no runs are looked for there; name a place nearer to them.")
        inner[:] = [name for name in inner if name not in KEPT_ASIDE]
        if set(names) & set(files):
            found.append(Path(folder))
    return found


# ---- one file -------------------------------------------------------------------------------------------------------


def text_of(file: Path) -> str:
    """The text of a regular file of a reasonable size; CheckpointError where it cannot be read."""
    most = MOST_BYTES.get(file.name, 16 * MEBIBYTE)
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise unreadable(file, "it is no regular file")
        if facts.st_size > most:
            raise unreadable(file, f"it has {facts.st_size:,} bytes, and at most {most:,} are read")
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise unreadable(file, error.strerror) from error
    except UnicodeDecodeError as error:
        raise unreadable(file, f"it is not UTF-8 ({error.reason} at byte {error.start:,})") from error


def json_of(file: Path) -> Any:
    return parsed(file, json.loads)


def yaml_of(file: Path) -> Any:
    """What a file of YAML holds; CheckpointError where it is damaged, or grows beyond limits by its aliases."""
    import yaml

    return parsed(file, yaml.safe_load, yaml.YAMLError)


def parsed(file: Path, read: Callable[[str], Any], *errors: type[Exception]) -> Any:
    try:
        value = read(text_of(file))
    except RecursionError:
        raise unreadable(file, f"it is nested more than {MOST_DEPTH} deep") from None
    except (ValueError, TypeError, AttributeError, OverflowError, *errors) as error:  # YAML's own types too
        raise unreadable(file, " ".join(str(error).split())[:200]) from error
    if reason := excess(value):
        raise unreadable(file, reason)
    return value


def excess(value: Any) -> str:
    """What is too much of a nested value, or nothing; what stands in several places counts in each."""
    level, count = [value], 0
    for _ in range(MOST_DEPTH):
        below = []
        for item in level:
            inner = item.values() if isinstance(item, dict) else item if isinstance(item, list | set | tuple) else ()
            count += 1 + len(inner)
            if count > MOST_VALUES:
                return f"it holds more than {MOST_VALUES:,} values, its aliases written out"
            below += inner
        level = below
    return f"it is nested more than {MOST_DEPTH} deep" if level else ""


def unreadable(file: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{str(file)!r} cannot be read: {reason}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside a file, for what takes its place in one step; after an error nothing is left under it."""
    temporary = path.with_name(f".{path.name}.tmp{os.getpid()}")
    try:
        with suppress(FileNotFoundError):
            temporary.unlink()  # a link there would lead to another file
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def itself(name: str, flags: int) -> int:
    """For `open(..., opener=itself)`: a file of a run by its own name, never another one through a link.

    Whoever made a run that came from elsewhere could else choose which of the user's files is written over.
    """
    try:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, and no file of a run is written through one", name) from None
        raise


def sweep(run: Path) -> None:
    """Remove what a process that was killed left half written in a run's directory."""
    for place in (run, run / "samples", run / "checkpoints"):
        for path in place.glob("*.tmp*"):
            if HALF_WRITTEN.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)


HALF_WRITTEN = re.compile(
    r"\.(?:[a-z]+|best|step-\d{8,})\.(?:json|yaml|csv|txt|gif|png)\.tmp\d+|(?:step-\d{8,}|best)\.tmp\d+"
)


# ---- shapes ---------------------------------------------------------------------------------------------------------


def is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(is_name(key) for key in value)


def is_name(value: Any) -> bool:
    """A text of one line that a terminal can show."""
    return isinstance(value, str) and len(value) <= 1000 and not any(ord(letter) < 32 for letter in value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_value(value: Any) -> bool:
    """A number, or one that JSON can only hold as a word: nan, inf."""
    try:
        return not isinstance(value, bool) and isinstance(float(value), float)
    except (TypeError, ValueError, OverflowError):
        return False


def is_part(value: Any) -> bool:
    return is_mapping(value) and is_name(value.get("_target_"))


def are_values(value: Any) -> bool:
    return is_mapping(value) and all(map(is_value, value.values()))


def are_figures(value: Any) -> bool:
    return is_mapping(value) and all(
        isinstance(figure, dict) and is_value(figure.get("value")) and is_mapping(figure.get("protocol"))
        for figure in value.values()
    )


def are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


MAPPING, NAME, COUNT = (is_mapping, "a mapping"), (is_name, "text"), (is_count, "a whole number from 0")
PART, NAMES = (is_part, "a mapping with a _target_"), (are_names, "a list of texts")
VALUES, FIGURES = (are_values, "a mapping to numbers"), (are_figures, "a mapping to values with their protocols")
NUMBER, TEXT = (is_value, "a number"), (lambda value: isinstance(value, str), "text")
SHAPES = {  # what a file must hold, and what it may hold
    CONFIG: (
        {"seed": COUNT, "dataset": PART, "model": PART, "loss": PART, "trainer": MAPPING},
        {"optimizer": MAPPING, "optimizer_overrides": MAPPING, "run": MAPPING, "trust": NAMES},
    ),
    SUMMARY: (
        {},
        {"status": NAME, "step": COUNT, "images": COUNT, "seconds": NUMBER, "signal": COUNT, "metrics": VALUES,
         "figures": FIGURES, "evaluation": FIGURES, "best": MAPPING},
    ),
    MARK: ({"made_by": NAME}, {"began": NAME}),
    START: ({"config": MAPPING, "names": MAPPING, "samples": COUNT}, {"empty": NAMES, "digest": NAME}),
    STAGES: ({"overrides": NAMES, "config": MAPPING}, {}),
    RECORD: (
        {"job": COUNT, "overrides": NAMES, "status": NAME},
        {"config": MAPPING, "metrics": VALUES, "seconds": NUMBER, "error": TEXT, "code": COUNT},
    ),
}  # fmt: skip


def shaped(file: Path, value: Any) -> dict[str, Any]:
    """The content of a file if it has the shape of its kind, in today's names; CheckpointError if not."""
    must, may = SHAPES[file.name]
    if not isinstance(value, dict):
        raise unreadable(file, "it holds no mapping")
    for name, (fits, words) in (must | may).items():
        if name not in value and name in must:
            raise unreadable(file, f"it has no {name}")
        if name in value and not fits(value[name]):
            raise unreadable(file, f"{name} must be {words}")
    return in_todays_names(value)


RENAMED = {"gan_lab.networks.conditional.Discriminator": {"told": "conditioning"}}  # settings by the class they are of


def in_todays_names(node: Any) -> Any:
    """A stored value in which the settings of older versions have the names that they have now."""
    if isinstance(node, list):
        return [in_todays_names(item) for item in node]
    if not isinstance(node, dict):
        return node
    target = node.get("_target_")
    names = RENAMED.get(target, {}) if isinstance(target, str) else {}
    return {names.get(name, name): in_todays_names(value) for name, value in node.items()}


# ---- a run ----------------------------------------------------------------------------------------------------------


def config_of(run: Path) -> dict[str, Any]:
    """The configuration that a run was started with, as it lies there; CheckpointError if it cannot be used."""
    return shaped(run / CONFIG, yaml_of(run / CONFIG))


def summary_of(run: Path) -> dict[str, Any]:
    """What a run says of itself, {} before it has said anything; CheckpointError if it cannot be used."""
    file = run / SUMMARY
    return shaped(file, json_of(file)) if os.path.lexists(file) else {}


def is_ours(picture: Path) -> bool:
    """Whether a results.png says that gan-lab drew it: others choose that name, too."""
    if not picture.is_file():
        return False
    with picture.open("rb") as file:
        return b"Software\0gan-lab" in file.read(200)  # among what stands before the pixels


def is_marked(folder: Path) -> bool:
    """Whether a directory holds the mark of a run; a damaged one is none."""
    try:
        return shaped(folder / MARK, json_of(folder / MARK))["made_by"] == "gan-lab"
    except CheckpointError:
        return False


def record_of(folder: Path) -> dict[str, Any]:
    """The record of a job of a sweep; CheckpointError if it cannot be used."""
    return shaped(folder / RECORD, json_of(folder / RECORD))


def is_staged(folder: Path) -> bool:
    """Whether an experiment in stages lies in a directory."""
    return (folder / STAGES).is_file()


def stages_of(folder: Path) -> dict[str, Any]:
    """The words and the checked configuration of an experiment in stages; CheckpointError if they cannot be used."""
    found = shaped(folder / STAGES, json_of(folder / STAGES))
    stages = found["config"].get("stages")
    is_stage = lambda stage: is_mapping(stage) and is_mapping(stage.get("config")) and are_names(stage.get("overrides"))
    if not is_mapping(stages) or not all(map(is_stage, stages.values())):
        raise unreadable(folder / STAGES, "its config must hold stages, each with overrides and config")
    return found


def stage_folders(folder: Path) -> list[Path]:
    """Where the runs of an experiment in stages lie, or will lie, in their order."""
    return [folder / f"{number}-{name}" for number, name in enumerate(stages_of(folder)["config"]["stages"])]


def outcome_of(folder: Path) -> dict[str, Any]:
    """What a run says of itself, or an experiment in stages: what the last stage says, with the seconds of all."""
    if not is_staged(folder):
        return summary_of(folder)
    summaries = [summary_of(stage) for stage in stage_folders(folder)]
    begun = [summary for summary in summaries if summary]
    last = begun[-1] if begun else {}
    if last.get("status") == "finished" and len(begun) < len(summaries):
        last = {**last, "status": "stopped"}
    return {**last, "seconds": round(sum(float(summary.get("seconds", 0)) for summary in begun), 2)}


def start_of(run: Path) -> dict[str, Any]:
    """What was true when a run began: its configuration, the names in its data; {} of a run from before it was kept."""
    file = run / START
    return shaped(file, json_of(file)) if os.path.lexists(file) else {}


def status_of(run: Path, summary: dict[str, Any]) -> str | None:
    """How a run ended; `killed` where it says that it runs, and no process holds it or its sweep."""
    status = summary.get("status")
    return "killed" if status == "running" and not (is_held(run) or is_held(run.parent)) else status


def is_held(run: Path) -> bool:
    """Whether a process trains in a directory; taken for true where the system does not tell (Windows)."""
    if os.name == "nt":
        return True
    import fcntl

    try:
        with (run / ".lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def overrides_of(run: Path) -> list[str]:
    """The settings that were typed for a run, in the order in which they were."""
    file = run / OVERRIDES
    if not os.path.lexists(file):
        return []
    return text_of(file).splitlines()


def rows_of(run: Path) -> list[dict[str, str]]:
    """The whole rows of a run's table, by step; none before the first. CheckpointError if it is damaged.

    A last line that was cut, or has fewer cells than the head, was never written to its end and is left out.
    """
    file = run / TABLE
    if not os.path.lexists(file):
        return []
    text = text_of(file)
    try:
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        rows, names = list(reader), reader.fieldnames or ["step"]
    except csv.Error as error:
        raise unreadable(file, str(error)) from error
    if "step" not in names or not all(map(is_name, names)):
        raise unreadable(file, "its first line must name its columns, step among them")
    if rows and None in rows[-1].values():
        rows.pop()
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise unreadable(file, f"row {number} has another number of cells than the first")
        if wrong := [name for name, cell in row.items() if not fits_cell(name, cell)]:
            raise unreadable(file, f"row {number}: {wrong[0]}={shortened(row[wrong[0]], 40)!r} is no number")
    return rows


def fits_cell(name: str, cell: str) -> bool:
    if name == "step":
        return cell.isascii() and cell.isdecimal() and len(cell) < 19
    return name == "protocol" or not cell or is_value(cell)


def committed(folder: Path) -> list[Path]:
    """The checkpoints that have their sidecar, newest step first (by name; clocks may lie).

    Names are matched whole: `step-backup.pt` and `step-00000010-copy.pt` are somebody's own.
    """
    found = [path.with_suffix(".pt") for path in folder.glob("step-*.json") if is_checkpoint(path)]
    return sorted(found, key=step_of, reverse=True)


def is_checkpoint(path: Path) -> bool:
    """Whether a name is that of a checkpoint or its sidecar."""
    return bool(re.fullmatch(r"step-\d{8,}", path.stem, re.ASCII))


def step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def checked_state(state: Any, owner: Path) -> dict[str, Any]:
    """What a checkpoint holds, if it is that of a training; CheckpointError if not."""
    parts = ("game", "ema")
    if isinstance(state, dict) and is_count(state.get("step")) and all(isinstance(state.get(p), dict) for p in parts):
        return state
    raise CheckpointError(f"{owner}: it is not a checkpoint of a training: it must hold step, game and ema.")


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step, so that a reader never sees half of it."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make renames in a folder durable."""
    if os.name == "nt":  # Windows has no handle on a folder to sync
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain(value):
    """Numbers that JSON can hold: not-a-number and infinity as words."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    return value


def write_summary(folder: Path, summary: dict) -> None:
    """Replace summary.json in one step."""
    write_text(folder / "summary.json", json.dumps(plain(summary), indent=2) + "\n")


def writable(folder: Path) -> str:
    """A folder by a name that TensorBoard can write: Unicode, from here if not from the root. Raises ConfigError."""
    for name in (str(folder), os.path.relpath(folder)):
        if not any(0xD800 <= ord(letter) < 0xE000 for letter in name):  # what stands for bytes that are no UTF-8
            return name
    raise ConfigError(f"{str(folder)!r} is not UTF-8, and TensorBoard can write to no such place; rename it.")


def read_json(path: Path) -> dict:
    """What a summary holds; nothing where it is missing or damaged, since no run depends on it."""
    try:
        return summary_of(path.parent)
    except CheckpointError:
        return {}


def main_values(summary: dict[str, Any]) -> dict[str, float]:
    """The last losses and what judges say, out of all that a run logs."""
    metrics = summary.get("metrics", {})
    losses = {name.removeprefix("loss/"): value for name, value in metrics.items() if name.startswith("loss/")}
    return losses | {name: figure["value"] for name, figure in summary.get("figures", {}).items()}
