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
        node = left.pop()
        if id(node) in known or not isinstance(node, msgspec.Struct):
            continue
        known.add(id(node))
        if isinstance(node, msgspec.inspect.StrType) and node.pattern:
            regexes.add(repr(node.pattern))
        for name in node.__struct_fields__:
            value = getattr(node, name)
            left += value if isinstance(value, tuple) else [value]
    return regexes


@pytest.mark.parametrize("package", PACKAGES)
def test_every_pattern_of_a_room_has_words(package):
    for kind in structs(importlib.import_module(f"prism.{package}.model")):
        assert patterns(kind) <= shapes(kind).keys(), kind
