"""Logs, across the wire."""

from collections.abc import Iterator

from prism.client.decoding import ask
from prism.client.stream import lines_of
from prism.client.wire import Wire, query, quoted
from prism.logs.model import Listing, Log, LogType, Types

PATH = "/logs"


class Logs:
    """What workspaces have said; `name` is a workspace's name or instance id."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> Listing:
        """Every workspace, and whether it has logs."""
        return ask(self._wire, "GET", PATH, Listing)

    def types(self, name: str) -> Types:
        """The kinds of logs that a workspace has."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/types", Types)

    def get(self, name: str, type: LogType = "console", tail: int = 100) -> Log:
        """The last lines."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}" + query(type=type, tail=tail), Log)

    def follow(self, name: str, type: LogType = "console", tail: int = 100) -> Iterator[str]:
        """Each line as it comes, until the workspace ends or the daemon stops."""
        path = f"{PATH}/{quoted(name)}" + query(type=type, tail=tail, follow="true")
        yield from lines_of(self._wire.stream(path, {}, silence=None))
