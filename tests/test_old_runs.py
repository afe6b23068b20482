"""Runs that an earlier commit (1769715) made: they open, sample and go on as they did then.

`old_runs.zip` holds four runs of four steps in float32, what the same commit made of seeds 0 to 7 (`samples.pt`), and
the metrics of the same runs when they had taken eight steps at once (`expected.csv`).
"""

import csv
import zipfile
from pathlib import Path

import pytest
import torch

import gan_lab
from gan_lab.cli import main

MADE = ("gan", "cgan", "infogan", "cyclegan")
LOGGED = ("loss/", "grad_norm/", "discriminator/")  # the columns that a training has by itself, and not by its machine


@pytest.fixture
def old(tmp_path):
    with zipfile.ZipFile(Path(__file__).parent / "old_runs.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model", MADE)
def test_an_old_run_draws_what_it_drew(old, model):
    known = torch.load(old / "samples.pt", weights_only=True)[model]
    torch.testing.assert_close(gan_lab.load(old / model).sample(8), known, atol=1e-5, rtol=1e-4)


def test_an_old_run_draws_a_class(old):
    known = torch.load(old / "samples.pt", weights_only=True)["cgan/label=3"]
    torch.testing.assert_close(gan_lab.load(old / "cgan").sample(4, label="3"), known, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model", MADE)
def test_an_old_run_goes_on_as_one_that_was_never_cut(old, model):
    assert main(["resume", str(old / model), "trainer.steps=8"]) == 0
    assert main(["sample", str(old / model), "n=4"]) == 0
    expected, found = (rows(old / model / name) for name in ("expected.csv", "metrics.csv"))
    assert [row["step"] for row in found] == [row["step"] for row in expected]
    for now, then in zip(found, expected, strict=True):
        for name, value in then.items():
            if name.startswith(LOGGED) and value:
                assert float(now[name]) == pytest.approx(float(value), rel=1e-3, abs=1e-3), name


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))
