"""What lies in a run's directory, and what is typed: a sentence where it cannot be used, whatever it is."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers import config_of
from PIL import Image

import gan_lab
from gan_lab.cli import main
from gan_lab.config.options import read
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.launch import launch
from gan_lab.storage import checkpoint
from gan_lab.storage import files as stored

TINY = ["trainer.steps=2", "trainer.sample_every=1", "trainer.evaluate_every=null"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original") / "run"
    launch.train(config_of("model=cgan", "loss=hinge", *TINY), folder)
    return folder


@pytest.fixture
def run(original, tmp_path, monkeypatch):
    """A run of two steps, to be damaged."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(original, tmp_path / "outputs" / "a run"))


def said(capsys, *words):
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


# ---- one file -------------------------------------------------------------------------------------------------------

DEEP = "[" * 900 + "]" * 900
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


SUMMARIES = [
    "[]", "null", "7", "{", "[" * 5000, f'{{"a": {DEEP}}}', "9" * 5000, '{"step": "x"}', '{"metrics": {"a": {}}}',
    f'{{"metrics": {{"a": 1{"0" * 400}}}}}', '{"status": "a\\u001b[2Jb"}', '{"figures": {"a": {"value": 1}}}',
]  # fmt: skip


@pytest.mark.parametrize("content", SUMMARIES, ids=lambda content: content[:20])
def test_a_summary_of_another_shape_is_a_sentence(tmp_path, content):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"summary\.json' cannot be read: "):
        stored.summary_of(tmp_path)


def test_not_a_number_and_what_a_later_version_adds_may_stand_in_a_summary(tmp_path):
    told = {"status": "finished", "metrics": {"loss/a": "nan", "b": "inf"}, "new": [{"anything": None}]}
    (tmp_path / "summary.json").write_text(json.dumps(told))
    assert stored.summary_of(tmp_path) == told


@pytest.mark.parametrize("content", [BOMB, "a: &a [*a]", DEEP, "[" * 5000, "a: 2020-99-99", f"a: {'9' * 5000}", "a: [",
                                     "seed: 0", "{1: 2}", "\0"])  # fmt: skip
def test_a_configuration_of_another_shape_is_a_sentence_at_once(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.yaml' cannot be read: "):
        stored.config_of(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n",
        "step,a\n1,x\n",
        f"step,a\n1,{'9' * 200_000}\n",
        "step,a\n1,2,3\n",
        "step,a\n²,1\n",
        "step,a\n-5,1\n",
    ],
)
def test_a_table_of_another_shape_is_a_sentence(tmp_path, content):
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(CheckpointError, match=r"metrics\.csv' cannot be read: "):
        stored.rows_of(tmp_path)


@pytest.mark.parametrize("torn", ["3", "3,", "3,0.", "3,0.5"])
def test_a_torn_last_line_is_no_row(tmp_path, torn):
    (tmp_path / "metrics.csv").write_text(f"step,a,b\n1,0.5,1\n2,0.4,2\n{torn}")
    assert [row["step"] for row in stored.rows_of(tmp_path)] == ["1", "2"]


@pytest.mark.skipif(os.name == "nt", reason="has no pipes among its files")
def test_only_regular_files_of_a_reasonable_size_are_read(tmp_path):
    file = tmp_path / "summary.json"
    os.mkfifo(file)
    with pytest.raises(CheckpointError, match="no regular file"):
        stored.summary_of(tmp_path)
    file.unlink()
    with file.open("wb") as opened:
        opened.truncate(2**31)
    with pytest.raises(CheckpointError, match="2,147,483,648 bytes"):
        stored.summary_of(tmp_path)


# ---- a tree of runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["summary.json", "metrics.csv", "config.yaml"])
def test_a_damaged_run_is_one_line_and_the_others_are_shown(run, capsys, name):
    good = shutil.copytree(run, run.with_name("good"))
    (run / name).write_bytes(b"\xe4[")
    code, out, _ = said(capsys, "compare", "outputs")
    lines = out.splitlines()
    assert code == 0 and any(line.split()[:2] == [str(good.relative_to(Path.cwd())), "finished"] for line in lines)
    assert (
        any(line.split("  ")[:2] == ["outputs/a run", "unreadable"] for line in lines) and f"{name}' cannot be" in out
    )
    if name == "summary.json":
        code, out, _ = said(capsys, "ls", "runs")
        assert code == 0 and "unreadable" in out and "not UTF-8" in out and "outputs/good   finished" in out


def test_a_killed_run_is_not_running(run, capsys):
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"status": "running"}))
    for words in (["compare", "outputs"], ["ls", "runs"]):
        assert said(capsys, *words)[1].splitlines()[1].split("  ")[1].strip() == "killed"
    with launch.locked(run):
        assert stored.status_of(run, {"status": "running"}) == "running"


def test_figures_that_several_runs_have_come_first_and_fit_the_terminal(run, capsys, monkeypatch):
    for name, metrics in (
        ("b", {"exact/one": 1.0, "exact/both": 2.0, "exact/too": 1.0}),
        ("c", {"exact/both": 3.0, "exact/too": 2.0}),
    ):
        other = shutil.copytree(run, run.with_name(name))
        (other / "summary.json").write_text(json.dumps({"status": "finished", "step": 2, "metrics": metrics}))
    shutil.rmtree(run)
    head = said(capsys, "compare", "outputs")[1].splitlines()[0]
    assert "exact/both" in head and "exact/one" not in head
    assert "left out: 1 more figure of these runs; all=true shows all" in said(capsys, "compare", "outputs")[1]
    whole = said(capsys, "compare", "outputs", "all=true")[1].splitlines()[0]
    assert "exact/both" in whole and "exact/one" in whole
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "42")
    (narrow,) = [line for line in said(capsys, "compare", "outputs")[1].splitlines() if line.startswith("run ")]
    assert len(narrow) <= 42 and "exact/both" in narrow and "exact/too" not in narrow and "exact/too" in head


STATES = [[1], {}, {"step": 2, "game": {}}, {"step": "x", "game": {}, "ema": {}}, {"step": 2, "game": [], "ema": {}},
          {"step": 2, "game": {}, "ema": {}}]  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_checkpoint_that_is_none_of_a_training_is_a_sentence(run, capsys, state):
    torch.save(state, run / "checkpoints" / "step-00000002.pt")
    digest = checkpoint.sha256(run / "checkpoints" / "step-00000002.pt")
    facts = {"step": 2, "schema": checkpoint.SCHEMA, "sha256": digest}
    (run / "checkpoints" / "step-00000002.json").write_text(json.dumps(facts))
    assert said(capsys, "sample", run, "n=1")[0] == 4
    assert said(capsys, "resume", run, "trainer.steps=3")[0] == 4


@pytest.mark.parametrize(("key", "value"), [("loss", None), ("model", {"_target_": "gan_lab.models.GAN"}),
                                            ("trainer", []), ("dataset", "digits"), ("seed", "x")])  # fmt: skip
def test_a_run_whose_configuration_was_bent_is_not_sampled(run, capsys, key, value):
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {key: value}))
    code, _, err = said(capsys, "sample", run, "n=1")
    assert code == 4 and "config.yaml" in err


def test_an_older_checkpoint_in_place_of_one_without_its_sidecar_is_said(run, capsys):
    shutil.copy(run / "checkpoints" / "step-00000002.pt", run / "checkpoints" / "step-00000003.pt")
    code, out, _ = said(capsys, "sample", run, "n=1")
    assert code == 0 and "step 3 lacks its sidecar" in out


def test_an_alias_bomb_does_not_keep_show_waiting(tmp_path, capsys):
    file = tmp_path / "model" / "bomb.yaml"
    file.parent.mkdir()
    file.write_text(BOMB)
    code, _, err = said(capsys, "show", file)
    assert code == 2 and "aliases written out" in err


# ---- words ----------------------------------------------------------------------------------------------------------

LONG = "x" * 4000
REFUSED = {
    "sample RUN n=100000": "n=100000 must be a whole number from 1 to 10,000.",
    f"sample RUN n={'9' * 4400}": "must be a whole number from 1 to 10,000.",
    "sample RUN seeds=0-99999999999": "names too many seeds: at most 10,000",
    f"sample RUN seeds={2**64}": "must be numbers below 2^63 and ranges",
    "sample RUN seeds=0,1 interpolate=linear steps=100000000": "steps=100000000 must be a whole number from 1 to",
    "sample RUN seeds=0-99 interpolate=linear steps=1000": "99 interpolations of steps=1000 are 99,000 pictures",
    "sample RUN device=meta": "device=meta is not supported",
    "sample RUN out=": "out= needs a value",
    f"sample RUN {LONG}=1": "unknown setting 'xxx",
    f"sample {LONG}": "is too long for a path: at most 255 bytes in a name",
    "sample ~nobody_of_that_name/x": "there is no user of that name",
    "sample RUN out=~nobody_of_that_name/x.png": "there is no user of that name",
    "evaluate RUN n=99999999999999": "must be a whole number from 1 to 1,000,000",
    "timelapse RUN fps=1e-300": "fps=1e-300 must be a number from 0.1 to 50.",
    "timelapse RUN size=100000000": "must be a whole number from 1 to 4,096.",
    "compare RUN markdown=": "markdown= needs a value",
    f"compare RUN csv={LONG}": "is too long for a path",
    "ls runs root=~nobody_of_that_name": "there is no user of that name",
    "analyze RUN what=projection images=[/dev/zero]": "not a regular file",
    "validate trainer.threads=65536": "trainer.threads=65536 must be at most 1,024",
    "validate ~model.generator._target_": "",
    "validate model.discriminator=65536": "",
    "validate run.name=${nope}": "Interpolation key 'nope' not found",
    "validate -m seed=range(0,100000000)": "make 100,000,000 jobs, and a sweep has at most 1,000",
}


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: line[:60])
def test_a_word_beyond_a_limit_gets_a_sentence_that_names_it(run, capsys, monkeypatch, line):
    monkeypatch.setattr(sys, "argv", ["gan-lab"])
    code, out, err = said(capsys, *(str(run) if word == "RUN" else word for word in line.split(" ")))
    assert code == (3 if "/dev/zero" in line else 2) and REFUSED[line] in err and len(err) < 1000


@pytest.mark.parametrize("words", [["sample"], ["analyze", "what=interpolation"]])
def test_networks_that_no_memory_holds_are_a_sentence(run, capsys, words):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["generator"]["width"] = 10**10
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert main([words[0], str(run), *words[1:]]) == 6
    out, err = capsys.readouterr()
    assert "Out of memory" in err and "Traceback" not in out + err


def test_grids_have_a_limit_that_is_named(run, capsys):
    assert main(["resume", str(run), "trainer.samples=1000000000"]) == 2
    assert "trainer.samples=1000000000 must be at most 10,000" in capsys.readouterr().err


def test_a_tree_of_very_many_folders_is_not_looked_through(run, capsys, monkeypatch):
    monkeypatch.setattr(stored, "MOST_FOLDERS", 3)
    code, _, err = said(capsys, "ls", "runs", "root=outputs")
    assert code == 2 and "more than 3 folders lie below 'outputs'" in err


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "²", "1e3", "9" * 5000, ""])
def test_whole_numbers_are_written_in_digits(value):
    with pytest.raises(ConfigError, match="must be a whole number from 1 to 1,000,000"):
        read("n", value, int)
    assert read("n", "0" * 5000 + "12", int) == 12


# ---- terminals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_that_a_terminal_cannot_encode_are_escaped(run, monkeypatch, encoding):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    run.rename(run.with_name("дä\udce4"))
    assert main(["compare", "outputs", "all=true"]) == 0 and main(["ls", "runs"]) == 0
    assert main(["sample", "outputs/дä\udce4x"]) == 4
    streams[0].flush()
    assert b"\\udce4" in streams[0].buffer.getvalue()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
def test_a_working_directory_that_is_not_utf_8(tmp_path):
    place = tmp_path / os.fsdecode(b"\xe4 'x'")
    place.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(gan_lab.__file__).parents[1]), "PYTHONIOENCODING": "ascii"}
    words = ["train", *TINY, "trainer.samples=4", "trainer.batch_size=8", "run.name=ü", "trainer.threads=1"]
    done = subprocess.run([sys.executable, "-m", "gan_lab", *words], cwd=place, env=environment, capture_output=True)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr[-2000:]


def test_a_path_with_a_quote_can_be_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = launch.shown(tmp_path / "it's a run")
    assert subprocess.run(f"printf %s {words}", shell=True, capture_output=True, text=True).stdout == "it's a run"


# ---- conditions without the data ------------------------------------------------------------------------------------


def test_a_class_is_asked_for_by_name_when_the_data_is_gone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    words = ["dataset=folder", f"dataset.path={tmp_path / 'data'}", "dataset.image_size=16", "dataset.num_classes=2"]
    launch.train(config_of("model=cgan", "loss=hinge", *words, *TINY), tmp_path / "run")
    shutil.move("data", "elsewhere")
    assert said(capsys, "sample", "run", "n=2", "label=dog")[0] == 0
    code, _, err = said(capsys, "sample", "run", "n=2", "label=dgo")
    assert code == 2 and "did you mean 'dog'?" in err
    (tmp_path / "run" / "start.json").unlink()  # a run from before names were kept
    code, _, err = said(capsys, "sample", "run", "n=2", "label=dog")
    assert code == 3 and "root=PATH" in err and "dataset.path" not in err
    assert said(capsys, "analyze", "run", "what=interpolation", "pairs=4")[0] == 0
    assert said(capsys, "sample", "run", "n=2", "label=dog", "root=elsewhere")[0] == 0


def test_a_class_that_no_picture_is_of_gets_a_sentence(tmp_path, monkeypatch, capsys):
    """Labels 1 ... N leave class 0 empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / f"{i}.png")
    labels = {"labels": [[f"{i}.png", 1 + i % 2] for i in range(12)]}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(labels))
    words = ["dataset=folder", "dataset.path=data", "dataset.image_size=16", "dataset.num_classes=3"]
    launch.train(config_of("model=cgan", "loss=hinge", *words, *TINY), tmp_path / "run")
    assert said(capsys, "sample", "run", "n=2", "label=2")[0] == 0
    code, _, err = said(capsys, "sample", "run", "n=2", "label=0")
    assert code == 2 and err == "gan-lab: label=0: the run saw no picture of this class, only of 1, 2.\n"


def test_a_run_whose_path_has_an_equals_sign_is_analysed(run, capsys):
    run.rename(run.with_name("a=b"))
    assert said(capsys, "analyze", "outputs/a=b", "what=interpolation")[0] == 0
    assert said(capsys, "analyze", "what=interpolation")[0] == 2


# ---- resuming -------------------------------------------------------------------------------------------------------


def edited(run, **changes):
    config = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in changes.items():
        node = config
        *above, last = key.split("__")
        for step in above:
            node = node[step]
        node[last] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.01}}, "optimizer._target_=torch.optim.SGD"),
        ({"optimizer__lr": 0.5}, "optimizer.lr=0.5 (at the start 0.0002)"),
        ({"seed": 7}, "seed=7 (at the start 0)"),
        ({"trainer__batch_size": 4}, "trainer.batch_size=4 (at the start 8)"),
        ({"loss": {"_target_": "gan_lab.losses.NonSaturating"}}, "loss._target_="),
    ],
)
def test_an_edited_configuration_is_another_experiment(run, capsys, changes, told):
    edited(run, **changes)
    code, _, err = said(capsys, "resume", run, "trainer.steps=3")
    assert code == 2 and told in err and "config.yaml was changed since the run began" in err


def test_what_may_change_is_said(run, capsys):
    edited(run, trainer__steps=3)
    code, out, _ = said(capsys, "resume", run)
    assert code == 0 and "Changed since the run began: trainer.steps=3 (at the start 2)" in out


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(run, capsys):
    shutil.rmtree(run / "checkpoints")
    whole = (run / "metrics.csv").read_text().splitlines()[0]
    code, out, _ = said(capsys, "resume", run)
    assert code == 0 and "it begins again" in out
    assert (run / "attempt" / "metrics.csv").is_file() and (run / "metrics.csv").read_text().splitlines()[0] == whole
    assert len(list(run.glob("events.out.tfevents*"))) == 1


def test_checkpoints_without_their_sidecars_are_no_reason_to_begin_again(run, capsys):
    (run / "checkpoints" / "step-00000002.json").unlink()
    assert said(capsys, "resume", run, "trainer.steps=3")[0] == 4
    assert not (run / "attempt").exists()


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nxx", "cut", "a folder"])
def test_an_old_sample_that_cannot_be_read_does_not_end_a_resumed_run(run, capsys, content):
    file = run / "samples" / "step-00000001.png"
    whole = file.read_bytes()
    file.unlink()
    file.mkdir() if content == "a folder" else file.write_bytes(whole[:200] if content == "cut" else content)
    assert said(capsys, "resume", run, "trainer.steps=3")[0] == 0
    with Image.open(run / "progress.gif") as gif:
        assert gif.n_frames == 2


def test_pictures_of_another_number_of_samples_make_a_gif_of_one_size(run, capsys):
    assert said(capsys, "resume", run, "trainer.steps=3", "trainer.samples=36")[0] == 0
    with Image.open(run / "progress.gif") as gif, Image.open(run / "samples" / "step-00000003.png") as last:
        assert gif.n_frames == 3 and gif.size == last.size


def test_a_damaged_table_is_put_aside_and_said(run, capsys):
    (run / "metrics.csv").write_bytes(b"\xff\xfe")
    code, out, _ = said(capsys, "resume", run, "trainer.steps=3")
    assert code == 0 and "renamed to metrics-damaged-" in out
    assert [row["step"] for row in stored.rows_of(run)] == ["3"]


def test_a_schedule_that_starts_again_from_higher_is_said(tmp_path, capsys):
    launch.train(config_of("model=gan", *TINY, "trainer.steps=4", "trainer.schedule=linear"), tmp_path / "run")
    code, out, _ = said(capsys, "resume", tmp_path / "run", "trainer.steps=8")
    assert code == 0 and "rises from 5e-05 to 0.0001" in out and "trainer.init_from=" in out


# ---- whose error it is ----------------------------------------------------------------------------------------------

MINE = """
from gan_lab.losses import Hinge
{0}
class Mine(Hinge):
    def __init__(self):
        super().__init__()
        {1}

    def critic_loss(self, real, fake, noise):
        {2}
        return super().critic_loss(real, fake, noise)
"""
PLANTS = {
    "importing": (("raise ArithmeticError('my words')", "", ""), 3, "ArithmeticError: my words"),
    "misspelt": (("import gan_lab_of_nobody", "", ""), 3, "No module named 'gan_lab_of_nobody'"),
    "building": (("", "raise ArithmeticError('my words')", ""), 7, "ArithmeticError: my words"),
    "building_a_type": (("", "len(5)", ""), 7, "object of type 'int' has no len()"),
    "building_a_value": (("", "int('x')", ""), 7, "invalid literal for int()"),
    "running": (("", "", "raise ArithmeticError('my words')"), 10, "ArithmeticError: my words"),
    "running_a_shape": (("", "", "fake = fake.view(3, 1000)"), 10, "shape '[3, 1000]' is invalid"),
    "running_ours": (("", "", "real = None"), 11, "gan_lab/losses/margin.py"),
}


@pytest.mark.parametrize("when", [*PLANTS, "installed"])
def test_an_error_in_ones_own_package_is_told_by_its_file_and_line(tmp_path, monkeypatch, capsys, when):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "site-packages" if when == "installed" else tmp_path
    place.mkdir(exist_ok=True)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setattr(sys, "argv", ["gan-lab"])
    plants, line, words = PLANTS["running" if when == "installed" else when]
    name = f"mine_{when}"
    (place / f"{name}.py").write_text(MINE.format(*(plant or "pass" for plant in plants)))
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "mine.yaml").write_text(f"# Mine\n_target_: {name}.Mine\n")
    call = ["train", "--config-dir", "conf", "loss=mine", f"trust=[{name}]", *TINY, "trainer.threads=1"]
    code, out, err = said(capsys, *call)
    last = err.splitlines()[-1]
    assert code == 2 and f"{name}.py, line {line}" in last and words in last and "this is a bug" not in err
    assert main([*call, "--debug"]) == 2 and "Traceback" in capsys.readouterr().err
