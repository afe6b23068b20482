"""DTN: its networks, its terms, what its encoder learns from, the data that it is about, and the command."""

import math

import pytest
import torch
from helpers import config_of, made, play, trainer_of
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from gan_lab.cli import main
from gan_lab.config.build import build_dataset
from gan_lab.config.compose import compose
from gan_lab.config.dataset_nodes import levels, with_known
from gan_lab.config.overrides import rewritten
from gan_lab.datasets.base import in_play
from gan_lab.datasets.digits import Digits
from gan_lab.datasets.on_background import OnBackground
from gan_lab.datasets.shapes import Shapes
from gan_lab.datasets.textures import Textures
from gan_lab.datasets.unpaired_sets import UnpairedSets
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.launch.stages import planned
from gan_lab.losses import NonSaturating
from gan_lab.models import DTN
from gan_lab.models.constancy import Odds, in_channels, total_variation
from gan_lab.networks import dtn
from gan_lab.rows import Rows
from gan_lab.runs.domains import IMAGE, SOURCE, as_images, domain_reader, share_of
from gan_lab.runs.references import labelled
from gan_lab.storage.files import read_json

WORDS = ["model=dtn", "dataset=unpaired_sets"]


# ---- networks -------------------------------------------------------------------------------------------------------


def test_the_weights_are_as_many_as_the_ports():
    """Counted in its code at commit eaa2d5e, biases in front of batch norm included."""
    count = lambda network: sum(weight.numel() for weight in network.parameters())
    assert count(dtn.Encoder(128, 3, 32)) == 896_384
    assert count(dtn.Generator(128, 1, 32)) == 2_526_977
    assert count(dtn.Discriminator(1, 32, outputs=1)) == 1_486_593
    assert count(dtn.Discriminator(1, 32, outputs=3)) == 1_486_593 + 2 * (512 * 16 + 1)


@pytest.mark.parametrize("size", [4, 20, 28, [16, 32]])
def test_codes_are_of_any_size_that_can_be_halved(size):
    height, width = (size, size) if isinstance(size, int) else size
    codes = dtn.Encoder(5, 3, size, width=4)(torch.rand(2, 3, height, width))
    images = dtn.Generator(5, 2, size, width=4)(codes)
    assert codes.shape == (2, 5) and codes.abs().max() <= 1 and images.shape == (2, 2, height, width)
    assert dtn.Discriminator(2, size, width=4)(images).shape == (2, 3)
    assert dtn.Discriminator(2, size, width=4, outputs=1)(images).shape == (2,)


# ---- terms ----------------------------------------------------------------------------------------------------------


class First(nn.Module):
    """The first `many` pixels of the first channel: a code, logits or scores."""

    def __init__(self, many, outputs=1):
        super().__init__()
        self.many, self.outputs = many, outputs
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        found = self.scale * x[:, 0].flatten(1)[:, : self.many]
        return found[:, 0] if self.many == 1 else found


class Spread(nn.Module):
    """Codes [N, 2] as pictures of 2 x 2: the code above, `below` in the second row."""

    def __init__(self, below=0.5, factor=0.5):
        super().__init__()
        self.below, self.factor = below, factor
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, code):
        return torch.cat([self.factor * code, torch.full_like(code, self.below)], dim=1).view(-1, 1, 2, 2) * self.scale


def by_hand(**words):
    networks = {
        "encoder": First(2),
        "generator": Spread(),
        "discriminator": First(3, outputs=3),
        "head": nn.Linear(2, 3),
    }
    objective = NonSaturating()
    return DTN(**networks | words, objective=objective, source_channels=1, channels=1, image_size=2, latent_dim=2)


SOURCE_ROWS = torch.tensor([[0.8, -0.4, 0.1, 0.2], [0.2, 0.6, 0.0, 0.0]]).view(2, 1, 2, 2)
IMAGE_ROWS = torch.tensor([[0.4, 0.2, -0.5, 0.1], [-0.6, 0.2, 0.3, 0.9]]).view(2, 1, 2, 2)
BATCH = Rows(source=SOURCE_ROWS, image=IMAGE_ROWS, source_label=torch.tensor([2, 0]))


def test_a_critic_of_three_kinds_is_the_classifier_of_the_paper():
    """Score and kinds by the logistic loss add up to the cross-entropy of all three, equation 3, images twice."""
    game = by_hand()
    terms = game.discriminator_loss(BATCH, 0).losses
    fake, rebuilt = game.translated(SOURCE_ROWS), game.translated(IMAGE_ROWS)
    assert fake[0].flatten().tolist() == pytest.approx([0.4, -0.2, 0.5, 0.5])
    kind = lambda x, which: cross_entropy(x.flatten(1)[:, :3], torch.full((2,), which))
    wanted = kind(fake, 0) + kind(rebuilt, 1) + 2 * kind(IMAGE_ROWS, 2)
    torch.testing.assert_close(sum(terms.values()), wanted)
    assert set(terms) == {"adversarial", "kind_translated", "adversarial_rebuilt", "kind_rebuilt"}
    fooling = game.generator_loss(BATCH, 0).losses
    torch.testing.assert_close(
        fooling["adversarial"] + fooling["adversarial_rebuilt"], kind(fake, 2) + kind(rebuilt, 2)
    )


def test_a_critic_of_two_kinds_is_the_ports():
    game = by_hand(discriminator=First(1))
    terms = game.discriminator_loss(BATCH, 0).losses
    score = lambda x: x.flatten(1)[:, 0]
    real = softplus(-score(IMAGE_ROWS)).mean()
    wanted = {"adversarial": game.translated(SOURCE_ROWS), "adversarial_rebuilt": game.translated(IMAGE_ROWS)}
    assert terms.keys() == wanted.keys()
    for name, fake in wanted.items():
        torch.testing.assert_close(terms[name], real + softplus(score(fake)).mean())


def test_the_generator_owes_constancy_identity_and_variation():
    game = by_hand(variation=2.0)
    terms = game.generator_loss(BATCH, 0).losses
    # A code (a, b) becomes the picture (a, b) / 2 above one half, whose code is half of it
    codes = SOURCE_ROWS.flatten(1)[:, :2]
    assert terms["constancy"].item() == pytest.approx(15 * (codes / 2).square().mean().item())
    rebuilt = torch.cat([IMAGE_ROWS[:, :, 0] / 2, torch.full((2, 1, 2), 0.5)], dim=2).view(2, 1, 2, 2)
    assert terms["identity"].item() == pytest.approx(15 * (rebuilt - IMAGE_ROWS).square().mean().item())
    slopes = [math.hypot((b - a) / 2, 0.5 - a / 2) for a, b in codes.tolist()]
    assert terms["variation"].item() == pytest.approx(2 * sum(slopes) / 2, rel=1e-4)
    bare = by_hand(constancy=0.0, identity=0.0).generator_loss(BATCH, 0).losses
    assert set(bare) == {"adversarial", "adversarial_rebuilt"}


def test_an_encoder_learns_from_classes_and_from_constancy():
    game = by_hand(supervised=3.0)
    terms, logs = game.encoder_loss(BATCH, 0)
    codes = SOURCE_ROWS.flatten(1)[:, :2]
    torch.testing.assert_close(terms["classes"], 3 * cross_entropy(game.head(codes), BATCH["source_label"]))
    assert terms["constancy"].item() == pytest.approx(15 * (codes / 2).square().mean().item())
    assert 0 <= logs["accuracy"] <= 1
    assert set(by_hand(supervised=0.0).encoder_loss(BATCH, 0).losses) == {"constancy"}
    assert set(by_hand(labels_alone=True).encoder_loss(BATCH, 0).losses) == {"classes"}


def test_who_plays_follows_from_what_f_learns_from():
    assert list(by_hand().players) == ["encoder", "discriminator", "generator"]
    assert by_hand().needs == ("source", "image", "source_label")
    assert by_hand(supervised=0.0).players["encoder"] == ("encoder",) and by_hand(supervised=0.0).head is None
    alone = by_hand(labels_alone=True)
    assert alone.players == {"encoder": ("encoder", "head")} and alone.critics == ()
    assert alone.makes == () and alone.translators == {} and alone.translated_channels("forth") is None
    frozen = by_hand(guest=First(2))
    assert list(frozen.players) == ["discriminator", "generator"] and list(frozen.guests) == ["encoder"]
    assert frozen.needs == ("source", "image") and frozen.averaged == ("generator",) and frozen.measures == ()


def test_odds_are_those_of_being_real():
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]])
    score, fakes = Odds(lambda image: logits)(None)
    torch.testing.assert_close(score.sigmoid(), logits.softmax(dim=1)[:, 2])
    assert torch.equal(fakes, logits[:, :2])


def test_an_encoder_sees_both_domains_in_its_own_channels():
    grey, colours = torch.rand(2, 1, 4, 4), torch.rand(2, 3, 4, 4)
    assert torch.equal(in_channels(grey, 3), grey.expand(-1, 3, -1, -1)) and in_channels(colours, 3) is colours
    torch.testing.assert_close(in_channels(grey.expand(-1, 3, -1, -1), 1), grey)
    assert total_variation(torch.full((1, 1, 3, 3), 0.3)).item() == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"constancy": -1.0}, "constancy=-1.0 must not be negative"),
        ({"supervised": 0.0, "constancy": 0.0}, "leave the encoder nothing to learn from. Set model.supervised=1"),
        ({"labels_alone": True, "guest": First(2)}, "a guest stands in its place. Set model.labels_alone=false"),
        ({"labels_alone": True, "supervised": 0.0}, "supervised=0.0 leaves no labels"),
        ({"head": None}, "supervised=1.0 needs a head"),
        ({"distance": "l3"}, "distance=l3 is not known; choose l1 or l2"),
    ],
)
def test_what_cannot_be_played_is_a_sentence(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        by_hand(**words)


def test_channels_that_no_encoder_sees_are_a_sentence():
    networks = {"encoder": First(2), "generator": Spread(), "discriminator": First(1), "objective": NonSaturating()}
    with pytest.raises(ValueError, match="sources have 2 channels and images 1, and one encoder sees both"):
        DTN(**networks, source_channels=2, channels=1, image_size=2)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dataset=split_domains"], "the dataset gives only image, source. .* such as dataset=unpaired_sets."),
        (["dataset=split_domains"], "The encoder is to learn from the classes .* Set model.supervised=0"),
        (
            ["dataset=unpaired_sets", "model.head.num_classes=3"],
            "the sources have 10 classes. Set model.head.num_classes=10",
        ),
    ],
)
def test_data_without_classes_is_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        trainer_of(config_of("model=dtn", *words))


def test_without_labels_constancy_alone_teaches():
    trainer = made("model=dtn", "dataset=split_domains", "model.supervised=0", rounds=2)
    assert set(trainer.game.players) == {"encoder", "discriminator", "generator"} and trainer.game.head is None


# ---- guests ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run whose encoder has learned classes alone, and one that has borrowed it."""
    place = tmp_path_factory.mktemp("dtn")
    short = [*WORDS, "trainer.steps=2", "trainer.evaluate_every=null"]
    launch.train(config_of(*short, "model.labels_alone=true"), place / "lender")
    config = config_of(*short)
    config["model"]["guest"] = {
        "_target_": "gan_lab.models.FromRun", "run": str(place / "lender"), "network": "encoder"
    }  # fmt: skip
    launch.train(config, place / "borrower")
    return place


def test_a_lent_encoder_has_no_gradient_and_does_not_move(runs):
    import gan_lab

    lender, borrower = (gan_lab.load(runs / name) for name in ("lender", "borrower"))
    lent = lender.game.encoder.state_dict()
    assert all(torch.equal(value, lent[name]) for name, value in borrower.game.encoder.state_dict().items())
    config = borrower.config
    trainer = trainer_of(config)
    before = {name: value.clone() for name, value in trainer.game.encoder.state_dict().items()}
    play(trainer, 2)
    assert all(weight.grad is None for weight in trainer.game.encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in trainer.game.encoder.state_dict().items())
    assert any("running_mean" in name for name in before), "its statistics stay, too"


def test_a_run_that_learns_classes_alone_says_how_well(runs, capsys):
    assert main(["evaluate", str(runs / "lender"), "n=12", "extractor=pixels"]) == 0
    assert "source_accuracy" in read_json(runs / "lender" / "summary.json")["evaluation"]


def test_pictures_of_another_size_have_no_code(runs, tmp_path, capsys):
    from PIL import Image

    Image.new("RGB", (16, 16), "red").save(tmp_path / "small.png")
    assert main(["translate", str(runs / "borrower"), str(tmp_path / "small.png"), str(tmp_path / "out.png")]) in (
        None,
        0,
    )
    assert Image.open(tmp_path / "out.png").size == (16, 16)
    words = [str(tmp_path / "small.png"), str(tmp_path / "large.png"), "size=32"]
    assert main(["translate", str(runs / "borrower"), *words]) == 2
    assert "size=32x32 has 32 x 32 pixels, and this network takes 16x16: leave size out" in capsys.readouterr().err


# ---- data -----------------------------------------------------------------------------------------------------------


def digits_on_textures(**words):
    return OnBackground(Digits(), Textures(size=50), image_size=16, **words)


def test_a_digit_is_the_difference_to_its_background():
    data, digits = digits_on_textures(copies=2), Digits()
    assert len(data) == 2 * len(digits) and torch.equal(data.labels, digits.labels.repeat(2))
    rows = torch.tensor([3, 3 + len(digits)])
    made, plain = data.rows(rows)["image"].int(), digits.rows(torch.tensor([3, 3]))["image"].int()
    assert made.shape == (2, 16, 16, 3) and not torch.equal(made[0], made[1])
    flat = OnBackground(digits, Flat(), image_size=16, channels=1).rows(torch.tensor([3]))["image"].int()
    assert torch.equal(flat, (100 - plain[:1]).abs())


class Flat(Textures):
    """One grey level."""

    def __init__(self):
        super().__init__(size=1, channels=1, image_size=20)

    def pixels(self, indices):
        return torch.full((len(indices), 20, 20, 1), 100, dtype=torch.uint8)


def test_rows_are_the_same_in_any_company():
    for data in (digits_on_textures(), Textures(size=30, channels=1), UnpairedSets(digits_on_textures(), Digits())):
        whole, some = data.tensors(), data.rows(torch.tensor([7, 2]))
        assert all(torch.equal(some[name], whole[name][[7, 2]]) for name in whole)
    other = digits_on_textures(seed=1).rows(torch.tensor([7]))["image"]
    assert not torch.equal(other, digits_on_textures().rows(torch.tensor([7]))["image"])


def test_halves_have_no_picture_in_common():
    data = UnpairedSets(digits_on_textures(copies=2), Digits(), halves=True)
    sources, images = {int(i) % 1797 for i in data.source_rows}, {int(i) for i in data.image_rows}
    assert not sources & images and len(sources | images) == 1797 and data.counts == (2 * 899, 898)


@pytest.mark.parametrize("copies", [1, 2])
def test_labels_stay_with_their_pictures_however_they_are_dealt(copies):
    data = UnpairedSets(digits_on_textures(copies=copies), Digits(), halves=True)
    assert data.gives == ("image", "source", "label", "source_label") and len(data) == copies * 899
    loose = {"source", "source_label"} if data.counts[0] <= data.counts[1] else {"image", "label"}
    assert set(data.loose) == loose
    rows = data.dealt(torch.tensor([5, 6]), dict.fromkeys(data.loose, torch.tensor([10, 20])))
    plain = data.rows(torch.tensor([5, 6])), data.rows(torch.tensor([10, 20]))
    for name in rows:
        assert torch.equal(rows[name], plain[name in loose][name])
    of = {
        bytes(x.numpy().tobytes()): int(y)
        for x, y in zip(data.images.tensors()["image"], data.images.labels, strict=True)
    }
    assert all(of[bytes(x.numpy().tobytes())] == int(y) for x, y in zip(rows["image"], rows["label"], strict=True))


def test_judges_look_at_no_picture_twice():
    data = UnpairedSets(digits_on_textures(copies=2), Digits(), halves=True)
    assert len(data) == 2 * 899 and len(data.once("image")) == 898 and len(data.once("source")) == 2 * 899
    config = config_of("dataset=unpaired_sets", "dataset.halves=true", "dataset.sources.copies=2")
    known = labelled(config, data)
    assert len(known.images) + len(known.test_images) == 898


def test_other_classes_are_not_compared():
    data = UnpairedSets(Shapes(size=20, image_size=16), Digits(), channels=1, source_channels=3)
    assert "source_label" not in data.gives and "no classes that both have" in data.describe()
    assert data.readable("source_label", torch.zeros(2)) is None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: UnpairedSets(Digits(image_size=8), Digits(), source_channels=1),
            "8 x 8 pixels and the images 16 x 16",
        ),
        (
            lambda: UnpairedSets(Shapes(size=50, image_size=16), Digits(), halves=True),
            "50 sources are no multiple of 1,797",
        ),
        (lambda: UnpairedSets(None, Digits()), "sources must be a dataset of pictures"),
        (lambda: OnBackground(Shapes(size=9), Textures(), image_size=32), "of has colour pictures, and grey ones"),
        (lambda: OnBackground(Digits(), Textures(image_size=8)), "8 x 8 pixels, too few .*image_size=16 or more"),
        (lambda: digits_on_textures(copies=0), "copies=0 must be at least 1"),
        (lambda: Textures(channels=2), "channels=2 must be 1 for grey or 3 for colours"),
    ],
)
def test_sets_that_do_not_fit_are_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_settings_reach_every_set_that_another_is_made_of():
    config = config_of("dataset=unpaired_sets")
    known = with_known(config["dataset"], split="test")
    assert [level["split"] for level in levels(known) if "split" in level] == ["test", "test"]
    assert len(build_dataset({**config, "dataset": known})) == 359
    assert rewritten("dataset.sources.background=cifar10") == "dataset@dataset.sources.background=cifar10"


# ---- figures --------------------------------------------------------------------------------------------------------


def test_a_reader_of_domains_tells_them_apart_by_more_than_their_channels():
    data = UnpairedSets(digits_on_textures(), Digits(), halves=True)
    reader, rows = domain_reader(data), data.plain(torch.arange(200))
    image, source = (
        in_play(rows["image"]),
        in_play(as_images(rows["source"].permute(0, 3, 1, 2), 1).permute(0, 2, 3, 1)),
    )
    assert reader.accuracy > 0.95 and source.shape == image.shape
    assert share_of(reader, image, IMAGE) > 0.95 and share_of(reader, source, SOURCE) > 0.95


def test_evaluate_says_whether_classes_are_kept_and_the_domain_reached(runs):
    assert main(["evaluate", str(runs / "borrower"), "n=40"]) == 0
    figures = read_json(runs / "borrower" / "summary.json")["evaluation"]
    names = {"class_kept/classifier", "domain_reached/classifier", "domain_of_source/classifier"}
    assert names <= figures.keys() and all(0 <= figures[name]["value"] <= 1 for name in names)


# ---- presets --------------------------------------------------------------------------------------------------------


def test_the_ports_numbers():
    config = compose(["experiment=dtn_svhn_mnist"])
    first, second = (config["stages"][name]["config"] for name in ("encoder", "transfer"))
    assert first["dataset"]["sources"]["split"] == "extra" and first["trainer"]["steps"] == 20_000
    assert second["dataset"]["sources"]["split"] == "train" and second["model"]["supervised"] == 0
    assert second["model"]["discriminator"]["outputs"] == 1 and second["trainer"]["batch_size"] == 100
    assert second["model"]["constancy"] == second["model"]["identity"] == 15


def test_the_ports_networks_play_on_data_that_is_there():
    large = ["dataset.sources.of.image_size=32", "dataset.images.image_size=32"]
    data = config_of("dataset=unpaired_sets", *large)["dataset"]
    words = ["trainer.batch_size=4", "trainer.device=cpu", "trainer.threads=1", "trainer.precision=fp32"]
    for stage in planned(compose(["experiment=dtn_svhn_mnist", *words])):
        trainer = play(trainer_of({**stage.config, "dataset": data}), 2)
        assert all(math.isfinite(value) for value in trainer.report().values())
        assert sum(weight.numel() for weight in trainer.game.encoder.parameters()) == 896_384
    assert list(trainer.game.players) == ["encoder", "discriminator", "generator"]


def test_the_preset_for_a_cpu_plays():
    few = ["trainer.batch_size=4", "trainer.device=cpu", "trainer.threads=1", "trainer.precision=fp32"]
    encoder, transfer = (play(trainer_of(s.config), 2) for s in planned(compose(["experiment=dtn_digits", *few])))
    assert list(encoder.game.players) == ["encoder"] and list(transfer.game.guests) == ["encoder"]
    assert all(math.isfinite(value) for value in (encoder.report() | transfer.report()).values())
