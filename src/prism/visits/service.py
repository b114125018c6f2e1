"""Records who enters a workspace of somebody else, before they are let in.

A visit is one row for each workspace, person and way. Requests within `TOUCH_EVERY` cost nothing:
this daemon remembers the visits that last, and how many connections each has.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from prism.access.model import Caller
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.visits import store
from prism.visits.events import WorkspaceEntered, WorkspaceLeft
from prism.visits.model import CONNECTIONS, VISIT_PAUSE, Visit, VisitShown, WayIn
from prism.workspaces import store as workspaces
from prism.workspaces.events import about
from prism.workspaces.model import Workspace

TOUCH_EVERY = timedelta(minutes=1)
Key = tuple[str, str, WayIn]  # workspace, person, way


@dataclass(slots=True)
class OpenVisit:
    """A visit of this daemon: its connections now, and when the row was last written."""

    id: str
    touched_at: datetime
    connections: int = 0


class VisitService:
    """Begins, ends and lists visits."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._open: dict[Key, OpenVisit] = {}
        self._lock = threading.Lock()

    @asynccontextmanager
    async def during(
        self, workspace: Workspace, caller: Caller, way: WayIn
    ) -> AsyncIterator[None]:
        """A visit while the block runs, unless the caller is the owner.

        Raises if it cannot be recorded: nobody enters without a trace.
        """
        if not caller.team or workspace.owner.lower() == caller.name.lower():
            yield
            return
        key = (workspace.id, caller.name.lower(), way)
        await asyncio.to_thread(self.begin, key)
        try:
            yield
        finally:
            await asyncio.shield(asyncio.to_thread(self.leave, key))

    def begin(self, key: Key) -> None:
        """Begin a visit, or go on with the one that lasts."""
        with self._lock:
            now, known = self._clock.now(), self._open.get(key)
            if known is None or now - known.touched_at >= TOUCH_EVERY:
                id = self._write(key)
                known = self._open.setdefault(key, OpenVisit(id, now))
                known.id, known.touched_at = id, now
            known.connections += 1

    def leave(self, key: Key) -> None:
        """One request less; the visit ends with the last connection, if it is one."""
        with self._lock:
            known = self._open[key]
            known.connections -= 1
            if known.connections or key[2] not in CONNECTIONS:
                return
            del self._open[key]
            with self._db.write() as tx:
                self._end(tx, known.id, whole(self._clock.now()))

    def refresh(self) -> None:
        """Record that the visits with connections to this daemon last; forget the others."""
        with self._lock:
            now = self._clock.now()
            for key, known in [*self._open.items()]:
                if not known.connections and now - known.touched_at >= VISIT_PAUSE:
                    del self._open[key]
            lasting = [known for known in self._open.values() if known.connections]
            if lasting:
                with self._db.write() as tx:
                    store.touch(tx, [known.id for known in lasting], whole(now))
                for known in lasting:
                    known.touched_at = now

    def end_if_over(self, tx: Tx, id: str) -> None:
        """End a visit that nobody has seen for a while, at the time when it was last seen."""
        visit = store.find(tx.sql, id)
        if visit is not None and visit.last_at + VISIT_PAUSE <= self._clock.now():
            self._end(tx, id, visit.last_at)

    def of_workspace(self, name: str) -> list[VisitShown]:
        """The visits of other people to a workspace."""
        with self._db.read() as sql:
            workspace = workspaces.named(sql, name)
            rows = store.of_workspace(sql, workspace.id)
        return [
            VisitShown(
                person=row.person, way=row.way, began_at=row.began_at, ended_at=row.ended_at
            )
            for row in rows
        ]

    def _write(self, key: Key) -> str:
        """The id of the visit that lasts, which is a new one if there is none."""
        id, person, way = key
        now = whole(self._clock.now())
        with self._db.write() as tx:
            visit = store.open_visit(tx.sql, id, person, way)
            if visit is not None and visit.last_at + VISIT_PAUSE > now:
                store.touch(tx, [visit.id], now)
                return visit.id
            if visit is not None:
                self._end(tx, visit.id, visit.last_at)
            visit = Visit(
                id=sortable_id("vis", self._clock.now()),
                workspace=id,
                person=person,
                way=way,
                began_at=now,
                last_at=now,
            )
            store.add(tx, visit)
            workspace = workspaces.by_id(tx.sql, id)
            tx.happened(
                WorkspaceEntered(**about(workspace), actor=person, owner=workspace.owner, way=way)
            )
            return visit.id

    def _end(self, tx: Tx, id: str, at: datetime) -> None:
        visit = store.find(tx.sql, id)
        if visit is None or not store.end(tx, id, at):
            return
        workspace = store.workspace_of(tx.sql, visit)
        if workspace is not None:
            tx.happened(
                WorkspaceLeft(
                    **about(workspace),
                    actor=visit.person,
                    owner=workspace.owner,
                    way=visit.way,
                    began_at=visit.began_at,
                    ended_at=at,
                )
            )
