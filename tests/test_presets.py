"""Experiments by their papers' numbers and code, and two rounds of those with conditions, codes and pyramids."""

import pytest
import torch
from helpers import check_preset
from omegaconf import OmegaConf

from gan_lab.config.compose import compose

PAPERS = {  # the size of its images, the kind of optimizer, and the rates of critic and generator
    "cgan_mnist": (28, torch.optim.Adam, 2e-4, 2e-4),
    "projection_cifar10": (32, torch.optim.Adam, 2e-4, 2e-4),
    "acgan_cifar10": (32, torch.optim.Adam, 2e-4, 2e-4),
    "infogan_mnist": (28, torch.optim.Adam, 2e-4, 1e-3),
    "vaegan_celeba": (64, torch.optim.RMSprop, 3e-4, 3e-4),
    "bigan_mnist": (28, torch.optim.Adam, 2e-4, 2e-4),
    "lapgan_cifar10": (32, torch.optim.SGD, 0.01, 0.02),
    "wgan_gp_acgan_cifar10": (32, torch.optim.Adam, 2e-4, 2e-4),
}
SNGAN = {  # sn_cifar10_unconditional.yml and sn_cifar10_conditional.yml
    "trainer.steps": 50_000, "trainer.batch_size": 64, "model.generator_batch": 2, "model.latent_dim": 128,
    "loss.critic_turns": 5, "optimizer.lr": 2e-4, "optimizer.betas": [0.0, 0.9], "trainer.schedule": "linear",
    "trainer.decay_from": 0.0, "model.generator.width": 256, "model.discriminator.width": 128,
    "model.generator.init": "xavier", "model.discriminator.pool": "sum",
}  # fmt: skip
WGAN_GP = {
    "trainer.batch_size": 64, "model.latent_dim": 128, "model.latent": "normal", "loss.critic_turns": 5,
    "loss.penalties.gradient_penalty.weight": 10.0, "model.generator.width": 128, "model.discriminator.width": 128,
    "model.discriminator.norm": "none",
}  # fmt: skip
WGAN_GP_RESNET = WGAN_GP | {  # gan_cifar_resnet.py
    "trainer.steps": 100_000, "optimizer.lr": 2e-4, "optimizer.betas": [0.0, 0.9], "trainer.schedule": "linear",
    "trainer.decay_from": 0.0, "model.generator_batch": 2, "model.discriminator.pool": "mean",
}  # fmt: skip
READ = {  # what stands in the repository and file of each source
    "sngan_cifar10": ("pfnet-research/sngan_projection: configs", SNGAN),
    "projection_cifar10": ("pfnet-research/sngan_projection: configs", SNGAN),
    "wgan_gp_cifar10": (
        "igul222/improved_wgan_training: gan_cifar.py",
        WGAN_GP
        | {
            "trainer.steps": 200_000,
            "optimizer.lr": 1e-4,
            "optimizer.betas": [0.5, 0.9],
            "trainer.schedule": "constant",
        }
        | {"model.generator_batch": 1, "model.generator.kernel": 5, "model.discriminator.kernel": 5},
    ),
    "wgan_gp_resnet_cifar10": ("igul222/improved_wgan_training: gan_cifar_resnet.py", WGAN_GP_RESNET),
    "wgan_gp_acgan_cifar10": (
        "igul222/improved_wgan_training: gan_cifar_resnet.py",
        WGAN_GP_RESNET
        | {"model.class_weight": 1.0, "model.generator_class_weight": 0.1, "model.classify_fakes": False},
    ),
    "lapgan_cifar10": (
        "facebook/eyescream: cifar/scripts/train_cifar_coarse_to_fine.lua",
        {"trainer.batch_size": 64, "optimizer.lr": 0.02, "optimizer.momentum": 0.5, "model.latent": "uniform"}
        | {"optimizer_overrides.discriminator.lr": 0.01, "model.generator.kernels": [7, 7, 5]}
        | {"model.generator.width": 64, "model.generator.latent_dim": 100},
    ),
    "dcgan_celeba": (
        "Newmu/dcgan_code: faces/train_uncond_dcgan.py",
        {"trainer.batch_size": 128, "trainer.epochs": 25, "optimizer.lr": 2e-4, "optimizer.betas": [0.5, 0.999]}
        | {"optimizer.weight_decay": 1e-5, "model.latent_dim": 100, "model.latent": "uniform"}
        | {"model.generator.width": 128, "model.discriminator.width": 128}
        | {"model.generator.kernel": 5, "model.discriminator.kernel": 5},
    ),
    "wgan_mnist": (
        "martinarjovsky/WassersteinGAN: main.py",
        {"trainer.turns": {"discriminator": {"usual": 5, "warm": 100, "first": 25, "every": 500}}, "loss.clip": 0.01}
        | {"trainer.batch_size": 64, "optimizer.lr": 5e-5, "optimizer.alpha": 0.99, "model.latent": "normal"},
    ),
    "infogan_mnist": (
        "openai/InfoGAN: launchers/run_mnist_exp.py",
        {"model.latent": "uniform", "model.latent_dim": 62, "model.codes": [10, 1, 1], "model.information": 1.0}
        | {"model.continuous_information": 1.0, "optimizer.lr": 1e-3, "optimizer_overrides.discriminator.lr": 2e-4}
        | {"optimizer.betas": [0.5, 0.999], "trainer.batch_size": 128, "trainer.steps": 50 * 100},
    ),
    "r3gan_cifar10": (
        "brownvc/R3GAN: README.md and train.py, --preset=CIFAR10 --mirror=1 --cond=1",
        {"dataset.flip": True, "model.num_conditions": 10, "model.latent_dim": 64, "model.generator.width": 768}
        | {"model.discriminator.width": 768, "model.generator.limit": 1, "trainer.batch_size": 512}
        | {"optimizer.lr": 2e-4, "loss.penalties.r1.weight": 0.05, "loss.penalties.r2.weight": 0.05}
        | {"trainer.ema_half_life_images": 5_000_000},
    ),
    "sgan_cifar10": (
        "openai/improved-gan: mnist_svhn_cifar10/train_cifar_feature_matching.py",
        {"model.supervised": 2.0, "model.adversarial": 0.0, "model.discriminator.pool": True, "trainer.epochs": 1200}
        | {"model.latent_dim": 100, "model.generator.width": 128, "optimizer.lr": 3e-4, "trainer.batch_size": 100}
        | {"optimizer.betas": [0.5, 0.999], "dataset.num_labelled": 4000, "trainer.ema_half_life_images": 693_000},
    ),
}
LAPTOPS = ["cgan_digits", "acgan_digits", "infogan_digits", "vaegan_digits", "bigan_digits", "lapgan_digits"]


@pytest.mark.parametrize("name", READ)
def test_a_preset_has_the_numbers_of_its_source(name):
    config = OmegaConf.create(compose([f"experiment={name}"]))
    _, facts = READ[name]
    assert {key: OmegaConf.select(config, key) for key in facts} == facts


def test_every_infogan_draws_its_latents_as_the_papers_code_does():
    for name in ("infogan_mnist", "infogan_digits", "proof/infogan"):
        assert compose([f"experiment={name}"])["model"]["latent"] == "uniform", name


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
    return game.sample(game.draw([0]))["image"]
