"""Every game on a GPU that is not there: nothing lies on the wrong device, and no round waits for the device."""

import contextlib
import io
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from fake_device import Waits, nobody_waits, pretended
from helpers import INNER, config_of, names, play, trainer_of, words_for, yaml_of
from test_matrix import REMEDY, complaints_of, words_of
from torch import nn

import gan_lab
from gan_lab.config import compat
from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import ConfigError
from gan_lab.launch import launch
from gan_lab.runs.evaluation import evaluate, materials
from gan_lab.training import assembly, machine
from gan_lab.training.distributed import World
from gan_lab.training.evaluator import evaluator_of
from gan_lab.training.loader import Ahead
from gan_lab.training.observers import Painter
from gan_lab.training.watch import Diversity, Watch

MODELS, LOSSES, PRECISIONS = names("model"), names("loss"), ("bf16", "fp16", "fp32")
MOST = max(len(MODELS), len(LOSSES), len(PRECISIONS))
COVER = [(MODELS[i % len(MODELS)], LOSSES[i % len(LOSSES)], PRECISIONS[i % len(PRECISIONS)]) for i in range(MOST)]


def check_plays(*words, rounds=2):
    """Two rounds in which nobody waits, then what a preview shows."""
    with pretended() as device:
        trainer = on_device(*words)
        with nobody_waits(device):
            play(trainer, rounds)
        game, rows = trainer.game, trainer.loader.prepared(0, 0)
        game.noise.at("preview", 0)
        with game.using(dict(trainer.ema.networks)):
            shown = game.preview(rows, game.draw(range(4)), 0)
            assert {x.device.type for x in [*shown.values(), game.critic(rows["image"])]} == {"cuda"}


def on_device(*words):
    trainer = trainer_of(config_of(*words), World(0, 1, "cuda"))
    trainer.loader.batch(0)  # carries the order of an epoch to the device
    return trainer


def remedied(*words):
    """The words, with what the complaints about them say to set."""
    return *words, *(REMEDY.search(complaint)[1] for complaint in complaints_of(words))


@pytest.mark.parametrize(("model", "loss", "precision"), COVER)
def test_each_model_and_each_loss(model, loss, precision):
    check_plays(*remedied(*words_of(model, loss)), f"trainer.precision={precision}")


@pytest.mark.whole
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_with_every_loss(model, loss, precision):
    check_plays(*remedied(*words_of(model, loss)), f"trainer.precision={precision}")


@pytest.mark.whole
@pytest.mark.parametrize("extra", [f"{group}={name}" for group in INNER for name in names(group)])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_with_every_penalty_and_view(model, extra):
    if extra == "loss/view=packing" and "discriminator" not in yaml_of("model", model):
        pytest.skip("packing widens model.discriminator, and this model has several critics")
    words = [*words_for(model), "loss=hinge", extra]
    if not any("Set loss/view=[]." in complaint for complaint in complaints_of(words)):
        check_plays(*remedied(*words), "trainer.precision=bf16")


def test_all_penalties_and_views_at_once():
    inner = [f"{group}={'+'.join(names(group))}" for group in INNER]
    check_plays(*remedied("model=dcgan", *inner), "trainer.precision=bf16", rounds=3)


@pytest.mark.parametrize(
    "words",
    [
        ["model=gan", "dataset=ring8"],
        ["model=dcgan", "trainer.placement=streamed", "trainer.accumulate=2", "trainer.clip=1.0"],
        ["model=sgan", "dataset=few_labels", "dataset.num_labelled=10", "model.virtual=1.0"],
        ["model=gan", "model.generator.norm=virtual", "model.discriminator.minibatch=discrimination"],
        ["model=resnet", "model.generator.attention=[8]", "model.discriminator.attention=[8]"],
        ["model=cyclegan", "dataset=split_domains", "model.reuse_fakes=true", "model.pool=4"],
    ],
)
def test_other_settings(words):
    check_plays(*words, "trainer.precision=bf16")


# --- Optimizers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[f"optimizer={name}"] for name in names("optimizer")] + [["optimizer.foreach=true"]])
def test_no_optimizer_waits_once_its_state_is_made(words):
    with pretended() as device:
        trainer = on_device(*words)
        trainer.world.agree = lambda flag: torch.ones((), dtype=torch.bool)  # the numbers of the first two updates
        play(trainer, 2)
        del trainer.world.agree
        with nobody_waits(device):
            play(trainer, 2)


def test_what_was_trained_on_a_cpu_goes_on_without_waiting():
    state = play(trainer_of(config_of("optimizer=rmsprop")), 1).state_dict()
    with pretended() as device:
        trainer = on_device("optimizer=rmsprop")
        trainer.load_state_dict(state)
        trainer.world.agree = lambda flag: torch.ones((), dtype=torch.bool)
        play(trainer, 1)
        del trainer.world.agree
        assert {x.device.type for x in trainer.seats[0].changing()} == {"cuda"}
        with nobody_waits(device):
            play(trainer, 1)


# --- What is done between rounds -------------------------------------------------------------------------------------


class Book:
    """A logbook that writes nothing."""

    summary: ClassVar = {}

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


@pytest.mark.parametrize("model", ["gan", "cgan", "infogan", "vaegan", "lapgan", "pix2pix", "cyclegan"])
def test_a_training_is_watched_shown_and_judged_on_the_device(model, tmp_path):
    words = *words_for(model), "trainer.evaluate_samples=40", "trainer.evaluate_every=1"
    config = config_of(*words)
    with pretended() as device:
        trainer = play(on_device(*words), 2)
        dataset, book = trainer.loader.dataset, Book()
        batch = assembly.fixed_batch(dataset, 8, trainer.world.device)
        watch = Watch(tmp_path, diversity=Diversity(batch), book=book, say=lambda *_: None)
        signals = watch.listen(trainer, trainer.report())
        assert "health/diversity" in signals and trainer.is_whole()
        Painter(1, book, dataset, batch, 4).tell(trainer)
        evaluator = evaluator_of(config, TrainerSettings(**config["trainer"]), dataset, trainer.game, "cuda")
        assert evaluator.figures(trainer)
        trainer.load_state_dict(assembly.clone(trainer.state_dict()))
        with nobody_waits(device):
            play(trainer, 1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs that a CPU trained, by their models."""
    folder = tmp_path_factory.mktemp("runs")
    for model in ("dcgan", "cgan", "pix2pix"):
        config = config_of(*words_for(model), "trainer.steps=2", "trainer.evaluate_every=null")
        with contextlib.redirect_stdout(io.StringIO()):
            launch.train(config, folder / model)
    return folder


@pytest.fixture
def there(monkeypatch):
    """Runs take the pretended device for one that is there."""
    monkeypatch.setattr("gan_lab.runs.run.device_of", torch.device)


@pytest.mark.parametrize("model", ["cgan", "pix2pix"])
def test_a_run_is_sampled_and_judged_on_the_device(runs, there, model):
    with pretended():
        run = gan_lab.load(runs / model, device="cuda")
        rows = materials(run.game, run.dataset, range(4))
        assert run.game.sample(rows)["image"].device.type == "cuda" and run.generate(rows).device.type == "cpu"
        assert [figure.name for figure in evaluate(run, n=40, extractor="pixels", say=lambda *_: None)]


def test_weights_and_guests_of_another_run_come_along(runs):
    config = config_of(*words_for("cgan"), f"trainer.init_from={runs / 'cgan'}")
    lent = config_of("model=direct", "dataset=split_domains", "trainer.precision=bf16")
    lent["model"]["guest"] = {
        "_target_": "gan_lab.models.FromRun",
        "run": str(runs / "dcgan"),
        "network": "discriminator",
        "weights": "raw",
        "part": "trunk",
    }
    with pretended() as device:
        for each in (config, lent):
            trainer = trainer_of(each, World(0, 1, "cuda"))
            trainer.loader.batch(0)
            with nobody_waits(device):
                play(trainer, 1)


# --- What is planted is found ----------------------------------------------------------------------------------------


def planted(device, plant):
    """A round of a game to whose loss somebody adds what he should not."""
    trainer = on_device()
    seat = trainer.seats[0]
    loss = seat.player.loss

    def spoiled(batch, step):
        terms = loss(batch, step)
        terms.losses["planted"] = terms.losses["adversarial"] + plant(batch, terms.losses["adversarial"])
        return terms

    seat.player.loss = spoiled
    with nobody_waits(device):
        trainer.round()


FAULTS = {
    "a tensor of the CPU": (lambda batch, loss: (batch["image"] * torch.rand(8, 1, 1, 1)).sum(), "two devices"),
    "a generator of the CPU": (
        lambda batch, loss: torch.rand(1, generator=torch.Generator(), device="cuda").sum(),
        "Expected a 'cuda' device type for generator but found 'cpu'",
    ),
    "a generator of the device": (
        lambda batch, loss: torch.rand(1, generator=torch.Generator("cuda")).sum(),
        "Expected a 'cpu' device type for generator but found 'cuda'",
    ),
    "float": (lambda batch, loss: float(loss), "reads a number"),
    "item": (lambda batch, loss: loss.item(), "reads a number"),
    "truth": (lambda batch, loss: 1.0 if loss > 0 else 0.0, "reads a number"),
    "a mask": (lambda batch, loss: batch["image"][batch["image"] > 0].sum(), "nonzero"),
    "a copy from the host": (lambda batch, loss: torch.rand(1).to("cuda").sum(), "carries a tensor"),
    "a copy to the host": (lambda batch, loss: loss.cpu().sum(), "carries a tensor"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_is_planted_is_found(name):
    plant, said = FAULTS[name]
    with pretended() as device, pytest.raises(RuntimeError, match=said):
        planted(device, plant)


def test_what_is_no_fault_is_none():
    with pretended() as device:
        planted(device, lambda batch, loss: loss * torch.ones(()) + torch.rand(8, device="cuda").sum())
        planted(device, lambda batch, loss: int(torch.randint(9, (1,), generator=torch.Generator())))


def test_copies_from_memory_that_is_not_pinned_are_found(monkeypatch):
    with pretended() as device:
        trainer = on_device("trainer.placement=streamed")
        trainer.loader.pinned = lambda values: values
        with nobody_waits(device), pytest.raises(Waits, match="carries a tensor"):
            play(trainer, 10)


def test_half_precision_is_on():
    """Without a driver autocast turns itself off, unless somebody says that there is one."""
    with pretended():
        trainer = on_device("model=dcgan", "trainer.precision=bf16")
        image = trainer.loader.batch(0)[0]["image"]
        with torch.autocast("cuda", torch.bfloat16):
            assert trainer.game.discriminator.trunk(image).dtype == torch.bfloat16
            assert trainer.game.discriminator(image).dtype == torch.float32


def test_a_thread_of_one_gpu_among_several_pins_for_it(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for place in ("cpu", "cuda", "cuda:1"):
        Ahead(1, torch.device(place)).pool.submit(lambda: None).result()
    assert chosen == [torch.device("cuda:1")]


# --- Settings of a GPU -----------------------------------------------------------------------------------------------


def test_a_layer_without_a_deterministic_gradient_is_refused_on_a_gpu_alone():
    words = ["model=cyclegan", "dataset=split_domains", "trainer.deterministic=true"]
    with pretended(), pytest.raises(ConfigError) as found:
        on_device(*words)
    assert "source_to_image has ReflectionPad2d" in str(found.value)
    assert [REMEDY.search(line)[1] for line in str(found.value).splitlines()] == ["trainer.deterministic=false"] * 2
    assert complaints_of(words) == [], "a CPU is deterministic"
    check_plays("model=dcgan", "trainer.deterministic=true")


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_layer_that_interpolates_is_refused_by_its_mode(mode):
    game = nn.Sequential(nn.Upsample(mode=mode))
    parts = SimpleNamespace(settings=TrainerSettings(deterministic=True), device="cuda", game=game)
    assert bool([*compat.uncertain_kernels(parts)]) == (mode == "bilinear")


@pytest.mark.parametrize(("word", "tf32"), [("highest", False), ("high", True), ("medium", True)])
def test_one_setting_holds_for_matrices_and_convolutions(monkeypatch, word, tf32):
    said, usual = [], torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(torch, "set_float32_matmul_precision", said.append)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", usual)  # put back at the end
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    machine.tune_process(TrainerSettings(matmul_precision=word), torch.device("cpu"), 1)
    assert said == [], "a CPU multiplies in float32"
    machine.tune_process(TrainerSettings(matmul_precision=word), torch.device("cuda"), 1)
    assert (said, torch.backends.cudnn.allow_tf32) == ([word], tf32)
