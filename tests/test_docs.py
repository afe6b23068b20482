"""What the pages say holds: commands compose, the tricks' settings build, links lead somewhere, lists are fresh."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from gan_lab import cli
from gan_lab.commands.sample import Options, parted
from gan_lab.config.build import build_dataset, build_game
from gan_lab.config.compat import Parts, complaints
from gan_lab.config.compose import compose
from gan_lab.config.overrides import read, with_demo, with_jobs
from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import ConfigError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").glob("*.md"))]
TRICKS = ROOT / "docs" / "tricks.md"
OF_THE_READER = ("my_conf", "mygan")  # a folder and a package that only the reader has: README, "Your own variant"
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"'?[a-z]\w*(?:[./]\w+)*=\S+")
TOLD = ("Helps", "Does not", "Costs", "Look at", "Source")


def spans(text: str) -> list[str]:
    """The inline code of a page, each on one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]


def commands(text: str) -> list[str]:
    """Each `gan-lab ...` of a page, in a fence or in a line."""
    fenced = "\n".join(FENCE.findall(text)).replace("\\\n", " ").splitlines()
    return [line for line in [*fenced, *spans(text)] if line.startswith("gan-lab ")]


def settings(text: str) -> list[str]:
    """Inline code that is nothing but settings, such as `loss/view=replay`."""
    return [span for span in spans(text) if all(map(SETTING.fullmatch, span.split()))]


def tricks(text: str) -> dict[str, str]:
    """The sections of the lowest level, by their headings."""
    parts = re.split(r"^(#{2,3}) (.+)$", text, flags=re.MULTILINE)[1:]
    return {name: body for mark, name, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True) if mark == "###"}


def links(text: str) -> list[str]:
    """Where the links and pictures of a page lead, inside the repository."""
    found = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", FENCE.sub("", text))
    return [link for link in found if not link.startswith(("http:", "https:", "mailto:"))]


def anchors(text: str) -> set[str]:
    """What `#` may name in a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in links(page.read_text(encoding="utf-8")):
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


def jobs(words: list[str]) -> list[list[str]]:
    """What `gan-lab train` hands to Hydra: the settings of one job, or of each job of a sweep."""
    line = read(words)
    overrides = [word for word in with_demo(with_jobs(line)) if not word.startswith("hydra")]
    if not {"-m", "--multirun"} & set(line.options):
        return [overrides]
    return BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), None)[0]


def check(command: str) -> None:
    """Raise where a command is none: a verb that is not there, a wrong word, a job that does not compose."""
    verb, *words = shlex.split(command, comments=True)[1:]
    if verb == "train":
        for job in jobs(words):
            compose(job)
    elif verb == "sample":
        own, others = parted(Options, words[1:], "sample")
        if wrong := [word for word in others if word.partition("=")[0].partition(".")[0] not in CONDITIONS]:
            raise ConfigError(f"sample knows no {wrong[0]}")
    elif verb not in (*cli.verbs(), "--help", "--version"):
        raise ConfigError(f"there is no gan-lab {verb}")


# Conditions, and options of the games that the pages speak of
CONDITIONS = ("label", "attributes", "code", "to", "truncation", "cutoff")


def on(pages, find):
    """What `find` finds on the pages, once each."""
    found = {what: page for page in pages for what in find(page.read_text(encoding="utf-8"))}
    return [pytest.param(what, id=f"{page.name}: {what}") for what, page in found.items()]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A place with `my_pictures`, a folder for each of two classes, as a reader of the pages has."""
    place = tmp_path_factory.mktemp("reader")
    for number in range(2):
        (place / "my_pictures" / f"class{number}").mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(place / "my_pictures" / f"class{number}" / "0.png")
    return place


@pytest.mark.parametrize("command", on(PAGES, commands))
def test_a_command_on_a_page_composes(command, reader, monkeypatch):
    if any(name in command for name in OF_THE_READER):
        pytest.skip("names a folder or a package that only the reader has")
    monkeypatch.chdir(reader)
    check(command)


@pytest.mark.parametrize("setting", on([TRICKS], settings))
def test_a_setting_among_the_tricks_composes_builds_and_fits(setting):
    """`gan-lab train` with these words, up to the first round; nothing is downloaded and no picture is read."""
    (job,) = jobs(shlex.split(setting))
    config = compose(job)
    config["dataset"] = drawn(config["dataset"])
    trainer = TrainerSettings(**config["trainer"])
    parts = Parts(build_dataset(config), build_game(config), trainer, config["optimizer_overrides"])
    assert complaints(parts) == []


def drawn(dataset: dict) -> dict:
    """The dataset, or digits or shapes of its size where its own would be downloaded or belong to the reader."""
    if not {"root", "path"} & dataset.keys():
        return dataset
    kind = "digits.Digits" if dataset["channels"] == 1 else "shapes.Shapes"
    return {"_target_": f"gan_lab.datasets.{kind}", "image_size": dataset["image_size"]}


def test_every_trick_says_when_it_helps_and_where_it_comes_from():
    sections = tricks(TRICKS.read_text(encoding="utf-8"))
    assert len(sections) > 30
    gaps = [f"{name}: {part}" for name, body in sections.items() for part in TOLD if f"\n- {part}: " not in body]
    assert gaps == []
    wordless = [name for name, body in sections.items() if not settings(body) and "No setting" not in body]
    assert wordless == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_link_leads_somewhere(page):
    assert broken(page) == []


def test_the_list_of_choices_is_fresh():
    call = [sys.executable, ROOT / "scripts" / "lists.py", "--check"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PAGE = """# A page: of tests

`gan-lab train loss/view=replay` and, over two
lines, `gan-lab train
-m loss=hinge,minimax seed=0,1`; `every` and `a = b` are no settings, `loss.flip=0.1
loss=minimax` is, and so is `'trainer.turns.discriminator={usual:2,warm:3}'`.

```
gan-lab resume outputs/x/y   # `loss=in_a_fence`
gan-lab train model=dcgan \\
  dataset=digits
```

### One
- Helps: [here](#a-page-of-tests), [there](there.md), [nowhere](#nowhere), [far](https://example.org).
"""


def test_the_extractor_finds_commands_and_settings():
    assert commands(PAGE) == [
        "gan-lab resume outputs/x/y   # `loss=in_a_fence`",
        "gan-lab train model=dcgan    dataset=digits",
        "gan-lab train loss/view=replay",
        "gan-lab train -m loss=hinge,minimax seed=0,1",
    ]
    assert settings(PAGE) == ["loss.flip=0.1 loss=minimax", "'trainer.turns.discriminator={usual:2,warm:3}'"]
    assert len(jobs(["-m", "loss=hinge,minimax", "seed=0,1"])) == 4
    assert list(tricks(PAGE)) == ["One"]


@pytest.mark.parametrize(
    "command",
    [
        "gan-lab train loss/view=reply",
        "gan-lab train loss=non_saturating loss.smooting=0.1",
        "gan-lab train -m loss=hinge,hunge",
        "gan-lab train loss=hinge,minimax",
        "gan-lab train trainer.steps=many",
        "gan-lab train --dry-rum",
        "gan-lab sample RUN interpolat=linear",
        "gan-lab trane",
    ],
)
def test_a_planted_wrong_word_is_found(command):
    with pytest.raises(ConfigError):
        check(command)


def test_a_planted_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    assert broken(page) == ["there.md", "#nowhere"]
