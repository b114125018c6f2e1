"""The daemon of this home, started when nobody answers."""

from __future__ import annotations

from prism.client.address import DaemonAddress
from prism.client.wire import Wire

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from socket import socket


class StartingWire(Wire):
    """A wire that starts a daemon that does not answer, unless it has answered before."""

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
