"""An invalid value of an enum is answered with the values that exist."""

from enum import IntEnum, StrEnum
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from prism.kit.enum_errors import choices
from prism.kit.http import validation_failed
from tests.optional import not_none


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Gear(IntEnum):
    FIRST = 1
    SECOND = 2


class Wheel(Struct, rename="camel"):
    gear: Gear = Gear.FIRST
    rim_colour: Colour | None = None


class Car(Struct):
    colour: Annotated[Colour, Meta(description="It")] = Colour.RED
    doors: Literal[3, 5] | None = None
    wheels: tuple[Wheel, ...] = ()
    spares: dict[str, list[Wheel]] = {}
    first: tuple[Wheel, int] | None = None
    name: str = ""


@pytest.mark.parametrize(
    ("body", "field", "why"),
    [
        ({"colour": "green"}, "colour", "must be one of red, blue, not 'green'"),
        ({"doors": 4}, "doors", "must be one of 3, 5, not 4"),
        ({"wheels": [{}, {"gear": 7}]}, "wheels[1].gear", "must be one of 1, 2, not 7"),
        ({"wheels": [{"rimColour": ""}]}, "wheels[0].rimColour", "one of red, blue, not ''"),
        ({"spares": {"a.b": [{"gear": 0}]}}, "spares[...][0].gear", "one of 1, 2, not 0"),
        ({"name": 5}, "name", "Expected `str`, got `int`"),
        ({"first": [{"gear": 9}, 1]}, "first[0].gear", "Invalid enum value 9"),
    ],
)
def test_invalid_enum_value_in_a_body_names_its_field_and_the_choices(body, field, why):
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(body, Car)
    [error] = not_none(validation_failed(raised.value, Car).data)["fields"]
    assert error["field"] == field
    assert why in error["why"]


def test_choices_of_an_enum_type_are_its_values():
    assert choices(Colour | None) == ("red", "blue")
    assert choices(str) == choices(Car, "name") == choices(Car, "nothing") == ()
