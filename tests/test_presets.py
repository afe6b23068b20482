"""Experiments of games with conditions, codes, encoders and pyramids: their numbers, and two rounds by them."""

import pytest
import torch
from helpers import check_preset

PAPERS = {  # the size of its images, the kind of optimizer, and the rates of critic and generator
    "cgan_mnist": (28, torch.optim.Adam, 2e-4, 2e-4),
    "projection_cifar10": (32, torch.optim.Adam, 2e-4, 2e-4),
    "acgan_cifar10": (32, torch.optim.Adam, 2e-4, 2e-4),
    "infogan_mnist": (28, torch.optim.Adam, 2e-4, 1e-3),
    "vaegan_celeba": (64, torch.optim.RMSprop, 3e-4, 3e-4),
    "bigan_mnist": (28, torch.optim.Adam, 2e-4, 2e-4),
    "lapgan_cifar10": (32, torch.optim.SGD, 0.02, 0.02),
}
LAPTOPS = ["cgan_digits", "acgan_digits", "infogan_digits", "vaegan_digits", "bigan_digits", "lapgan_digits"]


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_settings_are_played_on_data_that_is_there(name):
    size, kind, critic, generator = PAPERS[name]
    networks = ["generator", "discriminator"] + ["encoder"] * name.startswith(("vaegan", "bigan"))
    narrow = [f"model.{network}.width=4" for network in networks]
    narrow += [f"model.{network}.base_width=8" for network in networks if name.startswith("lapgan")]
    narrow += ["~dataset.flip"] * (name == "vaegan_celeba")  # digits are not mirrored
    trainer = check_preset(name, "dataset=digits", f"dataset.image_size={size}", "loss.critic_turns=1", *narrow)
    optimizers = {seat.name: seat.optimizer for seat in trainer.seats}
    assert all(type(optimizer) is kind for optimizer in optimizers.values())
    assert (optimizers["discriminator"].defaults["lr"], optimizers["generator"].defaults["lr"]) == (critic, generator)
    assert first_of(trainer).shape == (1, 1, size, size)


@pytest.mark.parametrize("name", LAPTOPS)
def test_a_laptops_settings_are_played_as_they_are(name):
    assert first_of(check_preset(name)).shape == (1, 1, 16, 16)


def first_of(trainer):
    game = trainer.game.eval()
    return game.sample(game.draw_latents([0]))
