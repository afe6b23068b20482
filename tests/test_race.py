"""Time to target: when a look is due, what counts as reached, what is told of who does not get there."""

import json
import sys

import pytest
import torch
from helpers import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

from race import RACES, Jury, better, seconds_to, table  # noqa: E402

LOOKS = [
    {"seconds": s, "step": 25 * i, "value": v} for i, (s, v) in enumerate(zip((5, 9, 20), (90, 31, 25), strict=True))
]


def test_the_first_look_that_is_good_enough_counts():
    race = RACES["mnist"]
    assert [seconds_to(race, LOOKS, target) for target in (95, 60, 30, 20)] == [5, 9, 20, None]
    assert better(RACES["ring"], 0.8, 0.8) and not better(RACES["ring"], 0.79, 0.8)


def test_who_does_not_get_there_is_told_with_the_time_of_giving_up():
    given = [{"race": "mnist", "contender": "gan-lab", "seed": seed, "looks": LOOKS[: 3 - seed]} for seed in range(2)]
    assert table(given).splitlines()[2:] == [
        "| mnist | 60 | gan-lab | 9, 9 | 9 |",
        "| mnist | 30 | gan-lab | 20, > 9 | by 1 of 2 |",
        "| mnist | 20 | gan-lab | > 20, > 9 | by 0 of 2 |",
    ]


def test_judging_costs_a_contender_neither_time_nor_its_draws(capfd):
    jury = Jury(RACES["ring"], ["experiment=ring8"], limit=1e9)
    jury.last = -1e9
    points = jury.judge.reference.tensors()["image"][:10_000].clone()
    points[:5000] += 1  # half of them good
    before, seconds = torch.get_rng_state(), jury.seconds

    def samples():
        torch.randn(10)
        yield points

    jury.look(25, samples)
    assert torch.equal(torch.get_rng_state(), before)
    assert jury.seconds - seconds < 0.2
    (look,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert look["step"] == 25 and look["value"] == pytest.approx(0.5, abs=0.05)
    jury.look(50, lambda: pytest.fail("it is too soon to look again"))
