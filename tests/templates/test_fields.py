"""Fields: all errors together, each with its path; templates without errors can be converted."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prism.templates.document import read
from prism.templates.fields import type_errors
from prism.templates.model import Template
from tests.templates.test_inherit import node


def errors_of(fields):
    return {path: why for path, why in type_errors(node(fields), Template)}


@pytest.mark.parametrize(
    ("fields", "path", "why"),
    [
        ({}, ("name",), "is missing"),
        ({"name": 5}, ("name",), "must be str, not int"),
        ({"name": ""}, ("name",), "must be str of length >= 1"),
        ({"sizes": "S"}, ("sizes",), "is no field; did you mean 'size'?"),
        ({"zzz": 1}, ("zzz",), "is no field"),
        ({"size": "XXL"}, ("size",), "must be one of XS, S, M, L, XL"),
        ({"size": True}, ("size",), "must be one of XS, S, M, L, XL"),
        ({"base": "windows"}, ("base",), "must be one of ubuntu-24.04, ubuntu-22.04, debian-12"),
        ({"family": None}, ("family",), "must be one of general"),
        ({"ports": 22}, ("ports",), "must be array, not int"),
        ({"ports": [22, "80"]}, ("ports", 1), "must be int, not str"),
        ({"ports": [22, 70000]}, ("ports", 1), "must be int <= 65535"),
        ({"ports": [10**30]}, ("ports", 0), "must be int"),
        ({"root_gb": 1}, ("root_gb",), "must be int >= 8"),
        ({"users": [None]}, ("users", 0), "must be str"),
        ({"packages": {"npm": ["x"]}}, ("packages", "npm"), "must be one of apt, dnf, conda, pip"),
        ({"packages": {"pip": "x"}}, ("packages", "pip"), "must be array"),
        ({"packages": {"pip": [""]}}, ("packages", "pip", 0), "must be str of length >= 1"),
        ({"environment": {"A": 1}}, ("environment", "A"), "must be str, not int"),
        ({"services": {"x": None}}, ("services", "x"), "must be a mapping of fields"),
        ({"services": {"x": {"port": 1}}}, ("services", "x", "command"), "is missing"),
        (
            {"services": {"x": {"command": "c", "port": 1, "helth": "/"}}},
            ("services", "x", "helth"),
            "did you mean 'health'?",
        ),
        ({"parameters": {"p": {"type": "text"}}}, ("parameters", "p", "type"), "must be one of"),
    ],
)
def test_field_error_has_its_path(fields, path, why):
    errors = errors_of({"name": "t", **fields} if fields else fields)
    assert set(errors) == {path}
    assert why in errors[path]


def test_all_field_errors_are_reported():
    errors = errors_of(
        {"nam": "t", "size": "Q", "ports": [0, "x"], "services": {"a": {"port": "p"}}}
    )
    assert set(errors) == {
        ("name",),
        ("nam",),
        ("size",),
        ("ports", 0),
        ("ports", 1),
        ("services", "a", "port"),
        ("services", "a", "command"),
    }


WORDS = st.sampled_from(
    ["name", "size", "S", "ports", "pip", "services", "command", "x", "string"]
)
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {"name": st.one_of(st.just("t"), ANY)},
    optional={name: ANY for name in Template.__struct_fields__ if name != "name"},
)


@given(FIELDS)
def test_fields_without_errors_are_exactly_those_that_convert(fields):
    if errors_of(fields):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(fields, Template)
    else:
        assert msgspec.convert(fields, Template).name == fields["name"]


def test_complete_template_has_no_field_errors():
    text = b"""
name: t
base: debian-12
package_manager: apt
packages: {apt: [git], pip: []}
services: {web: {command: serve, port: 80, health: /, requires: [serve], environment: {A: b}}}
ports: [80]
parameters: {p: {type: integer, default: 1, choices: [1, 2], minimum: 0, maximum: 9}}
"""
    assert [*type_errors(read(text, "t.yml"), Template)] == []
