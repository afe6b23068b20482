"""LAPGAN: levels that refine, and learn by themselves."""

import pytest
import torch
from helpers import config_of, made, play, trainer_of
from torch.nn.functional import avg_pool2d, interpolate

from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.networks.laplacian import Generator

LAP = ["model=lapgan", "loss=hinge"]


def test_a_latent_holds_a_plane_of_noise_a_level_and_the_bases_numbers():
    network = Generator(5, 3, 32, num_levels=2, width=4, base_width=8)
    assert network.num_latents == 32 * 32 + 16 * 16 + 5 and [*map(tuple, network.sizes)] == [(32, 32), (16, 16), (8, 8)]
    latent = torch.randn(3, network.num_latents)
    large, small, base = network.parted(latent)
    assert large.shape == (3, 1, 32, 32) and small.shape == (3, 1, 16, 16)
    assert torch.equal(torch.cat([large.flatten(1), small.flatten(1), base], dim=1), latent)


def test_each_level_adds_to_the_enlarged_image_below():
    network = Generator(5, 1, 28, width=4, base_width=8).eval()
    latent = torch.randn(2, network.num_latents)
    stages = network.stages(latent)
    assert [x.shape[2] for x in stages] == [7, 14, 28] and torch.equal(network(latent), stages[-1])
    for level in network.levels:
        torch.nn.init.zeros_(level[-1].weight)
        torch.nn.init.zeros_(level[-1].bias)
    plain = interpolate(stages[0], scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(network.stages(latent)[1], plain)


def test_levels_learn_from_real_images_halved_and_never_from_each_other():
    trainer = trainer_of(config_of(*LAP))
    (batch,) = trainer.loader.batch(0)
    image, z = batch["image"], trainer.game.latent(8)
    games = {i: (real, fake) for i, _, real, fake in trainer.game.games(image, z)}
    assert torch.equal(games[0][0], image)
    torch.testing.assert_close(games[1][0], avg_pool2d(image, 2))
    torch.testing.assert_close(games[2][0], avg_pool2d(image, 4))
    with torch.no_grad():
        for parameter in trainer.game.generator.base.parameters():
            parameter.add_(1.0)
    again = {i: fake for i, _, _, fake in trainer.game.games(image, z)}
    assert all(torch.equal(again[i], games[i][1]) for i in (0, 1)) and not torch.equal(again[2], games[2][1])


@pytest.mark.parametrize("level", [0, 1, 2])
def test_one_level_is_trained_alone(level):
    trainer = trainer_of(config_of(*LAP, f"model.level={level}"))
    parts = {0: "levels.0", 1: "levels.1", 2: "base"}
    before = {name: p.detach().clone() for name, p in trainer.game.named_parameters()}
    play(trainer, 2)
    moved = {name for name, p in trainer.game.named_parameters() if not torch.equal(p, before[name])}
    assert moved and all(f".{parts[level]}." in name for name in moved), sorted(moved)
    assert all(p.grad is not None for p in trainer.parameters)
    assert {name for name in trainer.report() if "adversarial" in name} == {
        f"loss/{player}/adversarial_level_{level}" for player in ("discriminator", "generator")
    }


def test_levels_go_on_from_each_other(tmp_path):
    quick = ["trainer.steps=2", "trainer.evaluate_every=null", "trainer.watch=false"]
    launch.train(config_of(*LAP, "model.level=2", *quick), tmp_path / "base")
    words = [*LAP, "model.level=1", f"trainer.init_from={tmp_path / 'base'}", *quick]
    launch.train(config_of(*words), tmp_path / "next")
    states = [torch.load(next((tmp_path / name / "checkpoints").glob("*2.pt")), weights_only=True)["game"]
              for name in ("base", "next")]  # fmt: skip
    weights = [name for name in states[0] if name.startswith("generator.base") and name.endswith("weight")]
    assert weights and all(torch.equal(states[0][name], states[1][name]) for name in weights)


def test_samples_stay_in_range_and_a_preview_shows_each_level():
    game = made(*LAP, rounds=1).game.eval()
    rows = game.draw(range(10))
    with torch.no_grad():
        assert game.sample(rows.each(lambda x: 5 * x))["image"].abs().max() <= 1
        table = game.tables(rows)["levels"]
    assert table.shape == (8, 3, 1, 16, 16)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model.level=3"], "level=3 is not there: this pyramid has 0, the largest, to 2, the base"),
        (["model.generator.num_levels=3"], "num_levels=3: an image of 16 is halved 2 times at most"),
        (["model.generator.kernels=[4,5]"], r"kernels=\[4, 5\] must be odd numbers"),
        (["model.discriminator.norm=instance"], "norm=instance is not known"),
    ],
)
def test_what_a_pyramid_cannot_be_is_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        trainer_of(config_of(*LAP, *words))
