"""Errors describe the shape of a field in words, not by its pattern."""

import importlib

import msgspec
import pytest

from prism.kit.http import pattern_descriptions
from tests.project.tree import PACKAGES


def structs(module):
    """The structs of a package."""
    classes = [variable for variable in vars(module).values() if isinstance(variable, type)]
    return [
        class_
        for class_ in classes
        if issubclass(class_, msgspec.Struct) and class_ is not msgspec.Struct
    ]


def patterns(kind):
    """All patterns in a type, as the error would show them."""
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
def test_each_pattern_of_a_model_has_a_description(package):
    for kind in structs(importlib.import_module(f"prism.{package}.model")):
        assert patterns(kind) <= pattern_descriptions(kind).keys(), kind
