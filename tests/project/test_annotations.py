"""Annotations mean the same in every version of Python."""

import ast

from tests.project.tree import ROOT, refuse

SOURCES = sorted((ROOT / "src" / "prism").rglob("*.py"))


def fields_named_as_types(source):
    """The fields of classes, with the name that an annotation of a field there means otherwise."""
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    for node in classes:
        fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
        own = {each.target.id for each in fields if isinstance(each.target, ast.Name)}
        own |= {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
        for each in fields:
            names = {name.id for name in ast.walk(each.annotation) if isinstance(name, ast.Name)}
            for name in sorted(names & own):
                yield node.name, ast.unparse(each.target), name


def test_no_field_has_the_name_of_a_type_in_the_annotations_of_its_class():
    """Python 3.14 evaluates them later, when the name means the field: write `datetime.date`."""
    assert [*fields_named_as_types("class Bar(Struct):\n    date: date")] == [
        ("Bar", "date", "date")
    ]
    hits = (
        f"{path.relative_to(ROOT)}: {owner}.{field} means the field {name}, not the type"
        for path in SOURCES
        for owner, field, name in fields_named_as_types(path.read_text())
    )
    refuse(hits, "Write the type with its module: `datetime.date`")
