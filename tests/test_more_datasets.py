"""Further datasets: small files of the true formats, and what is known of pictures that are stacked or drawn."""

import gzip
import io
import math
import re
import struct
import sys
import tarfile
import zipfile
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from gan_lab.config.signatures import OURS, find, signature
from gan_lab.datasets import MNIST, download, lazy
from gan_lab.datasets.celeba import CelebA
from gan_lab.datasets.lsun import LSUN
from gan_lab.datasets.mnist import EMNIST, SECTIONS
from gan_lab.datasets.shapes import CHOICES, COLOURS, NAMES, Shapes
from gan_lab.datasets.stacked import StackedDigits, StackedMNIST
from gan_lab.datasets.stl10 import STL10
from gan_lab.datasets.svhn import SVHN
from gan_lab.errors import DataError
from gan_lab.training.loader import Loader

RANDOM = np.random.default_rng(0)


def noise(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


# ---- files of the true formats --------------------------------------------------------------------------------------


def idx(array):
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(root, images, labels, name="MNIST"):
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.asarray(labels))))
    return str(root)


def write_emnist(root, section, images, labels, way="plain"):
    """As NIST has them: each image with its columns as rows."""
    folder = root / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    files = {"images-idx3": idx(images.transpose(0, 2, 1)), "labels-idx1": idx(np.asarray(labels))}
    files = {f"emnist-{section}-train-{kind}-ubyte": data for kind, data in files.items()}
    if way == "zip":
        with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(f"gzip/{name}.gz", gzip.compress(data))
    for name, data in files.items():
        if way == "plain":
            (folder / name).write_bytes(data)
        elif way == "gz":
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
    return str(root)


def write_svhn(root, images, labels, split="train"):
    content = {"X": images.transpose(1, 2, 3, 0), "y": np.asarray(labels, np.uint8)[:, None]}
    scipy.io.savemat(root / f"{split}_32x32.mat", content, do_compression=True)
    return str(root)


def write_stl10(root, packed=False):
    """Ten photos with labels and twelve without; the photos [N, 96, 96, 3] by part."""
    photos = {"train": noise(10, 96, 96, 3), "unlabeled": noise(12, 96, 96, 3)}
    files = {f"{part}_X.bin": images.transpose(0, 3, 2, 1).tobytes() for part, images in photos.items()}
    files["train_y.bin"] = bytes(range(1, 11))
    if packed:
        with tarfile.open(root / "stl10_binary.tar.gz", "w:gz") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(f"stl10_binary/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        (root / "stl10_binary").mkdir()
        for name, data in files.items():
            (root / "stl10_binary" / name).write_bytes(data)
    return photos


FACES = [f"{number:06}.jpg" for number in range(1, 9)]
ATTRIBUTES = ["Bald", "Male", "Young"]
TABLE = np.array([[1, 1, -1], [-1, -1, 1], [-1, 1, 1], [1, -1, -1], [-1, -1, -1], [1, 1, 1], [-1, 1, -1], [1, -1, 1]])
PARTS = [0, 0, 0, 0, 0, 1, 2, 2]


def face(number):
    """178 x 218: grey by its number, with a red band above and below the middle square."""
    pixels = np.full((218, 178, 3), 20 * number, dtype=np.uint8)
    pixels[:20], pixels[198:] = (255, 0, 0), (255, 0, 0)
    return encoded(pixels, "JPEG", quality=95, subsampling=0)


def encoded(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def write_celeba(root, way="folder", kind="txt"):
    folder = root / "celeba"
    folder.mkdir()
    data = {name: face(number) for number, name in enumerate(FACES)}
    if way == "zip":
        with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
            for name in FACES:
                archive.writestr(f"img_align_celeba/{name}", data[name])
    else:
        inner = folder / "img_align_celeba" / ("img_align_celeba" if way == "nested" else "")
        inner.mkdir(parents=True)
        for name in FACES:
            (inner / name).write_bytes(data[name])
    if kind == "txt":
        rows = [f"{name} " + " ".join(f"{value:2}" for value in row) for name, row in zip(FACES, TABLE, strict=True)]
        lists = {"attr_celeba": [str(len(FACES)), " ".join(ATTRIBUTES) + " ", *rows]}
        lists["eval_partition"] = [f"{name} {part}" for name, part in zip(FACES, PARTS, strict=True)]
    else:
        rows = [f"{name}," + ",".join(map(str, row)) for name, row in zip(FACES, TABLE, strict=True)]
        lists = {"attr_celeba": [",".join(["image_id", *ATTRIBUTES]), *rows]}
        pairs = [f"{name},{part}" for name, part in zip(FACES, PARTS, strict=True)]
        lists["eval_partition"] = ["image_id,partition", *pairs]
    for name, lines in lists.items():
        (folder / f"list_{name}.{kind}").write_text("\r\n".join(lines) + "\r\n")
    return str(root)


# ---- what every dataset does ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    root = lambda: tmp_path_factory.mktemp("data")
    images, labels = noise(30, 28, 28), np.arange(30) % 10
    stl10 = root()
    write_stl10(stl10)
    return [
        StackedDigits(size=300),
        StackedMNIST(write_mnist(root(), images, labels), size=300),
        Shapes(size=300),
        Shapes(size=300, attributes=["large", "red"], num_attributes=2, image_size=24),
        MNIST("KMNIST", write_mnist(root(), images, labels, "KMNIST")),
        EMNIST("digits", write_emnist(root(), "digits", images, labels), num_classes=10),
        SVHN(write_svhn(root(), noise(12, 32, 32, 3), np.arange(12) % 10 + 1)),
        STL10(str(stl10), image_size=48),
        STL10(str(stl10), split="train+unlabeled", num_classes=0),
        CelebA(write_celeba(root()), num_attributes=3),
    ]


def test_facts_sizes_and_memory_agree_with_the_tensors(some):
    for dataset in some:
        whole = dataset.tensors()
        assert tuple(whole) == dataset.gives
        assert dataset.nbytes == sum(tensor.nbytes for tensor in whole.values())
        assert all(len(tensor) == len(dataset) and tensor.is_contiguous() for tensor in whole.values())
        assert whole["image"].shape[1:] == (*dataset.image_size, dataset.channels)
        assert whole["image"].dtype == torch.uint8
        assert dataset.num_classes == len(dataset.classes)
        assert f"{len(dataset):,}" in dataset.describe()
        assert dataset.describe().count("\n") < 3


def test_rows_are_rows_of_the_whole(some):
    for dataset in some:
        indices = torch.tensor([7 % len(dataset), 3, 3, 0])
        rows = dataset.rows(indices)
        assert tuple(rows) == dataset.gives
        for name, values in rows.items():
            assert torch.equal(values, dataset.tensors()[name][indices])


def test_a_whole_set_is_made_in_chunks_and_in_order(monkeypatch):
    monkeypatch.setattr(lazy, "CHUNK", 7)
    in_chunks, at_once = Shapes(size=30), Shapes(size=30).rows(torch.arange(30))
    in_chunks.threads = 3
    assert torch.equal(in_chunks.tensors()["image"], at_once["image"])


@pytest.mark.parametrize("resident", [True, False])
def test_attributes_reach_the_batches(resident):
    dataset = Shapes(size=64)
    batch = Loader(dataset, 8, resident=resident).batch(0)[0]
    assert batch["attributes"].shape == (8, len(NAMES)) and batch["attributes"].dtype == torch.float32
    forms = batch["attributes"][:, NAMES.index("circle") : NAMES.index("star") + 1]
    assert torch.equal(forms.argmax(1), batch["label"])


def test_the_schema_knows_the_arguments():
    for name in ("celeba.CelebA", "shapes.Shapes"):
        wanted = signature(find(f"gan_lab.datasets.{name}", OURS)).parameters["attributes"].annotation
        assert wanted.fits(None) and wanted.fits(["Male"]) and not wanted.fits("Male")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: StackedDigits(size=0), "size=0"),
        (lambda: StackedDigits(num_classes=10), "leave num_classes=1000"),
        (lambda: StackedDigits(channels=1), "leave channels=3"),
        (lambda: Shapes(size=0), "size=0"),
        (lambda: Shapes(image_size=0), "image_size=0"),
        (lambda: Shapes(attributes=["big"], num_attributes=1), "attributes=big must be one of red, green"),
        (lambda: Shapes(attributes=["red"]), "set dataset.num_attributes=1"),
        (lambda: EMNIST("letters"), "leave num_classes=26"),
        (lambda: EMNIST("words"), "section=words"),
        (lambda: SVHN(split="valid"), "split=valid"),
        (lambda: STL10(split="unlabeled"), "set dataset.num_classes=0"),
        (lambda: STL10(num_classes=0), "set dataset.num_classes=10"),
        (lambda: CelebA(split="val"), "split=val"),
        (lambda: LSUN(size=0), "size=0"),
    ],
)
def test_a_value_that_cannot_be_is_named(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


@pytest.mark.parametrize("dataset", [EMNIST, SVHN, STL10])
def test_without_network_a_sentence_tells_where_the_files_belong(tmp_path, monkeypatch, dataset):
    def offline(address, timeout):
        raise URLError("no route to host")

    monkeypatch.setattr(download, "urlopen", offline)
    with pytest.raises(DataError) as error:
        dataset(root=str(tmp_path / "new"))
    for words in ("no route to host", "http", f"Place {'gzip.zip' if dataset is EMNIST else 'train'}", "dataset.root"):
        assert words in str(error.value)
    with pytest.raises(DataError, match="dataset.download is false.\nPlace"):
        dataset(root=str(tmp_path / "new"), download=False)
    assert not any(tmp_path.iterdir())


# ---- stacked digits -------------------------------------------------------------------------------------------------


def test_red_green_and_blue_are_the_digits_that_the_class_spells():
    dataset = StackedDigits(size=200, image_size=8)
    rows = dataset.rows(torch.arange(200))
    digits = dataset.digits.tensors()
    for image, label, triple in zip(rows["image"], rows["label"].tolist(), dataset.triples, strict=True):
        assert torch.equal(image, digits["image"][triple, ..., 0].permute(1, 2, 0))
        assert dataset.classes[label] == "".join(str(int(digits["label"][i])) for i in triple)


def test_all_thousand_modes_are_there_and_evenly():
    counts = torch.bincount(StackedDigits(size=20_000).labels, minlength=1000)
    assert counts.min() > 0
    assert 16 < counts.double().var() < 26  # as of a Poisson of mean 20; a single wheel for three would give thousands


def test_triples_follow_from_seed_and_index_alone():
    few, many, other = StackedDigits(size=50), StackedDigits(size=500), StackedDigits(size=50, seed=1)
    assert torch.equal(few.triples, many.triples[:50])
    assert (few.triples != other.triples).double().mean() > 0.99


def test_the_parts_share_no_digit():
    train, test = StackedDigits("train", size=10), StackedDigits("test", size=10)
    assert (len(train.digits), len(test.digits)) == (1438, 359)
    assert test.triples.max() < 359


def test_nothing_is_stacked_before_it_is_asked_for():
    dataset = StackedDigits(size=1_000_000)
    dataset.load = None  # would take 768 MB
    assert dataset.rows(torch.tensor([999_999]))["image"].shape == (1, 16, 16, 3)


def test_mnist_is_stacked_from_its_files(tmp_path):
    images, labels = noise(20, 28, 28), np.arange(20) % 10
    rows = StackedMNIST(write_mnist(tmp_path, images, labels), size=40, download=False).rows(torch.arange(40))
    by_bytes = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    for image, label in zip(rows["image"].numpy(), rows["label"].tolist(), strict=True):
        spelt = [by_bytes[np.ascontiguousarray(image[..., plane]).tobytes()] for plane in range(3)]
        assert label == 100 * spelt[0] + 10 * spelt[1] + spelt[2]


# ---- shapes ---------------------------------------------------------------------------------------------------------


def test_a_picture_follows_from_seed_and_index_alone():
    few, many, other = Shapes(size=20), Shapes(size=200), Shapes(size=20, seed=1)
    alone = [many.rows(torch.tensor([i]))["image"][0] for i in range(20)]
    assert torch.equal(few.tensors()["image"], torch.stack(alone))
    assert torch.equal(few.tensors()["attributes"], many.tensors()["attributes"][:20])
    assert not torch.equal(few.tensors()["image"], other.tensors()["image"])


def test_every_choice_is_made_equally_often_and_apart_from_the_others():
    dataset = Shapes(size=20_000)
    for name, many in CHOICES.items():
        share = torch.bincount(dataset.factors[name], minlength=many) / 20_000
        assert (share - 1 / many).abs().max() < 0.015
    for a in CHOICES:
        for b in CHOICES:
            if a < b:
                one, two = (dataset.factors[name].double() for name in (a, b))
                assert torch.corrcoef(torch.stack((one, two)))[0, 1].abs() < 0.03


def test_the_truths_agree_with_each_other():
    dataset = Shapes(size=400)
    tensors, factors = dataset.tensors(), dataset.factors
    says = {name: tensors["attributes"][:, i].bool() for i, name in enumerate(dataset.attribute_names)}
    assert dataset.attribute_names == NAMES and len(NAMES) == 21
    assert torch.equal(tensors["label"], factors["shape"])
    assert torch.equal(says["large"], factors["radius"] > 0.19) and torch.equal(says["small"], ~says["large"])
    for low, high, place in (("left", "right", "x"), ("top", "bottom", "y")):
        assert torch.equal(says[low], factors[place] < 0.4) and torch.equal(says[high], factors[place] > 0.6)

    words = r"a (small|large) (\w+) (\w+) (at the (?:top |bottom )?(?:left|right)|at the (?:top|bottom)|in the centre)"
    for i, caption in enumerate(dataset.captions(torch.arange(400))):
        size, colour, form, place, ground = re.fullmatch(rf"{words} on a (\w+) background", caption).groups()
        told = {size, colour, form, f"on_{ground}", *(set(place.split()) & set(NAMES))}
        assert told == {name for name in NAMES if says[name][i]}
        assert form == dataset.classes[tensors["label"][i]]


def test_what_is_told_is_what_is_drawn():
    """Position, extent and colour, measured on the pixels."""
    side = 64
    dataset = Shapes(size=300, image_size=side)
    image = dataset.tensors()["image"].float() / 255  # [N, H, W, C]
    colourful = (image.amax(dim=3) - image.amin(dim=3)) > 0.2  # backgrounds are grey
    for i in range(300):
        rows, columns = torch.nonzero(colourful[i]).unbind(1)
        x, y, radius = (float(dataset.factors[name][i]) * side for name in ("x", "y", "radius"))
        middle = (float(columns.min() + columns.max()) / 2 + 0.5, float(rows.min() + rows.max()) / 2 + 0.5)
        assert abs(middle[0] - x) < 1.1 and abs(middle[1] - y) < 0.12 * radius + 1
        height = float(rows.max() - rows.min() + 1)
        assert 1.7 * radius - 2.5 < height < 2.2 * radius + 2.5
        seen = image[i, colourful[i]].median(dim=0).values
        nearest = (torch.tensor(list(COLOURS.values())) - seen).norm(dim=1).argmin()
        assert nearest == dataset.factors["colour"][i]


def test_each_form_looks_like_its_name():
    """By the share of its frame that it fills; and triangle and star stand on broad feet."""
    fills = {"circle": 0.785, "square": 1.0, "triangle": 0.5, "diamond": 0.5, "cross": 0.55, "star": 0.32}
    dataset = Shapes(size=200, image_size=96)
    image = dataset.tensors()["image"].float()
    colourful = (image.amax(dim=3) - image.amin(dim=3)) > 60
    spread = lambda columns: int(columns.max() - columns.min()) + 1
    for mask, label in zip(colourful, dataset.labels.tolist(), strict=True):
        rows, columns = torch.nonzero(mask).unbind(1)
        form = dataset.classes[label]
        assert len(rows) / (spread(rows) * spread(columns)) == pytest.approx(fills[form], abs=0.1)
        if form in ("triangle", "star"):
            foot, head = columns[rows >= rows.max() - 1], columns[rows <= rows.min() + 1]
            assert spread(foot) > 2 * spread(head)


def test_a_circle_covers_its_area_and_its_edge_is_smooth():
    dataset = Shapes(size=400)
    chosen = torch.nonzero((dataset.labels == 0) & (dataset.factors["background"] == 2)).flatten()
    image = dataset.rows(chosen)["image"].float() / 255
    radii, colours = (dataset.factors[name][chosen] for name in ("radius", "colour"))
    for picture, radius, colour in zip(image, radii, colours, strict=True):
        channel = int(torch.tensor(list(COLOURS.values()))[colour].argmax())
        ground, paint = picture[..., channel].median(), picture[..., channel].max()
        cover = ((picture[..., channel] - ground) / (paint - ground)).clamp(0, 1)
        cover = torch.where(cover > 0.2, cover, 0)  # the ground leans
        assert float(cover.sum()) == pytest.approx(math.pi * float(radius * 32) ** 2, rel=0.12)
        assert ((cover > 0.25) & (cover < 0.75)).sum() >= 4


def test_another_size_shows_the_same_scene():
    small, large = (Shapes(size=60, image_size=side).tensors()["image"].float() for side in (16, 64))
    shrunk = large.view(60, 16, 4, 16, 4, 3).mean(dim=(2, 4))
    assert (shrunk - small).abs().mean() < 2.5


def test_attributes_are_chosen_in_the_order_asked_for():
    whole, few = Shapes(size=50), Shapes(size=50, attributes=["star", "red"], num_attributes=2)
    columns = [NAMES.index("star"), NAMES.index("red")]
    assert few.attribute_names == ["star", "red"]
    assert torch.equal(few.tensors()["attributes"], whole.tensors()["attributes"][:, columns])
    assert "2 attributes (star" in few.describe()


# ---- EMNIST and KMNIST ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "gz", "zip"])
def test_emnist_stands_upright_and_letters_count_from_a(tmp_path, way):
    images, labels = noise(26, 28, 28), np.arange(1, 27)
    root = write_emnist(tmp_path, "letters", images, labels, way)
    before = sorted(tmp_path.rglob("*"))
    dataset = EMNIST("letters", root, download=False, num_classes=26)
    assert np.array_equal(dataset.tensors()["image"][..., 0], images)
    assert [dataset.classes[label] for label in dataset.labels] == list("abcdefghijklmnopqrstuvwxyz")
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked


def test_emnist_sections_have_the_published_numbers_of_classes():
    assert {name: len(classes) for name, classes in SECTIONS.items()} == {
        "byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10,
    }  # fmt: skip
    assert SECTIONS["balanced"][36:] == list("abdefghnqrt")


def test_wrong_files_of_emnist_are_named(tmp_path):
    root = write_emnist(tmp_path, "letters", noise(3, 28, 28), [0, 1, 2], "zip")  # letters begin with 1
    with pytest.raises(DataError, match="emnist-letters-train-labels-idx1-ubyte must hold labels from 0 to 25"):
        EMNIST("letters", root, num_classes=26)
    with pytest.raises(DataError, match="gzip.zip is not EMNIST's.*emnist-digits-train"):
        EMNIST("digits", root, num_classes=10)
    path = tmp_path / "EMNIST" / "raw" / "gzip.zip"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="gzip.zip cannot be read"):
        EMNIST("letters", root, num_classes=26)


def test_kmnist_has_its_own_folder_and_names(tmp_path):
    images = noise(10, 28, 28)
    dataset = MNIST("KMNIST", write_mnist(tmp_path, images, np.arange(10), "KMNIST"), download=False)
    assert np.array_equal(dataset.tensors()["image"][..., 0], images)
    assert dataset.classes[3] == "tsu"


# ---- SVHN -----------------------------------------------------------------------------------------------------------


def test_svhn_turns_its_axes_and_calls_ten_zero(tmp_path):
    images, labels = noise(12, 32, 32, 3), [10, *range(1, 11), 10]
    dataset = SVHN(write_svhn(tmp_path, images, labels, "extra"), split="extra", download=False)
    assert np.array_equal(dataset.tensors()["image"], images)
    assert dataset.labels.tolist() == [label % 10 for label in labels]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>", "is no file of SVHN"),
        ({"X": noise(32, 32, 3, 4)}, "KeyError: 'y'"),
        ({"X": noise(32, 32, 4), "y": np.ones((4, 1), np.uint8)}, r"has \[32, 32, 4\] and 4"),
        ({"X": noise(32, 32, 3, 4), "y": np.ones((3, 1), np.uint8)}, r"has \[32, 32, 3, 4\] and 3"),
        ({"X": noise(32, 32, 3, 4), "y": np.zeros((4, 1), np.uint8)}, "labels from 1 to 10"),
    ],
)
def test_a_wrong_file_of_svhn_is_named(tmp_path, content, words):
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(content) if isinstance(content, bytes) else scipy.io.savemat(path, content)
    with pytest.raises(DataError, match=words) as error:
        SVHN(str(tmp_path))
    assert str(path) in str(error.value)


# ---- STL-10 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_stl10_is_read_where_it_lies(tmp_path, packed):
    photos = write_stl10(tmp_path, packed)
    train = STL10(str(tmp_path), download=False)
    assert np.array_equal(train.tensors()["image"], photos["train"])
    assert train.labels.tolist() == list(range(10)) and train.classes[0] == "airplane"
    both = STL10(str(tmp_path), split="train+unlabeled", download=False, num_classes=0)
    assert both.gives == ("image",)
    assert np.array_equal(both.tensors()["image"], np.concatenate((photos["train"], photos["unlabeled"])))
    mixed = torch.tensor([21, 0, 10, 9])
    assert torch.equal(both.rows(mixed)["image"], both.tensors()["image"][mixed])
    names = {path.name for path in (tmp_path / "stl10_binary").iterdir()}
    assert names == {"train_X.bin", "train_y.bin", "unlabeled_X.bin"}  # whole, and no part of a file


def test_stl10_is_resized(tmp_path):
    write_stl10(tmp_path)
    (tmp_path / "stl10_binary" / "train_X.bin").write_bytes(bytes([77]) * (10 * 96 * 96 * 3))
    image = STL10(str(tmp_path), image_size=48).tensors()["image"]
    assert image.shape == (10, 48, 48, 3) and (image == 77).all()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("train_X.bin", bytes(27_647), "has 27647 bytes"),
        ("train_X.bin", bytes(27_648), "a label from 1 to 10 for each of 1 photos"),
        ("train_y.bin", bytes(10), "a label from 1 to 10 for each of 10 photos"),
    ],
)
def test_a_wrong_file_of_stl10_is_named(tmp_path, name, data, words):
    write_stl10(tmp_path)
    (tmp_path / "stl10_binary" / name).write_bytes(data)
    with pytest.raises(DataError, match=words):
        STL10(str(tmp_path))


def test_a_cut_archive_of_stl10_leaves_no_part_of_a_file(tmp_path):
    write_stl10(tmp_path, packed=True)
    path = tmp_path / "stl10_binary.tar.gz"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match="stl10_binary.tar.gz cannot be read"):
        STL10(str(tmp_path))
    assert list((tmp_path / "stl10_binary").iterdir()) == []


# ---- CelebA ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "kind"), [("folder", "txt"), ("zip", "txt"), ("nested", "csv")])
def test_celeba_is_the_middle_square_of_each_face(tmp_path, way, kind):
    dataset = CelebA(write_celeba(tmp_path, way, kind), image_size=32, num_attributes=3)
    assert len(dataset) == 5 and dataset.gives == ("image", "attributes")
    image = dataset.tensors()["image"].float()
    for number in range(5):
        away = (image[number] - 20 * number).abs()
        assert away[1:-1].max() < 6 and away.max() < 30  # no red but what the filter of resizing sees beyond the edge


def test_celeba_gives_its_attributes_as_zero_and_one(tmp_path):
    root = write_celeba(tmp_path)
    whole = CelebA(root, split="all", num_attributes=3)
    assert whole.attribute_names == ATTRIBUTES
    assert np.array_equal(whole.tensors()["attributes"], TABLE > 0)
    test = CelebA(root, split="test", attributes=["Young", "Bald"], num_attributes=2)
    assert test.tensors()["attributes"].tolist() == [[0, 0], [1, 1]]
    assert "2 attributes (Young 50%, Bald 50%)" in test.describe()


def test_rows_of_celeba_decode_only_what_is_asked_for(tmp_path):
    dataset = CelebA(write_celeba(tmp_path), num_attributes=3)
    asked = []
    read = dataset.source.read
    dataset.source.read = lambda name, most: asked.append(name) or read(name, most)
    dataset.rows(torch.tensor([4, 1]))
    assert [name.rpartition("/")[2] for name in asked] == ["000005.jpg", "000002.jpg"]


def test_without_celeba_a_sentence_tells_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"(?s)list_attr_celeba.txt is missing.*by hand.*img_align_celeba.zip.*celeba"):
        CelebA(str(tmp_path))


def spoil(root, what):
    folder = root / "celeba"
    faces = folder / "img_align_celeba"
    attributes, parts = folder / "list_attr_celeba.txt", folder / "list_eval_partition.txt"
    if what == "cut":
        (faces / "000003.jpg").write_bytes((faces / "000003.jpg").read_bytes()[:1000])
    elif what == "gone":
        (faces / "000003.jpg").unlink()
    elif what == "folder":
        faces.rename(folder / "faces")
    elif what == "order":
        parts.write_text(parts.read_text().replace("000001", "000009"))
    elif what == "word":
        attributes.write_text(attributes.read_text().replace(" 1", " x", 1))
    elif what == "empty":
        attributes.write_text("0\nBald Male Young\n")
    elif what == "part":
        parts.write_text("\n".join(f"{name} 1" for name in FACES))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("cut", "000003.jpg in .* cannot be read"),
        ("gone", "lacks 1 of 5 pictures, the first: 000003.jpg"),
        ("folder", "img_align_celeba is missing, also as .zip"),
        ("order", "name different pictures"),
        ("word", "list_attr_celeba.txt must hold 3 whole numbers for each picture"),
        ("empty", "list_attr_celeba.txt names no picture"),
        ("part", "list_eval_partition puts no picture into train"),
    ],
)
def test_what_is_wrong_with_celeba_is_named(tmp_path, what, words):
    root = write_celeba(tmp_path)
    spoil(tmp_path, what)
    with pytest.raises(DataError, match=words):
        CelebA(root, num_attributes=3).tensors()


# ---- LSUN -----------------------------------------------------------------------------------------------------------


def test_without_the_package_a_sentence_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(DataError, match="pip install lmdb"):
        LSUN(root=str(tmp_path))


def write_lsun(folder, photos):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(folder), map_size=1 << 24) as database, database.begin(write=True) as view:
        for number, data in enumerate(photos):
            view.put(f"{number:040x}".encode(), data)


@pytest.mark.parametrize("folder", ["bedroom_train_lmdb", "bedroom_train"])
def test_lsun_is_read_from_its_database(tmp_path, folder):
    greys = [np.full((96, 128, 3), 30 * number, np.uint8) for number in range(6)]
    write_lsun(tmp_path / folder, [encoded(grey, "WEBP", quality=95) for grey in greys])
    dataset = LSUN(root=str(tmp_path), image_size=32)
    again = LSUN(root=str(tmp_path), image_size=16, size=3)  # which LMDB alone refuses
    assert (len(dataset), len(again)) == (6, 3)
    image = dataset.tensors()["image"].float()
    assert image.shape == (6, 32, 32, 3)
    assert (image.mean(dim=(1, 2, 3)) - 30 * torch.arange(6)).abs().max() < 3
    assert torch.equal(again.rows(torch.tensor([2, 2]))["image"], again.tensors()["image"][[2, 2]])


def test_a_wrong_photo_of_lsun_is_named(tmp_path):
    write_lsun(tmp_path / "bedroom_train_lmdb", [b"no photo"])
    with pytest.raises(DataError, match="0{40} in .* cannot be read"):
        LSUN(root=str(tmp_path)).tensors()


def test_a_missing_or_damaged_database_of_lsun_is_named(tmp_path):
    pytest.importorskip("lmdb")
    with pytest.raises(DataError, match="data.mdb is missing. LSUN must be fetched by hand"):
        LSUN(root=str(tmp_path))
    (tmp_path / "bedroom_train_lmdb").mkdir()
    (tmp_path / "bedroom_train_lmdb" / "data.mdb").write_bytes(b"<html>" * 1000)
    with pytest.raises(DataError, match="is no LMDB database"):
        LSUN(root=str(tmp_path))
