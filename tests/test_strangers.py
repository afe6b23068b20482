"""Games of somebody else's package (`strangers.py`) are trained, drawn, judged and resumed as gan-lab's own are."""

import os
import socket

import pytest
import strangers
import torch
from helpers import config_of, fingerprint, play, trainer_of, weights
from PIL import Image

import gan_lab
from gan_lab.cli import main
from gan_lab.launch import launch
from gan_lab.rows import Rows
from gan_lab.runs.evaluation import evaluate
from gan_lab.training import assembly
from gan_lab.training.distributed import joined

SIZE = 16
SHAPES = {"_target_": "gan_lab.datasets.shapes.Shapes", "size": 200, "image_size": SIZE}
MLP = {"_target_": "gan_lab.networks.mlp.Discriminator", "channels": 3, "image_size": SIZE, "width": 8}
LATENT = {**MLP, "_target_": "gan_lab.networks.mlp.Generator", "latent_dim": 8, "norm": "none"}
GAMES = {
    "Apart": {"num_conditions": 6, "latent_dim": 8, "generator": {
        "_target_": "gan_lab.networks.conditional.Generator", "latent_dim": 8, "channels": 3, "image_size": SIZE,
        "num_conditions": 6, "width": 4, "norm": "layer"}, "discriminator": {
        "_target_": "gan_lab.networks.conditional.Discriminator", "channels": 3, "image_size": SIZE,
        "num_conditions": 6, "width": 4, "norm": "none"}},
    "Target": {"num_attributes": 21, "image_size": SIZE, "discriminator": MLP,
               "generator": {"_target_": "strangers.Change", "attributes": 21}},
    "Matching": {"generator": {"_target_": "strangers.Teller", "latent_dim": 8, "image_size": SIZE},
                 "discriminator": {"_target_": "strangers.Listener", "image_size": SIZE}},
    "Autoencoder": {"encoder": {"_target_": "gan_lab.networks.encoders.Encoder", "latent_dim": 8, "channels": 3,
                                "image_size": SIZE, "width": 4, "norm": "none"}, "generator": LATENT},
    "Coupled": {"latent_dim": 8, "generator": LATENT, "discriminator": MLP},
}  # fmt: skip
DATA = {"Matching": "strangers.Captioned", "Coupled": "strangers.Negatives"}
WORDS = {"Apart": "label=star", "Matching": "caption=red circle", "Target": "attributes=[red,star]"}
OBEYS = {"Apart": "label_accuracy/", "Matching": "caption_accuracy/", "Target": "attribute_accuracy/"}


def config(name: str, *words: str) -> dict:
    made = config_of("model=gan", "dataset=shapes", "trainer.steps=2", *words)
    made["model"] = {"_target_": f"strangers.{name}", **GAMES[name]}
    made["dataset"] = {**SHAPES, "_target_": DATA.get(name, SHAPES["_target_"])}
    made["dataset"]["size"] = 1500 if name == "Apart" else 200
    return {**made, "trust": ["strangers"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    words = "trainer.sample_every=2", "trainer.evaluate_every=2", "trainer.evaluate_samples=32"
    for name in GAMES:
        launch.train(config(name, *words), folder / name)
    return folder


@pytest.mark.parametrize("name", GAMES)
def test_it_trains_shows_itself_and_is_judged(runs, name):
    (preview,) = (runs / name / "samples").glob("*.png")
    assert Image.open(preview).size > (1, 1)
    figures = gan_lab.load(runs / name, trust=["strangers"]).summary["figures"]
    assert figures.keys() == ({"l1/rebuilt"} if name == "Autoencoder" else {"fid/pixels"})


@pytest.mark.parametrize("name", WORDS)
def test_its_conditions_and_options_are_words_of_sample(runs, name, tmp_path, capsys):
    run, word = str(runs / name), WORDS[name]
    assert main(["sample", run, "n=4", word, "trust=[strangers]", f"out={tmp_path / 'asked.png'}"]) == 0
    assert main(["sample", run, "n=4", "trust=[strangers]", f"out={tmp_path / 'drawn.png'}"]) == 0
    asked, drawn = (Image.open(tmp_path / f"{which}.png").tobytes() for which in ("asked", "drawn"))
    assert asked != drawn
    wrong = f"{word.partition('=')[0]}=elephant"
    capsys.readouterr()
    assert main(["sample", run, wrong, "trust=[strangers]"]) == 2 and "elephant" in capsys.readouterr().err


def test_an_option_changes_samples_and_its_help_is_its_docstring(runs, tmp_path, capsys):
    run = str(runs / "Matching")
    for value in ("1", "0.5"):
        assert (
            main(["sample", run, "n=1", f"truncation={value}", "trust=[strangers]", f"out={tmp_path / value}.png"]) == 0
        )
    assert Image.open(tmp_path / "1.png").tobytes() != Image.open(tmp_path / "0.5.png").tobytes()
    capsys.readouterr()
    assert not main(["sample", run, "--help", "trust=[strangers]"])
    assert "truncation=...         what latents are multiplied by" in capsys.readouterr().out
    assert main(["sample", run, "truncation=much", "trust=[strangers]"]) == 2
    assert main(["sample", run, "truncated=1", "trust=[strangers]"]) == 2


def test_a_translation_takes_conditions_and_options(runs, tmp_path):
    Image.new("RGB", (SIZE, SIZE), (90, 20, 60)).save(tmp_path / "in.png")
    made = {}
    for name, words in {"red": ["attributes=[red]"], "star": ["attributes=[star]"], "none": ["strength=0"]}.items():
        out = tmp_path / f"{name}.png"
        assert main(["translate", str(runs / "Target"), str(tmp_path / "in.png"), str(out), *words,
                     "trust=[strangers]"]) == 0  # fmt: skip
        made[name] = Image.open(out).convert("RGB").tobytes()
    assert made["red"] != made["star"] and made["none"] == Image.open(tmp_path / "in.png").tobytes()


@pytest.mark.parametrize("name", OBEYS)
def test_evaluate_holds_it_to_its_conditions(runs, name):
    run = gan_lab.load(runs / name, trust=["strangers"])
    extractor = "classifier" if name == "Apart" else "pixels"  # labels are read by the classifier that judges
    names = [figure.name for figure in evaluate(run, n=64, extractor=extractor, say=lambda text: None)]
    assert any(figure.startswith(OBEYS[name]) for figure in names), names


def test_each_picture_of_a_sample_is_drawn_and_judged_by_its_name(runs, tmp_path):
    run = gan_lab.load(runs / "Coupled", trust=["strangers"])
    names = {figure.name for figure in evaluate(run, n=64, extractor="pixels", say=lambda text: None)}
    assert {"fid/pixels", "fid/pixels/negative"} <= names
    made = run.make(run.rows(range(3)))
    assert list(made) == ["image", "negative"] and torch.equal(made["image"], -made["negative"])
    assert main(["sample", str(run.folder), "seeds=3", "files=true", f"out={tmp_path / 'f'}", "trust=[strangers]"]) == 0
    assert sorted(file.name for file in (tmp_path / "f").iterdir()) == ["seed-3-negative.png", "seed-3.png"]


def test_a_game_of_one_player_has_figures_of_its_own_and_no_samples(runs, capsys):
    run = runs / "Autoencoder"
    assert main(["evaluate", str(run), "trust=[strangers]"]) == 0 and "l1/rebuilt" in capsys.readouterr().out
    assert main(["sample", str(run), "trust=[strangers]"]) == 2 and "makes no pictures" in capsys.readouterr().err
    lent = config("Coupled")
    asked = {"_target_": "gan_lab.models.FromRun", "run": str(run), "network": "encoder"}
    lent["model"] = {"_target_": "gan_lab.models.Direct", "guest": asked, "generator": {
        "_target_": "gan_lab.networks.autoencoder.Generator", "source_channels": 3, "channels": 3, "image_size": SIZE,
        "width": 4}, "discriminator": MLP, "source_channels": 3, "channels": 3, "image_size": SIZE}  # fmt: skip
    lent["dataset"] = {"_target_": "gan_lab.datasets.degraded.Degraded", "of": SHAPES, "by": "mask", "channels": 3,
                       "source_channels": 4, "image_size": SIZE, "num_classes": 6}  # fmt: skip
    lent["model"] |= {"source_channels": 4, "near": 0.0}
    lent["model"]["generator"]["source_channels"] = 4
    assert "guest" in trainer_of(lent).game.guests


@pytest.mark.parametrize("name", GAMES)
def test_it_goes_on_in_the_same_bits(name):
    uncut, cut, resumed = (trainer_of(config(name)) for _ in range(3))
    resumed.load_state_dict(assembly.clone(play(cut, 2).state_dict()))
    assert fingerprint(play(resumed, 2).state_dict()) == fingerprint(play(uncut, 4).state_dict())


def test_a_seed_is_the_same_sample_at_every_step():
    for name in ("Apart", "Target", "Matching"):
        trainer = trainer_of(config(name))
        before = trainer.game.draw(range(50))
        after = play(trainer, 3).game.draw(range(50))
        assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
        assert len(before[trainer.game.made_of[1]].unique(dim=0)) > 3


def test_each_side_has_its_own_conditions():
    trainer = trainer_of(config("Apart"))
    trainer.game.noise.at(0, "discriminator", 0)
    batch = trainer.loader.batch(0)[0]
    real, fake = trainer.game.sides(batch, trainer.game.new(batch))
    assert not torch.equal(real["condition"], fake["condition"])


def work(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined(rank, 2, torch.device("cpu"), minutes=1.0) as world:
        torch.set_default_dtype(torch.float64)
        torch.save({name: weights(play(trainer_of(config(name), world), 3)) for name in GAMES}, f"{folder}/{rank}.pt")


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes on one core")
def test_two_processes_equal_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(work, (port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    torch.set_default_dtype(torch.float64)
    try:
        for name in GAMES:
            assert torch.equal(first[name], second[name])
            if name != "Matching" and name != "Target":  # their wrong captions and targets are those of a shard
                torch.testing.assert_close(first[name], weights(play(trainer_of(config(name)), 3)))
    finally:
        torch.set_default_dtype(torch.float32)


def test_rows_are_named_tensors_of_the_same_things():
    rows = Rows(latent=torch.arange(6.0).view(3, 2), label=torch.tensor([4, 5, 6]))
    assert rows.count == 3 and rows.at([2])["label"].tolist() == [6] and list(rows.only("label")) == ["label"]
    assert [part.count for part in rows.split(2)] == [2, 1]
    again = Rows.joined(rows.split(2))
    assert all(torch.equal(again[name], rows[name]) for name in rows)
    assert strangers.WORDS[0] == ""
