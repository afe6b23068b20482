"""Losses of the small presets, as numbers: a refactoring shows them unchanged."""

import pytest
from helpers import made, play

GOLDEN = {
    "gan": [[1.3969, 0.8696], [1.4013, 0.8700], [1.3828, 0.8652]],
    "dcgan": [[1.4665, 0.7234], [1.4270, 0.7291], [1.4040, 0.7111]],
}


def losses_of(model):
    """Both players' losses in three steps."""
    trainer, said = made(f"model={model}"), []
    for _ in range(3):
        report = play(trainer, 1).report()
        said.append([report["loss/discriminator/adversarial"], report["loss/generator/adversarial"]])
    return said


@pytest.mark.parametrize("model", GOLDEN)
def test_the_first_losses_are_as_ever(model):
    expected = [pytest.approx(row, abs=1e-3) for row in GOLDEN[model]]
    assert losses_of(model) == expected
