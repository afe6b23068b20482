"""CoGAN: what two generators and two critics have in common, what each domain plays, and whether pairs agree."""

import numpy as np
import pytest
import torch
from helpers import check_preset, config_of, made, trainer_of
from omegaconf import OmegaConf

import gan_lab
from gan_lab.config.build import build_dataset
from gan_lab.config.compose import compose
from gan_lab.datasets.split_domains import SplitDomains
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.networks import coupled
from gan_lab.networks.stacks import Stacks
from gan_lab.runs import evaluation
from gan_lab.runs.references import labelled_as

COGAN = ["model=cogan", "dataset=split_domains", "dataset.transform=edges"]
ALONE = "model.generator.shared=0", "model.discriminator.shared=0"


def count(network):
    return sum(p.numel() for p in network.parameters())


# ---- networks -------------------------------------------------------------------------------------------------------


def test_the_networks_have_the_weights_of_the_official_code():
    """7,842,694 and 427,593; its critic has two outputs, whose difference is a score: 500 weights, a bias."""
    generator, discriminator = coupled.Generator(100, 1, 1, 28), coupled.Discriminator(1, 28)
    assert count(generator) == 7_842_694 and count(generator.stacks.shared) == 7_833_476
    assert count(discriminator) == 427_593 - 501
    assert count(discriminator.trunk.own) == 2 * 520


@pytest.mark.parametrize("size", [4, 5, 16, 20, 28, 48, [16, 32], [56, 28]])
@pytest.mark.parametrize("shared", [0, None])
def test_pictures_have_the_size_and_channels_of_their_domain(size, shared):
    generator = coupled.Generator(6, 1, 3, size, width=4, shared=shared)
    discriminator = coupled.Discriminator(1, size, 3, width=4, shared=shared)
    source, image = generator(torch.randn(2, 6))
    sides = (size, size) if isinstance(size, int) else tuple(size)
    assert source.shape == (2, 3, *sides) and image.shape == (2, 1, *sides)
    assert discriminator(source, "source").shape == discriminator(image).shape == (2,)


@pytest.mark.parametrize("shared", [0, 1, 2, 3, 4])
def test_as_many_layers_are_the_same_tensors_as_are_asked_for(shared):
    generator = coupled.Generator(6, 1, 1, 28, width=4, shared=shared)
    paths = [
        [p.data_ptr() for part in (generator.stacks.shared, own) for p in part.parameters() if p.dim() > 1]
        for own in generator.stacks.own.values()
    ]
    assert [a == b for a, b in zip(*paths, strict=True)] == [True] * shared + [False] * (5 - shared)


@pytest.mark.parametrize("shared", [0, 1, 2, 3])
def test_a_critic_shares_its_last_layers_and_looks_with_its_own(shared):
    critic = coupled.Discriminator(1, 28, width=4, shared=shared)
    paths = [
        [
            p.data_ptr()
            for stacks in (critic.trunk, critic.head)
            for part in (stacks.own[domain], stacks.shared)
            for p in part.parameters()
            if p.dim() > 1
        ]
        for domain in ("source", "image")
    ]
    assert [a == b for a, b in zip(*paths, strict=True)] == [False] * (4 - shared) + [True] * shared


def test_stacks_pass_once_through_what_they_share():
    twice = lambda: [torch.nn.Linear(3, 3), torch.nn.Linear(3, 2)]
    x, y = torch.randn(4, 3), torch.randn(2, 3)
    begins = Stacks({"source": twice(), "image": twice()}, 1, "first")
    for domain, each in zip(("source", "image"), begins.each(x, ("source", "image")), strict=True):
        assert torch.equal(each, begins(x, domain))
    ends = Stacks({"source": twice(), "image": twice()}, 1, "last")
    together = ends.joined({"source": x, "image": y})
    torch.testing.assert_close(together, torch.cat([ends(x, "source"), ends(y, "image")]))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model.generator.shared=5", "model.discriminator.shared=0"], "between 0 and 3: this generator has 4 layers"),
        (["model.discriminator.shared=9"], "the first is each domain's own. Set model.discriminator.shared=2."),
        (["model.discriminator.dropout=1"], r"dropout=1 must lie in \[0, 1\)"),
        (["model.discriminator.source_channels=3"], "channels, and those of this data have 1. Set model.discrim"),
    ],
)
def test_what_cannot_be_is_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        made(*COGAN, *words)


# ---- the game -------------------------------------------------------------------------------------------------------


def gradients(game, terms):
    game.zero_grad()
    terms.backward()
    part = lambda module: any(p.grad is not None and bool((p.grad != 0).any()) for p in module.parameters())
    stacks = game.generator.stacks
    return part(stacks.shared), part(stacks.own["source"]), part(stacks.own["image"])


@pytest.mark.parametrize("domain", ["source", "image"])
def test_one_domains_opinion_moves_what_both_share_and_its_own_last_layer(domain):
    trainer = trainer_of(config_of(*COGAN))
    (batch,) = trainer.loader.batch(0)
    trainer.game.noise.at(0, "generator", 0)
    losses, _ = trainer.game.generator_loss(batch, 0)
    assert set(losses) == {"adversarial_source", "adversarial_image"}
    assert gradients(trainer.game, losses[f"adversarial_{domain}"]) == (True, domain == "source", domain == "image")


def test_two_gans_meet_in_the_latent_alone_where_nothing_is_shared():
    game = made(*COGAN, *ALONE).game
    assert count(game.generator.stacks.shared) == count(game.discriminator.trunk.shared) == 0
    assert count(game.discriminator.head.shared) == 0


def test_a_sample_is_both_pictures_of_its_latent():
    game = made(*COGAN, rounds=1).game.eval()
    rows = game.draw([3, 4])
    pictures = game.sample(rows)
    source, image = game.generator(rows["latent"])
    assert list(pictures) == ["image", "source"]
    assert torch.equal(pictures["image"], image) and torch.equal(pictures["source"], source)
    shown = game.preview(next(iter(made(*COGAN).loader.batch(0))), rows, 0)["fixed"]
    assert shown.shape == (2, 2, 1, 16, 16) and torch.equal(shown[:, 0], source) and torch.equal(shown[:, 1], image)


@pytest.mark.parametrize("words", [["loss/view=packing"], ["loss/view=replay"], ["loss/penalty=feature_matching+r1"]])
def test_domains_of_other_channels_take_views_and_penalties(words):
    more = ["model.discriminator.source_channels=2"] if "packing" in words[0] else []
    made(*COGAN, "loss=hinge", *words, *more, rounds=2)


# ---- data and figures -----------------------------------------------------------------------------------------------


def test_edges_are_what_a_dilation_adds():
    """By hand: a square of 2 x 2 in the middle of 6 x 6, around which lies a rim of one pixel."""
    pixels = np.zeros((6, 6), dtype=np.uint8)
    pixels[2:4, 2:4] = 200
    expected = np.zeros((6, 6), dtype=np.uint8)
    expected[1:5, 1:5] = 200
    expected[2:4, 2:4] = 0
    dataset = build_dataset(config_of(*COGAN))
    shown = dataset.changed(torch.from_numpy(pixels)[None, :, :, None])
    assert isinstance(dataset, SplitDomains) and np.array_equal(shown[0, :, :, 0], expected)


def test_readers_learn_each_domain_from_the_labels_of_the_set_that_it_is_made_of():
    config = config_of(*COGAN)
    dataset = build_dataset(config)
    source, image = (labelled_as(config, dataset, column) for column in ("source", "image"))
    assert torch.equal(source.labels, image.labels) and source.num_classes == 10
    assert torch.equal(dataset.styled("image", source.images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), image.images)
    other = config_of("dataset=split_domains", "dataset.by=class", "dataset.classes=[3,8]")
    assert labelled_as(other, build_dataset(other), "image") is None, "classes differ by domain"


class Reads:
    """Reads a class from the brightness of a picture's corner."""

    says_little, about = False, "the corner"

    def __call__(self, images):
        classes = (images[:, 0, 0, 0].float() / 25.5).long().clamp(max=9)
        return None, torch.nn.functional.one_hot(classes, 10).float()


def test_pairs_agree_where_both_pictures_are_read_alike(tmp_path, monkeypatch):
    launch.train(config_of(*COGAN, "trainer.steps=1", "trainer.evaluate_every=null"), tmp_path / "run")
    run = gan_lab.load(tmp_path / "run")
    monkeypatch.setattr(evaluation, "class_readers", lambda run: [Reads(), Reads()])
    source = torch.linspace(-1, 1, 20).view(20, 1, 1, 1).expand(20, 1, 16, 16)
    image = torch.where(torch.arange(20).view(20, 1, 1, 1) < 5, source.roll(10, dims=0), source)
    monkeypatch.setattr(evaluation, "pairs_of", lambda game, rows: (source, image))
    like = evaluation.evaluate(run, n=20, extractor="pixels")[0]
    figures = {f.name: f for f in evaluation.agreement(run, run.dataset, range(20), None, like)}
    assert figures["pair_accuracy/classifier"].value == pytest.approx(0.75)
    truth = run.dataset.truth(source)
    share = float(((image > 0) == (truth > 0)).double().mean())
    assert figures["pixel_agreement/truth"].value == pytest.approx(share)
    assert "pair_accuracy/classifier" not in {f.name for f in evaluation.evaluate(run, n=20, extractor="pixels")}


# ---- presets --------------------------------------------------------------------------------------------------------


def test_the_papers_experiment_has_the_numbers_of_its_code():
    """mingyuliutw/CoGAN: cogan/tools/make_mnist.edge.cogan_net.py and run_mnist.edge.cogan.sh."""
    config = OmegaConf.create(compose(["experiment=cogan_mnist_edges"]))
    facts = {
        "trainer.steps": 50_000, "trainer.batch_size": 128, "optimizer.lr": 2e-4, "optimizer.betas": [0.5, 0.999],
        "optimizer.weight_decay": 5e-4, "model.latent": "uniform", "model.latent_dim": 100,
        "model.generator.width": 128, "model.discriminator.width": 20, "model.discriminator.dropout": 0.5,
        "dataset.transform": "edges",
    }  # fmt: skip
    assert {key: OmegaConf.select(config, key) for key in facts} == facts


def test_the_experiments_take_two_rounds():
    check_preset("cogan_digits")
    trainer = check_preset("cogan_mnist_edges", "dataset@dataset.of=digits", "dataset.of.image_size=28")
    assert count(trainer.game.generator) == 7_842_694
    assert trainer.game.sample(trainer.game.draw(range(3)))["image"].shape == (3, 1, 28, 28)
