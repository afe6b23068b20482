"""What opens somebody's machine or loses their work, and is therefore refused."""

import io
import zipfile

import pytest
from PIL import Image

from gan_lab.cli import main
from gan_lab.commands.translate import Options, planned
from gan_lab.config.choices import CONF
from gan_lab.config.compose import compose
from gan_lab.datasets.source import open_source
from gan_lab.errors import ConfigError, DataError

WRITE = "{_target_: pathlib.Path.write_text, self: {_target_: pathlib.Path, _args_: [MARK]}, data: x}"
TOUCH = "{_target_: subprocess.Popen, args: [touch, MARK]}"
HANDLERS = "hydra: {KIND: {version: 1, root: {level: INFO, handlers: [x]}, handlers: {x: HANDLER}}}"
FOREIGN = {  # a YAML of an experiment, and what the answer says
    "trust: [subprocess]\nmodel: {generator: {_target_: subprocess.Popen, args: [touch, MARK]}}": "[subprocess]",
    "trust: '${run.name}'\nrun: {name: subprocess}": "trust=[${run.name}]",
    f"hydra: {{callbacks: {{x: {TOUCH}}}}}": "hydra.callbacks.x._target_=subprocess.Popen",
    f"hydra: {{callbacks: {{x: {WRITE}}}}}": "hydra.callbacks.x._target_=pathlib.Path.write_text",
    "hydra: {callbacks: {x: {_target_: torch.hub.load, repo_or_dir: MARK}}}": "torch.hub.load",
    "hydra: {callbacks: {x: {_target_: gan_lab.networks.torch.load, f: MARK}}}": "gan_lab.networks.torch.load",
    f"hydra: {{callbacks: {{x: '${{optimizer_overrides}}'}}}}\noptimizer_overrides: {TOUCH}": "must be written out",
    f"hydra: {{callbacks: {{gan_lab: {{dry: {TOUCH}}}}}}}": "hydra.callbacks.gan_lab.dry._target_",
    "hydra: {callbacks: {x: {_target_: '${run.name}', args: [touch, MARK]}}}\nrun: {name: subprocess.Popen}": "name",
    f"hydra: {{launcher: {{x: {TOUCH}}}}}": "hydra.launcher.x",
    "hydra: {launcher: {_target_: hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher}}": "submitit",
    f"hydra: {{sweeper: {{params: {{x: {TOUCH}}}}}}}": "hydra.sweeper.params.x._target_",
    "hydra: {sweeper: {_target_: subprocess.Popen}}": "hydra.sweeper._target_",
    "hydra: {sweeper: null}": "hydra.sweeper must be",
    "hydra: {callbacks: {gan_lab: null}}": "hydra.callbacks.gan_lab",
    "x: [&a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "
    + ", ".join(f"&{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True))
    + "]": "its aliases written out",
    HANDLERS.replace("KIND", "job_logging").replace("HANDLER", "{(): subprocess.Popen, args: [touch, MARK]}"): "job_",
    HANDLERS.replace("KIND", "hydra_logging").replace(
        "HANDLER", "{(): subprocess.Popen, args: [touch, MARK]}"
    ): "hydra",
    HANDLERS.replace("KIND", "job_logging").replace("HANDLER", "{class: logging.FileHandler, filename: MARK}"): "own",
    HANDLERS.replace("KIND", "job_logging").replace(
        "HANDLER", "{class: logging.StreamHandler, stream: 'ext://antigravity.x'}"
    ): "ext://antigravity",
    "hydra: {job: {env_set: {PYTHONPATH: MARK}}}": "hydra.job.env_set",
    "hydra: {job: {env_copy: [SECRET]}}\nrun: {name: '${hydra:job.env_set.SECRET}'}": "hydra.job.env_copy",
    "hydra: {run: {dir: .}, sweep: {dir: .}, overrides: {hydra: [hydra.run.dir=.]}}": "hydra.overrides",
    "hydra: {overrides: {task: ['trust=[subprocess]']}}": "hydra.overrides stands in a YAML file",
    "hydra: {output_subdir: ../../other}": "hydra.output_subdir",
    "run: {name: '${oc.env:SECRET}'}": "environment variable 'SECRET'",
    "run: {name: '${oc.env:NOT_THERE,x}'}": "environment variable 'NOT_THERE'",
    "run: {name: '${oc.decode:\"${oc.env:SECRET}\"}'}": "environment variable 'SECRET'",
    "run: {name: '${oc.${run.root}:SECRET}', root: env}": "environment variable 'SECRET'",
    "run: {name: '${oc.select:trainer.init_from}'}\ntrainer: {init_from: '${oc.env:SECRET}'}": "variable 'SECRET'",
    "hydra: {run: {dir: 'x/${oc.env:SECRET}'}, sweep: {dir: 'x/${oc.env:SECRET}'}}": "environment variable 'SECRET'",
}


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A folder of YAML with one experiment, called theirs, whose text the test writes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "the-secret-of-this-user")
    monkeypatch.delenv("GAN_LAB_CONFIG_DIR", raising=False)
    monkeypatch.setattr("sys.argv", ["gan-lab"])
    (tmp_path / "conf" / "experiment").mkdir(parents=True)

    def write(text):
        text = f"# @package _global_\n{text.replace('MARK', str(tmp_path / 'mark'))}\n"
        (tmp_path / "conf" / "experiment" / "theirs.yaml").write_text(text)

    return write


@pytest.mark.parametrize("text", FOREIGN)
def test_a_foreign_yaml_calls_trusts_and_reads_nothing(foreign, tmp_path, capsys, text):
    foreign(text)
    for verb, *options in (["train"], ["validate"], ["train", "-m", "seed=0,1"]):
        assert main([verb, "--config-dir", "conf", "experiment=theirs", "trainer.steps=1", *options]) == 2
        out, err = capsys.readouterr()
        assert FOREIGN[text] in err and "Traceback" not in err
        assert "the-secret" not in out + err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf"], "nothing was called, nothing written"


@pytest.mark.parametrize("name", ["MARK", "../MARK", ".", "same"])
def test_jobs_of_a_sweep_lie_below_it_each_in_its_own_place(foreign, tmp_path, capsys, name):
    foreign(f"hydra: {{sweep: {{subdir: {name}}}}}")
    assert main(["train", "-m", "--config-dir", "conf", "experiment=theirs", "trainer.steps=1", "seed=0,1"]) == 2
    assert "hydra.sweep.subdir" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf"]


def test_show_composes_by_the_same_rules(foreign, tmp_path, capsys):
    foreign("run: {name: '${oc.env:SECRET}'}\nhydra: {callbacks: {x: {_target_: subprocess.Popen, args: [MARK]}}}")
    assert main(["show", "conf/experiment/theirs.yaml"]) == 0
    assert "subprocess.Popen is not what gan-lab lets Hydra call" in capsys.readouterr().out


def test_a_package_may_not_be_where_yaml_is_looked_for(foreign, tmp_path, capsys):
    own = CONF / "config.yaml"
    text = own.read_text()
    text = text.replace("\nhydra:\n", "\nhydra:\n  searchpath: ['pkg://antigravity']\n", 1)
    (tmp_path / "conf" / "config.yaml").write_text(text)
    assert main(["train", "--config-dir", "conf", "trainer.steps=1"]) == 2
    assert "hydra.searchpath=pkg://antigravity" in capsys.readouterr().err


def test_ones_own_words_may_read_the_environment_and_trust(foreign, monkeypatch):
    monkeypatch.setenv("PLACE", "here")
    assert compose(["model=gan", "run.root=${oc.env:PLACE}"])["run"]["root"] == "here"
    with pytest.raises(ConfigError, match="neither|not there|PLACES|not found"):
        compose(["model=gan", "run.root=${oc.env:PLACES}"])
    assert compose(["model=gan", "trust=[mypackage]"])["trust"] == ["mypackage"]


def test_a_callback_of_a_trusted_package_is_called(foreign, tmp_path, monkeypatch, capsys):
    (tmp_path / "their_package.py").write_text(
        "from pathlib import Path\n"
        "class Callback:\n"
        "    def __init__(self): Path('called').touch()\n"
        "    def __getattr__(self, name): return lambda **kwargs: None\n"
        "def function(): Path('called').touch()\n"
    )
    words = ["validate", "--config-dir", "conf", "experiment=theirs", "trust=[their_package]"]
    foreign("hydra: {callbacks: {x: {_target_: their_package.function}}}")
    assert main(words) == 2, "a function is no class"
    foreign("hydra: {callbacks: {x: {_target_: their_package.Path.cwd}}}")
    assert main(words) == 2
    assert not (tmp_path / "called").exists()
    foreign("hydra: {callbacks: {x: {_target_: their_package.Callback}}}")
    assert main(words) == 0
    assert (tmp_path / "called").exists()


def test_hydras_own_choices_are_left_alone(foreign):
    for word in ("hydra/job_logging=default", "hydra/job_logging=disabled", "hydra/launcher=local"):
        foreign("hydra: {sweep: {dir: sweeps/x}, sweeper: {max_batch_size: 2}}")
        assert main(["validate", "--config-dir", "conf", "experiment=theirs", word, "-m", "seed=0,1"]) == 0


# ---- archives -------------------------------------------------------------------------------------------------------


def zipped(path, *names):
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, picture.getvalue())
    return path


@pytest.mark.parametrize("name", ["/tmp/x.png", "../x.png", "a/../../x.png", "a/..", "C:/x.png", "c:x.png"])
@pytest.mark.parametrize("separator", ["/", "\\"])
def test_an_archive_whose_names_lead_out_of_it_is_refused(tmp_path, name, separator):
    path = zipped(tmp_path / "hostile.zip", "good.png", name.replace("/", separator))
    with pytest.raises(DataError, match="leads out of it"):
        open_source(path)
    with pytest.raises(DataError, match="leads out of it"):
        planned(path, tmp_path / "output", Options())


def test_a_zip_of_windows_has_folders_and_can_be_read(tmp_path):
    source = open_source(zipped(tmp_path / "windows.zip", "cats\\1.png", "dogs\\..x\\2..png", "__MACOSX\\3.png"))
    assert source.files == ["cats/1.png"]
    assert source.read("cats/1.png", 1000)[:4] == b"\x89PNG" and source.stamp("cats/1.png")[0] > 0
    assert planned(tmp_path / "windows.zip", tmp_path / "o", Options())[2] == [tmp_path / "o" / "cats" / "1.png"]
