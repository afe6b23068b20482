"""Run a command such as `pip install` with one line on the screen: how long it has taken, and what it does now.

usage: quietly.py TITLE LOG COMMAND ...

All that the command says goes to LOG; its last lines are shown where it fails. The exit code is that of the command.
"""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

SECONDS_BETWEEN_LINES = 30.0  # where the line cannot be overwritten


def main(title: str, log: str, *command: str) -> int:
    started, now, over = time.monotonic(), [""], threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1) as process:
        clock = threading.Thread(target=show, args=(title, started, now, over), daemon=True)
        clock.start()
        with Path(log).open("w", encoding="utf-8") as file:
            for line in process.stdout:
                file.write(line)
                now[0] = line.strip() or now[0]
        code = process.wait()
        over.set()
        clock.join()
    print(f"{title}: {'failed after' if code else 'done in'} {time.monotonic() - started:.0f} s.", flush=True)
    if code:
        print("\n".join(Path(log).read_text(encoding="utf-8").splitlines()[-20:]), f"The whole log: {log}", sep="\n")
    return code


def show(title: str, started: float, now: list[str], over: threading.Event) -> None:
    """One line that is overwritten on a terminal, else a line every half a minute, until it is over."""
    is_terminal = sys.stdout.isatty()
    while not over.wait(0.5 if is_terminal else SECONDS_BETWEEN_LINES):
        text = f"{title}: {time.monotonic() - started:.0f} s  {now[0]}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:<{width}}" if is_terminal else text, end="" if is_terminal else "\n", flush=True)
    if is_terminal:
        print("\r\033[K", end="")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
