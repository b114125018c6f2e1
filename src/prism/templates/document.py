"""Reads YAML into a tree with source lines, so that each error names its line.

The tree has scalars, lists and mappings, each with its line; that of a mapping's entry is the line
of its key. Only what a template needs is read: no tags, no aliases, no second document.
"""

from dataclasses import dataclass
from typing import Any

import yaml

MAX_DOCUMENT_BYTES = 256 * 1024
DEEPEST = 20
"""Levels of lists and mappings; a template needs four."""
YAML_TAG_PREFIX = "tag:yaml.org,2002:"
PLAIN_TAGS = {f"{YAML_TAG_PREFIX}{kind}" for kind in ("null", "bool", "int", "float", "str")}
TEXT_AFTER_ALL = {
    f"{YAML_TAG_PREFIX}timestamp",
    f"{YAML_TAG_PREFIX}value",
}  # a template holds no dates
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Node:
    """A value, and its place in the file."""

    value: "Scalar | tuple[Node, ...] | dict[str, Node]"
    place: SourceLine

    def plain(self) -> Any:
        """The value without source lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value

    def at(self, path: tuple[str | int, ...]) -> SourceLine:
        """The line of a path; that of its nearest ancestor if the path is not in the file."""
        if not path:
            return self.place
        head, *rest = path
        inner: Node | None = None
        if isinstance(self.value, dict) and isinstance(head, str):
            inner = self.value.get(head)
        elif isinstance(self.value, tuple) and isinstance(head, int) and head < len(self.value):
            inner = self.value[head]
        return inner.at(tuple(rest)) if inner else self.place

    def entries(self) -> "dict[str, Node]":
        """The entries of a mapping; none for other values."""
        return self.value if isinstance(self.value, dict) else {}


class TemplateUnreadable(Exception):
    """The text is not a template at all."""

    def __init__(self, why: str, place: SourceLine, field: str = "") -> None:
        super().__init__(why)
        self.why, self.place, self.field = why, place, field


def read(raw: bytes, file: str) -> Node:
    """The mapping in a text."""
    start = SourceLine(file, 1)
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise TemplateUnreadable(f"larger than {MAX_DOCUMENT_BYTES // 1024} KiB", start)
    try:
        root = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.CSafeLoader)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TemplateUnreadable("not UTF-8", SourceLine(file, line)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        why = ", ".join(filter(None, (error.context, error.problem)))
        raise TemplateUnreadable(f"not YAML: {why}", SourceLine(file, line)) from None
    except yaml.YAMLError as error:
        raise TemplateUnreadable(f"not YAML: {error}", start) from None
    if root is None:
        raise TemplateUnreadable("empty", start)
    if not isinstance(root, yaml.MappingNode):
        raise TemplateUnreadable("not a mapping of fields", start)
    return _Reader(file).node(root, start, "")


class _Reader:
    """Walks one document; a node that is visited twice is an alias, and may contain itself."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._visited: set[int] = set()
        self._depth = 0
        self._scalars = yaml.SafeLoader("")

    def node(self, yaml_node: yaml.Node, place: SourceLine, field: str) -> Node:
        """Convert a YAML node."""
        if id(yaml_node) in self._visited:
            raise TemplateUnreadable("aliases are not supported, use `inherits`", place, field)
        self._visited.add(id(yaml_node))
        if isinstance(yaml_node, yaml.ScalarNode):
            return Node(self._scalar(yaml_node, place, field), place)
        assert isinstance(yaml_node, yaml.CollectionNode)
        if self._depth == DEEPEST:
            raise TemplateUnreadable(f"nested more than {DEEPEST} levels deep", place, field)
        self._depth += 1
        value = self._entries(yaml_node, field)
        self._depth -= 1
        return Node(value, place)

    def _entries(
        self, yaml_node: yaml.CollectionNode, field: str
    ) -> "tuple[Node, ...] | dict[str, Node]":
        if isinstance(yaml_node, yaml.MappingNode):
            return self._mapping(yaml_node, field)
        items = enumerate(yaml_node.value)
        return tuple(self.node(item, self._place(item), f"{field}[{n}]") for n, item in items)

    def _mapping(self, yaml_node: yaml.MappingNode, field: str) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key, value in yaml_node.value:
            place = self._place(key)
            if not isinstance(key, yaml.ScalarNode):
                raise TemplateUnreadable("a key must be a word", place, field)
            inner = f"{field}.{key.value}" if field else key.value
            if key.value in entries:
                first = entries[key.value].place.line
                raise TemplateUnreadable(f"given twice, first in line {first}", place, inner)
            entries[key.value] = self.node(value, place, inner)
        return entries

    def _scalar(self, yaml_node: yaml.ScalarNode, place: SourceLine, field: str) -> Scalar:
        if yaml_node.tag in TEXT_AFTER_ALL:
            return str(yaml_node.value)
        if yaml_node.tag not in PLAIN_TAGS:
            tag = yaml_node.tag.removeprefix(YAML_TAG_PREFIX)
            raise TemplateUnreadable(f"the tag {tag!r} is not allowed", place, field)
        try:
            value: Scalar = self._scalars.construct_object(yaml_node)
        except ValueError as error:
            raise TemplateUnreadable(f"not YAML: {error}", place, field) from None
        return value

    def _place(self, yaml_node: yaml.Node) -> SourceLine:
        return SourceLine(self._file, yaml_node.start_mark.line + 1)
