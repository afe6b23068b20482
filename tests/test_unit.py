"""UNIT: codes that two domains share, what each term costs, and translations by way of codes."""

import pytest
import torch
from helpers import check_preset, config_of, made, trainer_of
from omegaconf import OmegaConf
from PIL import Image

from gan_lab.cli import main
from gan_lab.config.compose import compose
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.networks import unit
from gan_lab.rows import Rows

DOMAINS = ["dataset=split_domains", "dataset.transform=invert"]
UNIT = ["model=unit", *DOMAINS]
VECTOR = ["model=unit_vector", *DOMAINS]
SUMS = {"adversarial_image", "adversarial_source", "rebuild_image", "rebuild_source", "prior_image", "prior_source"}


def count(network):
    return sum(p.numel() for p in network.parameters())


def at_turn(player, *words):
    """The game, in eval mode, one batch, and the place of a player's first turn."""
    trainer = trainer_of(config_of(*words))
    (batch,) = trainer.loader.batch(0)
    trainer.game.noise.at(0, player, 0)
    return trainer.game.eval(), batch


# ---- networks -------------------------------------------------------------------------------------------------------


def test_the_networks_have_the_weights_of_the_official_code():
    """Counted by hand from COCOResGen2 and COCOSharedDis of mingyuliutw/UNIT, branch version_02, as blondhair.yaml."""
    convolution = lambda before, after, side: before * after * side**2 + after
    block = 2 * convolution(256, 256, 3)
    own = convolution(3, 64, 7) + convolution(64, 128, 3) + convolution(128, 256, 3) + 3 * block
    encoder, decoder = unit.Encoder(3, 3, 128), unit.Decoder(3, 3)
    assert count(encoder.stacks.shared) == count(decoder.stacks.shared) == block == 1_180_160
    assert count(encoder) == 2 * own + block == 9_018_112
    own = 3 * block + convolution(256, 128, 3) + convolution(128, 64, 3) + convolution(64, 3, 1)
    assert count(decoder) == 2 * own + block == 8_999_174
    widths = [64 * 2**i for i in range(6)]
    halves = [convolution(a, b, 3) for a, b in zip(widths, widths[1:], strict=False)]
    critic = unit.Discriminator(3, 128, shared=5)
    assert count(critic) == 2 * (convolution(3, 64, 7) + halves[0]) + sum(halves[1:]) + convolution(2048, 1, 1)
    assert count(critic) == 25_240_065 and critic(torch.zeros(1, 3, 128, 128)).shape == (1, 1, 2, 2)


def test_the_networks_for_digits_are_built_as_in_the_official_code():
    """CoVAE32x32 without its biases in front of a norm, and with a scale behind it: as many numbers less as more."""
    widths = [96 * 2**i for i in range(4)]
    encoder = 25 * 96 * (5 + 3) + 2 * 2 * 96 + 25 * 96 * 192 + 2 * 192 + 64 * 192 * 384 + 2 * 384 + 384 * 768 + 2 * 768
    networks = unit.VectorEncoder(1, 3, 32, width=96), unit.VectorDecoder(1, 3, 32, width=96)
    assert count(networks[0]) == encoder + 2 * (768 * 768 + 768)
    doubles = [16 * a * b + 2 * b for a, b in zip([768, *widths[:0:-1]], [768, 384, 192], strict=False)]
    own = 16 * 192 * 96 + 2 * 96 + 96
    assert count(networks[1]) == sum(doubles) + 2 * (own - 96) + (3 + 1) * (96 + 1)


@pytest.mark.parametrize("size", [8, 16, 20, 28, [16, 32]])
@pytest.mark.parametrize("shared", [0, 1, None])
@pytest.mark.parametrize("vector", [False, True])
def test_codes_of_either_domain_become_pictures_of_both(size, shared, vector):
    height, width = (size, size) if isinstance(size, int) else size
    if vector:
        encoder = unit.VectorEncoder(1, 3, size, width=4, shared=shared)
        decoder = unit.VectorDecoder(1, 3, size, width=4, shared=shared)
    else:
        encoder, decoder = unit.Encoder(1, 3, size, 4, shared=shared), unit.Decoder(1, 3, 4, shared=shared)
    pictures = {"source": torch.rand(2, 3, height, width), "image": torch.rand(2, 1, height, width)}
    mean, deviation = encoder(**pictures)
    assert mean.shape == deviation.shape and len(mean) == 4 and (deviation > 0).all()
    source, image = decoder(mean, "source", "image")
    assert source.shape == (4, 3, height, width) and image.shape == (4, 1, height, width)
    torch.testing.assert_close(decoder(mean, "image")[0], image) if not vector else None


@pytest.mark.parametrize("shared", [0, 1, 3, 6])
def test_encoders_end_and_decoders_begin_in_the_same_tensors(shared):
    networks = unit.Encoder(1, 1, 16, width=4, shared=shared), unit.Decoder(1, 1, width=4, shared=shared)
    for network, end in zip(networks, ("last", "first"), strict=True):
        paths = []
        for own in network.stacks.own.values():
            parts = (own, network.stacks.shared) if end == "last" else (network.stacks.shared, own)
            paths.append([next(layer.parameters()).data_ptr() for part in parts for layer in part])
        same = [a == b for a, b in zip(*paths, strict=True)]
        assert same == (
            [False] * (7 - shared) + [True] * shared if end == "last" else [True] * shared + [False] * (7 - shared)
        )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([*UNIT, "model.encoder.shared=7"], "between 0 and 6: this encoder has 7 layers, and the first is each"),
        ([*UNIT, "model.decoder.shared=8"], "the last is each domain's own. Set model.decoder.shared=6."),
        ([*UNIT, "model.rebuild=-1"], "rebuild=-1 must not be negative"),
        ([*VECTOR, "model.distance=l3"], "distance=l3 is not known; choose l1 or l2"),
        ([*UNIT, "model.discriminator.source_channels=3"], "Set model.discriminator.source_channels=1."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        made(*words)


# ---- the game -------------------------------------------------------------------------------------------------------


def test_a_prior_costs_twice_the_divergence_of_gaussians():
    for words, reduce in ((UNIT, torch.mean), (VECTOR, lambda x: x.flatten(1).sum(dim=1).mean())):
        game, batch = at_turn("generator", *words)
        pictures = batch.only("source", "image")
        mean, deviation = (x.chunk(2) for x in game.encoder(**pictures))
        _, means, far = game.codes(pictures, "posterior")
        torch.testing.assert_close(means, torch.cat(mean))
        for i, domain in enumerate(pictures):
            code = torch.distributions.Normal(mean[i], deviation[i])
            apart = torch.distributions.kl_divergence(code, torch.distributions.Normal(0.0, 1.0))
            torch.testing.assert_close(far[domain], 2 * reduce(apart))
            if words is UNIT:
                torch.testing.assert_close(far[domain], mean[i].square().mean())


def test_the_terms_are_those_of_the_official_code():
    game, batch = at_turn("generator", *UNIT)
    terms = game.generator_loss(batch, 0).losses
    cycles = {f"{name}_{domain}" for name in ("cycle", "cycle_prior") for domain in ("source", "image")}
    assert set(terms) == SUMS | cycles
    codes, _, far = game.codes(batch.only("source", "image"), "posterior")
    (rebuilt,), (fake,) = game.decoder(codes["source"], "source"), game.decoder(codes["source"], "image")
    torch.testing.assert_close(terms["rebuild_source"], 100 * (rebuilt - batch["source"]).abs().mean())
    torch.testing.assert_close(terms["prior_source"], 0.1 * far["source"])
    score = game.discriminator(fake, "image")
    torch.testing.assert_close(terms["adversarial_image"], 10 * game.objective.generator_loss(score, None))
    (other,) = game.decoder(codes["image"], "source")
    again, _, far = game.codes({"source": other, "image": fake}, "cycle")
    (back,) = game.decoder(again["image"], "source")
    torch.testing.assert_close(terms["cycle_source"], 100 * (back - batch["source"]).abs().mean())
    torch.testing.assert_close(terms["cycle_prior_source"], 0.1 * far["image"])


def test_for_digits_terms_are_sums_and_nothing_finds_its_way_back():
    game, batch = at_turn("generator", *VECTOR)
    terms = game.generator_loss(batch, 0).losses
    assert set(terms) == SUMS | {"adversarial_rebuilt_source", "adversarial_rebuilt_image"}
    codes, _, _ = game.codes(batch.only("source", "image"), "posterior")
    (rebuilt,) = game.decoder(codes["image"], "image")
    torch.testing.assert_close(
        terms["rebuild_image"], 1e-3 * (rebuilt - batch["image"]).square().flatten(1).sum(dim=1).mean()
    )
    game.noise.at(0, "discriminator", 0)
    told = {"adversarial", "adversarial_rebuilt"}
    assert set(game.discriminator_loss(batch, 0).losses) == {
        f"{name}_{d}" for name in told for d in ("source", "image")
    }


@pytest.mark.parametrize("domain", ["source", "image"])
def test_one_domains_likeness_moves_what_both_share_and_its_own_layers(domain):
    trainer = trainer_of(config_of(*UNIT))
    (batch,) = trainer.loader.batch(0)
    game = trainer.game
    game.noise.at(0, "generator", 0)
    game.generator_loss(batch, 0).losses[f"rebuild_{domain}"].backward()
    moved = lambda module: any(p.grad is not None and bool((p.grad != 0).any()) for p in module.parameters())
    for stacks in (game.encoder.stacks, game.decoder.stacks):
        assert moved(stacks.shared)
        assert [moved(stacks.own[name]) for name in ("source", "image")] == [domain == "source", domain == "image"]


def test_a_translation_is_the_other_decoders_picture_of_the_code():
    game, batch = at_turn("generator", *UNIT)
    forth, _ = game.encoder(source=batch["source"])
    assert torch.equal(game.translate(batch["source"]), game.decoder(forth, "image")[0])
    back, _ = game.encoder(image=batch["image"])
    rows = Rows(source=batch["image"])
    assert torch.equal(game.sample(rows, direction="back")["image"], game.decoder(back, "source")[0])
    assert torch.equal(game.rebuild(batch["image"]), game.decoder(back, "image")[0])
    shown = game.preview(batch, game.draw([0]), 0)
    assert shown["fixed"].shape[:2] == (8, 4) and torch.equal(shown["fixed"][:, 2], game.translate(batch["source"]))


def test_batch_norms_that_both_share_see_both_domains_at_once():
    trainer = trainer_of(config_of(*VECTOR))
    seen, game = [], trainer.game
    norms = [m for m in game.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    shared = {*game.encoder.stacks.shared.modules(), *game.decoder.stacks.shared.modules()}
    for norm in (n for n in norms if n in shared):
        norm.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    trainer.round()
    trainer.game.calibrate(next(iter(trainer.loader.batch(1))))
    assert {*seen} == {16}, "twice the batch of 8"


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [UNIT, VECTOR])
def test_pictures_are_translated_forth_and_back(words, tmp_path, capsys):
    run = tmp_path / "run"
    launch.train(config_of(*words, "trainer.steps=1", "trainer.evaluate_every=null"), run)
    Image.new("L", (16, 16), 60).save(tmp_path / "mine.png")
    for way in ("forth", "back"):
        main(["translate", str(run), str(tmp_path / "mine.png"), str(tmp_path / f"{way}.png"), f"direction={way}"])
        assert Image.open(tmp_path / f"{way}.png").size == (16, 16)
    code = main(["translate", str(run), str(tmp_path / "mine.png"), str(tmp_path / "large.png"), "size=32"])
    told = "this network takes 16x16: leave size out." in capsys.readouterr().err
    assert (code == 2, told) == (words is VECTOR,) * 2


# ---- presets --------------------------------------------------------------------------------------------------------


READ = {
    "unit_faces": (  # exps/unit/blondhair.yaml and src/trainers/cocogan_trainer.py
        {"model.adversarial": 10.0, "model.rebuild": 100.0, "model.prior": 0.1, "model.cycle": 100.0}
        | {"model.cycle_prior": 0.1, "optimizer.lr": 1e-4, "optimizer.betas": [0.5, 0.999]}
        | {"optimizer.weight_decay": 1e-4, "trainer.batch_size": 1, "trainer.steps": 2_000_000}
        | {"model.encoder.shared": 1, "model.decoder.shared": 1, "model.discriminator.shared": 5}
        | {"model.discriminator.layers": 6, "model.encoder.width": 64, "dataset.image_size": 128}
    ),
    "unit_svhn_mnist": (  # exps/unit/svhn2mnist.yaml and src/trainers/cocogan_trainer_da.py
        {"model.adversarial": 0.5, "model.rebuild": 1e-3, "model.prior": 1e-4, "model.cycle": 0.0}
        | {"model.encoder.width": 96, "model.encoder.shared": None, "optimizer.lr": 2e-4}
        | {"optimizer.weight_decay": 5e-4, "trainer.batch_size": 64, "trainer.steps": 200_000}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_preset_has_the_numbers_of_its_source(name):
    config = OmegaConf.create(compose([f"experiment={name}", "dataset.path=."]))
    assert {key: OmegaConf.select(config, key) for key in READ[name]} == READ[name]


def test_the_experiments_take_two_rounds(tmp_path):
    check_preset("unit_digits")
    check_preset("latent_domain_digits")
    for folder, mode in (("trainA", "RGB"), ("trainB", "L")):
        (tmp_path / folder).mkdir()
        for i in range(4):
            Image.new(mode, (32, 32), 50 * i if mode == "L" else (50 * i, 20, 90)).save(tmp_path / folder / f"{i}.png")
    narrow = [f"model.{network}.width=4" for network in ("encoder", "discriminator")]
    check_preset("unit_svhn_mnist", f"dataset.path={tmp_path}", *narrow)
    check_preset("unit_faces", f"dataset.path={tmp_path}", *narrow)
