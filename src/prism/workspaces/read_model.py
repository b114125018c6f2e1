"""All workspaces in memory, with their encoded bytes, to answer reads.

The thread that commits updates it after each commit, from the events of that commit, before it
answers the request. So the next read sees what was just written. Events of other daemons arrive by
the same call (`kit/database/pg_notify.py`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from functools import cached_property
from threading import Lock

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.access.names import named as chosen
from prism.kit import journal
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.db import Database, Tx
from prism.kit.money import Micros, amount
from prism.projects.model import WorkspaceCounts
from prism.storage.model import AttachedVolumes
from prism.storage.store import attached
from prism.workspaces import store
from prism.workspaces.events import WorkspaceEvent
from prism.workspaces.index import Index, IndexEntry, entry
from prism.workspaces.model import IdleSummary, Workspace, WorkspaceState
from prism.workspaces.plan import ACTIVE, IN_BETWEEN, state_of
from prism.workspaces.surveys.first_surveys import FirstSurveys
from prism.workspaces.view import NOTHING, instance

Spends = Callable[[Connection], Mapping[str, Micros | None]]
Idles = Callable[[Workspace], IdleSummary]
Waits = Callable[[Workspace], str | None]
Notes = Callable[[Workspace], tuple[str, ...]]
FullName = Callable[[str, str], str | None]
UnreachableReason = Callable[[str], str | None]
Saved = Callable[[str, datetime], Micros | None]


class CachedWorkspace(Struct, frozen=True):
    """A workspace, and its encoded entry in the list."""

    workspace: Workspace
    state: WorkspaceState
    encoded: bytes
    idle: IdleSummary
    waiting: str | None = None
    full_name: str | None = None


class EncodedPages(Struct, frozen=True, dict=True):
    """All workspaces at one moment; `version` is the last event that they include.

    `settled` is the last settlement (in seconds since 1970) that changed a workspace's costs;
    `delays` counts how often something that is not in a row has changed, such as the reason for a
    delay.
    """

    version: int
    settled: int
    rows: dict[str, CachedWorkspace]
    index: Index = Index()
    delays: int = 0

    @cached_property
    def body(self) -> bytes:
        """The whole list; joined at the first read, since there are more writes than reads."""
        return listed([*self.rows.values()])

    @cached_property
    def counts(self) -> Mapping[str, WorkspaceCounts]:
        """How many workspaces each project has, and how many of these are active."""
        total, active = Counter[str](), Counter[str]()
        for cached in self.rows.values():
            if (project := cached.workspace.project) is not None:
                total[project] += 1
                active[project] += cached.state in ACTIVE
        return {project: WorkspaceCounts(active[project], many) for project, many in total.items()}

    @property
    def locations(self) -> Set[str]:
        """The locations of living workspaces."""
        workspaces = (cached.workspace for cached in self.rows.values())
        return {workspace.location for workspace in workspaces if workspace.ended_at is None}

    def many(self, states: Collection[WorkspaceState]) -> int:
        """How many workspaces are in one of these states."""
        return sum(len(self.index.groups.get(("state", state.value), ())) for state in states)

    def named(self, name: str) -> CachedWorkspace:
        """The workspace that a name, a full name or an id means to the caller.

        The last terminated one if there is no other.
        """
        rows = [self.rows[id].workspace for id in self.index.names.get(name, ())]
        workspace = chosen("workspace", name, rows, store.has_ended, self._full_names)
        if workspace is None:
            raise store.not_found(name)
        return self.rows[workspace.id]

    def _full_names(self, workspaces: Sequence[Workspace]) -> list[str]:
        return [self.rows[workspace.id].full_name or workspace.name for workspace in workspaces]

    def matching(
        self,
        state: WorkspaceState | None = None,
        project: str | None = None,
        template: str | None = None,
        owner: str | None = None,
        after: str | None = None,
    ) -> Iterator[CachedWorkspace]:
        """The workspaces that match every given filter, in the order of launch, after an id."""
        return map(
            self.rows.__getitem__, self.index.matching(state, project, template, owner, after)
        )


class ReadModel:
    """Holds the newest `EncodedPages`; a reader takes them without a lock."""

    def __init__(
        self,
        db: Database,
        spends: Spends,
        idles: Idles,
        saved: Saved,
        waits: Waits,
        *,
        first_surveys: FirstSurveys,
        unreachable: UnreachableReason,
        notes: Notes,
        full_name: FullName = lambda _name, _owner: None,
    ) -> None:
        """`unreachable` says why no daemon serves a location; `notes`, what a machine lacks.

        `full_name` gives the full name, of a name and an owner, where it differs.
        """
        self._db, self._lock = db, Lock()
        self.saved: Saved = saved
        self._spends: Spends = spends
        self._idles: Idles = idles
        self._waits: Waits = waits
        self._first_surveys = first_surveys
        self._shows_unseen = False  # whether rows may say that their state is old
        self._unreachable: UnreachableReason = unreachable
        self._notes: Notes = notes
        self._full_name: FullName = full_name
        self._spend: Mapping[str, Micros | None] = {}
        self._attached: dict[str, AttachedVolumes] = {}
        self._pages: EncodedPages | None = None
        # By locations: their living workspaces, for the current pages.
        self._living: dict[frozenset[str], tuple[object, Sequence[Workspace]]] = {}
        db.committed.append(self.refresh)

    @property
    def pages(self) -> EncodedPages:
        """The newest pages; raises if the database is lost."""
        if self._db.lost:
            self._db.look()
        return self._pages or self.refresh()

    @property
    def current(self) -> EncodedPages:
        """The newest pages, with the current reasons for delays."""
        pages = self.pages
        going = [cached for state in IN_BETWEEN for cached in pages.matching(state)]
        if self._shows_unseen or not self._first_surveys.is_complete:
            self._shows_unseen = not self._first_surveys.is_complete
            going = [*pages.rows.values()]
        if all(self._waits(cached.workspace) == cached.waiting for cached in going):
            return pages
        with self._lock:
            pages = self._pages or pages
            rows = dict(pages.rows)
            for cached in going:
                if cached.workspace.id in rows:
                    rows[cached.workspace.id] = self._cache(rows[cached.workspace.id].workspace)
            self._pages = replace(pages, rows=rows, delays=pages.delays + 1)
            return self._pages

    @property
    def known(self) -> EncodedPages:
        """The newest pages, even if the database is lost."""
        try:
            return self._pages or self.refresh()
        except DatabaseUnavailable:
            return EncodedPages(0, 0, {})

    def fresh(self, name: str) -> bytes:
        """One workspace, by name or instance id, with its current idleness."""
        cached = self.pages.named(name)
        now = self._idles(cached.workspace), self._waits(cached.workspace)
        if now == (cached.idle, cached.waiting):
            return cached.encoded
        return self._cache(cached.workspace).encoded

    def living(self, locations: Collection[str]) -> Sequence[Workspace]:
        """The workspaces in these locations that have not ended; the same until a row changes."""
        rows, key = self.pages.rows, frozenset(locations)
        known = self._living.get(key)
        if known is None or known[0] is not rows:
            workspaces = (cached.workspace for cached in rows.values())
            living = [w for w in workspaces if w.ended_at is None and w.location in key]
            known = self._living[key] = rows, living
        return known[1]

    def counts(self) -> Mapping[str, WorkspaceCounts]:
        """How many workspaces each project has, by its id; a project that is missing has none."""
        return self.pages.counts

    def settle(self, now: datetime) -> EncodedPages:
        """Read all costs and verdicts; lists show these until the next call."""
        with self._db.read() as sql:
            fresh = self._spends(sql)
        pages = self.pages
        with self._lock:
            pages, before, self._spend = self._pages or pages, self._spend, fresh
            moved = [
                cached
                for id, cached in pages.rows.items()
                if _shown_amount(fresh.get(id, NOTHING)) != _shown_amount(before.get(id, NOTHING))
                or self._idles(cached.workspace) != cached.idle
            ]
            if moved:
                rows = pages.rows | {
                    cached.workspace.id: self._cache(cached.workspace) for cached in moved
                }
                self._pages = replace(pages, settled=int(now.timestamp()), rows=rows)
            return self._pages or pages

    def recache(self, ids: Collection[str] | None = None) -> None:
        """Encode these workspaces again, or all: something that is not in a row has changed."""
        with self._lock:
            if (pages := self._pages) is not None:
                rows = {
                    id: self._cache(cached.workspace) if ids is None or id in ids else cached
                    for id, cached in pages.rows.items()
                }
                self._pages = replace(pages, rows=rows, delays=pages.delays + 1)

    def refresh(self, tx: Tx | None = None) -> EncodedPages:
        """Read the changes since the last call, from `tx` or from another daemon."""
        with self._lock:
            if self._pages is None:
                self._pages = self._read_all()
            elif tx is None or tx.newest > self._pages.version:
                self._pages = self._patched(self._pages, tx)
            return self._pages

    def _read_all(self) -> EncodedPages:
        with self._db.read() as sql:
            version, workspaces = journal.newest(sql), store.every(sql)
            self._spend, self._attached = self._spends(sql), attached(sql)
        rows = {workspace.id: self._cache(workspace) for workspace in workspaces}
        return EncodedPages(version, 0, rows, Index.of(map(_entry, rows.values())))

    def _patched(self, old: EncodedPages, tx: Tx | None) -> EncodedPages:
        if tx is not None and (rows := _changed_in(tx, old.version)):
            return self._with(old, tx.newest, rows.keys(), rows.values())
        with self._db.read() as sql:
            version, touched = _changed_since(sql, old.version)
            changed = store.by_ids(sql, touched) if touched else []
            if touched:
                self._attached |= {id: AttachedVolumes() for id in touched} | attached(
                    sql, touched
                )
        if not touched:
            return old if version == old.version else replace(old, version=version)
        return self._with(old, version, touched, changed)

    def _with(
        self, old: EncodedPages, version: int, touched: Set[str], changed: Iterable[Workspace]
    ) -> EncodedPages:
        """The pages with these rows; an id in `touched` without a row is removed."""
        fresh = {workspace.id: self._cache(workspace) for workspace in changed}
        rows = old.rows | fresh
        for id in touched - fresh.keys():
            rows.pop(id, None)
            self._attached.pop(id, None)
        new = fresh.keys() - old.rows.keys()
        if new and old.rows and min(new) < next(reversed(old.rows)):
            rows = dict(sorted(rows.items()))  # another daemon's clock was behind ours
        before = [_entry(old.rows[id]) for id in touched if id in old.rows]
        index = old.index.changed(before, map(_entry, fresh.values()))
        return replace(old, version=version, rows=rows, index=index)

    def _cache(self, workspace: Workspace) -> CachedWorkspace:
        spent, idle = self._spend.get(workspace.id, NOTHING), self._idles(workspace)
        attached, waiting = (
            self._attached.get(workspace.id, AttachedVolumes()),
            self._waits(workspace),
        )
        if waiting is not None and not self._first_surveys.is_complete:
            self._shows_unseen = True
        view = instance(workspace, spent, attached, idle)
        why, notes = self._unreachable(workspace.location), self._notes(workspace)
        if why is not None or notes or waiting is not None:
            view = replace(view, unreachable=why, notes=notes, waiting=waiting)
        if (full_name := self._full_name(workspace.name, workspace.owner)) is not None:
            view = replace(view, full_name=full_name)
        state, encoded = state_of(workspace), msgspec.json.encode(view)
        return CachedWorkspace(workspace, state, encoded, idle, waiting, full_name)


def _shown_amount(spend: Micros | None) -> float | None:
    """The amount in a list; rounded, because most change by less than a cent."""
    return None if spend is None else amount(spend)


def listed(rows: Sequence[CachedWorkspace]) -> bytes:
    """The encoded list of these rows."""
    return b"[%s]" % b",".join(cached.encoded for cached in rows)


def _changed_in(tx: Tx, after: int) -> Mapping[str, Workspace] | None:
    """The workspaces that a transaction changed, if it alone follows `after`.

    None if it does not have each row, or may have changed an attachment.
    """
    events = [event for event in tx.events if isinstance(event, WorkspaceEvent)]
    ids = {event.workspace for event in events}
    is_all = len(events) == len(tx.events) == tx.newest - after
    return {id: tx.rows[id] for id in ids} if is_all and ids <= tx.rows.keys() else None


def _changed_since(sql: Connection, after: int) -> tuple[int, set[str]]:
    """The number of the newest event, and the workspaces of all events after `after`."""
    ids: set[str] = set()
    while events := journal.after(sql, after):
        ids |= {event.data["workspace"] for event in events if "workspace" in event.data}
        after = events[-1].id
        if len(events) < journal.EVENTS_AT_ONCE:
            break
    return after, ids


def _entry(cached: CachedWorkspace) -> IndexEntry:
    return entry(cached.workspace, cached.state, cached.full_name)
