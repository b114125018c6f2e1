"""Reading YAML: each value has a line, and unreadable files have a reason."""

import pytest

from prism.templates.document import MAX_DOCUMENT_BYTES, TemplateUnreadable, read

NESTED = b"""\
name: it
ports:
  - 22
  - 8888
services:
  jupyter:
    command: >-
      jupyter
      lab
    port: 8888
"""


def test_each_value_has_its_line():
    node = read(NESTED, "t.yml")
    lines = {
        (): 1,
        ("name",): 1,
        ("ports",): 2,
        ("ports", 1): 4,
        ("services", "jupyter", "command"): 7,
        ("services", "jupyter", "port"): 10,
        ("services", "jupyter", "health"): 6,
        ("nothing", "of", "this"): 1,
        ("ports", 9): 2,
    }
    assert {path: node.at(path).line for path in lines} == lines
    assert str(node.at(("ports", 0))) == "t.yml:3"


def test_yaml_scalars_are_converted():
    text = b'a: 1\nb: "1"\nc: 1.5\nd: true\ne: null\nf: [x, {g: }]\nh: 2024-01-01\n'
    assert read(text, "t.yml").plain() == {
        "a": 1,
        "b": "1",
        "c": 1.5,
        "d": True,
        "e": None,
        "f": ["x", {"g": None}],
        "h": "2024-01-01",
    }


@pytest.mark.parametrize(
    ("text", "line", "field", "why"),
    [
        (b"", 1, "", "empty"),
        (b"# only words\n", 1, "", "empty"),
        (b"- a\n- b\n", 1, "", "not a mapping"),
        (b"just words", 1, "", "not a mapping"),
        (b"name: a\nports: [22\nusers: x", 3, "", "not YAML"),
        (b"name: a\n\tports: x", 2, "", "not YAML"),
        (b"name: a\n---\nname: b\n", 2, "", "not YAML"),
        (b"name: a\nusers: [x]\nname: b\n", 3, "name", "given twice, first in line 1"),
        (b"a:\n  b: 1\n  c: 2\n  b: 3\n", 4, "a.b", "given twice, first in line 2"),
        (b"a: &x [1]\nb: *x\n", 2, "b", "aliases"),
        (b"a: &x [*x]\n", 1, "a[0]", "aliases"),
        (b"a: !!python/object:os.system x\n", 1, "a", "tag"),
        (b"a:\n  - !env HOME\n", 2, "a[0]", "tag"),
        (b"? [a, b]\n: c\n", 1, "", "a key must be a word"),
        (b"name: \xff\n", 1, "", "not UTF-8"),
        (b"name: a\nicon: \xff\n", 2, "", "not UTF-8"),
        (b"name: a\x00b\n", 1, "", "not YAML"),
        (b"a: " + b"[" * 5000, 1, "", "not YAML"),
        (b"n: " + b"1" * 5000, 1, "n", "not YAML"),
        (b"#" * (MAX_DOCUMENT_BYTES + 1), 1, "", "larger than 256 KiB"),
    ],
)
def test_unreadable_template_raises_an_error_with_line_field_and_reason(text, line, field, why):
    with pytest.raises(TemplateUnreadable) as caught:
        read(text, "t.yml")
    assert (caught.value.place.file, caught.value.place.line) == ("t.yml", line)
    assert caught.value.field == field
    assert why in caught.value.why


def test_nested_aliases_are_refused_without_expansion():
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(TemplateUnreadable, match="aliases"):
        read("\n".join(lines).encode(), "t.yml")


def test_byte_order_mark_is_ignored():
    assert read(b"\xef\xbb\xbfname: a", "t.yml").plain() == {"name": "a"}
