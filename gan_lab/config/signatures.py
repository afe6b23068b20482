"""What a class takes, read from its source with `ast`: nothing is imported, so a wrong word costs no torch."""

import ast
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gan_lab.errors import TRUSTED, ConfigError, fault_in
from gan_lab.wording import meant

OURS = tuple(f"gan_lab.{part}" for part in ("models", "networks", "losses", "datasets", "metrics")) + ("torch.optim",)


@dataclass(frozen=True)
class Kind:
    """What an annotation accepts, as a test and in words; `takes_parts`: also a mapping with a `_target_`."""

    words: str
    fits: Callable[[Any], bool]
    takes_parts: bool = False
    is_known: bool = True


@dataclass(frozen=True)
class Parameter:
    annotation: Kind
    is_required: bool


@dataclass(frozen=True)
class Signature:
    """The parameters of a class by name; `is_open`: it takes more by `**kwargs` than its source shows."""

    parameters: dict[str, Parameter]
    is_open: bool = False

    def without(self, names: Iterable[str]) -> "Signature":
        return Signature({name: p for name, p in self.parameters.items() if name not in names}, self.is_open)


@dataclass(frozen=True)
class Definition:
    """Where a class, a function or an alias is defined, and its syntax tree."""

    module: str
    tree: ast.AST


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


SCALARS = {
    "int": Kind("a whole number", is_whole),
    "float": Kind("a number", is_number),
    "bool": Kind("true or false", lambda value: isinstance(value, bool)),
    "str": Kind("text", lambda value: isinstance(value, str)),
    "None": Kind("null", lambda value: value is None),
    "Path": Kind("text", lambda value: isinstance(value, str)),
}
LISTS = {"list", "tuple", "set", "Sequence", "Iterable", "Collection"}
MAPPINGS = {"dict", "Mapping"}
PART = Kind("a mapping with a _target_", lambda value: isinstance(value, dict) and "_target_" in value)
ANYTHING = Kind("anything", lambda value: True, takes_parts=True, is_known=False)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def look_here(trust: Iterable[str] | None) -> None:
    """Let packages that the user trusts be found where the command is given."""
    TRUSTED.update(name for name in trust if isinstance(name, str)) if isinstance(trust, list | tuple) else None
    if trust and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def class_of(target: str, packages: Iterable[str]) -> type:
    """The class that a dotted name stands for, imported; LookupError unless it is one, defined in these packages.

    The object itself is looked at, not its name: a module reached through one of the packages is refused.
    """
    packages = tuple(packages)
    module, _, name = target.rpartition(".")
    if not within(target, packages):
        raise LookupError(target)
    try:
        thing = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        place = fault_in(error)
        raise ImportError(f"_target_={target} cannot be found: {error}{place and f' - in {place}'}.") from error
    if not isinstance(thing, type) or not within(thing.__module__, packages):
        raise LookupError(target)
    return thing


def find(target: str, packages: tuple[str, ...]) -> Definition:
    """The definition behind a dotted name, through re-exports; LookupError unless it lies in one of the packages."""
    module, _, name = target.rpartition(".")
    definition = lookup(module, name) if within(module, packages) else None
    if definition is None:
        if within(module, packages):
            raise LookupError(f"names no class that is found in {module}{meant(name, offered(module))}")
        package = target.split(".")[0]
        trust = f"; if the package is yours, name it: trust=[{package}]" if package not in ("gan_lab", "torch") else ""
        raise LookupError(f"is no class of gan-lab, torch.optim or a package that you trust{trust}")
    if not within(definition.module, packages):
        raise LookupError(f"is defined in {definition.module}, not in gan-lab, torch.optim or a package that you trust")
    return definition


@cache
def lookup(module: str, name: str) -> Definition | None:
    tree = source(module)
    for item in tree.body if tree else ():
        match item:
            case ast.ClassDef() | ast.FunctionDef() if item.name == name:
                return Definition(module, item)
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return Definition(module, value)
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                return Definition(module, value)
            case ast.ImportFrom():
                origin = absolute(item, module)
                for imported in item.names:
                    if name == (imported.asname or imported.name) and (origin, imported.name) != (module, name):
                        found = lookup(origin, imported.name) if is_kin(origin, module) else None
                        return found or Definition(origin, item)
    return in_files(module, name)


def in_files(package: str, name: str) -> Definition | None:
    """A class that one of the files of a package defines, where the package itself says nothing of it."""
    file = file_of(package)
    if file is None or file.name != "__init__.py" or not within(package, OURS):
        return None
    for each in sorted(file.parent.glob("*.py")):
        tree = source(f"{package}.{each.stem}") if each.name != file.name else None
        for item in tree.body if tree else ():
            if isinstance(item, ast.ClassDef) and item.name == name:
                return Definition(f"{package}.{each.stem}", item)
    return None


def is_kin(origin, module):
    """Whether an import is worth following: into the packages that may be named, and within one package."""
    return within(origin, OURS) or origin.split(".")[0] == module.split(".")[0] != "torch"


def offered(module: str) -> list[str]:
    """The classes that a module defines or passes on, for a did-you-mean."""
    names = []
    for item in tree.body if (tree := source(module)) else ():
        if isinstance(item, ast.ClassDef):
            names.append(item.name)
        elif isinstance(item, ast.ImportFrom):
            names += [imported.asname or imported.name for imported in item.names]
    file = file_of(module)
    for each in file.parent.glob("*.py") if file is not None and file.name == "__init__.py" else ():
        tree = source(f"{module}.{each.stem}") if each.name != file.name else None
        names += [item.name for item in tree.body if isinstance(item, ast.ClassDef)] if tree else []
    return names


def absolute(item: ast.ImportFrom, module: str) -> str:
    """The module that a `from ... import` in `module` names."""
    if not item.level:
        return item.module
    parts = module.split(".")
    parts = parts[: len(parts) - item.level + file_of(module).name.startswith("__init__.")]
    return ".".join([*parts, *([item.module] if item.module else [])])


@cache
def source(module: str) -> ast.Module | None:
    file = file_of(module)
    try:
        return ast.parse(file.read_bytes()) if file else None
    except SyntaxError as error:
        raise ConfigError(f"{str(file)!r}, line {error.lineno}: {error.msg}") from error


@cache
def file_of(module: str) -> Path | None:
    """The source file of a module. Only a top-level name is given to Python to find, which imports nothing."""
    top, *rest = module.split(".")
    spec = find_spec(top) if top else None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if (spec.origin or "").endswith(".py") else None
    paths = [Path(place, *rest) for place in spec.submodule_search_locations or ()]  # several where no __init__.py is
    files = (file for path in paths for file in (path / "__init__.py", path.with_suffix(".py")))
    return next((file for file in files if file.is_file()), None)


def signature(definition: Definition) -> Signature:
    """What the class takes: its `__init__`, the fields of a dataclass, and its bases' where it passes `**kwargs` on."""
    tree, module = definition.tree, definition.module
    own, passes_on = fields(tree, module), True
    init = next((item for item in tree.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    if init is not None:
        own, passes_on = init_parameters(init, module), init.args.kwarg is not None
    bases = [found for base in tree.bases if (found := base_of(base, module))] if passes_on else []
    joined = [signature(base) for base in bases]
    parameters = {}
    for base in reversed(joined):
        parameters |= base.parameters
    is_open = any(base.is_open for base in joined) or (init is not None and passes_on and not joined)
    return Signature(parameters | own, is_open)


def base_of(tree, module):
    """The definition of a base class; a base from elsewhere (nn.Module) adds no parameters."""
    name = last_name(tree)
    top = module.split(".")[0]
    package = "torch.optim" if top == "torch" else top
    found = lookup(module, name) if isinstance(tree, ast.Name) else None
    usable = found is not None and isinstance(found.tree, ast.ClassDef) and within(found.module, (package, *OURS))
    return found if usable else None


def init_parameters(init, module):
    takes = init.args
    positional = (takes.posonlyargs + takes.args)[1:]  # without self
    required = len(positional) - len(takes.defaults)
    pairs = [(arg, i < required) for i, arg in enumerate(positional)]
    pairs += [(arg, default is None) for arg, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True)]
    return {arg.arg: Parameter(kind_of(arg.annotation, module), needed) for arg, needed in pairs}


def fields(tree, module):
    """The fields of a dataclass; nothing for another class."""
    marks = [mark.func if isinstance(mark, ast.Call) else mark for mark in tree.decorator_list]
    if not any(last_name(mark) == "dataclass" for mark in marks):
        return {}
    return {
        item.target.id: Parameter(kind_of(item.annotation, module), item.value is None)
        for item in tree.body
        if isinstance(item, ast.AnnAssign)
    }


def kind_of(tree: ast.expr | None, module: str) -> Kind:
    """What the annotation `tree`, as written in `module`, accepts."""
    match tree:
        case ast.Constant(value=None):
            return SCALARS["None"]
        case ast.Constant(value=str(text)):
            return kind_of(ast.parse(text, mode="eval").body, module)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return union([kind_of(left, module), kind_of(right, module)])
        case ast.Subscript(value=outer, slice=inner):
            return generic(last_name(outer), inner.elts if isinstance(inner, ast.Tuple) else [inner], module)
        case ast.Name(id=name) if name in SCALARS:
            return SCALARS[name]
        case ast.Name() | ast.Attribute() if last_name(tree) in LISTS | MAPPINGS:
            return generic(last_name(tree), [], module)
        case ast.Name() | ast.Attribute() if last_name(tree) == "Module":  # a network, which only a part can be
            return PART
        case ast.Name(id=name):
            return alias(name, module)
    return ANYTHING


def generic(outer, inner, module):
    if outer == "Literal":
        values = [item.value for item in inner]
        same = lambda value: any(value == v and type(value) is type(v) for v in values)
        return Kind(f"one of {', '.join(map(str, values))}", same)
    if outer in ("Optional", "Union"):
        return union([kind_of(item, module) for item in inner] + [SCALARS["None"]] * (outer == "Optional"))
    if outer == "Annotated":
        return kind_of(inner[0], module)
    if outer in MAPPINGS:
        item = kind_of(inner[1], module) if len(inner) == 2 else ANYTHING
        words = f"a mapping to {plural(item)}" if item.is_known else "a mapping"
        return Kind(words, lambda value: isinstance(value, dict) and all(map(item.fits, value.values())))
    if outer in LISTS:
        if outer == "tuple" and inner and not is_ellipsis(inner[-1]):
            items = [kind_of(item, module) for item in inner]
            words = f"a list of {len(items)}: {', '.join(item.words for item in items)}"
            return Kind(words, lambda value: isinstance(value, list) and fit(items, value))
        item = kind_of(inner[0], module) if inner else ANYTHING
        words = f"a list of {plural(item)}" if item.is_known else "a list"
        return Kind(words, lambda value: isinstance(value, list) and all(map(item.fits, value)))
    return ANYTHING


def union(kinds):
    """Any of several; beside a known kind, an unknown one (a Tensor, a Callable) takes only a part that builds it."""
    known = [kind for kind in kinds if kind.is_known]
    if all(kind.words == "null" for kind in known) and len(known) < len(kinds):
        return ANYTHING
    words = " or ".join(dict.fromkeys(kind.words for kind in known))
    return Kind(words, lambda value: any(kind.fits(value) for kind in known), any(kind.takes_parts for kind in kinds))


def fit(kinds, values):
    return len(kinds) == len(values) and all(kind.fits(value) for kind, value in zip(kinds, values, strict=True))


def alias(name, module):
    """A name that the module gives to an annotation, or a class of ours, which only a part can be."""
    try:
        definition = find(f"{module}.{name}", (module.split(".")[0], *OURS))
    except LookupError:
        return ANYTHING
    if isinstance(definition.tree, ast.ClassDef):
        is_settings = definition.module == "gan_lab.config.settings"
        is_protocol = any(last_name(base) == "Protocol" for base in definition.tree.bases)
        return generic("dict", [], module) if is_settings else ANYTHING if is_protocol else PART
    return kind_of(definition.tree, definition.module)


def plural(kind):
    words = {"a whole number": "whole numbers", "a number": "numbers", "text": "texts"}
    return words.get(kind.words, f"values, each {kind.words}")


def last_name(tree):
    return tree.id if isinstance(tree, ast.Name) else tree.attr if isinstance(tree, ast.Attribute) else ""


def is_ellipsis(tree):
    return isinstance(tree, ast.Constant) and tree.value is ...
