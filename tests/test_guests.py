"""A run that used a network of another one is whole by itself: the other may go, or become another."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from helpers import config_of, fingerprint

import gan_lab
from gan_lab.cli import main
from gan_lab.launch import launch
from gan_lab.storage import checkpoint

QUIET = ["trainer.evaluate_every=null", "trainer.sample_every=100", "trainer.log_every=100"]
RECEIVER = ["model=direct", "dataset=split_domains", *QUIET]


def lent(donor: Path, network: str, **words) -> dict:
    return {"_target_": "gan_lab.models.FromRun", "run": str(donor), "network": network, **words}


def receiver(donor: Path, folder: Path, steps: int, **words) -> Path:
    config = config_of(*RECEIVER, f"trainer.steps={steps}")
    config["model"]["guest"] = lent(donor, **words)
    launch.train(config, folder)
    return folder


def ends(run: Path) -> str:
    state = checkpoint.load_newest(run / "checkpoints")
    return fingerprint({name: state[name] for name in state if name not in ("seconds", "memory")})


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A donor, a receiver of four steps, one of two, and one that takes the second's guest: then the donor is gone."""
    place = tmp_path_factory.mktemp("guests")
    donor, whole, cut, third = (place / name for name in ("donor", "whole", "cut", "third"))
    launch.train(config_of("model=dcgan", "trainer.steps=2", *QUIET), donor)
    for folder, steps in ((whole, 4), (cut, 2)):
        receiver(donor, folder, steps, network="discriminator", part="trunk")
    gone = place / "gone"
    donor.rename(gone)
    receiver(cut, third, 2, network="guest")
    return donor, gone, whole, cut, third


@pytest.fixture
def alone(runs, tmp_path):
    """The receivers, as copies, without their donor."""
    return [Path(shutil.copytree(run, tmp_path / run.name)) for run in runs[2:]]


def test_a_run_keeps_its_guest(runs, alone):
    donor, gone, *_ = runs
    whole, *_, third = (gan_lab.load(run) for run in alone)
    guest, x = whole.game.guest, torch.randn(4, 1, 16, 16)
    assert not donor.exists()
    assert torch.equal(guest(x), gan_lab.load(gone, weights="raw").game.discriminator.trunk(x))
    assert torch.equal(third.game.guest(x), guest(x)), "a guest of a run whose guest it was"


def test_it_samples_is_evaluated_and_goes_on_bit_for_bit_without_the_donor(alone, capsys):
    whole, cut, _ = map(str, alone)
    for words in (
        ["sample", cut, "n=4"],
        ["evaluate", cut, "n=50", "extractor=pixels"],
        ["resume", cut, "trainer.steps=3"],
        ["resume", cut, "trainer.steps=4"],
    ):
        assert main(words) == 0, capsys.readouterr().err
    assert ends(Path(cut)) == ends(Path(whole))


def test_a_donor_that_became_another_changes_nothing(runs, alone):
    donor, gone, *_ = runs
    whole, cut, _ = alone
    try:
        launch.train(config_of("model=dcgan", "trainer.steps=3", "seed=7", *QUIET), donor)
        assert main(["resume", str(cut), "trainer.steps=4"]) == 0
        assert ends(cut) == ends(whole)
    finally:
        shutil.rmtree(donor)


def test_a_run_from_before_guests_were_kept_needs_its_donors_configuration_alone(runs, alone, capsys):
    donor, gone, *_ = runs
    whole, cut, _ = alone
    config = yaml.safe_load((cut / "config.yaml").read_text())
    start = json.loads((cut / "start.json").read_text())
    for each in (config, start["config"]):
        del each["model"]["guest"]["built"]
    (cut / "config.yaml").write_text(yaml.safe_dump(config))
    (cut / "start.json").write_text(json.dumps(start))
    assert main(["sample", str(cut), "n=4"]) == 4 and f"the run '{donor}' does not exist" in capsys.readouterr().err
    try:
        donor.mkdir()
        shutil.copy(gone / "config.yaml", donor)
        assert main(["resume", str(cut), "trainer.steps=3"]) == 0
    finally:
        shutil.rmtree(donor)
    assert main(["resume", str(cut), "trainer.steps=4"]) == 0, "and then not even that"
    assert ends(cut) == ends(whole)
