"""Inheritance: ancestors come first and count once, and the child overrides them.

The content of files is merged before it becomes a template, so the same rule applies to every
field. Each ancestor counts once, at its first occurrence (depth first, left to right), so an
ancestor never overrides its own descendant.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

from prism.templates.document import Node, SourceLine

DEEPEST = 50
OWN_FIELDS = frozenset({"name", "slug", "inherits"})


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """One file before inheritance, and its names."""

    name: str
    slug: str
    file: str
    builtin: bool
    node: Node

    @property
    def parents(self) -> tuple[tuple[str, SourceLine], ...]:
        """The templates that it inherits from, and the line of each."""
        field = self.node.entries().get("inherits")
        if field is None or not isinstance(field.value, tuple):
            return ()
        return tuple((n.value, n.place) for n in field.value if isinstance(n.value, str))


Find = Callable[[str], TemplateSource | None]


class MissingAncestor(Exception):
    """An ancestor is missing, or is its own ancestor (`loop` then names the way round)."""

    def __init__(self, why: str, place: SourceLine, loop: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.why, self.place, self.loop = why, place, loop


def lineage(source: TemplateSource, find: Find) -> tuple[TemplateSource, ...]:
    """The template's ancestors, each once and before its descendants; the template comes last."""
    met: dict[str, TemplateSource] = {}
    for name, place in source.parents:
        try:
            for ancestor in _climb(name, place, find, (source.name,), met):
                met[ancestor.name] = ancestor
        except MissingAncestor as missing:
            if source.name in missing.loop or missing.place == place:
                raise MissingAncestor(missing.why, place, missing.loop) from None
            why = f"{name!r} cannot be inherited: {missing.why} ({missing.place})"
            raise MissingAncestor(why, place) from None
    return (*met.values(), source)


def _climb(
    name: str,
    place: SourceLine,
    find: Find,
    below: tuple[str, ...],
    met: Mapping[str, TemplateSource],
) -> Iterator[TemplateSource]:
    if (source := find(name)) is None:
        raise MissingAncestor(f"there is no template {name!r}", place)
    if source.name in below:
        loop = (*below[below.index(source.name) :], source.name)
        raise MissingAncestor(f"it inherits itself: {' → '.join(loop)}", place, loop)
    if len(below) > DEEPEST:
        raise MissingAncestor(f"it inherits over more than {DEEPEST} generations", place)
    if source.name not in met:
        for above, at in source.parents:
            yield from _climb(above, at, find, (*below, source.name), met)
        yield source


def chains(source: TemplateSource, find: Find) -> Iterator[tuple[str, ...]]:
    """The paths from a valid lineage's roots to the template; lazy: each diamond doubles them."""
    parents = {
        template_source.name: template_source
        for name, _ in source.parents
        if (template_source := find(name))
    }
    for parent in parents.values():
        for chain in chains(parent, find):
            yield (*chain, source.name)
    if not parents:
        yield (source.name,)


def inherited(family: tuple[TemplateSource, ...]) -> Node:
    """The last template, merged with all its ancestors."""
    *ancestors, own = family
    return reduce(merge, [*(_inheritable(source.node) for source in ancestors), _dedupe(own.node)])


def merge(first: Node, second: Node) -> Node:
    """Merge two nodes: mappings merge, lists join without duplicates, else the second counts."""
    if isinstance(first.value, dict) and isinstance(second.value, dict):
        merged = dict(first.value)
        for key, node in second.value.items():
            merged[key] = merge(merged[key], node) if key in merged else _dedupe(node)
        return Node(merged, second.place)
    if isinstance(first.value, tuple) and isinstance(second.value, tuple):
        return Node(_distinct((*first.value, *second.value)), second.place)
    return _dedupe(second)


def _dedupe(node: Node) -> Node:
    """The node without duplicates in its lists."""
    if isinstance(node.value, dict):
        return Node({key: _dedupe(inner) for key, inner in node.value.items()}, node.place)
    return Node(_distinct(node.value), node.place) if isinstance(node.value, tuple) else node


def _distinct(items: tuple[Node, ...]) -> tuple[Node, ...]:
    first: dict[str, Node] = {}
    for item in items:
        first.setdefault(repr(item.plain()), item)  # repr, because 1 and True are not the same
    return tuple(first.values())


def _inheritable(node: Node) -> Node:
    inherited = {key: inner for key, inner in node.entries().items() if key not in OWN_FIELDS}
    return _dedupe(Node(inherited, node.place))
