"""The commands beside training: what each shows, makes, checks or removes, and what it leaves alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from helpers import CONF, config_of, names, trainer_of
from PIL import Image

from gan_lab.cli import main
from gan_lab.commands import doctor, show, validate
from gan_lab.config import choices, fits
from gan_lab.config.compose import compose
from gan_lab.config.provenance import origins
from gan_lab.datasets import Digits
from gan_lab.errors import ConfigError, DataError
from gan_lab.training import survey

SMALL = ["model.generator.width=8", "model.discriminator.width=8", "trainer.threads=1", "trainer.batch_size=8",
         "trainer.samples=4"]  # fmt: skip
TRAINED = ["experiment=dcgan_digits", "loss/penalty=[r1]", *SMALL, "trainer.steps=6", "trainer.sample_every=2",
           "trainer.checkpoint_every=2", "trainer.keep_checkpoints=3"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of six steps and two more, as the command line makes it."""
    place = tmp_path_factory.mktemp("outputs") / "a run"
    assert main(["train", *TRAINED, f"hydra.run.dir={place}"]) == 0
    assert main(["resume", str(place), "trainer.steps=8", "trainer.threads=1"]) == 0
    return place


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test types its lines in an empty directory."""
    monkeypatch.delenv("GAN_LAB_CONFIG_DIR", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def said(capsys, *words):
    """The exit code and what was printed on each stream."""
    capsys.readouterr()
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


# --- Words that are wrong --------------------------------------------------------------------------------------------

VERBS = ("show", "cp", "validate", "doctor", "timelapse", "data", "clean")
WRONG = {
    "show dcgn": (2, "there is no part 'dcgn'; did you mean 'dcgan'?"),
    "show ring8": (2, "'ring8' may be dataset/ring8 or experiment/ring8: write one of them in full"),
    "show model/dcgan trsut=[a]": (2, "unknown setting 'trsut'; did you mean 'trust'?; see gan-lab show --help."),
    "show run": (2, "show run needs a run, for example outputs/dcgan_digits/20261120-140502."),
    "show run nowhere": (4, "the run 'nowhere' does not exist; `gan-lab ls runs` lists the runs in outputs"),
    "cp hinge": (2, "cp takes two words: a part and a file, for example model/dcgan my_conf/model/mine.yaml."),
    "cp hinge my/model/x.yaml": (2, "'my/model/x.yaml' must lie in a folder called loss, where it can be found: "
                                 "my/model/loss/x.yaml."),
    "validate loss=hing": (2, "unknown loss 'hing'; did you mean 'hinge'?"),
    "validate trainer.stepz=3": (2, "unknown setting 'trainer.stepz'; did you mean 'trainer.steps'?"),
    "validate --cfg job": (2, "validate takes settings, -m and --config-dir; for other options see "),
    "validate dataset=folder dataset.path=nope": (3, "nope does not exist (looked in"),
    "doctor rot=x": (2, "unknown setting 'rot'; did you mean 'root'?; see gan-lab doctor --help."),
    "timelapse nowhere": (4, "the run 'nowhere' does not exist; `gan-lab ls runs` lists the runs in outputs"),
    "data dataset=digts": (2, "unknown dataset 'digts'; did you mean 'digits'?"),
    "data n=4": (2, "data needs to know which: dataset=digits, for example; gan-lab ls datasets lists them"),
    "data dataset=digits n=0": (2, "n=0 must be a whole number from 1 to 1,000,000."),
    "data dataset=digits splt=x": (2, "unknown setting 'splt'"),
    "clean status=finishd": (2, "status=finishd is not known; did you mean 'finished'?"),
    "clean older=3": (2, "older=3 must be a number with m, h, d or w, for example older=7d."),
    "clean nowhere": (4, "the run 'nowhere' does not exist; `gan-lab ls runs` lists the runs in outputs"),
}  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_word_gets_a_sentence_and_its_code(capsys, line):
    code, sentence = WRONG[line]
    found, _, err = said(capsys, *line.split())
    assert found == code and err.startswith(f"gan-lab: {sentence}") and "Traceback" not in err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_the_exit_codes(capsys, verb):
    code, out, err = said(capsys, verb, "--help")
    assert code == 0 and out.startswith(f"usage: gan-lab {verb}") and "Exit codes: 0" in out and err == ""
    assert f"  {verb} " in said(capsys, "--help")[1]


# --- ls: descriptions ------------------------------------------------------------------------------------------------

COMMENTS = {
    "# One line. Lim et al. 2017, section 2\na: 1\n": "One line. Lim et al. 2017, section 2",
    "# @package _global_\n# A first sentence\n# goes on. And another\n": "A first sentence goes on. And another",
    "# A sentence. Of Lim et al. 2017,\n# section 2\n# more\n": "A sentence.",
    "# No sentence by Lim et al.\n# 2017 ends\n\n# another block.\n": "No sentence by Lim et al. 2017 ends",
    "a: 1\n# too late\n": "",
}


@pytest.mark.parametrize("text", COMMENTS)
def test_a_description_goes_on_to_the_end_of_a_sentence(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    assert choices.description(tmp_path / "x.yaml") == COMMENTS[text]


# --- show ------------------------------------------------------------------------------------------------------------


def real_complaints(*words):
    """What assembling these parts for real says."""
    try:
        trainer_of(config_of(*words))
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("loss", ["hinge", "wasserstein", "wgan_gp"])
@pytest.mark.parametrize("model", names("model"))
def test_what_show_says_of_a_pair_is_what_compat_says(model, loss):
    place = fits.playground([f"model={model}"])
    words = [f"model={model}", f"loss={loss}", place]
    assert fits.complaints(words) == real_complaints(*words)


def test_a_dataset_that_is_not_here_is_asked_about_by_its_facts():
    assert fits.complaints(["model=dcgan", "dataset=mnist"]) == []
    assert fits.complaints(["model=dcgan", "dataset=folder"]) == []
    (complaint, *_) = fits.complaints(["model=dcgan", "dataset=mnist", "dataset.image_size=30"])
    assert "28 and 32" in complaint
    assert "needs another model" in fits.complaints(["model=dcgan", "dataset=ring8"])[0]
    assert fits.complaints(["experiment=dcgan_digits", "dataset=folder"]) == []


def test_what_only_files_can_tell_is_not_guessed(monkeypatch):
    monkeypatch.setattr("gan_lab.models.GAN.needs", ("image", "attributes"))
    assert fits.complaints(["model=dcgan", "dataset=mnist"]) is None
    assert "needs attributes" in " ".join(fits.complaints(["model=dcgan", "dataset=digits"]))


@pytest.mark.slow
def test_show_tells_a_loss_with_its_remedy_and_the_remedy_is_one(capsys):
    code, out, _ = said(capsys, "show", "loss/wgan_gp")
    assert code == 0 and (CONF / "loss" / "wgan_gp.yaml").read_text().strip() in out
    assert "The difference of mean scores. Arjovsky et al. 2017" in out  # the docstring of Wasserstein
    assert "models that fit with model.discriminator.norm=layer: dcgan\n    dcgan: The loss penalises" in out
    assert fits.complaints(["model=dcgan", "loss=wgan_gp", "++model.discriminator.norm=layer"]) == []


def test_show_tells_a_model(capsys):
    code, out, _ = said(capsys, "show", "model/gan")
    assert code == 0 and "  The two-player game. Goodfellow et al. 2014" in out
    assert "generator: gan_lab.networks.mlp.Generator: " in out
    (losses,) = [line for line in out.splitlines() if line.startswith("losses that fit: ")]
    assert {"hinge", "wgan_gp"} <= set(losses.removeprefix("losses that fit: ").split(", "))


def test_show_reads_a_part_of_ones_own(capsys, monkeypatch):
    assert main(["cp", "model/dcgan", "own/model/mine.yaml"]) == 0
    file = Path("own/model/mine.yaml")
    file.write_text(file.read_text().replace("norm: batch", "norm: none"))
    few = {"loss": ["hinge", "wgan_gp"], "dataset": ["digits", "ring8"]}
    monkeypatch.setattr(show, "choices", lambda group: dict.fromkeys(few[group]))
    _, out, _ = said(capsys, "show", "own/model/mine.yaml")
    assert "\nlosses that fit: hinge, wgan_gp\ndatasets that fit: digits\ndatasets that do not fit: ring8\n" in out


READ_ONLY = """
import sys
from gan_lab.cli import main
for line in sys.argv[1:]:
    assert main(line.split()) == 0, line
    assert "torch" not in sys.modules, line
"""


def test_what_only_reads_costs_no_torch(run):
    (run.parent / "run").symlink_to(run)  # a name without a space
    lines = [
        *(f"{verb} --help" for verb in VERBS),
        "show adam",
        f"show run {run.parent / 'run'}",
        "cp adam own",
        "clean",
    ]
    done = subprocess.run([sys.executable, "-c", READ_ONLY, *lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_value_of_a_run_has_its_origin(run):
    found = {each.key: (each.value, each.source, each.changed) for each in origins(run)}
    assert found["experiment"] == ("dcgan_digits", "command line", True)
    assert found["loss/penalty"] == (["r1"], "command line", True)
    assert found["model"] == ("dcgan", "experiment/dcgan_digits.yaml", False)
    assert found["loss.penalties.r1.every"][1:] == ("loss/penalty/r1.yaml", False)
    assert found["model.generator.channels"] == (1, "model/dcgan.yaml: ${dataset.channels}", False)
    assert found["model.latent_dim"] == (16, "experiment/dcgan_digits.yaml", True)
    assert found["model.generator.width"] == (8, "command line", True)
    assert found["trainer.steps"] == (8, "resume", True)
    assert found["trainer.batch_size"] == (8, "command line", True)
    assert found["trainer.accumulate"] == (1, "trainer/default.yaml", False)
    assert found["seed"] == (0, "config.yaml", False)
    stored = yaml.safe_load((run / "config.yaml").read_text())
    assert found["optimizer.lr"][0] == stored["optimizer"]["lr"]


def test_a_file_that_changed_since_is_told(run, tmp_path, capsys):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["trainer"]["accumulate"] = 4
    shutil.copytree(run / ".hydra", tmp_path / "old" / ".hydra")
    (tmp_path / "old" / "config.yaml").write_text(yaml.safe_dump(config))
    found = {each.key: each.source for each in origins(tmp_path / "old")}
    assert found["trainer.accumulate"] == "trainer/default.yaml, which now says 1"
    code, out, _ = said(capsys, "show", "run", str(run), "changed=true")
    assert code == 0 and "trainer.steps " in out and "trainer.accumulate" not in out
    shutil.rmtree(tmp_path / "old" / ".hydra")
    assert said(capsys, "show", "run", str(tmp_path / "old"))[0] == 4


# --- cp and validate -------------------------------------------------------------------------------------------------


def test_a_copy_can_be_used_at_once_and_is_never_written_over(capsys):
    code, out, _ = said(capsys, "cp", "dcgan", "own/model/mine.yaml")
    assert code == 0 and Path("own/model/mine.yaml").read_bytes() == (CONF / "model" / "dcgan.yaml").read_bytes()
    (line,) = [line.partition("gan-lab ")[2] for line in out.splitlines() if "gan-lab validate" in line]
    assert said(capsys, *line.split())[0] == 0
    Path("own/model/mine.yaml").write_text("# changed\n")
    assert said(capsys, "cp", "gan", "own/model/mine.yaml")[0] == 2
    assert Path("own/model/mine.yaml").read_text() == "# changed\n"


def test_a_folder_is_enough_for_a_copy():
    assert main(["cp", "penalty/r1", "own"]) == main(["cp", "hinge", "own/loss"]) == 0
    assert sorted(map(str, Path("own").rglob("*.yaml"))) == ["own/loss/hinge.yaml", "own/loss/penalty/r1.yaml"]


def test_validate_says_what_train_would_say_and_writes_nothing(capsys):
    words = ["model=dcgan", "loss=wgan_gp", "trainer.batch_size=5000", "trainer.threads=1"]
    code, _, err = said(capsys, "validate", *words)
    told = [line.strip().removeprefix("gan-lab: ") for line in err.splitlines()]
    assert (code, told) == (2, real_complaints("model=dcgan", "loss=wgan_gp", "trainer.batch_size=5000"))
    assert said(capsys, "train", "--dry-run", *words)[2].split() == err.split()
    assert said(capsys, "validate", *SMALL)[1].startswith("ok: dcgan_digits: 1,797 grey images of 16 x 16 pixels")
    assert list(Path().iterdir()) == []


def test_validate_looks_at_each_job_of_a_sweep(capsys):
    code, out, err = said(capsys, "validate", "-m", "model=gan,dcgan", "loss=hinge,wgan_gp", "seed=0,-1", *SMALL)
    wrong = [line.split()[1] for line in out.splitlines() if line.startswith("job") and " wrong " in line]
    assert wrong == ["1", "3", "5", "6", "7"] and "seed=-1 must lie between" in out and "norm=layer" in out
    assert (code, err) == (2, "gan-lab: 5 of 8 jobs cannot train.\n")
    code, out, _ = said(capsys, "validate", "-m", "model=gan", "loss=hinge,wgan_gp", *SMALL)
    assert code == 0 and out.endswith("all 2 jobs can train\n")
    assert list(Path().iterdir()) == []


def test_validate_tells_wrong_data_by_its_code(capsys):
    Path("pictures").mkdir()
    for i in range(3):
        Image.new("RGB", (20, 20), (i, 0, 0)).save(f"pictures/{i}.png")
    words = ["model=gan", "dataset=folder", "dataset.path=pictures", "dataset.image_size=16", *SMALL]
    words.append("trainer.batch_size=2")
    assert said(capsys, "validate", *words)[0] == 0
    Path("pictures/1.png").write_bytes(Path("pictures/1.png").read_bytes()[:40])
    code, _, err = said(capsys, "validate", *words)
    assert code == 3 and "1.png" in err
    assert said(capsys, "validate", "-m", "seed=0,1", *words)[0] == 3
    assert said(capsys, "validate", "-m", "seed=0,-1", *words)[0] == 2


FETCHED = [
    name for name in names("dataset") if "download" in yaml.safe_load((CONF / f"dataset/{name}.yaml").read_text())
]


@pytest.mark.parametrize("name", FETCHED)
def test_data_that_training_would_fetch_is_not_fetched(capsys, name):
    config = compose(["model=gan", f"dataset={name}", "dataset.root=nothing"])
    with pytest.raises(DataError, match=validate.TO_BE_FETCHED):
        validate.found(json.dumps([validate.quiet(config["dataset"]), []]), 4)
    code, out, _ = said(capsys, "validate", "model=gan", f"dataset={name}", "dataset.root=nothing", *SMALL)
    assert code == 0 and out.endswith("its files are not here; training would download them first\n")
    assert list(Path().iterdir()) == []


# --- doctor ----------------------------------------------------------------------------------------------------------


def test_doctor_tells_all_and_nothing_private(capsys, monkeypatch):
    home = Path().absolute()
    monkeypatch.setenv("HOME", str(home))
    raw = home / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"no pictures")
    (raw / "train-labels-idx1-ubyte").write_bytes(b"no labels")
    monkeypatch.setattr(doctor, "images_a_second", lambda config: 1000.0 * torch.get_num_threads())
    began = time.monotonic()
    code, out, err = said(capsys, "doctor", f"root={home}/data", f"outputs={home}/outputs")
    assert (code, err) == (0, "") and time.monotonic() - began < 20
    assert [line for line in out.splitlines() if line[:1].strip()] == ["versions", "devices", "disk",
                                                                      "data in ~/data", "speed"]  # fmt: skip
    assert f"torch {torch.__version__.partition('+')[0]}" in out and "cpu: " in out
    assert "  ~/outputs: can be written\n" in out
    assert "  cifar10: not there; it is downloaded when it is first used\n" in out
    assert "  mnist: ~/data/MNIST/raw/train-images-idx3-ubyte is no IDX file" in out
    assert str(home) not in out and not (home / "outputs").exists()


def test_doctor_tries_a_step_and_sees_a_trap(monkeypatch):
    config = compose(["experiment=dcgan_digits", *(f"++{word}" for word in SMALL)])
    assert doctor.images_a_second(config) > 0
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: rates.reverse())
    monkeypatch.setattr(doctor, "images_a_second", lambda config: rates[0])
    rates = [100.0, 300.0]
    told = "\n".join(doctor.speed())
    assert "100 images/s with 2 threads, 300 images/s with 1 thread" in told
    assert "set trainer.threads=1" in told
    rates = [300.0, 100.0]
    assert "trainer.threads" not in "\n".join(doctor.speed())


def test_doctor_tells_a_gpu(monkeypatch):
    facts = SimpleNamespace(name="Accelerator", major=9, minor=0)
    for name, answer in {"device_count": 1, "get_device_properties": facts, "mem_get_info": (3 << 30, 8 << 30),
                         "is_bf16_supported": True}.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    told = list(doctor.devices())
    assert told[-1].startswith("cuda:0: Accelerator, capability 9.0, CUDA ")
    assert told[-1].endswith("3.0 of 8.0 GiB free; native fp32, fp16, bf16; trainer.precision=auto is bf16")


# --- timelapse -------------------------------------------------------------------------------------------------------


def frames(path):
    """The pictures of an animation as arrays."""
    with Image.open(path) as picture:
        found = []
        for number in range(picture.n_frames):
            picture.seek(number)
            found.append(np.asarray(picture.convert("RGB")))
        return found, picture.info


def test_a_timelapse_shows_every_grid_with_its_step(run, capsys):
    code, out, _ = said(capsys, "timelapse", str(run), "fps=4", "out=a.gif")
    assert code == 0 and out == "a.gif (4 pictures, steps 2 to 8)\n"
    found, _ = frames("a.gif")
    with Image.open(run / "samples" / "step-00000008.png") as grid:
        assert found[-1].shape == (grid.height + 20, grid.width, 3)
        assert (
            np.abs(found[-1][: grid.height].astype(int) - np.asarray(grid.convert("RGB"))).mean() < 4
        )  # a palette of 256
    labels = {frame[-20:].tobytes() for frame in found}
    assert len(found) == len(labels) == 4


def test_a_timelapse_can_be_thinned_resized_and_a_webp(run):
    assert main(["timelapse", str(run), "every=3", "size=100", "out=a.webp"]) == 0
    found, _ = frames("a.webp")
    assert len(found) == 2 and found[0].shape[1] == 100


def test_a_timelapse_draws_other_seeds_from_the_kept_checkpoints(run, capsys):
    code, out, _ = said(capsys, "timelapse", str(run), "seeds=5-8", "out=a.gif")
    assert code == 0 and out == "a.gif (3 pictures, steps 4 to 8)\n"
    assert main(["sample", str(run), "seeds=5-8", "out=last.png"]) == 0
    with Image.open("last.png") as grid:
        assert np.abs(frames("a.gif")[0][-1][: grid.height].astype(int) - np.asarray(grid.convert("RGB"))).mean() < 4


def test_a_timelapse_needs_two_pictures_and_overwrites_none(run, tmp_path, capsys):
    poor = tmp_path / "poor"
    shutil.copytree(run, poor)
    for file in [*(poor / "samples").glob("*[2-6].png"), *(poor / "checkpoints").glob("*[4-6].*")]:
        file.unlink()
    assert said(capsys, "timelapse", str(poor))[0] == said(capsys, "timelapse", str(poor), "seeds=0")[0] == 4
    for words in (["fps=0"], ["fps=60"], ["size=x"], ["out=a.mp4"], ["seeds=x"]):
        assert said(capsys, "timelapse", str(run), *words)[0] == 2
    for _ in range(2):
        assert main(["timelapse", str(run), "out=a.gif"]) == 0
    assert {path.name for path in Path().iterdir()} == {"a.gif", "a-2.gif"}


# --- data ------------------------------------------------------------------------------------------------------------


def test_data_shows_what_training_sees_first(capsys):
    trainer = trainer_of(config_of("model=gan", "trainer.batch_size=8"))
    assert torch.equal(survey.first_samples(Digits(), 8, 0), trainer.loader.batch(0)[0]["image"])
    code, out, _ = said(capsys, "data", "dataset=digits", "n=9")
    assert code == 0 and "no exact copies\nthe classes are nearly even: 3 has 183 and 8 174 samples\n" in out
    assert "mean -0.381, standard deviation 0.698" in out and out.endswith("digits.png shows 9 of them\n")
    main(["data", "dataset=digits", "n=9"])
    assert [path.name for path in Path().iterdir()] == ["outputs"]
    assert {path.name for path in Path("outputs/data").iterdir()} == {"digits.png", "digits-2.png"}
    with Image.open("outputs/data/digits.png") as picture:
        assert min(picture.size) >= 512, "few samples are large enough to look at"


def test_data_finds_copies_flat_pictures_and_uneven_classes(capsys):
    rng = np.random.default_rng(0)
    for name, count in (("cats", 40), ("dogs", 4)):
        Path("pictures", name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"pictures/{name}/{i:02}.png")
    shutil.copy("pictures/cats/03.png", "pictures/dogs/01.png")  # rows 3 and 41
    Image.new("RGB", (16, 16), (90, 90, 91)).save("pictures/cats/07.png")
    code, out, _ = said(capsys, "data", "dataset=folder", "dataset.path=pictures", "dataset.image_size=16")
    assert code == 0 and "warning: 1 picture is an exact copy of an earlier one: 3 = 41\n" in out
    assert "warning: 1 picture is of nearly one colour: 7\n" in out
    assert "warning: the classes are uneven: cats has 40 and dogs 4 samples\n" in out
    shutil.rmtree("pictures/dogs")
    assert "no labels" in said(capsys, "data", "dataset=folder", "dataset.path=pictures", "dataset.image_size=16")[1]


def test_range_and_mean_are_those_of_the_whole_set():
    dataset = Digits()
    pixels = dataset.tensors()["image"].double() / 127.5 - 1
    told = list(survey.survey(dataset))
    assert f"in [-1, 1], by channel: mean {pixels.mean():.3f}, standard deviation {pixels.std():.3f}" in told


def test_a_large_set_is_judged_by_a_sample_and_says_so(monkeypatch):
    monkeypatch.setattr(survey, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(survey, "SAMPLE", 50)
    assert next(survey.survey(Digits())) == "looked at a sample of 50"
    assert len(survey.looked_at(Digits()).unique()) == 50


def test_points_are_drawn_too(capsys):
    for name in ("ring8", "gaussian1d"):
        code, out, _ = said(capsys, "data", f"dataset={name}")
        assert code == 0 and f"{name}.png shows 2,000 of them" in out and "copies" not in out
    with Image.open("outputs/data/ring8.png") as picture:
        assert len(picture.getcolors(1 << 20)) > 10


# --- clean -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def outputs():
    """Runs by name: what their summaries say, and how many days ago they were last changed."""
    for name, (status, days) in {
        "a/good": ("finished", 0),
        "a/old": ("finished", 9),
        "b/bad": ("failed", 3),
        "b/dead": ("running", 3),
        "c/alone": ("failed", 9),
    }.items():
        place = Path("outputs", name)
        (place / ".hydra").mkdir(parents=True)
        for file, text in {"config.yaml": "seed: 0\n", "summary.json": json.dumps({"status": status}), ".lock": "",
                           ".gan-lab": '{"made_by": "gan-lab"}',
                           ".hydra/config.yaml": "x" * 1000}.items():  # fmt: skip
            (place / file).write_text(text)
            os.utime(place / file, (time.time() - days * 86400,) * 2)
    return Path("outputs")


def left(outputs):
    return sorted(file.parent.relative_to(outputs).as_posix() for file in outputs.glob("*/*/config.yaml"))


ALL = ["a/good", "a/old", "b/bad", "b/dead", "c/alone"]


def test_clean_lists_and_removes_nothing_unasked(outputs, capsys):
    code, out, _ = said(capsys, "clean")
    rows = {line.split()[0]: line.split()[1:3] for line in out.splitlines() if line.startswith("outputs/")}
    assert code == 0 and rows["outputs/a/old"] == ["finished", "9d"] and rows["outputs/b/dead"] == ["killed", "3d"]
    assert out.splitlines()[-1].startswith("5 runs, 5.") and "Nothing was removed" in out
    assert said(capsys, "clean", "status=failed")[1].count("outputs/") == 2
    assert said(capsys, "clean", "outputs/b/bad")[1].count("outputs/") == 1
    assert said(capsys, "clean", "yes=true")[0] == 2
    assert left(outputs) == ALL


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["status=failed"], {"b/bad", "c/alone"}),
        (["older=7d"], {"a/old", "c/alone"}),
        (["status=failed,killed", "older=7d"], {"c/alone"}),
        (["status=killed"], {"b/dead"}),
        (["outputs/a/good", "outputs/b/bad"], {"a/good", "b/bad"}),
        (["status=diverged"], set()),
    ],
)
def test_clean_removes_what_was_chosen(outputs, capsys, words, gone):
    code, out, _ = said(capsys, "clean", *words, "yes=true")
    assert code == 0 and left(outputs) == [name for name in ALL if name not in gone]
    assert ("freed" in out) == bool(gone)
    assert (outputs / "c").exists() == ("c/alone" not in gone)  # an empty folder goes with its last run


def test_clean_leaves_what_is_running(outputs, capsys):
    fcntl = pytest.importorskip("fcntl")  # Windows has no such lock
    with (outputs / "b" / "bad" / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "outputs/b/bad running" in " ".join(said(capsys, "clean")[1].split())
        code, _, err = said(capsys, "clean", "outputs/b/bad", "yes=true")
        assert code == 2 and "is not removed: it is running" in err
        assert said(capsys, "clean", "older=1d", "yes=true")[0] == 0
    assert left(outputs) == ["a/good", "b/bad"]
    (outputs / "b" / "bad" / "job.json").write_text("{}")
    with (outputs / "b" / ".lock").open("a+") as lock:  # of the sweep whose job it is
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert said(capsys, "clean", "outputs/b/bad", "yes=true")[0] == 2
    assert said(capsys, "clean", "outputs/b/bad", "yes=true")[0] == 0


def test_clean_leaves_links_other_places_and_what_is_no_run(outputs, capsys, tmp_path):
    shutil.copytree(outputs / "b" / "bad", tmp_path / "precious")
    (outputs / "link").symlink_to(tmp_path)
    (outputs / "alias").symlink_to((outputs / "b" / "bad").absolute())
    shutil.copytree(outputs / "b" / "bad", outputs / "a" / "outer")
    shutil.copytree(outputs / "b" / "bad", outputs / "a" / "outer" / "inner")
    (outputs / "notes").mkdir()
    (outputs / "notes" / "config.yaml").write_text("mine: 1\n")
    for place, reason in {
        "outputs/link/precious": "does not lie below 'outputs'",
        "outputs/alias": "it lies behind a link",
        str(tmp_path / "precious"): "does not lie below 'outputs'",
        "outputs/../../precious": "does not lie below 'outputs'",
        "outputs/a/outer": "it holds another run",
        "outputs/notes": "it has no mark of gan-lab",
    }.items():
        code, _, err = said(capsys, "clean", place, "yes=true")
        assert code == 2 and reason in err, place
    assert said(capsys, "clean", "status=failed", "yes=true")[0] == 0
    assert (tmp_path / "precious" / "summary.json").exists() and (outputs / "notes" / "config.yaml").exists()
    assert (outputs / "a" / "outer" / "summary.json").exists() and not (outputs / "a" / "outer" / "inner").exists()


def test_clean_never_removes_where_it_stands_or_a_repository(outputs, capsys, monkeypatch):
    (outputs / "b" / "bad" / ".git").mkdir()
    monkeypatch.chdir(outputs / "c" / "alone")
    for place in ("../../b/bad", "../../c/alone"):
        code, _, err = said(capsys, "clean", place, "root=../..", "yes=true")
        assert code == 2 and "it holds more than a run" in err
