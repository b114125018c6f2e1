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
        found = [inner for it in found for one in _bare(it) for inner in _within(one, step)]
    return tuple(str(word) for it in found for one in _bare(it) for word in _words(one))


def _bare(it: inspect.Type) -> Iterator[inspect.Type]:
    """A type without what is said about it; each, where it is one of several."""
    if isinstance(it, inspect.Metadata):
        yield from _bare(it.type)
    elif isinstance(it, inspect.UnionType):
        for one in it.types:
            yield from _bare(one)
    else:
        yield it


def _within(it: inspect.Type, step: str) -> Iterator[inspect.Type]:
    if isinstance(it, inspect.StructType):
        yield from (field.type for field in it.fields if field.encode_name == step)
    elif isinstance(it, inspect.DictType):
        yield it.value_type
    elif isinstance(it, inspect.CollectionType):
        yield it.item_type


def _words(it: inspect.Type) -> Iterator[Any]:
    if isinstance(it, inspect.EnumType):
        yield from (member.value for member in it.cls)
    elif isinstance(it, inspect.LiteralType):
        yield from it.values
