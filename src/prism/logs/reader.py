"""Reads logs of workspaces from their providers and from the events."""

from collections.abc import Mapping
from typing import Any

from prism.kit.clock import Clock, whole
from prism.kit.db import Database
from prism.logs import store
from prism.logs.model import LOG_TYPES, LogLines, LogSource, LogSourceList, LogType, LogTypeList
from prism.logs.ports import LogChunk, Logs
from prism.workspaces.model import Workspace, WorkspaceState
from prism.workspaces.plan import elsewhere
from prism.workspaces.read_model import CachedWorkspace, ReadModel

EVENTS_AT_ONCE = 500  # events at a time
NO_LINES = LogChunk((), None)


class LogReader:
    """Reads the logs of all workspaces."""

    def __init__(
        self, read_model: ReadModel, db: Database, clock: Clock, logs: Mapping[str, Logs]
    ) -> None:
        self._read_model, self._db, self._clock, self._logs = read_model, db, clock, logs

    @property
    def closed(self) -> bool:
        """Whether the daemon is stopping."""
        return self._db.bus.closed

    def listing(self) -> LogSourceList:
        """Every workspace; asks no machine."""
        return LogSourceList(
            instances=tuple(
                LogSource(
                    name=cached.workspace.name,
                    id=_id(cached.workspace),
                    state=cached.state,
                    logs_available=_has_logs(cached),
                )
                for cached in self._read_model.pages.rows.values()
            )
        )

    def types(self, name: str) -> LogTypeList:
        """The kinds of logs that a workspace has; asks no machine."""
        cached = self._read_model.pages.named(name)
        kinds = LOG_TYPES if _has_logs(cached) else ("system",)
        workspace = cached.workspace
        return LogTypeList(
            instance_name=workspace.name, instance_id=_id(workspace), available_log_types=kinds
        )

    def named(self, name: str) -> CachedWorkspace:
        """The workspace of that name or id."""
        return self._read_model.pages.named(name)

    def ended(self, id: str) -> bool:
        """Whether a workspace's log has ended."""
        cached = self._read_model.pages.rows.get(id)
        return cached is None or cached.state is WorkspaceState.TERMINATED

    def log(self, workspace: Workspace, kind: LogType, tail: int) -> LogLines:
        """The last lines."""
        return LogLines(
            instance_name=workspace.name,
            instance_id=_id(workspace),
            log_type=kind,
            lines=self.tail(workspace, kind, tail).lines,
            timestamp=whole(self._clock.now()),
            tail=tail,
        )

    def tail(self, workspace: Workspace, kind: LogType, lines: int) -> LogChunk:
        """The last lines, and a mark to go on from."""
        if kind == "system":
            return self._events(workspace, lines, 0)
        logs = self._logs_of(workspace)
        return logs.tail(workspace.machine_id, kind, lines) if workspace.machine_id else NO_LINES

    def after(self, workspace: Workspace, kind: LogType, mark: Any) -> LogChunk:
        """The next lines."""
        if kind == "system":
            return self._events(workspace, EVENTS_AT_ONCE, mark)
        if cached := self._read_model.pages.rows.get(workspace.id):
            workspace = cached.workspace  # it may have a machine by now
        logs = self._logs_of(workspace)
        return logs.after(workspace.machine_id, kind, mark) if workspace.machine_id else NO_LINES

    def _events(self, workspace: Workspace, limit: int, mark: int) -> LogChunk:
        with self._db.read() as sql:
            events = store.events_of(sql, workspace.name, workspace.id, limit, mark)
        last = events[-1].id if events else mark
        return LogChunk(tuple(map(store.line, events)), last)

    def _logs_of(self, workspace: Workspace) -> Logs:
        if logs := self._logs.get(workspace.location):
            return logs
        raise elsewhere(workspace)


def _has_logs(cached: CachedWorkspace) -> bool:
    return (
        cached.workspace.machine_id is not None and cached.state is not WorkspaceState.TERMINATED
    )


def _id(workspace: Workspace) -> str | None:
    return workspace.machine_id or workspace.expected_id
