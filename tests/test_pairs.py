"""Datasets with a source beside each image: pairs that stay pairs, domains that do not meet, truths that hold."""

import re
import zipfile

import numpy as np
import pytest
import torch
from helpers import config_of
from PIL import Image

from gan_lab import cli
from gan_lab.config import fits
from gan_lab.config.build import build_dataset, build_game
from gan_lab.config.compat import Parts, complaints
from gan_lab.config.compose import compose
from gan_lab.config.dataset_nodes import with_known
from gan_lab.config.overrides import read
from gan_lab.config.provenance import origins
from gan_lab.config.settings import TrainerSettings
from gan_lab.datasets import Digits, Folder
from gan_lab.datasets.base import Dataset
from gan_lab.datasets.degradations import GREY
from gan_lab.datasets.degraded import CHANNELS, Degraded
from gan_lab.datasets.moving import Moving
from gan_lab.datasets.next_frame import NextFrame
from gan_lab.datasets.pairs import PairedFolder
from gan_lab.datasets.points import Gaussian1D
from gan_lab.datasets.shapes import Shapes
from gan_lab.datasets.split_domains import TRANSFORMS, SplitDomains
from gan_lab.datasets.unpaired import UnpairedFolder
from gan_lab.errors import ConfigError, DataError
from gan_lab.metrics import Pixels
from gan_lab.runs.evaluation import Judge
from gan_lab.runs.references import labelled, other_split, reference_of, split_of
from gan_lab.training.loader import Loader
from gan_lab.training.survey import first_samples, survey

torch.set_num_threads(1)
BITS = torch.randint(2**62, (64,), generator=torch.Generator().manual_seed(0))


def noise(seed, height=12, width=12):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def save(root, pictures):
    for name, picture in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / name)
    return root


def zipped(root, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    return path


def sides(count=6, at=("A/", "B/"), extensions=("png", "bmp")):
    """Pairs of noise, of which B is the negative of A."""
    a = {f"{at[0]}{i:02}.{extensions[0]}": noise(i) for i in range(count)}
    b = {f"{at[1]}{i:02}.{extensions[1]}": Image.eval(noise(i), lambda x: 255 - x) for i in range(count)}
    return a | b


def halves(count=6, at=""):
    """The same pairs, side by side."""
    both = {}
    for i in range(count):
        both[f"{at}{i:02}.png"] = sheet = Image.new("RGB", (24, 12))
        sheet.paste(noise(i), (0, 0))
        sheet.paste(Image.eval(noise(i), lambda x: 255 - x), (12, 0))
    return both


def pairs(path, **options):
    return PairedFolder(str(path), **{"image_size": 12, "cache": "never", **options})


def unpaired(path, **options):
    return UnpairedFolder(str(path), **{"image_size": 12, "cache": "never", **options})


def two_domains(many_a=5, many_b=8, split="train"):
    """A holds pictures of one grey level each, from 0; B from 100."""
    plain = lambda level: Image.new("RGB", (12, 12), (level, level, level))
    a = {f"{split}A/{i}.png": plain(i) for i in range(many_a)}
    return a | {f"{split}B/{i}.png": plain(100 + i) for i in range(many_b)}


def shapes(size=60, **options):
    return Shapes(size=size, image_size=16, **options)


def degraded(of, by, **options):
    return Degraded(of, by, channels=of.channels, image_size=of.image_size[0], **options)


def domains(of, **options):
    return SplitDomains(of, channels=of.channels, image_size=of.image_size[0], **options)


def moving(what="digits", **options):
    return Moving(what, **{"clips": 12, "length": 8, "channels": 3 if what == "shapes" else 1, **options})


def film(of, **options):
    return NextFrame(of, channels=of.channels, image_size=of.image_size[0], **options)


def made(*words):
    """The dataset that these words of a command line choose."""
    return build_dataset(compose(["model=gan", *read(list(words)).overrides]))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def negative(batch):
    return torch.equal(batch["source"], 255 - batch["image"])


EVERY = {
    "grey": lambda seed=0: degraded(shapes(), "grey", seed=seed),
    "hints": lambda seed=0: degraded(shapes(), "hints", seed=seed),
    "edges": lambda seed=0: degraded(shapes(), "edges", seed=seed),
    "downsample": lambda seed=0: degraded(shapes(), "downsample", seed=seed),
    "mask": lambda seed=0: degraded(shapes(), "mask", seed=seed),
    "classes": lambda seed=0: domains(shapes(), by="class", classes=["circle", "star"], seed=seed),
    "halves": lambda seed=0: domains(shapes(), seed=seed),
    "digits": lambda seed=0: film(moving(seed=seed)),
    "shapes": lambda seed=0: film(moving("shapes", seed=seed), past=3),
}  # fmt: skip
DRAWN = ("hints", "mask", "classes", "halves", "digits", "shapes")


# ---- what every one of them does ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_rows_facts_and_memory_agree_with_the_tensors(name):
    dataset = EVERY[name]()
    whole, chosen = dataset.tensors(), torch.tensor([7, 0, 3, 3])
    assert set(whole) == set(dataset.gives) and {"image", "source"} <= set(whole)
    assert whole["image"].shape == (len(dataset), *dataset.image_size, dataset.channels)
    assert whole["source"].shape == (len(dataset), *dataset.image_size, dataset.source_channels)
    assert whole["image"].dtype == whole["source"].dtype == torch.uint8
    assert dataset.nbytes == sum(tensor.nbytes for tensor in whole.values())
    assert same(EVERY[name]().rows(chosen), {key: tensor[chosen] for key, tensor in whole.items()})
    assert f"{len(dataset):,}" in dataset.describe() and len(dataset.describe().splitlines()) <= 2


@pytest.mark.parametrize("name", EVERY)
def test_what_is_drawn_follows_from_the_seed(name):
    first, again, other = (EVERY[name](seed).tensors() for seed in (0, 0, 1))
    assert same(first, again)
    assert same(first, other) == (name not in DRAWN)


@pytest.mark.parametrize("name", EVERY)
def test_streamed_batches_are_those_of_resident_data(name):
    resident = Loader(EVERY[name](), 4, seed=5)
    streamed = Loader(EVERY[name](), 4, seed=5, resident=False, workers=2)
    for number in range(2 * resident.batches_per_epoch + 1):
        assert all(map(same, resident.batch(number), streamed.batch(number)))


@pytest.mark.parametrize("name", EVERY)
def test_sources_are_played_in_the_range_of_images_and_drawn_beside_them(name):
    dataset = EVERY[name]()
    (batch,) = Loader(dataset, 8).batch(0)
    for key, channels in (("image", dataset.channels), ("source", dataset.source_channels)):
        assert batch[key].shape == (8, channels, *dataset.image_size) and batch[key].dtype == torch.float32
        assert -1 <= batch[key].min() < batch[key].max() <= 1
    drawn = first_samples(dataset, 8, seed=0)
    assert drawn.shape[:3] == (8, 3, dataset.image_size[0]) and drawn.shape[3] % dataset.image_size[1] == 0
    assert torch.equal(drawn[..., -dataset.image_size[1] :], batch["image"].expand(-1, 3, -1, -1))
    assert any("beside each sample: source" in line for line in survey(dataset))


# ---- prepare: flips and cuts ----------------------------------------------------------------------------------------


class Doubled(Dataset):
    """A picture beside itself, as a pair or not; each pixel tells its place."""

    def __init__(self, paired, **options):
        super().__init__(2, (6, 7), source_channels=2, **options)
        self.paired = paired

    def __len__(self):
        return len(BITS)

    def load(self):
        height, width = self.stored_size
        place = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=2).byte()
        return {name: place.repeat(len(self), 1, 1, 1) for name in ("image", "source")}

    def played(self, bits=BITS):
        """Places in the stored picture, [B, 2, H, W]."""
        batch = self.prepare(self.tensors(), bits)
        return tuple((batch[name] + 1).mul(127.5).round().long() for name in ("source", "image"))


@pytest.mark.parametrize("options", [{"flip": True}, {"jitter": 5}, {"flip": True, "jitter": 5}])
def test_a_pair_has_one_fate_and_an_unpaired_row_two(options):
    source, image = Doubled(True, **options).played()
    assert torch.equal(source, image)
    source, image = Doubled(False, **options).played()
    equal = (source == image).flatten(1).all(dim=1)
    assert 0 < equal.sum() < 0.7 * len(BITS)
    assert torch.equal(image, Doubled(True, **options).played()[1]), "the image has the fate that it has in a pair"


def test_a_cut_is_a_part_of_the_picture_and_every_part_comes():
    _, image = Doubled(True, jitter=5).played()
    corners = image[:, :, 0, 0]
    inside = torch.stack(torch.meshgrid(torch.arange(6), torch.arange(7), indexing="ij"))
    assert torch.equal(image, corners[:, :, None, None] + inside)
    assert [set(column.tolist()) for column in corners.T] == [set(range(6))] * 2


def test_zero_bits_give_the_middle_as_it_is_judged():
    dataset = Doubled(False, flip=True, jitter=5)
    for pictures in dataset.played(torch.zeros(64, dtype=torch.int64)):
        assert pictures[:, :, 0, 0].unique().tolist() == [2]
    plain = dataset.plain(torch.arange(3))
    assert plain["image"].shape == plain["source"].shape == (3, 6, 7, 2)
    assert plain["image"][0, 0, 0].tolist() == [2, 2]


def test_flips_are_fair_and_independent_of_each_other():
    bits = torch.randint(2**62, (4000,), generator=torch.Generator().manual_seed(1))
    rows = {name: torch.arange(2, dtype=torch.uint8).view(1, 1, 2, 1).repeat(4000, 1, 1, 1) for name in ("image",)}
    dataset = domains(Digits(), seed=0)
    dataset.flip = True
    played = dataset.prepare({**rows, "source": rows["image"]}, bits)
    flipped = [played[name][:, 0, 0, 0] > played[name][:, 0, 0, 1] for name in ("image", "source")]
    both = (flipped[0] & flipped[1]).float().mean()
    assert all(abs(each.float().mean() - 0.5) < 0.04 for each in flipped) and abs(both - 0.25) < 0.04


@pytest.mark.parametrize("jitter", [0, 4])
def test_a_folder_is_played_and_judged_at_its_size(tmp_path, jitter):
    save(tmp_path, {f"{i}.png": noise(i, 20, 20) for i in range(8)})
    dataset = Folder(str(tmp_path), image_size=12, jitter=jitter, cache="never")
    assert dataset.tensors()["image"].shape[1] == 12 + jitter
    assert dataset.nbytes == dataset.tensors()["image"].nbytes
    (batch,) = Loader(dataset, 8).batch(0)
    assert batch["image"].shape == (8, 3, 12, 12)
    assert next(Judge(dataset, "train", Pixels()).batches()).shape == (8, 3, 12, 12)
    with pytest.raises(ValueError, match="jitter=-1 must be 0 or more"):
        Folder(str(tmp_path), jitter=-1)


# ---- paired folders -------------------------------------------------------------------------------------------------

LAYOUTS = {
    "A and B": (sides(), None),
    "side by side": (halves(), None),
    "below a folder": (sides(at=("my/A/", "my/B/")), None),
    "deeper": (sides(at=("A/x/", "B/x/")), None),
    "train alone": (sides(at=("train/A/", "train/B/")) | sides(2, at=("test/A/", "test/B/")), None),
    "train below": (sides(at=("A/train/", "B/train/")) | sides(2, at=("A/test/", "B/test/")), None),
    "chosen": (sides(2, at=("train/A/", "train/B/")) | sides(at=("val/A/", "val/B/")), "val"),
    "chosen below": (sides(2, at=("A/train/", "B/train/")) | sides(at=("A/val/", "B/val/")), "val"),
    "side by side in splits": (halves(at="train/") | halves(2, at="test/"), "train"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_zip", [False, True])
def test_partners_are_found(tmp_path, layout, is_zip):
    pictures, split = LAYOUTS[layout]
    root = save(tmp_path / "set", pictures)
    dataset = pairs(zipped(root, tmp_path / "set.zip") if is_zip else root, split=split)
    whole = dataset.tensors()
    assert len(dataset) == 6 and dataset.paired and negative(whole)
    assert all(np.array_equal(whole["source"][i], noise(i)) for i in range(6))


@pytest.mark.parametrize("pictures", [sides(), halves()], ids=["folders", "halves"])
def test_the_direction_chooses_the_source(tmp_path, pictures):
    save(tmp_path, pictures)
    there, back = pairs(tmp_path).tensors(), pairs(tmp_path, direction="BtoA").tensors()
    assert torch.equal(there["source"], back["image"]) and torch.equal(there["image"], back["source"])
    with pytest.raises(ValueError, match="direction=AB must be one of AtoB, BtoA"):
        pairs(tmp_path, direction="AB")


def test_both_sides_have_channels_of_their_own(tmp_path):
    dataset = pairs(save(tmp_path, sides()), channels=3, source_channels=1, jitter=4, image_size=8)
    whole = dataset.tensors()
    assert whole["source"].shape == (6, 12, 12, 1) and whole["image"].shape == (6, 12, 12, 3)
    assert dataset.nbytes == sum(tensor.nbytes for tensor in whole.values())
    (batch,) = Loader(dataset, 6).batch(0)
    luma = (batch["image"] * torch.tensor(GREY)[:, None, None]).sum(dim=1, keepdim=True)
    assert batch["source"].shape == (6, 1, 8, 8)
    assert (batch["source"] + luma).abs().max() < 0.02, "cut at the same place, negative of each other"
    assert "6 pairs, grey to colour images of 8 x 8" in dataset.describe()


@pytest.mark.parametrize("cache", ["never", "packs"])
def test_streamed_pairs_are_those_of_resident_data(tmp_path, cache):
    root = save(tmp_path / "set", sides(12))
    options = {"flip": True, "jitter": 2, "image_size": 10}
    resident = Loader(pairs(root, **options), 4, seed=5)
    cache = cache if cache == "never" else str(tmp_path / cache)
    streamed = Loader(pairs(root, cache=cache, **options), 4, seed=5, resident=False, workers=2)
    for number in range(7):
        assert all(map(same, resident.batch(number), streamed.batch(number)))


def test_a_pack_knows_partner_and_direction(tmp_path):
    root, cache = save(tmp_path / "set", sides()), str(tmp_path / "packs")
    before = pairs(root, cache=cache).tensors()
    back = pairs(root, cache=cache, direction="BtoA").tensors()
    assert torch.equal(before["source"], back["image"])
    noise(99).save(root / "B" / "03.bmp")
    after = pairs(root, cache=cache).tensors()
    assert torch.equal(before["source"], after["source"]) and not torch.equal(before["image"][3], after["image"][3])


def test_a_missing_partner_is_named(tmp_path):
    root = save(tmp_path, sides())
    (root / "A" / "02.png").unlink()
    (root / "B" / "04.bmp").unlink()
    with pytest.raises(DataError, match="2 of 10 pictures .* have no partner") as error:
        pairs(root)
    assert "A/04.png (no B/04); B/02.bmp (no A/02)." in str(error.value)


def test_ten_missing_partners_are_named_and_the_others_counted(tmp_path):
    root = save(tmp_path, {f"A/{i:02}.png": noise(i) for i in range(12)} | {"B/12.png": noise(12)})
    with pytest.raises(DataError, match=r"13 of 13 pictures .* A/09\.png \(no B/09\); and 3 more") as error:
        pairs(root)
    assert "A/10.png" not in str(error.value)


def test_two_pictures_of_one_name_are_refused(tmp_path):
    root = save(tmp_path, sides() | {"A/03.bmp": noise(3)})
    with pytest.raises(DataError, match="has 2 pictures called A/03; leave the one that is meant"):
        pairs(root)


WRONG = {
    "sizes": (sides() | {"A/03.png": noise(3, 12, 14)}, r"A/03\.png \(12 x 14 pixels, but B/03\.bmp has 12 x 12\)"),
    "odd": (halves() | {"03.png": noise(3, 12, 25)}, r"03\.png \(a width of 25 pixels is odd, so it is not two"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_pair_that_is_none_is_told_or_left_out(tmp_path, what):
    pictures, sentence = WRONG[what]
    root = save(tmp_path, pictures)
    for read_some in (lambda d: d.tensors(), lambda d: d.rows(torch.arange(6))):
        with pytest.raises(DataError, match=f"1 of 6 pairs .* cannot be read: {sentence}"):
            read_some(pairs(root))
    dataset = pairs(root, on_error="skip")
    assert len(dataset) == 5 and negative(dataset.tensors())
    assert "left out 1 unreadable" in dataset.describe()


def test_a_broken_partner_is_named_beside_its_row(tmp_path):
    root = save(tmp_path, sides())
    (root / "B" / "01.bmp").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"A/01\.png \(B/01\.bmp: not a picture"):
        pairs(root).tensors()
    with pytest.raises(DataError, match="12 x 12 pixels are more than max_pixels=143"):
        pairs(root, max_pixels=143).tensors()


# ---- unpaired folders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_zip", [False, True])
def test_domains_are_found_and_the_shorter_one_repeated(tmp_path, is_zip):
    root = save(tmp_path / "set", two_domains(5, 8) | two_domains(2, 3, "test"))
    path = zipped(root, tmp_path / "set.zip") if is_zip else root
    dataset = unpaired(path)
    whole = dataset.tensors()
    levels = {name: tensor[:, 0, 0, 0].tolist() for name, tensor in whole.items()}
    assert not dataset.paired and len(dataset) == 8
    assert levels["image"] == list(range(100, 108))
    assert sorted(levels["source"]) == [0, 0, 1, 1, 2, 2, 3, 4], "each is there as often as another, give or take one"
    assert same(dataset.rows(torch.tensor([6, 1])), {name: tensor[[6, 1]] for name, tensor in whole.items()})
    back = unpaired(path, direction="BtoA").tensors()
    assert back["image"][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert sorted(back["source"][:, 0, 0, 0].tolist()) == list(range(100, 108))
    assert len(unpaired(path, split="test")) == 3
    assert "unpaired: 5 colour sources and 8 colour images of 12 x 12" in dataset.describe()


def test_which_source_lies_beside_an_image_follows_from_the_seed(tmp_path):
    root = save(tmp_path, two_domains(8, 8))
    first, again, other = (unpaired(root, seed=seed).tensors() for seed in (0, 0, 1))
    assert same(first, again) and not torch.equal(first["source"], other["source"])
    assert torch.equal(first["image"], other["image"])


@pytest.mark.parametrize(
    ("pictures", "sentence"),
    [
        (
            {name: p for name, p in two_domains().items() if "A/" in name},
            "no pictures in a folder trainB; it has trainA",
        ),
        (two_domains(split="test"), r"no pictures in a folder trainA; it has testB \(8\), testA \(5\)"),
        ({"1.png": noise(1)}, "no pictures in a folder trainA; it has 1 that lie in no folder"),
    ],
)
def test_a_missing_domain_is_told_with_what_there_is(tmp_path, pictures, sentence):
    with pytest.raises(DataError, match=sentence):
        unpaired(save(tmp_path, pictures))


def test_an_empty_domain_is_told(tmp_path):
    save(tmp_path, two_domains(3, 0))
    (tmp_path / "trainB").mkdir()
    (tmp_path / "trainB" / "readme.txt").write_text("nothing yet")
    with pytest.raises(DataError, match=r"no pictures in a folder trainB; it has trainA \(3\)\.\nPut one domain into"):
        unpaired(tmp_path)


# ---- degraded -------------------------------------------------------------------------------------------------------


def both(by, **options):
    of = shapes()
    whole = degraded(of, by, **options).tensors()
    assert torch.equal(whole["image"], of.tensors()["image"]), "the image is the clean picture"
    assert torch.equal(whole["label"], of.labels)
    return whole["image"].float(), whole["source"].float()


def test_grey_is_the_luma():
    image, source = both("grey")
    assert (source[..., 0] - image @ torch.tensor(GREY)).abs().max() <= 0.5


def test_hints_tell_true_colours_where_the_last_channel_says():
    image, source = both("hints", hints=4)
    luma, told, where = source.split([1, 3, 1], dim=3)
    is_told = where[..., 0] == 255
    assert torch.equal(luma, both("grey")[1]) and set(where.unique().tolist()) == {0, 255}
    assert torch.equal(told[is_told], image[is_told]), "at 16 pixels a square is one pixel"
    assert (told[~is_told] == 128).all()
    assert set(is_told.sum(dim=(1, 2)).tolist()) == {0, 1, 2, 3, 4}
    wide = degraded(Shapes(size=40), "hints", hints=1).tensors()["source"][..., 4]  # of 32 pixels
    assert set((wide == 255).sum(dim=(1, 2)).tolist()) == {0, 4}


def test_edges_are_where_brightness_changes():
    pixels = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    pixels[:, :, 4:] = 100
    of = shapes()
    source = degraded(of, "edges").degrade(pixels, torch.tensor([0]))[0, :, :, 0]
    assert (source[:, [3, 4]] == 200).all(), "Sobel's 4 * 100, halved"
    assert (source[:, [0, 1, 2, 5, 6, 7]] == 0).all()
    assert (degraded(of, "edges").degrade(pixels * 0 + 77, torch.tensor([0])) == 0).all()


def test_downsampled_squares_have_the_mean_of_theirs():
    image, source = both("downsample", factor=4)
    means = image.unflatten(1, (4, 4)).unflatten(3, (4, 4)).mean(dim=(2, 4))
    assert (source[:, ::4, ::4] - means).abs().max() <= 0.5
    assert torch.equal(source, source[:, ::4, ::4].repeat_interleave(4, 1).repeat_interleave(4, 2))


def test_a_mask_hides_a_rectangle_and_tells_it():
    image, source = both("mask", hole=0.5)
    hidden = source[..., 3] == 255
    assert set(source[..., 3].unique().tolist()) == {0, 255}
    assert (source[..., :3][hidden] == 128).all() and torch.equal(source[..., :3][~hidden], image[~hidden])
    heights, widths = hidden.any(dim=2).sum(dim=1), hidden.any(dim=1).sum(dim=1)
    assert torch.equal(hidden.sum(dim=(1, 2)), heights * widths), "a full rectangle"
    assert set(heights.tolist()) == set(widths.tolist()) == {4, 5, 6, 7, 8}
    assert len({tuple(h.flatten().nonzero()[0].tolist()) for h in hidden}) > 20, "at many places"


def test_what_is_hidden_depends_on_the_index_alone():
    few, many = (degraded(Shapes(size=size), "mask").rows(torch.tensor([5, 9]))["source"] for size in (10, 500))
    assert torch.equal(few, many)


def test_pairs_of_a_set_that_is_flipped_are_flipped(tmp_path):
    save(tmp_path, {f"{i}.png": noise(i) for i in range(4)})
    of = Folder(str(tmp_path), image_size=12, flip=True, cache="never")
    assert degraded(of, "grey").flip and domains(of, transform="invert").flip and not degraded(shapes(), "grey").flip


# ---- two domains of one set -----------------------------------------------------------------------------------------


def owners(dataset):
    """Which row of the set each source and each image comes from."""
    return dataset.source_rows.tolist(), dataset.image_rows.tolist()


@pytest.mark.parametrize("size", [60, 61])
def test_halves_are_disjoint_and_whole(size):
    sources, images = owners(domains(shapes(size)))
    assert not set(sources) & set(images) and set(sources) | set(images) == set(range(size))
    assert len(set(sources)) - len(set(images)) in (0, 1)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_truth_is_the_transform(transform):
    of = shapes()
    dataset = domains(of, transform=transform)
    whole = dataset.prepare(dataset.tensors(), torch.zeros(len(dataset), dtype=torch.int64))
    plain = of.prepare(of.tensors(), torch.zeros(len(of), dtype=torch.int64))["image"]
    assert torch.equal(whole["source"], plain[dataset.source_rows]), "sources are as they are"
    assert (whole["image"] - dataset.truth(plain[dataset.image_rows])).abs().max() <= 1 / 255 + 1e-6
    assert dataset.truth(whole["source"]).abs().max() <= 1 + 1e-6


def test_transforms_do_what_they_are_called():
    picture = torch.arange(12.0).view(1, 3, 2, 2) / 12
    truth = lambda transform: domains(shapes(), transform=transform).truth(picture)
    assert torch.equal(truth("rotate")[0, 0] * 12, torch.tensor([[1.0, 3], [0, 2]])), "to the left"
    assert torch.equal(truth("permute"), picture[:, [2, 0, 1]])
    assert torch.equal(truth("invert"), -picture)
    red, _, blue = (truth("tint") - picture)[0]
    assert (red < 0).all() and (blue > 0).all()


def test_classes_are_domains_by_name():
    of = shapes(200)
    dataset = domains(of, by="class", classes=["star", "circle"])
    sources, images = owners(dataset)
    assert {of.classes[of.labels[i]] for i in sources} == {"star"}
    assert {of.classes[of.labels[i]] for i in images} == {"circle"}
    counts = [int((of.labels == of.classes.index(name)).sum()) for name in ("star", "circle")]
    assert [len(set(sources)), len(set(images))] == counts and len(dataset) == max(counts)
    assert dataset.truth(torch.zeros(1, 3, 16, 16)) is None
    assert domains(Digits(), by="class", classes=[3, 8]).names == ["3", "8"], "numbers are names too"


# ---- next frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["digits", "shapes"])
def test_what_moves_lies_where_it_is_known_to(what):
    of = moving(what, objects=1, speed=4)
    clips, times = torch.arange(of.clips), torch.arange(60)  # far beyond the clip's length
    corners, frames = of.positions(clips, times)[:, :, 0], of.frames(clips, times)
    assert corners.min() >= 0 and corners.max() + of.side <= 32
    assert set((corners[:, 1:] - corners[:, :-1]).abs().unique().tolist()) <= set(range(5))
    assert corners.min() == 0 and corners.max() == of.room, "it comes to the edges"

    # Outside of the square there is nothing but the ground, and inside of it always the same
    ground = frames[0, 0].flatten(0, 1).mode(dim=0).values
    for clip in range(3):
        (y, x), first = corners[clip, 0].tolist(), frames[clip, 0]
        stamp = first[y : y + of.side, x : x + of.side].clone()
        assert (stamp != ground).any()
        for time in (1, 13, 59):
            (y, x), frame = corners[clip, time].tolist(), frames[clip, time].clone()
            assert torch.equal(frame[y : y + of.side, x : x + of.side], stamp)
            frame[y : y + of.side, x : x + of.side] = ground
            assert (frame == ground).all()


def test_an_object_goes_straight_on_and_bounces():
    of = moving(objects=1, clips=40)
    for clip in range(40):
        corners = of.positions(torch.tensor([clip]), torch.arange(30))[0, :, 0]
        place, step = of.corners[clip, 0].clone(), of.steps[clip, 0].clone()
        for time in range(30):
            assert torch.equal(corners[time], place)
            place = place + step
            beyond = (place < 0) | (place > of.room)
            place = torch.where(place < 0, -place, torch.where(place > of.room, 2 * of.room - place, place))
            step = torch.where(beyond, -step, step)


def test_a_clip_depends_on_its_number_alone():
    few, many = (moving(clips=clips).frames(torch.tensor([3, 5]), torch.arange(4)) for clips in (6, 50))
    assert torch.equal(few, many)
    assert not torch.equal(few[0], few[1])


def test_the_source_is_the_past_and_the_image_the_next_frame():
    dataset = film(moving("shapes"), past=3)
    frames = dataset.of.frames(torch.arange(12), torch.arange(8))  # [clips, T, H, W, C]
    assert len(dataset) == 12 * 5 and dataset.source_channels == 9
    whole = dataset.tensors()
    assert torch.equal(whole["image"].view(12, 5, 32, 32, 3), frames[:, 3:])
    for i in (0, 4, 5, 59):
        clip, start = divmod(i, 5)
        assert torch.equal(whole["source"][i].unflatten(2, (3, 3)).movedim(2, 0), frames[clip, start : start + 3])


def test_a_sequence_goes_on_where_the_row_begins():
    dataset = film(moving(), past=2)
    played = dataset.prepare(dataset.rows(torch.arange(14)), torch.zeros(14, dtype=torch.int64))
    for i in (0, 5, 7):
        sequence = dataset.sequence(i, 12)
        assert sequence.shape == (12, 1, 32, 32)
        assert torch.equal(sequence[:2].flatten(0, 1), played["source"][i])
        assert torch.equal(sequence[2], played["image"][i])
    assert torch.equal(dataset.sequence(6, 6), dataset.of.sequence(1, 6))
    assert torch.equal(dataset.sequence(1, 8), dataset.sequence(0, 9)[1:])


def test_splits_of_moving_digits_are_other_handwritings_on_other_paths():
    train, test = moving(split="train"), moving(split="test")
    assert not torch.equal(train.corners, test.corners)
    assert len(train.stamps) == len(Digits("train")) and len(test.stamps) == len(Digits("test"))


# ---- words, facts and splits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["dataset.of=shapes", "dataset/of=shapes"])
def test_the_inner_dataset_is_chosen_and_set_by_words(word):
    dataset = made("dataset=degraded", word, "dataset.of.size=30", "dataset.of.image_size=16", "dataset.by=grey")
    assert isinstance(dataset, Degraded) and isinstance(dataset.of, Shapes)
    assert (len(dataset), dataset.image_size, dataset.source_channels) == (30, (16, 16), 1)
    assert made("dataset=next_frame", "dataset.of=moving_shapes", "dataset.past=4").source_channels == 12


@pytest.mark.parametrize("by", CHANNELS)
def test_the_facts_of_the_yaml_are_those_of_the_class(by):
    for of in ("shapes", "digits"):
        if of == "shapes" or by not in ("grey", "hints"):
            words = read(["model=gan", "dataset=degraded", f"dataset.of={of}", f"dataset.by={by}"]).overrides
            config = compose(words)["dataset"]
            assert config["source_channels"] == build_dataset({"dataset": config, "trust": []}).source_channels
            plain = config_of("dataset=degraded", f"dataset.of={of}", f"dataset.by={by}")["dataset"]
            assert plain == config, "the tests compose as Hydra does"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dataset=digits", "dataset.of=shapes"], "dataset.of is for a dataset that is made of another one"),
        (["dataset=degraded", "dataset.of=digit"], "unknown dataset 'digit'; did you mean 'digits'?"),
        (["dataset=degraded", "dataset.of.rot=x"], "unknown setting 'dataset.of.rot'"),
        (["dataset=degraded", "dataset.by=gray"], "dataset.by='gray' must be one of grey, hints"),
        (["dataset=degraded", "dataset.by=grey"], "pictures of dataset.of have grey only: choose dataset.of=shapes"),
        (["dataset=degraded", "dataset.source_channels=3"], "source_channels=3 is not a fact of this dataset"),
        (["dataset=degraded", "dataset.of=ring8"], "of must be a dataset of pictures: choose one with dataset.of="),
        (["dataset=degraded", "dataset.by=downsample", "dataset.factor=5"], "factor=5 must be 2 or more and divide 16"),
        (["dataset=degraded", "dataset.image_size=32"], "set dataset.of.image_size instead"),
        (["dataset=degraded", "dataset.hole=1"], "hole=1 must lie between 0 and 1"),
        (["dataset=split_domains", "dataset.transform=permute"], "transform=permute changes colours, and the pictures"),
        (["dataset=split_domains", "dataset.transform=tint"], "transform=tint changes colours, and the pictures"),
        (["dataset=split_domains", "dataset.flip=true"], "transform=rotate and flip=true make images that no source"),
        (["dataset=split_domains", "dataset.by=class"], "classes=null must be two different ones, first that of"),
        (["dataset=split_domains", "dataset.of=shapes", "dataset.by=class", "dataset.classes=[circel,star]"],
         "dataset.of has no class circel; did you mean circle?"),
        (["dataset=split_domains", "dataset.of=shapes", "dataset.by=class", "dataset.classes=[cat,star]"],
         "dataset.of has no class cat; its classes are circle, square"),
        (["dataset=next_frame", "dataset.of=digits"], "of must be clips: choose them with dataset.of=moving_digits"),
        (["dataset=next_frame", "dataset.past=20"], "past=20 must be at least 1 and less than dataset.of.length=20"),
        (["dataset=moving_digits", "dataset.image_size=16"], "image_size=16 is too small for what moves"),
        (["dataset=moving_digits", "dataset.clips=0"], "clips=0 must be at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        made(*words)


@pytest.mark.parametrize("kind", ["degraded", "split_domains", "next_frame"])
def test_the_test_split_of_an_inner_dataset_is_found(kind):
    config = config_of(f"dataset={kind}", "dataset.of.split=train")
    test = other_split(config, "test")
    assert test.of.split == "test" if kind == "next_frame" else len(test.of) == len(Digits("test"))
    reference, name = reference_of(config, build_dataset(config))
    assert (name, len(reference)) == ("test", len(test))
    assert split_of(config_of(f"dataset={kind}", "dataset.of.split=test")) == "test"


def test_a_set_without_splits_has_no_test_split():
    config = config_of("dataset=degraded", "dataset.of=shapes", "dataset.of.size=20")
    assert other_split(config, "test") is None and split_of(config) == "train"


def test_the_test_split_of_folders_is_found_and_not_cut(tmp_path):
    save(tmp_path / "pairs", sides(at=("train/A/", "train/B/")) | sides(3, at=("test/A/", "test/B/")))
    save(tmp_path / "domains", two_domains(4, 4) | two_domains(2, 2, "test"))
    words = "dataset.image_size=8", "dataset.jitter=4"
    for kind, count in (("pairs", 3), ("domains", 2)):
        name = {"pairs": "paired_folder", "domains": "unpaired_folder"}[kind]
        test = other_split(config_of(f"dataset={name}", f"dataset.path={tmp_path / kind}", *words), "test")
        assert len(test) == count and test.tensors()["image"].shape[1] == 8
    save(tmp_path / "alone", two_domains(4, 4))
    alone = config_of("dataset=unpaired_folder", f"dataset.path={tmp_path / 'alone'}", *words)
    assert other_split(alone, "test") is None


def test_a_classifier_learns_from_the_clean_pictures_of_pairs():
    config = config_of("dataset=degraded", "dataset.of.split=train")
    examples = labelled(config, build_dataset(config))
    assert len(examples.images) == len(Digits("train")) and examples.images.shape[1] == 1


def test_only_what_is_there_is_set_on_every_level():
    node = {"by": "grey", "of": {"root": "a", "of": {"root": "b", "x": 1}}}
    assert with_known(node, root="c", y=2) == {"by": "grey", "of": {"root": "c", "of": {"root": "c", "x": 1}}}


def test_a_model_that_needs_a_source_is_told_where_there_is_one():
    config = config_of("dataset=digits")
    dataset = build_dataset(config)
    trained = build_game(config)
    trained.needs = ("image", "source")
    parts = Parts(dataset, trained, TrainerSettings(**config["trainer"]), {})
    (complaint,) = complaints(parts)
    assert "needs source" in complaint and complaint.endswith(
        "such as dataset=degraded, with your pictures as dataset.of=NAME."
    )
    parts.dataset = build_dataset(config_of("dataset=degraded"))
    assert complaints(parts) == []


def test_the_facts_of_files_that_are_not_there_tell_sources():
    words = read(["model=gan", "dataset=degraded", "dataset.of=cifar10", "dataset.by=hints"]).overrides
    facts = fits.dataset_of(compose(words))
    assert isinstance(facts, fits.Facts) and facts.gives == ("image", "source", "label")
    assert facts.source_channels == 5 and facts.paired
    far = fits.dataset_of(compose(["model=gan", "dataset=unpaired_folder", "++dataset.path=x"]))
    assert far.source_channels == 3 and not far.paired


def test_points_have_neither_source_nor_jitter():
    points = Gaussian1D(size=10)
    assert points.gives == ("image",) and not points.paired
    assert points.plain(torch.arange(3))["image"].shape == (3, 1)


TRIAL = """# @package _global_
# A trial
defaults:
  - override /dataset: degraded
  - override /dataset@dataset.of: shapes
  - override /model: gan
dataset: {by: grey, of: {image_size: 16, size: 100}}
"""


def test_an_experiment_chooses_the_inner_dataset_and_a_run_tells_where_it_came_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "trial.yaml").write_text(TRIAL)
    words = ["trainer.steps=1", "trainer.batch_size=8", "trainer.device=cpu", "trainer.threads=1", "dataset.of.seed=3"]
    assert cli.main(["train", "--config-dir", "own", "experiment=trial", *words]) in (0, None)
    (run,) = (tmp_path / "outputs" / "trial").iterdir()
    found = {each.key: each for each in origins(run)}
    assert found["dataset@dataset.of"].source == found["dataset.of.size"].source == "experiment/trial.yaml"
    assert found["dataset.of.seed"].source == "command line" and found["dataset.of.seed"].changed
    assert found["dataset.of.attributes"].source == "dataset/shapes.yaml"
    assert (found["dataset.of.size"].value, found["dataset.source_channels"].value) == (100, 1)
