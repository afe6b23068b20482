"""Formulas of a configuration: arithmetic over named numbers, as text that people read and nothing else can run."""

import ast
import math
import operator
from collections.abc import Mapping
from typing import Any

from gan_lab.errors import ConfigError

OPERATIONS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Pow: operator.pow, ast.USub: operator.neg, ast.Not: operator.not_,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
FUNCTIONS = {"min": min, "max": max, "round": round, "log2": math.log2, "sqrt": math.sqrt}


ASKED = (
    "pictures",
    "shortest",
    "grey",
    "classes",
    "gpu",
    "side",
    "images",
    "steps",
    "batch",
)  # what a dial may ask for


class Unknown(KeyError):
    """A name that a formula asks for and that is not known yet."""


def value_of(formula: Any, names: Mapping[str, Any]) -> Any:
    """What a formula gives: a text is read as one, lists and mappings item by item, anything else is itself.

    Numbers, names, + - * / // **, comparisons, `A if B else C`, quoted texts, lists, and min, max, round, log2, sqrt.
    Raises Unknown for a name that `names` lacks, ConfigError for what is no formula or has no value.
    """
    if isinstance(formula, Mapping):
        return {key: value_of(item, names) for key, item in formula.items()}
    if isinstance(formula, list):
        return [value_of(item, names) for item in formula]
    if not isinstance(formula, str):
        return formula
    try:
        return evaluate(ast.parse(formula, mode="eval").body, names)
    except (SyntaxError, TypeError, ValueError, ArithmeticError, RecursionError, KeyError, IndexError) as error:
        if isinstance(error, Unknown):
            raise
        reason = getattr(error, "msg", None) or str(error)
        raise ConfigError(f"the formula {formula!r} cannot be computed: {reason}") from error


def evaluate(node: ast.AST, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() | str() | None as value):
            return value
        case ast.Name(id=name):
            if name not in names:
                raise Unknown(name)
            return names[name]
        case ast.List(elts=items):
            return [evaluate(item, names) for item in items]
        case ast.UnaryOp(op=op, operand=inner) if type(op) in OPERATIONS:
            return OPERATIONS[type(op)](evaluate(inner, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATIONS:
            left, right = evaluate(left, names), evaluate(right, names)
            if isinstance(op, ast.Pow) and abs(right) > 64:
                raise ValueError("a power above 64")
            return OPERATIONS[type(op)](left, right)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATIONS:
            return OPERATIONS[type(op)](evaluate(left, names), evaluate(right, names))
        case ast.IfExp(test=test, body=body, orelse=other):
            return evaluate(body if evaluate(test, names) else other, names)
        case ast.Call(func=ast.Name(id=name), args=items, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](*(evaluate(item, names) for item in items))
    raise ValueError(f"{ast.unparse(node)!r} is no arithmetic")


def is_name(formula: Any) -> bool:
    """Whether a text names a choice, such as dcgan or linear, and is no formula."""
    return isinstance(formula, str) and formula.isidentifier() and formula not in ASKED


def reasons(dial: dict[str, Any], recipe: str, said: str) -> dict[str, str]:
    """Why a budget chose what it did, by setting: its formula, or whose number it is. See `gan_lab.launch.dial`."""
    own = dial["recipes"][recipe]
    why = {"dataset.image_size": f"the largest at which {recipe} fits, or the smallest"}
    for whose, settings in (
        (f"of the recipe {recipe}", own["choose"] | own["set"]),
        ("of every recipe", dial["always"]),
    ):
        why |= {key: f if isinstance(f, str) and not is_name(f) else whose for key, f in settings.items()}
    return why | dict.fromkeys(("trainer.max_minutes", "trainer.steps"), f"the budget, {said}")
