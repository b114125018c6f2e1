"""Reads the audit log, as far as the caller may see it."""

from collections.abc import Callable

from prism.access.model import Caller, Subject, current
from prism.access.plan import sees
from prism.access.visibility import FindSubject, may_see
from prism.audit import store
from prism.audit.model import AuditedWorkspace, AuditEntry, AuditQuery, AuditReader
from prism.audit.plan import entry
from prism.errors import ValidationFailed
from prism.kit.db import Database
from prism.kit.event_ids import IdsOfCaller
from prism.kit.events import RecordedEvent
from prism.kit.journal import newest

SPAN = 100_000  # events that one request searches for a caller who may see a part of them


class AuditService:
    """The audit log; `find_workspace` gives the project and owner of a workspace.

    `find_named` gives the workspace of a name or id; it raises `NotFound`.
    """

    def __init__(
        self,
        db: Database,
        find_workspace: FindSubject,
        find_named: Callable[[str], AuditedWorkspace],
        ids: IdsOfCaller,
    ) -> None:
        self._db, self._find_workspace, self._find_named = db, find_workspace, find_named
        self._ids = ids

    def entries(self, query: AuditQuery) -> tuple[list[AuditEntry], str | None]:
        """Matching entries that the caller may see, newest first, and the cursor of the next page.

        A caller who may see little of a long log gets few entries at a time, or none.
        """
        events: list[RecordedEvent] = []
        caller, ids, end = current(), self._ids(), 0
        reader = _reader(caller)
        with self._db.read() as sql:
            below = newest(sql) + 1
            if query.cursor is not None:
                if (before := ids.number(query.cursor)) is None:
                    why = f"{query.cursor!r} is not the id of an entry"
                    raise ValidationFailed.of(("cursor", why))
                below = min(below, before)
            if reader is not None:
                end = max(below - SPAN, 0)
            while len(events) <= query.limit and (
                page := store.page(sql, query, reader, range(end, below))
            ):
                events += [event for event in page if may_see(caller, event, self._find_workspace)]
                below = page[-1].id
        if len(events) > query.limit:
            events = events[: query.limit]
            end = events[-1].id
        next_page = ids.of_position(end) if end else None
        return [entry(event, ids.of_event(event)) for event in events], next_page

    def of_workspace(self, name: str, limit: int) -> list[AuditEntry]:
        """The last events of an existing workspace, by name or id; raises `NotFound`."""
        of = self._find_named(name)
        query = AuditQuery(subject=of.name, workspace=of.id, since=of.launched_at, limit=limit)
        return self.entries(query)[0]


def _reader(caller: Caller) -> AuditReader | None:
    """The reader to filter for; None if the caller may read everything."""
    if caller.operator:
        return None
    projects = tuple(id for id in caller.roles if sees(caller, Subject(id)))
    return AuditReader(caller.name.lower(), projects)
