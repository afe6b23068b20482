"""New samples from a run: what each option makes, and what is said of one that cannot be."""

import pytest
import torch
from helpers import config_of
from PIL import Image

import gan_lab
from gan_lab.cli import main
from gan_lab.launch import launch
from gan_lab.storage.files import rows_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("outputs") / "a run"
    launch.train(config_of("model=dcgan", "trainer.steps=2"), run)
    return run


def test_each_option_makes_its_file(run, tmp_path):
    made = {
        "grid.png": ["n=4"],
        "raw.png": ["n=4", "weights=raw", "checkpoint=2"],
        "walk.png": ["seeds=1-3", "interpolate=spherical", "steps=5"],
        "walk.gif": ["seeds=1-3", "interpolate=linear", "steps=5", "gif=true"],
    }
    for name, words in made.items():
        assert main(["sample", str(run), *words, f"out={tmp_path / name}"]) == 0
        with Image.open(tmp_path / name) as picture:
            assert (name == "walk.gif") == (getattr(picture, "n_frames", 1) > 1)
    assert main(["sample", str(run), "seeds=0-2,9", "files=true", f"out={tmp_path / 'four'}"]) == 0
    assert sorted(path.name for path in (tmp_path / "four").iterdir()) == [f"seed-{i}.png" for i in (0, 1, 2, 9)]


def test_nothing_is_overwritten(run, tmp_path):
    for _ in range(2):
        assert main(["sample", str(run), "n=1", f"out={tmp_path / 'a.png'}"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a-2.png"}


WRONG = {
    "checkpoint=abc": (2, "checkpoint=abc must be last, best or a step that the run keeps."),
    "checkpoint=7": (4, "keeps no checkpoint '7'; it keeps last and the steps 2."),
    "device=foo": (2, "device=foo is not known; choose cpu, cuda or cuda:0."),
    "weights=best": (2, "weights=best is not known; choose ema or raw."),
    "seeds=": (2, "seeds= needs a value; leave it out for what is usual."),
    "seeds=3-1": (2, "seeds=3-1 names no seed; ranges run upwards, for example seeds=0-15."),
    "interpolate=cubic": (2, "interpolate=cubic is not known; choose linear or spherical."),
    "interpolate=linear seeds=1": (2, "interpolate needs two seeds or more, for example seeds=3,8."),
    "interpolate=linear files=true": (
        2,
        "files=true writes single samples, and interpolate rows of them: leave out one of the two.",
    ),
    "gif=true": (2, "gif=true is for interpolations: add interpolate=spherical."),
    "out=/dev/null/x.png": (6, "cannot write to '/dev/null': File exists; choose a place with out=..."),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_option_gets_a_sentence(run, capsys, line):
    code, sentence = WRONG[line]
    assert main(["sample", str(run), *line.split()]) == code
    out, err = capsys.readouterr()
    assert err.startswith("gan-lab: ") and err.endswith(f"{sentence}\n") and out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
def test_a_device_that_is_not_there(run, capsys):
    assert main(["sample", str(run), "device=cuda"]) == 6
    assert capsys.readouterr().err == "gan-lab: device=cuda: this machine has no CUDA device. Set device=cpu.\n"


def test_a_damaged_configuration_is_a_sentence(run, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("a: [")
    assert main(["sample", str(tmp_path)]) == 4
    assert "config.yaml' cannot be read" in capsys.readouterr().err


def test_a_damaged_summary_keeps_nobody_from_a_run(run):
    good = (run / "summary.json").read_text()
    (run / "summary.json").write_text("{")
    assert gan_lab.load(run).summary == {}
    (run / "summary.json").write_text(good)


def test_help_is_given_anywhere(capsys):
    assert main(["sample", "nowhere", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: gan-lab sample")


def test_a_notebook_chooses_weights_as_the_command_does(run):
    averaged, raw = gan_lab.load(run), gan_lab.load(run, weights="raw", checkpoint=2)
    assert averaged.sample(3).shape == (3, 1, 16, 16)
    assert not torch.equal(averaged.sample(3), raw.sample(3))


def test_a_run_with_exact_figures_keeps_its_best_checkpoint(tmp_path):
    small = ["model.generator.width=8", "model.discriminator.width=8", "trainer.samples=16", "trainer.threads=1"]
    words = [
        "model=gan",
        "dataset=ring8",
        "trainer.steps=4",
        "trainer.evaluate_every=1",
        f"hydra.run.dir={tmp_path}/ring",
    ]
    assert main(["train", *words, *small]) == 0
    best = gan_lab.load(tmp_path / "ring", checkpoint="best")
    told = best.summary["best"]
    assert best.state["step"] == told["step"]
    figures = [row["exact/quality"] for row in rows_of(tmp_path / "ring")]
    assert len(figures) == 4 and told["value"] == pytest.approx(max(map(float, figures)), rel=1e-5)
