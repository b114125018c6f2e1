"""Checks the types of fields; finds all errors, each with its path."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from prism.templates.document import Node

Path = tuple[str | int, ...]
FieldError = tuple[Path, str]


def type_errors(node: Node, kind: Any, path: Path = ()) -> Iterator[FieldError]:
    """Why the node is not a valid `kind`."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(bare, type) and issubclass(bare, Struct):
        yield from _struct(node, bare, path)
    elif get_origin(bare) is dict and isinstance(node.value, dict):
        key_kind, value_kind = get_args(bare)
        for key, inner in node.value.items():
            yield from _leaf(Node(key, inner.place), key_kind, (*path, key))
            yield from type_errors(inner, value_kind, (*path, key))
    elif get_origin(bare) is tuple and isinstance(node.value, tuple):
        for index, inner in enumerate(node.value):
            yield from type_errors(inner, get_args(bare)[0], (*path, index))
    else:
        yield from _leaf(node, kind, path)


def _struct(node: Node, kind: type[Struct], path: Path) -> Iterator[FieldError]:
    if not isinstance(node.value, dict):
        yield path, "must be a mapping of fields"
        return
    kinds = get_type_hints(kind, include_extras=True)
    for key, inner in node.value.items():
        if key in kinds:
            yield from type_errors(inner, kinds[key], (*path, key))
        else:
            yield (*path, key), _unknown_field(key, kinds)
    for field in fields(kind):
        if field.required and field.name not in node.value:
            yield (*path, field.name), "is missing"


def _leaf(node: Node, kind: Any, path: Path) -> Iterator[FieldError]:
    try:
        msgspec.convert(node.plain(), kind)
    except msgspec.ValidationError as error:
        choices = [str(word) for word in _choices(kind)]
        yield path, f"must be one of {', '.join(choices)}" if choices else _type_error(str(error))


def _choices(kind: Any) -> tuple[Any, ...]:
    """The values that a literal type allows, also an optional or annotated one."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(word for inner in get_args(kind) for word in _choices(inner))


def _type_error(error: str) -> str:
    plain = error.replace("`", "").removeprefix("Expected ")
    return f"must be {plain.replace(', got ', ', not ')}"


def _unknown_field(key: str, known: dict[str, Any]) -> str:
    close = get_close_matches(key, known, n=1)
    return "is no field" + (f"; did you mean {close[0]!r}?" if close else "")
