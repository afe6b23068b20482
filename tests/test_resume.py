"""A run that is cut anywhere and resumed ends in the same bits as one that was not."""

import random

import pytest
import torch
import yaml
from helpers import config_of, fingerprint, leaves, made, names, play, trainer_of, words_for
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import CheckpointError, ConfigError
from gan_lab.launch import launch
from gan_lab.storage import checkpoint
from gan_lab.training import assembly, remarks

ROUNDS = 12
KINDS = {
    "dcgan": ["model=dcgan"],
    "reused fakes": ["model=gan", "model.reuse_fakes=true"],
    "penalty": ["loss=wgan_gp", "model=gan"],
    "clipped weights": ["loss=wasserstein", "optimizer=rmsprop", "model.generator.norm=none"],
    "clipped gradients": ["optimizer=rmsprop", "optimizer.momentum=0.9", "trainer.clip=0.1"],
    "momentum": ["optimizer=sgd", "optimizer_overrides={discriminator: {momentum: 0.9}}"],
    "schedule": ["trainer.schedule=cosine", "trainer.warm_up_steps=5", "trainer.steps=12"],
    "turns": ["trainer.turns={discriminator: {usual: 1, warm: 3, first: 2, every: 4}, generator: 1/2}"],
    "streamed": ["trainer.placement=streamed", "trainer.workers=2"],
    "accumulated": ["trainer.batch_size=100", "trainer.accumulate=3"],
    "flipped labels": ["loss.flip=0.2", "loss.smoothing=0.1"],
    "average now and then": ["trainer.ema_every=5", "trainer.ema_half_life_images=1000"],
    "bf16": ["trainer.precision=bf16"],
    "fp16": ["trainer.precision=fp16"],
    "points": ["dataset=ring8", "model=gan"],
    "spectral norm": ["model=dcgan", "model.discriminator.norm=none", "model.discriminator.spectral_norm=true"],
} | {f"model={name}": [*words_for(name), "loss=hinge", "trainer.batch_size=20"] for name in names("model")}


def fresh(words):
    """A trainer on batches of 300 digits: five to an epoch, so that twelve rounds see three epochs."""
    trainer = trainer_of(config_of("trainer.batch_size=300", *words))
    if "dataset=ring8" not in words:
        trainer.loader.dataset.flip = True  # an augmentation that is drawn for each image and epoch
    return trainer


def resumed(words, folder):
    trainer = fresh(words)
    trainer.load_state_dict(checkpoint.load_newest(folder))
    return trainer


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_cut_and_resumed_ends_in_the_same_bits(kind, tmp_path):
    uncut = fresh(KINDS[kind])
    trainer = fresh(KINDS[kind])
    for cut in (1, 5, 7):  # after the first step, at the edge of an epoch, within one
        checkpoint.save(tmp_path, play(trainer, cut - trainer.step).state_dict())
        trainer = resumed(KINDS[kind], tmp_path)
        assert trainer.step == cut
    assert fingerprint(play(trainer, ROUNDS - 7).state_dict()) == fingerprint(play(uncut, ROUNDS).state_dict())


@pytest.mark.slow
def test_it_may_be_cut_at_any_point_and_more_than_once(tmp_path):
    words = KINDS["penalty"]
    expected = fingerprint(play(fresh(words), ROUNDS).state_dict())
    draw = random.Random(0)
    for attempt in range(12):
        trainer = fresh(words)
        for cut in sorted(draw.sample(range(1, ROUNDS), draw.randint(1, 3))):
            folder = tmp_path / f"{attempt}-{cut}"
            checkpoint.save(folder, play(trainer, cut - trainer.step).state_dict())
            play(trainer, draw.randint(0, 3))  # rounds that the cut loses
            trainer = resumed(words, folder)
        assert fingerprint(play(trainer, ROUNDS - trainer.step).state_dict()) == expected


def test_other_settings_of_data_and_workers_change_nothing(tmp_path):
    """Cut on resident data, resumed on streamed data with other workers: the same bits."""
    expected = fingerprint(play(fresh([]), ROUNDS).state_dict())
    checkpoint.save(tmp_path, play(fresh([]), 7).state_dict())
    trainer = resumed(["trainer.placement=streamed", "trainer.workers=4"], tmp_path)
    assert fingerprint(play(trainer, ROUNDS - 7).state_dict()) == expected


def test_the_global_generator_is_no_part_of_a_run(tmp_path):
    checkpoint.save(tmp_path, play(fresh([]), 5).state_dict())
    torch.manual_seed(1)
    one = play(resumed([], tmp_path), 3)
    torch.manual_seed(2)
    torch.randn(100)
    assert fingerprint(play(resumed([], tmp_path), 3).state_dict()) == fingerprint(one.state_dict())


def test_looking_at_a_run_changes_nothing(tmp_path):
    """Painting, reporting and saving between rounds leave no trace: cadences are no part of the experiment."""
    from gan_lab.training.observers import Painter

    class Book:
        def picture(self, *args, **kwargs):
            pass

    watched, alone = fresh(KINDS["dcgan"]), fresh(KINDS["dcgan"])
    dataset = watched.loader.dataset
    painter = Painter(1, Book(), dataset, assembly.fixed_batch(dataset, 4, "cpu"), 4)
    for _ in range(4):
        watched.round()
        painter.tell(watched)
        watched.report()
        checkpoint.save(tmp_path, watched.state_dict())
    assert fingerprint(watched.state_dict()) == fingerprint(play(alone, 4).state_dict())


# --- Controls --------------------------------------------------------------------------------------------------------


def test_different_checkpoints_differ():
    trainer, seen = fresh([]), set()
    for _ in range(5):
        seen.add(fingerprint(trainer.state_dict()))
        trainer.round()
    assert len(seen) == 5


def test_the_fingerprint_sees_one_bit_and_one_name():
    state = made(rounds=1).state_dict()
    one = fingerprint(state)
    state["ema"] = {f"x{name}": value for name, value in state["ema"].items()}
    assert fingerprint(state) != one
    trainer = made(rounds=1)
    assert fingerprint(trainer.state_dict()) == one
    with torch.no_grad():
        trainer.parameters[0].view(-1)[0] += 1e-6
    assert fingerprint(trainer.state_dict()) != one


ABLATION = ["model=gan", "loss=logistic_r1", "trainer.precision=fp16", "trainer.turns={discriminator: 2}"]


def components(state):
    """The parts of a checkpoint, two levels deep where parts have names: game/generator, seat/generator/scaler."""
    found = {name: (name,) for name in ("step", "batches", "rollbacks", "ema")}
    found |= {f"game/{prefix}": ("game", prefix) for prefix in {name.partition(".")[0] for name in state["game"]}}
    for name in state:
        if name.startswith("seat/"):
            found |= {f"{name}/{part}": (name, part) for part in state[name]}
    return found


def without(state, place, blank):
    """The state with one part as it is in a run that has just begun."""
    if len(place) == 1:
        return {**state, place[0]: blank[place[0]]}
    outer, inner = place
    part = {
        name: blank[outer][name] if name == inner or name.startswith(f"{inner}.") else value
        for name, value in state[outer].items()
    }
    return {**state, outer: part}


PARTS = sorted(components(made(*ABLATION).state_dict()))


@pytest.fixture(scope="module")
def ablation():
    """A state at a cut, a blank one, and the fingerprint of the uncut run."""
    cut, uncut = fresh(ABLATION), fresh(ABLATION)
    for trainer in (cut, uncut):
        trainer.retry(1)  # as after a rollback, whose number is part of the state
    state = assembly.clone(play(cut, 7).state_dict())
    blank = assembly.clone(fresh(ABLATION).state_dict())
    return state, blank, fingerprint(play(uncut, ROUNDS).state_dict())


def goes_on_from(state):
    trainer = fresh(ABLATION)
    trainer.load_state_dict(assembly.clone(state))
    return fingerprint(play(trainer, ROUNDS - 7).state_dict())


def test_a_whole_checkpoint_is_enough(ablation):
    state, _, expected = ablation
    assert goes_on_from(state) == expected


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_checkpoint_is_missed_when_it_is_dropped(part, ablation):
    """State that is added later is found by itself; a part whose loss nobody notices would not be in the checkpoint."""
    state, blank, expected = ablation
    assert goes_on_from(without(state, components(state)[part], blank)) != expected


def test_the_parts_cover_the_checkpoint(ablation):
    state, *_ = ablation
    assert {place[0] for place in components(state).values()} | {"seconds"} == set(state)
    paths = [path for path, _ in leaves(state)]
    assert len(paths) > 50


def test_the_clock_goes_on_where_it_stopped(tmp_path):
    trainer = made("trainer.steps=null", "trainer.max_minutes=0.005")
    trainer.seconds = 0.2
    checkpoint.save(tmp_path, trainer.state_dict())
    again = trainer_of(config_of("trainer.steps=null", "trainer.max_minutes=0.005"))
    again.load_state_dict(checkpoint.load_newest(tmp_path))
    assert again.progress == pytest.approx(0.2 / 0.3)
    again.run()
    assert 0.3 <= again.seconds < 1


def test_a_checkpoint_of_another_model_is_a_sentence(tmp_path):
    config = config_of("trainer.steps=1")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    checkpoint.save(tmp_path / "checkpoints", made(rounds=1).state_dict())
    config["trainer"]["steps"] = 2
    config["model"]["generator"]["width"] = 16
    with pytest.raises(CheckpointError, match="does not fit .*size mismatch for generator"):
        launch.train(config, tmp_path, resume=True)


def test_a_run_that_is_over_says_how_to_go_on(tmp_path):
    checkpoint.save(tmp_path / "checkpoints", made("trainer.steps=3", rounds=3).state_dict())
    with pytest.raises(ConfigError, match="complete at step 3.*trainer.steps=6"):
        launch.train(config_of("trainer.steps=3"), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("bound", "more"),
    [("trainer.epochs=0.5", "trainer.epochs=1"), ("trainer.max_minutes=0.0001", "trainer.max_minutes=0.0002")],
)
def test_it_names_the_bound_that_was_reached(bound, more):
    config = config_of("trainer.steps=1000000", bound)
    trainer = trainer_of(config)
    trainer.run()
    assert remarks.more(trainer, TrainerSettings(**config["trainer"])) == more


def test_tensorboard_keeps_the_step_that_a_run_resumes_from(tmp_path):
    for steps in (2, 3):
        launch.train(config_of(f"trainer.steps={steps}", "trainer.log_every=1"), tmp_path, resume=steps == 3)
    seen = EventAccumulator(str(tmp_path)).Reload().Scalars("learning_rate/generator")
    assert [event.step for event in seen] == [1, 2, 3]


def test_a_run_without_a_checkpoint_never_starts_from_scratch(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        launch.train(config_of(), tmp_path, resume=True)
