"""Looks inside a run: each figure on a case with a known answer, each look on every model, and the command."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import config_of, names, words_for
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import gan_lab
from gan_lab.analysis import arithmetic as arithmetics
from gan_lab.analysis import dropout as dropouts
from gan_lab.analysis.arithmetic import arithmetic
from gan_lab.analysis.concepts import Concept
from gan_lab.analysis.dropout import dropout
from gan_lab.analysis.edit import edit, histogram
from gan_lab.analysis.filters import GuidedReLU
from gan_lab.analysis.interpolation import interpolation
from gan_lab.analysis.linear import Linear, features_by
from gan_lab.analysis.listing import looks
from gan_lab.analysis.neighbours import neighbours
from gan_lab.analysis.projection import projection
from gan_lab.analysis.traversal import traversal
from gan_lab.cli import main
from gan_lab.datasets import Digits
from gan_lab.datasets.shapes import Shapes
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.metrics import classifier as classifiers
from gan_lab.rows import Rows
from gan_lab.runs.run import Run

QUICK = {
    "arithmetic": {"pool": 60, "trials": 8},
    "adversarial": {"n": 60, "n_test": 30},
    "directions": {"over": 2, "count": 2, "steps": 3},
    "dropout": {"n": 60},
    "edit": {"candidates": 4, "steps": 3, "shown": 2},
    "features": {"n": 60, "n_test": 30},
    "filters": {"n": 30},
    "interpolation": {"pairs": 4},
    "neighbours": {"n": 20, "most": 100, "rows": 2},
    "path_length": {"n": 20, "features": "pixels"},
    "steganography": {"n": 8, "rows": 2},
    "projection": {"n": 2, "starts": 2, "steps": 3, "pairs": 20, "most": 100},
    "traversal": {"over": 2},
}


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    """A cache of one's own, and judges that learn in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(classifiers, "IMAGES", 1500)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "run"
    launch.train(config_of("model=dcgan", "dataset.split=train", "trainer.steps=2"), folder)
    return folder


@pytest.fixture(scope="module")
def brush(tmp_path_factory):
    """A file with one white stroke on nothing."""
    path = tmp_path_factory.mktemp("strokes") / "brush.png"
    pixels = np.zeros((16, 16, 4), dtype=np.uint8)
    pixels[4:8, 4:12] = 255
    Image.fromarray(pixels).save(path)
    return str(path)


class Made(Run):
    """A run whose generator is a function of latents [N, D] that the test knows."""

    dataset = game = None

    def __init__(self, generator, dataset=None, latent_dim=6):
        self.generator, self.dataset, self.device = generator, dataset or Digits("train"), torch.device("cpu")
        self.game = SimpleNamespace(
            sample=lambda rows: Rows(image=self.generator(rows["latent"])), averaged=("generator",),
            generator=generator, made_of=("latent",), spaces=(), makes=("image",), conditions=(), spoken={},
            into=lambda rows, space: rows,
            draw=lambda seeds: Rows(latent=torch.stack([self.latent(seed) for seed in seeds])),
        )  # fmt: skip
        self.latent_dim = latent_dim
        self.config = config_of("dataset.split=train")

    def latent(self, seed):
        return torch.randn(self.latent_dim, generator=torch.Generator().manual_seed(int(seed)))


def flat_pictures(latents, weight):
    """Latents to pictures [N, 1, 16, 16] by a matrix: every change of a latent is a change of the picture in line."""
    return (latents @ weight).view(-1, 1, 16, 16)


@pytest.fixture
def weight():
    return torch.randn(6, 256, generator=torch.Generator().manual_seed(3)) * 0.2


# ---- known answers ---------------------------------------------------------------------------------------------------


def test_a_straight_way_through_a_linear_generator_is_even(weight):
    figures = interpolation(Made(lambda z: flat_pictures(z, weight)), steps=5, pairs=10).figures
    assert figures["linear/unevenness"] == pytest.approx(1, abs=1e-3)
    assert figures["linear/largest_step"] == pytest.approx(1 / 4, abs=0.05)
    assert figures["spherical/unevenness"] > 1.01


def test_a_jump_is_a_step_that_is_all_of_the_way():
    """Pictures of the sign of one coordinate: a walk between two of unlike sign jumps once."""
    run = Made(lambda z: torch.sign(z[:, :1])[..., None, None].expand(-1, 1, 16, 16))
    run.latent = lambda seed: torch.tensor([1.0 if seed % 2 else -1.0])
    figures = interpolation(run, steps=8, pairs=4).figures
    assert figures["linear/unevenness"] == pytest.approx(7)


def test_the_coordinate_that_changes_most_comes_first(weight):
    scaled = weight * torch.tensor([0.1, 0.2, 3.0, 0.1, 1.0, 0.1])[:, None]
    finding = traversal(Made(lambda z: flat_pictures(z, scaled)), rows=2, over=5)
    assert list(finding.figures) == ["effect/2", "effect/4"]
    assert finding.figures["effect/2"] / finding.figures["effect/4"] == pytest.approx(3, rel=0.2)


def test_a_coordinate_that_is_not_there_is_named(weight):
    with pytest.raises(ConfigError, match="coordinates=6 is not there: the numbers of a latent are 0 to 5."):
        traversal(Made(lambda z: flat_pictures(z, weight)), coordinates=[1, 6])


def test_a_generator_that_repeats_training_pictures_is_found_out():
    dataset = Digits("train")
    known = dataset.tensors()["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
    copies = neighbours(Made(lambda z: known[(z[:, 0].abs() * 1000).long() % len(known)], dataset), n=40).figures
    assert copies["samples"] < 1e-5 and copies["novelty"] < 1e-5 and copies["copies"] == 1
    noise = neighbours(Made(lambda z: torch.randn(len(z), 1, 16, 16).clamp(-1, 1), dataset), n=40).figures
    assert noise["novelty"] > 1.5 and noise["copies"] == 0 and noise["real"] == copies["real"]


def test_what_a_generator_can_draw_is_found_and_what_it_cannot_is_not(weight, tmp_path):
    run = Made(lambda z: torch.tanh(flat_pictures(z, weight)))
    drawn = run.generate(run.rows([77]))[0, 0].add(1).mul(127.5).round().byte().numpy()
    Image.fromarray(drawn).save(tmp_path / "own.png")
    own = projection(run, images=[str(tmp_path / "own.png")], steps=200, use_encoder=False).figures
    other = projection(run, n=2, steps=50, use_encoder=False).figures
    assert own["error"] < 0.03 < 0.3 < own["start"] and own["below"] == 1
    assert other["error"] > 0.3


@pytest.mark.slow
def test_an_encoder_starts_nearer(weight):
    run = Made(lambda z: torch.tanh(flat_pictures(z, weight)))
    guessed = projection(run, n=3, starts=1, steps=2, pairs=400).figures
    drawn = projection(run, n=3, starts=1, steps=2, use_encoder=False).figures
    assert guessed["encoder"] == guessed["start"] < 0.95 * drawn["start"]


def test_a_brush_is_followed_where_it_painted(weight, brush):
    run = Made(lambda z: torch.tanh(flat_pictures(z, weight)))
    free, held = (edit(run, brush=brush, near=near, steps=60, candidates=8).figures for near in (0.0, 1e3))
    assert free["colour"] < 0.9 * free["colour/before"]
    assert held["way"] < 0.3 * free["way"], "the further way costs more than the stroke is worth"


def test_edges_have_a_direction():
    upright, level = torch.full((1, 1, 14, 14), -1.0), torch.full((1, 1, 14, 14), -1.0)
    upright[..., 7:], level[..., 7:, :] = 1, 1
    by_direction = [histogram(x).sum(dim=(2, 3))[0] for x in (upright, level)]
    assert by_direction[0].argmax() == 0 and by_direction[1].argmax() == 4  # of eight, from 0 to 180 degrees


def test_a_linear_classifier_learns_what_a_line_divides():
    x = torch.randn(400, 5, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > x[:, 1]).long()
    assert Linear(x[:300], y[:300], 2).accuracy(x[300:], y[300:]) > 0.95
    assert Linear(x[:300], y[:300].roll(1), 2).accuracy(x[300:], y[300:]) < 0.7


def test_every_layer_before_the_score_gives_features():
    def features(*critic):
        discriminator = nn.Sequential(*critic)
        game = SimpleNamespace(critics=("discriminator",), main_critic=discriminator, critic=discriminator)
        return features_by(game)(torch.randn(3, 1, 16, 16)).shape

    halves = nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4, 2, 1)
    assert features(*halves, nn.Flatten(), nn.Linear(256, 1)) == (3, 8 * 16)
    assert features(nn.Flatten(), nn.Linear(256, 10), nn.ReLU(), nn.Linear(10, 1)) == (3, 10)


def test_guided_gradients_pass_where_input_and_gradient_are_positive():
    x = torch.tensor([1.0, -1.0, 1.0, -1.0], requires_grad=True)
    (GuidedReLU.apply(x) * torch.tensor([1.0, 1.0, -1.0, -1.0])).sum().backward()
    assert x.grad.tolist() == [1, 0, 0, 0]


class Brightness(nn.Module):
    """Reads a class off places of a picture: class i is there where place i is bright."""

    about = "a rule"

    def forward(self, images):
        corners = images.float()[:, 0, ::8, ::8].flatten(1) / 255  # four places of 16 x 16
        return corners, torch.nn.functional.pad(corners, (0, 6))


def places(draw):
    """Pictures [N, 1, 16, 16] whose four quarters are as bright as four numbers in [0, 1] say."""
    return draw.view(-1, 1, 2, 2).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3) * 2 - 1


def test_arithmetic_on_latents_is_found_where_the_generator_adds(monkeypatch):
    monkeypatch.setattr(arithmetics, "reader", lambda run, kind, judges=False: Brightness())
    run = Made(lambda z: places(torch.sigmoid(20 * (z[:, :4] - 0.5))))
    words = {"start": "label:0", "minus": "label:0", "plus": "label:2"}
    figures = arithmetic(run, **words, pool=400, trials=50).figures
    assert figures["share"] > 0.85 and figures["factor"] > 2.5
    assert figures["chance"] == pytest.approx(0.3, abs=0.1)  # of z > 1/2


class OneChannelAClass(nn.Module):
    """Its last hidden layer has a channel for each quarter of the picture, which alone draws it."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(4, 1, 1, bias=False)
        nn.init.ones_(self.last.weight)

    def forward(self, z):
        hidden = torch.zeros(len(z), 4, 16, 16)
        for i, (row, column) in enumerate([(0, 0), (0, 8), (8, 0), (8, 8)]):
            hidden[:, i, row : row + 8, column : column + 8] = (z[:, i] > 0.5).float()[:, None, None]
        return self.last(hidden) * 2 - 1


def test_the_channel_that_draws_an_object_is_found_and_taken_away(monkeypatch):
    monkeypatch.setattr(dropouts, "reader", lambda run, kind, judges=False: Brightness())
    figures = dropout(Made(OneChannelAClass()), concept="label:1", share=0.06, n=300).figures
    assert figures["before"] > 0.2 and figures["after"] == 0
    assert figures["others/after"] == figures["others/before"] > 0.2
    assert figures["random/after"] > 0


# ---- concepts --------------------------------------------------------------------------------------------------------


def test_concepts_are_read_as_they_are_typed():
    shapes = Shapes(size=10)
    both = Concept("attribute:red+circle", shapes)
    said = torch.zeros(3, len(shapes.attribute_names))
    said[0, both.columns], said[1, both.columns[0]] = 0.9, 0.9
    assert both.there(said).tolist() == [True, False, False]
    assert Concept("seeds:1-3,9", shapes).seeds == [1, 2, 3, 9]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("red", "is no concept; write label:3, attribute:red"),
        ("label:13", "there is no label '13'"),
        ("attribute:rde", "has no attributes"),
        ("label:1+2", "a picture has one label"),
        ("seeds:x", r"must be numbers below 2\^63 and ranges"),
    ],
)
def test_a_concept_that_is_none_gets_a_sentence(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Concept(text, Digits())


# ---- every look on every model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", names("model"))
def test_runs_of_every_model_can_be_looked_at(model, tmp_path, brush):
    launch.train(config_of(*words_for(model), "trainer.steps=1", "trainer.evaluate_every=null"), tmp_path / "run")
    run = gan_lab.load(tmp_path / "run")
    assert set(looks()) == set(QUICK), "a new look is added here with the options that make it quick"
    for what, options in QUICK.items():
        try:
            finding = run.analyze(what, **options, **({"brush": brush} if what == "edit" else {}))
        except ConfigError as error:
            assert is_expected(what, run, str(error))
            continue
        assert all(isinstance(value, float) for value in finding.figures.values()) and finding.figures
        assert all(p.dtype == np.uint8 and p.ndim == 3 and p.shape[2] == 3 for p in finding.pictures.values())


def is_expected(what, run, sentence):
    """Of a generator that has learned nothing there may be no sample of a class; some looks are for some games."""
    if not run.dataset.classes and "labels" in sentence:
        return True
    if what == "steganography":
        return "latent" in run.game.made_of or "back" not in run.game.translators
    if what == "directions" and "takes a latent as it is" in sentence:
        return run.game.made_of[0] == "latent"
    if what in ("arithmetic", "directions", "edit", "path_length", "projection", "traversal"):
        return "samples" in sentence or ("this run translates images" in sentence and "latent" not in run.game.made_of)
    return what == "dropout" and "samples" in sentence


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_pictures_figures_and_their_protocol_and_overwrites_nothing(run, capsys):
    for folder in ("interpolation", "interpolation-2"):
        assert main(["analyze", str(run), "what=interpolation", "pairs=3", "seeds=[3,8]"]) == 0
        found = json.loads((run / "analysis" / folder / "finding.json").read_text())
        assert found["figures"].keys() == {
            f"{w}/{n}" for w in ("linear", "spherical") for n in ("largest_step", "unevenness")
        }
        assert found["protocol"]["step"] == 2 and found["protocol"]["options"] == {"pairs": 3, "seeds": [3, 8]}
        assert (run / "analysis" / folder / "linear.png").is_file()
        assert not list((run / "analysis").rglob("events.*")), "the run stays one on TensorBoard's list"
    events = EventAccumulator(str(run)).Reload()
    assert "analysis_interpolation/linear/unevenness" in events.Tags()["scalars"]
    assert "analysis_interpolation/linear" in events.Tags()["tensors"]
    assert "Each row goes from one latent to another" in capsys.readouterr().out


def test_help_names_every_look_and_the_options_of_one(capsys):
    assert main(["analyze", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name}" in said for name in looks())
    assert main(["analyze", "what=edit", "--help"]) == 0
    assert "brush=..." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["what=interpolations"], "did you mean 'interpolation'"),
        ([], "name an analysis"),
        (["what=interpolation", "stesp=3"], "unknown setting 'stesp'; did you mean 'steps'?"),
        (["what=interpolation", "steps=none"], "steps=none must be a whole number"),
        (["what=edit"], "edit needs strokes"),
        (["what=edit", "brush=nowhere.png"], "nowhere.png cannot be read as a picture"),
        (["what=arithmetic", "start=label:1"], "needs start=, minus= and plus="),
        (["what=traversal", "over=1"], "over=1: figures are shares of what two samples differ by"),
    ],
)
def test_a_wrong_word_gets_a_sentence(run, capsys, words, sentence):
    assert main(["analyze", str(run), *words]) in (2, 3)
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said


def test_points_are_no_pictures(tmp_path, capsys):
    launch.train(config_of("dataset=ring8", "trainer.steps=1", "trainer.evaluate_every=null"), tmp_path / "run")
    assert main(["analyze", str(tmp_path / "run"), "what=traversal"]) == 2
    assert "this run generates points" in capsys.readouterr().err
    assert main(["analyze", str(tmp_path / "run"), "what=all"]) == 0
    assert capsys.readouterr().out.count("left out") == len(looks())
