"""What somebody meets in the first half hour: the installation, the commands that are printed, a notebook, long waits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan_lab.choices import typed

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(os.name == "nt", reason="make and links")
def test_a_printed_command_works_as_it_stands(tmp_path, monkeypatch):
    """Without an active environment the path is printed, with one the name."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "gan-lab"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert typed("gan-lab") == ".venv/bin/gan-lab"
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin")
    assert typed("gan-lab") == "gan-lab"
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert typed("gan-lab") == str(programs / "gan-lab")


@pytest.mark.parametrize(("code", "said"), [(0, "done in"), (3, "failed after")])
def test_an_installation_says_one_line_and_its_reason_where_it_fails(tmp_path, code, said):
    log = tmp_path / "install.log"
    loud = f"import sys; print('\\n'.join(f'line {{i}}' for i in range(500))); sys.exit({code})"
    call = [sys.executable, ROOT / "scripts" / "quietly.py", "Installing x", log, sys.executable, "-c", loud]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert said in done.stdout.splitlines()[0]
    assert len(done.stdout.splitlines()) == (22 if code else 1)
    assert len(log.read_text().splitlines()) == 500


@pytest.mark.skipif(os.name == "nt", reason="no make")
def test_make_can_install_torch_without_cuda(tmp_path):
    call = ["make", "--dry-run", "setup", f"VIRTUAL_ENV={tmp_path}"]
    plain, small = (
        subprocess.run([*call, *more], cwd=ROOT, capture_output=True, text=True) for more in ([], ["CPU=1"])
    )
    assert "CPU=1" in plain.stdout, "what is large is said, and how to do without"
    assert "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu" in small.stdout
