"""Samples by their styles: mixed, walked, searched, measured, moved along directions; against known answers."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import config_of
from PIL import Image
from torch import nn

import gan_lab
from gan_lab import pictures
from gan_lab.analysis import directions as looks_along
from gan_lab.analysis.directions import closed_form, directions, entered
from gan_lab.analysis.path_length import between, path_length, paths, trimmed
from gan_lab.analysis.projection import projection
from gan_lab.cli import main
from gan_lab.commands.sample import mixed
from gan_lab.datasets import Digits
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.metrics import Pixels
from gan_lab.rows import Rows
from gan_lab.runs.run import Run, interpolate

SMALL = ["model.latent_dim=8", "model.generator.style_dim=8"]


def trained(folder, *words):
    launch.train(config_of(*words, "trainer.steps=2", "trainer.evaluate_every=null"), folder)
    return folder


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("outputs") / "styled", "model=stylegan2", *SMALL)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("outputs") / "told", "model=conditional_stylegan2", *SMALL)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("outputs") / "plain", "model=dcgan", "model.latent_dim=8")


class Made(Run):
    """A run of pictures that are linear in a style, which is linear in the latent: by matrices that the test knows."""

    dataset = game = None

    def __init__(self, paint, to_style=None):
        self.paint, self.to_style, self.dataset, self.device = paint, to_style, Digits("train"), torch.device("cpu")
        self.config = config_of("dataset.split=train")
        self.game = SimpleNamespace(
            sample=self.drawn, into=self.styled, makes=("image",), made_of=("latent",), conditions=(), per_layer="",
            spoken={},
            spaces=("style",) if to_style is not None else (), modules=lambda: iter([]),
            draw=lambda seeds: Rows(latent=torch.stack([self.latent(seed) for seed in seeds])),
        )  # fmt: skip

    def latent(self, seed):
        return torch.randn(6, generator=torch.Generator().manual_seed(int(seed)))

    def styled(self, rows, space):
        return rows if space == "latent" else Rows(style=rows["latent"] @ self.to_style)

    def drawn(self, rows):
        place = rows["style"] if self.to_style is None or "style" in rows else rows["latent"] @ self.to_style
        return Rows(image=(place @ self.paint).view(-1, 1, 16, 16))


class Plain(Made):
    def drawn(self, rows):
        return Rows(image=self.paint(rows["latent"]))


@pytest.fixture
def matrices():
    draw = torch.Generator().manual_seed(3)
    return torch.randn(5, 256, generator=draw) * 0.2, torch.randn(6, 5, generator=draw)


# ---- spaces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["styled", "conditional"])
def test_a_sample_is_the_same_by_its_latent_and_by_its_styles(kind, request):
    run = gan_lab.load(request.getfixturevalue(kind))
    rows = run.rows(range(3))
    for options in ({}, {"truncation": 0.5}):
        wanted = run.generate(rows, **options)
        for space in ("style", "styles"):
            there = run.into(rows, space)
            assert "latent" not in there
            torch.testing.assert_close(run.generate(there, **options), wanted)
    assert torch.equal(run.into(run.into(rows, "style"), "styles")["styles"], run.into(rows, "styles")["styles"])


def test_a_walk_of_styles_is_straight_between_two_samples(styled):
    run = gan_lab.load(styled)
    start, end = run.into(run.rows([1, 2]), "style").split(1)
    walk = run.walk(start, end, 5, "linear", "style")
    torch.testing.assert_close(walk["style"][2], (start["style"][0] + end["style"][0]) / 2)
    torch.testing.assert_close(run.generate(walk.at([0, 4])), run.generate(run.rows([1, 2])))


@pytest.mark.parametrize(
    "what", ["interpolation", "traversal", "projection", "path_length", "directions", "arithmetic"]
)
def test_a_space_that_is_not_there_is_named(plain, what, capsys):
    assert main(["analyze", str(plain), f"what={what}", "space=style"]) == 2
    assert "space=style is not known: samples of this run can be moved in latent." in capsys.readouterr().err


def test_looks_go_into_a_named_space(styled, tmp_path):
    run = gan_lab.load(styled)
    Image.fromarray(np.full((16, 16, 4), 255, dtype=np.uint8)).save(tmp_path / "brush.png")
    strokes = {"brush": str(tmp_path / "brush.png"), "candidates": 2, "shown": 1, "near": 0.0, "steps": 10}
    figures = run.analyze("edit", space="styles", **strokes).figures
    assert figures["colour"] < figures["colour/before"] and figures["way"] > 0
    assert run.analyze("interpolation", space="style", pairs=2).figures
    few = run.analyze("traversal", space="style", over=2).figures
    assert len(few) == 8 and all(int(name.removeprefix("effect/")) < 8 for name in few)
    sums = run.analyze("arithmetic", space="style", start="seeds:1", minus="seeds:1", plus="seeds:2", examples=1)
    assert not sums.figures and sums.pictures
    with pytest.raises(ConfigError, match="coordinates=8 is not there: the numbers of a style are 0 to 7"):
        run.analyze("traversal", space="style", coordinates=[8])


# ---- mixed styles ----------------------------------------------------------------------------------------------------


def test_the_diagonal_of_a_table_of_itself_is_the_unmixed_samples(styled):
    run = gan_lab.load(styled)
    rows = run.rows([3, 4, 5, 3, 4, 5])
    table = run.generate(mixed(run, rows, 3, 3, None)).unflatten(0, (3, 3))
    torch.testing.assert_close(table.diagonal().movedim(-1, 0), run.generate(rows.at([0, 1, 2])))
    assert not torch.allclose(table[0, 1], table[0, 0]) and not torch.allclose(table[0, 1], table[1, 1])


def test_rows_give_the_layers_before_the_cut_and_columns_the_others(styled):
    run = gan_lab.load(styled)
    rows = run.rows(range(5))
    styles = run.into(rows, "styles")["styles"]
    found = mixed(run, rows, 2, 3, 4)["styles"].unflatten(0, (2, 3))  # [rows, columns, layers, D]
    for i in range(2):
        for j in range(3):
            assert torch.equal(found[i, j, :4], styles[i, :4]) and torch.equal(found[i, j, 4:], styles[2 + j, 4:])


def test_the_command_draws_the_table_with_its_sources(styled, tmp_path, capsys):
    path = tmp_path / "mix.png"
    assert main(["sample", str(styled), "mix=2x3", "truncation=0.7", f"out={path}"]) == 0
    run = gan_lab.load(styled)
    sources = run.generate(run.rows(range(5)), truncation=0.7)
    drawn = np.asarray(Image.open(path).convert("RGB"))
    expected = pictures.grid(torch.cat([torch.ones_like(sources[:1]), sources[2:]]), columns=4)
    assert np.array_equal(drawn[: len(expected) - 2], expected[: len(expected) - 2]), (
        "the sources of the columns on top"
    )
    assert main(["sample", "--help"]) == 0
    assert "mix=4 " in capsys.readouterr().out


WRONG = {
    "mix=4x": "mix=4x must be one number, or rows x columns such as 3x5.",
    "mix=0": "mix=0 must be one number, or rows x columns such as 3x5.",
    "mix=9999999999": "is a table of 99,999,999,980,000,000,001 pictures; at most 10,000 are made at once.",
    "mix=2 seeds=1-3": "mix=2 needs 4 seeds, 2 for its rows and 2 for its columns, and there are 3: set seeds=0-3, "
    "for example.",
    "mix=2 cut=6": "cut=6 leaves the columns no layer: this run's samples have 6; set cut=5.",
    "cut=2": "cut says where styles are mixed: add mix=4.",
    "mix=2 files=true": "mix makes one table, and files something else: leave out one of the two.",
    "mix=2 interpolate=linear": "mix makes one table, and interpolate something else: leave out one of the two.",
    "space=style": "space=style is for interpolations: add interpolate=linear.",
    "space=w interpolate=linear": "space=w is not known: samples of this run can be moved in "
    "latent or style or styles.",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_table_gets_a_sentence(styled, capsys, line):
    assert main(["sample", str(styled), *line.split()]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("gan-lab: ") and err.endswith(f"{WRONG[line]}\n") and out == ""


def test_samples_without_styles_are_not_mixed(plain, capsys):
    assert main(["sample", str(plain), "mix=4"]) == 2
    sentence = "gan-lab: mix joins the styles of two samples, and this run's samples have none: leave it out.\n"
    assert capsys.readouterr().err == sentence


# ---- projection ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("space", "share"), [("style", 0.3), ("styles", 0.3)])
def test_a_picture_of_the_generators_own_is_found_among_styles(styled, tmp_path, space, share):
    run = gan_lab.load(styled)
    own = run.generate(run.rows([77]))[0, 0].clamp(-1, 1).add(1).mul(127.5).round().byte().numpy()
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(own).save(folder / name)
    options = {"space": space, "use_encoder": False, "starts": 3, "steps": 150, "most": 50}
    found = projection(run, picture=str(folder), **options)
    assert found.figures["error"] < share * found.figures["start"]
    assert [note.partition(":")[0] for note in found.notes] == ["Space", "a.png", "b.png"]
    assert projection(run, picture=str(folder / "a.png"), features="pixels", **options).figures["error"] < 0.2


def test_w_plus_draws_what_w_cannot(styled):
    run = gan_lab.load(styled)
    options = {"n": 2, "use_encoder": False, "starts": 2, "steps": 80, "most": 50}
    errors = [projection(run, space=space, **options).figures["error"] for space in ("style", "styles")]
    assert errors[1] < errors[0]


def test_what_cannot_be_projected_is_a_sentence(styled, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for words, code, sentence in [
        (["picture=nowhere"], 3, "nowhere cannot be read as a picture"),
        ([f"picture={tmp_path / 'empty'}"], 3, "holds no pictures: looked for .jpg"),
        (["picture=a.png", "images=[b.png]"], 2, "leave out one of the two"),
        (["features=inception"], 2, "features=inception is not known here; choose classifier or pixels."),
    ]:
        assert main(["analyze", str(styled), "what=projection", *words]) == code
        assert sentence in capsys.readouterr().err


# ---- path length -----------------------------------------------------------------------------------------------------


def test_the_path_length_of_a_linear_generator_is_its_matrix(matrices):
    """Straight walks are as long as the difference of the ends; spherical ones have the speed of their circle."""
    paint, to_style = matrices
    run, n = Made(paint, to_style), 300
    figures = path_length(run, n=n, features="pixels").figures
    assert list(figures) == ["latent/full", "latent/end", "style/full", "style/end"]
    a, b = (torch.stack([run.latent(first + i) for i in range(n)]) for first in (9_000_000, 9_500_000))
    seen = lambda z: (z @ to_style @ paint).double().square().sum(dim=1) / 4  # pixels in [0, 1]
    for name in ("style/full", "style/end"):
        assert figures[name] == pytest.approx(trimmed(seen(b - a)), rel=1e-2)
    angle = torch.arccos(torch.nn.functional.cosine_similarity(a, b))[:, None]
    t = torch.rand(n, generator=torch.Generator().manual_seed(0))[:, None] + 0.005
    speed = angle * (torch.cos(t * angle) * b - torch.cos((1 - t) * angle) * a) / torch.sin(angle)
    assert figures["latent/full"] == pytest.approx(trimmed(seen(speed)), rel=1e-2)


def test_each_pair_goes_its_own_share_of_its_own_way():
    a, b = torch.tensor([[3.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 3.0], [0.0, 2.0]])
    t = torch.tensor([1 / 3, 0.5])
    turned = torch.tensor([[3 * 3**0.5 / 2, 1.5], [2**0.5, 2**0.5]])  # by 30 and 45 degrees, at the same length
    torch.testing.assert_close(between(a, b, t, "spherical"), turned)
    torch.testing.assert_close(between(a, b, t, "linear"), torch.tensor([[2.0, 1.0], [1.0, 1.0]]))
    torch.testing.assert_close(interpolate(a[0], b[0], 4)[1], turned[0])
    torch.testing.assert_close(between(a, a, t, "spherical"), a)


def test_the_mean_leaves_out_the_extremes():
    lengths = torch.ones(1000, dtype=torch.float64)
    lengths[:5], lengths[5:10] = 1e9, -1e9
    assert trimmed(lengths) == 1


def test_paths_are_not_rounded_to_bytes(matrices):
    """A step that changes no pixel by a grey level has its length all the same."""
    run = Made(matrices[0] * 1e-3, matrices[1])
    ends = [run.into(run.rows([seed]), "style") for seed in (1, 2)]
    assert paths(run, *ends, "style", torch.zeros(1), 1e-2, Pixels()) > 0


# ---- directions ------------------------------------------------------------------------------------------------------


def test_directions_in_closed_form_are_eigenvectors(matrices):
    weight = matrices[0].T  # [256, 5]
    found = closed_form(weight, 3)
    unit = (weight / weight.norm(dim=1, keepdim=True)).double()
    values, vectors = torch.linalg.eigh(unit.T @ unit)
    for i in range(3):
        assert abs(float(found[i].double() @ vectors[:, -1 - i])) == pytest.approx(1, abs=1e-5)
    assert closed_form(torch.tensor([[0.0, 2.0], [0.0, 3.0], [1.0, 0.0]]), 2).tolist() == [[0, 1], [1, 0]]


def first_layer(model, tmp_path, latent_dim=8):
    run = gan_lab.load(trained(tmp_path / model, f"model={model}", f"model.latent_dim={latent_dim}"))
    return run, entered(run, "latent")


@pytest.mark.parametrize("model", ["gan", "dcgan", "resnet", "r3gan", "cgan"])
def test_the_layer_that_a_latent_enters_is_found(model, tmp_path):
    run, (entrance,) = first_layer(model, tmp_path)
    weights = [m.weight for m in run.game.generator.modules() if isinstance(m, nn.Linear)]
    assert any(w.shape[0] == len(entrance.matrix) and torch.equal(w[:, :8], entrance.matrix) for w in weights)
    assert entrance.block == 0


def test_chunks_of_a_latent_enter_layers_of_their_own(tmp_path):
    run, entrances = first_layer("biggan", tmp_path, 9)
    blocks = len(run.game.generator.blocks)
    size = run.game.generator.chunk
    assert [each.block for each in entrances] == [0, *[i for i in range(1, blocks + 1) for _ in range(4)]]
    assert torch.equal(entrances[0].matrix[:, :size], run.game.generator.project.weight.data)
    assert not entrances[0].matrix[:, size:].any() and not entrances[-1].matrix[:, : size * blocks].any()


def test_each_style_enters_the_layers_of_its_place(styled):
    run = gan_lab.load(styled)
    of_places = [each.block for each in entered(run, "styles")]
    assert of_places == [0, 1, 1, 2, 3, 3, 4, 5] and entered(run, "latent") == []
    scales = [m.to_scale.weight for m in run.game.generator.modules() if "to_scale" in dict(m.named_children())]
    assert all(torch.equal(each.matrix, w) for each, w in zip(entered(run, "style"), scales, strict=True))


def test_chosen_layers_are_moved_alone(styled, monkeypatch):
    run, moved = gan_lab.load(styled), []
    along = lambda rows, space, shift: moved.append(shift) or rows.changed(**{space: rows[space] + shift})
    monkeypatch.setattr(looks_along, "moved", along)
    figures = directions(run, layers=[0, 3], count=2, over=2).figures
    assert list(figures) == ["effect/1", "effect/2"]
    assert all(shift[..., [0, 3], :].any() and not shift[..., [1, 2, 4, 5], :].any() for shift in moved)
    with pytest.raises(ConfigError, match="layers=7 is not there: the layers that a styles enters are 0 to 5."):
        directions(run, layers=[7])
    with pytest.raises(ConfigError, match="over=1 leaves no other sample to compare with: set over=2 or more."):
        directions(run, over=1)
    with pytest.raises(ConfigError, match="takes a latent as it is: set space=styles."):
        directions(run, space="latent")


class Brightness(nn.Module):
    """Reads class i off a picture whose place i is bright."""

    about = "a rule"

    def forward(self, images):
        corners = images.float()[:, 0, ::8, ::8].flatten(1) / 255
        return corners, torch.nn.functional.pad(corners, (0, 6))


def test_the_direction_of_a_concept_is_the_coordinate_that_draws_it(monkeypatch):
    monkeypatch.setattr(looks_along, "reader", lambda run, kind, judges=False: Brightness())
    quarters = lambda z: torch.sigmoid(20 * (z[:, :4] - 0.5)).view(-1, 1, 2, 2)
    run = Plain(lambda z: nn.functional.interpolate(quarters(z) * 2 - 1, scale_factor=8))
    figures = directions(run, concepts=["label:2"], n=800, over=5).figures
    assert figures["accuracy/label:2"] > 0.95
    assert figures["before/label:2"] == pytest.approx(0.31, abs=0.08) and figures["after/label:2"] > 0.95
    with pytest.raises(ConfigError, match="no layer of this run's generator takes a latent as it is: name concepts"):
        directions(run)
    with pytest.raises(ConfigError, match="label:2 is in . of 1 samples: raise n= or choose another."):
        directions(run, concepts=["label:2"], n=2)
    with pytest.raises(ConfigError, match="a direction is learned from samples with a concept"):
        directions(run, concepts=["seeds:1,2"])


def test_the_command_writes_directions(styled, capsys):
    assert main(["analyze", str(styled), "what=directions", "count=2", "over=2", "layers=[0,1]"]) == 0
    assert "Space: styles, layers 0, 1. Rows, from above: 1, 2" in capsys.readouterr().out
    found = json.loads((styled / "analysis" / "directions" / "finding.json").read_text())
    assert found["figures"].keys() == {"effect/1", "effect/2"}
