"""ComboGAN and its data: many domains in a row, who translates what when, its terms, and the command."""

import re

import numpy as np
import pytest
import torch
from helpers import check_preset, config_of, fingerprint, made, play, trainer_of
from PIL import Image
from torch import nn

import gan_lab
from gan_lab.cli import main
from gan_lab.config.build import build_dataset
from gan_lab.config.compose import compose
from gan_lab.datasets.base import chosen
from gan_lab.datasets.domains_folder import DomainsFolder
from gan_lab.datasets.many import turned
from gan_lab.datasets.many_domains import TRANSFORMS, ManyDomains, done, undone
from gan_lab.datasets.shapes import Shapes
from gan_lab.errors import ConfigError, DataError
from gan_lab.launch import launch
from gan_lab.losses import LeastSquares
from gan_lab.models import ComboGAN
from gan_lab.networks import patchgan, translator
from gan_lab.networks.each import Each
from gan_lab.runs.evaluation import evaluate, materials
from gan_lab.runs.run import Run
from gan_lab.storage import checkpoint
from gan_lab.training.loader import Loader

MANY = ["model=combogan", "dataset=many_domains", "loss=least_squares"]
FEW = ["model.encoders.network.blocks=0", "model.decoders.network.blocks=0"]
QUIET = ["trainer.steps=2", "trainer.evaluate_every=null"]


# ---- networks -------------------------------------------------------------------------------------------------------


def count(network):
    return sum(p.numel() for p in network.parameters())


def normed(network):
    """The channels behind whose layer a norm stands."""
    return sum(m.num_features for m in network.modules() if isinstance(m, nn.InstanceNorm2d))


def test_encoder_and_decoder_have_the_codes_numbers():
    """The official code's 5,099,143 and 6,565,770, with a bias for each normed channel in place of scale and shift."""
    encoder, decoder = translator.Encoder(3, 256), translator.Decoder(3, 256)
    assert count(encoder) - normed(encoder) == 5_099_143
    assert count(decoder) - normed(decoder) == 6_565_770


def test_a_translator_is_an_encoder_and_a_decoder():
    torch.manual_seed(0)
    whole = translator.Generator(3, 1, 16, width=4, blocks=2)
    same = {"width": 4, "blocks": 1, "activation": "relu"}
    encoder, decoder = translator.Encoder(3, 16, **same), translator.Decoder(1, 16, kernel=3, **same)
    assert [type(m) for m in [*encoder.layers, *decoder.layers]] == [type(m) for m in whole.layers]
    for half, layers in ((encoder, whole.layers[:11]), (decoder, whole.layers[11:])):
        for mine, theirs in zip(half.layers, layers, strict=True):
            mine.load_state_dict(theirs.state_dict())
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.equal(decoder(encoder(x)), whole(x))


@pytest.mark.parametrize("size", [16, 20, [16, 28], 48])
def test_codes_are_a_quarter_of_a_side(size):
    encoder, decoder = translator.Encoder(1, size, width=4), translator.Decoder(2, size, width=4)
    height, width = (size, size) if isinstance(size, int) else size
    code = encoder(torch.zeros(2, 1, height, width))
    assert code.shape == (2, 16, height // 4, width // 4) and decoder(code).shape == (2, 2, height, width)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: translator.Encoder(1, 30), "a side of 30 .* 28 and 32."),
        (lambda: translator.Encoder(1, 16, activation="elu"), "activation=elu is not known; choose relu or prelu"),
        (lambda: translator.Decoder(1, 16, kernel=5), "kernel=5 must be 3 or 4"),
        (lambda: translator.Decoder(1, 16, blocks=-1), "blocks=-1 must not be negative"),
        (lambda: Each(0, nn.Identity), "count=0 must be at least 1"),
    ],
)
def test_a_network_that_cannot_be_is_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


# ---- the game -------------------------------------------------------------------------------------------------------


class Times(nn.Module):
    """Multiplies by a number of its own, which begins as it is told."""

    multiple = 1

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, x):
        return self.factor * x


def times(*factors) -> Each:
    left = iter(factors)
    return Each(len(factors), lambda: Times(next(left)))


def game_of(encoders, decoders, **words) -> ComboGAN:
    torch.manual_seed(0)
    many = len(encoders)
    critics = Each(many, lambda: patchgan.Discriminator(1, 16, width=4, norm="none"))
    facts = {"num_domains": many, "channels": 1, "image_size": 16, "objective": LeastSquares()}
    return ComboGAN(times(*encoders), times(*decoders), critics, **facts, **words)


def batch_of(*levels):
    return {f"domain{d}": torch.full((2, 1, 16, 16), level) for d, level in enumerate(levels)}


def costs(game, *levels, step=0):
    return {name: term.item() for name, term in game.generator_loss(batch_of(*levels), step).losses.items()}


@pytest.mark.parametrize("many", [2, 3, 5])
def test_rounds_pair_every_domain_with_every_other_and_nobody_sits_out(many):
    game, pairs = game_of([1.0] * many, [1.0] * many), set()
    for step in range(many - 1):
        to = game.partners(step)
        assert sorted(to) == list(range(many)), "each is translated to once"
        pairs |= set(enumerate(to))
    assert pairs == {(a, b) for a in range(many) for b in range(many) if a != b}
    assert game.partners(many - 1) == game.partners(0)


@pytest.mark.parametrize("step", [0, 1])
def test_every_network_moves_in_every_turn(step):
    game, batch = game_of([1.0, 2.0, 3.0], [1.0, 0.5, 0.25], cycle=0.0), batch_of(0.1, 0.2, 0.3)
    sum(game.generator_loss(batch, step).losses.values()).backward()
    sum(game.discriminator_loss(batch, step).losses.values()).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in game.parameters())


def test_each_critic_judges_pictures_of_its_domain():
    game, seen = game_of([1.0, 2.0, 4.0], [1.0, 1.0, 1.0], pool=0), {}
    for d, critic in enumerate(game.discriminators.networks):
        critic.register_forward_hook(lambda m, x, out, d=d: seen.setdefault(d, []).append(round(x[0].mean().item(), 4)))
    game.discriminator_loss(batch_of(0.1, 0.2, 0.3), 0)  # 0 to 1, 1 to 2, 2 to 0
    assert seen == {1: [0.2, 0.1], 2: [0.3, 0.4], 0: [0.1, 1.2]}


def test_ways_back_cost_nothing_where_decoders_undo_encoders():
    terms = costs(game_of([2.0, 4.0, 8.0], [0.5, 0.25, 0.125]), 0.1, 0.2, 0.3)
    assert [terms[f"cycle_{d}"] for d in range(3)] == pytest.approx([0, 0, 0], abs=1e-6)
    assert not {name for name in terms if name.startswith(("identity", "near", "latent"))}


def test_terms_by_hand():
    """Two domains, a picture of 0.5 and one of 0.25; encoders 2 and 1, decoders 1 and 3."""
    game = game_of([2.0, 1.0], [1.0, 3.0], cycle=10.0, latent=5.0, identity=4.0, near=0.2)
    terms = costs(game, 0.5, 0.25)
    # 0: code 1, in domain 1 it is 3, whose code is 3, and back in domain 0 it is 3
    assert terms["cycle_0"] == pytest.approx(10 * 2.5) and terms["latent_0"] == 0, "the weight rises from step 0"
    assert costs(game, 0.5, 0.25, step=1)["latent_0"] == pytest.approx(5 * 2)
    assert terms["identity_0"] == pytest.approx(4 * 0.5) and terms["near_0"] == pytest.approx(0.2 * 2.5)
    # 1: code 0.25, in domain 0 it is 0.25, whose code is 0.5, and back in domain 1 it is 1.5
    assert terms["cycle_1"] == pytest.approx(10 * 1.25)
    assert costs(game, 0.5, 0.25, step=1)["latent_1"] == pytest.approx(5 * 0.25)


def test_codes_are_drawn_to_their_sources_code_and_that_stays():
    game = game_of([2.0, 1.0], [1.0, 3.0], cycle=0.0, latent=1.0, latent_steps=4)
    assert costs(game, 0.5, 0.25, step=2)["latent_0"] == pytest.approx(2 / 2)
    game.kept(*(torch.full((1, 1, 4, 4), 1.0) for _ in range(3)), 0, 1, 9).losses["latent_0"].backward()
    assert game.encoders.networks[0].factor.grad is None and game.encoders.networks[1].factor.grad is not None


def test_smooth_l1_is_half_of_the_square_when_near():
    terms = costs(game_of([2.0, 1.0], [1.0, 1.0], distance="smooth_l1"), 0.5, 0.25)
    assert terms["cycle_0"] == pytest.approx(10 * 0.5 * 0.5**2)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"cycle": -1.0}, "cycle=-1.0 must not be negative"),
        ({"pool": -1}, "pool=-1 must not be negative"),
        ({"remember": 0}, "remember=0 must be at least 1"),
        ({"distance": "l3"}, "distance=l3 is not known; choose l1 or l2 or smooth_l1"),
    ],
)
def test_a_number_that_cannot_be_is_a_sentence(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        game_of([1.0, 1.0], [1.0, 1.0], **words)
    with pytest.raises(ValueError, match="num_domains=1 must be at least 2"):
        game_of([1.0], [1.0])


@pytest.mark.parametrize(
    ("words", "sentence", "remedy"),
    [
        (["model.num_domains=4"], "model.num_domains=4, and the dataset has 3 domains.", "model.num_domains=3"),
        (["model.encoders.count=2"], "model.encoders.count=2, and there are 3 domains.", "model.encoders.count=3"),
    ],
)
def test_a_wrong_number_of_domains_is_a_sentence_with_a_remedy(words, sentence, remedy):
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        made(*MANY, *FEW, *words)
    assert f"Set {remedy}." in str(caught.value)
    with pytest.raises(ConfigError, match="such as dataset=many_domains, with your pictures as dataset.of=NAME"):
        made("model=combogan", *FEW)


def test_pools_resume_bit_for_bit(tmp_path):
    words = [*MANY, *FEW, "model.pool=12"]
    uncut = made(*words, rounds=5)
    checkpoint.save(tmp_path, made(*words, rounds=2).state_dict())
    resumed = trainer_of(config_of(*words))
    resumed.load_state_dict(checkpoint.load_newest(tmp_path))
    assert fingerprint(play(resumed, 3).state_dict()) == fingerprint(uncut.state_dict())


def test_reused_fakes_are_judged_in_the_same_round():
    trainer = play(made(*MANY, *FEW, "model.reuse_fakes=true"), 2)
    assert [seat.name for seat in trainer.seats] == ["generator", "discriminator"]
    assert trainer.game.last_fakes.fakes == []


def test_seeds_see_every_pair_and_a_picture_of_the_domain_that_is_asked_for():
    game = made(*MANY, *FEW, "model.remember=5").game.eval()
    rows = game.draw(range(12))
    assert rows["source"].shape == (12, 3, 1, 16, 16)
    pairs = list(zip(rows["domain"].tolist(), rows["to"].tolist(), strict=True))
    assert len(set(pairs)) == 6 and all(a != b for a, b in pairs)
    made_of = game.sample(rows)["image"]
    for i, (a, b) in enumerate(pairs):
        torch.testing.assert_close(made_of[i], game.translate(rows["source"][i : i + 1, a], a, b)[0])
    other = game.sample(rows.changed(domain=torch.full((12,), 2)))["image"]
    torch.testing.assert_close(other[0], game.translate(rows["source"][:1, 2], 2, pairs[0][1])[0])


def test_a_preview_has_a_row_for_a_picture_and_a_column_for_a_domain():
    trainer = made(*MANY, *FEW)
    (batch,) = trainer.loader.batch(0)
    game = trainer.game.eval()
    table = game.preview(batch, game.draw(range(8)), 0)["fixed"]
    assert table.shape == (6, 4, 1, 16, 16) and torch.equal(table[2, 0], batch["domain1"][0])
    torch.testing.assert_close(table[2, 1 + 2], game.translate(batch["domain1"][:1], 1, 2)[0], atol=1e-5, rtol=1e-5)


# ---- data of transforms ---------------------------------------------------------------------------------------------


def shapes_in(*transforms, size=60, **options):
    facts = {"channels": 3, "image_size": 12, "num_classes": len(transforms)}
    return ManyDomains(Shapes(size=size, image_size=12), list(transforms), **facts, **options)


def test_facts_and_rows_agree_with_the_tensors():
    data = shapes_in("none", "tint", "invert", size=62)
    whole = data.tensors()
    assert tuple(whole) == data.gives == ("image", "label", "domain", "to", "domain0", "domain1", "domain2")
    assert data.nbytes == sum(tensor.nbytes for tensor in whole.values()) and data.counts == [21, 21, 20]
    for name, values in data.rows(torch.tensor([7, 3, 3])).items():
        assert torch.equal(values, whole[name][[7, 3, 3]])
    for i, d in enumerate(data.labels.tolist()):
        assert torch.equal(whole["image"][i], whole[f"domain{d}"][i]) and whole["to"][i] != d
    assert data.describe().count("\n") < 3 and "none: 21, tint: 21, invert: 20" in data.describe()


def test_parts_are_disjoint_and_whole():
    data = shapes_in("none", "tint", "invert", size=62)
    parts = [set(taken.tolist()) for taken in data.taken]
    assert sum(map(len, parts)) == 62 == len(set.union(*parts))


@pytest.mark.parametrize("a", TRANSFORMS)
def test_each_transform_can_be_undone(a):
    x = torch.rand(2, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(undone(done(x, a), a), x)
    assert done(x, a).abs().max() <= 1 and (a == "none" or not torch.allclose(done(x, a), x, atol=0.1))


def test_the_truth_is_the_others_transform_of_what_was_there():
    data = shapes_in("none", "tint", "rotate")
    plain = data.of.columns(data.taken[1][:4], "image")["image"]
    of_one = data.columns(torch.arange(4), "domain1")["domain1"]
    ones = torch.ones(4, dtype=torch.int64)
    assert (data.truth(of_one, ones, 0 * ones) - plain).abs().max() <= 2.01 / 255
    assert (data.truth(of_one, ones, 2 * ones) - plain.rot90(1, (2, 3))).abs().max() <= 2.01 / 255


@pytest.mark.parametrize("resident", [True, False])
def test_pictures_of_every_domain_are_seen_equally_often_and_company_changes(resident):
    data = shapes_in("none", "tint", "invert", size=62)
    loader = Loader(data, 7, resident=resident)
    batches = [batch for number in range(3 * loader.batches_per_epoch) for batch in loader.batch(number)]
    for place in data.places[1:]:
        seen = torch.cat([batch[place].flatten(1) for batch in batches])
        _, often = seen.unique(dim=0, return_counts=True)
        assert often.max() - often.min() <= 1 and len(often) >= 18
    whole = Loader(data, 20, resident=resident)
    company = [{tuple(a.flatten().tolist()): b for a, b in zip(batch["domain0"], batch["domain1"], strict=True)}
               for i in range(2) for batch in whole.batch(i)]  # fmt: skip
    both = company[0].keys() & company[1].keys()
    assert sum(torch.equal(company[0][one], company[1][one]) for one in both) < len(both) / 2


def test_domains_of_a_row_are_flipped_apart():
    data = shapes_in("none", "tint", "invert", flip=True)
    bits = torch.randint(2**62, (60,), generator=torch.Generator().manual_seed(0))
    flips = [turned(bits, 7 * d) & 1 for d in range(3)]
    assert all(0.2 < float((flips[0] ^ other).double().mean()) < 0.8 for other in flips[1:])
    assert torch.equal(turned(torch.zeros(3, dtype=torch.int64), 7), torch.zeros(3, dtype=torch.int64))
    assert bool((turned(bits, 14) >= 0).all())
    assert data.flip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dataset.transforms=[none,blue]"], "transforms: blue is not known; choose of none, rotate"),
        (["dataset.transforms=[none]"], "must name two or more different ones"),
        (["dataset.transforms=[none,none]"], "must name two or more different ones"),
        (["dataset.transforms=[none,tint]"], "transforms: tint changes colours, and the pictures of dataset.of are"),
        (["dataset.transforms=[none,rotate]", "dataset.flip=true"], "transform=rotate and flip=true"),
        (["dataset.of=shapes", "dataset.of.size=5", "dataset.channels=3", "dataset.image_size=32"], "need 6 pictures"),
    ],
)
def test_transforms_that_cannot_be_are_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        build_dataset(config_of("dataset=many_domains", *words))


# ---- data of folders ------------------------------------------------------------------------------------------------


def folder_of(root, *folders, many=3):
    """Pictures of one grey level each below a root, all different; `many` or as many as a folder says."""
    for i, folder in enumerate(folders):
        name, _, own = folder.partition(":")
        (root / name).mkdir(parents=True, exist_ok=True)
        for j in range(int(own or many)):
            Image.new("RGB", (12, 12), (50 * i + j,) * 3).save(root / name / f"{j}.png")
    return root


def levels(data, place):
    return sorted(set(data.tensors()[place][:, 0, 0, 0].tolist()))


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (("monet", "photo", "vangogh"), ["monet", "photo", "vangogh"]),
        (("train/monet", "train/photo", "test/monet", "test/photo"), ["monet", "photo"]),
        (("monet/train", "photo/train", "monet/test", "photo/test"), ["monet", "photo"]),
        (("trainA", "trainB", "testA", "testB"), ["A", "B"]),
        (("all/train0", "all/train1", "all/train2", "all/test0", "all/test1", "all/test2"), ["0", "1", "2"]),
        (("train_day", "train_night", "test_day", "test_night"), ["day", "night"]),
    ],
)
def test_domains_are_found_by_their_folders(tmp_path, folders, names):
    root = str(folder_of(tmp_path, *folders))
    data = DomainsFolder(root, image_size=8)
    assert data.classes == names and data.counts == [3] * len(names)
    assert levels(data, "domain1") == [50, 51, 52]
    config = compose(["model=combogan", "dataset=domains_folder", f"dataset.path={root}", "dataset.image_size=16"])
    assert config["model"]["num_domains"] == len(names)
    if len(folders) > len(names):
        test = DomainsFolder(root, split="test", image_size=8)
        assert test.classes == names and levels(test, "domain0") == [50 * len(names) + j for j in range(3)]


def test_domains_of_unequal_size_are_all_seen(tmp_path):
    data = DomainsFolder(str(folder_of(tmp_path, "a:7", "b:3", "c:5")), image_size=8)
    assert len(data) == 7 and data.counts == [7, 3, 5] and data.loose == ("domain1", "domain2")
    assert [len(levels(data, place)) for place in data.places] == [7, 3, 5]


@pytest.mark.parametrize(
    ("folders", "options", "sentence"),
    [
        (("monet",), {}, "has no folders of two domains or more, each with the pictures of one: it has monet (3)"),
        (("up/monet/a", "up/monet/b:1"), {}, "the domain b has one picture, up/monet/b/0.png, from which nothing can"),
        (("a", "b"), {"num_classes": 3}, "dataset.num_classes=3, but"),
        (("train/a", "train/b", "test/a"), {"split": "test"}, "two domains or more"),
        (("trainA", "trainB", "trainC", "testA", "testB"), {"split": "test"}, "the domain C is in one of train and"),
        (("a", "b", "."), {}, "has no folders of two domains or more"),
    ],
)  # fmt: skip
def test_folders_that_are_no_domains_are_a_sentence(tmp_path, folders, options, sentence):
    with pytest.raises(DataError, match=re.escape(sentence)):
        DomainsFolder(str(folder_of(tmp_path, *folders)), image_size=8, **options)


def test_a_folder_one_level_too_high_is_told_when_it_is_composed(tmp_path, capsys):
    folder_of(tmp_path, "everything")
    assert main(["train", "model=combogan", "dataset=domains_folder", f"dataset.path={tmp_path}"]) == 3
    assert "Put each domain into a folder of its own" in capsys.readouterr().err


def test_pictures_are_cut_in_the_middle_for_judges(tmp_path):
    data = DomainsFolder(str(folder_of(tmp_path, "a", "b")), image_size=8, jitter=4)
    assert {each.shape[1] for name, each in data.plain(torch.arange(3)).items() if each.dim() == 4} == {8}
    assert data.columns(torch.arange(3))["domain1"].shape == (3, 3, 8, 8)


# ---- the commands ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("combo") / "run"
    launch.train(config_of(*MANY, *FEW, *QUIET), folder)
    return folder


def test_a_picture_becomes_one_of_the_domain_asked_for(run, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    game = gan_lab.load(run).game
    for a, b in ((0, 1), (1, 2), (2, 0)):
        names = [["none", "invert", "pale"][d] for d in (a, b)]
        place = tmp_path / f"{a}{b}.png"
        words = [f"domain={names[0]}", f"to={names[1]}"]
        assert main(["translate", str(run), str(tmp_path / "a.png"), str(place), *words]) == 0
        expected = game.translate(torch.from_numpy(pixels).float()[None, None] / 127.5 - 1, a, b)[0, 0]
        with Image.open(place) as opened:
            assert np.abs(np.array(opened.convert("L")) - (expected.numpy() + 1) * 127.5).max() <= 0.51


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say domain=... and to=..."),
        (["domain=none"], "say to=..."),
        (["domain=none", "to=invrt"], "there is no domain 'invrt'; did you mean 'invert'"),
        (["domain=none", "to=invert,pale"], "to=invert,pale must name one domain"),
    ],
)
def test_a_translation_that_is_not_told_which_is_a_sentence(run, tmp_path, capsys, words, sentence):
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    assert main(["translate", str(run), str(tmp_path / "a.png"), str(tmp_path / "out"), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_samples_are_of_the_domain_asked_for(run):
    loaded = gan_lab.load(run)
    assert loaded.rows(range(5), to="invert")["to"].tolist() == [1] * 5
    assert loaded.sample(5, domain="pale", to="invert").shape == (5, 1, 16, 16)


def test_an_evaluation_says_how_far_the_truth_is(run):
    loaded = Run(run)
    rows = materials(loaded.game, loaded.dataset, range(12))
    which = chosen(len(loaded.dataset), 12)
    own, to = (loaded.dataset.columns(which, name)[name] for name in ("domain", "to"))
    assert torch.equal(rows["domain"], own) and torch.equal(rows["to"], to) and rows["source"].dim() == 4
    figures = {figure.name.partition("/")[0] if figure.name.startswith("fid") else figure.name: figure.value
               for figure in evaluate(loaded, n=60, extractor="pixels", say=lambda line: None)}  # fmt: skip
    assert {"l1/truth", "l1_of_source/truth", "l1/way_back"} <= figures.keys()
    assert figures["l1_of_source/truth"] > 0.1


def test_the_laptops_preset_is_played_as_it_is():
    game = check_preset("combogan_digits").game.eval()
    assert game.sample(game.draw([0]))["image"].shape == (1, 1, 16, 16)


def test_the_papers_preset_takes_steps(tmp_path):
    root = folder_of(tmp_path, *(f"train/painter{i}" for i in range(14)), many=2)
    small = ["dataset.image_size=32", "dataset.jitter=4", "model.discriminators.network.receptive_field=34"]
    small += [f"model.{each}.network.width=4" for each in ("encoders", "decoders", "discriminators")]
    game = check_preset("combogan_paintings", f"dataset.path={root}", *small).game
    assert game.num_domains == 14 == len(game.encoders.networks) == len(game.discriminators.networks)
