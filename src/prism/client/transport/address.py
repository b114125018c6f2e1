"""The daemon's address: a Unix socket in `PRISM_HOME`, `PRISM_URL`, or where you are logged in.

It reads the environment itself, since importing `prism.settings` takes 28 ms.
"""

from __future__ import annotations

import os

from prism.annotations import Mapping
from prism.client.transport.logins import StoredLogins
from prism.home import DEFAULT_HOME, default_port, environment, find_socket, folder_of


class DaemonAddress:
    """A daemon's address, and the token that it wants, if any."""

    __slots__ = ("by_login", "chosen_port", "daemon_user", "home", "token", "url")

    def __init__(
        self,
        home: str,
        url: str = "",
        token: str = "",
        port: str = "",
        *,
        daemon_user: str = "",
        by_login: bool = False,
    ) -> None:
        self.home, self.daemon_user = folder_of(home), daemon_user
        self.by_login = by_login
        self.url, self.token, self.chosen_port = url.rstrip("/"), token, port

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> DaemonAddress:
        """The address that `PRISM_HOME`, `PRISM_URL`, `PRISM_TOKEN` and `PRISM_PORT` name.

        Without `PRISM_URL` and `PRISM_TOKEN` it is that of the last login (`prism login`). Without
        `environ`, they are read from this process's environment and the home's own file.
        """
        address = cls.of_variables(environ)
        return address if address.token else address._with_login()

    @classmethod
    def of_variables(cls, environ: Mapping[str, str] | None = None) -> DaemonAddress:
        """The address that the variables name, wherever you are logged in."""
        environ = environment(os.environ) if environ is None else environ
        return cls(
            environ.get("PRISM_HOME") or DEFAULT_HOME,
            environ.get("PRISM_URL", ""),
            environ.get("PRISM_TOKEN", ""),
            environ.get("PRISM_PORT", ""),
            daemon_user=environ.get("PRISM_DAEMON_USER", ""),
        )

    def _with_login(self) -> DaemonAddress:
        """The address with the token of its login; without a URL, the current login's."""
        logins = StoredLogins.read(self.home)
        url = self.url or logins.current
        return DaemonAddress(
            self.home,
            url,
            logins.token(url),
            self.chosen_port,
            daemon_user=self.daemon_user,
            by_login=not self.url and bool(url),
        )

    @property
    def named_by(self) -> str:
        """What names the URL, for messages."""
        return "your login (`prism login`)" if self.by_login else "PRISM_URL"

    @property
    def socket(self) -> str:
        """The Unix socket."""
        return find_socket(self.home)

    @property
    def log(self) -> str:
        """The log file of a daemon that a client started."""
        return os.path.join(self.home, "daemon.log")

    @property
    def port(self) -> str:
        """The TCP port that the settings name, else the one that the daemon last took."""
        return self.chosen_port or default_port(self.home)

    @property
    def page(self) -> str:
        """The address for a browser."""
        return self.url or f"http://localhost:{self.port}"

    def __str__(self) -> str:
        return self.url or self.socket
