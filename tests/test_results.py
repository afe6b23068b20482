"""results.png: what it shows, when it is drawn, and that nobody's work depends on it."""

import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_lab.cli import main
from gan_lab.runs import results
from gan_lab.storage.files import rows_of
from gan_lab.training import observers
from gan_lab.training.observers import Plotter

TINY = ["model=gan", "dataset=digits", "model.generator.width=8", "model.discriminator.width=8",
        "trainer.batch_size=8", "trainer.device=cpu", "trainer.precision=fp32", "trainer.threads=1",
        "trainer.samples=4", "trainer.steps=4", "trainer.log_every=2", "trainer.checkpoint_every=2",
        "trainer.evaluate_every=2", "trainer.evaluate_samples=64", "hydra.run.dir=run"]  # fmt: skip
FOUND = {"name": "mode collapse", "step": 30, "said": "samples are nearly identical. Try another loss.", "gone": 60}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["gan-lab"])


def rows(count=100, **more):
    one = {"loss/generator/adversarial": "0.7", "loss/discriminator/adversarial": "0.4", "grad_norm/generator": "2"}
    return [{"step": str(step), **one, **{name: cell(step) for name, cell in more.items()}} for step in range(count)]


def drawn(rows, **summary):
    with warnings.catch_warnings(action="error"):
        assert results.draw(rows, summary, Path("a.png"))
    with Image.open("a.png") as picture:
        return np.asarray(picture.convert("RGB"))


def test_the_same_rows_make_the_same_pixels_and_1200_of_them_across():
    first, again = drawn(rows()), drawn(rows())
    assert first.shape[1] == 1200 and (first == again).all()
    assert (drawn(rows(99)) != first[:, :]).any()


def test_a_line_needs_two_points():
    assert not results.draw(rows(1), {}, Path("a.png")) and not results.draw([], {}, Path("a.png"))
    assert not Path("a.png").exists()


def test_each_player_and_each_figure_has_its_curve():
    columns = [
        "loss/generator/adversarial",
        "loss/discriminator/r1",
        "grad_norm/generator",
        "exact/modes",
        "fid/pixels",
    ]
    told = {"figures": {"exact/modes": {}, "fid/pixels": {}, "evaluation/fid/pixels": {}}}
    panels = results.panels_of([*columns, "health/rise", "evaluation/fid/pixels"], told)
    assert [panel.title for panel in panels] == [
        "Losses", "Gradient norms", "modes \u2191", "fid/pixels \u2193"
    ]  # fmt: skip
    assert [curve.label for curve in panels[0].curves] == ["generator: adversarial", "discriminator: r1"]
    many = [f"loss/{player}/term_{i}" for player in ("generator", "critic") for i in range(4)]
    assert [p.title for p in results.panels_of(many, {})] == ["Losses of the generator", "Losses of the critic"]


def test_what_the_watch_found_is_marked_where_it_was():
    plain, marked = drawn(rows()), drawn(rows(), health=[FOUND])
    height = len(plain)
    changed = np.nonzero((plain != marked[:height]).any(axis=2)[results.HEAD + results.AROUND[2] : height - 60])[1]
    left, right, *_ = results.AROUND
    inner = 600 - left - right
    low, high = (left + inner * share for share in (30 / 99, 60 / 99))
    assert low - 3 <= changed.min() and changed[changed < 600].max() <= high + 3
    assert len(marked) == height + results.LINE, "a line below says what it was"


@pytest.mark.parametrize(
    "cell", [lambda step: "nan" if step % 3 else "inf", lambda step: f"1e{step * 3}", lambda _: ""]
)
def test_odd_numbers_and_names_are_no_reason_not_to_draw(cell):
    drawn(rows(**{"loss/critic/own_term": cell, "grad_norm/critic": cell}), name="\u8bad\u7ec3 $x_ \udc80")


def test_long_runs_are_drawn_by_means():
    assert len(results.thinned(np.arange(12_345.0))) <= results.MOST_POINTS
    assert results.smoothed(np.arange(100.0)) == pytest.approx(np.arange(100.0))


def test_a_run_draws_it_names_it_and_redraws_it_when_it_goes_on(capsys):
    assert main(["train", *TINY]) == 0
    first = Path("run/results.png").read_bytes()
    assert "  curves       run/results.png\n" in capsys.readouterr().out
    assert main(["resume", "run", "trainer.steps=8"]) == 0
    assert len(rows_of(Path("run"))) == 4 and Path("run/results.png").read_bytes() != first
    assert main(["clean", "run", "root=.", "yes=true"]) == 0
    assert not Path("run").exists()


def test_a_failure_to_draw_ends_no_training(monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("no ink")

    monkeypatch.setattr(results, "draw", fail)
    monkeypatch.setattr(observers, "SECONDS_BETWEEN_PLOTS", 0.0)
    assert main(["train", *TINY]) == 0
    out = capsys.readouterr().out
    assert out.count("Drawing results.png failed") == 1 and "results.png is not written: no ink." in out


def test_a_picture_that_somebody_else_drew_stays(capsys):
    assert main(["train", *TINY]) == 0
    Image.new("RGB", (4, 4)).save("run/results.png")
    mine = Path("run/results.png").read_bytes()
    assert main(["resume", "run", "trainer.steps=6"]) == 0
    assert "lies there that gan-lab did not draw" in capsys.readouterr().out
    assert main(["clean", "run", "root=.", "yes=true"]) == 0
    assert [path.name for path in Path("run").iterdir()] == ["results.png"] and Path(
        "run/results.png"
    ).read_bytes() == mine
    assert main(["train", *TINY]) == 2, "a new run begins beside no such picture"


def test_it_is_refreshed_no_oftener_than_its_share_allows(monkeypatch):
    now, drawn_at = [0.0], []
    monkeypatch.setattr(observers, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def plot():
        drawn_at.append(now[0])
        now[0] += 1.0

    plotter = Plotter(1, SimpleNamespace(plot=plot))
    for second in range(250):
        now[0] = max(now[0], float(second))
        plotter.tell(SimpleNamespace(progress=0.5, stopping=False))
    assert drawn_at == [30.0, 131.0, 232.0]
    now[0] = 1000.0
    plotter.tell(SimpleNamespace(progress=1.0, stopping=False))
    assert len(drawn_at) == 3, "the book draws the last one"


def test_the_head_names_the_step_at_which_the_curves_end():
    """The summary is written every few seconds, and its images are not those of a later step."""
    summary = {"status": "running", "step": 975, "images": 62_400, "device": "cpu"}
    assert results.head(summary, 1000) == "running at step 1,000  ·  cpu"
    assert results.head(summary, 950) == "running at step 975  ·  62,400 images  ·  cpu"
