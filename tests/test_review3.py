"""What a stranger's review of penalties, views, networks and tools found, each held to what it should do."""

import copy
import sys

import pytest
import torch
import yaml
from helpers import config_of, made, trainer_of
from torch import nn

from gan_lab.cli import main
from gan_lab.errors import ConfigError
from gan_lab.networks import resnet
from gan_lab.networks.batch_layers import MinibatchStddev
from gan_lab.networks.conditional import OnCondition
from gan_lab.networks.layers import add_spectral_norm
from gan_lab.storage import checkpoint
from gan_lab.training.assembly import fixed_batch
from gan_lab.training.hparams import main_settings
from gan_lab.training.observers import Painter

# --- Packs in pictures -----------------------------------------------------------------------------------------------


class Book:
    """Keeps the pictures that it is given."""

    def __init__(self):
        self.pictures = {}

    def picture(self, name, array, step, *, keep=False):
        self.pictures[name] = array

    def scalars(self, values, step):
        pass

    def summarise(self, **facts):
        pass


def painted(*words):
    """The pictures of a tiny run after a round."""
    trainer, book = made(*words, rounds=1), Book()
    dataset = trainer.loader.dataset
    dataset.exact_samples = 0
    Painter(1, book, dataset, fixed_batch(dataset, 4, "cpu"), 4).tell(trainer)
    return book.pictures


def test_a_picture_shows_the_packs_that_come_out_even():
    """Four samples are one pack of three; the fourth is left out, and the run goes on."""
    words = ("loss/view=packing", "loss.views.packing.size=3", "trainer.batch_size=6")
    shown = painted(*words)
    assert shown["shown_real"].shape == shown["shown_fake"].shape
    assert {"fixed", "fresh", "real"} < shown.keys()


@pytest.mark.parametrize("dataset", ["ring8", "gaussian1d"])
def test_what_a_packed_critic_believes_of_points_is_drawn(dataset):
    """PacGAN's own experiments are on points in the plane; the shade is of packs of equal points."""
    assert painted(f"dataset={dataset}", "loss/view=packing")["fixed"].ndim == 3


def test_a_point_by_itself_is_a_pack_of_itself():
    words = ("loss/view=packing+instance_noise", "loss.views.packing.size=3", "trainer.batch_size=6")
    game = made("dataset=ring8", *words).game
    x = torch.randn(5, 2)
    torch.testing.assert_close(game.critic(x), game.discriminator(x.repeat_interleave(3, dim=0).reshape(5, 6)))


def test_a_picture_of_less_than_a_pack_is_a_sentence():
    with pytest.raises(ConfigError, match="Set trainer.samples=5"):
        trainer_of(config_of("loss/view=packing", "loss.views.packing.size=5", "trainer.batch_size=10"))


# --- Combinations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["resnet", "r3gan"])
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_network_that_asks_for_a_condition_needs_a_game_that_has_one(network, model):
    with pytest.raises(ConfigError, match=rf"is unconditional. Set model\.{network}\.num_conditions=0"):
        trainer_of(config_of(f"model={model}", f"model.{network}.num_conditions=10"))


@pytest.mark.parametrize("model", ["resnet", "r3gan"])
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_without_a_condition_such_a_network_could_not_be_played(network, model, monkeypatch):
    """What the complaint above saves the user from."""
    monkeypatch.setattr(OnCondition, "complaints", lambda layer, parts, name: [])
    with pytest.raises(TypeError, match="condition"):
        made(f"model={model}", f"model.{network}.num_conditions=10", rounds=1)


# --- Half precision --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_samples_that_hardly_differ_have_a_spread_with_a_finite_slope(dtype):
    """In float16 a variance below 6e-8 is nothing, and the root of nothing has no slope: each update was skipped."""
    x = (torch.ones(4, 3, 2, 2) * 0.1).to(dtype).requires_grad_()
    spread = MinibatchStddev()(x)
    spread[:, -1].float().sum().backward()
    assert spread.dtype == torch.promote_types(dtype, torch.float32)
    assert x.grad.isfinite().all()


# --- Spectral norm ---------------------------------------------------------------------------------------------------

LAYERS = {
    "linear": (lambda: nn.Linear(5, 1), (3, 5)),
    "convolution": (lambda: nn.Conv2d(3, 8, 3), (2, 3, 4, 4)),
    "1x1": (lambda: nn.Conv2d(3, 8, 1), (2, 3, 4, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 8, 4), (2, 3, 4, 4)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_spectral_norm_is_torchs_bit_for_bit(kind):
    """Names in checkpoints, weights, vectors and gradients, over several updates on real and fake."""
    make, shape = LAYERS[kind]
    mine = make()
    theirs, x = copy.deepcopy(mine), torch.randn(shape)
    torch.manual_seed(3)
    add_spectral_norm(mine)
    torch.manual_seed(3)
    nn.utils.parametrizations.spectral_norm(theirs)
    for _ in range(3):
        for layer in (mine, theirs):
            layer.zero_grad()
            (layer(x).square().sum() - layer(x * 2).sum()).backward()
        assert all(torch.equal(a.grad, b.grad) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
        assert mine.state_dict().keys() == theirs.state_dict().keys()
        assert all(map(torch.equal, mine.state_dict().values(), theirs.state_dict().values()))


def test_spectral_norm_leaves_alone_what_a_backward_pass_may_need():
    """A compiled graph keeps the vectors themselves; written over by the next forward pass, they would stop it."""
    layer = nn.Sequential(nn.Conv2d(3, 8, 1))
    add_spectral_norm(layer)
    norm = layer[0].parametrizations.weight[0]
    held, before = (norm._u, norm._v), (norm._u.clone(), norm._v.clone())
    layer(torch.randn(1, 3, 2, 2))
    assert all(map(torch.equal, held, before))
    assert not torch.equal(norm._u, before[0])
    layer.eval()
    held = norm._u
    layer(torch.randn(1, 3, 2, 2))
    assert norm._u is held, "nothing moves where nothing is trained"


def test_spectral_norm_measures_in_full_precision_under_autocast():
    layer = nn.Sequential(nn.Conv2d(3, 8, 1))
    add_spectral_norm(layer)
    with torch.autocast("cpu", torch.bfloat16):
        weight = layer[0].weight
    assert weight.dtype == torch.float32
    assert abs(torch.linalg.matrix_norm(weight.flatten(1), 2).item() - 1) < 1e-3


def test_a_compiler_sees_one_graph_in_which_the_vectors_move():
    critic = resnet.Discriminator(1, 16, width=4, attention=[8], spectral_norm=True)
    same, x = copy.deepcopy(critic), torch.randn(2, 1, 16, 16)
    compiled, start = torch.compile(same, backend="eager", fullgraph=True), copy.deepcopy(critic.state_dict())
    for _ in range(2):
        torch.testing.assert_close(compiled(x), critic(x))
    torch.testing.assert_close(same.state_dict(), critic.state_dict())
    name = "trunk.0.conv1.parametrizations.weight.0._u"
    assert not torch.equal(start[name], critic.state_dict()[name])


# --- Sentences -------------------------------------------------------------------------------------------------------

SENTENCES = {
    "loss/view=[difaugment]": "unknown loss/view 'difaugment'; did you mean 'diff_augment'?",
    "loss/penalty=[r1,r3]": "unknown loss/penalty 'r3'",
    "loss/view=null": "a group of several choices takes a name or a list of names, and [] for none: loss/view=[]",
    "~loss/view": "~loss/view removes nothing; loss/view=[] chooses none",
}


@pytest.mark.parametrize("word", SENTENCES)
def test_a_wrong_choice_within_a_list_is_answered_like_a_single_one(word, capsys):
    assert main(["validate", "dataset=digits", word]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"gan-lab: {SENTENCES[word]}")
    assert "unknown" not in said or "can be: " in said


def test_ones_own_choices_are_offered_too(tmp_path, capsys):
    (tmp_path / "loss/view").mkdir(parents=True)
    (tmp_path / "loss/view/darken.yaml").write_text("# Darker\n")
    assert main(["validate", "--config-dir", str(tmp_path), "dataset=digits", "loss/view=[drken]"]) == 2
    assert "did you mean 'darken'?" in capsys.readouterr().err


# --- The weights to start from ---------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The directory of a run of narrow perceptrons."""
    monkeypatch.chdir(tmp_path)
    trainer = made("model=gan")
    (tmp_path / "outputs/one").mkdir(parents=True)
    (tmp_path / "outputs/one/config.yaml").write_text(yaml.safe_dump(config_of("model=gan")))
    checkpoint.save(tmp_path / "outputs/one/checkpoints", trainer.state_dict())
    return "outputs/one"


NARROW = ("model.generator.width=8", "model.discriminator.width=8")


def test_validate_looks_for_the_weights_to_start_from(run, capsys):
    words = ["validate", "dataset=digits", *NARROW]
    assert main([*words, "model=gan", f"trainer.init_from={run}"]) == 0
    assert main([*words, "model=gan", "trainer.init_from=nowhere"]) == 4
    assert "the run 'nowhere' does not exist" in capsys.readouterr().err
    assert main([*words, "model=dcgan", f"trainer.init_from={run}"]) == 2
    assert "none of its weights fits" in capsys.readouterr().err


def test_show_tells_how_to_look_at_a_run(run, capsys):
    assert main(["show", run]) == 2
    assert capsys.readouterr().err == "gan-lab: 'outputs/one' is a run: gan-lab show run outputs/one\n"


# --- A package of one's own ------------------------------------------------------------------------------------------


def test_ones_own_package_is_found_where_the_command_is_given(run, tmp_path, monkeypatch, capsys):
    """Each command that builds a run's parts looks there, not train alone."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(tmp_path))])
    (tmp_path / "own_views.py").write_text(
        "from gan_lab.losses import View\n\n\nclass Same(View):\n"
        "    def forward(self, real, fake, noise, step):\n        return real, fake\n"
    )
    config = config_of("model=gan")
    config["loss"]["views"] = {"same": {"_target_": "own_views.Same"}}
    (tmp_path / run / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["sample", run, "n=4", "trust=[own_views]"]) == 0
    assert (tmp_path / capsys.readouterr().out.strip()).is_file()


# --- Sweeps over lists -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [[], ["jobs=2"]])
def test_a_sweep_over_lists_of_views_trains_each_and_notes_it(jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["model=gan", "dataset=digits", *NARROW, "trainer.steps=2", "trainer.batch_size=8", "trainer.threads=1"]
    assert main(["train", "-m", *words, "trainer.samples=4", "loss/view=[replay,instance_noise],[],replay", *jobs]) == 0
    runs = sorted(file.parent for file in tmp_path.rglob("summary.json"))
    said = [main_settings(yaml.safe_load((run / "config.yaml").read_text()), run) for run in runs]
    assert [settings["loss/view"] for settings in said] == ["replay, instance_noise", "none", "replay"]
