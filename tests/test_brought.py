"""Data as people bring it: folders of any usual name, splits that differ, archives of other systems, odd pictures."""

import json
import os
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import config_of
from PIL import Image

from gan_lab import pictures
from gan_lab.analysis.base import as_played
from gan_lab.analysis.projection import picture_of
from gan_lab.cli import main
from gan_lab.config import fits
from gan_lab.config.build import build_game
from gan_lab.config.compat import Parts, complaints
from gan_lab.config.compose import compose
from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Dataset, Folder, packed
from gan_lab.datasets.pairs import PairedFolder
from gan_lab.datasets.shapes import Shapes
from gan_lab.datasets.unpaired import UnpairedFolder
from gan_lab.errors import ConfigError, DataError, MissingDataError
from gan_lab.metrics import Pixels, judge, look, store
from gan_lab.metrics.neighbours import density_coverage, precision_recall
from gan_lab.networks.layers import halvings
from gan_lab.runs import evaluation
from gan_lab.runs.references import labelled, other_split, reference_of
from gan_lab.training import session
from gan_lab.training.distributed import joined
from gan_lab.training.evaluator import Evaluator
from gan_lab.training.survey import balance

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    """The user's cache directory of a test; nothing is written to the real one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user cache"))


def noise(seed, height=12, width=12):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def save(root, *names):
    """Pictures of noise, another one in each file."""
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise(seed).save(root / name)
    return root


def folder(root, **options):
    return Folder(str(root), **{"image_size": 12, "cache": "never", **options})


def pairs(root, **options):
    return PairedFolder(str(root), **{"image_size": 12, "cache": "never", **options})


def stored(root, **options):
    """The configuration of a run on a folder."""
    dataset = {"_target_": "gan_lab.datasets.Folder", "path": str(root), "split": None, "image_size": 12}
    return {**config_of(), "dataset": {**dataset, "cache": "never", **options}}


# ---- pairs ----------------------------------------------------------------------------------------------------------

TRAINED = ("1", "2", "3")
SIDES = {
    "as CycleGAN's": ("trainA", "trainB", "testA", "testB"),
    "with a line": ("train_A", "train_B", "test_A", "test_B"),
    "sides first": ("A_train", "B_train", "A_test", "B_test"),
    "input and target": ("train/input", "train/target", "test/input", "test/target"),
    "source and target above": ("source/train", "target/train", "source/test", "target/test"),
    "small": ("a", "b", None, None),
    "capitals": ("Training/A", "Training/B", "Testing/A", "Testing/B"),
    "training in none": ("a", "b", "test/a", "test/b"),
    "below a folder": ("set/trainA", "set/trainB", "set/valA", "set/valB"),
}


@pytest.mark.parametrize("layout", SIDES)
def test_pairs_are_found_under_any_usual_name_and_none_is_of_the_test_split(tmp_path, layout):
    a, b, test_a, test_b = SIDES[layout]
    names = [f"{side}/{name}.png" for side in (a, b) for name in TRAINED]
    save(tmp_path, *names, *(f"{side}/9.png" for side in (test_a, test_b) if side))
    dataset = pairs(tmp_path)
    assert dataset.partners == {f"{a}/{name}.png": f"{b}/{name}.png" for name in TRAINED}
    assert np.array_equal(dataset.tensors()["source"][0], noise(0))
    assert np.array_equal(dataset.tensors()["image"][0], noise(3))
    split = "val" if "val" in str(test_a) else "test"
    if test_a:
        assert pairs(tmp_path, split=split).partners == {f"{test_a}/9.png": f"{test_b}/9.png"}
    else:
        with pytest.raises(MissingDataError):
            pairs(tmp_path, split=split)


@pytest.mark.parametrize(
    "names",
    [
        ("sketch/1.png", "photo/1.png"),
        ("train/sketch/1.png", "train/photo/1.png", "test/sketch/2.png", "test/photo/2.png"),
        ("A1/1.png", "B1/1.png"),
    ],
)
def test_folders_that_may_be_sides_are_named_and_no_picture_is_cut(tmp_path, names):
    with pytest.raises(DataError, match=r"has pictures in .*call the folder of one side A") as error:
        pairs(save(tmp_path, *names))
    assert all(name.rpartition("/")[0] in str(error.value) for name in names if "test" not in name)


def test_one_side_alone_and_two_folders_of_one_side_are_told(tmp_path):
    with pytest.raises(DataError, match="pictures in trainA/ and none for the other side"):
        pairs(save(tmp_path / "one", "trainA/1.png", "testA/2.png", "testB/2.png"))
    with pytest.raises(DataError, match=r"has the folders A and a for one side|has the folders a and input"):
        pairs(save(tmp_path / "two", "a/1.png", "input/1.png", "b/1.png"))


@pytest.mark.parametrize("layout", [name for name in SIDES if name not in ("below a folder", "small")])
def test_domains_are_found_under_the_same_names(tmp_path, layout):
    a, b, test_a, test_b = SIDES[layout]
    save(tmp_path, f"{a}/1.png", f"{a}/2.png", f"{b}/3.png", f"{test_a}/4.png", f"{test_b}/5.png")
    dataset = UnpairedFolder(str(tmp_path), image_size=12, cache="never")
    assert (dataset.sources.names, dataset.images.names) == ([f"{a}/1.png", f"{a}/2.png"], [f"{b}/3.png"])
    test = UnpairedFolder(str(tmp_path), split="test", image_size=12, cache="never")
    assert (test.sources.names, test.images.names) == ([f"{test_a}/4.png"], [f"{test_b}/5.png"])


# ---- splits ---------------------------------------------------------------------------------------------------------

SPLITS = {
    "Training and Testing": ("Training/cat", "Training/dog", "Testing"),
    "Train and Test": ("Train/cat", "Train/dog", "Test"),
    "TRAIN and VALIDATION": ("TRAIN/cat", "TRAIN/dog", "VALIDATION"),
    "with a word": ("seg_train/cat", "seg_train/dog", "seg_test"),
    "with a year": ("train2017/cat", "train2017/dog", "val2017"),
    "below the classes": ("cat/train", "dog/train", None),
}


@pytest.mark.parametrize("layout", SPLITS)
def test_splits_of_any_usual_name_are_no_classes(tmp_path, layout):
    cat, dog, test = SPLITS[layout]
    held = [f"{test}/cat/3.png", f"{test}/dog/4.png"] if test else ["cat/test/3.png", "dog/test/4.png"]
    save(tmp_path, f"{cat}/1.png", f"{dog}/2.png", *held)
    dataset = folder(tmp_path)
    assert dataset.classes == ["cat", "dog"] and dataset.names == [f"{cat}/1.png", f"{dog}/2.png"]
    split = "val" if "val" in (test or "").lower() else "test"
    assert folder(tmp_path, split=split).names == held
    whole = folder(tmp_path, split="all")
    assert len(whole) == 4 and whole.classes == ["cat", "dog"]


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (("train/cat/1.png", "test/cat/2.png", "extra/3.png"), "test, train beside extra"),
        (("seg_train/1.png", "seg_test/2.png", "seg_pred/3.png"), "seg_test, seg_train beside seg_pred"),
        (("pictures/1.png", "Validation/2.png"), "Validation beside pictures"),
        (("cat/1.png", "dog/1.png", "dog/test/2.png"), "test beside cat, dog"),
        (("1.png", "test/2.png"), "has test: splits, or classes"),
        (("train/cat/1.png", "train/dog/2.png", "unlabelled/3.png"), "train beside unlabelled"),
    ],
)
def test_what_may_be_a_split_or_a_class_is_asked(tmp_path, names, seen):
    root = save(tmp_path, *names)
    with pytest.raises(DataError, match=seen) as error:
        folder(root)
    assert "Set dataset.split to the folder to train on, or dataset.split=all" in str(error.value)
    assert len(folder(root, split="all")) == len(names)


def test_folders_of_two_sides_are_no_classes_but_one_can_be_chosen(tmp_path):
    root = save(tmp_path, "trainA/1.png", "trainB/2.png", "testA/3.png", "testB/4.png")
    with pytest.raises(DataError, match="choose dataset=unpaired_folder or dataset=paired_folder"):
        folder(root)
    assert folder(root, split="trainB").names == ["trainB/2.png"]


def test_two_folders_of_one_split_are_asked_about(tmp_path):
    root = save(tmp_path, "train/1.png", "val/2.png", "validation/3.png")
    assert folder(root, split="validation").names == ["validation/3.png"]
    with pytest.raises(DataError, match="has the folders VALID and Val"):
        folder(save(tmp_path / "more", "train/1.png", "VALID/2.png", "Val/3.png"), split="val")


# ---- classes of splits ----------------------------------------------------------------------------------------------

TRAIN = ("train/cat/1.png", "train/dog/2.png", "train/eel/3.png")


def test_the_classes_of_a_test_split_are_those_of_training(tmp_path):
    save(tmp_path, *TRAIN, "test/dog/4.png", "test/eel/5.png", "test/eel/6.png")
    test = folder(tmp_path, split="test", num_classes=3)
    assert test.classes == ["cat", "dog", "eel"] and test.labels.tolist() == [1, 2, 2]
    one = folder(save(tmp_path / "one", *TRAIN, "test/eel/4.png"), split="test")
    assert one.classes == ["cat", "dog", "eel"] and one.labels.tolist() == [2]


def test_numbers_of_a_list_are_counted_over_all_splits(tmp_path):
    save(tmp_path, *TRAIN, "test/4.png")
    pairs_of = [["train/cat/1.png", 0], ["train/dog/2.png", 5], ["train/eel/3.png", 1], ["test\\4.png", 1]]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": pairs_of}))
    assert folder(tmp_path).num_classes == folder(tmp_path, split="test").num_classes == 6


def test_a_class_that_training_does_not_have_is_told(tmp_path):
    save(tmp_path, *TRAIN, "test/dog/4.png", "test/Eel/5.png")
    with pytest.raises(DataError, match=r"test/Eel/5\.png lies in no class of the training split: .* cat, dog, eel\."):
        folder(tmp_path, split="test")


def test_a_test_split_without_labels_is_taken_as_one(tmp_path):
    save(tmp_path, *TRAIN, "test/4.png", "test/5.png")
    assert folder(tmp_path, split="test", num_classes=3).gives == ("image",)


# ---- what is wrong with a split -------------------------------------------------------------------------------------


def test_what_is_wrong_with_the_test_split_is_told_and_not_taken_for_none(tmp_path):
    (save(tmp_path, *TRAIN, "test/dog/4.png") / "test/dog/4.png").write_bytes(b"none")
    config = stored(tmp_path, cache="always")
    with pytest.raises(DataError, match=r"test/dog/4\.png \(not a picture"):
        reference_of(config, folder(tmp_path))
    (tmp_path / "test/dog/4.png").unlink()
    said = []
    assert reference_of(config, folder(tmp_path), said.append)[1] == "train"
    assert said == ["This data has no test split: the reference is the training data."]


def test_a_missing_partner_in_the_test_split_is_told(tmp_path):
    save(tmp_path, "trainA/1.png", "trainB/1.png", "testA/2.png", "testA/3.png", "testB/2.png")
    config = stored(tmp_path, _target_="gan_lab.datasets.pairs.PairedFolder")
    with pytest.raises(DataError, match="have no partner"):
        other_split(config, "test")


def test_a_classifier_is_examined_with_training_pictures_where_the_test_split_has_no_labels(tmp_path):
    names = [f"train/{name}/{i}.png" for name in ("cat", "dog") for i in range(5)]
    save(tmp_path, *names, "test/4.png")
    examined = labelled(stored(tmp_path), folder(tmp_path))
    assert len(examined.images) == 8 and len(examined.test_images) == 2


# ---- models that are told a class -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["cgan", "acgan", "projection", "sgan"])
def test_a_model_takes_the_number_of_classes_from_the_folders(tmp_path, model):
    save(tmp_path, *TRAIN, "test/dog/4.png")
    config = compose([f"model={model}", "dataset=folder", f"dataset.path={tmp_path}"])
    assert config["dataset"]["num_classes"] == 3
    assert 3 in (config["model"].get("num_conditions"), config["model"]["discriminator"].get("num_classes"))
    few = compose([f"model={model}", "dataset=few_labels", "dataset@dataset.of=folder", f"dataset.of.path={tmp_path}"])
    assert few["dataset"]["num_classes"] == few["dataset"]["of"]["num_classes"] == 3


def test_a_folder_without_classes_and_one_that_is_not_there_say_so(tmp_path):
    words = ["model=cgan", "dataset=folder", f"dataset.path={save(tmp_path / 'flat', '1.png', '2.png')}"]
    with pytest.raises(ConfigError, match=r"num_conditions=null .*; this dataset has no classes, .* model=dcgan"):
        compose(words)
    with pytest.raises(DataError, match="does not exist"):
        compose([*words[:2], f"dataset.path={tmp_path / 'nowhere'}"])
    assert fits.complaints(["dataset=folder", "model=cgan"]) is None, "only the files can tell"
    assert fits.complaints(["dataset=folder", "model=dcgan"]) == []


# ---- archives -------------------------------------------------------------------------------------------------------


def test_names_of_windows_are_those_of_everybody(tmp_path):
    root = save(tmp_path / "set", "train/cat/1.png", "train/dog/2.png", "test/cat/3.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in root.rglob("*.png"):
            name = str(file.relative_to(root)).replace("/", "\\")
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes())
    dataset = folder(tmp_path / "set.zip")
    assert dataset.names == ["train/cat/1.png", "train/dog/2.png"] and dataset.classes == ["cat", "dog"]
    assert torch.equal(dataset.tensors()["image"], folder(root).tensors()["image"])


# ---- what never ends, and what is damaged ---------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_only_regular_files_are_read(tmp_path):
    root = save(tmp_path / "set", "1.png", "2.png")
    os.mkfifo(root / "3.png")
    (root / "4.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"3\.png \(not a regular file\); 4\.png \(not a regular file\)"):
        folder(root, cache="always")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe is neither a folder nor a zip file that can be read"):
        folder(tmp_path / "pipe")


def test_a_list_of_labels_that_is_far_too_long_is_refused_unread(tmp_path):
    root = save(tmp_path / "set", "1.png", "2.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in root.iterdir():
            archive.write(file, file.name)
        archive.writestr("dataset.json", b'{"labels": [' + b" " * (50 << 20) + b"]}")
    with pytest.raises(DataError, match=r"dataset\.json is not a list of labels .*more than 1,097,728 bytes"):
        folder(tmp_path / "set.zip")


def test_a_picture_may_have_a_thousand_million_pixels_at_most(tmp_path):
    with pytest.raises(ValueError, match=r"max_pixels=1000000000000 must lie between 1 and 1_000_000_000"):
        folder(save(tmp_path, "1.png"), max_pixels=10**12)


@pytest.mark.parametrize("harm", ["a flipped bit", "zeros", "the manifest", "a cut", "nothing left", "other bytes"])
def test_a_damaged_pack_is_made_anew_with_a_word(tmp_path, harm, monkeypatch):
    monkeypatch.setattr(packed, "BLOCK", 1000)  # so that there are several
    root = save(tmp_path / "set", *(f"{i}.png" for i in range(20)))
    cache = str(tmp_path / "packs")
    whole = folder(root, cache=cache).tensors()["image"]
    (pack,) = (tmp_path / "packs").rglob("*.pack")
    content = bytearray(pack.read_bytes())
    match harm:
        case "a flipped bit":
            content[5003] ^= 1
        case "zeros":
            content[2500:4500] = bytes(2000)
        case "the manifest":
            content[-100] ^= 1
        case "a cut":
            del content[-30:]
        case "nothing left":
            content.clear()
        case "other bytes":
            content[-12:] = b"\xff" * 12
    pack.write_bytes(content)
    again = folder(root, cache=cache)
    assert torch.equal(again.tensors()["image"], whole)
    assert "packed anew, since the pack was damaged: " in again.describe()
    assert "packed anew" not in folder(root, cache=cache).describe()


def test_what_is_kept_for_judging_is_checked(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"features": torch.arange(1000.0)}

    for name in ("one", "one", "two"):
        assert torch.equal(store.kept(name, make)["features"], torch.arange(1000.0))
    assert len(made) == 2
    one, two = (store.place() / f"{name}.pt" for name in ("one", "two"))
    content = bytearray(one.read_bytes())
    content[len(content) // 2] ^= 1
    one.write_bytes(content)
    store.kept("one", make)
    assert len(made) == 3, "a flipped bit"
    two.write_bytes(one.read_bytes())
    store.kept("two", make)
    assert len(made) == 4, "the content of another file"


def test_what_cannot_be_kept_is_made_and_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert store.kept("one", lambda: {"count": 1}) == {"count": 1}
    said = capsys.readouterr().err
    assert "Nothing is kept for the next time: cannot write to" in said and "XDG_CACHE_HOME" in said


# ---- too little, or all the same ------------------------------------------------------------------------------------


def test_pictures_that_are_all_one_are_judged_by_what_is_left(tmp_path):
    one = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    figures = judge(
        look(Pixels(), [one.expand(20, -1, -1, -1)], ""), look(Pixels(), [one.expand(20, -1, -1, -1)], ""), Pixels()
    )
    assert figures["fid/pixels"] == pytest.approx(0, abs=1e-6) and "diversity_of_real/pixels" not in figures


def test_too_few_real_pictures_are_not_cured_by_more_samples():
    few, many = torch.randn(5, 3), torch.randn(50, 3)
    with pytest.raises(
        DataError, match=r"needs more than 5 real pictures, and there are 5: evaluation needs more data"
    ):
        density_coverage(few, many)
    with pytest.raises(DataError, match=r"needs more than 3 samples, and there are 3: raise n="):
        precision_recall(many, few[:3])


def test_judging_that_is_impossible_does_not_end_a_training():
    class Nothing:
        reference = None

        def figures(self, *args, **kwargs):
            raise DataError("There is nothing to judge.")

    said = []
    evaluator = Evaluator(5, Nothing(), 4, say=said.append)
    evaluator.figures = lambda trainer: Nothing().figures()
    evaluator.tell(SimpleNamespace(step=10))
    assert said == ["not evaluated at step 10: There is nothing to judge."]


def test_the_remedy_for_a_side_keeps_the_other_one():
    with pytest.raises(ValueError, match=r"Set dataset\.image_size=\[32,96\] or \[32,112\]"):
        halvings([32, 100])
    with pytest.raises(ValueError, match=r"Set dataset\.image_size=96 or 112"):
        halvings(100)


def test_one_picture_is_not_to_make_a_batch_of_two(tmp_path):
    save(tmp_path, "1.png")
    words = ["dataset=folder", f"dataset.path={tmp_path}", "dataset.image_size=16", "trainer.batch_size=1"]
    config = compose([*words, "model=dcgan"])
    dataset, game = folder(tmp_path, image_size=16), build_game(config)
    parts = Parts(dataset, game, TrainerSettings(**config["trainer"]), {})
    (found,) = (each for each in complaints(parts) if "a single sample per batch" in each)
    assert "Add data, or set model." in found and ".norm=layer" in found and "batch_size=2" not in found


def test_a_world_without_an_address_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigError, match=r"MASTER_ADDR.* not\. Start with torchrun, .* unset RANK WORLD_SIZE"):
        joined(0, 2, torch.device("cpu")).__enter__()


# ---- what is said of data -------------------------------------------------------------------------------------------


def test_sizes_of_a_folder_are_those_of_files_from_all_of_it(tmp_path):
    for i in range(194):
        (tmp_path / f"{i:03}.png").parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8 + i % 2)).save(tmp_path / f"{i:03}.png")
    assert "100 of 194 files looked at: " in (said := folder(tmp_path).describe())
    assert "8 x 8 (" in said and "9 x 8 (" in said


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((50, 50), "each of the 2 classes has 50 samples"),
        ((50, 45), "the classes are nearly even: 0 has 50 and 1 45 samples"),
        ((6, 3), "the classes are as uneven as a random choice: 0 has 6 and 1 3 samples"),
        ((60, 6), "warning: the classes are uneven: 0 has 60 and 1 6 samples"),
    ],
)
def test_the_balance_of_classes_is_called_what_it_is(counts, sentence):
    dataset = Dataset(1, (8, 8), torch.arange(2).repeat_interleave(torch.tensor(counts)), ["0", "1"])
    assert list(balance(dataset)) == [sentence]


def test_a_class_that_no_picture_is_of_is_named(tmp_path):
    save(tmp_path, *(f"{i:02}.png" for i in range(1, 15)))
    labels = [[f"{i:02}.png", i] for i in range(1, 15)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert "15 classes of 0 to 1 images; no image is of class 0" in folder(tmp_path).describe()


def test_a_folder_in_place_of_a_dataset_is_told_how(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset=folder dataset\.path=\.\./my_pictures"):
        compose(["dataset=../my_pictures"])


def test_a_dry_run_writes_no_pack(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(session, "assemble", lambda config, *more: seen.append(config["dataset"]["cache"]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        session.dry_run(compose(["dataset=folder", f"dataset.path={save(tmp_path, '1.png')}"]))
    assert seen == ["never"]


# ---- grey and deep pictures -----------------------------------------------------------------------------------------


def test_grey_grids_are_grey_files_and_coloured_ones_are_not(tmp_path):
    for channels, mode in ((1, "L"), (3, "RGB")):
        pictures.save_png(pictures.grid(torch.rand(4, channels, 8, 8) * 2 - 1), tmp_path / "grid.png")
        with Image.open(tmp_path / "grid.png") as picture:
            assert picture.mode == mode


def test_twelve_bits_in_sixteen_are_told_and_can_be_stretched(tmp_path):
    deep = np.linspace(0, 4095, 144).round().astype(np.uint16).reshape(12, 12)
    Image.fromarray(deep).save(tmp_path / "1.png")
    Image.fromarray(deep).save(tmp_path / "2.png")
    dark = folder(tmp_path, channels=1)
    assert dark.tensors()["image"].max() == 16
    assert "16-bit values end at 4,095, nearly black: set dataset.range=[0,4095]" in dark.describe()
    light = folder(tmp_path, channels=1, range=[0, 4095])
    assert light.tensors()["image"][0].flatten()[[0, 71, 143]].tolist() == [0, 127, 255]
    assert "nearly black" not in light.describe()
    packed_one = folder(tmp_path, channels=1, range=[0, 4095], cache="always")
    assert torch.equal(packed_one.tensors()["image"], light.tensors()["image"])
    with pytest.raises(ValueError, match=r"range=\[5, 5\] must be two values from 0 to 65535"):
        folder(tmp_path, range=[5, 5])


@pytest.mark.parametrize("kind", ["16 bits", "transparent", "turned", "wide"])
def test_a_picture_that_is_given_is_decoded_as_in_training(tmp_path, kind):
    picture, options = noise(0, 12, 12), {}
    match kind:
        case "16 bits":
            picture = Image.fromarray(np.linspace(0, 65535, 144).astype(np.uint16).reshape(12, 12))
        case "transparent":
            picture.putalpha(noise(1).convert("L"))
        case "turned":
            exif = Image.Exif()
            exif[0x0112] = 6
            options["exif"] = exif
        case "wide":
            picture = noise(0, 12, 30)
    (tmp_path / "set").mkdir()
    picture.save(tmp_path / "set" / "1.png", **options)
    dataset = folder(tmp_path / "set", background=[255, 0, 0])
    given = picture_of(str(tmp_path / "set" / "1.png"), SimpleNamespace(dataset=dataset))
    assert torch.allclose(given, as_played(dataset.tensors()["image"]))


def test_strokes_keep_their_opacity_and_their_shape(tmp_path):
    strokes = Image.new("RGBA", (30, 12), (0, 0, 0, 0))
    strokes.paste((255, 0, 0, 255), (9, 0, 15, 12))  # the left half of the square in the middle
    strokes.save(tmp_path / "1.png")
    given = picture_of(str(tmp_path / "1.png"), SimpleNamespace(dataset=Shapes(size=4, image_size=12)), 4)
    assert given.shape == (1, 4, 12, 12)
    assert (given[0, 3, :, :6] == 1).all() and (given[0, 3, :, 6:] == -1).all()


def test_a_judge_that_learned_nothing_is_said_and_judges_nothing(tmp_path, monkeypatch):
    save(tmp_path, *(f"{name}/{i}.png" for name in ("cat", "dog") for i in range(10)))
    dataset = folder(tmp_path)
    grey = evaluation.classifier(labelled(stored(tmp_path), dataset), quiet=True)
    for accuracy, expected in ((0.0, True), (0.54, True), (0.56, False), (float("nan"), True)):
        grey.accuracy = accuracy
        assert grey.says_little == expected
    grey.accuracy = 0.0
    monkeypatch.setattr(evaluation, "classifier", lambda *_: grey)
    with pytest.raises(DataError, match=r"0\.00% right on held-out pictures of 2 classes\): choose extractor=pixels"):
        evaluation.extractor_of("classifier", stored(tmp_path), dataset)
    said = []
    assert isinstance(evaluation.extractor_of(None, stored(tmp_path), dataset, say=said.append), Pixels)
    assert "so pixels are used" in said[0]


def test_a_class_without_images_is_not_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for number in range(6):
        Image.fromarray(np.full((16, 16), 40 * number, np.uint8)).save(tmp_path / "data" / f"{number}.png")
    labels = [[f"{number}.png", 1 + number % 2] for number in range(6)]  # counted from 1
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"labels": labels}))
    data = ["dataset=folder", "dataset.path=data", "dataset.image_size=16", "dataset.channels=1"]
    quick = ["trainer.steps=1", "trainer.batch_size=4", "trainer.threads=1", "trainer.evaluate_every=null"]
    assert main(["train", "model=cgan", *data, *quick, "hydra.run.dir=run"]) == 0
    assert main(["sample", "run", "label=1", "n=2"]) == 0 and main(["sample", "run", "label=0", "n=2"]) == 2
    assert "the run saw no picture of this class" in capsys.readouterr().err
