"""The process of one job of a sweep: its standard input says what to train, and then which signal to stop by."""

import json
import signal
import sys
from pathlib import Path
from threading import Thread

from gan_lab.config.compose import Job
from gan_lab.config.stages import everywhere
from gan_lab.launch.sweep import attempt


def main() -> int:
    """Train one job as the pool orders it, and return its exit code."""
    pipe = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    order = json.loads(pipe.readline())
    Thread(target=listen, args=(pipe,), daemon=True).start()
    settings = order.pop("trainer")
    job = Job(**order | {"run_dir": Path(order["run_dir"])})

    def train():
        from gan_lab.launch import launch

        config = everywhere(job.config, lambda own: own | {"trainer": own["trainer"] | settings})
        words = job.changes if job.resume else [*job.overrides, *job.changes]
        return launch.train(config, job.run_dir, words, resume=job.resume)

    try:
        summary = attempt(job, train)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if summary["status"] == "stopped":
        return 128 + summary["signal"]
    return summary.get("code", 0)


def listen(pipe) -> None:
    """Stop by the signal that the pool passes on, or because the pool is gone."""
    while line := pipe.readline():
        signal.raise_signal(int(line))
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
