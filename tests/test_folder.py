"""Folders: labels from StyleGAN's list, packs that are whole and up to date, and pictures of every kind."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lab import cli
from gan_lab.datasets import Folder, folder, packed
from gan_lab.errors import DataError, ResourceError
from gan_lab.training.loader import Loader

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    """The user's cache directory of a test; nothing is written to the real one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user cache"))
    return tmp_path / "user cache" / "gan-lab"


def fill(root, count=20, classes=2, start=0):
    """Small pictures of noise in folders of classes."""
    for i in range(start, start + count):
        path = root / f"class {i % classes}" / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(path)
    return root


def zipped(root, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    return path


def of(path, **options):
    return Folder(str(path), **{"image_size": 8, **options})


def files_in(root):
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.name != "lock")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ---- dataset.json ---------------------------------------------------------------------------------------------------


def listed(root, labels, count=4, beside="dataset.json"):
    """Pictures as StyleGAN's dataset_tool.py lays them out, whose folders are no classes."""
    for i in range(count):
        path = root / f"{i // 2:05}" / f"img{i:08}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, i, i)).save(path)
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    pairs = None if labels is None else [[name, label] for name, label in zip(names, labels, strict=True)]
    (root / beside).write_text(json.dumps({"labels": pairs}))
    return root


@pytest.mark.parametrize("is_zip", [False, True])
@pytest.mark.parametrize("top", ["", "my set"])
def test_labels_come_from_the_list_and_not_from_the_folders(tmp_path, is_zip, top):
    listed(tmp_path / "set" / top, [3, 0, 0, 1])
    dataset = of(zipped(tmp_path / "set", tmp_path / "set.zip") if is_zip else tmp_path / "set")
    assert dataset.tensors()["label"].tolist() == [3, 0, 0, 1]
    assert dataset.rows(torch.tensor([3, 0]))["label"].tolist() == [1, 3]
    assert dataset.classes == ["0", "1", "2", "3"], "numbers are kept, also where one has no picture"
    assert dataset.tensors()["image"][:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_a_list_of_null_means_no_labels(tmp_path):
    assert of(listed(tmp_path, None)).gives == ("image",)


def test_listed_classes_can_be_asserted_and_ignored(tmp_path):
    root = listed(tmp_path, [1, 0, 0, 1])
    assert of(root, num_classes=2).num_classes == 2
    assert of(root, num_classes=0).gives == ("image",)
    with pytest.raises(DataError, match=r"num_classes=10, but .* has 2 classes in its dataset\.json: 0, 1"):
        of(root, num_classes=10)


def test_a_list_of_another_name_is_none(tmp_path):
    assert of(listed(tmp_path, [1, 0, 0, 1], beside="other.json")).classes == ["00000", "00001"]


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ([0.0, 1.0, 0.5], "vectors of 3 numbers"),
        (-1, "no number from 0 to 99,999: -1"),
        (100_000, "no number from 0 to 99,999: 100000"),
        (True, "no number from 0 to 99,999: True"),
        (1.5, "no number from 0 to 99,999: 1.5"),
        ("cat", "no number from 0 to 99,999: 'cat'"),
        (None, "no number from 0 to 99,999: None"),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused(tmp_path, label, sentence):
    root = listed(tmp_path, [0, 1, label, 1])
    with pytest.raises(DataError, match=sentence) as error:
        of(root)
    assert "dataset.num_classes=0" in str(error.value)
    assert len(of(root, num_classes=0)) == 4


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"label": []}', '{"labels": [3]}', '{"labels": 3}', "[" * 99_999]
)
def test_a_list_that_is_none_is_refused(tmp_path, text):
    (listed(tmp_path, [0, 1, 0, 1]) / "dataset.json").write_text(text)
    with pytest.raises(DataError, match="dataset.json is not a list of labels"):
        of(tmp_path)


def test_a_picture_without_a_label_is_named(tmp_path):
    Image.new("RGB", (8, 8)).save(listed(tmp_path, [0, 1, 0, 1]) / "00000" / "new.png")
    with pytest.raises(DataError, match="no label for 1 of 5: 00000/new.png"):
        of(tmp_path)


# ---- packs: what they hold ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_pack_gives_what_decoding_gives(tmp_path, is_zip):
    source = fill(tmp_path / "set", count=150)
    source = zipped(source, tmp_path / "set.zip") if is_zip else source
    plain, pack = of(source, cache="never"), of(source, cache=str(tmp_path / "packs"))
    indices = torch.tensor([149, 0, 7, 7])
    assert same(plain.tensors(), pack.tensors())
    assert same(plain.rows(indices), pack.rows(indices))
    assert plain.nbytes == pack.nbytes == sum(tensor.nbytes for tensor in pack.tensors().values())
    assert f"packed in {tmp_path / 'packs'}" in pack.describe()


def test_threads_decode_in_the_order_of_the_names(tmp_path, monkeypatch):
    source = fill(tmp_path, count=150)
    alone = of(source).tensors()
    monkeypatch.setattr(folder, "WORTH_A_THREAD_SECONDS", 0)
    monkeypatch.setattr(folder, "CHUNK", 4)
    monkeypatch.setattr(folder.os, "cpu_count", lambda: 4)
    assert same(alone, of(source).tensors())


def test_what_was_packed_is_not_decoded_again(tmp_path, user_cache, monkeypatch):
    source = fill(tmp_path / "set")
    first = of(source, cache="always")
    monkeypatch.setattr(Folder, "decode", None)
    assert same(first.tensors(), of(source, cache="always").tensors())
    assert len(files_in(user_cache)) == 1


def test_what_a_reader_writes_into_its_rows_stays_with_it(tmp_path):
    source = fill(tmp_path / "set")
    dataset = of(source, cache="always")
    before = dataset.rows(torch.arange(20))["image"]
    dataset.rows(torch.arange(20))["image"].zero_()
    dataset.tensors()["image"].zero_()
    assert torch.equal(of(source, cache="always").rows(torch.arange(20))["image"], before)


@pytest.mark.parametrize("flip", [False, True])
def test_streaming_from_a_pack_plays_the_batches_of_resident_data(tmp_path, flip):
    source = fill(tmp_path / "set", count=30)
    resident = Loader(of(source, cache="never", flip=flip), 4, seed=5)
    streamed = Loader(of(source, cache="always", flip=flip), 4, seed=5, resident=False, workers=3)
    for number in range(20):  # almost three epochs
        assert all(map(same, resident.batch(number), streamed.batch(number)))


def test_every_setting_of_decoding_has_a_pack_of_its_own(tmp_path, user_cache):
    source = fill(tmp_path / "set")
    settings = [{}, {"channels": 1}, {"image_size": [8, 16]}, {"background": 3}, {"max_pixels": 999}]
    for kept, setting in enumerate(settings, 1):
        assert same(of(source, cache="always", **setting).tensors(), of(source, cache="never", **setting).tensors())
        assert len(files_in(user_cache)) == kept, "the packs of other settings stay"
    of(source, cache="always", num_classes=0, flip=True)
    assert len(files_in(user_cache)) == len(settings), "labels and flips are no part of a pack"


# ---- packs: up to date, or made anew --------------------------------------------------------------------------------


def replace(root):
    """Another picture in a file of the same size."""
    path = root / "class 0" / "000.png"
    size = path.stat().st_size
    Image.new("RGB", (12, 9)).save(path)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))


CHANGES = {
    "changed": replace,
    "added": lambda root: fill(root, count=1, start=20),
    "removed": lambda root: (root / "class 1" / "001.png").unlink(),
    "renamed": lambda root: (root / "class 1" / "001.png").rename(root / "class 1" / "0010.png"),
    "touched": lambda root: os.utime(root / "class 1" / "001.png", (1e9, 1e9)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_zip", [False, True])
def test_a_changed_source_is_packed_anew_and_the_old_pack_goes(tmp_path, user_cache, change, is_zip):
    root = fill(tmp_path / "set")
    source = lambda: zipped(root, tmp_path / "set.zip") if is_zip else root
    of(source(), cache="always")
    before = files_in(user_cache)
    CHANGES[change](root)
    assert same(of(source(), cache="always").tensors(), of(source(), cache="never").tensors())
    after = files_in(user_cache)
    is_unchanged = is_zip and change == "touched"  # a zip knows what its files hold
    assert len(after) == 1 and (after == before) == is_unchanged


def test_folders_of_one_name_do_not_replace_each_others_packs(tmp_path, user_cache):
    for place in ("a", "b"):
        of(fill(tmp_path / place / "set"), cache="always")
    assert len(files_in(user_cache)) == 2


def test_a_run_goes_on_with_the_pack_that_it_has_mapped(tmp_path):
    root = fill(tmp_path / "set")
    old = of(root, cache="always")
    before = old.rows(torch.arange(20))
    replace(root)
    of(root, cache="always")
    assert same(old.rows(torch.arange(20)), before)


@pytest.mark.parametrize("version", ["decode", "pillow"])
def test_another_decoder_asks_for_another_pack(tmp_path, user_cache, monkeypatch, version):
    root = fill(tmp_path / "set")
    of(root, cache="always")
    before = files_in(user_cache)
    monkeypatch.setattr(*{"decode": (folder, "POLICY", -1), "pillow": (folder.PIL, "__version__", "0")}[version])
    of(root, cache="always")
    assert len(files_in(user_cache)) == 1 and files_in(user_cache) != before


@pytest.mark.parametrize("keep", [0, 5, 100, 1000, -9, -1, "garbage", "zeros", "without its middle"])
def test_a_file_that_is_no_whole_pack_is_not_taken_for_one(tmp_path, user_cache, keep):
    root = fill(tmp_path / "set")
    whole = of(root, cache="always").tensors()
    (path,) = user_cache.rglob("*.pack")
    data = path.read_bytes()
    other = {"garbage": b"\xff" * len(data), "zeros": bytes(len(data)), "without its middle": data[:100] + data[130:]}
    path.unlink()
    path.write_bytes(other[keep] if keep in other else data[:keep])
    assert same(of(root, cache="always").tensors(), whole)
    assert path.read_bytes() == data


# ---- packs: interrupted, at once, without room ----------------------------------------------------------------------


def failing_at(number, error, function):
    """A function that raises at its n-th call."""
    calls = iter(range(1, 10**9))

    def call(*words, **options):
        if next(calls) == number:
            raise error
        return function(*words, **options)

    return call


@pytest.mark.parametrize("at", [1, 2, 65, 150])
def test_an_interrupted_packing_leaves_nothing(tmp_path, user_cache, monkeypatch, at):
    root = fill(tmp_path / "set", count=150)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "decode", failing_at(at, KeyboardInterrupt(), folder.decode))
        with pytest.raises(KeyboardInterrupt):
            of(root, cache="always")
    assert files_in(user_cache) == []
    assert same(of(root, cache="always").tensors(), of(root, cache="never").tensors())


KILLED = """
import os, sys
from gan_lab.datasets import Folder, folder
decode, calls = folder.decode, iter(range(10**9))
def dying(*words):
    if next(calls) == 100:
        os.kill(os.getpid(), 9)
    return decode(*words)
folder.decode = dying
Folder(sys.argv[1], image_size=8, cache="always")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_packing_leaves_no_pack_and_the_next_one_clears_up(tmp_path, user_cache):
    root = fill(tmp_path / "set", count=150)
    process = subprocess.run([sys.executable, "-c", KILLED, str(root)], capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert len(list(user_cache.rglob("*.part*"))) == 1 and not list(user_cache.rglob("*.pack"))
    assert same(of(root, cache="always").tensors(), of(root, cache="never").tensors())
    assert [Path(name).suffix for name in files_in(user_cache)] == [".pack"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_of_several_that_pack_at_once_one_packs_and_the_others_wait(tmp_path, user_cache, monkeypatch):
    root, barrier = fill(tmp_path / "set", count=150), threading.Barrier(4)
    written, write, check = [], packed.write, packed.check_room

    def check_together(*words):
        barrier.wait(timeout=30)  # all have seen that there is no pack
        check(*words)

    monkeypatch.setattr(packed, "check_room", check_together)
    monkeypatch.setattr(packed, "write", lambda *words: written.append(words) or write(*words))
    with ThreadPoolExecutor(4) as pool:
        datasets = list(pool.map(lambda _: of(root, cache="always"), range(4)))
    assert len(written) == len(files_in(user_cache)) == 1
    assert all(same(dataset.tensors(), of(root, cache="never").tensors()) for dataset in datasets)


PACKING = "import sys; from gan_lab.datasets import Folder; Folder(sys.argv[1], image_size=8, cache=sys.argv[2])"


@pytest.mark.slow
def test_two_processes_at_once_make_one_whole_pack(tmp_path):
    root, cache = fill(tmp_path / "set", count=600), tmp_path / "packs"
    words = [sys.executable, "-c", PACKING, str(root), str(cache)]
    processes = [subprocess.Popen(words) for _ in range(3)]
    assert [process.wait(timeout=100) for process in processes] == [0, 0, 0]
    assert len(files_in(cache)) == 1
    assert same(of(root, cache=str(cache)).tensors(), of(root, cache="never").tensors())


def test_a_full_disk_is_told_beforehand_with_directory_and_size(tmp_path, user_cache, monkeypatch):
    root = fill(tmp_path / "set")
    usage = packed.shutil.disk_usage(tmp_path)
    needed = 20 * 8 * 8 * 3
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda path: usage._replace(free=needed))
    of(root, cache="always")
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda path: usage._replace(free=math.prod((20, 8, 16, 3)) - 1))
    with pytest.raises(ResourceError, match=r"gan-lab/set-8x16x3-\w+ has 0.0 MiB free.*packed pictures take 0.0 MiB"):
        of(root, cache="always", image_size=[8, 16])
    assert not list(user_cache.glob("set-8x16*"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_midway_is_told_and_nothing_is_left(tmp_path, user_cache, monkeypatch, number, call):
    root, error = fill(tmp_path / "set"), OSError(number, os.strerror(number))
    owner = {"fsync": packed.os, "replace": Path}[call]
    monkeypatch.setattr(owner, call, failing_at(1, error, getattr(owner, call)))
    is_full = number in (errno.ENOSPC, errno.EDQUOT)
    sentence = "The disk is full: packed pictures take 0.0 MiB in " if is_full else "cannot be packed in .* \\("
    with pytest.raises(ResourceError, match=sentence) as told:
        of(root, cache="always")
    assert "gan-lab/set-8x8x3" in str(told.value) and "dataset.cache=never" in str(told.value)
    assert files_in(user_cache) == []
    assert len(of(root, cache="always").tensors()["image"]) == 20


def test_a_directory_that_cannot_be_is_told(tmp_path):
    root, file = fill(tmp_path / "set"), tmp_path / "file"
    file.write_text("no directory")
    with pytest.raises(ResourceError, match=r"cannot be packed in .*/file/packs/"):
        of(root, cache=str(file / "packs"))


# ---- packs: when ----------------------------------------------------------------------------------------------------


def test_auto_leaves_a_small_set_in_memory_and_writes_nothing(tmp_path, user_cache, monkeypatch):
    dataset = of(fill(tmp_path / "set"))
    first = dataset.rows(torch.tensor([3]))
    monkeypatch.setattr(Folder, "decode", None)
    assert same(first, dataset.rows(torch.tensor([3]))) and len(dataset.tensors()["image"]) == 20
    assert not user_cache.exists()


@pytest.mark.parametrize("limit", ["WORTH_A_PACK_SECONDS", "WORTH_A_PACK_BYTES"])
def test_auto_packs_what_takes_long_or_much_memory(tmp_path, user_cache, monkeypatch, limit):
    source = fill(tmp_path / "set")
    monkeypatch.setattr(folder, limit, 0)
    assert same(of(source).tensors(), of(source, cache="never").tensors())
    assert len(files_in(user_cache)) == 1


def test_auto_without_room_goes_on_without_a_pack_and_says_so(tmp_path, user_cache, monkeypatch):
    source = fill(tmp_path / "set")
    usage = packed.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(folder, "WORTH_A_PACK_BYTES", 0)
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda path: usage._replace(free=0))
    dataset = of(source)
    assert "not packed: " in dataset.describe() and "0.0 MiB free" in dataset.describe()
    assert same(dataset.rows(torch.arange(20)), of(source, cache="never").tensors())
    assert not user_cache.exists()
    assert decoded_by(monkeypatch, lambda: dataset.rows(torch.tensor([2]))) == [dataset.names[2]], "not kept in memory"


def decoded_by(monkeypatch, act):
    """The names of the files that are decoded while something is done."""
    names, decode = [], Folder.decode
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "decode", lambda self, name: names.append(name) or decode(self, name))
        act()
    return names


def test_never_decodes_only_what_is_asked_for(tmp_path, user_cache, monkeypatch):
    monkeypatch.setattr(folder, "WORTH_A_PACK_BYTES", 0)
    dataset = of(fill(tmp_path / "set"), cache="never")
    decoded = decoded_by(monkeypatch, lambda: dataset.rows(torch.tensor([2, 0])))
    assert decoded == [dataset.names[2], dataset.names[0]]
    assert not user_cache.exists()


def test_a_word_that_is_no_choice_and_no_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cache=alway must be auto, always, never or a directory with a slash"):
        of(fill(tmp_path / "set"), cache="alway")


# ---- files that cannot be read --------------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])
    return path


def test_packing_names_what_cannot_be_read_and_skip_takes_the_same_pack(tmp_path, user_cache, monkeypatch):
    root = fill(tmp_path / "set")
    cut(root / "class 0" / "004.png")
    with pytest.raises(DataError, match=r"1 of 20 pictures .* class 0/004\.png \("):
        of(root, cache="always")
    before = files_in(user_cache)
    skipping = of(root, cache="always", on_error="skip")
    assert files_in(user_cache) == before
    assert len(skipping) == 19 and same(skipping.tensors(), of(root, cache="never", on_error="skip").tensors())
    assert "left out 1 unreadable: class 0/004.png" in skipping.describe()


def test_a_file_that_could_not_be_opened_for_a_while_comes_back(tmp_path, monkeypatch):
    root, name = fill(tmp_path / "set"), "class 0/004.png"
    read = folder.open_source(root).read

    def refused(self, each, most):
        if each == name:
            raise folder.Unreadable("permission denied")
        return read(each, most)

    with monkeypatch.context() as patch:
        patch.setattr("gan_lab.datasets.source.Directory.read", refused)
        assert len(of(root, cache="always", on_error="skip")) == 19
    assert len(of(root, cache="always", on_error="skip")) == 20


def test_a_folder_of_nothing_readable_is_refused_with_a_pack_too(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"nothing")
    for _ in range(2):
        with pytest.raises(DataError, match="1 of 1 pictures"):
            of(tmp_path / "set", cache="always", on_error="skip")


@pytest.mark.parametrize("cache", ["auto", "always"])
def test_streaming_names_what_cannot_be_read_before_the_first_batch(tmp_path, cache):
    root = fill(tmp_path / "set", count=200)
    cut(root / "class 1" / "199.png")
    with pytest.raises(DataError, match=r"class 1/199\.png"):
        Loader(of(root, cache=cache), 2, resident=False).batch(0)


# ---- every kind of picture, through the command ---------------------------------------------------------------------


def mixed(root, count):
    """Pictures of many modes, sizes and formats; each kind comes up once in sixteen."""
    root.mkdir()
    random = np.random.default_rng(0)
    for i in range(count):
        height, width = (int(side) for side in random.integers(1, 100, 2))
        image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 1 + i // 16 % 8
        path = root / f"{i:04}"
        match i % 16:
            case 0 | 1 | 2 | 3 | 4 | 5:
                image.convert(("L", "RGB", "RGBA", "P", "1", "LA")[i % 16]).save(f"{path}.png")
            case 6:
                image.convert("CMYK").save(f"{path}.jpg")
            case 7:
                levels = random.integers(0, 65536, (height, width), dtype=np.uint16)
                Image.fromarray(levels).save(f"{path}.png")
            case 8:
                image.resize((3000, 1)).save(f"{path}.webp")
            case 9:
                image.resize((1, 3000)).save(f"{path}.jpg")
            case 10:
                image.save(f"{path}.jpg", exif=exif)
            case 11:
                image.quantize(16).save(f"{path}.png", transparency=3)
            case 12:
                image.save(f"{path}.bmp")
            case 13:
                image.save(f"{path}.webp", save_all=True, append_images=[image.rotate(90)], lossless=True)
            case 14:
                image.convert("L").save(f"{path}.JPEG")
            case 15:
                faded = image.convert("RGBA")
                faded.putalpha(int(random.integers(0, 256)))
                faded.save(f"{path}.webp")
    return root


WORDS = [
    "train",
    "model=dcgan",
    "dataset=folder",
    "dataset.image_size=16",
    "model.generator.width=8",
    "model.discriminator.width=8",
    "trainer.steps=5",
    "trainer.batch_size=8",
    "trainer.samples=4",
    "trainer.threads=1",
    "trainer.device=cpu",
]
WAYS = [
    [],
    ["trainer.placement=streamed"],
    ["dataset.cache=always"],
    ["dataset.cache=always", "trainer.placement=streamed"],
]


def trained(root, tmp_path, capsys, *words):
    """The exit code, what was said on stderr, and the files of the run."""
    code = cli.main([*WORDS, f"dataset.path={root}", f"run.root={tmp_path}/runs", *words])
    files = [path.name for path in (tmp_path / "runs").rglob("*") if path.is_file() and path.parent.name != ".hydra"]
    return code, capsys.readouterr().err, files


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of mixed pictures, and one that holds a truncated JPEG and a GIF besides."""
    good = mixed(tmp_path_factory.mktemp("mixed") / "good", count=96)
    bad = mixed(good.parent / "bad", count=96)
    jpeg = bad / "0058.jpg"  # with EXIF
    jpeg.write_bytes(jpeg.read_bytes()[: jpeg.stat().st_size * 2 // 3])
    Image.new("L", (8, 8)).save(bad / "moving.gif")
    return good, bad


def test_every_kind_of_picture_is_decoded_to_the_wanted_size(pictures):
    dataset = of(pictures[0])
    assert len(dataset) == 96 and dataset.tensors()["image"].shape == (96, 8, 8, 3)
    assert of(pictures[0], channels=1).tensors()["image"].shape == (96, 8, 8, 1)


@pytest.mark.parametrize("side", [(1, 500), (500, 1), (1, 1)])
def test_a_slim_picture_keeps_its_colour(tmp_path, side):
    Image.new("RGB", side, (10, 20, 30)).save(tmp_path / "slim.png")
    assert (of(tmp_path).tensors()["image"] == torch.tensor([10, 20, 30])).all()


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_mixed_pictures_train(pictures, tmp_path, capsys, way):
    code, said, files = trained(pictures[0], tmp_path, capsys, *way)
    assert code == 0, said
    assert "step-00000005.pt" in files


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_truncated_jpeg_is_named_before_the_first_step(pictures, tmp_path, capsys, way):
    code, said, files = trained(pictures[1], tmp_path, capsys, *way)
    assert code == 3
    assert "1 of 96 pictures" in said and "0058.jpg" in said and "dataset.on_error=skip" in said
    assert "Traceback" not in said
    assert set(files) <= {".lock", ".gan-lab"}


@pytest.mark.parametrize("way", WAYS[-1:], ids=" ".join)
def test_a_truncated_jpeg_can_be_left_out(pictures, tmp_path, capsys, way):
    code, said, files = trained(pictures[1], tmp_path, capsys, "dataset.on_error=skip", *way)
    assert code == 0, said
    assert "step-00000005.pt" in files


def test_a_full_disk_ends_the_command_with_its_code(pictures, tmp_path, capsys, monkeypatch):
    usage = packed.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda path: usage._replace(free=0))
    code, said, _ = trained(pictures[0], tmp_path, capsys, "dataset.cache=always")
    assert code == 6 and "packed pictures take 0.1 MiB" in said


@pytest.mark.slow
def test_two_thousand_mixed_pictures_train(tmp_path, capsys):
    code, said, files = trained(mixed(tmp_path / "many", count=2000), tmp_path, capsys, "dataset.cache=always")
    assert code == 0, said
    assert "step-00000005.pt" in files


def test_files_that_cannot_be_read_are_among_those_that_were_looked_at(tmp_path):
    fill(tmp_path, count=4)
    (tmp_path / "class 0" / "broken.png").write_bytes(b"none")
    assert "; 5 files looked at: 9 x 12 (4); RGB (4); 1 cannot be read" in of(tmp_path).describe()
