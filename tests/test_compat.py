"""Each complaint, and the failure that it saves the user from: shown by going past it."""

import pytest
import torch
from helpers import config_of, made, play, trainer_of, weights
from torch import nn

from gan_lab.config import compat
from gan_lab.config.build import build_dataset, build_game
from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import ConfigError
from gan_lab.losses import GradientPenalty, Wasserstein
from gan_lab.losses.base import ByName
from gan_lab.models import GAN
from gan_lab.networks import mlp
from gan_lab.noise import Noise
from gan_lab.rows import Rows


def complaint(*words, world_size=1):
    """The one complaint about a configuration."""
    config = config_of(*words)
    (only,) = compat.complaints(parts(config, world_size))
    return only


def parts(config, world_size=1):
    settings = TrainerSettings(**config["trainer"])
    return compat.Parts(build_dataset(config), build_game(config), settings, config["optimizer_overrides"], world_size)


@pytest.fixture
def past(monkeypatch):
    """Go past every complaint."""
    monkeypatch.setattr(compat, "complaints", lambda *args: [])


def test_parts_that_fit_are_left_in_peace():
    assert compat.complaints(parts(config_of("model=dcgan"))) == []


# --- Keys ------------------------------------------------------------------------------------------------------------


class Labelled(GAN):
    needs = ("image", "label")

    def generator_loss(self, batch, step):
        return super().generator_loss({"image": batch["image"], "label": batch["label"]}, step)


LABELLED = ["model=gan", "dataset=ring8", "model._target_=test_compat.Labelled", "trust=[test_compat]"]


def test_a_model_that_needs_labels_complains_about_points():
    said = complaint(*LABELLED)
    assert said.startswith("This model needs label with each sample, and the dataset gives only image.")
    assert complaint("model=sgan", "dataset=digits").endswith(
        "such as dataset=few_labels, with your pictures as dataset.of=NAME."
    )
    assert complaint("model=pix2pix", "dataset=digits").endswith(
        "such as dataset=degraded, with your pictures as dataset.of=NAME."
    )
    assert "dataset=" in said


def test_past_that_a_key_is_missing(past):
    with pytest.raises(KeyError, match="label"):
        made(*LABELLED, rounds=1)


# --- A penalty on each sample, and batch norm ------------------------------------------------------------------------


def test_a_penalty_on_each_sample_complains_about_batch_norm():
    said = complaint("model=dcgan", "loss=wgan_gp")
    assert "gradient_penalty" in said
    assert said.endswith("Set model.discriminator.norm=layer.")


def test_a_penalty_on_each_sample_complains_about_minibatch_discrimination():
    words = ["model=gan", "loss=wgan_gp"]
    assert "minibatch=none" in complaint(*words, "model.discriminator.minibatch=discrimination")
    assert compat.complaints(parts(config_of(*words, "model.discriminator.minibatch=stddev"))) == []


def test_past_that_the_penalty_of_a_sample_changes_with_its_neighbours():
    """What is penalised is then not the slope of a function of one image."""
    torch.manual_seed(0)
    x, others = torch.randn(2, 1, 4, 4), torch.randn(6, 1, 4, 4)

    def penalised(norm, minibatch="none"):
        critic = mlp.Discriminator(1, 4, width=8, norm=norm, minibatch=minibatch)
        penalty = GradientPenalty()
        noise = type("Ends", (Noise,), {"uniform": lambda self, name, shape: torch.ones(shape)})()  # at `real`
        owed = lambda x: penalty(ByName(critic), Rows(image=x), Rows(image=x), noise=noise)
        together = owed(torch.cat([x, others])) * 8
        apart = owed(x) * 2 + owed(others) * 6
        return (together - apart).abs().item()

    assert penalised("layer") < 1e-5
    assert penalised("batch") > 1e-3
    assert penalised("layer", "discrimination") > 1e-3


# --- A term that reads the critic's features -------------------------------------------------------------------------


class Headless(torch.nn.Module):
    """A critic without a trunk."""

    def __init__(self, **settings):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 1))

    def forward(self, x):
        return self.layers(x).flatten()


HEADLESS = ["model=gan", "model.discriminator._target_=test_compat.Headless", "trust=[test_compat]",
            "loss/penalty=feature_matching"]  # fmt: skip


def test_a_critic_without_a_trunk_complains_about_feature_matching():
    said = complaint(*HEADLESS)
    assert "no submodule 'trunk'" in said
    assert "Set ~loss.penalties.feature_matching" in said


def test_past_that_there_are_no_features_to_match(past):
    with pytest.raises(AttributeError, match="trunk"):
        made(*HEADLESS, rounds=1)


# --- A critic that nothing bounds ------------------------------------------------------------------------------------

FREE = ["loss=wasserstein", "loss.clip=null", "optimizer.lr=0.01"]


def test_wasserstein_without_a_bound_complains():
    assert "Set loss.clip=0.01" in complaint(*FREE)


def test_past_that_the_scores_run_away(past):
    def score(*words):
        terms = made(*words, "trainer.turns={discriminator: 1}", rounds=150).terms
        scores = [said["discriminator/score_real"].abs().item() for said in terms if "discriminator/score_real" in said]
        return max(scores[100:])

    assert score(*FREE) > 50
    assert score("loss=wasserstein", "optimizer.lr=0.01") < 1
    assert score("loss=wgan_gp", "optimizer.lr=0.01") < 10


# --- Fakes that are handed on ----------------------------------------------------------------------------------------

HANDED = ["model=gan", "model.reuse_fakes=true"]


@pytest.mark.parametrize(
    "words", [["loss=wgan_gp"], ["trainer.turns={generator: 2}"], ["trainer.turns={generator: 1/2}"]]
)
def test_handed_fakes_complain_about_uneven_turns(words):
    assert complaint(*HANDED, *words).endswith("Set model.reuse_fakes=false.")


def test_even_turns_are_fine_even_if_the_loss_asks_for_more():
    made(*HANDED, "loss=wgan_gp", "trainer.turns={discriminator: 1}", rounds=2)


def test_past_that_there_are_no_fakes_or_they_pile_up(past):
    with pytest.raises(IndexError, match="pop from empty"):
        made(*HANDED, "loss=wgan_gp", rounds=1)
    assert len(made(*HANDED, "trainer.turns={generator: 2}", rounds=3).game.last_fakes.fakes) == 3


# --- Batches ---------------------------------------------------------------------------------------------------------


def test_a_batch_that_ranks_cannot_share_complains():
    assert complaint("trainer.batch_size=9", world_size=2).endswith("Set trainer.batch_size=8.")
    assert complaint("trainer.batch_size=1", "model.generator.norm=none", world_size=2).endswith(
        "Set trainer.batch_size=2."
    )


def test_past_that_samples_are_lost():
    from gan_lab.datasets import Digits
    from gan_lab.training.loader import Loader

    assert Loader(Digits(), 9, world_size=2).images == 8


@pytest.mark.parametrize(
    ("words", "remedy"),
    [(["trainer.batch_size=2000"], 1797), (["trainer.batch_size=1000", "trainer.accumulate=2"], 898)],
)
def test_a_batch_beyond_the_dataset_complains(words, remedy):
    assert complaint(*words).endswith(f"0 batches per epoch. Set trainer.batch_size={remedy}.")
    made(*words, f"trainer.batch_size={remedy}", rounds=1)


def test_past_that_there_is_no_epoch_to_take_it_from(past):
    with pytest.raises(ZeroDivisionError):
        made("trainer.batch_size=2000", rounds=1)


def test_one_sample_and_batch_norm_complain():
    assert complaint("model=dcgan", "trainer.batch_size=1").endswith("Set trainer.batch_size=2.")
    assert complaint("model=dcgan", "trainer.batch_size=2", world_size=2).endswith("Set trainer.batch_size=4.")
    made("model=gan", "model.generator.norm=none", "trainer.batch_size=1", rounds=1)


def test_past_that_the_variance_of_one_sample_is_no_number(past):
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        made("model=gan", "trainer.batch_size=1", rounds=1)


def test_past_that_maps_of_one_sample_train_on_its_own_statistics(past):
    """Batch norm over the places of one map does not even fail: it is instance norm in disguise."""
    trainer = made("model=dcgan", "trainer.batch_size=1", rounds=1)
    norm = next(m for m in trainer.game.discriminator.modules() if isinstance(m, nn.BatchNorm2d))
    x = torch.randn(1, norm.num_features, 4, 4)
    instance = nn.functional.instance_norm(x, weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(norm(x), instance, atol=1e-4, rtol=1e-4)


# --- Players ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    ["trainer.turns={discriminatr: 2}", "trainer.clip={critic: 1.0}", "optimizer_overrides={generater: {lr: 0.1}}"],
)
def test_an_unknown_player_complains_with_the_known_ones(words):
    said = complaint(words)
    assert "has no player" in said
    assert "discriminator and generator" in said


def test_past_that_the_setting_is_ignored(past):
    """Nothing fails, and nothing happens: a run with other settings than were asked for."""
    wrong = made("trainer.turns={discriminatr: 2}", "optimizer_overrides={generater: {lr: 0.1}}", rounds=2)
    assert torch.equal(weights(wrong), weights(made(rounds=2)))


# --- Building --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "gan_lab.networks.torch.load",
        "torch.load",
        "subprocess.Popen",
        "gan_lab.launch.launch.train",
        "torch.optim.optimizer.Path",
    ],
)
def test_what_is_not_ours_is_not_called(target, tmp_path):
    config = config_of()
    config["model"]["generator"] = {"_target_": target, "command": f"touch {tmp_path}/marker"}
    with pytest.raises(ConfigError, match="is not a class of gan-lab|cannot be found"):
        trainer_of(config)
    assert not (tmp_path / "marker").exists()


def test_a_class_of_ones_own_is_built_when_its_package_is_trusted():
    words = ["model=gan", "model._target_=test_compat.Labelled"]
    with pytest.raises(ConfigError, match=r"trust=\[test_compat\]"):
        made(*words)
    assert isinstance(made(*words, "trust=[test_compat]", rounds=1).game, Labelled)


def test_what_is_not_a_game_is_refused():
    with pytest.raises(ConfigError, match="is not a game|cannot be built"):
        made("model._target_=gan_lab.networks.mlp.Generator")


def test_all_numbers_out_of_range_are_told_at_once_with_their_keys():
    with pytest.raises(ConfigError) as caught:
        made("model=dcgan", "loss.smoothing=2", "model.generator.norm=x", "model.discriminator.head=y")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["loss", "model.generator", "model.discriminator"]


def test_an_optimizer_gets_plain_numbers_and_the_fused_kernel_where_there_is_one():
    trainer = made("optimizer.betas=[0.0, 0.9]")
    assert trainer.seats[0].optimizer.defaults["betas"] in ([0.0, 0.9], (0.0, 0.9))
    assert trainer.seats[0].guarded
    assert not made("optimizer=rmsprop").seats[0].guarded
    words = "optimizer_overrides={discriminator: {_target_: torch.optim.SGD, lr: 0.5}, generator: {lr: 0.125}}"
    one, two = made(words).seats
    assert (type(one.optimizer), one.rates) == (torch.optim.SGD, [0.5])
    assert (type(two.optimizer), two.rates) == (torch.optim.Adam, [0.125])


@pytest.mark.parametrize("words", ["optimizer.lr=-1.0", "optimizer.betas=[2.0, 0.9]", "optimizer.lrr=1"])
def test_an_optimizer_that_cannot_be_built_is_a_sentence(words):
    with pytest.raises(ConfigError, match="^optimizer: "):
        made(words)


def test_the_rule_about_bounds_reads_the_objective():
    assert not Wasserstein().bounded
    assert play(made("loss=wgan_gp"), 1).step == 1
