"""BigGAN: published sizes, chunks and classes in every block, labels apart, truncation and its statistics."""

import copy
import math

import pytest
import torch
from fake_device import pretended
from helpers import check_preset, config_of, fingerprint, made, play, trainer_of
from omegaconf import OmegaConf
from torch import nn

import gan_lab
from gan_lab.cli import main
from gan_lab.config.build import build
from gan_lab.config.compose import compose
from gan_lab.launch import launch
from gan_lab.losses.orthogonal import OrthogonalPenalty, matrix, overlap
from gan_lab.models.biggan import within
from gan_lab.networks import biggan, resnet
from gan_lab.networks.attention import SelfAttention
from gan_lab.networks.conditional import ConditionalBatchNorm
from gan_lab.rows import Rows
from gan_lab.training.distributed import World

TINY = {"num_conditions": 3, "width": 8, "shared": 5}
PLAYED = ("model=biggan", "model.latent_dim=12", "model.generator.shared=8", "loss=hinge")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# --- Published sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        (["experiment=biggan_cifar10"], (9_416_196, 2_415_170)),  # StudioGAN's logs/CIFAR10/BigGAN-train-...
        (["experiment=biggan_cifar10_author"], (4_304_387, 4_207_361)),  # of launch_cifar_ema.sh
        (
            ["experiment=biggan_imagenet", "dataset.path=/pictures"],
            (70_433_988, 87_982_370),
        ),  # logs/IMAGENET/BigGAN2048
    ],
)
def test_networks_have_as_many_weights_as_the_official_code(words, weights):
    """Spectral norm adds no weights, and does not know the device that holds none."""
    model = compose(words)["model"]
    with torch.device("meta"):
        networks = [build({**model[name], "spectral_norm": False}) for name in ("generator", "discriminator")]
    assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == weights
    assert all(model[name]["spectral_norm"] for name in ("generator", "discriminator"))


@pytest.mark.parametrize(("size", "latent"), [(128, 120), (32, 80), (16, 12), (4, 7)])
def test_the_first_map_and_each_block_get_an_equal_chunk(size, latent):
    generator = biggan.Generator(latent, 1, size, 3, width=4, growth=1)
    assert generator.project.in_features == generator.chunk == latent // (len(generator.blocks) + 1)


SG = {"loss.critic_turns": 5, "optimizer.lr": 2e-4, "optimizer.betas": [0.5, 0.999], "trainer.steps": 100_000}
SOURCES = {
    "biggan_cifar10": SG
    | {"trainer.batch_size": 64, "model.latent_dim": 80, "model.generator.shared": 128, "model.generator.chunks": True}
    | {"model.generator.attention": [16], "model.discriminator.attention": [16], "dataset.flip": True}
    | {"model.generator.init": "orthogonal", "model.discriminator.init": "orthogonal"},
    "biggan_cifar10_author": {
        "trainer.batch_size": 50, "trainer.steps": 500 * (50_000 // 200), "loss.critic_turns": 4,
        "optimizer.lr": 2e-4, "optimizer.betas": [0.0, 0.999], "model.latent_dim": 128, "dataset.flip": False,
        "model.generator.shared": 0, "model.generator.chunks": False, "model.generator.attention": [],
        "model.discriminator.attention": [], "model.generator.init": "normal", "model.discriminator.init": "normal",
    },
    "biggan_imagenet": {
        "trainer.batch_size": 512, "trainer.accumulate": 4, "trainer.steps": 200_000, "loss.critic_turns": 2,
        "optimizer.lr": 5e-5, "optimizer_overrides.discriminator.lr": 2e-4, "optimizer.betas": [0.0, 0.999],
        "model.latent_dim": 120, "model.generator.shared": 128, "model.generator.chunks": True,
        "model.generator.attention": [64], "model.discriminator.attention": [64],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_a_preset_has_the_numbers_of_its_source(name):
    """StudioGAN's src/configs and src/config.py; scripts/launch_cifar_ema.sh of ajbrock/BigGAN-PyTorch."""
    words = [f"experiment={name}", *["dataset.path=/pictures"] * (name == "biggan_imagenet")]
    config, facts = OmegaConf.create(compose(words)), SOURCES[name]
    assert {key: OmegaConf.select(config, key) for key in facts} == facts
    assert config.loss._target_.endswith("Hinge") and not config.loss.get("penalties")
    decay = 0.5 ** (config.trainer.batch_size * config.trainer.accumulate * config.loss.critic_turns
                    / config.trainer.ema_half_life_images)  # fmt: skip
    assert decay == pytest.approx(0.9999, abs=1e-6)


@pytest.mark.parametrize("name", ["biggan_cifar10", "biggan_cifar10_author", "biggan_digits"])
def test_a_preset_is_played(name):
    here = ["dataset=digits", "dataset.image_size=32", "loss.critic_turns=1"]
    here += ["model.generator.width=8", "model.discriminator.width=8"]
    here += ["~dataset.flip"] * (name == "biggan_cifar10")  # digits are not mirrored
    check_preset(name, *(here if "cifar10" in name else []))


# --- The generator ---------------------------------------------------------------------------------------------------


def generator_of(**words):
    """A tiny generator of 16 pixels in eval mode, whose three chunks are of 4."""
    return biggan.Generator(12, 1, 16, **{**TINY, **words}).eval()


def heard(generator, latent, condition):
    """What the first map and the norms of each block are told."""
    told = {}
    watched = {"project": generator.project}
    for i, block in enumerate(generator.blocks):
        watched |= {f"{i}/norm1": block.norm1, f"{i}/norm2": block.norm2}
    handles = [
        layer.register_forward_pre_hook(lambda module, given, name=name: told.update({name: given[-1]}))
        for name, layer in watched.items()
    ]
    generator(latent, condition)
    for handle in handles:
        handle.remove()
    return told


def test_each_chunk_reaches_its_block_and_the_class_reaches_all():
    generator, latent, condition = generator_of(), torch.randn(3, 12), torch.eye(3)
    told = heard(generator, latent, condition)
    assert torch.equal(told["project"], latent[:, :4])
    for i in range(2):
        for norm in ("norm1", "norm2"):
            assert torch.equal(told[f"{i}/{norm}"][:, :4], latent[:, 4 * (i + 1) : 4 * (i + 2)])
            assert torch.equal(told[f"{i}/{norm}"][:, 4:], generator.embed.vectors)


def test_without_chunks_the_whole_latent_makes_the_first_map_and_norms_are_told_the_class_alone():
    generator, latent = generator_of(chunks=False), torch.randn(3, 12)
    told = heard(generator, latent, torch.eye(3))
    assert torch.equal(told["project"], latent)
    assert torch.equal(told["1/norm2"], generator.embed.vectors)


def test_without_embedding_and_chunks_it_is_the_residual_generator_with_its_conditional_norms():
    words = {"width": 8, "num_conditions": 3}
    plain, generator = (
        resnet.Generator(12, 1, 16, **words),
        biggan.Generator(12, 1, 16, shared=0, chunks=False, spectral_norm=False, **words),
    )
    generator.load_state_dict(plain.state_dict())
    latent, condition = torch.randn(3, 12), torch.eye(3)
    assert torch.equal(generator.eval()(latent, condition), plain.eval()(latent, condition))
    assert isinstance(generator.blocks[0].norm1, ConditionalBatchNorm)


def test_a_norm_scales_by_one_and_a_linear_map():
    norm, x, told = biggan.LinearBatchNorm(4, 5), torch.randn(6, 4, 3, 3), torch.randn(6, 5)
    gain, shift = told @ norm.gain.weight.T, told @ norm.shift.weight.T
    expected = nn.BatchNorm2d(4)(x) * (1 + gain[..., None, None]) + shift[..., None, None]
    torch.testing.assert_close(norm(x, told), expected)
    assert [name for name, _ in norm.named_parameters()] == ["gain.weight", "shift.weight"]


def test_attributes_are_told_by_the_sum_of_their_vectors():
    embed = generator_of().embed
    torch.testing.assert_close(embed(torch.tensor([[1.0, 0.0, 1.0]]))[0], embed.vectors[0] + embed.vectors[2])


def test_spectral_norm_is_on_every_layer_of_both_networks_and_not_on_the_embedding():
    generator = generator_of(attention=[8])
    critic = biggan.Discriminator(1, 16, 3, width=8, attention=[8])
    for network in (generator, critic):
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert all(hasattr(layer, "parametrizations") for layer in layers)
        assert any(isinstance(m, SelfAttention) for m in network.modules())
    assert "embed.vectors" in dict(generator.named_parameters())


def test_weights_begin_as_asked():
    weight = generator_of(spectral_norm=False).blocks[0].norm1.gain.weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(9), atol=1e-5, rtol=0)
    words = {"spectral_norm": False, "init": "normal", "width": 32}
    generator, critic = generator_of(**words), biggan.Discriminator(1, 16, 3, **words)
    for layer in (generator.blocks[0].conv1, generator.blocks[0].norm1.gain, critic.trunk[1].conv1):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert generator.embed.vectors.abs().max() < 0.1 and not generator.blocks[0].conv1.bias.any()


# --- The critic ------------------------------------------------------------------------------------------------------


def test_both_convolutions_of_a_block_have_its_new_width():
    critic = biggan.Discriminator(3, 32, 10, width=8, growth=2)
    blocks = [layer for layer in critic.trunk if isinstance(layer, resnet.DownBlock)]
    assert [(b.conv1.out_channels, b.conv2.out_channels) for b in blocks] == [(8, 8), (16, 16), (32, 32), (64, 64)]


def test_a_critic_is_told_the_class_unless_it_is_blind():
    x, zero, one = torch.randn(4, 1, 16, 16), torch.eye(3)[[0] * 4], torch.eye(3)[[1] * 4]
    told, blind = (biggan.Discriminator(1, 16, 3, width=8, blind=blind).eval() for blind in (False, True))
    assert (told(x, zero) - told(x, one)).abs().min() > 1e-4
    assert torch.equal(blind(x, zero), blind(x, one))


# --- What is refused -------------------------------------------------------------------------------------------------

WRONG = {
    "chunks": ({"latent_dim": 100}, "does not divide into 3 chunks, .* of 2 blocks. Set model.latent_dim=99 or 102"),
    "too few": ({"latent_dim": 2}, "Set model.latent_dim=3 or 6"),
    "init": ({"init": "N02"}, "init=N02 is not known; choose one of xavier, orthogonal, normal"),
    "shared": ({"shared": -1}, "shared=-1 must be at least 1"),
    "no classes": ({"num_conditions": 0}, "num_conditions=0 must be at least 1"),
    "attention": ({"attention": [64]}, "must name sides of maps; those of this network are 8, 16"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_number_of_the_generator_is_a_sentence(words, said):
    with pytest.raises(ValueError, match=said):
        biggan.Generator(**{"latent_dim": 12, "channels": 1, "image_size": 16, **TINY, **words})


def test_a_latent_that_does_not_divide_ends_the_command_with_a_remedy_that_works(capsys):
    words = ["train", "model=biggan", "dataset=digits", "trainer.device=cpu", "-n", "trainer.steps=1"]
    assert main([*words, "model.latent_dim=100"]) == 2
    assert "Set model.latent_dim=99 or 102." in capsys.readouterr().err
    assert main([*words, "model.latent_dim=99"]) == 0


# --- The game --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A tiny trainer after three rounds."""
    return made(*PLAYED, rounds=3)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_labels_of_fakes_are_drawn_apart_from_the_batchs(player):
    game = made(*PLAYED).game
    batch, seen = {"image": torch.randn(64, 1, 16, 16), "label": torch.full((64,), 3)}, []
    game.judge = lambda critic, real, fake, step: seen.extend([real, fake])
    game.fool = lambda critic, fake, real, step: seen.extend([real, fake]) or gan_lab.models.losses()
    game.noise.at(0, player, 0)
    getattr(game, f"{player}_loss")(batch, 0)
    real, fake = (rows["condition"].argmax(dim=1) for rows in seen)
    assert torch.equal(real, batch["label"])
    assert set(fake.tolist()) == set(range(10)), "of 64 fakes each class has its own"
    assert torch.equal(fake, game.noise.integers("label", 10, (64,)))


def test_attributes_of_fakes_are_drawn_among_those_of_the_data():
    trainer = made(*PLAYED, "dataset=shapes", "model.condition=attributes", "model.num_conditions=21")
    (batch,) = trainer.loader.batch(0)
    drawn, known = trainer.game.new(batch)["attributes"], trainer.game.known
    assert not torch.equal(drawn, batch["attributes"])
    assert all((known == row).all(dim=1).any() for row in drawn)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_batch_in_parts_is_the_whole_one(player):
    game = made(*PLAYED).game.eval()
    batch = {"image": torch.randn(4, 1, 16, 16), "label": torch.tensor([3, 1, 4, 1])}

    def told(rows, shard, shards):
        game.noise.at(0, player, 0, shard=shard, shards=shards)
        return getattr(game, f"{player}_loss")(rows, 0).losses["adversarial"]

    halves = [told({k: v[2 * i : 2 * i + 2] for k, v in batch.items()}, i, 2) for i in range(2)]
    torch.testing.assert_close(sum(halves) / 2, told(batch, 0, 1))


def test_a_cut_run_resumes_bit_for_bit_with_the_orthogonal_penalty():
    words = [*PLAYED, "loss/penalty=orthogonal", "loss.penalties.orthogonal.every=3"]
    whole = made(*words, rounds=5)
    cut = made(*words, rounds=2)
    cut.game.eval()
    cut.game.sample(cut.game.draw(range(2)), truncation=0.5)  # leaves nothing behind
    state = copy.deepcopy(cut.state_dict())
    resumed = trainer_of(config_of(*words))
    resumed.load_state_dict(state)
    assert fingerprint(play(resumed, 3).state_dict()) == fingerprint(whole.state_dict())


# --- Truncation ------------------------------------------------------------------------------------------------------


def test_scaling_multiplies_latents(trained):
    rows = trained.game.draw(range(4))
    cut = trained.game.truncated(rows, 0.5, "scale")
    assert torch.equal(cut["latent"], 0.5 * rows["latent"]) and torch.equal(cut["label"], rows["label"])


def test_resampling_bounds_latents_and_gives_the_distribution_of_drawing_again():
    z, most = torch.randn(200_000), 0.7
    bounded = within(z, most)
    assert bounded.abs().max() <= most
    again = z[z.abs() <= most]  # what is left of draws that are repeated until they lie within
    shares = torch.linspace(0.01, 0.99, 50)
    torch.testing.assert_close(bounded[:90_000].quantile(shares), again[:90_000].quantile(shares), atol=0.01, rtol=0)
    assert (bounded[z.argsort()].diff() >= 0).all(), "each number keeps its rank"


@pytest.mark.parametrize("most", [0.0, 1e-3, 2.0, 40.0])
def test_resampling_is_finite_for_every_latent_and_bound(most):
    z = torch.tensor([-8.0, -3.0, -0.0, 1e-6, 3.0, 8.0])
    bounded = within(z, most)
    assert bounded.isfinite().all() and bounded.abs().max() <= most
    torch.testing.assert_close(bounded, -within(-z, most))
    if most == 40:
        torch.testing.assert_close(bounded, z, atol=1e-6, rtol=1e-6)


def test_a_uniform_latent_is_truncated_alike_either_way():
    game = made(*PLAYED, "model.latent=uniform").game
    rows = game.draw(range(4))
    a, b = (game.truncated(rows, 0.5, way)["latent"] for way in ("scale", "resample"))
    assert torch.equal(a, b) and a.abs().max() <= 0.5


@pytest.mark.parametrize("way", ["scale", "resample"])
def test_a_truncated_sample_is_one_of_its_seed_alone(trained, way):
    game = trained.game
    with game.using(dict(trained.ema.networks)):
        among = game.sample(game.draw([1, 2, 3]), truncation=0.5, truncate=way)["image"]
        alone = game.sample(game.draw([2]), truncation=0.5, truncate=way)["image"]
        torch.testing.assert_close(among[1], alone[0], atol=1e-5, rtol=1e-5)
        game.standing = None
        assert torch.equal(game.sample(game.draw([2]), truncation=0.5, truncate=way)["image"], alone)
        assert not torch.equal(game.sample(game.draw([2]))["image"], alone)


def test_standing_statistics_follow_the_truncation_and_leave_the_runs_own_as_they_were(trained):
    game = trained.game
    with game.using(dict(trained.ema.networks)):
        before = copy.deepcopy(game.generator.state_dict())
        means = {}
        for truncation in (0.5, 1.0):
            norm = game.generator_at(truncation, "scale").blocks[0].norm1.norm
            means[truncation] = norm.running_mean, norm.running_var
            assert not norm.training
        assert not torch.allclose(means[0.5][1], means[1.0][1], rtol=0.05), "a smaller spread of latents"
        after = game.generator.state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_standing_statistics_are_the_means_of_those_of_each_pass(trained):
    game = trained.game.eval()
    generator = game.generator_at(0.5, "scale")
    norm, seen = generator.blocks[0].norm1.norm, []
    handle = norm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    first = gan_lab.noise.seed_of(game.noise.seed, "standing statistics") >> 24
    with torch.no_grad():
        for rows in game.draw(range(first, first + 16 * 64)).split(64):
            generator(0.5 * rows["latent"], game.condition(rows))
    handle.remove()
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean(dim=(0, 2, 3)) for x in seen]).mean(dim=0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var(dim=(0, 2, 3)) for x in seen]).mean(dim=0))
    trained.game.train()


def test_standing_statistics_are_gathered_once_and_anew_after_training(trained):
    game = trained.game.eval()
    one = game.generator_at(0.5, "scale")
    assert game.generator_at(0.5, "scale") is one
    assert game.generator_at(0.5, "resample") is not one
    game.train()
    assert game.standing is None
    assert not any("standing" in name for name in game.state_dict())


def test_truncated_samples_are_made_on_the_device():
    with pretended():
        trainer = play(trainer_of(config_of(*PLAYED), World(0, 1, "cuda")), 1)
        game = trainer.game
        with game.using(dict(trainer.ema.networks)):
            for way in ("scale", "resample"):
                made = game.sample(game.draw(range(4)), truncation=0.5, truncate=way)
                assert made["image"].device.type == "cuda"


def test_a_truncation_below_zero_mirrors_latents(trained):
    rows = trained.game.draw(range(4))
    for way in ("scale", "resample"):
        one, other = (trained.game.truncated(rows, t, way)["latent"] for t in (0.5, -0.5))
        torch.testing.assert_close(one, -other)


def test_truncation_is_a_word_of_sample(tmp_path, capsys):
    launch.train(config_of(*PLAYED, "trainer.steps=1", "trainer.evaluate_every=null"), tmp_path / "run")
    run = gan_lab.load(tmp_path / "run")
    pictures = [run.sample(4), run.sample(4, truncation=0.3), run.sample(4, truncation=0.3, truncate="resample")]
    assert all(not torch.equal(pictures[i], pictures[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    capsys.readouterr()
    assert main(["sample", str(tmp_path / "run"), "n=4", "label=3", "truncation=0.3", "truncate=resample"]) == 0
    assert capsys.readouterr().out.strip().endswith("-3-0.3-resample.png")
    assert main(["sample", str(tmp_path / "run"), "--help"]) == 0
    said = capsys.readouterr().out
    assert "truncation=..." in said and "truncate=..." in said
    for word, sentence in (("truncate=cut", "choose scale or resample"), ("truncation=much", "must be a number")):
        assert main(["sample", str(tmp_path / "run"), word]) == 2
        assert sentence in capsys.readouterr().err


# --- The orthogonal penalty ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4)])
def test_the_overlap_of_rows_is_the_equations(shape, double):
    rows = torch.randn(shape, requires_grad=True)
    direct = ((rows @ rows.T) * (1 - torch.eye(len(rows)))).square().sum()
    torch.testing.assert_close(overlap(rows), direct)
    (mine,), (its,) = (torch.autograd.grad(term, rows) for term in (overlap(rows), direct))
    torch.testing.assert_close(mine, its)
    of_code = 2 * ((rows @ rows.T) * (1 - torch.eye(len(rows)))) @ rows
    torch.testing.assert_close(mine, 2 * of_code)


def test_the_penalty_sums_over_the_layers_as_they_are_learned():
    penalty, generator = OrthogonalPenalty(), generator_of(attention=[8])
    direct = torch.zeros(())
    for name, weight in generator.named_parameters():
        if weight.dim() > 1 and name != "embed.vectors":
            rows = weight.flatten(1)
            direct += ((rows @ rows.T) * (1 - torch.eye(len(rows)))).square().sum()
    assert penalty.weight == 1e-4
    torch.testing.assert_close(penalty(generator, Rows(latent=torch.zeros(1, 12)), noise=None), direct)


def test_rows_at_right_angles_cost_nothing_whatever_their_lengths():
    assert overlap(torch.diag(torch.tensor([1.0, 5.0, 0.1]))) == 0


def test_the_rows_of_a_transposed_convolution_are_what_it_makes():
    assert matrix(nn.ConvTranspose2d(4, 6, 3)).shape == (6, 36)


def test_the_generator_owes_the_penalty():
    said = made(*PLAYED, "loss/penalty=orthogonal", rounds=1).report()
    assert "loss/generator/orthogonal" in said and "loss/discriminator/orthogonal" not in said
    assert math.isfinite(said["loss/generator/orthogonal"])
