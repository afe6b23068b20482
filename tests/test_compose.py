"""Every file of conf composes and passes the schema; new ones are found."""

import re

import pytest

from gan_lab.config.choices import choices, description, groups
from gan_lab.config.compose import compose, recompose
from gan_lab.errors import ConfigError

FOLDERS = (
    "folder",
    "paired_folder",
    "unpaired_folder",
    "domains_folder",
    "attribute_folder",
)  # of which only the user knows the path
OF_THE_USER = re.compile(rf"override /dataset: ({'|'.join(FOLDERS)})$", re.MULTILINE)
EACH = [(group, name, file) for group in groups() for name, file in choices(group).items()]
OWN = {
    f"{group}={name}": ["dataset.path=/pictures"]
    for group, name, file in EACH
    if (group == "dataset" and name in FOLDERS) or OF_THE_USER.search(file.read_text(encoding="utf-8"))
}
OWN["experiment=combogan_paintings"] += ["dataset.num_classes=14"]  # which its folders would tell
EACH = [f"{group}={name}" for group, name, _ in EACH]


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


@pytest.mark.parametrize("make", [compose, recompose])
@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        ([], 1.25),
        (["trainer.steps=9"], None),
        (["++trainer.steps=9"], None),
        (["trainer.steps=9", "trainer.max_minutes=2"], 2),
        (["trainer.batch_size=9"], 1.25),
    ],
)
def test_steps_of_the_command_line_take_back_the_minutes_of_the_demo(make, words, minutes):
    assert make(["experiment=dcgan_digits", *words])["trainer"]["max_minutes"] == minutes
