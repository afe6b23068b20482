"""Which looks there are, and what each of them takes; none is imported before it is asked for."""

import ast
import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from gan_lab.errors import ConfigError
from gan_lab.wording import meant

LOOKS = Path(__file__).parent


def looks() -> dict[str, str]:
    """Each look with the first line of what it says of itself, without importing any."""
    found = {}
    for path in sorted(LOOKS.glob("*.py")):
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.FunctionDef) and node.name == path.stem:
                found[path.stem] = (ast.get_docstring(node) or "").partition("\n")[0]
    return found


def function_of(what: str):
    """The function of a look; ConfigError for a wrong word."""
    if what not in looks():
        raise ConfigError(f"what={what} is no analysis{meant(what, looks()) or '; there are ' + ', '.join(looks())}")
    return vars(import_module(f"gan_lab.analysis.{what}"))[what]


def kinds_of(what: str) -> dict[str, Any]:
    """The options of a look, with their types."""
    parameters = inspect.signature(function_of(what)).parameters.values()
    return {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}
