"""What somebody meets in the first half hour: installation, commands that are printed, a notebook, long waits."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import config_of, trainer_of
from PIL import Image

import gan_lab
from gan_lab import cli
from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import ConfigError
from gan_lab.training import remarks
from gan_lab.training.observers import Teller, waiting
from gan_lab.wording import typed

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


QUICK = ["trainer.threads=1", "trainer.batch_size=8", "model.generator.width=8", "model.discriminator.width=8"]


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_cells_of_the_notebook_run(page, tmp_path, monkeypatch):
    """As they stand on the page, but for fewer steps and narrower networks."""
    monkeypatch.chdir(tmp_path)
    cells = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    cells = [cell for cell in cells if "run" in cell]
    assert len(cells) == 4
    scope = {}
    for cell in cells:
        exec(cell.replace('"trainer.steps=500"', ", ".join(map(repr, ["trainer.steps=3", *QUICK]))), scope)
    run = scope["run"]
    assert repr(run).startswith("Run('outputs/cgan_digits/")
    assert "finished at step 3" in repr(run)
    assert scope["images"].shape == (16, 1, 16, 16)
    assert scope["history"]["step"][-1] == 3
    assert len(scope["history"]["loss/generator/adversarial"]) == len(scope["history"]["step"])
    picture = run.grid(4, label=3)
    assert isinstance(picture, Image.Image)
    with pytest.raises(ConfigError, match="there is no label 'three'"):
        run.sample(4, label="three")


def test_training_in_python_trusts_what_its_argument_names_and_nothing_else(tmp_path, monkeypatch):
    package = f"mine_{tmp_path.name}"
    source = "from gan_lab.losses import NonSaturating\n\n\nclass Mine(NonSaturating):\n    pass\n"
    (tmp_path / f"{package}.py").write_text(source)
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "mine.yaml").write_text(f"_target_: {package}.Mine\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["dataset=digits", "model=gan", "loss=mine", "trainer.steps=2", *QUICK]
    with pytest.raises(ConfigError, match="trust="):
        gan_lab.train(*words, config_dir="conf")
    assert not list(tmp_path.glob("outputs/*/*/checkpoints"))
    run = gan_lab.train(*words, config_dir="conf", trust=[package])
    assert run.sample(2).shape == (2, 1, 16, 16)
    with pytest.raises(ConfigError, match="trust="):
        gan_lab.load(run.folder).sample(2)


def test_an_option_of_the_command_is_refused_in_python():
    with pytest.raises(ConfigError, match="takes settings"):
        gan_lab.train("-m", "seed=0,1")


# ---- a laptop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "seconds", "says"),
    [
        (["trainer.max_minutes=2"], 1.15, "Only about 104 steps fit"),
        (["trainer.max_minutes=2"], 0.01, None),
        (["trainer.max_minutes=2", "trainer.steps=90"], 1.15, None),  # few were asked for
        ([], 38.0, "That is days"),
        ([], 0.1, None),
    ],
)
def test_steps_that_are_too_few_or_too_long_are_said_with_a_remedy(bound, seconds, says):
    config = config_of("model=dcgan", "dataset=shapes", "dataset.image_size=64", "trainer.steps=20000", *bound)
    config["model"]["generator"]["width"] = 64
    trainer = trainer_of(config)
    told = remarks.too_slow(config, trainer, seconds)
    assert [says in line for line in told] == ([True] if says else [])
    if says:
        assert "dataset.image_size=32 model.generator.width=32" in told[0]
        config["dataset"]["path"] = "my_pictures"
        assert "experiment=my_images_cpu" in remarks.too_slow(config, trainer, seconds)[0]


class Slow:
    """A trainer in the middle of a run that is bound by time: 40 of two minutes, at step 13."""

    step, progress, seconds = 13, 1 / 3, 40.0


class Book:
    summary = {"metrics": {}}


def test_the_bar_knows_the_time_that_bounds_a_run(monkeypatch):
    teller = Teller(50, 20000, Book())
    teller.bar.disable = False
    monkeypatch.setattr(teller.bar, "update", lambda steps: None)
    monkeypatch.setattr(teller.bar, "set_postfix_str", lambda text: None)
    teller.tell(Slow())
    assert teller.bar.total == 39
    teller.bar.disable = True
    teller.close()


def test_the_screen_moves_while_a_step_is_long(capsys):
    teller = Teller(50, 20000, Book(), seconds_between_lines=0.0)
    teller.bar.disable = True
    teller.follow(Slow())
    time.sleep(1.2)
    teller.close()
    assert capsys.readouterr().out.startswith("step 13/20000")


def test_what_takes_long_says_so_and_what_does_not_is_silent():
    said = []
    with waiting("Looking", first=5.0, say=said.append):
        pass
    assert said == []
    with waiting("Looking", first=0.02, between=0.05, say=said.append):
        time.sleep(0.2)
    assert said[0] == "Looking ..."
    assert said[1].startswith("Looking: 0 s so far")


def test_a_short_run_is_judged_at_its_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["model=gan", "dataset=digits", "trainer.steps=12", "trainer.evaluate_samples=64", *QUICK]
    assert cli.main(["train", *words, "hydra.run.dir=run"]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {figure["step"] for figure in summary["figures"].values()} == {12}
    assert "evaluated at step 12" in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoints" / "best.pt").is_file()


def test_composing_again_gives_what_composing_from_the_start_does(monkeypatch):
    """And starts afresh only where a word reaches into a file, or a file is not whole without others."""
    from gan_lab.config import compose as config

    starts = []
    plain = config.compose
    monkeypatch.setattr(config, "compose", lambda words: starts.append(words) or plain(words))
    for group in ("model", "loss", "dataset"):
        for name in ("cgan", "pix2pix", "hinge", "wgan_gp", "shapes", "ring8"):
            if (ROOT / "conf" / group / f"{name}.yaml").is_file():
                words = ["loss/view=[diff_augment]", f"{group}={name}"][group == "loss" :]
                try:
                    whole = plain(words)
                except ConfigError as error:
                    with pytest.raises(ConfigError, match=re.escape(str(error))):
                        config.recompose(words)
                else:
                    assert config.recompose(words) | {"run": None} == whole | {"run": None}
    assert starts == []
    folder = ["dataset=folder", "++dataset.path=made-up"]
    assert config.recompose(folder) | {"run": None} == plain(folder) | {"run": None}
    assert starts == []
    for words in (["dataset=degraded"], ["experiment=ring8"], ["loss/penalty=[r1]", "loss=hinge"], ["seed=3"]):
        assert config.recompose(words) == plain(words)
    assert len(starts) == 4


# ---- something of one's own -------------------------------------------------------------------------------------


@pytest.fixture
def mygan(tmp_path, monkeypatch):
    """The files of the README's own variant, as they stand there: a package without __init__.py, and YAML."""
    paste("README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    yield "mygan"
    forget("mygan")


def paste(page: str, place: Path) -> str:
    """Write the files that a page shows; the command below them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, content in re.findall(r"^```\w+\n# (my\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content, encoding="utf-8")
    (line,) = re.findall(r"^gan-lab (train --config-dir my_conf .*)$", text, re.MULTILINE)
    return line


def forget(package: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


@pytest.mark.slow
def test_the_loss_on_the_page_of_papers_trains_as_it_stands(tmp_path, monkeypatch, capsys):
    line = paste("docs/papers.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main([*line.split(), *QUICK, "trainer.steps=2", "loss/penalty=[r1]", "model.discriminator.norm=none",
                     "hydra.run.dir=run"]) == 0  # fmt: skip
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["step"] == 2
    assert cli.main(["show", "loss/pearson", "--config-dir", "my_conf", "trust=[mylosses]"]) == 0
    assert "dcgan" in capsys.readouterr().out.partition("models that fit: ")[2]
    forget("mylosses")


def test_the_readmes_own_network_and_loss_train_as_they_stand(mygan, tmp_path):
    line = paste("README.md", tmp_path)
    assert "loss=myloss" in line and "model=mygan" in line
    assert not (tmp_path / "mygan" / "__init__.py").exists()
    quick = ["trainer.steps=2", "trainer.batch_size=8", "trainer.threads=1", "hydra.run.dir=run"]
    assert cli.main([*line.split(), *quick]) == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["step"] == 2


@pytest.mark.slow
def test_ls_and_show_know_a_folder_of_ones_own(mygan, capsys):
    assert cli.main(["ls", "models", "--config-dir", "my_conf"]) == 0
    assert "mygan" in capsys.readouterr().out
    assert cli.main(["show", "loss/myloss", "--config-dir=my_conf", "trust=[mygan]"]) == 0
    assert "models that fit: " in capsys.readouterr().out
    assert cli.main(["ls", "models"]) == 0
    assert "mygan" not in capsys.readouterr().out
    assert cli.main(["ls", "models", "--config-dir", "nowhere"]) == 2
    assert "there is no folder 'nowhere'" in capsys.readouterr().err


# ---- papers -----------------------------------------------------------------------------------------------------

PAPERS = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")


def test_every_experiment_of_a_paper_stands_on_its_page():
    told = {}
    for path in (ROOT / "conf" / "experiment").glob("*.yaml"):
        head = path.read_text(encoding="utf-8").split("defaults:")[0]
        if "arXiv" in head or " et al. " in head:
            told[path.stem] = f"| `{path.stem}` |" in PAPERS
    assert [name for name, stands in told.items() if not stands] == []
    rows = re.findall(r"^\| `(\w+)` \|", PAPERS, re.MULTILINE)
    assert [name for name in rows if not (ROOT / "conf" / "experiment" / f"{name}.yaml").is_file()] == []


def test_each_row_says_a_figure_with_its_protocol_or_that_none_was_read():
    rows = [line.split("|")[1:-1] for line in PAPERS.splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    for name, paper, figure, expected in rows:
        assert re.search(r"\[.+\]\(http|section|algorithm|figure", paper), name
        assert figure.strip() and re.search("not trained here|here:", expected), name


NO_BATCH_NORM = ("model.generator.norm=none", "model.discriminator.norm=none")


# ---- what is said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "step", "says"),
    [
        (
            ["trainer.steps=1", "trainer.batch_size=1", *NO_BATCH_NORM],
            0,
            "Training for 1 step of 1 image on cpu (fp32, 1 thread, ",
        ),
        (["trainer.steps=8"], 0, "Training for 8 steps of 8 images on cpu "),
        (["trainer.steps=8"], 6, "Training from step 6 to 8, each of 8 images, on cpu "),
        (
            ["trainer.steps=8", "trainer.max_minutes=1"],
            6,
            "Training from step 6 to 8 or for 1 minute in all, each of 8 ",
        ),
        (["trainer.steps=null", "trainer.max_minutes=3"], 0, "Training for 3 minutes of 8 images on cpu "),
    ],
)
def test_the_first_line_of_a_training_counts_in_plain_english(words, step, says):
    config = config_of("model=gan", *words)
    trainer = trainer_of(config)
    trainer.step = step
    assert remarks.opening(config, TrainerSettings(**config["trainer"]), trainer, 0.1).startswith(says)


def test_a_dry_run_asks_for_no_more_devices_than_there_are(capsys):
    assert cli.main(["train", "dataset=digits", "model=gan", "trainer.device=cpu", "trainer.devices=4096", "-n"]) == 6
    assert "this machine has" in capsys.readouterr().err


def test_a_folder_of_ones_own_in_a_datasets_place_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_pictures").mkdir()
    for word in ("my_pictures", "./my_pictures", "../my_pictures"):
        assert cli.main(["train", f"dataset={word}"]) == 2
        assert f"dataset=folder dataset.path={word}\n" in capsys.readouterr().err


def test_help_lists_choices_as_they_are_typed(capsys):
    assert cli.main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "experiment/proof" not in out and ", proof/ema, " in out and "\nloss/penalty: dragan, " in out
