"""Connects to the daemon of this home, and starts it if it does not run."""

from __future__ import annotations

from prism.annotations import Any, Callable, Namespace, socket
from prism.cli.parser import UsageError, given
from prism.client.transport.address import DaemonAddress
from prism.client.transport.wire import Wire


class StartingWire(Wire):
    """A `Wire` that starts the daemon if nothing listens on its socket.

    It does not start a second one: if you stop the daemon while a command runs, it stays stopped.
    """

    _reached = False

    def connect(self) -> socket:
        """An open connection."""
        try:
            connection = super().connect()
        except (FileNotFoundError, ConnectionRefusedError):
            if self.address.url or self._reached:
                raise
            from prism.cli.installation.daemon_start import start_daemon  # noqa: PLC0415  cold start: most often a daemon runs

            start_daemon(self.address)
            connection = super().connect()
        self._reached = True
        return connection


def daemon() -> Wire:
    """A connection to the daemon that the environment names."""
    return StartingWire(DaemonAddress.read())


def change(method: Callable[..., object], name: str, changes: dict[str, Any], hint: str) -> Any:
    """Change these fields of something; raises `UsageError` if there are none."""
    if not changes:
        raise UsageError("no change was given", hint)
    return daemon().call(method, name, **changes)


def asking(
    method: Callable[..., object], *names: str, **renamed: str
) -> Callable[[Namespace], Any]:
    """A request to the daemon: a method of the client, with those arguments that were given.

    Arguments of the command have the method's names for them, except for those in `renamed`.
    """

    def ask(args: Namespace) -> Any:
        keywords = {parameter: getattr(args, name) for parameter, name in renamed.items()}
        return daemon().call(method, **given(args, *names), **keywords)

    return ask
