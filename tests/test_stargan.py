"""StarGAN: networks, terms, attributes that exclude each other, what a person asks for, and tables beside pictures."""

import csv
import io
import re
import zipfile

import numpy as np
import pytest
import torch
from helpers import config_of, made, play, trainer_of
from PIL import Image
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import gan_lab
from gan_lab.cli import main
from gan_lab.config.build import build_game
from gan_lab.config.compose import compose
from gan_lab.datasets.attribute_folder import AttributeFolder
from gan_lab.datasets.base import chosen
from gan_lab.datasets.shapes import Shapes
from gan_lab.errors import ConfigError, DataError
from gan_lab.launch import launch
from gan_lab.losses import GradientPenalty
from gan_lab.models.groups import altered, lacking, numbered, together
from gan_lab.networks import stargan
from gan_lab.noise import Noise
from gan_lab.rows import Rows
from gan_lab.runs.evaluation import evaluate

STAR = ["model=stargan", "dataset=shapes", "dataset.image_size=16", "model.generator.blocks=1"]
FEW = ["dataset.attributes=[red,green,blue,yellow,purple,orange,large,left]", "dataset.num_attributes=8"]
GROUPS = [[0, 1, 2], [4, 5]]  # of six attributes


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


# ---- networks -------------------------------------------------------------------------------------------------------


def test_networks_of_the_paper_have_the_weights_of_the_official_code():
    """yunjey/stargan at 128 pixels and 5 attributes; its issue 14 prints the discriminator's."""
    assert count(stargan.Generator(3, 5, 128)) == 8_430_528
    assert count(stargan.Discriminator(3, 128, 5)) == 44_762_048


@pytest.mark.parametrize("size", [8, 20, 28, 48, [16, 40]])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_networks_take_every_size_and_number_of_channels(size, channels):
    height, width = (size, size) if isinstance(size, int) else size
    x, said = torch.rand(2, channels, height, width), torch.eye(2, 4)
    assert stargan.Generator(channels, 4, size, width=4, blocks=1)(x, said).shape == x.shape
    scores, logits = stargan.Discriminator(channels, size, 4, width=4)(x)
    assert logits.shape == (2, 4) and scores.shape[:2] == (2, 1) and min(scores.shape[2:]) in (2, 3)


def test_under_reflection_attributes_would_not_be_heard():
    """What is the same everywhere adds the same everywhere, which an instance norm takes away: hence the zeros."""
    torch.manual_seed(0)
    network = stargan.Generator(3, 2, 16, width=8, blocks=1).double()
    source, said = torch.rand(1, 3, 16, 16).double(), torch.eye(2).double()
    away = lambda: float((network(source, said[:1]) - network(source, said[1:])).abs().max().detach())
    assert away() > 1e-3
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "reflect"
            layer._reversed_padding_repeated_twice = [layer.padding[0]] * 4
    assert away() < 1e-9


# ---- groups ---------------------------------------------------------------------------------------------------------


def test_one_attribute_is_changed_and_of_its_group_the_others_go():
    groups = numbered(GROUPS, 6)
    assert groups.tolist() == [0, 0, 0, 3, 4, 4]
    row = torch.tensor([[1.0, 0, 0, 1, 0, 1]])
    changed = altered(row.repeat(6, 1), torch.arange(6), groups).int().tolist()
    assert changed[1] == [0, 1, 0, 1, 0, 1] and changed[3] == [1, 0, 0, 0, 0, 1] and changed[4] == [1, 0, 0, 1, 1, 0]
    assert changed[0] == row[0].int().tolist()


@pytest.mark.parametrize("groups", [GROUPS, [[0, 3], [1, 4, 5]], []])
def test_what_is_asked_for_is_always_a_change(groups):
    numbers = numbered(groups, 6)
    values = (torch.rand(60, 6, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    for group in groups:
        values[:, group] = torch.eye(len(group))[torch.arange(60) % len(group)]
    changed = altered(values, lacking(values, numbers), numbers)
    assert bool((changed != values).any(dim=1).all())
    assert all(bool((changed[:, group].sum(dim=1) == 1).all()) for group in groups)


def test_shapes_say_what_excludes_what():
    whole = Shapes(size=50, image_size=16)
    names = [[whole.attribute_names[i] for i in group] for group in whole.attribute_groups]
    assert [group[0] for group in names] == ["red", "circle", "small", "on_white"]
    for group in whole.attribute_groups:
        assert bool((whole.extras["attributes"][:, group].sum(dim=1) == 1).all())
    few = Shapes(size=50, image_size=16, attributes=["red", "large", "small", "left"], num_attributes=4)
    assert few.attribute_groups == [[2, 1]], "a part of the colours is no group"


# ---- terms ----------------------------------------------------------------------------------------------------------


def star(*words):
    return made(*STAR, *FEW, *words)


def test_the_class_term_is_a_sum_over_attributes_and_softmax_within_a_group():
    game = star().game
    assert game.groups.tolist() == [0] * 6 + [6, 7]
    logits = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    wanted = torch.cat([torch.eye(6)[[0, 2, 5, 1, 1]], torch.tensor([[0.0, 1], [1, 1], [0, 0], [1, 0], [0, 1]])], dim=1)
    alone = binary_cross_entropy_with_logits(logits[:, 6:], wanted[:, 6:], reduction="sum") / 5
    group = cross_entropy(logits[:, :6], wanted[:, :6].argmax(dim=1))
    torch.testing.assert_close(game.mismatch(logits, wanted), alone + group)
    game.groups.copy_(torch.arange(8))
    official = binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / 5
    torch.testing.assert_close(game.mismatch(logits, wanted), official)


class Painter(nn.Module):
    """Adds the first attribute's value to each pixel."""

    multiple = 1

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, source, attributes):
        return source + self.weight * attributes[:, 0, None, None, None]


def test_the_generator_pays_for_what_is_not_rebuilt_and_for_wrong_attributes():
    trainer = star("model.rebuild=4", "model.classify=3")
    game = trainer.game
    (batch,) = trainer.loader.batch(0)
    game.generator = Painter()
    game.noise.at(0, "generator", 0)
    wanted = game.changed(batch["image"])["attributes"]
    terms = game.generator_loss(batch, 0).losses
    away = (wanted[:, 0] + batch["attributes"][:, 0]).mean()
    torch.testing.assert_close(terms["rebuilt"], 4 * away)
    logits = game.discriminator(batch["image"] + wanted[:, 0, None, None, None])[1]
    torch.testing.assert_close(terms["class_fake"], 3 * game.mismatch(logits, wanted))
    judged = game.discriminator_loss(batch, 0).losses
    torch.testing.assert_close(
        judged["class_real"], 3 * game.mismatch(game.discriminator(batch["image"])[1], batch["attributes"])
    )
    assert set(judged) == {"adversarial", "class_real"}


def test_attributes_to_be_made_are_rows_of_the_data():
    trainer = star()
    game, there = trainer.game, trainer.loader.dataset.extras["attributes"]
    game.noise.at(3, "generator", 0)
    wanted = game.changed(torch.zeros(64, 3, 16, 16))["attributes"]
    assert bool((wanted[:, None] == there[None]).all(dim=2).any(dim=1).all())
    assert (wanted.mean(dim=0) - there.mean(dim=0)).abs().max() < 0.2
    game.noise.at(3, "generator", 0, shard=1, shards=2)
    half = game.changed(torch.zeros(32, 3, 16, 16))["attributes"]
    assert torch.equal(half, wanted[32:]), "two ranks draw what one process draws"


def test_the_preset_of_the_paper_penalises_the_slope_of_the_sum_of_scores():
    """160 * (|g| - 1/4)^2 of the mean of four scores is 10 * (|g| - 1)^2 of their sum, as the official code has it."""
    node = compose(["experiment=stargan_celeba"])["loss"]["penalties"]["gradient_penalty"]
    penalty = GradientPenalty(node["weight"], node["center"])
    torch.manual_seed(0)
    critic = stargan.Discriminator(3, 128, 5, width=2)
    x = torch.randn(3, 3, 128, 128, requires_grad=True)
    both, noise = Rows(image=x.detach()), Noise().at(0)
    mine = penalty.weight * penalty(lambda rows: critic(rows["image"])[0], both, both, noise)
    scores = critic(x)[0]
    assert scores.shape == (3, 1, 2, 2)
    (slope,) = torch.autograd.grad(scores, x, torch.ones_like(scores))
    torch.testing.assert_close(mine, 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean())


def test_the_preset_of_the_paper_has_its_numbers():
    config = compose(["experiment=stargan_celeba"])
    game = build_game(config)
    assert count(game.generator) == 8_430_528 and count(game.discriminator) == 44_762_048
    assert config["dataset"]["image_size"] == 128 and config["dataset"]["flip"] is True
    assert config["loss"]["critic_turns"] == 5 and config["trainer"]["steps"] * 5 == 200_000
    assert config["trainer"]["batch_size"] == 16 and config["trainer"]["decay_from"] == 0.5
    assert config["optimizer"]["lr"] == 1e-4 and config["optimizer"]["betas"] == [0.5, 0.999]
    assert config["model"]["classify"] == 1.0 and config["model"]["rebuild"] == 10.0
    assert config["model"]["num_attributes"] == 5


# ---- what a person asks for -----------------------------------------------------------------------------------------


class Reader(nn.Module):
    """A critic that reads given logits in every picture."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, image):
        return image.mean(dim=(1, 2, 3)), self.logits.expand(len(image), -1)


class Show(Painter):
    """Writes its attributes into the first pixels."""

    def forward(self, source, attributes):
        made = torch.zeros_like(source)
        made[:, 0, 0, : attributes.shape[1]] = attributes
        return made


@pytest.fixture
def asked():
    game = star().game.eval()
    game.discriminator = Reader([0.0, 5, 1, 0, 4, 0, -2, 3])  # green; not large; left
    game.generator = Show()
    vector = lambda *places: torch.zeros(8).index_fill_(0, torch.tensor(places), 1.0)
    said = lambda size=16, **words: game.sample(Rows(source=torch.zeros(2, 3, size, size)), **words)["image"]
    return vector, lambda **words: said(**words)[0, 0, 0, :8].int().tolist(), said


def test_what_is_asked_for_is_set_and_the_rest_stays_as_it_is_read(asked):
    vector, seen, _ = asked
    assert seen(to=vector(6)) == [0, 1, 0, 0, 0, 0, 1, 1]
    assert seen(to=vector(2)) == [0, 0, 1, 0, 0, 0, 0, 1], "another colour takes the place of the colour"
    assert seen(to=vector(2, 6)) == [0, 0, 1, 0, 0, 0, 1, 1]
    assert seen(without=vector(7)) == [0, 1, 0, 0, 0, 0, 0, 0]
    assert seen(without=vector(1)) == [0, 0, 0, 0, 1, 0, 0, 1], "the next likely colour"
    assert seen(to=vector(6), without=vector(7)) == [0, 1, 0, 0, 0, 0, 1, 0]


def test_pictures_of_other_sizes_are_read_too(asked):
    vector, _, said = asked
    assert said(24, to=vector(6)).shape == (2, 3, 24, 24)
    game = star().game.eval()
    assert game.read(torch.zeros(2, 3, 24, 40)).shape == (2, 8)


def test_where_nothing_is_asked_for_every_attribute_is_changed(asked):
    table = asked[2]()
    assert table.shape == (2, 3, 16, 16 * 9)
    shown = table[0, 0, 0].view(9, 16)[1:, :8].int()
    assert shown[2].tolist() == [0, 0, 1, 0, 0, 0, 0, 1] and shown[7].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]


def test_a_preview_shows_each_picture_with_each_attribute_changed():
    trainer = star()
    (batch,) = trainer.loader.batch(0)
    game = trainer.game.eval()
    views = game.preview(batch, game.draw(range(4)), 0)
    assert views["fixed"].shape == (8, 9, 3, 16, 16) and torch.equal(views["fixed"][:, 0], batch["image"])
    wanted = altered(batch["attributes"], torch.full((8,), 6), game.groups)
    torch.testing.assert_close(views["fixed"][:, 7], game.generator(batch["image"], wanted))


def test_a_seed_is_a_picture_of_the_data_and_attributes_of_another():
    trainer = star("model.remember=12")
    game, dataset = trainer.game, trainer.loader.dataset
    there = dataset.columns(chosen(len(dataset), 13))
    drawn = play(trainer, 1).game.draw(range(12))
    torch.testing.assert_close(drawn["source"], there["image"][:12], atol=1e-6, rtol=0)
    assert torch.equal(drawn["attributes"], there["attributes"][1:])
    assert torch.equal(game.draw([12])["source"], drawn["source"][:1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "star"
    launch.train(config_of(*STAR, *FEW, "dataset.size=300", "trainer.steps=2", "trainer.evaluate_every=null"), folder)
    return folder


def translated(run, tmp_path, name, *words):
    Image.new("RGB", (16, 16), (90, 20, 60)).save(tmp_path / "in.png")
    out = tmp_path / f"{name}.png"
    code = main(["translate", str(run), str(tmp_path / "in.png"), str(out), *words])
    return code, Image.open(out).convert("RGB") if out.exists() else None


def test_translate_takes_what_is_asked_for_as_words(run, tmp_path, capsys):
    pictures = {}
    asking = {"red": ["to=red"], "blue": ["to=[blue,large]"], "both": ["to=blue", "without=left"], "none": []}
    for name, words in asking.items():
        code, pictures[name] = translated(run, tmp_path, name, *words)
        assert code in (0, None)
    code, whole = translated(run, tmp_path, "all", "attributes=[red,large,left]")
    assert whole.size == pictures["red"].size == (16, 16) and pictures["none"].size == (16 * 9, 16)
    assert pictures["red"].tobytes() != pictures["blue"].tobytes()
    capsys.readouterr()
    main(["translate", str(run), "--help"])
    said = capsys.readouterr().out
    assert "to=..." in said and "without=..." in said and "attributes=..." in said
    assert main(["sample", str(run), "n=2", "to=red", f"out={tmp_path / 's.png'}"]) in (0, None)
    assert gan_lab.load(run).sample(2, to=["red"]).shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("to=rad", "there is no attribute 'rad'; did you mean 'red'"),
        ("to=[red,blue]", "to=red,blue names several attributes of which a picture has one"),
        ("attributes=[large]", "attributes=large says all that a picture has, and leaves out a group"),
        ("without=elephant", "there is no attribute 'elephant'"),
        ("too=red", "too"),
    ],
)
def test_what_cannot_be_asked_for_is_a_sentence(run, tmp_path, capsys, word, sentence):
    code, picture = translated(run, tmp_path, "wrong", word)
    assert code == 2 and picture is None and sentence in capsys.readouterr().err


def test_evaluate_says_whether_it_got_what_was_asked_and_kept_the_rest(run, tmp_path):
    figures = {
        figure.name: figure for figure in evaluate(gan_lab.load(run), n=40, extractor="pixels", say=lambda x: None)
    }
    for name in ("asked/attributes", "kept/attributes", "attribute_accuracy/attributes"):
        assert 0 <= figures[name].value <= 1
    assert "right on held-out pictures" in figures["kept/attributes"].protocol.extractor


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["model=stargan", "dataset=digits"],
            "needs attributes with each sample, and the dataset gives only image, label",
        ),
        ([*STAR, *FEW, "model.num_attributes=0"], "num_attributes=0: this model needs attributes with each picture"),
        ([*STAR, *FEW, "model.classify=-1"], "classify=-1 must not be negative"),
        ([*STAR, *FEW, "model.rebuild=-1"], "rebuild=-1 must not be negative"),
        ([*STAR, *FEW, "model.num_attributes=7"], "Set model.num_attributes=8"),
        ([*STAR, "dataset.size=8", "trainer.batch_size=4"], "so that nothing can be learned of it"),
        ([*STAR, *FEW, "dataset.image_size=10"], "a side of 10"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        trainer_of(config_of(*words))


# ---- tables beside pictures -----------------------------------------------------------------------------------------

HEAD = ["file", "glasses", "hair", "who"]
ROWS = [
    ["a.png", "1", "red", "w0"],
    ["b.png", "0", "blond", "w1"],
    ["c.png", "0", "", "w2"],
    ["d.png", "1", "red", "w3"],
]


def png(level: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(data, "png")
    return data.getvalue()


def text_of(rows, sign=","):
    made = io.StringIO()
    csv.writer(made, delimiter=sign).writerows(rows)
    return made.getvalue().encode()


def files_of(rows=ROWS, prefix="train/", table="train.csv", head=HEAD, sign=","):
    files = {f"{prefix}{row[0]}": png(20 * i % 256) for i, row in enumerate(rows)}
    return files | {table: text_of([head, *rows], sign)}


def write(root, files, kind="folder"):
    if kind == "zip":
        with zipfile.ZipFile(root / "set.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return root / "set.zip"
    for name, data in files.items():
        place = root / "set" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return root / "set"


def folder(path, **words):
    return AttributeFolder(str(path), image_size=16, **words)


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize(
    "files",
    [
        files_of(),
        files_of(prefix="", table="list.csv"),
        files_of(prefix="pictures/", table="list.tsv", sign="\t"),
        files_of(prefix="pictures/", table="pictures/list.csv", sign=";"),
        {**files_of(), "test/e.png": png(9), "test.csv": text_of([HEAD, ["e.png", "0", "red", "w9"]])},
    ],
    ids=["beside", "flat", "tabs", "inside", "splits"],
)
def test_a_table_says_what_pictures_have(tmp_path, kind, files):
    dataset = folder(write(tmp_path, files, kind), attributes=["glasses", "hair"])
    assert dataset.attribute_names == ["glasses", "hair=blond", "hair=none", "hair=red"]
    assert dataset.attribute_groups == [[1, 2, 3]] and dataset.gives == ("image", "attributes")
    wanted = [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]
    whole = dataset.tensors()
    assert whole["attributes"].tolist() == wanted and whole["image"][:, 0, 0, 0].tolist() == [0, 20, 40, 60]
    assert dataset.rows(torch.tensor([2, 0]))["attributes"].tolist() == [wanted[2], wanted[0]]
    assert "4 attributes (glasses 50%" in dataset.describe() and dataset.nbytes == sum(x.nbytes for x in whole.values())


def test_a_split_to_judge_with_means_the_same_as_train(tmp_path):
    test = {"test/e.png": png(9), "test.csv": text_of([HEAD, ["e.png", "0", "red", "w9"]])}
    path = write(tmp_path, files_of() | test)
    dataset = folder(path, split="test", attributes=["hair", "glasses"])
    assert dataset.attribute_names == ["hair=blond", "hair=none", "hair=red", "glasses"]
    assert dataset.tensors()["attributes"].tolist() == [[0, 0, 1, 0]]
    (path / "test.csv").write_bytes(text_of([HEAD, ["e.png", "0", "green", "w9"]]))
    with pytest.raises(DataError, match="'green' in its column hair, where others say blond, none, red"):
        folder(path, split="test", attributes=["hair"])
    (path / "test.csv").write_bytes(text_of([["file", "glasses"], ["e.png", "0"]]))
    with pytest.raises(DataError, match="test.csv lacks the column hair"):
        folder(path, split="test", attributes=["hair"])


@pytest.mark.parametrize(("lacks", "has"), [("0", "1"), ("-1", "1"), ("No", "Yes"), ("false", "TRUE"), ("0.0", "1.0")])
def test_yes_and_no_have_many_words(tmp_path, lacks, has):
    rows = [[name, has if said == "1" else lacks, *rest] for name, said, *rest in ROWS]
    dataset = folder(write(tmp_path, files_of(rows)), attributes=["glasses"])
    assert dataset.attribute_names == ["glasses"] and dataset.attribute_groups == []
    assert dataset.tensors()["attributes"].flatten().tolist() == [1, 0, 0, 1]


def test_the_list_of_celeba_is_read_as_published(tmp_path):
    lines = "4\nGlasses Young \na.png  1 -1\nb.png -1 -1\nc.png -1  1\nd.png  1  1\n"
    files = {**files_of(prefix="img/"), "list_attr.txt": lines.encode()}
    del files["train.csv"]
    dataset = folder(write(tmp_path, files))
    assert dataset.attribute_names == ["Glasses", "Young"]
    assert dataset.tensors()["attributes"].tolist() == [[1, 0], [0, 0], [0, 1], [1, 1]]


def test_null_takes_what_can_be_used(tmp_path):
    rows = [[f"{i:02}.png", str(i % 2), "red", f"w{i}"] for i in range(14)]
    assert folder(write(tmp_path, files_of(rows))).attribute_names == ["glasses"]


def test_rows_and_pictures_that_lack_each_other_are_said(tmp_path):
    files = files_of()
    del files["train/c.png"]
    path = write(tmp_path, files)
    assert "left out 1 rows without a picture" in folder(path, attributes=["glasses"]).describe()
    (path / "train" / "x.png").write_bytes(png(1))
    with pytest.raises(DataError, match=r"has no row for 1 of 4 pictures: train/x.png.*on_error=skip"):
        folder(path, attributes=["glasses"])
    dataset = folder(path, attributes=["glasses"], on_error="skip")
    assert len(dataset) == 3 and "1 pictures without a row" in dataset.describe()


def test_unreadable_pictures_keep_the_others_beside_their_rows(tmp_path):
    path = write(tmp_path, files_of())
    (path / "train" / "b.png").write_bytes(b"no picture")
    dataset = folder(path, attributes=["glasses"], on_error="skip")
    assert dataset.tensors()["attributes"].flatten().tolist() == [1, 0, 1]


def replaced(rows=ROWS, **words):
    return lambda root: write(root, files_of(rows, **words))


@pytest.mark.parametrize(
    ("place", "words", "sentence"),
    [
        (lambda root: write(root, {"a.png": png(1)}), {}, "has no table of attributes"),
        (lambda root: write(root, files_of()) / "train", {}, "train.csv lies one level higher: set dataset.path="),
        (replaced(prefix="", table="other.csv"), {"table": "mine.csv"}, "has no table mine.csv; there is other.csv"),
        (
            lambda root: write(root, files_of(prefix="", table="a.csv") | {"b.csv": b"file,x\n"}),
            {},
            "has several tables, a.csv, b.csv: set dataset.table",
        ),
        (
            lambda root: write(root, {"train/z.png": png(1), "train.csv": text_of([HEAD, *ROWS])}),
            {},
            "names none of the 1 pictures: its first row is of 'a.png', and the first picture is 'train/z.png'",
        ),
        (replaced(), {"attributes": ["glass"]}, "has no column 'glass'; did you mean 'glasses'"),
        (replaced(), {"attributes": ["beard"]}, "has no column 'beard'; it has glasses, hair, who"),
        (replaced([[r[0], "1", *r[2:]] for r in ROWS]), {"attributes": ["glasses"]}, "says 1 of each picture"),
        (replaced([[f"{i}.png", "1", "a", f"w{i}"] for i in range(13)]), {"attributes": ["who"]}, "has 13 values"),
        (replaced([[f"{i}.png", "1", "a", f"w{i}"] for i in range(13)]), {}, "has no column that says yes or no"),
        (replaced([*ROWS, ["e.png", "1"]]), {}, "has 2 words in row 6, and 4 columns"),
        (replaced([*ROWS, ROWS[0]]), {}, "has several rows for a.png"),
        (replaced(head=["file", "hair", "hair", "who"]), {}, "has several columns 'hair'"),
        (lambda root: write(root, {"a.png": png(1), "t.csv": b"file,glasses\n"}), {}, "has no row below its head"),
        (lambda root: write(root, {"a.png": png(1), "t.csv": b"\xff\xfe\x00"}), {}, "cannot be read as a table"),
    ],
)
def test_a_wrong_table_is_a_sentence(tmp_path, place, words, sentence):
    with pytest.raises(DataError, match=re.escape(sentence)):
        folder(place(tmp_path), **words)


def test_an_attribute_that_no_picture_varies_in_is_named(tmp_path):
    files = files_of()
    del files["train/b.png"], files["train/c.png"]
    with pytest.raises(DataError, match="says the same of all 2 pictures in glasses"):
        folder(write(tmp_path, files), attributes=["glasses"])


def test_a_number_of_attributes_is_checked_and_counted_where_none_is_given(tmp_path):
    path = write(tmp_path, files_of())
    with pytest.raises(ValueError, match=r"num_attributes=2, but there are 4: set dataset.num_attributes=4"):
        folder(path, attributes=["glasses", "hair"], num_attributes=2)
    words = [f"dataset.path={path}", "dataset.attributes=[hair,glasses]"]
    config = compose(["model=stargan", "dataset=attribute_folder", *words])
    assert config["model"]["num_attributes"] == config["model"]["discriminator"]["outputs"] == 4


def test_one_group_is_a_set_of_domains(tmp_path):
    """As RaFD's expressions: the critic names one of them."""
    path = write(tmp_path, files_of([[f"{i}.png", "1", "abc"[i % 3], "x"] for i in range(12)]))
    words = [f"dataset.path={path}", "dataset.attributes=[hair]", "dataset.image_size=16", "dataset.num_attributes=3"]
    trainer = made("model=stargan", "dataset=attribute_folder", *words, "model.generator.blocks=1", rounds=1)
    game = trainer.game
    assert bool(together(game.groups).all()) and game.targets.sum(dim=1).eq(1).all()
    (batch,) = trainer.loader.batch(0)
    torch.testing.assert_close(
        game.mismatch(game.discriminator(batch["image"])[1], batch["attributes"]),
        cross_entropy(game.discriminator(batch["image"])[1], batch["attributes"].argmax(dim=1)),
    )
