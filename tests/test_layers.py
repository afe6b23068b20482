"""Imports run one way: a module may know what lies below it, and nothing above."""

import ast
import sys
from pathlib import Path

import pytest

import gan_lab

PACKAGE = Path(gan_lab.__file__).parent

BOTTOM = {"errors", "noise", "pictures", "schedule", "settings", "sides", "stored"}
ZERO = {"networks", "losses", "datasets", "metrics"}
TWO = {"player", "loader", "ema", "checkpoint", "logbook", "distributed"}
MAY_IMPORT = {  # parts of gan_lab; a module that is not listed is of the top layer and may import all
    "__init__": {"commands", "run"},
    "errors": set(),
    "noise": set(),
    "schedule": set(),
    "sides": set(),
    "pictures": {"errors", "stored"},
    "settings": {"errors"},
    "stored": {"errors"},
    **{name: {name} | BOTTOM for name in ZERO},
    "models": {"models", "losses"} | BOTTOM,
    "player": {"models"} | BOTTOM,
    "ema": {"models"} | BOTTOM,
    "loader": {"datasets"} | BOTTOM,
    "checkpoint": BOTTOM,
    "distributed": BOTTOM,
    "logbook": {"checkpoint", "datasets", "distributed", "models"} | BOTTOM,
    "trainer": TWO | {"models"} | BOTTOM,
    "compat": TWO | ZERO | {"models", "trainer"} | BOTTOM,
    "build": TWO | ZERO | {"choices", "models", "signatures", "trainer"} | BOTTOM,
    "choices": BOTTOM,
    "lock": {"choices"} | BOTTOM,
    "streams": set(),
    "overrides": {"choices", "settings"} | BOTTOM,
    "signatures": {"choices"} | BOTTOM,
    "schema": {"choices", "signatures"} | BOTTOM,
    "guard": {"signatures"} | BOTTOM,
    "config": {"choices", "datasets", "guard", "overrides", "schema", "signatures"} | BOTTOM,
    "cli": {"__init__", "commands", "choices", "errors", "streams"},
}
ONLY_TORCH = {"networks", "losses", "models", "noise", "player", "ema", "loader", "trainer", "distributed"}
HEAVY = {"torch", "torchvision", "numpy", "hydra", "omegaconf", "yaml", "PIL"}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imports(source: str) -> list[str]:
    """Every module that a source imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import names its package in full"
            found += [node.module] if node.module != "gan_lab" else [f"gan_lab.{alias.name}" for alias in node.names]
    return found


def part(module: str) -> str:
    """gan_lab.networks.mlp -> networks; gan_lab.__version__ -> __init__."""
    name = module.split(".")[1]
    return name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists() else "__init__"


def wrong(owner: str, source: str) -> list[str]:
    """The imports of a source that its layer forbids."""
    found = []
    for module in imports(source):
        root = module.partition(".")[0]
        if root == "gan_lab":
            allowed = MAY_IMPORT.get(owner)
            if allowed is not None and part(module) not in allowed:
                found.append(module)
        elif root in ("hydra", "omegaconf"):
            if owner != "config":
                found.append(module)
        elif module == "torch.distributed":
            if owner not in ("distributed", "launch"):
                found.append(module)
        elif owner in ONLY_TORCH and root != "torch" and root not in sys.stdlib_module_names:
            found.append(module)
    return found


def owner_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_a_module_imports_only_what_lies_below_it(path):
    assert wrong(owner_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("owner", "source"),
    [
        ("networks", "from gan_lab.losses import Hinge"),
        ("losses", "def later():\n    import gan_lab.models.gan"),
        ("models", "from gan_lab import networks"),
        ("models", "from gan_lab.distributed import World"),
        ("trainer", "from gan_lab.networks import dcgan"),
        ("trainer", "from hydra import compose"),
        ("build", "from omegaconf import OmegaConf"),
        ("player", "from gan_lab.trainer import Trainer"),
        ("checkpoint", "from gan_lab.build import build"),
        ("noise", "from gan_lab.settings import Trainer"),
        ("loader", "import numpy as np"),
        ("models", "import torch.distributed as dist"),
    ],
)
def test_a_planted_wrong_import_is_found(owner, source):
    assert len(wrong(owner, source)) == 1


def test_every_layer_that_the_table_names_is_there_or_still_to_come():
    there = {owner_of(path) for path in SOURCES}
    assert MAY_IMPORT.keys() - there <= {"metrics", "analysis"}


def test_the_command_line_imports_nothing_heavy():
    """What `gan_lab.cli` imports at its top, followed through our own modules, is free of torch and Hydra."""
    seen, todo = set(), ["cli"]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        path = PACKAGE / f"{name}.py" if (PACKAGE / f"{name}.py").exists() else PACKAGE / name / "__init__.py"
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        for module in imports("\n".join(map(ast.unparse, top))):
            assert module.partition(".")[0] not in HEAVY, f"{name} imports {module}"
            todo += [part(module)] if module.startswith("gan_lab") else []
    assert "errors" in seen  # the walk did walk
