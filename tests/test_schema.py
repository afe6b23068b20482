"""The schema: signatures read from source, and what only known classes may be built from."""

import ast
import copy
import inspect
import typing
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml

from gan_lab import losses
from gan_lab.config import schema
from gan_lab.config.choices import CONF
from gan_lab.config.compose import compose
from gan_lab.config.settings import TrainerSettings
from gan_lab.config.signatures import OURS, find, kind_of, signature
from gan_lab.errors import ConfigError


@pytest.fixture(scope="module")
def composed():
    return compose(["model=dcgan", "loss=wgan_gp"])


@pytest.fixture
def config(composed):
    return copy.deepcopy(composed)


def complaints(config):
    return list(schema.Schema(config).problems())


PAYLOADS = [
    "os.system", "subprocess.Popen", "builtins.eval", "pathlib.Path.touch", "torch.load", "gan_lab.networks.torch.load",
    "gan_lab.networks.dcgan.nn", "gan_lab.networks.dcgan.nn.Linear", "gan_lab.networks.dcgan.dcgan_init",
    "gan_lab.models", "gan_lab.losses.base.torch.hub.load", "gan_lab.launch.launch.train",
    "gan_lab.config.settings.TrainerSettings",
    "torch.optim.Adam.__init__", "torch.optim.swap_in_optimizer_params_and_state", "torch.optim.functional.adam",
    "gan_lab.models.GAN.__init__.__globals__", "gan_lab..models.GAN", ".GAN", "", "GAN", "gan_lab.models.GAN()", "../x",
    "a" * 300, 5, None, ["os.system"], {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("target", PAYLOADS, ids=str)
@pytest.mark.parametrize("place", ["model", "generator", "penalty", "optimizer", "player"])
def test_nothing_else_is_named(config, target, place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    payload = {"_target_": target, "args": ["touch", "marker"], "command": "touch marker"}
    if place == "generator":
        config["model"]["generator"] = payload
    elif place == "penalty":
        config["loss"]["penalties"] = {"mine": payload}
    elif place == "player":
        config["optimizer_overrides"] = {"discriminator": payload}
    else:
        config[place] = payload
    assert any("_target_=" in line for line in complaints(config))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["gan_lab.models.GAN", "gan_lab.networks.dcgan.Generator", "torch.optim.Adam",
                                    "torch.optim.adam.Adam", "torch.optim.lr_scheduler.LinearLR"])  # fmt: skip
def test_ours_are_found_through_what_passes_them_on(target):
    assert find(target, OURS).tree.name == target.rpartition(".")[2]


def test_a_signature_is_what_python_says():
    for name in ("Adam", "AdamW", "SGD", "RMSprop"):
        said = inspect.signature(getattr(torch.optim, name)).parameters
        assert list(signature(find(f"torch.optim.{name}", OURS)).parameters) == list(said)
    for name in losses.__all__:
        thing = getattr(losses, name)
        if isinstance(thing, type):
            read = signature(find(f"gan_lab.losses.{name}", OURS))
            assert read.is_open or set(read.parameters) == set(inspect.signature(thing).parameters) - {"kwargs", "args"}


CLOSED = {"_target_": "Closed"}
SOURCE = """
from dataclasses import dataclass
from typing import Literal

from torch import nn

Norm = Literal["batch", "none"]
Size = int | tuple[int, int]

class Base:
    def __init__(self, width: int, norm: Norm = "batch"): ...

class Joined(Base):
    def __init__(self, depth: int = 2, **kwargs): ...

class Inherits(Base): ...

class Open(nn.Module):
    def __init__(self, size: Size, **kwargs): ...

class Closed(nn.Module): ...

@dataclass
class Fields(Base):
    name: str
    depth: int = 2

class Part:
    def __init__(self, net: nn.Module, parts: list[Base] = (), call: "callable | None" = None): ...
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that must never be imported."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(f"raise SystemExit('imported')\n{SOURCE}")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_bases_are_joined(package):
    read = lambda name: signature(find(f"{package}.{name}", (package,)))
    assert list(read("Joined").parameters) == ["width", "norm", "depth"] and not read("Joined").is_open
    assert list(read("Inherits").parameters) == ["width", "norm"]
    assert read("Open").is_open and not read("Closed").is_open and not read("Closed").parameters
    assert "name" in read("Fields").parameters and read("Fields").parameters["name"].is_required


@pytest.mark.parametrize(
    ("node", "wrong"),
    [
        ({"_target_": "Joined", "width": 1}, ""),
        ({"_target_": "Joined"}, "dataset.width must be given, e.g. dataset.width=..."),
        ({"_target_": "Joined", "_partial_": True}, ""),
        ({"_target_": "Joined", "width": 1, "norm": "instance"}, "dataset.norm='instance' must be one of batch, none"),
        ({"_target_": "Open", "size": [1, 2], "more": 1}, ""),
        ({"_target_": "Open", "size": [1]}, "dataset.size=[1] must be a whole number or a list of 2: a"),
        ({"_target_": "Closed", "x": 1}, "unknown setting 'dataset.x'"),
        ({"_target_": "Part", "net": {"_target_": "Base", "width": True}}, "dataset.net.width=true must be a whole"),
        ({"_target_": "Part", "net": CLOSED, "parts": [{"_target_": "Base"}]}, "parts.0.width must be given"),
        ({"_target_": "Part", "net": CLOSED, "parts": [5]}, "dataset.parts=[5] must be a list of"),
        ({"_target_": "Part", "net": 65536}, "dataset.net=65536 must be a mapping with a _target_"),
        ({"_target_": "Joined", "_partial_": 1, "width": 1}, "dataset._partial_=1 must be true or false"),
        ({"_target_": "Bace"}, "did you mean 'Base'?"),
    ],
)  # fmt: skip
def test_a_node_is_held_against_its_class(config, package, node, wrong):
    def named(value):
        if isinstance(value, dict):
            return {key: f"{package}.{item}" if key == "_target_" else named(item) for key, item in value.items()}
        return [named(item) for item in value] if isinstance(value, list) else value

    config |= {"trust": [package], "dataset": named(node)}
    found = complaints(config)
    assert (len(found) == 1 and wrong in found[0]) if wrong else found == []


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("int", [0, -3], [1.0, True, "1", None]),
        ("float", [0, 1.5], ["1", None, False]),
        ("bool", [True], [0, "true"]),
        ("str | None", ["x", None], [5]),
        ("Optional[int]", [None, 1], ["x"]),
        ("typing.Sequence[int]", [[], [1]], [[1.5], "x", None]),
        ("dict[str, float]", [{}, {"a": 1}], [{"a": "x"}, []]),
        ("tuple[int, ...]", [[1, 2, 3]], [["x"]]),
        ("Literal['a', 1]", ["a", 1], ["b", True]),
        ("float | Tensor", [1.0, {"_target_": "x"}], ["abc", [1]]),
        ("Callable | None", ["anything", None, 5], []),
        ("nn.Module", [{"_target_": "x"}], [5, {"width": 8}]),
    ],
)
def test_annotations(annotation, good, bad):
    kind = kind_of(ast.parse(annotation, mode="eval").body, "gan_lab.errors")
    takes = lambda value: kind.fits(value) or (isinstance(value, dict) and "_target_" in value and kind.takes_parts)
    assert [value for value in good if not takes(value)] == [] and [value for value in bad if takes(value)] == []


def test_a_syntax_error_in_ones_own_package_is_told(config, tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("class Net(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    config |= {"trust": ["broken_package"], "dataset": {"_target_": "broken_package.Net"}}
    with pytest.raises(ConfigError, match="broken_package.py', line 1"):
        schema.check(config)


def test_an_older_configuration_gets_what_is_new(config):
    del config["trainer"]["ema_every"], config["trust"]
    whole = schema.check(config)
    assert whole["trainer"]["ema_every"] == TrainerSettings().ema_every and whole["trust"] == []


def test_what_conf_says_is_what_the_dataclass_says():
    assert yaml.safe_load(Path(CONF, "trainer/default.yaml").read_text()) == asdict(TrainerSettings())


def test_one_lack_of_the_dataset_is_told_once():
    with pytest.raises(ConfigError) as caught:
        compose(["model=cgan", "dataset=ring8"])
    told = str(caught.value).splitlines()
    assert sum("=null must be" in line for line in told) == 1


def test_the_words_that_a_setting_takes_stand_beside_it():
    """In the YAML of the training loop, which `gan-lab show trainer/default` prints."""
    text = (CONF / "trainer" / "default.yaml").read_text()
    lines = {line.partition(":")[0]: line.partition("#")[2] for line in text.splitlines()}
    for name, kind in typing.get_type_hints(TrainerSettings).items():
        if typing.get_origin(kind) is typing.Literal:
            assert [word for word in typing.get_args(kind) if word not in lines[name]] == [], name
