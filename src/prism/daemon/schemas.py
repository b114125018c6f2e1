"""OpenAPI schemas of bodies: exactly what msgspec accepts and sends.

Litestar's own translation loses bounds of zero, patterns, defaults that are objects, and the
refusal of unknown fields, so programs that rely on it would send invalid requests.
"""

from typing import TYPE_CHECKING, Any

from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import NODEFAULT, UNSET, Struct, inspect, to_builtins

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator

SchemaOrReference = Schema | Reference
SCALAR_TYPES = {
    inspect.NoneType: OpenAPIType.NULL,
    inspect.BoolType: OpenAPIType.BOOLEAN,
    inspect.IntType: OpenAPIType.INTEGER,
    inspect.FloatType: OpenAPIType.NUMBER,
    inspect.StrType: OpenAPIType.STRING,
    inspect.DateType: OpenAPIType.STRING,
    inspect.DateTimeType: OpenAPIType.STRING,
}
FORMATS = {
    inspect.DateType: OpenAPIFormat.DATE,
    inspect.DateTimeType: OpenAPIFormat.DATE_TIME,
}
NUMBERS = {"ge": "minimum", "gt": "exclusive_minimum", "le": "maximum", "lt": "exclusive_maximum"}
SEQUENCES = inspect.CollectionType | inspect.VarTupleType | inspect.ListType


class StructSchemas(OpenAPISchemaPlugin):
    """Describes every Struct, in place of Litestar's own plugin for them."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether the type is a Struct."""
        return not field_definition.is_union and field_definition.is_subclass_of(Struct)

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: "SchemaCreator"
    ) -> Schema:
        """The component for a Struct."""
        kind = inspect.type_info(field_definition.annotation)
        assert isinstance(kind, inspect.StructType)
        whole = schema_creator.create_component_schema(
            field_definition,
            required=sorted(field.encode_name for field in kind.fields if field.required),
            property_fields={},
        )
        whole.properties = {
            field.encode_name: _field(field, schema_creator) for field in kind.fields
        }
        whole.additional_properties = False if kind.forbid_unknown_fields else None
        return whole


def _field(field: inspect.Field, creator: "SchemaCreator") -> SchemaOrReference:
    schema = _schema_of(field.type, creator)
    if field.default in (NODEFAULT, UNSET, None):
        return schema
    if isinstance(field.default, Struct) and field.default == type(field.default)():
        return schema  # fields have defaults; generators drop those with an object as default
    if isinstance(schema, Reference):
        schema = Schema(any_of=[schema])
    schema.default = to_builtins(field.default)
    return schema


def _schema_of(kind: inspect.Type, creator: "SchemaCreator") -> SchemaOrReference:
    if isinstance(kind, inspect.StructType | inspect.EnumType):
        return creator.for_field_definition(FieldDefinition.from_annotation(kind.cls))
    if isinstance(kind, inspect.Metadata):
        return _with_extras(_schema_of(kind.type, creator), kind.extra_json_schema or {})
    if isinstance(kind, inspect.UnionType):
        # Not `oneOf`, because a value may match several: an integer is also a number.
        choices = [_schema_of(member, creator) for member in kind.types]
        return choices[0] if len(choices) == 1 else Schema(any_of=choices)
    return _scalar(kind) if isinstance(kind, tuple(SCALAR_TYPES)) else _loose(kind, creator)


def _loose(kind: inspect.Type, creator: "SchemaCreator") -> Schema:
    if isinstance(kind, inspect.LiteralType):
        texts = all(isinstance(value, str) for value in kind.values)
        return Schema(type=OpenAPIType.STRING if texts else None, enum=list(kind.values))
    if isinstance(kind, inspect.DictType):
        values = _schema_of(kind.value_type, creator)
        return Schema(type=OpenAPIType.OBJECT, additional_properties=values)
    if isinstance(kind, SEQUENCES):
        return Schema(
            type=OpenAPIType.ARRAY,
            items=_schema_of(kind.item_type, creator),
            min_items=kind.min_length,
            max_items=kind.max_length,
        )
    return Schema()  # anything


def _scalar(kind: inspect.Type) -> Schema:
    schema = Schema(type=SCALAR_TYPES[type(kind)], format=FORMATS.get(type(kind)))
    if isinstance(kind, inspect.StrType):
        schema.min_length, schema.max_length = kind.min_length, kind.max_length
        schema.pattern = kind.pattern
    for bound, name in NUMBERS.items():
        setattr(schema, name, getattr(kind, bound, None))
    return schema


def _with_extras(schema: SchemaOrReference, more: dict[str, Any]) -> SchemaOrReference:
    if more and isinstance(schema, Reference):
        schema = Schema(any_of=[schema])
    for key, value in more.items():
        setattr(schema, key, value)
    return schema
