"""Games with an encoder: what each player learns from, and pairs of images and latents."""

import pytest
import torch
from helpers import config_of, made, names, trainer_of
from torch import nn

from gan_lab.config.build import build_game
from gan_lab.config.compose import compose
from gan_lab.losses import LeastSquares

VAE, BI = ["model=vaegan", "loss=hinge"], ["model=bigan", "loss=hinge"]


def at_turn(player, *words):
    """The game, in eval mode, one batch, and the place of a player's first turn."""
    trainer = trainer_of(config_of(*words))
    (batch,) = trainer.loader.batch(0)
    trainer.game.noise.at(0, player, 0)
    return trainer.game.eval(), batch


# --- VAE-GAN ---------------------------------------------------------------------------------------------------------


def test_the_divergence_is_that_of_gaussians():
    game, batch = at_turn("encoder", *VAE)
    mean, log_variance = game.encoder(batch["image"])
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(game.posterior(batch["image"])[1], expected)


def test_reconstructions_come_from_a_draw_of_the_posterior_and_rebuilding_from_its_mean():
    game, batch = at_turn("encoder", *VAE)
    image = batch["image"]
    mean, log_variance = game.encoder(image)
    z = mean + (0.5 * log_variance).exp() * game.noise("posterior", mean.shape)
    torch.testing.assert_close(game.posterior(image)[0], game.generator(z))
    assert torch.equal(game.rebuild(image), game.generator(mean)) and game.rebuild(image).shape == image.shape


def test_three_players_move_in_the_papers_order():
    assert [seat.name for seat in made(*VAE).seats] == ["discriminator", "encoder", "generator"]


def test_the_encoder_hears_of_prior_and_likeness_and_not_of_the_critics_opinion():
    game, batch = at_turn("encoder", *VAE, "model.prior=2", "model.likeness=30")
    terms = game.encoder_loss(batch, 0).losses
    rebuilt, divergence = game.posterior(batch["image"])
    apart = game.discriminator.trunk(batch["image"]) - game.discriminator.trunk(rebuilt)
    assert set(terms) == {"prior", "likeness"}
    torch.testing.assert_close(terms["prior"], 2 * divergence)
    torch.testing.assert_close(terms["likeness"], 30 * 0.5 * apart.square().mean())


def test_samples_of_prior_and_posterior_are_fake_to_the_critic_and_likeness_is_none_of_its_business():
    game, batch = at_turn("discriminator", *VAE)
    assert set(game.discriminator_loss(batch, 0).losses) == {"adversarial", "adversarial_rebuilt"}


def test_reconstructions_may_be_kept_from_the_critic_and_the_generator():
    for player in ("discriminator", "generator"):
        game, batch = at_turn(player, *VAE, "model.judge_rebuilt=false")
        terms = getattr(game, f"{player}_loss")(batch, 0).losses
        assert set(terms) == {"adversarial"} | ({"likeness"} if player == "generator" else set())
    assert set(game.encoder_loss(batch, 0).losses) == {"prior", "likeness"}


def test_faces_are_weighed_as_in_the_official_code():
    """Half the sum over 256 x 8 x 8 features beside the prior; a millionth of it beside what the critic says."""
    config = compose(["experiment=vaegan_celeba", "dataset.root=."])
    for network in ("encoder", "generator", "discriminator"):
        config["model"][network]["width"] = 4
    game, x = build_game(config).eval(), torch.randn(2, 3, 64, 64)
    game.discriminator.trunk = nn.AvgPool2d(8)  # of whatever is compared
    apart = torch.nn.functional.avg_pool2d(x - 0.5 * x, 8)
    per_feature = apart.square().mean()
    torch.testing.assert_close(game.unlike(x, 0.5 * x), 0.5 * 256 * 8 * 8 * per_feature)
    assert (game.prior, game.gamma, game.judge_rebuilt) == (1.0, 1e-6, False)
    assert config["optimizer"]["alpha"] == 0.9


def test_gamma_weighs_likeness_for_the_generator_alone():
    terms = []
    for gamma in ("1", "3"):
        game, batch = at_turn("generator", *VAE, f"model.gamma={gamma}")
        terms.append((game.generator_loss(batch, 0).losses, game.encoder_loss(batch, 0).losses))
    (one, same), (three, too) = terms
    assert set(one) == {"likeness", "adversarial", "adversarial_rebuilt"}
    torch.testing.assert_close(3 * one["likeness"], three["likeness"])
    torch.testing.assert_close(same["likeness"], too["likeness"])


def test_a_plain_autoencoder_compares_pixels_and_heeds_no_critic():
    game, batch = at_turn("generator", *VAE, "model.plain=true")
    terms = game.generator_loss(batch, 0).losses
    apart = batch["image"] - game.posterior(batch["image"])[0]
    assert set(terms) == {"likeness"}
    torch.testing.assert_close(terms["likeness"], game.likeness * 0.5 * apart.square().mean())


@pytest.mark.parametrize("words", [VAE, BI], ids=["vaegan", "bigan"])
def test_previews_show_images_beside_what_is_rebuilt(words):
    trainer = made(*words, rounds=1)
    (batch,) = trainer.loader.batch(0)
    game = trainer.game.eval()
    table = game.preview(batch, game.draw(range(4)), 0)["rebuilt"]
    assert torch.equal(table[:, 0], batch["image"][:8]) and torch.equal(table[:, 1], game.rebuild(batch["image"])[:8])


# --- BiGAN -----------------------------------------------------------------------------------------------------------


def test_pairs_are_an_image_with_its_latent_and_a_latent_with_its_image():
    game, batch = at_turn("discriminator", *BI)
    real, fake = game.pairs(batch["image"], game.latent(len(batch["image"])))
    z = game.latent(real.count)
    assert torch.equal(real["image"], batch["image"]) and torch.equal(fake["latent"], z)
    torch.testing.assert_close(real["latent"], game.encoder(batch["image"]))
    torch.testing.assert_close(fake["image"], game.generator(z))


def test_a_blind_critic_is_not_shown_the_latents():
    image, latent, other = torch.randn(4, 1, 16, 16), torch.randn(4, 50), torch.randn(4, 50)
    for blind in (True, False):
        game, _ = at_turn("discriminator", *BI, f"model.discriminator.blind={str(blind).lower()}")
        assert torch.equal(game.discriminator(image, latent), game.discriminator(image, other)) is blind


def test_the_encoder_wants_its_pairs_taken_for_the_generators():
    game, batch = at_turn("generator", *BI)
    terms = game.generator_loss(batch, 0).losses
    real, fake = game.pairs(batch["image"], game.latent(len(batch["image"])))
    torch.testing.assert_close(terms["adversarial"], -game.discriminator(**fake).mean())
    torch.testing.assert_close(terms["adversarial_encoder"], game.discriminator(**real).mean())


def test_what_the_generator_owes_beside_is_owed_once():
    report = made(*BI, "loss/penalty=feature_matching", rounds=1).report()
    assert [name for name in report if "feature" in name] == ["loss/generator/feature_matching"]


@pytest.mark.parametrize("loss", names("loss"))
def test_to_a_mirrored_critic_the_objective_is_the_same_with_sides_changed(loss):
    """The critic that scores fake for real and real for fake, and mirrors, is as good; so E is to D as G is."""
    objective = build_game(config_of("model=gan", f"loss={loss}")).objective
    scores = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    (real, fake), noise = scores, lambda name, shape: torch.zeros(shape)
    mirrored = [objective.mirrored(score) for score in (fake, real)]
    torch.testing.assert_close(objective.critic_loss(*mirrored, noise), objective.critic_loss(real, fake, noise))
    torch.testing.assert_close(objective.mirrored(objective.mirrored(real)), real)


@pytest.mark.parametrize("loss", names("loss"))
def test_the_encoder_gains_where_its_pairs_are_scored_like_the_generators(loss):
    objective = build_game(config_of("model=gan", f"loss={loss}")).objective
    fake = objective.mirrored(torch.zeros(6))
    like_fake, like_real = (objective.generator_loss(objective.mirrored(torch.full((6,), x)), fake) for x in (0.0, 1.0))
    assert like_fake < like_real


def test_scores_are_mirrored_between_the_targets():
    objective = LeastSquares(fake_target=-1.0, real_target=3.0)
    assert objective.mirrored(torch.tensor([-1.0, 3.0, 1.0])).tolist() == [3.0, -1.0, 1.0]


def test_it_learns_to_rebuild_more_than_by_chance():
    words = [*BI, "loss=non_saturating", "optimizer.lr=0.002", "model.latent_dim=8", "trainer.batch_size=64"]
    trainer = made(*words, "model.discriminator.norm=batch", "model.discriminator.spectral_norm=false", rounds=600)
    game = trainer.game.eval()
    (batch,) = trainer.loader.batch(1000)
    with torch.no_grad():
        rebuilt = game.rebuild(batch["image"])
    own = (rebuilt - batch["image"]).abs().mean()
    assert own < 0.9 * (rebuilt - batch["image"].roll(1, dims=0)).abs().mean()
