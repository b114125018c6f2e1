"""The daemon of this home, started when nobody answers."""

from __future__ import annotations

from prism.client.place import Place
from prism.client.wire import Wire

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from socket import socket


class StartingWire(Wire):
    """A wire that starts the daemon when nobody answers on its own socket."""

    def connect(self) -> socket:
        """An open connection."""
        try:
            return super().connect()
        except (FileNotFoundError, ConnectionRefusedError):
            if self.place.url:
                raise
        from prism.cli.starting import start_daemon  # noqa: PLC0415  cold start: most often a daemon runs

        start_daemon(self.place)
        return super().connect()


def daemon() -> Wire:
    """The daemon that the environment names, ready to be asked."""
    return StartingWire(Place.read())
