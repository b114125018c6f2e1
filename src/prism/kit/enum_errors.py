"""Error messages that list the values that a field allows."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

STEP = re.compile(r"\[[^\]]*\]|[^.\[]+")
OTHER = "Invalid enum value "  # so msgspec begins its sentence, and then says which


def put(words: str, kind: Any, place: str = "") -> str:
    """What msgspec found wrong at a place of a `kind`; of a wrong word, with the right ones."""
    if not words.startswith(OTHER) or not (known := choices(kind, place)):
        return words
    return f"must be one of {', '.join(known)}, not {words.removeprefix(OTHER)}"


def choices(kind: Any, place: str = "") -> tuple[str, ...]:
    """The words for a place, such as `copies[1].size`, of a `kind`; none where any will do."""
    found = [inspect.type_info(kind)]
    for step in STEP.findall(place):
        found = [
            inner for outer in found for bare in _bare(outer) for inner in _within(bare, step)
        ]
    return tuple(str(word) for outer in found for bare in _bare(outer) for word in _words(bare))


def _bare(kind: inspect.Type) -> Iterator[inspect.Type]:
    """A type without what is said about it; each, where it is one of several."""
    if isinstance(kind, inspect.Metadata):
        yield from _bare(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for member in kind.types:
            yield from _bare(member)
    else:
        yield kind


def _within(kind: inspect.Type, step: str) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        yield from (field.type for field in kind.fields if field.encode_name == step)
    elif isinstance(kind, inspect.DictType):
        yield kind.value_type
    elif isinstance(kind, inspect.CollectionType):
        yield kind.item_type


def _words(kind: inspect.Type) -> Iterator[Any]:
    if isinstance(kind, inspect.EnumType):
        yield from (member.value for member in kind.cls)
    elif isinstance(kind, inspect.LiteralType):
        yield from kind.values
