"""What a field must look like is said in words, never as a pattern."""

import importlib

import msgspec
import pytest

from prism.kit.http import shapes
from tests.project.tree import PACKAGES


def structs(module):
    """The requests and nouns of a package."""
    classes = [variable for variable in vars(module).values() if isinstance(variable, type)]
    return [
        class_
        for class_ in classes
        if issubclass(class_, msgspec.Struct) and class_ is not msgspec.Struct
    ]


def patterns(kind):
    """Every pattern in a type, as the error would show it."""
    regexes, left, known = set(), [msgspec.inspect.type_info(kind)], set()
    while left:
        it = left.pop()
        if id(it) in known or not isinstance(it, msgspec.Struct):
            continue
        known.add(id(it))
        if isinstance(it, msgspec.inspect.StrType) and it.pattern:
            regexes.add(repr(it.pattern))
        for name in it.__struct_fields__:
            value = getattr(it, name)
            left += value if isinstance(value, tuple) else [value]
    return regexes


@pytest.mark.parametrize("package", PACKAGES)
def test_every_pattern_of_a_room_has_words(package):
    for kind in structs(importlib.import_module(f"prism.{package}.model")):
        assert patterns(kind) <= shapes(kind).keys(), kind
