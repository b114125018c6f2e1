"""The laws of inheritance, for whatever fields there are."""

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
    """Mappings in which one key always holds the same kind of thing, as fields do."""
    fields = {"scalar": SCALARS, "other": SCALARS, "list": st.lists(SCALARS, max_size=5)}
    if depth:
        fields["map"] = strategy(depth - 1)
    return st.fixed_dictionaries({}, optional=fields)


MAPS = strategy()


def both(*values):
    first, *rest = (node(value) for value in values)
    for then in rest:
        first = merge(first, then)
    return first.plain()


def alone(value):
    return both({}, value)


def lists(value):
    for inner in value.values():
        if isinstance(inner, dict):
            yield from lists(inner)
        elif isinstance(inner, list):
            yield inner


@given(MAPS, MAPS, MAPS)
def test_it_does_not_matter_which_two_are_merged_first(a, b, c):
    left = merge(merge(node(a), node(b)), node(c)).plain()
    right = merge(node(a), merge(node(b), node(c))).plain()
    assert repr(left) == repr(right)  # repr: in Python 1 == True


@given(MAPS, MAPS)
def test_nothing_comes_twice(a, b):
    for merged in lists(both({}, a, b)):
        assert len({repr(item) for item in merged}) == len(merged)


@given(MAPS, MAPS)
def test_to_inherit_again_changes_nothing(a, b):
    once = both({}, a, b)
    assert repr(both(once, b)) == repr(once)
    assert repr(both(once, once)) == repr(once)


@given(MAPS)
def test_nothing_inherited_from_nobody_changes_nothing(a):
    assert repr(both(alone(a), {})) == repr(both({}, alone(a))) == repr(alone(a))


@given(st.lists(SCALARS), st.lists(SCALARS))
def test_lists_keep_the_order_in_which_things_came_first(a, b):
    firsts = {repr(item): item for item in reversed([*a, *b])}
    expected = [firsts[r] for r in dict.fromkeys(repr(item) for item in [*a, *b])]
    assert repr(both({"x": a}, {"x": b})["x"]) == repr(expected)


@given(MAPS, MAPS)
def test_the_child_has_the_last_word_and_the_parent_speaks_where_it_is_silent(a, b):
    merged = both(a, b)
    assert merged.keys() == a.keys() | b.keys()
    for key in ("scalar", "other"):
        if key in b or key in a:
            assert repr(merged[key]) == repr(b.get(key, a.get(key)))


def test_what_is_inherited_keeps_the_line_it_was_written_in():
    parent, child = SourceLine("parent.yml", 7), SourceLine("child.yml", 3)
    merged = merge(
        node({"size": "S", "ports": [22]}, parent), node({"ports": [80], "icon": "x"}, child)
    )
    assert merged.at(("size",)) == parent
    assert merged.at(("ports", 0)) == parent
    assert merged.at(("ports", 1)) == child
    assert merged.at(("icon",)) == child


def folder(**sheets):
    """Sheets by name; `inherits` gives the parents."""
    sources = {}
    for name, says in sheets.items():
        says = {"name": name, "slug": f"s-{name}", **says}
        file = f"{name}.yml"
        sources[name] = TemplateSource(
            name, says["slug"], file, True, node(says, SourceLine(file, 1))
        )
    return sources


def resolved(name, sheets):
    return inherited(lineage(sheets[name], sheets.get)).plain()


def test_parents_left_to_right_then_the_child_and_name_slug_and_parents_are_its_own():
    sheets = folder(
        a={"size": "S", "users": ["u"], "packages": {"apt": ["x"]}},
        b={"size": "M", "icon": "b", "packages": {"apt": ["y", "x"], "pip": ["p"]}},
        c={"inherits": ["a", "b"], "users": ["v"], "packages": {"pip": ["q", "p"]}},
    )
    assert resolved("c", sheets) == {
        "name": "c",
        "slug": "s-c",
        "inherits": ["a", "b"],
        "size": "M",
        "icon": "b",
        "users": ["u", "v"],
        "packages": {"apt": ["x", "y"], "pip": ["p", "q"]},
    }


DIAMOND = folder(
    top={"size": "S", "icon": "top", "ports": [1]},
    left={"inherits": ["top"], "size": "L", "ports": [2]},
    right={"inherits": ["top"], "ports": [3]},
    bottom={"inherits": ["left", "right"], "ports": [4, 1]},
)


def test_a_diamond_counts_its_top_once_and_the_top_does_not_override_the_left():
    assert [s.name for s in lineage(DIAMOND["bottom"], DIAMOND.get)] == [
        "top",
        "left",
        "right",
        "bottom",
    ]
    merged = resolved("bottom", DIAMOND)
    assert (merged["size"], merged["icon"], merged["ports"]) == ("L", "top", [1, 2, 3, 4])


def test_the_chains_are_all_ways_down():
    assert [*chains(DIAMOND["bottom"], DIAMOND.get)] == [
        ("top", "left", "bottom"),
        ("top", "right", "bottom"),
    ]
    assert [*chains(DIAMOND["top"], DIAMOND.get)] == [("top",)]


def test_a_ladder_of_diamonds_is_climbed_once_and_not_in_all_its_ways():
    rungs = 24
    sheets: dict[str, Any] = {"0": {}}
    for n in range(1, rungs):
        sheets |= {f"{n}{side}": {"inherits": [str(n - 1)]} for side in "lr"}
        sheets[str(n)] = {"inherits": [f"{n}l", f"{n}r", f"{n}l"]}
    sources = folder(**sheets)
    top = sources[str(rungs - 1)]
    assert len(lineage(top, sources.get)) == len(sheets)
    some = [*islice(chains(top, sources.get), 100)]
    assert len({*some}) == len(some) == 100


@pytest.mark.parametrize(("generations", "sound"), [(DEEPEST, True), (DEEPEST + 1, False)])
def test_who_inherits_over_too_many_generations_is_told_so(generations, sound):
    sheets = folder(**{str(n): {"inherits": [str(n - 1)] if n else []} for n in range(1000)})
    heir = sheets[str(generations)]
    if sound:
        assert len(lineage(heir, sheets.get)) == generations + 1
    else:
        with pytest.raises(MissingAncestor, match="more than 50 generations"):
            lineage(heir, sheets.get)


@given(st.data())
def test_ancestors_come_before_their_heirs_each_once(data):
    names = [f"t{n}" for n in range(8)]
    parents = {
        name: data.draw(st.lists(st.sampled_from(names[:n]), max_size=3) if n else st.just([]))
        for n, name in enumerate(names)
    }
    sheets = folder(**{name: {"inherits": above} for name, above in parents.items()})
    for name in names:
        family = [sheet.name for sheet in lineage(sheets[name], sheets.get)]
        assert len(set(family)) == len(family)
        assert family[-1] == name
        for heir in family:
            assert all(family.index(above) < family.index(heir) for above in parents[heir])
        assert set(chain(*chains(sheets[name], sheets.get))) == set(family)


@pytest.mark.parametrize(
    ("name", "why", "loop"),
    [
        ("me", "it inherits itself: me → me", ("me", "me")),
        ("head", "it inherits itself: head → tail → head", ("head", "tail", "head")),
        ("tail", "it inherits itself: tail → head → tail", ("tail", "head", "tail")),
        ("lost", "there is no template 'nobody'", ()),
        ("heir", "'head' cannot be inherited: it inherits itself", ()),
        ("child", "'lost' cannot be inherited: there is no template 'nobody' (lost.yml:1)", ()),
    ],
)
def test_what_has_no_lineage_says_why(name, why, loop):
    sheets = folder(
        me={"inherits": ["me"]},
        head={"inherits": ["tail"]},
        tail={"inherits": ["head"]},
        lost={"inherits": ["nobody"]},
        heir={"inherits": ["head"]},
        child={"inherits": ["lost"]},
    )
    with pytest.raises(MissingAncestor) as caught:
        lineage(sheets[name], sheets.get)
    assert why in caught.value.why
    assert caught.value.loop == loop
