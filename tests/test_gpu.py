"""What only a GPU can show: games play there as on a CPU, no round waits, and a run that is cut ends in the same bits.

`make gpu` runs these. Where there is no GPU they are left out, unless GAN_LAB_REHEARSE is set: then they play on the
CPU, so that the hour on a GPU is not lost on a slip.
"""

import contextlib
import gc
import os

import pytest
import torch
from helpers import config_of, fingerprint, names, play, trainer_of, words_for
from torch import Tensor

import gan_lab
from gan_lab.cli import main
from gan_lab.noise import Noise
from gan_lab.runs.evaluation import evaluate
from gan_lab.training import assembly
from gan_lab.training.distributed import World

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MODELS = names("model")
REHEARSED = bool(os.environ.get("GAN_LAB_REHEARSE"))
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE.type == "cpu" and not REHEARSED, reason="there is no GPU"),
]
EXACT = ["trainer.matmul_precision=highest", "trainer.deterministic=true"]
SMALL = [f"trainer.device={DEVICE}", "trainer.steps=4", "trainer.batch_size=8", "trainer.samples=4",
         "trainer.evaluate_every=null", "trainer.checkpoint_every=2"]  # fmt: skip


@pytest.fixture(autouse=True)
def settings_put_back():
    """What a trainer sets for its process is set back, and float32 is float32."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.fixture
def same_draws(monkeypatch):
    """Named noise is drawn on the CPU and carried over: generators of two devices give other numbers."""
    for name in ("__call__", "uniform", "integers"):
        drawn = getattr(Noise, name)
        monkeypatch.setattr(Noise, name, on_the_cpu(drawn))


def on_the_cpu(drawn):
    def draw(noise: Noise, *args) -> Tensor:
        device, noise.device = noise.device, torch.device("cpu")
        try:
            return drawn(noise, *args).to(device)
        finally:
            noise.device = device

    return draw


def placed(device, *words):
    return trainer_of(config_of(*words), World(0, 1, torch.device(device)))


def report_of(device, words, rounds=1):
    trainer = placed(device, *words)
    trainer.watched = True
    return play(trainer, rounds).report()


# --- As on a CPU -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_round_is_that_of_a_cpu(model, same_draws, monkeypatch):
    """Losses and gradient norms of the first round within a thousandth in float32."""
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *args, **kwargs: x)
    words = *words_for(model), "trainer.precision=fp32"
    there, here = report_of(DEVICE, words), report_of("cpu", words)
    assert there.keys() == here.keys()
    for name, value in here.items():
        assert there[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


@pytest.mark.parametrize("loss", names("loss"))
def test_a_loss_is_that_of_a_cpu(loss, same_draws):
    words = "model=dcgan", "model.discriminator.norm=none", f"loss={loss}", "trainer.precision=fp32"
    there, here = report_of(DEVICE, words, rounds=2), report_of("cpu", words, rounds=2)
    for name, value in here.items():
        assert there[name] == pytest.approx(value, rel=5e-3, abs=1e-3), name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("model", MODELS)
def test_a_round_of_half_precision_is_near(model, precision, same_draws, monkeypatch):
    """Losses of the first turn within a tenth of those in float32, or a tenth; a scale may skip its update."""
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *args, **kwargs: x)
    words = words_for(model)
    half = report_of(DEVICE, (*words, f"trainer.precision={precision}"))
    whole = report_of(DEVICE, (*words, "trainer.precision=fp32"))
    first = f"{next(iter(whole)).rpartition('/')[0]}/"
    assert first.startswith("loss/")
    for name, value in whole.items():
        if name.startswith(first):
            assert half[name] == pytest.approx(value, rel=0.1, abs=0.1), name


# --- Nobody waits ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_waiting():
    """An error where the host waits for the device."""
    if DEVICE.type == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("model", MODELS)
def test_no_round_waits_for_the_device(model):
    trainer = placed(DEVICE, *words_for(model), "trainer.precision=bf16")
    play(trainer, 3)
    with no_waiting():
        play(trainer, 2)


@pytest.mark.parametrize("optimizer", names("optimizer"))
def test_no_optimizer_waits(optimizer):
    trainer = placed(DEVICE, f"optimizer={optimizer}", "trainer.precision=fp16", "trainer.clip=1.0")
    play(trainer, 3)
    with no_waiting():
        play(trainer, 2)


# --- Cut and resumed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_run_that_is_cut_goes_on_in_the_same_bits(model):
    words = *words_for(model), *EXACT, "trainer.precision=fp32"
    if model in (
        "combogan",
        "cyclegan",
        "discogan",
        "dualgan",
    ):  # their reflected borders have no deterministic gradient
        words = *words_for(model), "trainer.deterministic=false"
    torch.use_deterministic_algorithms(True, warn_only=True)
    uncut, cut, resumed = (placed(DEVICE, *words) for _ in range(3))
    state = assembly.clone(play(cut, 2).state_dict())
    resumed.load_state_dict(state)
    one, other = (play(trainer, rounds).state_dict() for trainer, rounds in ((uncut, 4), (resumed, 2)))
    assert fingerprint(one) == fingerprint(other)


def test_a_checkpoint_of_a_gpu_opens_on_a_cpu():
    state = play(placed(DEVICE), 2).state_dict()
    trainer = placed("cpu")
    trainer.load_state_dict(assembly.clone(state))
    assert trainer.step == 2 and play(trainer, 1).step == 3


# --- The guard, the average, memory ----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("optimizer", names("optimizer"))
def test_an_update_that_is_not_finite_is_not_taken(optimizer, precision):
    trainer = play(placed(DEVICE, f"optimizer={optimizer}", f"trainer.precision={precision}"), 2)
    seat = trainer.seats[0]
    honest = seat.player.loss

    def spoiled(batch, step):
        terms = honest(batch, step)
        terms.losses["planted"] = terms.losses["adversarial"] * float("nan")
        return terms

    before = [p.detach().clone() for p in seat.parameters]
    seat.report()
    seat.player.loss = spoiled
    play(trainer, 1)
    assert seat.report()[0] == 1 and all(torch.equal(a, b) for a, b in zip(before, seat.parameters, strict=True))
    seat.player.loss = honest
    assert torch.isfinite(torch.stack([p.sum() for p in play(trainer, 1).parameters])).all()


def test_the_average_follows_the_weights():
    words = "trainer.ema_every=1", "trainer.ema_half_life_images=24", "trainer.ema_ramp=null"
    trainer = placed(DEVICE, *words)
    name, averaged = next(iter(trainer.ema.networks.items()))
    wanted = [p.detach().clone() for p in averaged.parameters()]
    for _ in range(3):
        play(trainer, 1)
        weight = 0.5 ** (8 / 24)
        fresh = getattr(trainer.game, name).parameters()
        wanted = [weight * old + (1 - weight) * new.detach() for old, new in zip(wanted, fresh, strict=True)]
    for one, other in zip(wanted, averaged.parameters(), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-4, atol=1e-6)


def test_a_run_that_is_gone_leaves_no_memory_behind():
    if DEVICE.type == "cpu":
        pytest.skip("memory of a GPU")
    held = []
    for _ in range(3):
        trainer = play(placed(DEVICE, "model=dcgan", "trainer.precision=bf16"), 3)
        del trainer
        gc.collect()
        held.append(torch.cuda.memory_allocated())
    assert held[2] <= held[1] + 2**20, held


# --- Commands --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run, trained by the command."""
    root = tmp_path_factory.mktemp("outputs")
    words = ["model=cgan", "dataset=digits", "model.generator.width=8", "model.discriminator.width=8"]
    assert main(["train", *words, *SMALL, f"run.root={root}", "run.name=one"]) == 0
    (folder,) = (root / "one").iterdir()
    return folder


@pytest.mark.parametrize(
    "words", [["sample", "label=3"], ["evaluate", "n=100"], ["resume", "trainer.steps=6"], ["analyze", "interpolation"]]
)
def test_a_command_works_there(run, words):
    verb, *options = words
    options = ["what=interpolation"] if verb == "analyze" else options
    assert main([verb, str(run), *options]) == 0


def test_figures_are_those_of_a_cpu(run):
    """The same pictures within a thousandth, and figures within a hundredth."""
    found = []
    for device in (DEVICE, "cpu"):
        loaded = gan_lab.load(run, device=str(device))
        loaded.game.noise.device = torch.device(device)
        rows = loaded.rows(range(100))
        found.append((evaluate(loaded, n=200, extractor="pixels", say=lambda *_: None), loaded.generate(rows).cpu()))
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-3)
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-2, abs=1e-3), one.name


def test_weights_of_another_run_are_taken(run, tmp_path):
    words = ["model=cgan", "dataset=digits", "model.generator.width=8", "model.discriminator.width=8"]
    assert main(["train", *words, *SMALL, f"trainer.init_from={run}", f"run.root={tmp_path}"]) == 0
