"""One dial: what `budget=` chooses, by formulas that people read, and what a person said by hand."""

import numpy as np
import pytest
from PIL import Image

from gan_lab.cli import main
from gan_lab.config.compose import compose
from gan_lab.config.formulas import Unknown, value_of
from gan_lab.config.overrides import rewritten
from gan_lab.errors import ConfigError, ResourceError
from gan_lab.launch import dial
from gan_lab.launch.dial import parsed, with_budget


@pytest.fixture
def pictures(tmp_path):
    """A folder of 40 coloured pictures of 70 x 64 pixels."""
    return folder(tmp_path / "pictures", 64)


def folder(place, side, channels=3):
    place.mkdir()
    random = np.random.default_rng(0)
    for number in range(40):
        pixels = random.integers(0, 256, (side, side + 6, channels), dtype=np.uint8)
        Image.fromarray(pixels.squeeze()).save(place / f"{number}.png")
    return place


@pytest.fixture
def steps_of(monkeypatch):
    """A function that sets how many seconds a step of a trial takes; what was tried is in its list."""
    tried = []

    def set_seconds(seconds):
        def rehearse(trainer, rounds):
            side = trainer.loader.batch(0)[0]["image"].shape[-1]
            tried.append((type(trainer.game.generator).__module__.rpartition(".")[2], side))
            found = seconds(*tried[-1])
            if found is None:
                raise ResourceError("Out of memory.")
            return found

        monkeypatch.setattr(dial, "rehearse", rehearse)
        return tried

    return set_seconds


def chosen(place, *words):
    """The configuration that a budget makes of these words."""
    typed = ["experiment=my_images", f"dataset.path={place}", "trainer.device=cpu", *words]
    return compose(with_budget([rewritten(word) for word in typed]))


# Formulas


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("0.0002 * side**2 / batch", 0.0128),
        ("min(4096 // side, 32)", 32),
        ("1 if grey else 3", 3),
        ("['ada'] if side < 100 else []", ["ada"]),
        ("round(-side / 3)", -21),
        (0.5, 0.5),
        ([0.0, "side"], [0.0, 64]),
        ({"lr": "side * 2"}, {"lr": 128}),
    ],
)
def test_a_formula_is_arithmetic_over_names(formula, value):
    assert value_of(formula, {"side": 64, "batch": 64, "grey": False}) == value


@pytest.mark.parametrize(
    "formula",
    ["__import__('os')", "side.real", "[x for x in side]", "9**999", "1 / 0", "side +", "lambda: 1", "'a' + 1"],
)
def test_what_is_no_arithmetic_is_a_sentence(formula):
    with pytest.raises(ConfigError, match="the formula .* cannot be computed"):
        value_of(formula, {"side": 64})


def test_a_formula_tells_which_name_it_lacks():
    with pytest.raises(Unknown, match="steps"):
        value_of("steps / 200", {"side": 64})


# Budgets


def test_budgets_are_times_or_images():
    assert parsed("30m").seconds == 1800
    assert parsed("1.5h").seconds == 5400
    assert parsed("images=5M").images == 5_000_000
    assert parsed("images=500k").images == 500_000


@pytest.mark.parametrize("said", ["soon", "30", "-5m", "5s", "images=0", "images=many", "10m,20m"])
def test_another_budget_is_a_sentence(said):
    with pytest.raises(ConfigError, match="must be a time from 30s, such as 30m or 2h, or images"):
        parsed(said)


# Choices


def test_the_largest_size_that_sees_enough_is_chosen(pictures, steps_of, capsys):
    steps_of(lambda network, side: {"dcgan": 0.02, "stylegan2": 1.0}[network] * side / 32)
    config = chosen(pictures, "budget=20m")
    # In 0.9 * 1200 s DCGAN has 27,000 steps of 32 images at 64 pixels, and wants 800,000 images there
    assert (config["model"]["generator"]["_target_"], config["dataset"]["image_size"]) == (DCGAN, 64)
    assert (config["trainer"]["max_minutes"], config["trainer"]["steps"]) == (20, None)
    assert (config["trainer"]["log_every"], config["trainer"]["sample_every"]) == (135, 1350)
    said = capsys.readouterr().out
    assert "40 pictures, colour, about 64 pixels a side, on a CPU" in said
    assert "max(1, round(steps / 200))" in said


DCGAN = "gan_lab.networks.dcgan.Generator"


def test_a_fast_machine_gets_the_first_recipe(pictures, steps_of):
    tried = steps_of(lambda network, side: 0.001)
    config = chosen(pictures, "budget=2h")
    assert tried == [("stylegan2", 32), ("stylegan2", 64)]  # no size above the pictures', no recipe behind it
    assert config["loss"]["penalties"]["r1"]["weight"] == pytest.approx(0.0002 * 64**2 / 32)
    assert list(config["loss"]["views"]) == ["ada"]


def test_too_little_time_is_said_with_what_would_do(pictures, steps_of, capsys):
    steps_of(lambda network, side: 1.0)
    config = chosen(pictures, "budget=1m")
    assert (config["model"]["generator"]["_target_"], config["dataset"]["image_size"]) == (DCGAN, 32)
    assert (
        "narrow_dcgan at 32 pixels would see 1,728 images and wants 150,000; budget=87m would do."
        in capsys.readouterr().out
    )


def test_what_is_out_of_memory_is_not_chosen(pictures, steps_of, capsys):
    steps_of(lambda network, side: None if network == "stylegan2" else 0.001)
    assert chosen(pictures, "budget=2h")["model"]["generator"]["_target_"] == DCGAN
    assert "out of memory" in capsys.readouterr().out


def test_nothing_that_fits_into_memory_is_a_sentence(pictures, steps_of):
    steps_of(lambda network, side: None)
    with pytest.raises(ResourceError, match="Not even the smallest size fits into memory"):
        chosen(pictures, "budget=2h")


def test_what_was_said_by_hand_wins(pictures, steps_of):
    tried = steps_of(lambda network, side: 0.001)
    words = "dataset.image_size=16", "model=dcgan", "trainer.batch_size=4", "optimizer.lr=1e-3", "trainer.steps=7"
    config = chosen(pictures, "budget=10m", *words)
    assert tried == [("dcgan", 16)]
    assert (config["trainer"]["batch_size"], config["optimizer"]["lr"], config["trainer"]["steps"]) == (4, 1e-3, 7)
    assert config["trainer"]["max_minutes"] == 10


def test_grey_pictures_have_one_channel(tmp_path, steps_of):
    steps_of(lambda network, side: 0.001)
    assert chosen(folder(tmp_path / "grey", 32, channels=1), "budget=10m")["dataset"]["channels"] == 1


def test_small_pictures_are_not_enlarged(tmp_path, steps_of):
    tried = steps_of(lambda network, side: 0.001)
    chosen(folder(tmp_path / "small", 40), "budget=10h")
    assert {side for _, side in tried} == {32}


def test_a_budget_of_images_bounds_by_steps(pictures, steps_of):
    steps_of(lambda network, side: 0.001)
    config = chosen(pictures, "budget=images=400k")
    assert (config["trainer"]["steps"], config["trainer"]["max_minutes"]) == (400_000 // 32, None)
    assert config["dataset"]["image_size"] == 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["experiment=dcgan_digits", "budget=10m"], "needs an experiment that says what a budget decides"),
        (["model=dcgan", "dataset=digits", "budget=10m"], "needs an experiment that says what a budget decides"),
        (["experiment=my_images", "model=lapgan", "budget=10m"], "no recipe for model=lapgan"),
    ],
)
def test_where_no_budget_decides_is_a_sentence(words, said, pictures):
    words = [*words, f"dataset.path={pictures}"] if "experiment=my_images" in words else words
    with pytest.raises(ConfigError, match=said):
        with_budget([rewritten(word) for word in words])


def test_words_without_a_budget_stay_as_they_are():
    assert with_budget(["model=gan"]) == ["model=gan"]


# As a person types it


def test_a_budgeted_run_tells_its_formulas_and_resumes(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = "model.generator.width=8", "model.discriminator.width=8", "trainer.batch_size=4", "trainer.samples=4"
    words = ["experiment=my_images", f"dataset.path={pictures}", "budget=images=8", "model=dcgan", *small]
    words += ["trainer.device=cpu", "trainer.evaluate_every=null", "run.root=runs"]
    assert main(["train", *words]) in (0, None)
    (run,) = (tmp_path / "runs" / "my_images").iterdir()
    capsys.readouterr()
    assert main(["show", "run", str(run), "changed=true"]) in (0, None)
    said = " ".join(capsys.readouterr().out.split())
    assert "trainer.sample_every 1 budget: max(1, round(steps / 20))" in said
    assert "trainer.steps 2 budget: the budget, images=8" in said
    assert "trainer.batch_size 4 command line" in said
    assert main(["resume", str(run), "trainer.steps=3"]) in (0, None)


def test_a_dry_run_shows_the_choice_and_writes_nothing(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    words = ["model=dcgan", "model.generator.width=8", "model.discriminator.width=8", "trainer.device=cpu"]
    main(["train", "experiment=my_images", f"dataset.path={pictures}", "budget=images=8", *words, "--dry-run"])
    assert "it chose" in capsys.readouterr().out
    assert set(tmp_path.iterdir()) == before
