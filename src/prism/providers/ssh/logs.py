"""Logs of workspaces on a lab server, read there by the agent."""

from typing import Any

from msgspec import Struct

from prism.logs.ports import Kind, LogChunk
from prism.providers.ssh.server import LabServer

LONGEST_LOG_LINE = 20_000


class LabLog(Struct, frozen=True, array_like=True):
    """Lines of the logs of a machine, and a mark of their end."""

    lines: tuple[str, ...]
    mark: dict[str, tuple[int, str, int]]


class LabLogs:
    """Implements `logs.ports.Logs`."""

    def __init__(self, server: LabServer) -> None:
        self._server = server

    def tail(self, id: str, kind: Kind, lines: int) -> LogChunk:
        """The last lines of each file of that kind."""
        return _chunk(self._server.call("tail", kind=LabLog, id=id, log=kind, lines=lines))

    def after(self, id: str, kind: Kind, mark: Any) -> LogChunk:
        """The lines since the mark, also after rotations."""
        return _chunk(self._server.call("after", kind=LabLog, id=id, log=kind, mark=mark))


def _chunk(log: LabLog) -> LogChunk:
    return LogChunk(tuple(line[:LONGEST_LOG_LINE] for line in log.lines), log.mark)
