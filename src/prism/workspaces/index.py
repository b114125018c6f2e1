"""Finds workspaces by name, state, project or template without reading all of them.

An index is immutable. A change copies only the lists that it touches, so a change or a lookup
costs the same however many unrelated workspaces exist (except for the copies themselves, which are
plain copies of pointers).
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeVar

from msgspec import Struct

from prism.workspaces.model import Workspace, WorkspaceState

Key = tuple[str, str]
K = TypeVar("K", bound=Hashable)
FEW = 16  # up to so many changes are made one by one: copying a list is quicker than building one


class IndexEntry(Struct, frozen=True):
    """The fields by which a workspace can be found."""

    id: str
    names: frozenset[str]
    groups: frozenset[Key]


class Index(Struct, frozen=True):
    """Ids in the order of launch: all of them, by name, and by state, project and template."""

    ids: Sequence[str] = ()
    names: Mapping[str, Sequence[str]] = {}
    groups: Mapping[Key, Sequence[str]] = {}

    @classmethod
    def of(cls, entries: Iterable[IndexEntry]) -> "Index":
        """The index of these entries, built at once."""
        ids: list[str] = []
        names: defaultdict[str, list[str]] = defaultdict(list)
        groups: defaultdict[Key, list[str]] = defaultdict(list)
        for entry in sorted(entries, key=lambda it: it.id):
            ids.append(entry.id)
            for name in entry.names:
                names[name].append(entry.id)
            for group in entry.groups:
                groups[group].append(entry.id)
        return cls(ids, dict(names), dict(groups))

    def changed(self, removed: Iterable[IndexEntry], added: Iterable[IndexEntry]) -> "Index":
        """The index after entries were removed and others were added."""
        removed, added = list(removed), list(added)
        before, after = {entry.id for entry in removed}, {entry.id for entry in added}
        return Index(
            _merged(self.ids, before - after, after - before),
            _changed(self.names, _pairs(removed, "names"), _pairs(added, "names")),
            _changed(self.groups, _pairs(removed, "groups"), _pairs(added, "groups")),
        )

    def matching(
        self,
        state: WorkspaceState | None = None,
        project: str | None = None,
        template: str | None = None,
        owner: str | None = None,
        after: str | None = None,
    ) -> Iterator[str]:
        """The ids after `after` that fit each given filter."""
        filters = keys(state, project, template, owner)
        lists = sorted((self.groups.get(key, ()) for key in filters), key=len)
        shortest, *longer = lists or [self.ids]
        start = 0 if after is None else bisect_right(shortest, after)
        for position in range(start, len(shortest)):
            id = shortest[position]
            if all(_contains(other, id) for other in longer):
                yield id


def entry(workspace: Workspace, state: WorkspaceState, full_name: str | None = None) -> IndexEntry:
    """The index entry of a workspace in this state."""
    ids = (workspace.id, workspace.machine_id, workspace.expected_id)
    templates = (workspace.template, workspace.resolved_template.slug)
    projects = (workspace.project, workspace.project_name)
    groups = _groups(state.value, workspace.owner, templates, projects)
    return IndexEntry(
        workspace.id, frozenset(filter(None, (workspace.name, full_name, *ids))), groups
    )


@lru_cache(maxsize=4096)
def _groups(
    state: str, owner: str, templates: tuple[str, ...], projects: tuple[str | None, ...]
) -> frozenset[Key]:
    """The lists that contain this entry; cached, because many workspaces share them."""
    under_template = {("template", name) for name in templates}
    in_project = {("project", name) for name in projects if name}
    return frozenset({("state", state), ("owner", owner.lower())} | under_template | in_project)


def keys(
    state: WorkspaceState | None,
    project: str | None,
    template: str | None,
    owner: str | None = None,
) -> list[Key]:
    """The keys of the lists that these filters use."""
    filters = {"state": state and state.value, "project": project, "template": template}
    filters["owner"] = owner and owner.lower()
    return [(kind, value) for kind, value in filters.items() if value is not None]


def _pairs(
    entries: Iterable[IndexEntry], kind: Literal["names", "groups"]
) -> set[tuple[Any, str]]:
    return {(key, entry.id) for entry in entries for key in getattr(entry, kind)}


def _changed(
    old: Mapping[K, Sequence[str]], removed: set[tuple[K, str]], added: set[tuple[K, str]]
) -> Mapping[K, Sequence[str]]:
    drop: defaultdict[K, set[str]] = defaultdict(set)
    add: defaultdict[K, set[str]] = defaultdict(set)
    for key, id in removed - added:
        drop[key].add(id)
    for key, id in added - removed:
        add[key].add(id)
    if not drop and not add:
        return old
    lists = {key: _merged(old.get(key, ()), drop[key], add[key]) for key in {*drop, *add}}
    merged = {**old, **lists}
    for key in [key for key, ids in lists.items() if not ids]:
        del merged[key]
    return merged


def _merged(old: Sequence[str], drop: Collection[str], add: Collection[str]) -> Sequence[str]:
    if not drop and not add:
        return old
    if len(drop) + len(add) > FEW:
        return sorted({*old}.difference(drop).union(add))
    ids = list(old)
    for id in drop:
        if _contains(ids, id):
            del ids[bisect_left(ids, id)]
    for id in add:
        insort(ids, id)
    return ids


def _contains(ids: Sequence[str], id: str) -> bool:
    position = bisect_right(ids, id)
    return position > 0 and ids[position - 1] == id
