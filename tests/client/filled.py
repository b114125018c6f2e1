"""An API struct as JSON, so that a test gives only the fields that it needs."""

from typing import Any

import msgspec
from msgspec.inspect import CollectionType, StructType, Type, UnionType, type_info

EMPTY = {"StrType": "x", "IntType": 0, "FloatType": 0.0, "BoolType": False, "DictType": {}}


def filled(struct: type[msgspec.Struct], **fields: Any) -> dict[str, Any]:
    """The struct on the wire: required fields that were not given are null or empty."""
    info = type_info(struct)
    assert isinstance(info, StructType)
    names = {field.encode_name for field in info.fields}
    assert fields.keys() <= names, "the struct has no such field"
    rest = {
        field.encode_name: _plain(field.type)
        for field in info.fields
        if field.required and field.encode_name not in fields
    }
    msgspec.convert(rest | fields, struct)
    return rest | fields


def _plain(kind: Type) -> Any:
    if isinstance(kind, UnionType):
        return None if kind.includes_none else _plain(kind.types[0])
    if isinstance(kind, CollectionType):
        return []
    if isinstance(kind, StructType):
        return filled(kind.cls)
    return EMPTY[type(kind).__name__]
