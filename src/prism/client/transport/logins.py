"""The daemons to which a person is logged in: a file in the home, which only its owner reads.

Every command reads it, so it imports little.
"""

from __future__ import annotations

import json
import os
import stat

from prism.annotations import Any, Mapping
from prism.errors import Denied

LOGINS_FILE = "logins.json"
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class LoginsNotPrivate(Denied, code="LOGINS_NOT_PRIVATE"):
    """Other users may read or write the file with your logins."""


class NotLoggedIn(Denied, code="NOT_LOGGED_IN"):
    """You are not logged in."""


class StoredLogins:
    """The logins of a home by the daemon's URL; `current` is used unless PRISM_URL is set.

    Each has the fields of the daemon's answer: `token`, `user`, `session`, `expires_at`.
    """

    __slots__ = ("by_url", "current", "home")

    def __init__(self, home: str, current: str, by_url: Mapping[str, dict[str, str]]) -> None:
        self.home, self.current, self.by_url = home, current, dict(by_url)

    @classmethod
    def read(cls, home: str) -> StoredLogins:
        """The logins in the file of a home; none without it, or if it cannot be read as such."""
        path = os.path.join(home, LOGINS_FILE)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return cls(home, "", {})
        with open(handle, encoding="utf-8") as file:
            _check_private(path, os.fstat(file.fileno()))
            try:
                return cls._of(home, json.load(file))
            except (ValueError, TypeError, KeyError, RecursionError):
                return cls(home, "", {})

    @classmethod
    def _of(cls, home: str, stored: Any) -> StoredLogins:
        by_url = {
            str(url): {str(name): str(value) for name, value in login.items()}
            for url, login in dict(stored["logins"]).items()
        }
        current = str(stored["current"])
        return cls(home, current if current in by_url else "", by_url)

    def token(self, url: str) -> str:
        """The token for a daemon; empty without a login."""
        return self.by_url.get(url, {}).get("token", "")

    def write(self) -> None:
        """Replace the file; nobody else can read the new one at any time."""
        os.makedirs(self.home, mode=0o700, exist_ok=True)
        path = os.path.join(self.home, LOGINS_FILE)
        draft = f"{path}.new"
        text = json.dumps({"current": self.current, "logins": self.by_url}, indent=1)
        handle = os.open(
            draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with open(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)  # a draft that was left may have another mode
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)


def _check_private(path: str, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & OTHERS:
        raise LoginsNotPrivate(
            details=f"{path} has your tokens, and the mode {stat.S_IMODE(status.st_mode):o}",
            remediation=f"`chmod 600 {path}`; if it is not yours, remove it and log in again",
        )
