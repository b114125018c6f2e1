"""The daemon's cookies: names with the prefix `__Host-`, read and written strictly.

A browser takes a cookie of such a name only over a secure connection, for this host alone and all
of its paths, so no other host can set it or read it.
"""

from collections.abc import Iterable
from typing import Any

SESSION_COOKIE = "__Host-prism"
APP_COOKIE = "__Host-prism-app"  # at the origin of one app
OPENING_COOKIE = "__Host-prism-opening-"  # of an app that is being opened; the end is its state
ENTER_COOKIE = (
    "__Secure-prism-enter-"  # of all apps, for `ENTER_PATH` only; the end is a code's id
)
ENTER_PATH = "/.prism/enter"
LOGIN_COOKIE = "__Host-prism-login"  # of a login that is under way at an identity provider
HINT_COOKIE = "__Secure-prism-hint"  # who logged in at a provider; for `HINT_PATH` only
HINT_PATH = "/api/v1/logout"
ATTRIBUTES = "Secure; HttpOnly; SameSite=Lax"


def cookie_of(scope: Any, name: str) -> str | None:
    """The value of a cookie of a request; None without it, or if there are several."""
    return only_cookie((v for k, v in scope["headers"] if k == b"cookie"), name)


def only_cookie(headers: Iterable[bytes], name: str) -> str | None:
    """The value of the only cookie with that name in these headers."""
    pairs = (pair for header in headers for pair in header.decode("latin-1").split(";"))
    values = [
        value for key, _, value in (pair.strip().partition("=") for pair in pairs) if key == name
    ]
    return values[0] if len(values) == 1 else None


def set_cookie(name: str, value: str, seconds: int, path: str = "/") -> str:
    """The value of `Set-Cookie`; with 0 seconds, the browser removes the cookie."""
    return f"{name}={value}; Max-Age={max(0, seconds)}; Path={path}; {ATTRIBUTES}"
