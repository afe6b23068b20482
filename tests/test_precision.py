"""What must not be rounded to eight bits: scores, gains beside 1; and critics that are compiled."""

import pytest
import torch
from helpers import config_of, made, names, play, trainer_of, weights, words_for

from gan_lab.losses.features import FeatureMatching, layer_gap
from gan_lab.networks.batch_layers import MinibatchDiscrimination
from gan_lab.networks.conditional import ConditionalBatchNorm, Projection
from gan_lab.networks.precision import in_float32
from gan_lab.noise import Noise


@pytest.mark.parametrize("model", names("model"))
def test_scores_are_float32_under_autocast_and_finer_than_bfloat16(model):
    trainer, heard = trainer_of(config_of(*words_for(model), "trainer.precision=bf16")), []

    def listen(module, inputs, output):
        if hasattr(module, "head"):  # every critic
            heard.extend(output if isinstance(output, tuple) else [output])

    handle = torch.nn.modules.module.register_module_forward_hook(listen)
    try:
        play(trainer, 1)
    finally:
        handle.remove()
    assert heard
    assert {x.dtype for x in heard} == {torch.float32}
    said = torch.cat([x.detach().flatten() for x in heard])
    assert (said.bfloat16().float() != said).float().mean() > 0.95


def test_a_layer_keeps_its_precision_and_hands_on_gradients(double):
    layer, x = torch.nn.Linear(4, 1).float(), torch.randn(3, 4, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        said = in_float32(layer, x)
    assert torch.equal(said, layer(x.float()))
    said.sum().backward()
    assert x.grad is not None
    assert in_float32(layer.double(), torch.randn(3, 4)).dtype == torch.float64


def test_gains_of_a_condition_are_not_rounded():
    """1 + w is one of 14 numbers in bfloat16 for weights of .01; the norm's gain is as many as there are weights."""
    torch.manual_seed(0)
    norm = ConditionalBatchNorm(2048, 1)
    torch.nn.init.normal_(norm.weight, std=0.01)
    x, told = torch.randn(4, 2048, 4, 4), torch.ones(4, 1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = (1 + told @ norm.weight)[0].unique()
        shown = norm(x, told)
        assert norm(x.bfloat16(), told).dtype == torch.bfloat16
    assert len(rounded) < 20
    torch.testing.assert_close(shown, norm(x, told), atol=1e-5, rtol=1e-5)
    assert len((shown / norm.norm(x)).mean(dim=(0, 2, 3)).unique()) > 1900


@pytest.mark.parametrize("layer", [Projection(10, 64), MinibatchDiscrimination(64)])
def test_layers_beside_the_head_know_more_than_bfloat16(layer):
    torch.manual_seed(0)
    x = torch.randn(16, 64)
    words = (x, torch.eye(10)[torch.arange(16) % 10]) if isinstance(layer, Projection) else (x,)
    apart = lambda said: (said - layer(*words)).abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        said = layer(x) if len(words) == 1 else in_float32(layer, *words)
    assert apart(said) < 1e-5


# --- Compiled critics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_features_of_a_compiled_critic_are_those_of_a_plain_one(backend):
    """A call that was compiled without hooks would go on without them."""
    torch.compiler.reset()
    game = made("model=dcgan", "model.discriminator.norm=layer").game
    critic, (real, fake) = game.discriminator, torch.randn(2, 8, 1, 16, 16)
    gap, matched = layer_gap(critic, real, fake), FeatureMatching()(critic, real, fake, noise=Noise())
    critic.compile(backend=backend)
    for _ in range(2):
        critic(real)
        assert torch.equal(layer_gap(critic, real, fake), gap)
        with torch.compiler.set_stance("force_eager"):  # as every penalty is taken
            assert torch.equal(FeatureMatching()(critic, real, fake, noise=Noise()), matched)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["model=discogan", "dataset=degraded"], ["model=dcgan", "loss/penalty=feature_matching"]]
)
def test_a_compiled_game_that_looks_at_features_plays_as_a_plain_one(words):
    torch.compiler.reset()
    plain, compiled = made(*words), made(*words)
    for network in {name for networks in compiled.game.players.values() for name in networks}:
        getattr(compiled.game, network).compile(backend="eager")
    torch.testing.assert_close(weights(play(plain, 2)), weights(play(compiled, 2)), atol=1e-5, rtol=1e-4)
