"""The daemon of this home, started when nobody answers."""

from __future__ import annotations

from prism.client.address import DaemonAddress
from prism.client.wire import Wire

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from socket import socket


class StartingWire(Wire):
    """A wire that starts the daemon when nobody answers on its own socket.

    It starts none once it has reached one: who stops the daemon while a command goes on means it.
    """

    _reached = False

    def connect(self) -> socket:
        """An open connection."""
        try:
            connection = super().connect()
        except (FileNotFoundError, ConnectionRefusedError):
            if self.place.url or self._reached:
                raise
            from prism.cli.daemon_start import start_daemon  # noqa: PLC0415  cold start: most often a daemon runs

            start_daemon(self.place)
            connection = super().connect()
        self._reached = True
        return connection


def daemon() -> Wire:
    """The daemon that the environment names, ready to be asked."""
    return StartingWire(DaemonAddress.read())
