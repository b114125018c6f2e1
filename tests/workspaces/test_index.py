"""The index returns the same workspaces as a search of all of them, in the same order."""

from hypothesis import given
from hypothesis import strategies as st

from prism.workspaces.index import Index, IndexEntry, keys
from prism.workspaces.model import WorkspaceState

IDS = st.sampled_from([f"ws_{number:02}" for number in range(12)])
PROJECTS = st.sampled_from(["dfg", "erc"])
OWNERS = st.sampled_from(["ada@x.org", "Ben@x.org"])
TEMPLATES = st.sampled_from(["jupyter", "shell"])
STATES = st.sampled_from([WorkspaceState.RUNNING, WorkspaceState.STOPPED])
NAMES = st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=2)


@st.composite
def entries(draw):
    state, project, template = draw(STATES), draw(st.none() | PROJECTS), draw(TEMPLATES)
    owner = draw(OWNERS)
    return IndexEntry(draw(IDS), draw(NAMES), frozenset(keys(state, project, template, owner)))


@st.composite
def changes(draw):
    """A series of commits: each removes some ids and adds or replaces others."""
    return draw(st.lists(st.tuples(st.frozensets(IDS), st.lists(entries(), unique_by=_id))))


def _id(entry):
    return entry.id


Filters = tuple[WorkspaceState | None, str | None, str | None, str | None]
FILTERS = st.tuples(*(st.none() | some for some in (STATES, PROJECTS, TEMPLATES, OWNERS)))


@given(changes(), FILTERS, st.none() | IDS)
def test_index_returns_the_same_as_a_full_search(changes, filters: Filters, after):
    index = Index()
    entries: dict[str, IndexEntry] = {}
    for removed, added in changes:
        touched = removed | {entry.id for entry in added}
        index = index.changed([entries.pop(id) for id in touched & entries.keys()], added)
        entries |= {entry.id: entry for entry in added}
    matching = set(keys(*filters))
    expected = [
        id for id in sorted(entries) if matching <= entries[id].groups and id > (after or "")
    ]
    assert [*index.matching(*filters, after)] == expected
    for name in ("a", "b", "c", "nobody"):
        assert [*index.names.get(name, ())] == [
            i for i in sorted(entries) if name in entries[i].names
        ]
    built = Index.of(entries.values())
    assert ([*built.ids], built.names, built.groups) == ([*index.ids], index.names, index.groups)
    assert all(index.names.values()) and all(index.groups.values()), "empty lists are dropped"


def test_older_index_is_not_changed():
    first = Index().changed([], [IndexEntry("ws_01", frozenset({"a"}), frozenset())])
    second = first.changed([], [IndexEntry("ws_00", frozenset({"a"}), frozenset())])
    assert ([*first.ids], [*first.names["a"]]) == (["ws_01"], ["ws_01"])
    assert ([*second.ids], [*second.names["a"]]) == (["ws_00", "ws_01"], ["ws_00", "ws_01"])


class CountingList(list[str]):
    """A list that counts its item reads."""

    reads = 0

    def __getitem__(self, place):
        self.reads += 1
        return super().__getitem__(place)


def test_page_reads_no_more_items_in_a_large_index():
    def reads(many):
        ids = CountingList(f"ws_{number:06}" for number in range(many))
        matches = Index(ids, {}, {("state", "running"): ids}).matching(
            WorkspaceState.RUNNING, after=ids[9]
        )
        [next(matches) for _ in range(50)]
        return ids.reads

    assert reads(100_000) <= reads(100) + 20, "only the bisection reads more"
