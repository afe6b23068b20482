"""An experiment in stages: runs in order, each of which may build on those before it, as one thing to a person."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import fingerprint

import gan_lab
from gan_lab.cli import main
from gan_lab.config.compose import compose
from gan_lab.errors import ConfigError
from gan_lab.storage import checkpoint
from gan_lab.storage.files import stage_folders, stages_of, summary_of
from gan_lab.training.observers import Saver

EXPERIMENT = {
    "defaults": [{"override /dataset": "digits"}, {"override /model": "dcgan"}],
    "model": {"generator": {"width": 8}, "discriminator": {"width": 8}},
    "trainer": {
        "steps": 4,
        "batch_size": 8,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "samples": 4,
        "sample_every": 100,
        "log_every": 100,
        "checkpoint_every": 2,
        "evaluate_every": None,
    },
    "stages": {
        "eyes": {"trainer": {"steps": 2}},
        "first": {
            "dataset": "split_domains",
            "model": "direct",
            "model.guest": {
                "_target_": "gan_lab.models.FromRun",
                "run": "stage:eyes",
                "network": "discriminator",
                "part": "trunk",
            },
        },
        "second": {
            "dataset": "split_domains",
            "model": "direct",
            "loss": "hinge",
            "trainer": {"init_from": "stage:first", "steps": 3},
        },
    },
}
STAGES = ["0-eyes", "1-first", "2-second"]


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conf")
    (folder / "experiment").mkdir()
    (folder / "experiment" / "steps.yaml").write_text(
        "# @package _global_\n" + yaml.safe_dump(EXPERIMENT, sort_keys=False)
    )
    return str(folder)


def train(conf, place, *words):
    return main(["train", "experiment=steps", "--config-dir", conf, f"hydra.run.dir={place}", *words])


def ends(run: Path) -> str:
    state = checkpoint.load_newest(run / "checkpoints")
    return fingerprint({name: state[name] for name in state if name not in ("seconds", "memory")})


@pytest.fixture(scope="module")
def whole(conf, tmp_path_factory):
    """The experiment, trained at one go."""
    place = tmp_path_factory.mktemp("whole") / "experiment"
    assert train(conf, place) in (None, 0)
    return place


def test_each_stage_is_a_run_and_the_last_stands_for_all(whole):
    assert [folder.name for folder in stage_folders(whole)] == STAGES
    assert [summary_of(folder)["status"] for folder in stage_folders(whole)] == ["finished"] * 3
    first = gan_lab.load(whole / "1-first")
    assert first.config["model"]["guest"]["run"] == "stage:eyes" and first.config["stages"] == {}
    assert gan_lab.load(whole).folder == whole / "2-second"
    assert (whole / "2-second" / "overrides.txt").read_text().splitlines() == [
        "dataset=split_domains", "model=direct", "loss=hinge", "trainer.init_from=stage:first", "trainer.steps=3",
        "experiment=steps",
    ]  # fmt: skip


def test_it_may_move_and_lose_its_earlier_stages(whole, tmp_path):
    moved = Path(shutil.copytree(whole, tmp_path / "elsewhere"))
    shutil.rmtree(moved / "0-eyes")
    assert gan_lab.load(moved / "1-first").game.guest is not None
    assert main(["resume", str(moved / "1-first"), "trainer.steps=5"]) == 0


@pytest.mark.parametrize("how", ["told to stop", "broken off"])
def test_cut_in_its_second_stage_it_goes_on_there_and_ends_in_the_same_bits(
    conf, whole, tmp_path, monkeypatch, capsys, how
):
    tell = Saver.tell

    def cut(saver, trainer):
        tell(saver, trainer)
        if saver.folder.parent.name == "1-first" and trainer.step == 2:
            if how == "broken off":
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGTERM)

    place = tmp_path / "experiment"
    with monkeypatch.context() as patched:
        patched.setattr(Saver, "tell", cut)
        assert train(conf, place) in (130, 143)
    out = capsys.readouterr().out
    assert "of 3 stages: eyes (2 steps), first (4 steps), second (3 steps): about" in out
    assert how == "broken off" or f"resume {place}\n" in out
    assert not (place / "2-second").exists()
    assert main(["ls", "runs", f"root={place}"]) in (None, 0)
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert [Path(row[0]).name for row in rows] == STAGES and rows[2][1] == "waiting"

    step = 2 if how == "broken off" else 3  # the round that is being played ends
    assert main(["resume", str(place)]) == 0
    out = capsys.readouterr().out
    assert f"Training 2 of 3 stages: first (from step {step} to 4), second (3 steps)" in out and "0-eyes" not in out
    assert [ends(place / stage) for stage in STAGES] == [ends(whole / stage) for stage in STAGES]
    assert main(["resume", str(place)]) == 0 and "All 3 stages are finished" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_killed_in_its_second_stage_it_goes_on_there_and_ends_in_the_same_bits(conf, whole, tmp_path):
    place = tmp_path / "experiment"
    program = (
        "import os, signal, sys; from gan_lab.cli import main; from gan_lab.training.observers import Saver\n"
        "tell = Saver.tell\n"
        "def killed(saver, trainer):\n"
        "    tell(saver, trainer)\n"
        "    if saver.folder.parent.name == '1-first': os.kill(os.getpid(), signal.SIGKILL)\n"
        "Saver.tell = killed; sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["train", "experiment=steps", "--config-dir", conf, f"hydra.run.dir={place}"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL and not (place / "2-second").exists()
    assert main(["resume", str(place)]) == 0
    assert [ends(place / stage) for stage in STAGES] == [ends(whole / stage) for stage in STAGES]


def test_a_stage_that_ended_before_its_first_checkpoint_begins_again(conf, whole, tmp_path, monkeypatch):
    place = tmp_path / "experiment"

    def fail(saver, trainer):
        if saver.folder.parent.name == "1-first":
            raise OSError("the disk is gone")
        tell(saver, trainer)

    tell = Saver.tell
    with monkeypatch.context() as patched:
        patched.setattr(Saver, "tell", fail)
        assert train(conf, place) not in (None, 0)
    assert main(["resume", str(place)]) == 0
    assert (place / "1-first" / "attempt" / "summary.json").is_file()
    assert [ends(place / stage) for stage in STAGES] == [ends(whole / stage) for stage in STAGES]


def test_what_is_typed_holds_in_every_stage_and_a_stage_may_be_named(conf, monkeypatch):
    monkeypatch.setenv("GAN_LAB_CONFIG_DIR", conf)
    config = composed("trainer.batch_size=4", "++stages.second.trainer.steps=7", "++optimizer.lr=0.1")
    steps = {name: stage["config"]["trainer"]["steps"] for name, stage in config["stages"].items()}
    assert steps == {"eyes": 2, "first": 4, "second": 7} and config["trainer"]["steps"] == 7
    for stage in config["stages"].values():
        assert stage["config"]["trainer"]["batch_size"] == 4 and stage["config"]["optimizer"]["lr"] == 0.1
        assert stage["config"]["stages"] == {}


def composed(*words):
    from gan_lab.config.choices import own_folders
    from gan_lab.config.compose import own_folders as with_folders

    with with_folders(own_folders()):
        return compose(["experiment=steps", *words])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        (
            "second.trainer.init_from=stage:frist",
            "stage second: trainer.init_from=stage:frist is no earlier stage; ",
        ),
        ("eyes.trainer.init_from=stage:second", "init_from=stage:second is no earlier stage; none comes before it"),
        ("secnd.trainer.steps=3", "stages.secnd: there is no such stage; did you mean 'second'?"),
        ("second.trainer.stps=3", "stage second: unknown setting 'trainer.stps'; did you mean 'trainer.steps'?"),
        ("second=7", "stages.second=7: settings of a stage are typed one by one: stages.NAME.SETTING=VALUE"),
        ("first.model=dcgna", "stage first: unknown model 'dcgna'; did you mean 'dcgan'?"),
    ],
)
def test_what_is_wrong_with_a_stage_is_a_sentence(conf, monkeypatch, word, sentence):
    monkeypatch.setenv("GAN_LAB_CONFIG_DIR", conf)
    with pytest.raises(ConfigError) as error:
        composed(f"++stages.{word}")
    assert sentence in str(error.value)


@pytest.mark.slow
def test_validate_and_a_dry_run_look_at_every_stage_and_write_nothing(conf, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["experiment=steps", "--config-dir", conf]
    assert main(["validate", *words]) == 0
    assert (
        main(
            ["validate", *words, "stages.second.model.discriminator.width=12", "stages.second.model.generator.width=12"]
        )
        == 2
    )
    assert "stage second: trainer.init_from=stage:first: none of its weights fits" in capsys.readouterr().err
    assert main(["validate", *words, "stages.first.model.guest.part=torso"]) == 2
    assert "stage first: model.guest.part=torso is no part of that discriminator" in capsys.readouterr().err
    assert main(["train", "--dry-run", *words]) in (None, 0)
    out = capsys.readouterr().out
    assert "Stage 2 of 3, first" in out and "Starts from stage:first: " in out and "All 3 stages: about" in out
    assert out.count("No run was written") == 1 and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_sweep_of_staged_experiments_is_compared_by_stage_and_its_jobs_go_on(conf, tmp_path, capsys):
    sweep = tmp_path / "sweep"
    words = ["experiment=steps", "--config-dir", conf, "-m", f"hydra.sweep.dir={sweep}", "seed=0,1"]
    assert main(["train", *words]) in (None, 0)
    jobs = [sweep / "0", sweep / "1"]
    records = [json.loads((job / "job.json").read_text()) for job in jobs]
    assert [record["status"] for record in records] == ["finished"] * 2
    capsys.readouterr()
    main(["compare", str(sweep)])
    out = capsys.readouterr().out
    assert all(f"{job.name}/{stage}" in out for job in jobs for stage in STAGES)
    assert out.count("mean of 2") == 3 or out.count("mean") >= 3, out

    # Break the second job off in its last stage
    shutil.rmtree(jobs[1] / "2-second")
    (jobs[1] / "job.json").write_text(json.dumps({**records[1], "status": "running"}))
    before = ends(jobs[0] / "2-second")
    assert main(["resume", str(sweep)]) == 0
    assert "1 of 2 jobs are missing" in capsys.readouterr().out
    assert summary_of(jobs[1] / "2-second")["status"] == "finished" and ends(jobs[0] / "2-second") == before


def test_stages_that_are_damaged_are_a_sentence(whole, tmp_path, capsys):
    place = Path(shutil.copytree(whole, tmp_path / "damaged"))
    for text in (
        "{",
        "[]",
        '{"overrides": [], "config": {"stages": 3}}',
        '{"overrides": [], "config": {"stages": {"a": 1}}}',
    ):
        (place / "stages.json").write_text(text)
        assert main(["resume", str(place)]) == 4
        assert "stages.json' cannot be read" in capsys.readouterr().err
    assert stages_of(whole)["overrides"] == ["experiment=steps"]


def test_the_lapgan_preset_trains_its_levels_from_the_smallest(monkeypatch):
    stages = compose(["experiment=lapgan_levels_digits"])["stages"]
    assert [stage["config"]["model"]["level"] for stage in stages.values()] == [2, 1, 0]
    assert [stage["config"]["trainer"]["init_from"] for stage in stages.values()] == [
        None,
        "stage:base",
        "stage:middle",
    ]


def test_show_tells_what_a_stage_sets(whole, capsys):
    assert main(["show", "run", str(whole), "changed=true"]) in (None, 0)
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "stage second" in rows["loss"] and "stage second" in rows["trainer.init_from"]
    assert "experiment/steps.yaml" in rows["trainer.batch_size"] and "stage second" in rows["trainer.steps"]


def test_clean_takes_an_experiment_as_one(whole, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    place = Path(shutil.copytree(whole, Path("outputs", "steps", "1")))
    Path("outputs/steps/1/1-first/mine.txt").write_text("mine")
    assert main(["clean"]) in (None, 0)
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:-1]] == [[str(place), "finished"]]
    assert main(["clean", str(place), "yes=true"]) in (None, 0)
    left = [path.as_posix() for path in place.rglob("*") if path.is_file()]
    assert left == ["outputs/steps/1/1-first/mine.txt"]
