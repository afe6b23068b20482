"""Settings of a dataset, which may be made of other datasets with settings of their own."""

from collections.abc import Callable, Iterator
from typing import Any

Node = dict[str, Any]


def inner(node: Node) -> list[str]:
    """The settings that are datasets themselves: `of`, and whatever else is built."""
    return [name for name, v in node.items() if isinstance(v, dict) and (name == "of" or "_target_" in v)]


def levels(node: Node) -> Iterator[Node]:
    """The settings of a dataset, then those of each dataset that it is made of, and so on."""
    yield node
    for name in inner(node):
        yield from levels(node[name])


def everywhere(node: Node, change: Callable[[Node], Node]) -> Node:
    """The settings with a change on every level."""
    changed = change(node)
    return {**changed, **{name: everywhere(changed[name], change) for name in inner(changed)}}


def with_known(node: Node, **values: Any) -> Node:
    """The settings with other values for those of these names that there are, on every level."""
    return everywhere(node, lambda level: {**level, **{name: v for name, v in values.items() if name in level}})
