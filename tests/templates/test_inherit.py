"""The rules of inheritance, for any fields."""

from itertools import chain, islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prism.templates.document import Node, SourceLine
from prism.templates.inherit import (
    DEEPEST,
    MissingAncestor,
    TemplateSource,
    chains,
    inherited,
    lineage,
    merge,
)

HERE = SourceLine("t.yml", 1)
SCALARS = st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["a", "b", "1", "True"]))


def node(value, place=HERE):
    if isinstance(value, dict):
        return Node({key: node(inner, place) for key, inner in value.items()}, place)
    if isinstance(value, list):
        return Node(tuple(node(inner, place) for inner in value), place)
    return Node(value, place)


def strategy(depth=2):
    """Mappings in which a key always holds the same kind of value, as fields do."""
    fields = {"scalar": SCALARS, "other": SCALARS, "list": st.lists(SCALARS, max_size=5)}
    if depth:
        fields["map"] = strategy(depth - 1)
    return st.fixed_dictionaries({}, optional=fields)


MAPS = strategy()


def merged_values(*values):
    first, *rest = (node(value) for value in values)
    for then in rest:
        first = merge(first, then)
    return first.plain()


def normalized(value):
    return merged_values({}, value)


def lists(value):
    for inner in value.values():
        if isinstance(inner, dict):
            yield from lists(inner)
        elif isinstance(inner, list):
            yield inner


@given(MAPS, MAPS, MAPS)
def test_merge_is_associative(a, b, c):
    left = merge(merge(node(a), node(b)), node(c)).plain()
    right = merge(node(a), merge(node(b), node(c))).plain()
    assert repr(left) == repr(right)  # repr: in Python 1 == True


@given(MAPS, MAPS)
def test_merged_lists_contain_no_duplicates(a, b):
    for merged in lists(merged_values({}, a, b)):
        assert len({repr(item) for item in merged}) == len(merged)


@given(MAPS, MAPS)
def test_merging_a_value_again_changes_nothing(a, b):
    once = merged_values({}, a, b)
    assert repr(merged_values(once, b)) == repr(once)
    assert repr(merged_values(once, once)) == repr(once)


@given(MAPS)
def test_merging_with_an_empty_mapping_changes_nothing(a):
    assert (
        repr(merged_values(normalized(a), {}))
        == repr(merged_values({}, normalized(a)))
        == repr(normalized(a))
    )


@given(st.lists(SCALARS), st.lists(SCALARS))
def test_merged_lists_keep_the_order_of_first_occurrence(a, b):
    firsts = {repr(item): item for item in reversed([*a, *b])}
    expected = [firsts[r] for r in dict.fromkeys(repr(item) for item in [*a, *b])]
    assert repr(merged_values({"x": a}, {"x": b})["x"]) == repr(expected)


@given(MAPS, MAPS)
def test_child_overrides_the_scalars_of_its_parent(a, b):
    merged = merged_values(a, b)
    assert merged.keys() == a.keys() | b.keys()
    for key in ("scalar", "other"):
        if key in b or key in a:
            assert repr(merged[key]) == repr(b.get(key, a.get(key)))


def test_merged_field_has_the_line_of_its_origin():
    parent, child = SourceLine("parent.yml", 7), SourceLine("child.yml", 3)
    merged = merge(
        node({"size": "S", "ports": [22]}, parent), node({"ports": [80], "icon": "x"}, child)
    )
    assert merged.at(("size",)) == parent
    assert merged.at(("ports", 0)) == parent
    assert merged.at(("ports", 1)) == child
    assert merged.at(("icon",)) == child


def sources_of(**templates):
    """Template sources by name; `inherits` gives the parents."""
    sources = {}
    for name, fields in templates.items():
        fields = {"name": name, "slug": f"s-{name}", **fields}
        file = f"{name}.yml"
        sources[name] = TemplateSource(
            name, fields["slug"], file, True, node(fields, SourceLine(file, 1))
        )
    return sources


def resolved(name, templates):
    return inherited(lineage(templates[name], templates.get)).plain()


def test_parents_are_merged_from_left_to_right_and_then_the_child():
    templates = sources_of(
        a={"size": "S", "users": ["u"], "packages": {"apt": ["x"]}},
        b={"size": "M", "icon": "b", "packages": {"apt": ["y", "x"], "pip": ["p"]}},
        c={"inherits": ["a", "b"], "users": ["v"], "packages": {"pip": ["q", "p"]}},
    )
    assert resolved("c", templates) == {
        "name": "c",
        "slug": "s-c",
        "inherits": ["a", "b"],
        "size": "M",
        "icon": "b",
        "users": ["u", "v"],
        "packages": {"apt": ["x", "y"], "pip": ["p", "q"]},
    }


DIAMOND = sources_of(
    top={"size": "S", "icon": "top", "ports": [1]},
    left={"inherits": ["top"], "size": "L", "ports": [2]},
    right={"inherits": ["top"], "ports": [3]},
    bottom={"inherits": ["left", "right"], "ports": [4, 1]},
)


def test_common_ancestor_is_merged_once_and_before_both_parents():
    assert [s.name for s in lineage(DIAMOND["bottom"], DIAMOND.get)] == [
        "top",
        "left",
        "right",
        "bottom",
    ]
    merged = resolved("bottom", DIAMOND)
    assert (merged["size"], merged["icon"], merged["ports"]) == ("L", "top", [1, 2, 3, 4])


def test_chains_list_all_paths_from_an_ancestor():
    assert [*chains(DIAMOND["bottom"], DIAMOND.get)] == [
        ("top", "left", "bottom"),
        ("top", "right", "bottom"),
    ]
    assert [*chains(DIAMOND["top"], DIAMOND.get)] == [("top",)]


def test_lineage_of_many_common_ancestors_is_computed_quickly():
    rungs = 24
    templates: dict[str, Any] = {"0": {}}
    for n in range(1, rungs):
        templates |= {f"{n}{side}": {"inherits": [str(n - 1)]} for side in "lr"}
        templates[str(n)] = {"inherits": [f"{n}l", f"{n}r", f"{n}l"]}
    sources = sources_of(**templates)
    top = sources[str(rungs - 1)]
    assert len(lineage(top, sources.get)) == len(templates)
    some = [*islice(chains(top, sources.get), 100)]
    assert len({*some}) == len(some) == 100


@pytest.mark.parametrize(("generations", "sound"), [(DEEPEST, True), (DEEPEST + 1, False)])
def test_lineage_of_more_than_fifty_generations_is_refused(generations, sound):
    templates = sources_of(
        **{str(n): {"inherits": [str(n - 1)] if n else []} for n in range(1000)}
    )
    descendant = templates[str(generations)]
    if sound:
        assert len(lineage(descendant, templates.get)) == generations + 1
    else:
        with pytest.raises(MissingAncestor, match="more than 50 generations"):
            lineage(descendant, templates.get)


@given(st.data())
def test_lineage_lists_each_ancestor_once_before_its_descendants(data):
    names = [f"t{n}" for n in range(8)]
    parents = {
        name: data.draw(st.lists(st.sampled_from(names[:n]), max_size=3) if n else st.just([]))
        for n, name in enumerate(names)
    }
    templates = sources_of(**{name: {"inherits": above} for name, above in parents.items()})
    for name in names:
        family = [template.name for template in lineage(templates[name], templates.get)]
        assert len(set(family)) == len(family)
        assert family[-1] == name
        for descendant in family:
            assert all(
                family.index(above) < family.index(descendant) for above in parents[descendant]
            )
        assert set(chain(*chains(templates[name], templates.get))) == set(family)


@pytest.mark.parametrize(
    ("name", "why", "loop"),
    [
        ("me", "it inherits itself: me → me", ("me", "me")),
        ("head", "it inherits itself: head → tail → head", ("head", "tail", "head")),
        ("tail", "it inherits itself: tail → head → tail", ("tail", "head", "tail")),
        ("lost", "there is no template 'nobody'", ()),
        ("descendant", "'head' cannot be inherited: it inherits itself", ()),
        ("child", "'lost' cannot be inherited: there is no template 'nobody' (lost.yml:1)", ()),
    ],
)
def test_missing_or_cyclic_parent_raises_an_error_with_the_reason(name, why, loop):
    templates = sources_of(
        me={"inherits": ["me"]},
        head={"inherits": ["tail"]},
        tail={"inherits": ["head"]},
        lost={"inherits": ["nobody"]},
        descendant={"inherits": ["head"]},
        child={"inherits": ["lost"]},
    )
    with pytest.raises(MissingAncestor) as caught:
        lineage(templates[name], templates.get)
    assert why in caught.value.why
    assert caught.value.loop == loop
