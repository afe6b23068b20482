"""The frame of proofs: what it refuses, what it counts, what it remembers, and when it says *shown*."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import ROOT, config_of

from gan_lab.config.build import build_game
from gan_lab.config.compose import compose
from gan_lab.datasets import Gaussian1D, GaussianMixture
from gan_lab.datasets.stacked import StackedDigits
from gan_lab.errors import ConfigError
from gan_lab.metrics.classifier import Classifier

sys.path.insert(0, str(ROOT / "scripts"))

import prove  # noqa: E402
from proofs import by_heart, digits, frames, job, points, styles, translation, truncation  # noqa: E402
from proofs.claim import TUNING, Claim, judged, names, one_override  # noqa: E402
from proofs.ledger import Ledger  # noqa: E402
from proofs.page import behaviour, margin, page  # noqa: E402
from proofs.prints import TOLERANCE, Prints, differences  # noqa: E402
from proofs.repository import Repository  # noqa: E402
from proofs.task import Task  # noqa: E402

CLAIM = """# @package _global_
# Proof: a test's own. Nobody 2026
defaults:
  - override /dataset: ring8
  - override /model: gan
  - override /loss: non_saturating
proof:
  claim: It works.
  source: Nobody 2026
  measure: proofs.points.quality
  threshold: 0.5
  better: higher
  budget_seconds: 60
  control: loss=minimax
"""
SMALL = ["dataset=ring8", "model=gan", "++model.generator.width=8", "++model.discriminator.width=8",
         "++trainer.threads=1", "++trainer.sample_every=400", "++trainer.evaluate_every=null"]  # fmt: skip
MEASURE = "def quality(run):\n    return 1.0\n"


@pytest.fixture
def repository(tmp_path):
    """A checkout that holds one claim and its measure, committed."""
    found = Repository(tmp_path)
    for file, text in (
        (found.claims / "tiny.yaml", CLAIM),
        (found.scripts / "proofs" / "points.py", MEASURE),
        (found.scripts / "proofs" / "not_built.yaml", "later: {claim: It will., source: Nobody 2027}\n"),
        (tmp_path / ".gitignore", "outputs/\n"),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    found.git("init", "--quiet")
    commit(found)
    return found


def commit(repository):
    repository.git("add", "--all")
    who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    assert repository.git(*who, "commit", "--quiet", "--message", "a state") is not None


@pytest.fixture
def said(repository, monkeypatch, capsys):
    """Calls the command in that checkout, with made-up figures of claim and control in place of training."""
    figures = {"claim": 0.9, "control": 0.1, "cpu_seconds": 10.0}
    runs = []

    def made_up(claim, side, seed, data=None):
        runs.append((side, seed))
        if seed == figures.get("breaks_at"):
            raise ConfigError("broken")
        figure = figures[side]
        status = "finished" if figure is not None else "diverged"
        return {"status": status, "figure": figure, "second": None, "judges": [], "seconds": 30.0,
                "cpu_seconds": figures["cpu_seconds"]}  # fmt: skip

    def call(*words, **changes):
        figures.update(changes)
        runs.clear()
        capsys.readouterr()
        code = prove.main([*words, "--jobs", "1"], repository.root)
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err, runs=list(runs))

    monkeypatch.setattr(prove, "run", made_up)
    return call


def lines(repository):
    file = repository.ledger
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def outcome(repository):
    """The last cell of the claim's row."""
    (row,) = [line for line in repository.page.read_text().splitlines() if line.startswith("| `tiny`")]
    return row.split(" | ")[-1].rstrip(" |")


# --- What is committed, tuned and judged -----------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["conf/experiment/proof/tiny.yaml", "scripts/proofs/points.py"])
def test_nothing_is_judged_that_git_does_not_hold(said, repository, file):
    path = repository.root / file
    path.write_text(path.read_text() + "# more\n")
    answer = said("tiny", "--seeds", "100-102")
    assert answer.code == 2 and file in answer.err and "commit them" in answer.err
    assert not answer.runs and not lines(repository)


def test_tuning_needs_no_commit_and_is_on_record_as_such(said, repository):
    path = repository.claims / "tiny.yaml"
    path.write_text(path.read_text().replace("0.5", "0.6"))
    assert said("tiny").runs == [(side, seed) for seed in TUNING for side in ("claim", "control")]
    found = lines(repository)
    assert [line["seed"] for line in found] == list(TUNING) and all(line["attempt"] is None for line in found)
    assert all(line["dirty"] and line["threshold"] == 0.6 for line in found)
    assert outcome(repository) == "not judged yet" and "0 (tuned on 3 runs)" in repository.page.read_text()


def test_a_judgement_is_written_down_with_all_that_it_depends_on(said, repository):
    said("tiny", "--seeds", "100-102")
    begun, *measured = lines(repository)
    assert (begun["event"], begun["seed"]) == ("begun", None)
    head = repository.git("rev-parse", "--short=7", "HEAD")
    for line, seed in zip(measured, judged(3), strict=True):
        assert (line["seed"], line["attempt"], line["figure"], line["control"]) == (seed, 1, 0.9, 0.1)
        assert line["commit"].startswith(head) and line["threshold_commit"] == head and not line["dirty"]
        assert (line["threshold"], line["minutes"], line["outcome"]) == (0.5, 1.0, "holds")
    assert outcome(repository) == "*shown*" and head in repository.page.read_text()


def test_a_claim_may_ask_for_more_seeds(said, repository):
    path = repository.claims / "tiny.yaml"
    path.write_text(CLAIM + "  seeds: 5\n")
    commit(repository)
    assert said("tiny", "--seeds", "100-105").code == 2
    said("tiny", "--seeds", "100-102")
    assert outcome(repository) == "judged on 3 of 5 seeds"
    assert {seed for _, seed in said("tiny", "--judge").runs} == {103, 104}
    assert outcome(repository) == "*shown*"


def test_a_judgement_stands_until_configuration_or_code_change(said, repository):
    assert len(said("tiny", "--seeds", "100-102").runs) == 6
    again = said("tiny", "--seeds", "100-102")
    assert not again.runs and again.out.count("already known") == 3 and len(lines(repository)) == 4

    # A comment is no change; another threshold and another measure are, and each counts
    measure, claim = repository.scripts / "proofs" / "points.py", repository.claims / "tiny.yaml"
    for file, text, attempts in (
        (measure, '"""Says more."""\n' + MEASURE.replace("    return", "    # why\n    return"), 1),
        (claim, CLAIM.replace("It works.", "It works well."), 1),
        (claim, CLAIM.replace("0.5", "0.4"), 2),
        (measure, MEASURE.replace("1.0", "2.0"), 3),
    ):
        file.write_text(text)
        commit(repository)
        assert bool(said("tiny", "--seeds", "100-102").runs) == (attempts > 1)
        assert Ledger(repository).attempts("tiny") == attempts
    assert "| 3 (tuned on 0 runs) | not printed | *shown* |" in repository.page.read_text()


def test_what_was_run_before_is_not_run_again(repository, monkeypatch):
    started = []

    def start(task, repository, log):
        started.append(task)
        (Path(task.folder) / "result.json").write_text(json.dumps({"seed": task.config["seed"]}))
        return 0

    monkeypatch.setattr(prove, "start", start)
    claim = Claim("tiny", repository)
    for side, seed in (("claim", 100), ("claim", 1), ("control", 1), ("claim", 1), ("claim", 100)):
        assert prove.run(claim, side, seed) == {"seed": seed}
    assert [(task.config["seed"], task.config["loss"]["_target_"].rpartition(".")[2]) for task in started] == [
        (100, "NonSaturating"), (1, "NonSaturating"), (1, "Minimax")]  # fmt: skip
    assert all(task.config["trainer"]["threads"] == 1 for task in started)


def test_a_job_that_fails_is_no_figure_and_says_where_to_look(said, repository, monkeypatch):
    monkeypatch.undo()

    def start(task, repository, log):
        log.write("no memory\n")
        return 6

    monkeypatch.setattr(prove, "start", start)
    answer = said("tiny", "--seeds", "0")
    assert answer.code == 1 and "ended with code 6: no memory" in answer.err and not lines(repository)


def test_code_that_changes_while_it_is_judged_gives_no_figure(said, repository, monkeypatch):
    made_up, measure = prove.run, repository.scripts / "proofs" / "points.py"

    def change_and_run(*words):
        measure.write_text(MEASURE.replace("1.0", "2.0"))
        return made_up(*words)

    monkeypatch.setattr(prove, "run", change_and_run)
    answer = said("tiny", "--seeds", "100-102")
    assert answer.code == 2 and "changed while it was judged" in answer.err
    assert [line["event"] for line in lines(repository)] == ["begun"]


def test_an_attempt_that_broke_off_is_known_and_goes_on(said, repository):
    assert said("tiny", "--seeds", "100-102", breaks_at=101).code == 2
    assert [line["event"] for line in lines(repository)] == ["begun", "measured"]
    answer = said("tiny", "--seeds", "100-102", breaks_at=None)
    assert {seed for _, seed in answer.runs} == {101, 102}
    assert {line["attempt"] for line in lines(repository)} == {1} and outcome(repository) == "*shown*"


@pytest.mark.parametrize("seeds", ["0,100", "3", "99-101"])
def test_seeds_tune_or_judge_and_there_are_no_others(said, seeds):
    answer = said("tiny", "--seeds", seeds)
    assert answer.code == 2 and "on [0, 1, 2], or judge on" in answer.err and not answer.runs


def test_what_was_committed_of_the_record_may_not_change(said, repository):
    said("tiny", "--seeds", "100-102", claim=0.2)
    commit(repository)
    repository.ledger.write_text(repository.ledger.read_text().replace('"figure": 0.2', '"figure": 0.9'))
    answer = said("tiny", "--seeds", "100-102")
    assert answer.code == 2 and "may only grow" in answer.err


# --- Outcomes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "control", "words"),
    [
        (0.5, 0.44, "*shown*"),
        (0.5, 0.49, "*trains, not shown here* (0.5); claim and control are only 2% of the threshold apart"),
        (0.3, 0.1, "*trains, not shown here* (0.3)"),
        (0.9, 0.5, "*trains, not shown here* (0.9); the control passes on 3 of 3"),
        (None, 0.1, "*diverged on 3 of 3 seeds, not shown here*"),
        (0.9, None, "*shown*"),
    ],
)
def test_shown_is_what_holds_while_the_control_misses(said, repository, claim, control, words):
    said("tiny", "--seeds", "100-102", claim=claim, control=control)
    assert outcome(repository) == words


def test_less_can_be_what_is_claimed(said, repository):
    (repository.claims / "tiny.yaml").write_text(CLAIM.replace("higher", "lower"))
    commit(repository)
    said("tiny", "--seeds", "100-102", claim=0.2, control=0.8)
    assert outcome(repository) == "*shown*" and "at most 0.5" in repository.page.read_text()


def test_two_seeds_are_no_judgement_yet(said, repository):
    said("tiny", "--seeds", "100,101")
    assert outcome(repository) == "judged on 2 of 3 seeds"


def test_a_proof_over_its_budget_is_said_to_be(said, repository):
    answer = said("tiny", "--seeds", "100-102", cpu_seconds=31.0)
    assert "over its budget (62 of 60 s)" in answer.out and outcome(repository).endswith("over its budget (62 of 60 s)")


def test_what_is_not_built_is_listed(repository):
    assert "| later | It will. Nobody 2027 | *not built* |" in page(repository)


# --- The rules of a claim --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("loss=minimax model.latent_dim=2", "exactly one setting"),
        ("minimax", "is not a setting"),
        ("loss=minimax,hinge", "must give one value"),
        ("seed=7", "must be alike"),
        ("proof.threshold=0", "must be alike"),
        ("loss=non_saturating", "changes nothing"),
        ("loss=minimx", "unknown loss 'minimx'"),
    ],
)
def test_a_control_is_exactly_one_setting_that_changes_the_training(repository, change, reason):
    (repository.claims / "tiny.yaml").write_text(CLAIM.replace("loss=minimax", change))
    with pytest.raises(ConfigError, match=reason):
        Claim("tiny", repository)


@pytest.mark.parametrize("control", ["~loss.penalties.r1", "loss/view=[]", "model.generator.width=8", "seed_=1"])
def test_a_control_may_be_a_setting_of_any_kind(control):
    assert one_override(control).lstrip("+") == control


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("proofs.points.quality", "proofs.points.qualty", "did you mean 'quality'"),
        ("proofs.points.quality", "os.system", "is no function of"),
        ("threshold: 0.5", "threshold: high", "proof.threshold='high' must be a number"),
        ("  better: higher\n", "", "proof.better must be given"),
        ("better: higher", "beter: higher", "unknown setting 'proof.beter'; did you mean"),
        ("budget_seconds: 60", "budget_seconds: 0", "must be greater than 0"),
    ],
)
def test_a_claim_that_says_too_little_or_nonsense_gets_a_sentence(repository, old, new, reason):
    (repository.claims / "tiny.yaml").write_text(CLAIM.replace(old, new))
    with pytest.raises(ConfigError, match=reason):
        Claim("tiny", repository)


def test_a_claim_that_is_not_there_gets_the_nearest(said):
    answer = said("tine")
    assert answer.code == 2 and "did you mean 'tiny'?" in answer.err


def test_only_code_that_a_claim_reaches_counts(tmp_path):
    for name, text in {
        "gan_lab/__init__.py": "",
        "gan_lab/a.py": "from gan_lab import b\n\n\ndef f():\n    import gan_lab.c\n",
        "gan_lab/b.py": "x = 1\n",
        "gan_lab/c.py": "x = 1\n",
        "gan_lab/d.py": "x = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    code = lambda: Repository(tmp_path).code(["gan_lab.a"])
    first = code()
    (tmp_path / "gan_lab" / "d.py").write_text("x = 2\n")
    assert code() == first
    for name in ("b", "c"):
        (tmp_path / "gan_lab" / f"{name}.py").write_text("x = 2  # two\n")
        assert code() != first
        (tmp_path / "gan_lab" / f"{name}.py").write_text('"""One."""\n\nx = 1  # one\n')
        assert code() == first


# --- What is in the project ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names(Repository(ROOT)))
def test_a_claim_of_the_project_keeps_the_rules(name):
    claim = Claim(name, Repository(ROOT))
    assert claim.proof.budget_seconds in (60, 240, 600) and claim.proof.claim and "20" in claim.proof.source


def test_the_page_of_the_project_is_fresh():
    call = [sys.executable, ROOT / "scripts" / "prove.py", "--check"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- Jobs and measures -----------------------------------------------------------------------------------------------


def test_a_job_trains_measures_and_leaves_a_result(tmp_path):
    words = [*SMALL, "++trainer.steps=2"]
    result = job.work(Task(compose(words), words, "proofs.points.good_share", str(tmp_path / "run")))
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result.status, written["figure"]) == ("finished", result.figure) and 0 <= result.figure < 0.2
    assert result.second is None and result.judges == [] and result.cpu_seconds > 0


def test_a_run_that_diverges_has_no_figure(tmp_path):
    sure = ["optimizer=sgd", "++optimizer.lr=10", "loss=least_squares"]
    words = [*SMALL, *sure, "++trainer.steps=400", "++trainer.log_every=2"]
    result = job.work(Task(compose(words), words, "proofs.points.good_share", str(tmp_path / "run")))
    assert (result.status, result.figure) == ("diverged", None)


def test_a_judge_may_not_take_part_in_the_game():
    game = build_game(config_of())
    job.check_apart(game)
    game.objective.taste = Classifier(channels=1, num_classes=10)
    with pytest.raises(ConfigError, match="objective.taste is a judge's network"):
        job.check_apart(game)


@pytest.mark.parametrize("other", [{"seed": 0}, {"architecture": "plain"}])
def test_the_second_judge_has_another_seed_and_another_architecture(other):
    first = Classifier(channels=1, num_classes=10, seed=0, architecture="plain")
    second = Classifier(channels=1, num_classes=10, **({"seed": 1, "architecture": "residual"} | other))
    module = SimpleNamespace(__name__="a_measure", judges=lambda run: [first, second])
    with pytest.raises(ConfigError, match="differ in seed and architecture"):
        job.judges_of(module, SimpleNamespace(game=build_game(config_of())))


class Perfect:
    """A run whose generator draws what is real and whose critic cannot tell."""

    def __init__(self, dataset, score=0.0):
        self.dataset = dataset
        self.game = SimpleNamespace(critic=lambda x: torch.full((len(x),), score))

    def rows(self, seeds):
        return seeds

    def generate(self, rows, batch_size):
        return self.dataset.points[: len(rows)]


def test_equilibrium_is_zero_where_densities_meet_and_the_critic_is_undecided():
    dataset = Gaussian1D(mean=4.0, std=1.25, size=points.SAMPLES)
    assert points.equilibrium(Perfect(dataset)) < 0.03
    assert points.equilibrium(Perfect(dataset, score=2.0)) == pytest.approx(0.3808, abs=1e-3)  # sigmoid(2) - 1/2
    away = Perfect(dataset)
    away.generate = lambda rows, batch_size: dataset.points + 10
    assert points.equilibrium(away) == pytest.approx(1.0, abs=0.02)


def test_quality_of_real_points_is_that_of_three_sigma():
    run = Perfect(GaussianMixture("ring", modes=8, distance=2.0, sigma=0.02, size=points.SAMPLES))
    assert points.quality(run) == pytest.approx(0.989, abs=0.01) and points.modes(run) == 8


class Brightness(Classifier):
    """A judge that reads a class off the brightness of a picture."""

    def forward(self, images):
        bright = images.float().mean(dim=(1, 2, 3))
        sure = torch.nn.functional.one_hot((bright / 25).long().clamp(max=9), 10).float()
        return bright[:, None] + torch.zeros(1, 2), sure


def test_real_pictures_meet_the_demands_and_one_picture_repeated_does_not(monkeypatch):
    classes = torch.arange(10).repeat(20)  # [200]
    held = (classes[:, None, None, None] * 25 + torch.randint(0, 5, (200, 1, 1, 1))).byte().expand(-1, 1, 4, 4)

    judge = Brightness(channels=1, num_classes=10)
    monkeypatch.setattr(digits, "labelled", lambda config, dataset: SimpleNamespace(test_images=held))
    run = SimpleNamespace(config={"dataset": {"split": "train"}}, dataset=None, rows=list)
    run.generate = lambda rows: held.float() / 127.5 - 1
    assert digits.demands(run, judge) > 1 and digits.coverage(run, judge) > 0.9
    run.generate = lambda rows: held[:1].repeat(200, 1, 1, 1).float() / 127.5 - 1
    assert digits.demands(run, judge) == 0 and digits.coverage(run, judge) < 0.5


def test_numbers_are_spelled_by_digits_and_not_by_noise(monkeypatch):
    """Under a judge that names the class of the nearest digit, whatever it is shown."""
    dataset = StackedDigits(image_size=8, size=300)
    known = dataset.digits.tensors()["image"].flatten(1).float()

    def judge(colours):
        nearest = torch.cdist(colours.flatten(1).float(), known).argmin(dim=1)
        return None, torch.nn.functional.one_hot(dataset.digits.labels[nearest], 10)

    monkeypatch.setattr(digits, "STACKED", 300)
    run = SimpleNamespace(dataset=dataset, rows=len)
    real = dataset.rows(torch.arange(300))["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
    run.generate = lambda count: real
    assert digits.spelled_modes(run, judge) == len(set(dataset.labels.tolist()))
    run.generate = lambda count: real[:1].repeat(count, 1, 1, 1)
    assert digits.spelled_modes(run, judge) == 1
    run.generate = lambda count: torch.rand_like(real) * 2 - 1
    assert digits.spelled_modes(run, judge) == 0


@pytest.mark.parametrize(
    ("predict", "holds"),
    [
        pytest.param(lambda last: last.roll(1, dims=-1), True, id="right"),
        pytest.param(lambda last: last, False, id="the last frame"),
        pytest.param(lambda last: torch.nn.functional.avg_pool2d(last, 3, 1, 1).roll(1, dims=-1), False, id="blurred"),
        pytest.param(lambda last: (1.05 * (last.roll(1, dims=-1) + 1) - 1).clamp(-1, 1), False, id="ever brighter"),
    ],
)
def test_frames_are_foreseen_that_are_near_and_sharp_and_do_not_explode(monkeypatch, predict, holds):
    """Of films in which a few bars of grey go to the right by a pixel a frame."""
    first = -torch.ones(6, 1, 1, 16)
    first[:, ..., 2:5], first[:, ..., 8:10] = torch.rand(6, 1, 1, 3) - 0.5, torch.rand(6, 1, 1, 2) - 0.5
    film = torch.stack([first.expand(-1, -1, 8, -1).roll(t, dims=-1) for t in range(30)], dim=1)  # [6, 30, 1, 8, 16]
    films = type("Films", (), {"past": 2, "starts": 1, "__len__": lambda self: 6})
    films.sequence = lambda self, index, length: film[index, :length]
    monkeypatch.setattr(frames, "reference_of", lambda config, dataset, say: (films(), "test"))
    monkeypatch.setattr(frames, "unseen", lambda run: (film[:, :2].flatten(1, 2), film[:, 2]))
    run = SimpleNamespace(config=None, dataset=None, game=SimpleNamespace(translate=lambda x: predict(x[:, -1:])))
    assert (frames.foreseen(run) >= 1) == holds


def test_translations_are_real_and_near_or_fall_short_of_what_is_asked(monkeypatch):
    truth = torch.rand(200, 1, 4, 4) * 2 - 1
    monkeypatch.setattr(translation, "unseen", lambda run: (truth, truth))
    judge = Brightness(channels=1, num_classes=10)
    run = lambda translate: SimpleNamespace(game=SimpleNamespace(translate=translate))
    assert translation.kept(run(lambda x: x), judge) == 1
    assert translation.kept(run(lambda x: x * 0 - 1), judge) < 0.2
    assert translation.real_and_near(run(lambda x: x + 0.001), judge) > 1
    assert translation.real_and_near(run(lambda x: -x), judge) < 1, "it looks like the truth and is another picture"
    assert translation.real_and_near(run(lambda x: x * 0), judge) < 1


ONE_EXCHANGED, TWO_EXCHANGED = [0.8, 0.9, 0.89, 0.95], [0.9, 0.8, 0.95, 0.89]


@pytest.mark.parametrize(
    ("share", "precision", "coverage", "holds"),
    [
        pytest.param(0.96, [0.8, 0.85, 0.9, 0.95], [0.6, 0.5, 0.4, 0.3], True, id="traded"),
        pytest.param(0.96, ONE_EXCHANGED, [0.6, 0.5, 0.4, 0.3], True, id="one pair exchanged"),
        pytest.param(0.96, TWO_EXCHANGED, [0.6, 0.5, 0.4, 0.3], False, id="two pairs exchanged"),
        pytest.param(0.96, [0.8, 0.85, 0.9, 0.95], [0.3, 0.4, 0.5, 0.6], False, id="more of both"),
        pytest.param(0.94, [0.8, 0.85, 0.9, 0.95], [0.6, 0.5, 0.4, 0.3], False, id="classes not obeyed"),
    ],
)
def test_variety_is_traded_for_quality_where_latents_are_truncated(monkeypatch, share, precision, coverage, holds):
    asked = []
    monkeypatch.setattr(truncation, "obeyed", lambda run, judge: share)
    monkeypatch.setattr(truncation, "unseen", lambda run: [torch.zeros(2, 1, 4, 4, dtype=torch.uint8)])
    monkeypatch.setattr(truncation, "look", lambda judge, images: SimpleNamespace(features=sum(map(len, images))))
    monkeypatch.setattr(truncation, "precision_recall", lambda real, fake: (precision[len(asked) - 1], 0.5))
    monkeypatch.setattr(truncation, "density_coverage", lambda real, fake: (1.0, coverage[len(asked) - 1]))
    run = SimpleNamespace(rows=list)
    run.generate = lambda rows, batch_size, truncation: asked.append(truncation) or torch.zeros(8, 1, 4, 4)
    assert (truncation.obeyed_and_traded(run, None) >= 1) == holds
    assert asked == [1.0, 0.7, 0.5, 0.3]


@pytest.mark.parametrize(
    ("unseen", "fake", "figure"),
    [
        pytest.param(2.0, 0.0, float("inf"), id="as good as known ones"),
        pytest.param(0.4, 0.0, 1.0, id="as much as is asked"),
        pytest.param(0.0, 0.0, 0.8, id="no better than generated ones"),
        pytest.param(0.0, 3.0, 0.0, id="generated ones pass for better than known ones"),
    ],
)
def test_a_critic_knows_by_heart_what_it_tells_from_unseen_pictures(monkeypatch, unseen, fake, figure):
    known, held, made = (torch.full((4, 1, 4, 4), value, dtype=torch.uint8) for value in (10, 20, 30))
    scores = {10: 2.0, 20: unseen, 30: fake}
    monkeypatch.setattr(by_heart, "unseen", lambda run: [held])
    monkeypatch.setattr(by_heart, "pictures", lambda run: [made])
    monkeypatch.setattr(by_heart, "frechet_distance", lambda real, fake: 1e-3)
    critic = lambda x: torch.tensor([scores[round(float(each.mean() + 1) * 127.5)] for each in x])
    dataset = SimpleNamespace(tensors=lambda: {"image": known.permute(0, 2, 3, 1)})
    run = SimpleNamespace(dataset=dataset, game=SimpleNamespace(critic=critic))
    assert by_heart.open_minded(run) == pytest.approx(min(figure, 1200), abs=1e-6)
    monkeypatch.setattr(by_heart, "frechet_distance", lambda real, fake: 2.5)
    assert by_heart.open_minded(run) == pytest.approx(min(figure, 0.48), abs=1e-6), "samples that are far away"


def test_paths_are_uneven_where_samples_answer_more_or_less_strongly():
    generator = SimpleNamespace(styles=lambda latent: latent[:, None])
    run = SimpleNamespace(rows=lambda seeds: {"latent": torch.randn(len(seeds), 64)})
    run.game = SimpleNamespace(generator=generator)
    generator.synthesis = lambda w: 3 * w.unflatten(2, (8, 8))
    assert styles.uneven(run) < 0.05, "each step is answered alike, but for the choice of images"
    strength = torch.tensor([1.0, 3.0]).repeat(125)[:, None, None, None]
    generator.synthesis = lambda w: strength * w.unflatten(2, (8, 8))
    assert styles.uneven(run) == pytest.approx(0.5, abs=0.02)


def test_ranks_correlate_whatever_their_size():
    a = torch.tensor([1.0, 2.0, 3.0, 100.0])
    assert points.spearman(a, a.exp()) == pytest.approx(1) and points.spearman(a, -a) == pytest.approx(-1)


@pytest.mark.parametrize(("sign", "figure"), [(-1, 1), (1, -1)])
def test_the_critics_loss_tracks_a_distance_where_it_falls_as_that_grows(tmp_path, sign, figure):
    rows = [f"{10 * i},{5 + sign * 0.1 * i * i},{0.01 * i * i}" for i in range(1, 21)]
    (tmp_path / "metrics.csv").write_text("step,loss/discriminator/adversarial,exact/distance\n" + "\n".join(rows))
    assert points.tracking(SimpleNamespace(folder=Path(tmp_path))) == pytest.approx(figure)


# ---- what is known again by its behaviour ---------------------------------------------------------------------------


def sides(loss=1.0, norm=2.0):
    print_ = {"loss/generator/adversarial": [loss, 0.5], "grad_norm/generator": [norm, None]}
    return {"claim": print_, "control": print_}


def test_prints_are_equal_within_a_thousandth_of_the_largest_of_their_kind():
    assert differences(sides(), sides(loss=1 + TOLERANCE / 2)) == []
    assert differences(sides(), sides(loss=1 + 3 * TOLERANCE)) == [
        "claim: loss/generator/adversarial",
        "control: loss/generator/adversarial",
    ]
    assert differences(sides(), {"claim": sides()["claim"]}) and differences(sides(), sides(norm=None))


def test_the_page_says_since_when_a_proof_behaves_as_it_does(repository):
    prints = Prints(repository)
    assert prints.since("tiny") is None and behaviour(None) == "not printed"
    for commit, loss in (("aaaaaaaaaaaa", 5.0), ("bbbbbbbbbbbb", 1.0), ("cccccccccccc", 1.0 + TOLERANCE / 4)):
        prints.append("tiny", commit, sides(loss))
    again = Prints(repository)
    first, last = again.since("tiny")
    assert (first["commit"], last["commit"]) == ("bbbbbbbbbbbb", "cccccccccccc")
    assert behaviour((first, last)).startswith("equal from bbbbbbb to ccccccc, ")
    assert f"| {behaviour((first, last))} |" in page(repository)


@pytest.mark.slow
def test_a_print_is_of_both_sides_and_equals_itself(tmp_path, monkeypatch, capsys):
    """Sixteen rounds of a small proof of this repository, twice."""
    real = Repository(ROOT)
    monkeypatch.setattr(prove, "Prints", lambda repository: prints)
    prints = Prints(Repository(tmp_path))
    for _ in range(2):
        prove.take_prints(["zero_centred"], real)
    assert [line["proof"] for line in prints.lines] == ["zero_centred"] * 2
    assert {*prints.lines[0]["sides"]} == {"claim", "control"}
    assert {"figure", "samples/fresh", "grad_norm/generator"} <= prints.lines[0]["sides"]["claim"].keys()
    assert "the first" in (said := capsys.readouterr().out) and "equal to that of" in said


def test_a_margin_is_the_worst_claim_against_the_best_control_with_both_halves():
    made = [{"figure": figure, "control": control, "threshold": 0.5, "better": "higher"} for figure, control in
            ((0.9, 0.2), (0.6, 0.1), (0.8, 0.4))]  # fmt: skip
    assert margin(made) == "40% (20% and 20%)" and margin([]) == ""
