"""Imports run one way: a module may know what lies below it, and nothing above."""

import ast
import sys
from pathlib import Path

import pytest

import gan_lab

PACKAGE = Path(gan_lab.__file__).parent

# What each room, and each file that lies in none, may import of gan_lab beside itself: a module of none is an error
LOW = {"errors", "noise", "pictures", "rows", "storage", "wording"}
PARTS = {"networks", "losses", "datasets", "metrics"}
MAY_IMPORT = {
    "version": set(),
    "errors": set(),
    "noise": set(),
    "streams": set(),
    "wording": {"errors"},
    "rows": set(),
    "storage": {"errors", "wording"},
    "pictures": {"errors", "storage", "wording"},
    **dict.fromkeys(PARTS, LOW),
    "models": {"losses", "noise", "rows"},
    "config": {"models"} | PARTS | LOW,
    "runs": {"config", "models", "version"} | PARTS | LOW,
    "analysis": {"runs", "config", "models", "version"} | PARTS | LOW,
    "training": {"runs", "config", "models", "version"} | PARTS | LOW,
    "launch": {"training", "runs", "config", "models", "streams", "version"} | PARTS | LOW,
    "commands": {"launch", "training", "analysis", "runs", "config", "models", "streams", "version"} | PARTS | LOW,
    "cli": {"commands", "config", "errors", "streams", "version", "wording"},
    "_plugins": {"launch", "config", "errors"},
    "__init__": {"analysis", "commands", "version"},
    "__main__": {"cli"},
}
ONLY_TORCH = {"networks", "losses", "models", "noise", "rows"}  # and these of a room that may know more
ONLY_TORCH_IN = {"training.player", "training.loader", "training.trainer", "training.distributed"}
WITH_HYDRA, WITH_PROCESSES = {"config.compose"}, {"training.distributed", "launch.launch"}
HEAVY = {"torch", "torchvision", "numpy", "hydra", "omegaconf", "yaml", "PIL", "matplotlib"}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """networks.dcgan, networks for its __init__.py, errors, __init__ for the package's own."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in SOURCES}


def imports(source: str) -> list[str]:
    """Every module that a source imports, also inside functions; of gan_lab by its name there."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import names its package in full"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if own(name) in MODULES else node.module for name in inner]
    return found


def own(name: str) -> str:
    """The name within gan_lab: gan_lab.networks.mlp -> networks.mlp, gan_lab -> __init__."""
    return name.partition(".")[2] or "__init__"


def room(module: str) -> str:
    return module.partition(".")[0]


def wrong(owner: str, source: str) -> list[str]:
    """The imports of a module's source that its room forbids."""
    found = []
    for name in imports(source):
        root = name.partition(".")[0]
        if root == "gan_lab":
            found += [name] if room(own(name)) not in {room(owner), *MAY_IMPORT[room(owner)]} else []
        elif root in ("hydra", "omegaconf"):
            found += [name] if owner not in WITH_HYDRA else []
        elif name.startswith("torch.distributed"):
            found += [name] if owner not in WITH_PROCESSES else []
        elif room(owner) in ONLY_TORCH or owner in ONLY_TORCH_IN:
            found += [name] if root != "torch" and root not in sys.stdlib_module_names else []
    return found


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_a_module_imports_only_what_lies_below_it(path):
    assert wrong(module_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("owner", "source"),
    [
        ("networks.dcgan", "from gan_lab.losses import Hinge"),
        ("losses.views", "def later():\n    import gan_lab.models.gan"),
        ("models.gan", "from gan_lab import networks"),
        ("models.gan", "from gan_lab.training.distributed import World"),
        ("runs.run", "from gan_lab.training import session"),
        ("runs.run", "import gan_lab"),
        ("analysis.base", "from gan_lab.commands.sample import main"),
        ("training.trainer", "from gan_lab.launch import pool"),
        ("training.trainer", "from hydra import compose"),
        ("config.build", "from omegaconf import OmegaConf"),
        ("training.loader", "import numpy as np"),
        ("models.gan", "import torch.distributed as dist"),
        ("storage.checkpoint", "from gan_lab.config.build import build"),
    ],
)
def test_a_planted_wrong_import_is_found(owner, source):
    assert len(wrong(owner, source)) == 1


def test_every_room_is_in_the_list_and_every_room_of_the_list_is_there():
    assert {room(module) for module in MODULES} == MAY_IMPORT.keys()


def test_no_module_imports_itself_by_way_of_others():
    ours = lambda path: {own(name) for name in imports(path.read_text()) if room(name) == "gan_lab"}
    knows = {module: ours(path) for module, path in MODULES.items()}
    while leaves := [module for module, others in knows.items() if not others & knows.keys()]:
        for module in leaves:
            del knows[module]
    assert not knows, f"a circle is among {', '.join(knows)}"


def test_matplotlib_is_imported_only_where_something_is_drawn():
    """Inside functions, and never pyplot, whose state is everybody's."""
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [name for name in imports("\n".join(map(ast.unparse, top))) if name.startswith("matplotlib")], path
        assert not [name for name in imports(path.read_text()) if name.startswith("matplotlib.pyplot")], path


def test_the_command_line_imports_nothing_heavy():
    """What `gan_lab.cli` imports at its top, followed through our own modules, is free of torch and Hydra."""
    seen, todo = set(), ["cli"]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        top = [n for n in ast.parse(MODULES[name].read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)]
        for module in imports("\n".join(map(ast.unparse, top))):
            assert module.partition(".")[0] not in HEAVY, f"{name} imports {module}"
            todo += [own(module)] if module.startswith("gan_lab") else []
    assert "errors" in seen  # the walk did walk
