"""Settings of a dataset, which may be made `of` another dataset with settings of its own."""

from collections.abc import Callable, Iterator
from typing import Any

Node = dict[str, Any]


def levels(node: Node) -> Iterator[Node]:
    """The settings of a dataset, then those of the dataset that it is made of, and so on."""
    yield node
    if isinstance(node.get("of"), dict):
        yield from levels(node["of"])


def everywhere(node: Node, change: Callable[[Node], Node]) -> Node:
    """The settings with a change on every level."""
    changed = change(node)
    return {**changed, "of": everywhere(changed["of"], change)} if isinstance(changed.get("of"), dict) else changed


def with_known(node: Node, **values: Any) -> Node:
    """The settings with other values for those of these names that there are, on every level."""
    return everywhere(node, lambda level: {**level, **{name: v for name, v in values.items() if name in level}})
