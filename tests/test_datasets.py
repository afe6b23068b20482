"""Datasets: small files of the true formats, broken ones, and what is exactly known of points."""

import gzip
import inspect
import io
import math
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from gan_lab.config.build import build_dataset, resolve
from gan_lab.datasets import CIFAR, MNIST, Digits, Folder, Gaussian1D, GaussianMixture, download
from gan_lab.datasets.base import Stored
from gan_lab.datasets.points import sliced_wasserstein
from gan_lab.errors import DataError
from gan_lab.runs.references import labelled

torch.set_num_threads(1)
RANDOM = np.random.default_rng(0)


def noise(height, width, channels=3):
    return RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(height, width):
    """A picture without noise, so that JPEG and resizing keep it."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((255 * x // width, 255 * y // height, np.full_like(x, 90)), axis=2).astype(np.uint8)


def every_row(dataset):
    return dataset.rows(torch.arange(len(dataset)))


# ---- what every dataset does ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def idx_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("idx")
    write_idx(root, "train", noise(30, 28, 28), np.arange(30) % 10)
    return root


def some_datasets(root):
    return [
        Digits(),
        MNIST(root=str(root)),
        GaussianMixture("ring", modes=8, distance=2.0, sigma=0.02, size=100),
        Gaussian1D(size=100),
    ]


def test_facts_sizes_and_memory_agree_with_the_tensors(idx_root):
    for dataset in some_datasets(idx_root):
        whole = dataset.tensors()
        assert tuple(whole) == dataset.gives
        assert dataset.nbytes == sum(tensor.nbytes for tensor in whole.values())
        assert all(len(tensor) == len(dataset) and tensor.is_contiguous() for tensor in whole.values())
        assert whole["image"].shape[-1] == dataset.channels
        assert dataset.num_classes == len(dataset.classes)
        if dataset.image_size is not None:
            assert whole["image"].shape[1:3] == dataset.image_size
            assert whole["image"].dtype == torch.uint8 and whole["label"].dtype == torch.int64
        assert f"{len(dataset):,}" in dataset.describe()


def test_rows_are_rows_of_the_whole(idx_root):
    indices = torch.tensor([7, 3, 3])
    for dataset in some_datasets(idx_root):
        for name, rows in dataset.rows(indices).items():
            assert torch.equal(rows, dataset.tensors()[name][indices])


def stored(flip=False):
    return Stored(torch.from_numpy(noise(6, 8 * 8, 3).reshape(6, 8, 8, 3)), 8, torch.arange(6), list("abcdef"), flip)


def test_prepared_images_reach_exactly_minus_one_and_one_and_are_channels_last():
    pixels = torch.arange(256, dtype=torch.uint8).view(2, 8, 8, 2)
    prepared = Digits().prepare({"image": pixels, "label": torch.tensor([1, 2])}, torch.zeros(2, dtype=torch.int64))
    image = prepared["image"]
    assert image.shape == (2, 2, 8, 8) and image.dtype == torch.float32
    assert image.min() == -1 and image.max() == 1
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(prepared["label"], torch.tensor([1, 2]))
    assert torch.equal((image.permute(0, 2, 3, 1) + 1).mul(127.5).round().byte(), pixels)


def test_the_lowest_bit_flips_an_image():
    dataset, straight = stored(flip=True), stored(flip=True).prepare
    rows = every_row(dataset)
    bits = torch.tensor([0, 1, 2, 3, -1, -2])
    flipped = dataset.prepare(rows, bits)["image"]
    plain = straight(rows, torch.zeros(6, dtype=torch.int64))["image"]
    assert flipped.is_contiguous(memory_format=torch.channels_last)
    for i, bit in enumerate(bits.tolist()):
        assert torch.equal(flipped[i], plain[i].flip(2) if bit & 1 else plain[i])


def test_no_bit_flips_where_no_flip_is_asked_for():
    dataset = stored(flip=False)
    one, zero = (dataset.prepare(every_row(dataset), torch.full((6,), bit))["image"] for bit in (1, 0))
    assert torch.equal(one, zero)


def test_images_are_drawn_as_grids():
    drawn = Digits().draw({"fixed": torch.zeros(4, 1, 16, 16), "real": torch.zeros(9, 1, 16, 16)})
    assert set(drawn) == {"fixed", "real"}
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in drawn.values())


def test_only_exact_truths_are_judged():
    assert Digits().exact(torch.zeros(4, 1, 16, 16)) == {}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Digits(channels=3), "channels=3"),
        (lambda: Digits(image_size=0), "image_size=0"),
        (lambda: Digits(split="half"), "split=half must be one of all, train, test"),
        (lambda: CIFAR(num_classes=20), "num_classes=20"),
        (lambda: Folder("x", channels=4), "channels=4"),
        (lambda: Folder("x", background=[1, 2]), "background=[1, 2]"),
        (lambda: Folder("x", image_size=[1, 2, 3]), "image_size=[1, 2, 3]"),
        (lambda: Folder("x", on_error="ask"), "on_error=ask"),
        (lambda: GaussianMixture("grid", modes=24, distance=1.0, sigma=0.1), "modes=24 must be a square number"),
        (lambda: GaussianMixture("ring", modes=8, distance=1.0, sigma=-0.1), "sigma=-0.1"),
        (lambda: Gaussian1D(std=float("nan")), "std=nan"),
        (lambda: Gaussian1D(num_classes=3), "num_classes=3"),
    ],
)
def test_a_value_that_cannot_be_is_named(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


# ---- conf/dataset ---------------------------------------------------------------------------------------------------

CONFIGS = sorted((Path(__file__).parents[1] / "conf" / "dataset").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_opens_with_what_it_is_and_states_every_argument_and_fact(path):
    config = yaml.safe_load(path.read_text())
    signature = inspect.signature(resolve(config.pop("_target_")))
    if "defaults" in config:  # of what it is made of
        config |= {next(iter(entry)).partition("@")[2]: {} for entry in config.pop("defaults") if entry != "_self_"}
    assert path.read_text().startswith("# ")
    assert set(config) == set(signature.parameters)
    assert {"channels", "image_size", "num_classes"} <= set(config)
    assert config.get("max_pixels", 50_000_000) == 50_000_000  # a number, also with underscores


@pytest.mark.parametrize("name", ["digits", "ring8", "grid25", "gaussian1d", "stacked_digits", "shapes"])
def test_what_needs_no_download_is_built_with_the_facts_of_its_config(name):
    config = yaml.safe_load(next(path for path in CONFIGS if path.stem == name).read_text())
    dataset = resolve(config.pop("_target_"))(**config)
    side = config["image_size"]
    assert dataset.image_size == (side and (side, side))
    assert (dataset.channels, dataset.num_classes) == (config["channels"], config["num_classes"])


def test_importing_the_datasets_is_light():
    code = "import sys, gan_lab.datasets; print({'torchvision', 'sklearn', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


# ---- digits ---------------------------------------------------------------------------------------------------------


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    data, labels = load_digits(return_X_y=True)
    dataset = Digits(image_size=8)
    assert torch.equal(dataset.labels, torch.from_numpy(labels))
    small = dataset.tensors()["image"].reshape(-1, 64).numpy()
    assert np.abs(small - data * 255 / 16).max() <= 0.5


def test_digits_split_every_fifth():
    whole, train, test = (Digits(split=split).tensors()["image"] for split in ("all", "train", "test"))
    assert len(train) + len(test) == len(whole) == 1797
    assert torch.equal(test, whole[4::5])


# ---- MNIST ----------------------------------------------------------------------------------------------------------


def idx(array):
    return (
        bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def write_idx(root, prefix, images, labels, packed=False, name="MNIST"):
    folder = Path(root) / name / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        path = folder / f"{prefix}-{kind}-ubyte"
        data = idx(np.asarray(array))
        if packed:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(data))
        else:
            path.write_bytes(data)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_plain_and_gzipped(tmp_path, packed):
    images, labels = noise(12, 28, 28), np.arange(12) % 10
    write_idx(tmp_path, "t10k", images, labels, packed)
    whole = MNIST(root=str(tmp_path), split="test", download=False).tensors()
    assert np.array_equal(whole["image"][..., 0], images)
    assert np.array_equal(whole["label"], labels)


def test_another_size_is_resized(tmp_path):
    write_idx(tmp_path, "train", np.full((3, 28, 28), 77), [0, 1, 2], name="FashionMNIST")
    dataset = MNIST(name="FashionMNIST", root=str(tmp_path), image_size=32)
    assert dataset.tensors()["image"].shape == (3, 32, 32, 1)
    assert (dataset.tensors()["image"] == 77).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>", "begins with 3c 68 74 6d"),
        (b"\0\0\x0d\3" + bytes(100), "no IDX file of bytes"),  # floats
        (idx(np.zeros((2, 28, 28)))[:-1], "but has 1583 bytes"),
        (idx(np.zeros((2, 28, 28))) + b"x", "but has 1585 bytes"),
        (idx(np.zeros((3, 28, 28))), "3 images, but"),
    ],
)
def test_a_wrong_idx_file_is_named(tmp_path, data, words):
    write_idx(tmp_path, "train", np.zeros((2, 28, 28)), [0, 1])
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(DataError, match=words) as error:
        MNIST(root=str(tmp_path))
    assert str(path) in str(error.value)


def test_a_cut_gzip_is_named(tmp_path):
    write_idx(tmp_path, "train", noise(5, 28, 28), range(5), packed=True)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz cannot be read"):
        MNIST(root=str(tmp_path))


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    write_idx(tmp_path, "train", np.zeros((2, 28, 28)), [0, 10])
    with pytest.raises(DataError, match="labels from 0 to 9"):
        MNIST(root=str(tmp_path))


# ---- downloads ------------------------------------------------------------------------------------------------------


class Answer(io.BytesIO):
    headers = {}


@pytest.mark.parametrize("dataset", [MNIST, CIFAR])
def test_without_network_a_sentence_tells_where_the_files_belong(tmp_path, monkeypatch, dataset):
    def offline(address, timeout):
        raise URLError("no route to host")

    monkeypatch.setattr(download, "urlopen", offline)
    with pytest.raises(DataError) as error:
        dataset(root=str(tmp_path / "new"))
    message = str(error.value)
    for words in ("no route to host", "http", str(tmp_path / "new"), ".gz", "dataset.root"):
        assert words in message
    assert not any(tmp_path.iterdir())


def test_with_download_false_nothing_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "urlopen", None)
    for dataset in (MNIST, CIFAR):
        with pytest.raises(DataError, match="dataset.download is false"):
            dataset(root=str(tmp_path), download=False)


def test_a_download_with_another_checksum_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "urlopen", lambda address, timeout: Answer(b"a proxy's page"))
    with pytest.raises(DataError, match=r"has md5 \w+, expected 00.*\nremedy"):
        download.download_file(tmp_path / "a" / "b" / "file.gz", ["http://one"], "00", "remedy")
    assert not any(tmp_path.iterdir())


def test_the_second_address_is_asked_when_the_first_fails(tmp_path, monkeypatch):
    def answer(address, timeout):
        if address == "http://one":
            raise URLError("down")
        return Answer(b"data")

    monkeypatch.setattr(download, "urlopen", answer)
    target = tmp_path / "a" / "file.gz"
    download.download_file(target, ["http://one", "http://two"], "8d777f385d3dfec8815d20f7496026dc", "remedy")
    assert target.read_bytes() == b"data"
    assert [path.name for path in target.parent.iterdir()] == ["file.gz"]


# ---- CIFAR ----------------------------------------------------------------------------------------------------------


def cifar_files(num_classes=10, per_file=4, dump=lambda content: pickle.dumps(content, protocol=2)):
    """Contents of the files of a small set, by name; and the planes [N, 3, 32, 32] of its training part."""
    train = [f"data_batch_{i}" for i in range(1, 6)] if num_classes == 10 else ["train"]
    test = "test_batch" if num_classes == 10 else "test"
    meta, names = ("batches.meta", b"label_names") if num_classes == 10 else ("meta", b"fine_label_names")
    key = b"labels" if num_classes == 10 else b"fine_labels"
    planes = {name: noise(per_file, 3072, 1)[..., 0] for name in [*train, test]}
    files = {name: dump({b"data": array, key: list(range(per_file))}) for name, array in planes.items()}
    files[meta] = pickle.dumps({names: [b"class %d" % i for i in range(num_classes)]}, protocol=2)
    return files, np.concatenate([planes[name] for name in train]).reshape(-1, 3, 32, 32)


def write_cifar(root, files, num_classes=10, packed=False):
    folder = "cifar-10-batches-py" if num_classes == 10 else "cifar-100-python"
    if packed:
        with tarfile.open(root / f"cifar-{num_classes}-python.tar.gz", "w:gz") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        (root / folder).mkdir()
        for name, data in files.items():
            (root / folder / name).write_bytes(data)


def python_2(content):
    """What Python 2 and its numpy wrote: texts instead of bytes, and the array's maker under its old name."""
    array, labels = content[b"data"], content[b"labels"]
    text = lambda data: b"U" + bytes((len(data),)) + data
    shape = b"K" + bytes((array.shape[0],)) + b"M\x00\x0c\x86"
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff"
    raw = b"T" + struct.pack("<I", array.nbytes) + array.tobytes()
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    data = made + b"(K\x01" + shape + dtype + b"K\x00tb" + b"\x89" + raw + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes((label,)) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + data + text(b"labels") + numbers + b"u."


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("num_classes", [10, 100])
def test_cifar_is_read_from_its_folder_and_from_its_archive(tmp_path, num_classes, packed):
    files, planes = cifar_files(num_classes)
    write_cifar(tmp_path, files, num_classes, packed)
    before = sorted(tmp_path.rglob("*"))
    dataset = CIFAR(root=str(tmp_path), num_classes=num_classes, download=False)
    assert np.array_equal(dataset.tensors()["image"].permute(0, 3, 1, 2), planes)
    assert dataset.tensors()["label"].tolist() == list(range(4)) * (len(planes) // 4)
    assert dataset.num_classes == num_classes and dataset.classes[1] == "class 1"
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked


def test_cifar_is_read_as_python_2_wrote_it(tmp_path):
    files, planes = cifar_files(dump=python_2)
    write_cifar(tmp_path, files)
    assert np.array_equal(CIFAR(root=str(tmp_path)).tensors()["image"].permute(0, 3, 1, 2), planes)


class Malice:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("packed", [False, True])
def test_a_malicious_pickle_runs_nothing(tmp_path, packed):
    files, _ = cifar_files()
    files["data_batch_3"] = pickle.dumps({b"data": Malice(tmp_path / "owned"), b"labels": []}, protocol=2)
    write_cifar(tmp_path, files, packed=packed)
    with pytest.raises(DataError, match=r"data_batch_3 is no CIFAR file: it asks for \w+.mkdir"):
        CIFAR(root=str(tmp_path))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": 3, b"labels": [1]}),
        pickle.dumps({b"data": np.zeros((4, 3071), np.uint8), b"labels": [0] * 4}, protocol=2),
        pickle.dumps({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0] * 3}, protocol=2),
        pickle.dumps({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 10]}, protocol=2),
    ],
)
def test_a_wrong_cifar_file_is_no_traceback(tmp_path, content):
    files, _ = cifar_files()
    write_cifar(tmp_path, files | {"data_batch_2": content})
    with pytest.raises(DataError, match="cifar-10-batches-py"):
        CIFAR(root=str(tmp_path))


def test_a_missing_batch_is_named(tmp_path):
    files, _ = cifar_files()
    files.pop("data_batch_4")
    write_cifar(tmp_path, files)
    with pytest.raises(DataError, match="lacks data_batch_4"):
        CIFAR(root=str(tmp_path))


def test_a_cut_archive_is_named(tmp_path):
    write_cifar(tmp_path, cifar_files()[0], packed=True)
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-5000])
    with pytest.raises(DataError, match="cifar-10-python.tar.gz cannot be read"):
        CIFAR(root=str(tmp_path))


# ---- folders: what is found -----------------------------------------------------------------------------------------


def fill(root, *names):
    """One small picture for each name; its brightness follows from the name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shade = zlib.crc32(name.encode()) % 256
        Image.new("RGB", (8, 8), (shade, shade, shade)).save(root / name, format="PNG")
    return root


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    return path


LAYOUTS = {
    "flat": (["a.png", "b.png"], None, []),
    "classes": (["cat/1.png", "dog/2.png", "dog/deep/3.png"], None, ["cat", "dog"]),
    "splits": (["train/cat/1.png", "train/dog/2.png", "test/cat/3.png"], None, ["cat", "dog"]),
    "flat splits": (["train/1.png", "test/2.png"], None, []),
    "train alone": (["train/cat/1.png", "train/dog/2.png"], "train", ["cat", "dog"]),
    "one top folder": (["my/cat/1.png", "my/dog/2.png"], None, ["cat", "dog"]),
    "top folder with splits": (["my/train/cat/1.png", "my/train/dog/2.png", "my/val/cat/3.png"], None, ["cat", "dog"]),
    "chosen split": (["train/cat/1.png", "test/cat/3.png", "test/dog/4.png"], "test", ["cat", "dog"]),
    "a class called train": (["train/1.png", "car/2.png"], None, ["car", "train"]),
    "one class": (["all/1.png", "all/2.png"], None, []),
    "top and folder": (["1.png", "cat/2.png", "dog/3.png"], None, []),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_their_zip_give_the_same(tmp_path, layout):
    names, split, classes = LAYOUTS[layout]
    folder = fill(tmp_path / "images", *names)
    fill(folder, ".hidden/9.png", "__MACOSX/9.png", ".DS_Store", "cat/._1.png")
    plain = Folder(str(folder), split=split, image_size=8)
    packed = Folder(str(zipped(folder, tmp_path / "images.zip")), split=split, image_size=8)
    assert plain.classes == packed.classes == classes
    assert plain.num_classes == len(classes)
    assert plain.names == packed.names
    assert tuple(plain.tensors()) == plain.gives
    for name, tensor in plain.tensors().items():
        assert torch.equal(tensor, packed.tensors()[name])
        assert torch.equal(tensor, every_row(packed)[name])


def test_labels_follow_the_folders(tmp_path):
    folder = fill(tmp_path, "b/1.png", "a/2.png", "b/x/3.png")
    dataset = Folder(str(folder))
    assert list(zip(dataset.names, dataset.labels.tolist(), strict=True)) == [
        ("a/2.png", 0),
        ("b/1.png", 1),
        ("b/x/3.png", 1),
    ]
    assert "a: 1, b: 2" in dataset.describe()


def test_extensions_count_in_any_case(tmp_path):
    assert len(Folder(str(fill(tmp_path, "a.PNG", "b.JPG", "c.Jpeg")))) == 3


def test_classes_can_be_asserted_and_ignored(tmp_path):
    folder = str(fill(tmp_path, "a/1.png", "b/2.png"))
    assert Folder(folder, num_classes=2).num_classes == 2
    assert Folder(folder, num_classes=0).gives == ("image",)
    with pytest.raises(DataError, match=r"num_classes=10, but .* has 2 class folders: a, b"):
        Folder(folder, num_classes=10)


def test_a_missing_split_is_named_with_what_is_there(tmp_path):
    folder = str(fill(tmp_path, "test/a/1.png", "val/b/2.png"))
    with pytest.raises(DataError, match="no folder train: it has only test, val"):
        Folder(folder)


def test_what_is_not_there_is_told_with_what_is(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        Folder(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"looked for \.jpg, .*found no files"):
        Folder(str(tmp_path))
    fill(tmp_path, "a.gif", "b.gif", "c.txt", ".DS_Store")
    with pytest.raises(DataError, match=r"found \.gif \(2\), \.txt \(1\)"):
        Folder(str(tmp_path))
    with pytest.raises(DataError, match="neither a folder nor a zip"):
        Folder(str(tmp_path / "c.txt"))


def test_a_link_back_to_its_parent_counts_nothing_twice(tmp_path):
    fill(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert len(Folder(str(tmp_path))) == 2


def test_a_zip_with_paths_that_lead_outside_writes_nothing(tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "evil.zip", "w") as archive:
        archive.writestr("../out.png", picture.getvalue())
        archive.writestr("/abs.png", picture.getvalue())
    with pytest.raises(DataError, match="leads out of it"):
        Folder(str(tmp_path / "in" / "evil.zip"))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# ---- folders: how a file becomes a picture --------------------------------------------------------------------------


def only(path, **options):
    """The one picture of a folder, [H, W, C]."""
    return Folder(str(path), **options).tensors()["image"][0].numpy().astype(int)


def saved(folder, image, name="a.png", **options):
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **options)
    return folder


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_the_wanted_channels(tmp_path, mode, channels):
    image = Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode)
    name = "a.jpg" if mode == "CMYK" else "a.png"
    picture = only(saved(tmp_path, image, name), image_size=8, channels=channels)
    assert picture.shape == (8, 8, channels)
    assert (picture >= 254).all()


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    picture = only(saved(tmp_path, Image.fromarray(ramp)), image_size=64)
    assert np.abs(picture[..., 0] - ramp / 257).max() <= 0.51


@pytest.mark.parametrize(("background", "expected"), [(255, (255, 255, 255)), (0, (0, 0, 0)), ([9, 8, 7], (9, 8, 7))])
def test_what_is_transparent_lies_on_the_background(tmp_path, background, expected):
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([10, 20, 30] * 256)
    saved(tmp_path, Image.new("RGBA", (8, 8), (200, 0, 0, 0)), "a.png")
    saved(tmp_path, Image.new("LA", (8, 8), (200, 0)), "b.png")
    saved(tmp_path, palette, "c.png", transparency=1)
    saved(tmp_path, Image.new("RGB", (8, 8), (1, 2, 3)), "d.png", transparency=(1, 2, 3))
    whole = Folder(str(tmp_path), image_size=8, background=background).tensors()["image"]
    assert (whole.numpy() == np.array(expected)).all()


def test_the_orientation_of_the_camera_is_applied(tmp_path):
    upright = Image.fromarray(smooth(40, 80))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    picture = only(saved(tmp_path, turned, "a.jpg", exif=exif, quality=95), image_size=[40, 80])
    assert np.abs(picture - smooth(40, 80)).mean() < 3


def test_the_shorter_side_fits_and_the_rest_is_cut_evenly(tmp_path):
    bars = np.zeros((20, 60, 3), np.uint8)
    bars[:, 20:40] = 200
    assert (only(saved(tmp_path, Image.fromarray(bars)), image_size=20) == 200).all()


def test_a_large_jpeg_is_reduced_to_what_it_shows(tmp_path):
    picture = only(saved(tmp_path, Image.fromarray(smooth(512, 512)), "a.jpg", quality=95), image_size=32)
    assert np.abs(picture - smooth(32, 32)).mean() < 4


# ---- folders: files that cannot be read -----------------------------------------------------------------------------


def forged_png(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def broken_files():
    jpeg, gif = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise(96, 96)).save(jpeg, "JPEG")
    Image.new("L", (8, 8)).save(gif, "GIF")  # whole, but not among the formats
    cuts = {f"cut {share}.jpg": jpeg.getvalue()[: len(jpeg.getvalue()) * share // 100] for share in (0, 2, 30, 50, 99)}
    return cuts | {
        "404.png": b"<html>not found</html>",
        "gif.png": gif.getvalue(),
        "huge.png": forged_png(10_000, 6_000),
        "bomb.png": forged_png(100_000, 100_000),
    }


@pytest.mark.parametrize("name", broken_files())
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_cannot_be_read_is_named_or_skipped(tmp_path, name, packed):
    folder = fill(tmp_path / "images", "good.png", "zebra.png")
    (folder / name).write_bytes(broken_files()[name])
    path = str(zipped(folder, tmp_path / "images.zip") if packed else folder)

    stopping = Folder(path)
    assert len(stopping) == 3
    for read in (stopping.tensors, lambda: every_row(stopping)):
        with pytest.raises(DataError, match=r"1 of 3 pictures .*dataset\.on_error=skip") as error:
            raise_flat(read)
        assert name in str(error.value) and "zebra" not in str(error.value)

    skipping = Folder(path, on_error="skip")
    assert len(skipping) == len(skipping.tensors()["image"]) == 2
    assert f"left out 1 unreadable: {name}" in skipping.describe()


def raise_flat(read):
    """Run, with line ends of the error taken out, so that one pattern can span its lines."""
    try:
        read()
    except DataError as error:
        raise DataError(str(error).replace("\n", " ")) from error


def test_a_picture_above_max_pixels_is_refused(tmp_path):
    path = str(saved(tmp_path, Image.new("RGB", (40, 50))))
    Folder(path, max_pixels=2000).tensors()
    with pytest.raises(DataError, match="40 x 50 pixels are more than max_pixels=1999"):
        Folder(path, max_pixels=1999).tensors()


def test_ten_broken_files_are_named_and_the_others_counted(tmp_path):
    for i in range(100):
        (tmp_path / f"{i:03}.png").write_bytes(b"nothing")
    fill(tmp_path, "good.png")
    with pytest.raises(DataError, match=r"100 of 101 .*000\.png.*009\.png.*and 90 more") as error:
        Folder(str(tmp_path)).tensors()
    assert "010.png" not in str(error.value)


def test_skipping_everything_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="1 of 1 pictures"):
        Folder(str(tmp_path), on_error="skip")


def test_an_archive_member_is_not_inflated_without_end(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(3_000_000))  # a few kilobytes in the archive
    with pytest.raises(DataError, match="too many for max_pixels"):
        Folder(str(tmp_path / "a.zip"), max_pixels=1000).tensors()


def test_threads_may_read_one_zip_at_once_and_find_what_the_whole_has(tmp_path):
    folder = fill(tmp_path / "images", *(f"{i}.png" for i in range(150)))
    dataset = Folder(str(zipped(folder, tmp_path / "a.zip")), image_size=8)
    whole = dataset.tensors()["image"]
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: dataset.rows(torch.tensor([i, 149 - i]))["image"], range(150)))
    assert all(torch.equal(part, whole[[i, 149 - i]]) for i, part in enumerate(parts))


# ---- points ---------------------------------------------------------------------------------------------------------


def ring(**changes):
    return GaussianMixture(**{"layout": "ring", "modes": 8, "distance": 2.0, "sigma": 0.02, "size": 10_000} | changes)


def test_a_share_is_always_the_same_pictures_with_their_labels():
    pixels, labels = torch.arange(200).byte().view(200, 1, 1, 1), torch.arange(200) % 10
    classes = [str(i) for i in range(10)]
    few, again = (Stored(pixels, 1, labels, classes, share=0.1) for _ in range(2))
    kept = few.tensors()["image"].flatten().long()
    assert len(few) == 20 and torch.equal(kept, again.tensors()["image"].flatten().long())
    assert torch.equal(few.labels, kept % 10) and len(set(kept.tolist())) == 20
    with pytest.raises(ValueError, match="share=0 must lie above 0"):
        Stored(pixels, 1, labels, classes, share=0)


def test_a_judge_of_a_run_on_a_share_learns_from_all_pictures(idx_root):
    config = {
        "dataset": yaml.safe_load(next(path for path in CONFIGS if path.stem == "mnist").read_text()),
        "trust": [],
    }
    config["dataset"] |= {"root": str(idx_root), "share": 0.1}
    dataset = build_dataset(config)
    assert len(dataset) == 3 and len(labelled(config, dataset).images) == 24  # four fifths: no test files


def test_points_are_played_as_they_are():
    dataset = ring()
    played = dataset.prepare(every_row(dataset), torch.ones(10_000, dtype=torch.int64))["image"]
    assert torch.equal(played, dataset.tensors()["image"])
    assert played.dtype == torch.float32 and dataset.image_size is None


def test_points_follow_from_their_seed():
    assert torch.equal(ring(seed=3).points, ring(seed=3).points)
    assert not torch.equal(ring(seed=3).points, ring(seed=4).points)


@pytest.mark.parametrize("mixture", [ring(), GaussianMixture("grid", modes=25, distance=2.0, sigma=0.05, size=10_000)])
def test_real_points_find_every_mode(mixture):
    exact = mixture.exact(mixture.points)
    assert exact["modes"] == len(mixture.centres)
    assert exact["good_share"] == pytest.approx(1 - np.exp(-4.5), abs=0.005)  # within 3 sigma, in the plane
    assert exact["reverse_kl"] == pytest.approx(0, abs=0.005) and exact["distance"] == 0


def test_a_mode_counts_from_a_tenth_of_its_fair_share():
    mixture = ring()
    for share, modes in ((125, 2), (124, 1)):  # of 10,000: fair is 1,250
        samples = mixture.centres[0].repeat(10_000, 1)
        samples[:share] = mixture.centres[5]
        exact = mixture.exact(samples)
        assert (exact["modes"], exact["good_share"], exact["quality"]) == (modes, 1.0, modes / 8)


def test_one_mode_of_eight_is_a_kl_of_log_eight():
    mixture = ring()
    assert mixture.exact(mixture.centres[:1].repeat(100, 1))["reverse_kl"] == pytest.approx(math.log(8))
    assert mixture.exact(mixture.centres[:2].repeat(50, 1))["reverse_kl"] == pytest.approx(math.log(4))


def test_a_shift_is_as_far_as_its_mean_projection():
    points = ring(size=1000).points
    shifted = points + torch.tensor([3.0, -4.0])
    assert sliced_wasserstein(shifted, points, directions=256) == pytest.approx(5 * 2 / math.pi, rel=1e-3)


def test_samples_beyond_three_sigma_are_not_good():
    mixture = ring()
    samples = mixture.centres.repeat(100, 1) * (1 + 3.1 * 0.02 / 2)
    exact = mixture.exact(samples)
    assert (exact["modes"], exact["good_share"], exact["quality"]) == (0, 0, 0)


def test_the_grid_has_its_step_and_lies_around_the_origin():
    centres = GaussianMixture("grid", modes=25, distance=2.0, sigma=0.05, size=1).centres
    assert centres.mean(dim=0).tolist() == [0, 0]
    assert sorted(set(centres[:, 0].tolist())) == [-4, -2, 0, 2, 4]


def test_the_line_knows_its_moments():
    exact = Gaussian1D(mean=4.0, std=1.25).exact(torch.tensor([[1.0], [3.0]]))
    assert exact == {"mean": 2.0, "std": pytest.approx(2**0.5)}
    points = Gaussian1D(mean=4.0, std=1.25).points
    assert float(points.mean()) == pytest.approx(4, abs=0.02) and float(points.std()) == pytest.approx(1.25, abs=0.02)


@pytest.mark.parametrize("dataset", [ring(), Gaussian1D()])
def test_points_are_drawn_against_the_truth_and_shaded_by_a_critic(dataset):
    views = {"fresh": dataset.points[:50], "real": dataset.points[:50]}
    plain = dataset.draw(views)
    judged = dataset.draw(views, lambda points: points.sum(dim=1, keepdim=True))
    assert set(plain) == set(judged) == {"fresh"}
    assert plain["fresh"].dtype == np.uint8 and plain["fresh"].shape[2] == 3
    assert (plain["fresh"] != judged["fresh"]).any()


@pytest.mark.parametrize("dataset", [ring(), Gaussian1D()])
def test_a_diverged_generator_can_still_be_drawn(dataset):
    nothing = torch.full((50, dataset.channels), torch.nan)
    assert set(dataset.draw({"fixed": nothing}, lambda points: points.sum(dim=1) * torch.nan)) == {"fixed"}
