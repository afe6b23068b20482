"""Gives the command hostile words and odd stored files, seeded; each must be answered by a sentence and a known code.

Usage: python scripts/soak.py [lines=300] [files=100] [seed=0]
Ends with 1 if a command ends in a traceback, in an exit code that README.md does not document, or not within a minute,
or if a damaged run keeps the others of its tree from being shown.
"""

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gan_lab.cli import main as command  # noqa: E402

CODES = {0, 2, 3, 4, 5, 6}  # those of README.md that no signal causes, without 1, a bug
SECONDS = 60
TINY = ["trainer.steps=2", "trainer.sample_every=1", "trainer.samples=4", "trainer.batch_size=8", "trainer.threads=1",
        "trainer.evaluate_every=null", "trainer.device=cpu", "model.generator.width=8",
        "model.discriminator.width=8"]  # fmt: skip

WORDS = [
    "", "0", "-1", "1", "1.5", "nan", "inf", "1e400", "1e-300", "1e8", "9" * 20, "9" * 4400, str(2**64), "100000000",
    "65536", "0-99999999999", "3-1", "~nobody_of_that_name/x", "~", "x" * 4000, "a/" * 3000, "é" * 200, "ä", "\udce4",
    "\x1b[2J", "a\nb", "\0", "${nope}", "${oc.env:NOPE}", "${seed}", "[", "]", "{", "}", "[]", "{}", "[finished", "'",
    '"', "\\", "=", "a=b", "../..", "/", "/dev/zero", "/dev/null", "/dev/null/x.png", "/nowhere/x.png", "meta",
    "cuda:99", "mps", "null", "None", "true", "1,2", "[1,2]", "[a,b]", "{a: 1}", "os.system", "gan_lab.models.GAN",
    "{_target_: os.system}", "range(3)", "range(0,100000000)", "choice(1,2)", "interval(0,1)", "glob(*)", "???",
]  # fmt: skip
KEYS = [
    "seed", "trainer.steps", "trainer.threads", "trainer.workers", "trainer.clip", "trainer.turns", "trainer.devices",
    "trainer.device", "trainer.init_from", "trainer.max_minutes", "trainer.epochs", "trainer.samples", "model",
    "model.generator", "model.discriminator", "model.generator.width", "model.latent_dim", "loss", "loss.penalties",
    "loss/penalty", "loss/view", "optimizer", "optimizer.lr", "optimizer.betas", "optimizer_overrides", "dataset",
    "dataset._target_", "dataset.of", "dataset.path", "dataset.root", "run", "run.name", "trust", "experiment", "x",
    "a.b.c", "~model", "~model.generator._target_", "~loss", "~trainer.steps", "+x", "+loss", "++model._partial_",
    "optimizer@x", "jobs",
]  # fmt: skip
OPTIONS = {
    "sample": ["n", "seeds", "label", "attributes", "code.0", "code.x", "files", "interpolate", "space", "mix", "cut",
               "steps", "gif", "weights", "checkpoint", "root", "out", "device", "trust"],
    "evaluate": ["n", "extractor", "weights", "checkpoint", "seed", "root", "inception", "device", "trust"],
    "timelapse": ["fps", "every", "size", "seeds", "weights", "out", "trust"],
    "compare": ["metric", "sort", "csv", "markdown", "all"],
    "analyze": ["what", "weights", "checkpoint", "root", "device", "trust"],
    "clean": ["status", "older", "root"],
    "resume": ["seed", "loss", "dataset.path", "trust", "jobs", "trainer.threads"],
}  # fmt: skip
ABOVE = {"/", "~", "../.."}  # where nothing is written, nor looked through, for a test
DANGEROUS = {("clean", "root"): ABOVE, ("sample", "out"): ABOVE, ("compare", "csv"): ABOVE,
             ("compare", "markdown"): ABOVE}  # fmt: skip


def lines(seed: int, count: int) -> Iterator[list[str]]:
    """Hostile command lines; `RUN` and `TREE` stand for a finished run and for the folder of runs."""
    draw = random.Random(seed)
    for _ in range(count):
        kind = draw.choice(["settings", "settings", "options", "options", "words"])
        if kind == "settings":
            pairs = [f"{draw.choice(KEYS)}={draw.choice(WORDS)}" for _ in range(draw.randint(1, 2))]
            pairs = [word.partition("=")[0] if word.startswith("~") else word for word in pairs]
            verb = draw.choice([["train", "--dry-run"], ["validate"], ["validate", "-m"]])
            yield [*verb, *pairs]
        elif kind == "options":
            verb = draw.choice(sorted(OPTIONS))
            names = draw.sample(OPTIONS[verb], draw.randint(1, 2))
            pairs = [(name, draw.choice(WORDS)) for name in names]
            pairs = [f"{n}={v}" for n, v in pairs if v not in DANGEROUS.get((verb, n), ())]
            yield [verb, *([] if verb == "clean" else ["RUN"]), *pairs]
        else:
            verb = draw.choice(["sample", "evaluate", "timelapse", "compare", "analyze", "show", "ls", "cp", "resume",
                                "translate", "data", draw.choice(WORDS)])  # fmt: skip
            yield [verb, *(draw.choice(WORDS) for _ in range(draw.randint(1, 3)))]


# ---- odd files ------------------------------------------------------------------------------------------------------


@dataclass
class Damage:
    """One odd file of a run: its name in the run's directory, and what makes it odd there."""

    file: str
    what: str
    do: Callable[[Path], None]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
CONTENTS = {
    "empty": b"", "null": b"null", "a list": b"[]", "a number": b"7", "a text": b'"x"', "an empty mapping": b"{}",
    "deep": b"[" * 5000, "deep and whole": b"[" * 900 + b"]" * 900, "deep mappings": b'{"a":' * 5000,
    "NUL": b"\0" * 100, "Latin-1": "ä: ö".encode("latin-1"), "UTF-16": "a: b".encode("utf-16"),
    "many digits": b"9" * 5000, "an alias bomb": BOMB.encode(), "half a word": b'{"status": "fin',
}  # fmt: skip
SUMMARIES = [
    {"status": []}, {"status": None}, {"status": "a\x1b[2Jb"}, {"step": "x"}, {"step": -1}, {"step": 1e300},
    {"metrics": []}, {"metrics": {"a": {}}}, {"metrics": {"a": "x"}}, {"metrics": None}, {"figures": {"a": 1}},
    {"figures": {"a": {"value": "x", "protocol": {}}}}, {"figures": {"a": {"value": 1.0}}}, {"evaluation": None},
    {"evaluation": {"fid": {"value": 1.0, "protocol": []}}}, {"metrics": {"loss/x": 10**400}}, {"best": 3},
    {"seconds": "x"}, {"images": None}, {"signal": "x"}, {"health": 7}, {"name": []}, {"version": {}},
]  # fmt: skip
TABLES = {
    "no step": "a,b\n1,2\n", "a text": "step,a\n1,x\n", "a huge cell": f"step,a\n1,{'9' * 200_000}\n",
    "NUL": "step,a\n1,\0\n", "a torn line": "step,a\n1,2\n3", "a cell too many": "step,a\n1,2,3\n",
    "no number": "step,a\n²,1\n", "a long step": f"step,a\n{'9' * 5000},1\n", "a quote": 'step,a\n1,"2\n',
    "only a head": "step,a\n", "a minus": "step,a\n-5,1\n",
}  # fmt: skip
ODD = [None, [], {}, "x", -1, 0, 1e308, True, "gan_lab.models.GAN", ["a"], {"_target_": "os.system"}, "9" * 5000]


def write(content: bytes) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(content)


def special(kind: str) -> Callable[[Path], None]:
    """A file that is none, or none that should be read."""

    def make(file: Path) -> None:
        content = file.read_bytes()
        file.unlink()
        if kind == "a pipe":
            os.mkfifo(file)
        elif kind == "a folder":
            file.mkdir()
        elif kind == "a link to itself":
            file.symlink_to(file.name)
        elif kind == "a link to /dev/zero":
            file.symlink_to("/dev/zero")
        elif kind == "huge":
            with file.open("wb") as opened:
                opened.truncate(2**31)
        elif kind == "cut":
            file.write_bytes(content[: len(content) // 2])

    return make


def odd_configuration(draw: random.Random) -> Callable[[Path], None]:
    """A configuration without one of its settings, or with an odd value of it."""
    import yaml

    place, value, is_gone = draw.random(), draw.choice(ODD), draw.random() < 0.3

    def make(file: Path) -> None:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        places = [(config, key) for key in config]
        for node, key in places:
            places += [(node[key], inner) for inner in node[key]] if isinstance(node[key], dict) else []
        node, key = places[int(place * len(places))]
        node[key] = value
        if is_gone:
            del node[key]
        file.write_text(yaml.safe_dump(config), encoding="utf-8")

    return make


def odd_state(state: object) -> Callable[[Path], None]:
    """A checkpoint with its right checksum that holds something else than a training."""

    def make(file: Path) -> None:
        import torch

        torch.save(state, file)
        facts = {"step": 2, "schema": 1, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        file.with_suffix(".json").write_text(json.dumps(facts))

    return make


def bomb(file: Path) -> None:
    """A picture of 30,000 x 30,000 pixels in few bytes."""
    import struct
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def damages(seed: int, count: int) -> list[Damage]:
    """Odd files, in an order that the seed decides."""
    draw = random.Random(seed)
    texts = ["summary.json", "config.yaml", "metrics.csv", "overrides.txt", "start.json", ".hydra/hydra.yaml",
             ".hydra/overrides.yaml", "checkpoints/step-00000002.json"]  # fmt: skip
    last = "checkpoints/step-00000002.pt"
    kinds = ["gone", "a pipe", "a folder", "a link to itself", "a link to /dev/zero", "huge", "cut"]
    found = [Damage(file, what, write(content)) for file in texts for what, content in CONTENTS.items()]
    found += [Damage(file, kind, special(kind)) for file in texts for kind in kinds]
    found += [Damage(last, kind, special(kind)) for kind in ("gone", "cut", "a folder")]
    found += [Damage("samples/step-00000001.png", kind, special(kind)) for kind in ("cut", "a folder", "a pipe")]
    found += [
        Damage("samples/step-00000001.png", "a bomb", bomb),
        Damage("samples/step-00000001.png", "empty", write(b"")),
    ]
    found += [Damage("summary.json", str(odd)[:60], write(json.dumps(odd).encode())) for odd in SUMMARIES]
    found += [Damage("metrics.csv", what, write(text.encode())) for what, text in TABLES.items()]
    states = [[1], {}, {"step": 2}, {"step": 2, "game": {}}, {"step": "x", "game": {}, "ema": {}},
              {"step": 2, "game": [], "ema": {}}, {"step": 2, "game": {}, "ema": {}}]  # fmt: skip
    found += [Damage(last, f"holds {state}", odd_state(state)) for state in states]
    found += [Damage("config.yaml", "an odd setting", odd_configuration(draw)) for _ in range(60)]
    draw.shuffle(found)
    return found[:count]


# ---- asking ---------------------------------------------------------------------------------------------------------


class Hang(BaseException):
    """The command took too long."""


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def late(number, frame):
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ask(words: list[str], seconds: int = SECONDS) -> tuple[str, int | None, str]:
    """What is wrong with the answer to a command line, or nothing; its exit code and what was said."""
    out, code, started = io.StringIO(), None, time.monotonic()
    try:
        with time_limit(seconds), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = command(words)
    except Hang:
        return f"hangs for {seconds} s", code, out.getvalue()
    except BaseException as error:  # what gets past the command is what is looked for
        return f"lets {type(error).__name__} through: {error}"[:300], code, out.getvalue()
    if "Traceback" in out.getvalue():
        return "ends in a traceback: " + out.getvalue().strip().splitlines()[-2][:200], code, out.getvalue()
    if code not in CODES:
        return f"ends with the code {code} after {time.monotonic() - started:.0f} s", code, out.getvalue()
    return "", code, out.getvalue()


def tree(place: Path) -> Path:
    """A folder with one finished run, `good`."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = command(["train", *TINY, f"hydra.run.dir={place / 'good'}"])
    assert code == 0
    return place


def try_line(words: list[str], place: Path) -> str:
    """What is wrong with the answer to a hostile line, or nothing."""
    named = {"RUN": str(place / "good"), "TREE": str(place)}
    return ask([named.get(word, word) for word in words])[0]


def try_damage(damage: Damage, place: Path, *, resume: bool = True) -> list[str]:
    """What is wrong with the answers about a damaged run, beside a good one."""
    bad, found = place / "bad", []
    shutil.rmtree(bad, ignore_errors=True)
    shutil.copytree(place / "good", bad)
    damage.do(bad / damage.file)
    asked = [["compare", str(place)], ["ls", "runs", f"root={place}"], ["show", "run", str(bad)],
             ["clean", f"root={place}"], ["sample", str(bad), "n=1", f"out={place / 'one.png'}"],
             ["timelapse", str(bad)]]  # fmt: skip
    asked += [["resume", str(bad), "trainer.steps=3"]] if resume else []
    for words in asked:
        wrong, code, said = ask(words)
        if not wrong and words[0] == "compare" and (code or str(place / "good") not in said):
            wrong = f"does not show the good run, code {code}"
        found += [f"{damage.file}: {damage.what}: {' '.join(words[:2])} {wrong}"] if wrong else []
    shutil.rmtree(bad, ignore_errors=True)
    return found


def main(argv: list[str]) -> int:
    asked = {"lines": 300, "files": 100, "seed": 0} | {k: int(v) for k, _, v in (word.partition("=") for word in argv)}
    wrong, here = [], Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        place = tree(Path(folder, "tree"))
        for number, words in enumerate(lines(asked["seed"], asked["lines"])):
            if reason := try_line(words, place):
                wrong.append(f"{' '.join(word[:60] for word in words)!r} {reason}")
                print(f"line {number}: {wrong[-1]}", flush=True)
        for number, damage in enumerate(damages(asked["seed"], asked["files"])):
            for reason in try_damage(damage, place, resume=number % 3 == 0):
                wrong.append(reason)
                print(f"file {number}: {reason}", flush=True)
        os.chdir(here)
    print(f"{asked['lines']} lines and {asked['files']} odd files: {len(wrong)} wrong answers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
