"""XGAN: its networks, what the two domains share, its terms, and the gradient that is reversed."""

import pytest
import torch
from helpers import check_preset, made
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_lab.losses import NonSaturating
from gan_lab.models import XGAN
from gan_lab.models.xgan import reversed_gradient
from gan_lab.networks import xgan
from gan_lab.rows import Rows


def test_the_weights_are_as_many_as_a_third_partys():
    """By hand from CS2470FinalProject/X-GAN at 64 pixels; here the pictures and the logits have biases."""
    count = lambda network: sum(weight.numel() for weight in network.parameters())
    own = 3 * 32 * 16 + 2 * 32 + 32 * 64 * 16 + 2 * 64
    shared = 64 * 128 * 16 + 2 * 128 + 128 * 256 * 16 + 2 * 256 + 256 * 1024 * 16 + 1024 * 1024
    assert count(xgan.Encoder(1024, 3, 3, 64)) == 2 * own + shared == 5_968_000
    own = 256 * 128 * 16 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 3 * 16 + 3
    shared = 1024 * 512 * 16 + 2 * 512 + 512 * 256 * 16 + 2 * 256
    assert count(xgan.Decoder(1024, 3, 3, 64)) == 2 * own + shared == 11_804_934
    assert count(xgan.DomainCritic(1024)) == 3 * 1024 * 1025 + 1025


@pytest.mark.parametrize("size", [4, 20, 28, [16, 32]])
def test_codes_are_of_any_size_that_can_be_halved(size):
    height, width = (size, size) if isinstance(size, int) else size
    encoder, decoder = xgan.Encoder(5, 1, 3, size, width=4), xgan.Decoder(5, 1, 3, size, width=4)
    code = encoder(torch.rand(2, 3, height, width), "source")
    assert code.shape == (2, 5) and decoder(code, "source").shape == (2, 3, height, width)
    assert decoder(code, "image").shape == (2, 1, height, width)


def test_the_middle_is_one_and_the_ends_are_each_domains():
    encoder, decoder = xgan.Encoder(5, 1, 3, 16, width=4), xgan.Decoder(5, 1, 3, 16, width=4, own=2)
    decoder(encoder(torch.rand(2, 3, 16, 16), "source"), "source").sum().backward()
    for network in (encoder, decoder):
        assert all(weight.grad is not None for weight in network.shared.parameters())
        assert all(weight.grad is not None for weight in network.own["source"].parameters())
        assert all(weight.grad is None for weight in network.own["image"].parameters())
        assert len(list(network.shared.parameters()))


def test_a_reversed_gradient_has_the_other_sign_and_the_value_stays():
    x = torch.randn(4, requires_grad=True)
    y = reversed_gradient(x)
    assert torch.equal(y, x)
    (y * torch.arange(4.0)).sum().backward()
    assert torch.equal(x.grad, -torch.arange(4.0))


class Pixels(nn.Module):
    """The first two pixels of the first channel, times a number of the domain's own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.ParameterDict({"source": torch.tensor(1.0), "image": torch.tensor(2.0)})

    def forward(self, pictures, domain):
        return self.scale[domain] * pictures[:, 0].flatten(1)[:, :2]


class Repeat(nn.Module):
    """A code twice, in two rows, times a number of the domain's own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.ParameterDict({"source": torch.tensor(0.5), "image": torch.tensor(0.25)})

    def forward(self, code, domain):
        return self.scale[domain] * torch.cat([code, code], dim=1).view(-1, 1, 2, 2)


def by_hand(**words):
    critics = {name: First() for name in ("critic_source", "critic_image")}
    line = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    networks = {"encoder": Pixels(), "decoder": Repeat(), "domain_critic": line, **critics}
    return XGAN(
        **networks | words, objective=NonSaturating(), source_channels=1, channels=1, image_size=2, latent_dim=2
    )


class First(nn.Module):
    """The first pixel as a score."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, image):
        return self.scale * image[:, 0, 0, 0]


BATCH = Rows(
    source=torch.tensor([[0.8, -0.4, 0.1, 0.2], [0.2, 0.6, 0.0, 0.0]]).view(2, 1, 2, 2),
    image=torch.tensor([[0.4, 0.2, -0.5, 0.1], [-0.6, 0.2, 0.3, 0.9]]).view(2, 1, 2, 2),
)


def test_each_term_is_what_the_paper_says():
    game = by_hand(rebuild=3.0, consistency=5.0, hiding=7.0)
    terms, logs = game.generator_loss(BATCH, 0)
    source, image = BATCH["source"][:, 0].flatten(1)[:, :2], BATCH["image"][:, 0].flatten(1)[:, :2]
    codes = {"source": source, "image": 2 * image}
    # A source's translation is a quarter of its code, whose code is a half of it; an image's is half, and stays so
    assert terms["consistency_source"].item() == pytest.approx(5 * (codes["source"] / 2).abs().mean().item())
    assert terms["consistency_image"].item() == pytest.approx(5 * (codes["image"] / 2).abs().mean().item())
    for domain, scale in {"source": 0.5, "image": 0.25}.items():
        rebuilt = scale * torch.cat([codes[domain], codes[domain]], dim=1).view(2, 1, 2, 2)
        wanted = 3 * (rebuilt - BATCH[domain]).square().mean()
        torch.testing.assert_close(terms[f"rebuild_{domain}"], wanted)
    logits = game.domain_critic(torch.cat([codes["source"], codes["image"]]))
    wanted = 7 * binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 0.0, 1.0, 1.0]))
    torch.testing.assert_close(terms["domain"], wanted)
    assert 0 <= logs["domains_told"] <= 1


def test_the_domain_critic_learns_and_the_encoder_unlearns():
    game = by_hand()
    codes = {domain: game.encoder(BATCH[domain], domain) for domain in ("source", "image")}
    term = game.hidden(codes).losses["domain"]
    plain = binary_cross_entropy_with_logits(
        game.domain_critic(torch.cat([codes["source"], codes["image"]])), torch.tensor([0.0, 0.0, 1.0, 1.0])
    )
    weights = [*game.encoder.parameters()], [*game.domain_critic.parameters()]
    for sign, mine in zip((-1, 1), weights, strict=True):
        for ours, theirs in zip(*(torch.autograd.grad(x, mine, retain_graph=True) for x in (term, plain)), strict=True):
            torch.testing.assert_close(ours, sign * theirs)


def test_a_teacher_is_frozen_and_teaches_sources():
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    game = by_hand(guest=teacher, teaching=2.0).train()
    assert list(game.guests) == ["guest"] and not any(weight.requires_grad for weight in teacher.parameters())
    term = game.generator_loss(BATCH, 0).losses["teaching"]
    code = BATCH["source"][:, 0].flatten(1)[:, :2]
    torch.testing.assert_close(term, 2 * (code - teacher(BATCH["source"])).abs().mean())
    assert "teaching" not in by_hand().generator_loss(BATCH, 0).losses


def test_nothing_to_hide_leaves_the_domain_critic_out():
    game = by_hand(hiding=0.0)
    assert game.players["generator"] == ("encoder", "decoder") and game.domain_critic is None
    assert "domain" not in game.generator_loss(BATCH, 0).losses


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"hiding": -1.0}, "hiding=-1.0 must not be negative"),
        ({"adversarial": 0.0, "rebuild": 0.0}, "nothing to learn. Set model.rebuild=1"),
    ],
)
def test_what_cannot_be_played_is_a_sentence(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        by_hand(**words)


def test_domains_of_other_channels_are_translated_both_ways():
    game = made("model=xgan", "dataset=unpaired_sets", rounds=1).game.eval()
    assert game.translate(torch.rand(2, 3, 16, 16)).shape == (2, 1, 16, 16)
    assert game.translate(torch.rand(2, 1, 16, 16), "back").shape == (2, 3, 16, 16)


def test_the_preset_for_a_cpu_plays():
    check_preset("xgan_digits")
