"""Every file of conf composes and passes the schema; new ones are found."""

import pytest

from gan_lab.choices import choices, description, groups
from gan_lab.config import compose
from gan_lab.errors import ConfigError

OWN = {
    choice: ["dataset.path=/pictures"]
    for choice in ("dataset=folder", "dataset=paired_folder", "dataset=unpaired_folder", "experiment=my_images")
}  # what only the user can give
EACH = [f"{group}={name}" for group in groups() for name in choices(group)]


@pytest.mark.parametrize("choice", EACH)
def test_a_choice_composes_and_passes_the_schema(choice):
    config = playable([choice, *OWN.get(choice, [])])
    assert list(config)[:5] == ["dataset", "model", "loss", "optimizer", "trainer"]
    group, _, name = choice.partition("=")
    if group == "experiment":
        assert config["run"]["name"] == name.replace("/", "_")


def playable(words):
    """The choice with the default model or, where that takes no such data, with another."""
    try:
        return compose(words)
    except ConfigError as error:
        if "it needs another model" not in str(error):
            raise
        return compose([*words, "model=gan"])


@pytest.mark.parametrize("choice", EACH)
def test_a_choice_says_what_it_is(choice):
    group, _, name = choice.partition("=")
    assert description(choices(group)[name])
