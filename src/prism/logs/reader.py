"""Reads any kind of log of any workspace, from wherever it is kept."""

from collections.abc import Mapping
from typing import Any

from prism.kit.clock import Clock, whole
from prism.kit.db import Database
from prism.logs import store
from prism.logs.model import LOG_TYPES, Available, Listing, Log, LogType, Types
from prism.logs.ports import Logs, Said
from prism.workspaces.model import State, Workspace, WorkspaceNotFound
from prism.workspaces.snapshot import Kept, Snapshot

PIECE = 500  # events at a time
NOTHING = Said((), None)


class Reader:
    """Knows where each workspace's logs are."""

    def __init__(
        self, snapshot: Snapshot, db: Database, clock: Clock, places: Mapping[str, Logs]
    ) -> None:
        self._snapshot, self._db, self._clock, self._places = snapshot, db, clock, places

    @property
    def closed(self) -> bool:
        """Whether the daemon goes home."""
        return self._db.bus.closed

    def listing(self) -> Listing:
        """Every workspace; asks no machine."""
        rows = self._snapshot.pages.rows.values()
        return Listing(instances=tuple(_available(kept) for kept in rows))

    def types(self, name: str) -> Types:
        """The kinds of logs that a workspace has; asks no machine."""
        kept = self._snapshot.pages.named(name)
        found = LOG_TYPES if _has_logs(kept) else ("system",)
        it = kept.workspace
        return Types(instance_name=it.name, instance_id=_id(it), available_log_types=found)

    def named(self, name: str) -> Kept:
        """The workspace of that name or id."""
        return self._snapshot.pages.named(name)

    def ended(self, id: str) -> bool:
        """Whether there is nothing more to be heard of a workspace."""
        kept = self._snapshot.pages.rows.get(id)
        return kept is None or kept.state is State.TERMINATED

    def log(self, it: Workspace, kind: LogType, tail: int) -> Log:
        """The last lines."""
        return Log(
            instance_name=it.name,
            instance_id=_id(it),
            log_type=kind,
            lines=self.tail(it, kind, tail).lines,
            timestamp=whole(self._clock.now()),
            tail=tail,
        )

    def tail(self, it: Workspace, kind: LogType, lines: int) -> Said:
        """The last lines, and a mark to go on from."""
        if kind == "system":
            return self._happened(it, lines, 0)
        place = self._place(it)
        return place.tail(it.machine_id, kind, lines) if it.machine_id else NOTHING

    def after(self, it: Workspace, kind: LogType, mark: Any) -> Said:
        """The next lines."""
        if kind == "system":
            return self._happened(it, PIECE, mark)
        if kept := self._snapshot.pages.rows.get(it.id):
            it = kept.workspace  # it may have a machine by now
        return self._place(it).after(it.machine_id, kind, mark) if it.machine_id else NOTHING

    def _happened(self, it: Workspace, limit: int, mark: int) -> Said:
        with self._db.read() as sql:
            found = store.happened(sql, it.name, it.id, limit, mark)
        last = found[-1].id if found else mark
        return Said(tuple(map(store.line, found)), last)

    def _place(self, it: Workspace) -> Logs:
        if place := self._places.get(it.place):
            return place
        raise WorkspaceNotFound(
            f"Workspace {it.name!r} is not on this machine",
            details=f"it runs at {it.place}; ask the daemon there",
            remediation=f"Look at it with `prism workspace show {it.name}`",
        )


def _has_logs(kept: Kept) -> bool:
    return kept.workspace.machine_id is not None and kept.state is not State.TERMINATED


def _available(kept: Kept) -> Available:
    it = kept.workspace
    return Available(name=it.name, id=_id(it), state=kept.state, logs_available=_has_logs(kept))


def _id(it: Workspace) -> str | None:
    return it.machine_id or it.expected_id
