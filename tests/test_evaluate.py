"""Judging runs: during training and afterwards, what travels with a figure, what is kept, and when a run ends."""

import csv
import json
import shutil

import pytest
import torch
import yaml
from helpers import config_of, fingerprint, names, trainer_of, words_for

import gan_lab
from gan_lab.cli import main
from gan_lab.config.build import build_dataset, build_game
from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Digits
from gan_lab.datasets.base import chosen, in_play
from gan_lab.datasets.degraded import Degraded
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.metrics import Pixels
from gan_lab.metrics import classifier as classifiers
from gan_lab.rows import Rows
from gan_lab.runs.evaluation import (
    Judge,
    are_apart,
    evaluate,
    extractor_of,
    features_of,
    labelled,
    materials,
    novelty,
    reference_of,
)
from gan_lab.storage import checkpoint
from gan_lab.storage.files import read_json
from gan_lab.storage.files import rows_of as table_of
from gan_lab.training import evaluator
from gan_lab.training.evaluator import Evaluator, evaluator_of

JUDGED = ("trainer.evaluate_every=2", "trainer.evaluate_samples=40")
FIELDS = {"reference", "reference_count", "samples", "extractor", "resize", "weights", "batch_norm", "seed", "version"}


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    """A cache of one's own, and judges that learn in a moment."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setattr(classifiers, "IMAGES", 1500)
        yield cache / "gan-lab" / "metrics"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was judged twice, on digits with a test split."""
    run = tmp_path_factory.mktemp("outputs") / "run"
    launch.train(config_of("model=dcgan", "dataset.split=train", "trainer.steps=5", *JUDGED), run)
    return run


@pytest.fixture
def mine(run, tmp_path):
    """A copy of that run, to write into."""
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


def rows_of(run):
    with (run / "evaluations.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ---- while a run goes on --------------------------------------------------------------------------------------------


def test_a_judgement_stands_in_the_table_in_the_summary_and_beside_the_best_with_its_protocol(run):
    summary = read_json(run / "summary.json")
    figure = summary["figures"]["fid/pixels"]
    assert figure["step"] == 4 and figure["protocol"].keys() == FIELDS
    assert figure["protocol"]["reference"] == "train" and figure["protocol"]["samples"] == 40
    assert figure["protocol"]["weights"] == "ema" and figure["protocol"]["batch_norm"] == "eval"
    assert figure["protocol"]["version"] == gan_lab.__version__
    assert summary["best"].keys() == {"metric", "value", "step", "protocol"}
    told = [row for row in table_of(run) if row["fid/pixels"]]
    assert [row["step"] for row in told] == ["2", "4"]
    assert all("40 samples of ema weights" in row["protocol"] and "real of train" in row["protocol"] for row in told)


def test_the_best_checkpoint_is_the_one_with_the_lowest_distance(run):
    summary = read_json(run / "summary.json")
    told = {int(row["step"]): float(row["fid/pixels"]) for row in table_of(run) if row["fid/pixels"]}
    assert summary["best"]["step"] == min(told, key=told.get)
    assert gan_lab.load(run, checkpoint="best").state["step"] == summary["best"]["step"]


def test_judging_leaves_the_training_as_it_was(run, tmp_path):
    words = "model=dcgan", "dataset.split=train", "trainer.steps=5", "trainer.evaluate_every=null"
    launch.train(config_of(*words), tmp_path / "unjudged")
    states = [checkpoint.load_newest(folder / "checkpoints") for folder in (run, tmp_path / "unjudged")]
    assert fingerprint(states[0]) == fingerprint(states[1])
    assert "best" not in read_json(tmp_path / "unjudged" / "summary.json")


def test_a_resumed_run_keeps_its_best_and_its_patience(tmp_path):
    words = "model=dcgan", *JUDGED, "trainer.patience=50"
    launch.train(config_of(*words, "trainer.steps=8"), tmp_path / "whole")
    launch.train(config_of(*words, "trainer.steps=5"), tmp_path / "cut")
    launch.train(config_of(*words, "trainer.steps=8"), tmp_path / "cut", resume=True)
    whole, cut = (read_json(tmp_path / name / "summary.json") for name in ("whole", "cut"))
    assert whole["best"] == cut["best"] and whole["figures"] == cut["figures"]
    best = [checkpoint.load(tmp_path / name / "checkpoints" / "best.pt") for name in ("whole", "cut")]
    assert fingerprint(best[0]) == fingerprint(best[1])
    judged = [[row["fid/pixels"] for row in table_of(tmp_path / name)] for name in ("whole", "cut")]
    assert [value for value in judged[0] if value] == [value for value in judged[1] if value]


class Told:
    """A judge that says what it is told to, one value after the other."""

    def __init__(self, values):
        self.values, self.names = iter(values), ["fid/pixels"]
        self.real = Judge(build_dataset(config_of()), "all", Pixels())
        self.reference = self.real.reference

    def figures(self, samples, **facts):
        (figure,) = self.real.figures(samples, **facts)
        return [type(figure)(figure.name, next(self.values), figure.step, figure.protocol)]


@pytest.fixture
def book(tmp_path):
    from gan_lab.training.logbook import Logbook

    return Logbook(tmp_path)


def ended(book, values, patience, steps=100, metric="fid/pixels"):
    """The step at which a run with these judgements, one after every second round, ends; and what was said."""
    trainer, said = trainer_of(config_of("model=gan", f"trainer.steps={steps}")), []
    trainer.run([Evaluator(2, Told(values), 20, metric=metric, patience=patience, book=book, say=said.append)])
    return trainer.step, said


def test_a_run_without_progress_ends_after_its_patience(book):
    step, said = ended(book, [5.0, 3.0, 4.0, 3.5, 3.0], patience=3)
    assert step == 11  # the best at step 4, three judgements without a better one, and the round that was begun
    assert book.summary["best"]["step"] == 4 and book.summary["stopped_early"] == 10
    assert any("No better fid/pixels than 3, of step 4, in 3 evaluations" in line for line in said)


def test_without_patience_a_run_goes_on(book):
    assert ended(book, [5.0, 6.0, 7.0, 8.0, 9.0], patience=None, steps=10)[0] == 10
    assert "stopped_early" not in book.summary


def test_a_figure_that_is_not_finite_is_never_the_best(book):
    ended(book, [float("nan"), 4.0, float("nan"), float("-inf")], patience=None, steps=8)
    assert book.summary["best"]["value"] == 4.0


def test_the_end_of_a_run_that_was_cut_is_no_judgement_of_its_own(book):
    ended(book, [5.0, 4.0], patience=None, steps=5)
    assert [row["step"] for row in book.table.rows] == [2, 4]


def test_judging_too_often_is_said_once_with_the_remedy(book):
    """Two rounds of a perceptron take no longer than a judgement; the first one makes caches and is not counted."""
    said = ended(book, [5.0] * 4, patience=None, steps=8)[1]
    (told,) = [line for line in said if line.startswith("Evaluation takes")]
    assert "of the time: set trainer.evaluate_every=" in told
    assert int(told.split("=")[1].split()[0]) % 2 == 0


def test_the_share_of_the_time_is_what_judging_took(book, monkeypatch):
    times = iter([0.0, 10.0, 11.0, 20.0, 21.0])
    monkeypatch.setattr(evaluator.time, "monotonic", lambda: next(times))
    judged = Evaluator(2, Told([]), 20)
    for began in (10.0, 20.0):
        assert next(times) == began
        judged.account(began)
    assert judged.share == pytest.approx(2 / 21) and not judged.has_warned


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trainer.best_metric=fid"], "trainer.best_metric=fid is not among the evaluated figures: fid/pixels."),
        (["trainer.best_metric=score/pixels"], "is not among the evaluated figures: fid/pixels."),
        (["dataset=gaussian1d", "trainer.patience=2"], "needs a trainer.best_metric, one of exact/mean, exact/std."),
        (
            ["dataset=ring8", "trainer.best_metric=modes"],
            "exact/modes, exact/good_share, exact/quality, exact/reverse_kl, exact/distance.",
        ),
        (["trainer.evaluate_every=null", "trainer.patience=2"], "set trainer.evaluate_every=1000."),
        (["trainer.evaluate_samples=9"], "trainer.evaluate_samples=9 is too few for an evaluation: set 10 or more."),
    ],
)
def test_a_metric_that_will_not_be_there_is_told_before_the_run(words, sentence):
    config = config_of(*words)
    with pytest.raises(ConfigError, match=sentence.replace(".", r"\.")):
        evaluator_of(config, TrainerSettings(**config["trainer"]), build_dataset(config), build_game(config), "cpu")


def test_points_are_judged_by_the_truth_alone():
    config = config_of("dataset=ring8", "trainer.evaluate_with=classifier")
    made = evaluator_of(config, TrainerSettings(**config["trainer"]), build_dataset(config), build_game(config), "cpu")
    assert made.metric == "exact/quality" and made.count == 10_000
    never = TrainerSettings(steps=1, evaluate_every=None)
    assert evaluator_of({**config}, never, build_dataset(config), build_game(config), "cpu") is None


def test_a_classifier_can_judge_and_choose_while_a_run_goes_on(tmp_path):
    words = "dataset.split=train", "trainer.evaluate_with=classifier", "trainer.best_metric=score/classifier"
    summary = launch.train(config_of(*words, "trainer.steps=4", *JUDGED), tmp_path / "run")
    assert summary["best"]["metric"] == "score/classifier" and "fid/classifier" in summary["figures"]
    assert "fid" not in summary["figures"] and 1 <= summary["best"]["value"] <= 10


# ---- afterwards -----------------------------------------------------------------------------------------------------


def test_evaluate_judges_by_the_test_split_and_writes_how(mine, capsys):
    assert main(["evaluate", str(mine), "n=50"]) == 0
    out = capsys.readouterr().out
    summary, rows = read_json(mine / "summary.json"), rows_of(mine)
    judged = summary["evaluation"]
    wanted = "fid kid kid_deviation precision recall density coverage diversity_of_real score score_of_real modes"
    assert {f"{name}/classifier" for name in wanted.split()} <= judged.keys()
    assert all(name.endswith("/classifier") and name in out for name in judged)
    protocol = judged["fid/classifier"]["protocol"]
    assert protocol.keys() == FIELDS and (protocol["reference"], protocol["reference_count"]) == ("test", 359)
    assert "plain classifier of seed 0" in protocol["extractor"] and "right on held-out" in out
    assert protocol["seed"] != summary["figures"]["fid/pixels"]["protocol"]["seed"]  # fresh samples
    assert "50 samples of ema weights" in out and "359 real of test" in out
    assert {row["name"]: float(row["value"]) for row in rows} == {name: f["value"] for name, f in judged.items()}
    assert {(row["reference"], row["samples"]) for row in rows} == {("test", "50"), ("train, as test", "50")}  # novelty


def test_what_looks_at_pairs_says_how_many_it_saw(run, monkeypatch):
    monkeypatch.setattr("gan_lab.metrics.features.KEPT", 20)
    told = {f.name: f.protocol for f in evaluate(gan_lab.load(run), n=30, extractor="pixels")}
    assert (told["fid/pixels"].samples, told["fid/pixels"].reference_count) == (30, 359)
    assert (told["kid/pixels"].samples, told["kid/pixels"].reference_count) == (20, 20)
    assert told["novelty/pixels"].reference == "train, as test"


def test_copies_of_training_pictures_are_not_new_wherever_they_lie(run, monkeypatch):
    """Only the first training pictures were compared with: copies of the others passed for new."""
    monkeypatch.setattr("gan_lab.metrics.features.KEPT", 50)
    run = gan_lab.load(run)
    last = torch.arange(len(run.dataset))[-40:]
    judged_, test = copies_of(run, last), reference_of(run.config, run.dataset)[0]
    assert judged_.value < 1e-4 and judged_.protocol.reference == "train, as test"
    assert (judged_.protocol.reference_count, judged_.protocol.samples) == (len(run.dataset), 40)
    assert copies_of(run, torch.arange(40), test).value == pytest.approx(1, abs=0.2)  # test pictures are as new as they


def copies_of(run, rows, dataset=None):
    """What novelty says of pictures of a dataset."""
    test = Judge(*reference_of(run.config, run.dataset), Pixels())
    images = (dataset or run.dataset).plain(rows)["image"].permute(0, 3, 1, 2) / 127.5 - 1
    facts = {"step": 0, "weights": "ema", "batch_norm": "none", "seed": 0}
    like = test.figures([images], cheap=True, **facts)[0]
    return novelty(run.dataset, "train", test, like)


def test_features_of_training_pictures_are_kept_chunk_by_chunk(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("gan_lab.metrics.features.KEPT", 500)
    dataset = gan_lab.load(run).dataset
    chunks = lambda: [*features_of(Pixels(), dataset, torch.arange(len(dataset)))]
    first = chunks()
    assert [len(chunk) for chunk in first] == [500, 500, 438] and len([*tmp_path.rglob("features-*")]) == 3
    monkeypatch.setattr(Pixels, "forward", lambda *_: pytest.fail("looked again"))
    assert torch.equal(torch.cat(first), torch.cat(chunks()))
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    monkeypatch.setattr("gan_lab.runs.evaluation.FEATURES", 1000)  # a set of more is looked at anew
    assert torch.equal(torch.cat(first), torch.cat(chunks())) and not [*(tmp_path / "none").rglob("features-*")]


def test_a_reference_of_ones_own_choice_is_looked_at_and_said(mine, capsys):
    assert main(["evaluate", str(mine), "n=50", "extractor=pixels", "reference=train"]) == 0
    assert "50 samples of ema weights" in (out := capsys.readouterr().out) and "1,438 real of train" in out
    (fid,) = [row for row in rows_of(mine) if row["name"] == "fid/pixels"]
    assert (fid["reference"], fid["reference_count"]) == ("train", "1438")
    assert not any(row["name"].startswith("novelty") for row in rows_of(mine))  # nothing is held out to be as new as
    train = {f.name: f for f in evaluate(gan_lab.load(mine), n=50, extractor="pixels", reference="train")}
    test = {f.name: f for f in evaluate(gan_lab.load(mine), n=50, extractor="pixels", reference="test")}
    assert float(fid["value"]) == train["fid/pixels"].value != test["fid/pixels"].value
    assert test["fid/pixels"] == evaluate(gan_lab.load(mine), n=50, extractor="pixels")[0]
    assert "novelty/pixels" in test


@pytest.mark.parametrize("which", ["test", "val", "train"])
def test_a_folder_has_the_references_that_lie_in_it(which, tmp_path):
    from PIL import Image

    for split, first in (("train", 0), ("test", 8)):
        (tmp_path / "pictures" / split).mkdir(parents=True)
        for i in range(first, first + 8):
            Image.new("RGB", (16, 16), (16 * i, 90, 7)).save(tmp_path / "pictures" / split / f"{i}.png")
    config = config_of("dataset=folder", f"dataset.path={tmp_path / 'pictures'}", "dataset.image_size=16")
    dataset = build_dataset(config)
    if which == "val":
        with pytest.raises(ConfigError, match="reference=val is no split of this data: .*has only test, train"):
            reference_of(config, dataset, wanted=which)
    else:
        reference, name = reference_of(config, dataset, wanted=which)
        reds = {int(image[0, 0, 0]) for image in reference.tensors()["image"]}
        assert name == which and reds == {16 * i for i in range(*((0, 8) if which == "train" else (8, 16)))}


def test_data_in_one_piece_has_train_for_a_reference():
    config = config_of("dataset=shapes", "dataset.size=50")
    dataset = build_dataset(config)
    assert reference_of(config, dataset, wanted="train") == (dataset, "train")
    with pytest.raises(ConfigError, match="reference=test is no split of this data, which has train alone"):
        reference_of(config, dataset, wanted="test")


def test_splits_that_share_pictures_are_not_held_out():
    assert are_apart("train", "test") and are_apart("train", "valid")
    assert not any(are_apart(*pair) for pair in (("train", "train"), ("all", "test"), ("train+unlabeled", "train")))


def test_a_score_says_over_how_many_splits_it_is_a_mean(monkeypatch):
    judge = Judge(build_dataset(config_of()), "all", Splitting())
    images = torch.rand(1000, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    facts = {"step": 0, "weights": "ema", "batch_norm": "none", "seed": 0}
    told = {f.name: f.protocol.extractor for f in judge.figures(images.split(100), **facts, cheap=True)}
    assert told["score/ten"] == "ten, 10 splits" and told["fid/ten"] == "ten"
    few = {f.name: f.protocol.extractor for f in judge.figures([images[:500]], **facts, cheap=True)}
    assert few["score/ten"] == "ten, 1 split"


class Splitting(Pixels):
    """Pixels, and guesses of which a score is a mean over ten splits."""

    title, guesses, splits = "ten", True, 10

    def __init__(self):
        super().__init__()
        self.about, self.identity = "ten", "ten"

    def forward(self, images):
        features, _ = super().forward(images)
        return features, features[:, :5].softmax(dim=1)


def test_evaluate_takes_other_weights_steps_and_samples(mine):
    for words in (["weights=raw"], ["checkpoint=best"], ["seed=2"], []):
        assert main(["evaluate", str(mine), "n=30", "extractor=pixels", *words]) == 0
    rows = [row for row in rows_of(mine) if row["name"] == "fid/pixels"]
    assert [row["weights"] for row in rows] == ["raw", "ema", "ema", "ema"]
    assert int(rows[1]["step"]) == read_json(mine / "summary.json")["best"]["step"]
    assert int(rows[2]["seed"]) - int(rows[3]["seed"]) == 1_000_000
    assert len({row["value"] for row in rows if row["step"] == "5"}) == 3


def test_the_same_words_give_the_same_figures(run):
    first, second = (evaluate(gan_lab.load(run), n=30, extractor="pixels") for _ in range(2))
    assert first == second


def test_a_run_that_is_being_trained_keeps_its_summary(mine, capsys):
    with launch.locked(mine):
        assert main(["evaluate", str(mine), "n=20", "extractor=pixels"]) == 0
    assert "is being trained, and its summary is left alone" in capsys.readouterr().out
    assert "evaluation" not in read_json(mine / "summary.json") and rows_of(mine)


def test_points_get_exact_figures(tmp_path, capsys):
    launch.train(config_of("dataset=ring8", "trainer.steps=2"), tmp_path / "ring")
    assert main(["evaluate", str(tmp_path / "ring"), "n=500"]) == 0
    judged = read_json(tmp_path / "ring" / "summary.json")["evaluation"]
    assert judged.keys() == {f"exact/{name}" for name in ("modes", "good_share", "quality", "reverse_kl", "distance")}
    assert judged["exact/modes"]["protocol"]["reference"] == "truth" and "the truth" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "ring"), "extractor=pixels"]) == 2
    assert "this run generates points: leave it out" in capsys.readouterr().err


def test_stacked_digits_are_read_colour_by_colour(tmp_path):
    words = "dataset=stacked_digits", "dataset.split=train", "dataset.size=300", "model=dcgan", "trainer.steps=1"
    launch.train(config_of(*words), tmp_path / "stacked")
    figures = {f.name: f for f in evaluate(gan_lab.load(tmp_path / "stacked"), n=60)}
    assert 1 <= figures["modes/classifier"].value <= 60 and figures["reverse_kl/classifier"].value > 0
    assert "of each colour" in figures["modes/classifier"].protocol.extractor


def test_a_judge_finds_the_modes_of_real_stacked_digits():
    config = config_of("dataset=stacked_digits", "dataset.size=2000")
    dataset = build_dataset(config)
    judge = Judge(dataset, "all", extractor_of("classifier", config, dataset))
    shown = dataset.prepare(dataset.rows(torch.arange(2000)), torch.zeros(2000))["image"]
    facts = {"step": 0, "weights": "ema", "batch_norm": "none", "seed": 0}
    told = {f.name: f.value for f in judge.figures([shown], cheap=True, **facts)}
    there = len(dataset.labels.unique())
    assert told["modes/classifier"] > 0.8 * there and told["fid/classifier"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("model", names("model"))
def test_runs_of_every_model_are_judged(model, tmp_path):
    launch.train(config_of(*words_for(model), "trainer.steps=1", "trainer.evaluate_every=1"), tmp_path / "run")
    assert main(["evaluate", str(tmp_path / "run"), "n=12"]) == 0
    summary = read_json(tmp_path / "run" / "summary.json")
    assert summary["figures"] and summary["evaluation"]
    for figure in (*summary["figures"].values(), *summary["evaluation"].values()):
        assert isinstance(figure["value"], float) and figure["protocol"].keys() == FIELDS


# ---- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name", "count"),
    [
        (["dataset.split=train"], "test", 359),
        (["dataset.split=test"], "test", 359),
        (["dataset.split=all"], "all", 1797),
        (["dataset=shapes", "dataset.size=50"], "train", 50),
    ],
)
def test_the_reference_is_the_test_split_or_named_for_what_it_is(words, name, count, capsys):
    config = config_of(*words)
    reference, split = reference_of(config, build_dataset(config))
    assert (split, len(reference)) == (name, count)
    assert ("the reference is the training data" in capsys.readouterr().out) == (words != ["dataset.split=train"])


def test_a_classifier_is_examined_with_what_it_has_not_seen():
    for words in (["dataset.split=all"], ["dataset.split=train"], ["dataset=shapes", "dataset.size=100"]):
        config = config_of(*words)
        data = labelled(config, build_dataset(config))
        learnt = {bytes(image.numpy().tobytes()) for image in data.images}
        examined = [bytes(image.numpy().tobytes()) for image in data.test_images]
        assert len(data.images) >= 3 * len(examined) > 0
        assert sum(image in learnt for image in examined) == 0


def pixels_of(split="all", count=None):
    dataset = build_dataset(config_of())
    if count is not None:
        dataset.tensors()["image"] = dataset.tensors()["image"].clone()
        dataset.tensors()["image"][count] += 1
    return Judge(dataset, split, Pixels())


def test_reference_statistics_are_kept_and_follow_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = lambda: set(tmp_path.rglob("reference-pixels-*"))

    first = pixels_of().real
    assert len(files()) == 1
    looked = []
    monkeypatch.setattr("gan_lab.runs.evaluation.look", lambda *_: looked.append(1) or first)
    assert torch.equal(pixels_of().real.moments.mean, first.moments.mean) and not looked
    _ = pixels_of(count=3).real  # one picture is another
    assert looked == [1] and len(files()) == 2
    _ = Judge(build_dataset(config_of()), "all", Pixels(most=8)).real  # another extractor
    _ = pixels_of(split="train").real
    _ = Judge(build_dataset(config_of()), "all", Pixels(), most=100).real
    assert len(looked) == 4 and len(files()) == 5


# ---- what is wrong --------------------------------------------------------------------------------------------------

WRONG = {
    "n=3": (2, "n=3 is too few for an evaluation: set n=10 or more."),
    "extractor=resnet": (2, "extractor=resnet is not known; choose classifier, inception, pixels."),
    "m=3": (2, "unknown setting 'm'; see gan-lab evaluate --help."),
    "checkpoint=9": (4, "keeps no checkpoint '9'; it keeps last and the steps 5."),
    "root=/elsewhere": (3, "root=/elsewhere: this data is made, not read from a place; leave it out."),
    "weights=best": (2, "weights=best is not known; choose ema or raw."),
}


@pytest.mark.parametrize("word", WRONG)
def test_a_wrong_word_gets_a_sentence(run, capsys, word):
    code, sentence = WRONG[word]
    assert main(["evaluate", str(run), word]) == code
    err = capsys.readouterr().err
    assert err.startswith("gan-lab: ") and err.endswith(f"{sentence}\n")


def test_missing_weights_of_inception_are_one_sentence(run, capsys, tmp_path):
    pytest.importorskip("torch_fidelity")
    assert main(["evaluate", str(run), "n=20", "extractor=inception", f"inception={tmp_path / 'none.pth'}"]) == 3
    err = capsys.readouterr().err
    assert "https://github.com/toshas/torch-fidelity/releases" in err and str(tmp_path / "none.pth") in err


def test_data_without_labels_teaches_no_classifier(tmp_path, capsys):
    folder = tmp_path / "pictures"
    assert main(["sample", str(tmp_path)]) == 4  # no run
    from PIL import Image

    folder.mkdir()
    for i in range(16):
        Image.new("RGB", (16, 16), (16 * i, 90, 200 - 8 * i)).save(folder / f"{i:02}.png")
    words = "dataset=folder", f"dataset.path={folder}", "dataset.image_size=16", "trainer.steps=1", "model=dcgan"
    launch.train(config_of(*words), tmp_path / "run")
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "n=20", "extractor=classifier"]) == 2
    assert "has no labels, so that no classifier can learn from it: choose extractor=pixels." in capsys.readouterr().err

    # By pixels it is judged, also from another place
    folder.rename(tmp_path / "moved")
    assert main(["evaluate", str(tmp_path / "run"), "n=20"]) == 3
    assert main(["evaluate", str(tmp_path / "run"), "n=20", f"root={tmp_path / 'moved'}"]) == 0
    assert "has no test split: the reference is the training data" in capsys.readouterr().out
    assert read_json(tmp_path / "run" / "summary.json")["evaluation"]["fid/pixels"]["protocol"]["reference"] == "train"


def test_a_run_that_never_saved_is_a_sentence(mine, capsys):
    shutil.rmtree(mine / "checkpoints")
    assert main(["evaluate", str(mine), "n=20"]) == 4
    assert "holds no checkpoint; the run ended before its first one was saved" in capsys.readouterr().err


def test_help(capsys):
    assert main(["evaluate", "nowhere", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: gan-lab evaluate RUN")


def test_a_summary_with_figures_is_json(run):
    json.loads((run / "summary.json").read_text())
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["evaluate_every"] == 2


# --- Translations ----------------------------------------------------------------------------------------------------

QUICK = ["trainer.steps=2", "trainer.evaluate_every=null", "dataset.of=shapes", "dataset.of.size=60"]
QUICK += ["dataset.of.image_size=16"]


def judged(folder, *words):
    launch.train(config_of(*words, *QUICK), folder)
    return {figure.name: figure for figure in evaluate(gan_lab.load(folder), n=40, say=lambda line: None)}


def test_pairs_are_judged_by_what_their_images_are(tmp_path):
    figures = judged(tmp_path / "run", "model=pix2pix", "dataset=degraded", "dataset.by=grey")
    run = gan_lab.load(tmp_path / "run")
    rows = run.dataset.rows(chosen(len(run.dataset), 40))
    source, image = (rows[name].permute(0, 3, 1, 2) / 127.5 - 1 for name in ("source", "image"))
    torch.manual_seed(0)
    assert figures["l1/pairs"].value == pytest.approx(
        float((run.generate(Rows(source=source)) - image).abs().mean()), rel=0.05
    )
    assert figures["l1/pairs"].protocol.samples == 40 and figures["l1/pairs"].protocol.extractor == "none"
    assert not any(name.endswith(("truth", "way_back")) for name in figures)


class Sorted(Degraded):
    """Pairs that are sorted by their class, as a folder's are."""

    def rows(self, indices):
        return super().rows(self.of.labels.argsort(stable=True)[indices])


@pytest.fixture
def sorted_pairs():
    return Sorted(Digits(), by="downsample", channels=1, image_size=16)


def test_translations_are_judged_on_pictures_of_every_class(sorted_pairs):
    """The first rows of a folder are all of its first classes."""
    assert len({*sorted_pairs.rows(torch.arange(200))["label"].tolist()}) == 2
    trainer = trainer_of(config_of("model=pix2pix", "dataset=degraded"))
    chosen_ones = materials(trainer.game, sorted_pairs, range(200))["source"]
    every = in_play(sorted_pairs.rows(torch.arange(len(sorted_pairs)))["source"])
    which = [int((every == source).flatten(1).all(dim=1).nonzero()[0]) for source in chosen_ones[:, :]]
    labels = sorted_pairs.of.labels.sort(stable=True).values[which]
    assert len({*labels.tolist()}) == 10 and len(which) == len({*which}) == 200
    assert torch.equal(chosen_ones, materials(trainer.game, sorted_pairs, range(200))["source"])
    assert materials(trainer.game, sorted_pairs, range(5000)).count == len(sorted_pairs)


def test_of_all_translations_no_class_comes_first(sorted_pairs):
    """What looks at pairs keeps the first ones."""
    rows = chosen(len(sorted_pairs), 5000)
    assert len({*sorted_pairs.rows(rows)["label"][:200].tolist()}) == 10
    assert sorted(rows.tolist()) == [*range(len(sorted_pairs))]


def test_a_classifier_is_examined_with_pictures_of_every_class(monkeypatch):
    monkeypatch.setattr("gan_lab.runs.references.LEARNT", (1000, 60))
    config = config_of("dataset.split=train")
    test = build_dataset(config_of("dataset.split=test"))
    order = test.labels.argsort(stable=True)
    test.labels, test._whole = test.labels[order], {name: x[order] for name, x in test.tensors().items()}
    monkeypatch.setattr("gan_lab.runs.references.other_split", lambda config, split: test if split == "test" else None)
    assert len(labelled(config, build_dataset(config)).test_labels.unique()) == 10


def test_a_hidden_truth_is_told_beside_what_the_source_differs_by(tmp_path):
    words = "model=cyclegan", "dataset=split_domains", "dataset.transform=permute", "model.source_to_image.blocks=1"
    figures = judged(tmp_path / "run", *words, "model.image_to_source.blocks=1")
    dataset = gan_lab.load(tmp_path / "run").dataset
    source = dataset.rows(chosen(len(dataset), 40))["source"].permute(0, 3, 1, 2) / 127.5 - 1
    expected = float((source - dataset.truth(source)).abs().mean())
    assert figures["l1_of_source/truth"].value == pytest.approx(expected, rel=1e-4) and expected > 0.05
    assert {"l1/truth", "l1/way_back"} <= figures.keys() and "l1/pairs" not in figures


# ---- a directory of runs --------------------------------------------------------------------------------------------


def test_each_finished_run_of_a_sweep_is_evaluated_and_the_others_are_named(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c", "killed"):
        shutil.copytree(run, tmp_path / "sweep" / name)
    shutil.rmtree("sweep/b/checkpoints")
    told = read_json(tmp_path / "sweep/killed/summary.json") | {"status": "running"}
    (tmp_path / "sweep/killed/summary.json").write_text(json.dumps(told))
    code = main(["evaluate", "sweep", "n=40", "extractor=pixels"])
    out, err = capsys.readouterr()
    assert code == 4 and "1 run of 3 could not be evaluated" in err
    assert "left out: sweep/killed: killed" in out and "sweep/c  (3 of 3)" in out and "not evaluated: " in out
    judged = [name for name in "abc" if (tmp_path / f"sweep/{name}/evaluations.csv").exists()]
    assert judged == ["a", "c"] and not (tmp_path / "sweep/killed/evaluations.csv").exists()
    (head,) = [line for line in out.splitlines() if line.startswith("run ")]
    assert "evaluation/fid/pixels" in head
    shutil.rmtree("sweep/b"), shutil.rmtree("sweep/killed")
    assert main(["evaluate", "sweep", "n=40", "extractor=pixels"]) == 0
    shutil.rmtree("sweep/a"), shutil.rmtree("sweep/c/checkpoints")
    assert main(["evaluate", "sweep"]) == 4 and main(["evaluate", "."]) == 4
