"""Error messages that list the values that a field allows."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

PATH_STEP = re.compile(r"\[[^\]]*\]|[^.\[]+")
OTHER = "Invalid enum value "  # how msgspec begins its message


def message(words: str, kind: Any, place: str = "") -> str:
    """An error message of msgspec about a `kind`, with the allowed values if there are any."""
    if not words.startswith(OTHER) or not (known := choices(kind, place)):
        return words
    return f"must be one of {', '.join(known)}, not {words.removeprefix(OTHER)}"


def choices(kind: Any, place: str = "") -> tuple[str, ...]:
    """The values allowed at a path of a `kind`, such as `copies[1].size`; none if not limited."""
    types = [inspect.type_info(kind)]
    for step in PATH_STEP.findall(place):
        types = [
            inner for outer in types for bare in _unwrap(outer) for inner in _at_step(bare, step)
        ]
    return tuple(str(name) for outer in types for bare in _unwrap(outer) for name in _values(bare))


def _unwrap(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The types inside a union, without metadata."""
    if isinstance(kind, inspect.Metadata):
        yield from _unwrap(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for member in kind.types:
            yield from _unwrap(member)
    else:
        yield kind


def _at_step(kind: inspect.Type, step: str) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        yield from (field.type for field in kind.fields if field.encode_name == step)
    elif isinstance(kind, inspect.DictType):
        yield kind.value_type
    elif isinstance(kind, inspect.CollectionType):
        yield kind.item_type


def _values(kind: inspect.Type) -> Iterator[Any]:
    if isinstance(kind, inspect.EnumType):
        yield from (member.value for member in kind.cls)
    elif isinstance(kind, inspect.LiteralType):
        yield from kind.values
