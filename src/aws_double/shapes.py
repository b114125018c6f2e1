"""AWS's own models of its services, as botocore ships them.

Requests are decoded and answers encoded by the shapes of the service model, so that answers
have only fields that AWS has, spelled as AWS spells them.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import botocore.session

from aws_double.tree import Tree

Shape = Any  # botocore has no types


@cache
def service(name: str) -> Any:
    """The model of one service."""
    return botocore.session.Session().get_service_model(name)


@cache
def operations(name: str) -> frozenset[str]:
    """All actions of one service."""
    return frozenset(service(name).operation_names)


# ------------------------------------------------------------------ reading a query
def read_query(name: str, action: str, fields: Mapping[str, str]) -> Tree:
    """The arguments of a query request (EC2, STS), as the caller of boto3 passed them."""
    shape = service(name).operation_model(action).input_shape
    tree: Tree = {}
    for key, value in fields.items():
        *path, last = key.split(".")
        at = tree
        for step in path:
            at = at.setdefault(step, {})
        at[last] = value
    return _read_structure(shape, tree) if shape is not None else {}


def _read_structure(shape: Shape, tree: Tree) -> Tree:
    structure = {}
    for name, member in shape.members.items():
        if (value := tree.get(_query_name(name, member))) is not None:
            structure[name] = _read(member, value)
    return structure


def _query_name(name: str, member: Shape) -> str:
    if wire_name := member.serialization.get("queryName"):
        return str(wire_name)
    wire_name = member.serialization.get("name", name)
    return str(wire_name[0].upper() + wire_name[1:])


def _read(shape: Shape, value: Any) -> Any:
    if shape.type_name == "structure":
        return _read_structure(shape, value)
    if shape.type_name == "list":
        if not isinstance(value, dict):
            return []
        items = value.get("member", value)
        return [_read(shape.member, items[key]) for key in sorted(items, key=int)]
    reader = SCALARS.get(shape.type_name, str)
    return reader(value)


SCALARS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": lambda text: text.lower() == "true",
    "blob": base64.b64decode,
    "timestamp": datetime.fromisoformat,
}


# ------------------------------------------------------------------ writing XML
class Raw(str):
    """XML that was encoded before."""

    __slots__ = ()


Writer = Callable[[str, Any], str]


def write_xml(name: str, action: str, answer: Tree, request_id: str) -> str:
    """The answer of a query request."""
    model = service(name)
    shape = model.operation_model(action).output_shape
    space = model.metadata["xmlNamespace"]
    inner = "" if shape is None else _members(name, shape.name)(answer)
    if name == "ec2":
        body = f"<requestId>{request_id}</requestId>{inner}"
    else:
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        body = f"<{action}Result>{inner}</{action}Result>{metadata}"
    return f'<{action}Response xmlns="{space}">{body}</{action}Response>'


def encoded(name: str, shape: str, tag: str, value: Tree) -> Raw:
    """One structure as XML, for a cache."""
    return Raw(f"<{tag}>{_members(name, shape)(value)}</{tag}>")


@cache  # botocore builds a shape anew each time it is asked for, which is slow
def _members(name: str, structure: str) -> Callable[[Tree], str]:
    shape = service(name).shape_for(structure)
    writers: dict[str, tuple[str, Writer]] = {
        field: (member.serialization.get("name", field), _writer(name, member))
        for field, member in shape.members.items()
    }

    def write(value: Tree) -> str:
        parts = []
        for field, inner in value.items():
            if inner is not None:
                tag, write_member = writers[field]  # a KeyError is a bug of the double
                parts.append(write_member(tag, inner))
        return "".join(parts)

    return write


def _writer(name: str, shape: Shape) -> Writer:
    """The function that encodes values of that shape as an element."""
    if shape.type_name == "structure":
        return _structure(name, shape.name)
    if shape.type_name == "list":
        item, each_tag = _writer(name, shape.member), shape.member.serialization.get("name")
        each_tag = each_tag or "member"
        return lambda tag, value: (
            f"<{tag}>{''.join([item(each_tag, each) for each in value])}</{tag}>"
        )
    return WRITERS.get(shape.type_name, _text)


def _structure(name: str, structure: str) -> Writer:
    """The writer of a structure; looks its members up late, since some shapes are recursive."""

    def write(tag: str, value: Any) -> str:
        if type(value) is Raw:
            return value
        return f"<{tag}>{_members(name, structure)(value)}</{tag}>"

    return write


def _text(tag: str, value: Any) -> str:
    return f"<{tag}>{escape(str(value))}</{tag}>"


WRITERS: dict[str, Writer] = {
    "boolean": lambda tag, value: f"<{tag}>{'true' if value else 'false'}</{tag}>",
    "timestamp": lambda tag, value: f"<{tag}>{stamp(value)}</{tag}>",
    "integer": lambda tag, value: f"<{tag}>{int(value)}</{tag}>",
}


def stamp(at: datetime) -> str:
    """A time in the format of AWS."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


# ------------------------------------------------------------------ writing JSON
def json_ready(value: Any) -> Any:
    """An answer for the JSON protocols: times become seconds."""
    if isinstance(value, dict):
        return {key: json_ready(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [json_ready(inner) for inner in value]
    return value.timestamp() if isinstance(value, datetime) else value
