"""Show in one command what only a GPU can show: tests, speed, trainings. Nine minutes at most; writes as it goes.

    python scripts/gpu.py                        what `make gpu` runs; figures and pictures lie in outputs/gpu
    python scripts/gpu.py --rehearse             the same on a CPU, in small sizes, so that no slip is left to find
    python scripts/gpu.py --data DIR             where MNIST and cifar10.zip lie (default: data, or $DATA)

Each part is stopped at its time, and what it has found by then stays: results.json, results.md, samples.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MINUTES = 9.0
SHARES = {"tests": 0.3, "bench": 0.35}  # of the time; trainings have the rest
TRAININGS = ("dcgan_cifar10", "sngan_cifar10", "r3gan_cifar10")
OVERHEAD = 45.0  # seconds beside a training: start, judging, samples
TEST = re.compile(r"(tests/\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED)|(PASSED|FAILED|ERROR|SKIPPED) (tests/\S+::.+)")


class Results:
    """What was found so far, in two files that are written anew whenever there is more."""

    def __init__(self, folder: Path, rehearsed: bool):
        self.folder, self.found = folder, {"rehearsed": rehearsed, "parts": {}}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, **what) -> None:
        self.found["parts"][name] = what
        (self.folder / "results.json").write_text(json.dumps(self.found, indent=2) + "\n", encoding="utf-8")
        (self.folder / "results.md").write_text(self.page(), encoding="utf-8")
        print(f"{name}: {what['line']}", flush=True)

    def page(self) -> str:
        title = "A rehearsal on a CPU" if self.found["rehearsed"] else "On a GPU"
        parts = [f"## {name}\n\n{part['line']}\n\n{part.get('text', '')}" for name, part in self.found["parts"].items()]
        return "\n".join([f"# {title}\n", *parts]).rstrip() + "\n"


def run(words: list[str], log: Path, seconds: float, **environment: str) -> int | None:
    """A command of Python's, its output in a file; None where its time was over. Whatever it started ends with it."""
    paths = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "scripts"), os.environ.get("PYTHONPATH")]))
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": paths} | environment,
            start_new_session=True,
        )
        try:
            return process.wait(max(1.0, seconds))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            return None


def tests(results: Results, seconds: float, rehearse: bool) -> None:
    """The tests marked gpu."""
    log = results.folder / "tests.txt"
    chosen = ["-k", "gan28 or dcgan or command or guard or average or not_finite"] if rehearse else []
    words = ["-m", "pytest", "-vv", "-p", "no:cacheprovider", "-m", "gpu", "tests/test_gpu.py", *chosen]
    code = run(words, log, seconds, **({"GAN_LAB_REHEARSE": "1", "CUDA_VISIBLE_DEVICES": ""} if rehearse else {}))
    text = log.read_text(encoding="utf-8", errors="replace")
    seen = {match[1] or match[4]: match[2] or match[3] for match in TEST.finditer(text)}
    counts = {kind: sum(value == kind for value in seen.values()) for kind in ("PASSED", "FAILED", "ERROR", "SKIPPED")}
    failed = [name for name, kind in seen.items() if kind in ("FAILED", "ERROR")]
    line = ", ".join(f"{count} {kind.lower()}" for kind, count in counts.items() if count)
    line += "; stopped at its time" if code is None else ""
    results.add("tests", line=line or "none ran", code=code, failed=failed, text="\n".join(f"- {n}" for n in failed))


def bench(results: Results, seconds: float, rehearse: bool) -> None:
    """Speed beside the textbook's loop."""
    log, file = results.folder / "bench.txt", results.folder / "bench.json"
    words = ["scripts/bench.py", "--quick", "--json", str(file), *(["--only", "gan28"] if rehearse else [])]
    code = run(words, log, seconds, **({"CUDA_VISIBLE_DEVICES": ""} if rehearse else {}))
    if not file.is_file():
        results.add("bench", line=f"nothing was measured (code {code}); see bench.txt", code=code)
        return
    from bench import table

    found = json.loads(file.read_text(encoding="utf-8"))
    works = len({row["work"] for row in found["rows"]})
    line = f"{works} works" + ("; stopped at its time" if code is None else "")
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    results.add("bench", line=line, code=code, text=f"{facts}\n\n{table(found['rows'])}", **found)


def train(results: Results, name: str, seconds: float, data: Path, rehearse: bool) -> None:
    """A training with samples and its figures."""
    place = results.folder / name
    minutes = max(seconds - OVERHEAD, 5.0) / 60
    words = [
        f"experiment={name}",
        f"run.root={place}",
        "trainer.evaluate_every=null",
        f"trainer.max_minutes={minutes:.2f}",
    ]
    zipped = ["dataset=folder", f"dataset.path={data / 'cifar10.zip'}", "dataset.image_size=32"]
    words += zipped if (data / "cifar10.zip").is_file() else [f"dataset.root={data}"]
    samples, device = 10_000, "cuda"
    if rehearse:
        words = ["experiment=dcgan_digits", f"run.root={place}", "trainer.device=cpu", "trainer.steps=20"]
        samples, device = 100, "cpu"
    started = time.monotonic()
    code = run(["-m", "gan_lab", "train", *words], results.folder / f"{name}.txt", seconds)
    runs = sorted(place.glob("*/*/summary.json"))
    if not runs:
        results.add(name, line=f"no run (code {code}); see {name}.txt", code=code)
        return
    summary = json.loads(runs[-1].read_text(encoding="utf-8"))
    folder, log = runs[-1].parent, results.folder / f"{name}-evaluate.txt"
    left = max(20.0, seconds - (time.monotonic() - started))
    judged = run(["-m", "gan_lab", "evaluate", str(folder), f"n={samples}", f"device={device}"], log, left)
    for picture in sorted((folder / "samples").glob("*.png"))[-1:]:
        shutil.copy(picture, results.folder / f"{name}.png")
    text = log.read_text(encoding="utf-8", errors="replace") if judged == 0 else f"evaluate ended with {judged}"
    speed = summary.get("images", 0) / max(summary.get("seconds", 0), 1e-9)
    line = f"{summary.get('step')} steps, {speed:,.0f} images/s, {summary.get('status')}"
    results.add(name, line=line, code=code, run=str(folder), summary=summary, text=f"```\n{text.strip()}\n```")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, in small sizes")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"in all (default: {MINUTES:g})")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DATA", "data")), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu"), metavar="DIR")
    parser.add_argument("--only", choices=("tests", "bench", "trainings"), help="one part, with all the time")
    options = parser.parse_args(argv)
    if not options.rehearse:
        import torch

        if not torch.cuda.is_available():
            print("gpu: there is no GPU here that PyTorch can use; --rehearse plays all on the CPU.", file=sys.stderr)
            return 5
    results, end = Results(options.out.absolute(), options.rehearse), time.monotonic() + 60 * options.minutes
    whole = 60 * options.minutes
    if options.only in (None, "tests"):
        tests(results, whole if options.only else whole * SHARES["tests"], options.rehearse)
    if options.only in (None, "bench"):
        bench(results, whole if options.only else whole * SHARES["bench"], options.rehearse)
    if options.only in (None, "trainings"):
        names = TRAININGS[:1] if options.rehearse else TRAININGS
        for number, name in enumerate(names):
            left = end - time.monotonic()
            if left < OVERHEAD and not options.rehearse:
                break
            train(results, name, left / (len(names) - number), options.data.absolute(), options.rehearse)
    codes = [part.get("code") for part in results.found["parts"].values()]
    print(f"written to {results.folder}")
    return int(any(codes) or not codes)


if __name__ == "__main__":
    sys.exit(main())
