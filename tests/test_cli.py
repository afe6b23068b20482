"""The command line: what is typed, what comes of it, and what is said when it cannot."""

import csv
import errno
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

import gan_lab.launch
from gan_lab.cli import main
from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import DivergedError

SUMMARY = {"status": "finished", "step": 5, "seconds": 1.5, "metrics": {"loss/generator/adversarial": 0.5}}
CHECK = """
import sys
from gan_lab.cli import main
code = main(sys.argv[1:])
sys.exit(9 if "torch" in sys.modules else code)
"""
HYDRA_RUN = {"config.yaml", "hydra.yaml", "overrides.yaml"}


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """What reaches the training, which is only acted: a seed of 7 fails, 8 diverges, 9 is stopped by a signal."""
    calls = []

    def train(config, run_dir, overrides, resume=False):
        calls.append({"config": config, "run_dir": run_dir, "overrides": overrides, "resume": resume})
        if config["seed"] == 7:
            raise RuntimeError("planted")
        if config["seed"] == 8:
            raise DivergedError("The loss is not finite.")
        return SUMMARY | ({"status": "stopped", "signal": 15} if config["seed"] == 9 else {})

    fake = types.ModuleType("gan_lab.launch.launch")
    fake.train = train
    fake.dry_run = lambda config: calls.append({"config": config, "dry": True})
    fake.follow = lambda: calls.append("follow")
    monkeypatch.setitem(sys.modules, "gan_lab.launch.launch", fake)
    monkeypatch.setattr(gan_lab.launch, "launch", fake, raising=False)
    monkeypatch.setattr(sys, "argv", ["gan-lab"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.delenv("GAN_LAB_CONFIG_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    yield calls
    logging.getLogger().handlers.clear()  # those of Hydra write to a stream that is gone


def said(capsys, *words):
    """The exit code and what was printed on each stream."""
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def everything(folder):
    return list(folder.rglob("*"))


# What is typed wrongly, and the first line of the answer

WRONG = {
    "trian": "unknown command 'trian'; did you mean 'train'?",
    "trainer.steps=5": "'trainer.steps=5' is a setting, not a command; settings follow a command: "
    "gan-lab train trainer.steps=5",
    "train trainer.stepz=5": "unknown setting 'trainer.stepz'; did you mean 'trainer.steps'?",
    "train trainer.lr=1": "unknown setting 'trainer.lr'; did you mean 'optimizer.lr'?",
    "train +trainer.stepz=1": "unknown setting 'trainer.stepz'; did you mean 'trainer.steps'?",
    "train +trainer.steps=7": "'trainer.steps' is already set: write trainer.steps=... without the +",
    "train sed=1": "unknown setting 'sed'; did you mean 'seed'?",
    "train lr=1": "unknown setting 'lr'; did you mean 'optimizer.lr'?",
    "train model=dcgn": "unknown model 'dcgn'; did you mean 'dcgan'?",
    "train experiment=dcgan_digit": "unknown experiment 'dcgan_digit'; did you mean 'dcgan_digits'?",
    "train loss=wgan_gp loss.penalties.gradient_penalty.weigth=5": "unknown setting "
    "'loss.penalties.gradient_penalty.weigth'; did you mean "
    "'loss.penalties.gradient_penalty.weight'?",
    "train loss=hinge loss.penalties.r1.weight=5": "loss.penalties.r1 has no _target_, the class that it builds; "
    "did you mean to choose it, loss/penalty=[r1]?",
    "train optimizer_overrides.generator.lrr=1": "unknown setting 'optimizer_overrides.generator.lrr'; did you mean "
    "'optimizer_overrides.generator.lr'?",
    "train trainer.steps=abc": "trainer.steps='abc' must be a whole number or null",
    "train trainer.steps=1e4": "trainer.steps=10000.0 must be a whole number or null; write 10000",
    "train trainer.steps=": "trainer.steps='' must be a whole number or null",
    "train trainer.precision=fp64": "trainer.precision='fp64' must be one of auto, fp32, bf16, fp16",
    "train trainer.batch_size=0": "trainer.batch_size=0 must be greater than 0",
    "train optimizer.lr=nan": "optimizer.lr=nan must be a finite number",
    "train optimizer.lr=0": "optimizer.lr=0 must be greater than 0 and at most 10",
    "train optimizer.lr=-1": "optimizer.lr=-1 must be greater than 0 and at most 10",
    "train optimizer.lr=1e9": "optimizer.lr=1000000000.0 must be greater than 0 and at most 10",
    "train optimizer_overrides.d.lr=0": "optimizer_overrides.d.lr=0 must be greater than 0 and at most 10",
    "train optimizer.betas=[0.5]": "optimizer.betas=[0.5] must be a list of 2: a number, a number",
    "train seed=-1": "seed=-1 must lie between 0 and 2^63 - 1",
    "train dataset=ring8 model.discriminator.image_size=16": "model.generator.image_size=null must be a whole number "
    "or a list of whole numbers; this dataset has no image_size, so it needs another model, e.g. model=gan",
    "train dataset=folder": "dataset.path must be given, e.g. dataset.path=...",
    "train seed=0,1": "seed=0,1 has several values: add -m to train with each of them,",
    "train seed=[1": "cannot read the setting 'seed=[1'; quote a value with special characters: seed=\"'[1'\"",
    "train dcgan": "'dcgan' is not a setting, which is written name=value, e.g. trainer.steps=500",
    "train --steps=5": "unknown option '--steps'; settings are written without dashes: trainer.steps=5",
    "train --steps 100": "unknown option '--steps'; settings are written without dashes: trainer.steps=100",
    "train --batch-size 8": "unknown option '--batch-size'; settings are written without dashes: trainer.batch_size=8",
    "train --dataset digits": "unknown option '--dataset'; settings are written without dashes: dataset=digits",
    "train dataset=digits dataset.flip=true": "unknown setting 'dataset.flip'; this dataset does not take it; "
    "attribute_folder, celeba, cifar10, cifar100, degraded, domains_folder, folder, lsun, many_domains, paired_folder, "
    "split_domains, stl10, unpaired_folder, unpaired_sets do",
    "train --multirn": "unknown option '--multirn'; did you mean '--multirun'?",
    "train --cfg jobb": "--cfg takes job, hydra, all, not 'jobb'",
    "train --config-dir": "--config-dir needs a value",
    "train trust=mine": "trust='mine' must be a list of texts",
    "train model.latent_dim=${nope}": "model.latent_dim: Interpolation key 'nope' not found",
    "train run.name=../../etc/x": "run.name='../../etc/x' must not contain '..' or empty steps",
    "train run.name=/etc/x": "run.name='/etc/x' must lie below run.root, so it cannot be an absolute path",
    "train run.name=": "run.name='' must not be empty",
    "train run.name=CON": "run.name='CON' contains a name that Windows reserves",
    "train run.name=a/lpt1.txt": "run.name='a/lpt1.txt' contains a name that Windows reserves",
    f"train run.name={'x' * 300}": f"run.name='{'x' * 56}... is longer than 100 characters",
    "ls modls": "cannot list 'modls'; did you mean 'models'?",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_word_gets_a_sentence(calls, capsys, tmp_path, line):
    code, out, err = said(capsys, *line.split(" "))
    assert (code, err.splitlines()[0], out) == (2, f"gan-lab: {WRONG[line]}", "")
    assert len(err.splitlines()) <= 3
    assert calls == [] and everything(tmp_path) == []


def test_all_that_is_wrong_is_told_together(calls, capsys):
    _, _, err = said(capsys, "train", "trainer.stepz=5", "trainer.batch_size=x", "optimizer.lr=nan", "seed=-1")
    assert err.startswith("gan-lab: 4 settings cannot be used:\n")
    assert all(word in err for word in ("trainer.stepz", "trainer.batch_size", "optimizer.lr", "seed=-1"))


def test_debug_shows_the_traceback_and_a_bug_asks_for_a_report(calls, capsys, monkeypatch):
    assert "Traceback" in said(capsys, "train", "--debug", "sed=1")[2]
    monkeypatch.setattr("gan_lab.cli.fault_in", lambda error: "")  # the plant lies in this file, outside of gan-lab
    code, _, err = said(capsys, "train", "seed=7")
    assert code == 1 and "RuntimeError: planted" in err and "this is a bug; please report it" in err
    assert said(capsys, "train", "seed=8") == (5, "", "gan-lab: The loss is not finite.\n")
    assert said(capsys, "train", "seed=9")[0] == 128 + 15


@pytest.mark.parametrize("where", ["gan_lab.launch.launch.train", "hydra.core.utils._save_config"])
def test_a_full_disk_is_a_sentence_wherever_it_is_met(calls, capsys, monkeypatch, where):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, full)
    code, _, err = said(capsys, "train")
    assert code == 6 and err.startswith("gan-lab: The disk is full. Free some space") and len(err.splitlines()) == 1


def test_hydras_own_traceback_is_there_for_who_asks(calls, capsys, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "ConfigCompositionException" in said(capsys, "train", "sed=1")[2]


# What is typed rightly


def test_train_alone_is_the_demo(calls, tmp_path):
    assert main(["train"]) == 0
    (call,) = calls
    run = call["run_dir"]
    assert call["overrides"] == ["experiment=dcgan_digits"] and call["config"]["run"]["name"] == "dcgan_digits"
    assert run.parent == tmp_path / "outputs" / "dcgan_digits" and re.fullmatch(r"\d{8}-\d{6}", run.name)
    assert {path.name for path in (run / ".hydra").iterdir()} == HYDRA_RUN and set(run.iterdir()) == {run / ".hydra"}


def test_a_choice_starts_from_the_defaults(calls):
    main(["train", "model=gan"])
    assert calls[0]["config"]["run"]["name"] == "gan_digits"
    assert calls[0]["config"]["trainer"]["steps"] == TrainerSettings().steps


def test_no_run_overwrites_another(calls, monkeypatch):
    from gan_lab.launch.callbacks import claimed

    assert [claimed(Path("a/b")).name for _ in range(3)] == ["b", "b-2", "b-3"]


def test_a_dry_run_writes_nothing(calls, tmp_path):
    assert main(["train", "--dry-run"]) == main(["train", "-m", "seed=1,2", "--dry-run"]) == 0
    assert [call["dry"] for call in calls] == [True] * 3 and everything(tmp_path) == []


def test_settings_that_no_yaml_lists(calls):
    main(["train", "optimizer.amsgrad=true", "loss=wgan_gp", "loss.penalties.gradient_penalty.every=2",
          "trainer.turns.generator=1/2", "optimizer_overrides.discriminator.lr=4e-4", "trainer.clip=None"])  # fmt: skip
    config = calls[0]["config"]
    assert config["optimizer"]["amsgrad"] is True and config["loss"]["penalties"]["gradient_penalty"]["every"] == 2
    assert config["trainer"]["turns"] == {"generator": "1/2"} and config["trainer"]["clip"] is None
    assert config["optimizer_overrides"] == {"discriminator": {"lr": 4e-4}}


def test_a_mapping_is_laid_over_what_there_is(calls):
    main(["train", "optimizer_overrides={discriminator:{lr:0.01}}", "trainer={steps:5}"])
    config = calls[0]["config"]
    assert config["optimizer_overrides"] == {"discriminator": {"lr": 0.01}}
    assert config["trainer"]["steps"] == 5 and config["trainer"]["precision"] == "auto"


def test_another_optimizer_for_one_player(calls):
    main(["train", "+optimizer@optimizer_overrides.discriminator=sgd"])
    assert calls[0]["config"]["optimizer_overrides"]["discriminator"]["_target_"] == "torch.optim.SGD"


NASTY = ["lr=0.1/last", "a b/c", "a,b/c", "dåta/ö", "run(1)/x", "#1/x", "it's/x", 'say "x"/y', "{a}/b", "x/[1]",
         "a;b/c", "100%/x", "a\\b/c", "x/y\\", "null/x", "a:b/c", "x/~y", "$HOME/x", "!/x", "日本/語"]  # fmt: skip


@pytest.mark.parametrize("path", NASTY)
def test_nasty_paths(calls, path):
    main(["train", "dataset=folder", f"dataset.path={path}", f"run.root={path}"])
    (call,) = calls
    assert call["config"]["dataset"]["path"] == call["config"]["run"]["root"] == path and call["run_dir"].is_dir()


def test_paths_that_a_person_quotes(calls):
    for path in NASTY[:6]:
        main(["train", "dataset=folder", f"dataset.path='{path}'"])
    assert [call["config"]["dataset"]["path"] for call in calls] == NASTY[:6]


def test_home_and_what_lies_on_disk(calls):
    main(["train", "dataset=folder", "dataset.path=~/pictures"])
    Path("a=b,c").mkdir()
    main(["train", "dataset=folder", "dataset.path=a=b,c", "run.name=5"])
    assert calls[0]["config"]["dataset"]["path"] == str(Path.home() / "pictures")
    assert calls[1]["config"]["dataset"]["path"] == "a=b,c" and calls[1]["config"]["run"]["name"] == "5"


@pytest.fixture
def own(tmp_path):
    """A user's own folder of YAML: a new model and a loss that replaces a built-in."""
    for name, text in {
        "model/mine.yaml": "# my model\ndefaults: [dcgan]\nlatent_dim: 7\n",
        "loss/hinge.yaml": "# my hinge\n_target_: gan_lab.losses.Hinge\ncritic_turns: 3\n",
    }.items():
        file = tmp_path / "own" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return tmp_path / "own"


def test_a_folder_of_ones_own(calls, capsys, monkeypatch, own):
    main(["train", "model=mine", "loss=hinge", "--config-dir", "own"])
    monkeypatch.setenv("GAN_LAB_CONFIG_DIR", str(own))
    main(["train", "model=mine", "loss=hinge"])
    for call in calls:
        assert (call["config"]["model"]["latent_dim"], call["config"]["loss"]["critic_turns"]) == (7, 3)
    assert re.search(r"^mine +my model$", said(capsys, "ls", "models")[1], re.MULTILINE)
    monkeypatch.delenv("GAN_LAB_CONFIG_DIR")
    assert said(capsys, "train", "model=mine")[2].startswith("gan-lab: unknown model 'mine'")
    assert "there is no folder" in said(capsys, "train", "--config-dir", "nope")[2]


def test_a_package_of_ones_own(calls, capsys, monkeypatch, tmp_path):
    Path("mynets").mkdir()
    Path("mynets/__init__.py").write_text("from mynets.net import Net\n")
    Path("mynets/net.py").write_text(
        "raise SystemExit('imported')\nclass Net:\n    def __init__(self, size: int): ...\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    words = ["train", "~model.generator", "+model.generator={_target_: mynets.Net, size: 3}"]
    assert said(capsys, *words)[2].endswith("if the package is yours, name it: trust=[mynets]\n")
    assert main([*words, "trust=[mynets]"]) == 0 and len(calls) == 1
    assert "model.generator.size='x'" in said(capsys, *words, "trust=[mynets]", "model.generator.size=x")[2]


def test_help_and_what_hydra_shows(calls, capsys, tmp_path):
    code, out, _ = said(capsys, "train", "--help")
    assert code == 0 and "hinge, least_squares" in out and "trainer.steps " in out and "gan-lab train -m" in out
    assert yaml.safe_load(said(capsys, "train", "--cfg", "job", "--resolve")[1])["run"]["name"] == "dcgan_digits"
    assert "file://" in said(capsys, "train", "--info", "searchpath", "model=gan")[1]
    assert calls == [] and everything(tmp_path) == []


def test_completion(calls, capsys, monkeypatch):
    asked = {
        "gan-lab tr": "train",
        "gan-lab train loss=w": "loss=wasserstein loss=wgan_div loss=wgan_gp",
        "gan-lab train --dry-run trainer.st": "trainer.steps=",
        "gan-lab train model=gan loss=h": "loss=hinge",
        "gan-lab ls ": "",
    }
    for line, answer in asked.items():
        monkeypatch.setenv("COMP_LINE", line)
        assert answer in said(capsys, "-sc", "query=bash")[1]
    assert said(capsys, "train", "-sc", "install=bash")[1].endswith("hydra_bash_completion gan-lab\n")


def test_torchrun_composes_once(calls, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    main(["train"])
    assert calls == ["follow"]
    for words in (["--dry-run"], ["--cfg", "job"], ["--help"]):  # nobody would be there to follow
        assert main(["train", *words]) == 0
    assert calls == ["follow"] and main(["train", "-m", "seed=0,1"]) == 2


def test_what_is_read_only_costs_no_torch(tmp_path):
    lines = ["--help", "ls", "ls losses", "ls runs", "train --help", "train --cfg job", "resume --help"]
    lines += ["train trainer.stepz=1 model.generator._target_=os.system"]
    for line in [*lines, "-sc query=bash"]:
        env = os.environ | {"COMP_LINE": "gan-lab train loss=w"}
        done = subprocess.run(
            [sys.executable, "-c", CHECK, *line.split()], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == (2 if "stepz" in line else 0) and "Traceback" not in done.stderr, done.stderr
    assert everything(tmp_path) == []


# Sweeps


def test_a_failing_job_does_not_stop_a_sweep(calls, capsys, tmp_path):
    code, out, err = said(capsys, "train", "-m", "loss=hinge,wgan_gp", "seed=0,7", "trainer.batch_size=8")
    assert code == 2 and len(calls) == 4, "the plant lies in this file, outside of gan-lab"
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    jobs = {path.name for path in sweep.iterdir() if path.is_dir()}
    assert jobs == {"0_loss-hinge_seed-0", "1_loss-hinge_seed-7", "2_loss-wgan_gp_seed-0", "3_loss-wgan_gp_seed-7"}
    assert sweep.name.endswith("_loss_seed")
    with (sweep / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["finished", "failed", "finished", "failed"]
    assert rows[0]["generator/adversarial"] == "0.5" and "RuntimeError: planted" in rows[1]["error"]
    assert "planted" in (sweep / "1_loss-hinge_seed-7" / "error.txt").read_text()
    assert (
        "gan-lab: job 1 failed: RuntimeError: planted" in err
        and "gan-lab: 2 of 4 jobs failed" in err
        and "Traceback" not in err
    )
    assert all(row["settings"] in out for row in rows)


def test_a_sweeps_exit_code_is_its_jobs(calls, capsys):
    assert said(capsys, "train", "-m", "seed=1,8")[0] == 5
    assert said(capsys, "train", "-m", "seed=7,8")[0] == 1
    code, out, _ = said(capsys, "train", "-m", "seed=1,2")
    assert code == 0
    commands = dict(line.split(maxsplit=1) for line in out.splitlines()[-3:])
    assert [*commands] == ["evaluate", "compare", "curves"]
    assert all(shlex.split(command)[-1].startswith("outputs/sweeps/") for command in commands.values())


def test_a_signal_stops_a_sweep_and_leaves_its_table(calls, capsys):
    code, out, _ = said(capsys, "train", "-m", "seed=1,9,2")
    assert code == 143 and len(calls) == 2
    assert [line.split()[1] for line in out.splitlines()[-3:]] == ["finished", "stopped", "waiting"]


@pytest.mark.parametrize(
    "words", ["loss=hinge,hing", "seed=1,-1", "trainer.steps=5,x", "loss=wgan_gp,hinge loss.clip=3"]
)
def test_no_job_starts_if_one_cannot_run(calls, capsys, tmp_path, words):
    code, _, err = said(capsys, "train", "-m", *words.split())
    assert code == 2 and err.startswith("gan-lab: 1 of 2 jobs cannot run, so none was started:\n  job 1: ")
    assert calls == [] and everything(tmp_path) == []


# Resuming and listing


@pytest.fixture
def run(calls, tmp_path):
    """A run whose name is as bad as names get."""
    main(["train"])
    place = tmp_path / "outputs" / "a=b, (ö) ~" / "1"
    place.mkdir(parents=True)
    (place / "config.yaml").write_text(yaml.safe_dump(calls.pop()["config"]))
    (place / "checkpoints").mkdir()
    (place / "checkpoints" / "step-00000001.json").write_text("{}")
    (place / "summary.json").write_text(json.dumps(SUMMARY | {"metrics": {"loss/generator": 0.25, "memory/x": 9.0}}))
    return place


def test_resume_changes_how_long_and_where(calls, run):
    assert main(["resume", "outputs/a=b, (ö) ~/1", "trainer.steps=9", "trainer.device=cpu"]) == 0
    (call,) = calls
    assert call["resume"] and call["run_dir"] == run and call["overrides"] == ["trainer.steps=9", "trainer.device=cpu"]
    assert (call["config"]["trainer"]["steps"], call["config"]["trainer"]["device"]) == (9, "cpu")


REFUSED = {
    "outputs/a=b, (ö) ~/2": (4, "did you mean 'outputs/a=b, (ö) ~/1'?"),
    "outputs/a=b, (ö) ~": (4, "did you mean 'outputs/a=b, (ö) ~/1', its newest run?"),
    "/nowhere/at/all": (4, "the run '/nowhere/at/all' does not exist"),
    "outputs/a=b, (ö) ~/1 loss=hinge": (2, "'loss' cannot change when a run is resumed"),
    "outputs/a=b, (ö) ~/1 trainer.stepz=1": (2, "did you mean 'trainer.steps'?"),
    "outputs/a=b, (ö) ~/1 trainer.steps=x": (2, "trainer.steps='x' must be a whole number"),
    "outputs/a=b, (ö) ~/1 trainer.steps=1,2": (2, "trainer.steps=1,2 must give one value"),
    "outputs/a=b, (ö) ~/1 --dry-run": (2, "no options"),
}


@pytest.mark.parametrize("line", REFUSED)
def test_resume_refuses(calls, capsys, run, line):
    word, *rest = re.split(r" (?=loss|trainer|--)", line)
    code, _, err = said(capsys, "resume", word, *rest)
    assert code == REFUSED[line][0] and REFUSED[line][1] in err and "Traceback" not in err
    assert calls == []


def test_a_runs_file_is_not_trusted(calls, capsys, run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {"trust": ["subprocess"]}
    config["model"]["generator"] = {"_target_": "subprocess.Popen", "args": ["touch", "marker"]}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    code, _, err = said(capsys, "resume", str(run))
    assert code == 2 and "'subprocess.Popen'" in err and not Path("marker").exists() and calls == []
    (run / "config.yaml").write_text("a: [")
    assert said(capsys, "resume", str(run))[0] == 4


def test_ls(calls, capsys, run):
    for kind in ("models", "losses", "datasets", "optimizers", "trainers", "experiments"):
        lines = said(capsys, "ls", kind)[1].splitlines()
        assert lines and all(re.match(r"[\w/]+ +\S", line) for line in lines), f"{kind}: a file has no first comment"
    listed = said(capsys, "ls", "runs")[1]
    assert "outputs/a=b, (ö) ~/1" in listed and "generator 0.25" in listed and "memory" not in listed
    assert said(capsys, "ls", "runs", "root=nowhere")[1] == "no runs in nowhere\n"


# Whatever is typed, the answer is a sentence

KEYS = ["seed", "trainer.steps", "trainer.clip", "trainer.turns", "model", "model.generator", "model.generator.width",
        "loss.penalties", "loss.penalties.gradient_penalty", "loss.penalties.gradient_penalty.weight",
        "loss/penalty", "loss/view", "optimizer.betas", "optimizer_overrides",
        "optimizer_overrides.discriminator", "run", "run.name", "trust", "dataset", "dataset._target_", "x", "a.b.c",
        "hydra.run.dir", "loss", "+loss", "~loss", "~trainer.steps", "++model._partial_", "optimizer@x"]  # fmt: skip
VALUES = ["", "0", "-1", "1.5", "nan", "1e400", "null", "None", "true", "[]", "{}", "[1,2]", "{a: 1}", "a b", "'", '"',
          "[", "}", "${", "${seed}", "${oc.env:NOPE}", "???", "1,2", "os.system", "gan_lab.models.GAN", "a=b", "é", "$",
          "{_target_: os.system}", "[{_target_: gan_lab.losses.Hinge}]", "range(3)", "\\", "\n", "dcgan"]  # fmt: skip


@pytest.mark.slow
@hypothesis.settings(max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES) | st.text(max_size=5)), min_size=1, max_size=3)
)
def test_no_setting_ends_in_a_traceback(calls, capsys, pairs):
    code, _, err = said(capsys, "train", "--dry-run", *(f"{key}={value}" for key, value in pairs))
    assert code in (0, 2) and "Traceback" not in err, err
    assert code == 0 or err.startswith("gan-lab: ")
