"""`gan-lab compare`: last and best, means over seeds, what differs, and figures that do not belong in one column."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gan_lab.cli import main
from gan_lab.storage.sides import better

LOSS = "loss/generator/adversarial"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def made(folder, seed=0, loss="Hinge", values=(0.2, 0.9, 0.6), status="finished", dataset="ring", **summary):
    """A run of a few lines, with values of exact/quality at steps 10, 20, ..., and a loss."""
    config = {
        "dataset": {"_target_": "GaussianMixture", "layout": dataset},
        "model": {"_target_": "GAN", "latent_dim": 2},
        "loss": {"_target_": loss},
        "optimizer": {"lr": 0.1},
        "trainer": {"steps": 30},
        "seed": seed,
        "run": {"name": folder, "root": "outputs"},
    }
    place = Path("outputs") / folder
    place.mkdir(parents=True)
    (place / "config.yaml").write_text(yaml.safe_dump(config))
    (place / "overrides.txt").write_text(f"loss={loss.lower()}\nseed={seed}\ntrainer.steps=30\n")
    rows = [{"step": 10 * (i + 1), "exact/quality": value, LOSS: 5 - i} for i, value in enumerate(values)]
    with (place / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "exact/quality", LOSS])
        writer.writeheader()
        writer.writerows(rows)
    metrics = {"exact/quality": values[-1], LOSS: 3.0} if values else {}
    facts = {"status": status, "step": 30, "version": "0.1.0", "precision": "fp32", "metrics": metrics}
    (place / "summary.json").write_text(json.dumps(facts | summary))
    return str(place)


def compared(capsys, *words):
    """The lines that compare prints, each split into its cells."""
    capsys.readouterr()
    code = main(["compare", *words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out.splitlines()


def refused(capsys, *words):
    capsys.readouterr()
    code = main(["compare", *words])
    return code, capsys.readouterr().err


def test_last_and_best_stand_beside_each_other_and_a_loss_has_no_best(capsys):
    run = made("a")
    head, line, *_ = compared(capsys, run)
    assert "exact/quality last" in head and "best" in head and LOSS not in head
    assert line.split()[:7] == [run, "finished", "30", "0", "0.6", "0.9", "at"] and " 20" in line
    head, line, *_ = compared(capsys, run, f"metric=[{LOSS}]")
    assert f"{LOSS} last" not in head and "best" not in head and line.split()[4] == "3"


def test_runs_that_differ_only_in_their_seed_get_a_mean_and_a_deviation(capsys):
    for seed, last in enumerate((0.5, 0.6, 0.7)):
        made(f"a{seed}", seed, values=(0.9, last))
    made("other", 0, loss="Wasserstein", values=(0.1, 0.2))
    lines = compared(capsys, "outputs")
    (mean,) = [line for line in lines if "mean of" in line]
    assert "mean of 3 seeds" in mean and "0.6 ± 0.1" in mean and "0.9 ± 0" in mean
    assert [line.split()[0] for line in lines[1:4]] == [f"outputs/a{i}" for i in range(3)]


def test_only_what_differs_between_groups_is_said(capsys):
    made("a0", 0), made("a1", 1), made("b", 0, loss="Wasserstein")
    lines = compared(capsys, "outputs")
    told = {line.split()[0]: line.split()[4] for line in lines[1:] if line.startswith("outputs")}
    assert told == {"outputs/a0": "loss=hinge", "outputs/a1": "loss=hinge", "outputs/b": "loss=wasserstein"}
    assert not any("steps=30" in line or "seed=" in line for line in lines)


def test_what_nobody_typed_is_said_too(capsys):
    made("a", version="0.1.0"), made("b", version="0.2.0")
    lines = compared(capsys, "outputs")
    assert [line.split()[4] for line in lines[1:3]] == ["version=0.1.0", "version=0.2.0"]
    assert not any("mean" in line for line in lines)


def test_the_best_group_comes_first_and_a_minus_turns_it_round(capsys):
    made("a", values=(0.3,)), made("b", loss="Wasserstein", values=(0.8,))
    order = lambda *words: [line.split()[0] for line in compared(capsys, "outputs", *words)[1:3]]
    assert order() == order("sort=exact/quality") == ["outputs/b", "outputs/a"]
    assert order("sort=-exact/quality") == ["outputs/a", "outputs/b"]


def test_less_is_better_of_a_distance(capsys):
    made("a", **judged(9.0)), made("b", loss="Wasserstein", **judged(4.0))
    lines = compared(capsys, "outputs")
    assert [line.split()[0] for line in lines[1:3]] == ["outputs/b", "outputs/a"]


def test_figures_by_different_protocols_stand_in_columns_of_their_own(capsys):
    made("a", dataset="ring"), made("b", dataset="grid", values=(0.4,))
    lines = compared(capsys, "outputs")
    assert "exact/quality (a) last" in lines[0] and "exact/quality (b) last" in lines[0]
    assert "exact/quality (a): dataset.layout=ring" in lines and "exact/quality (b): dataset.layout=grid" in lines


def judged(value, samples=10_000, key="evaluation"):
    """What `gan-lab evaluate` adds to a summary."""
    figure = {"value": value, "step": 30, "protocol": {"reference": "test", "samples": samples}}
    return {key: {"fid/classifier": figure}, "values": ()}


def test_a_protocol_that_the_run_wrote_down_counts(capsys):
    made("a", 0, **judged(9.0)), made("b", 1, **judged(8.0))
    assert "evaluation/fid/classifier " in compared(capsys, "outputs")[0]
    made("c", 2, **judged(1.0, samples=500))
    lines = compared(capsys, "outputs")
    assert "evaluation/fid/classifier (b): samples=500" in lines
    (mean,) = [line for line in lines if "mean of" in line]
    assert mean.count("±") == 1 and "8.5 ± 0.71" in mean  # of the two that were judged alike


def test_networks_with_and_without_batch_norm_are_compared(capsys):
    for name, mode, loss in (("a", "eval", "Hinge"), ("b", "none", "Wasserstein")):
        how = {"reference": "train", "batch_norm": mode}
        made(name, loss=loss, figures={"exact/quality": {"value": 0.6, "step": 30, "protocol": how}})
    assert "exact/quality last" in compared(capsys, "outputs")[0]


def test_a_report_and_a_look_in_training_are_two_figures(capsys):
    training = {"fid/classifier": {"value": 5.0, "step": 30, "protocol": {"reference": "train"}}}
    made("a", **judged(9.0), figures=training, metrics={"fid/classifier": 5.0})
    head = compared(capsys, "outputs")[0]
    assert "evaluation/fid/classifier ↓  fid/classifier last  best ↓" in head


def test_losses_of_different_objectives_are_not_put_in_one_column(capsys):
    made("a"), made("b", loss="Wasserstein")
    head = compared(capsys, "outputs", f"metric=[{LOSS}]")[0]
    assert f"{LOSS} (a)" in head and f"{LOSS} (b)" in head


def test_runs_that_failed_are_shown_and_are_in_no_mean(capsys):
    made("a0", 0, values=(0.5,)), made("a1", 1, values=(0.7,)), made("a2", 2, values=(0.0,), status="diverged")
    lines = compared(capsys, "outputs")
    (mean,) = [line for line in lines if "mean of" in line]
    assert "mean of 2 of 3 seeds" in mean and "0.6 ± 0.14" in mean
    assert any(line.split()[:2] == ["outputs/a2", "diverged"] for line in lines)
    assert "not finished, so in no mean: outputs/a2" in lines


def test_a_job_that_never_began_is_shown_beside_its_sweep(capsys, tmp_path):
    first = made("sweep/0_seed-0", 0)
    config = yaml.safe_load((tmp_path / first / "config.yaml").read_text()) | {"seed": 1}
    for name, status in (("sweep/1_seed-1", "failed"), ("sweep/0_seed-0", "finished")):
        (tmp_path / "outputs" / name).mkdir(exist_ok=True)
        entry = {
            "job": 1,
            "overrides": ["loss=hinge", "seed=1", "trainer.steps=30"],
            "status": status,
            "config": config,
        }
        (tmp_path / "outputs" / name / "job.json").write_text(json.dumps(entry))
    lines = compared(capsys, "outputs/sweep")
    assert [line.split()[1] for line in lines[1:3]] == ["finished", "failed"]
    assert lines[1].split()[-1] == "20"  # one group: nothing differs, so the best value's step ends the line


def test_an_earlier_attempt_inside_a_run_is_no_run(capsys):
    run = made("a")
    made("a/attempt", seed=5)
    assert len(compared(capsys, "outputs")) == len(compared(capsys, run)) and "attempt" not in str(
        compared(capsys, run)
    )


def test_csv_has_a_column_for_each_number_and_takes_no_files_place(capsys, tmp_path):
    made("a0", 0, values=(0.5,)), made("a1", 1, values=(0.7,))
    (tmp_path / "table.csv").write_text("mine")
    assert compared(capsys, "outputs", "csv=table.csv")[-1] == "table-2.csv"
    first, second = csv.DictReader((tmp_path / "table-2.csv").open())
    assert (tmp_path / "table.csv").read_text() == "mine"
    assert float(first["exact/quality last"]) == 0.5 and float(second["exact/quality best"]) == 0.7
    assert float(first["exact/quality last mean"]) == pytest.approx(0.6) and second["finished seeds"] == "2"
    assert float(first["exact/quality last deviation"]) == pytest.approx(0.1414, abs=1e-3)


def best_of(head, line, title, marked):
    """Whether the cell below a title ends as the best of its column does."""
    at = head.index(title)
    return line[at:].split("  ")[0].endswith(marked)


def test_the_best_value_of_a_column_is_marked_and_only_a_terminal_gets_colours(capsys, monkeypatch):
    made("a", values=(0.3,)), made("b", loss="Wasserstein", values=(0.8,)), made("c", loss="Logistic", values=(0.8,))
    made("d", loss="Hinge", values=(0.1,), status="diverged", metrics={"exact/quality": math.nan})
    head, *lines = compared(capsys, "outputs")
    marks = {line.split()[0]: best_of(head, line, "exact/quality last", "*") for line in lines[:4]}
    assert marks == {"outputs/a": False, "outputs/b": True, "outputs/c": True, "outputs/d": False}
    assert not any("\033" in line for line in lines)
    assert sum("**0.8**" in line for line in compared(capsys, "outputs", "markdown=true")) == 2
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert sum("\033[32m0.8*" in line for line in compared(capsys, "outputs")) == 2
    monkeypatch.setenv("NO_COLOR", "1")
    assert not any("\033" in line for line in compared(capsys, "outputs"))


def test_of_a_distance_the_least_is_the_best_and_of_equal_ones_none(capsys):
    made("a", **judged(9.0)), made("b", loss="Wasserstein", **judged(4.0))
    head, *lines = compared(capsys, "outputs")
    assert [best_of(head, line, "evaluation/fid/classifier", "4*") for line in lines[:2]] == [True, False]
    made("c/a"), made("c/b", loss="Wasserstein")
    assert not any("*" in line for line in compared(capsys, "outputs/c"))


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_what_is_left_out_is_said(capsys, monkeypatch, columns):
    for name, loss, seed in (("a", "Hinge", 0), ("a1", "Hinge", 1), ("b", "Wasserstein", 0)):
        others = {f"exact/{word}": {"value": 0.5, "step": 30, "protocol": {}} for word in ("modes", "good_share")}
        made(f"a_sweep_of_some_name/{name}_loss", seed, loss, figures=others, metrics=dict.fromkeys(others, 0.5))
    whole = compared(capsys, "outputs")
    assert max(map(len, whole)) > 120, "a pipe gets whole lines"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    lines = compared(capsys, "outputs")
    assert max(map(len, lines[: lines.index("")])) <= columns
    assert "exact/" in str(lines) and ("all=true" in lines[-1]) == ("in outputs/a_sweep_of_some_name:" in lines[0])
    heads = [line for line in lines if line.startswith("run ")]
    assert [heads[0].index(word) for word in ("status", "step", "setting", "exact/")] == sorted(
        heads[0].index(word) for word in ("status", "step", "setting", "exact/")
    )
    assert [len(line) for line in compared(capsys, "outputs", "markdown=true")] == [
        len(line) for line in compared(capsys, "outputs", "markdown=true", "all=true")
    ]


def test_evaluator_and_comparison_agree_on_the_side_of_a_figure():
    from gan_lab.metrics import lower_is_better

    names = ("fid/pixels", "kid", "l1/pairs", "exact/distance", "exact/reverse_kl", "psnr/pairs", "exact/quality")
    assert [lower_is_better(name) for name in names] == [better(name) < 0 for name in names]
    assert better("evaluation/exact/distance") == -1 and better("l1_of_source/truth") == better(LOSS) == 0


def test_markdown_is_printed_or_written(capsys, tmp_path):
    run = made("a")
    printed = compared(capsys, run, "markdown=true")
    assert printed[0].startswith("| run | status |") and set(printed[1]) == set("|-")
    compared(capsys, run, "markdown=table.md")
    assert (tmp_path / "table.md").read_text().splitlines()[:3] == printed[:3]


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["outputs/a", "metric=[exact/qualty]"], 2, "did you mean 'exact/quality'?"),
        (["outputs/a", "sort=speed"], 2, "not among the figures shown"),
        (["outputs/a", "metrik=x"], 2, "did you mean 'metric'?"),
        (["metric=[exact/quality]"], 2, "compare needs runs"),
        (["outputs/b"], 4, "does not exist"),
        (["outputs"], 0, ""),
        (["."], 0, ""),
    ],
)
def test_a_wrong_word_gets_a_sentence(capsys, words, code, reason):
    made("a")
    answer, said = refused(capsys, *words)
    assert answer == code and reason in said and "Traceback" not in said


def test_a_directory_without_runs_and_a_damaged_summary_get_a_sentence(capsys, tmp_path):
    run = made("a")
    (tmp_path / "empty").mkdir()
    assert refused(capsys, "empty")[0] == 4
    (tmp_path / run / "summary.json").write_text("{")
    code, said = refused(capsys, run)
    assert code == 4 and "summary.json" in said and "cannot be read" in said


def test_comparing_needs_no_torch():
    run = made("a")
    code = "import sys; from gan_lab.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, "compare", run], check=False).returncode == 0


def test_the_best_value_is_marked_on_a_terminal_and_nowhere_else(capsys, monkeypatch):
    made("a", values=(0.3,)), made("b", loss="Wasserstein", values=(0.8,))
    assert "\x1b" not in "".join(compared(capsys, "outputs"))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    coloured = [line for line in compared(capsys, "outputs") if "\x1b[32m0.8" in line]
    assert [line.split()[0] for line in coloured] == ["outputs/b"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in "".join(compared(capsys, "outputs"))
