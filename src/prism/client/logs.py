"""Client methods for logs."""

from __future__ import annotations

from prism.annotations import Generator
from prism.client.models import logs
from prism.client.transport.request import Noun
from prism.client.transport.stream import lines_of
from prism.client.transport.wire import query, quoted

LOGS_PATH = "/logs"


class Logs(Noun):
    """Methods for logs; `name` is a workspace's name or instance id."""

    def list(self) -> logs.LogSourceList:
        """Every workspace, and whether it has logs."""
        return self._ask("GET", LOGS_PATH, logs.LogSourceList)

    def types(self, name: str) -> logs.LogTypeList:
        """The kinds of logs that a workspace has."""
        return self._ask("GET", f"{LOGS_PATH}/{quoted(name)}/types", logs.LogTypeList)

    def get(self, name: str, type: logs.LogType = "console", tail: int = 100) -> logs.LogLines:
        """The last lines."""
        return self._ask(
            "GET", f"{LOGS_PATH}/{quoted(name)}" + query(type=type, tail=tail), logs.LogLines
        )

    def follow(self, name: str, type: logs.LogType = "console", tail: int = 100) -> Generator[str]:
        """Each line as it comes, until the workspace ends or the daemon stops."""
        path = f"{LOGS_PATH}/{quoted(name)}" + query(type=type, tail=tail, follow="true")
        yield from lines_of(self._wire.stream(path, {}, silence=None))
