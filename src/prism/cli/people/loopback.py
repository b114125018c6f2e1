"""Receives the answer of a browser on this computer: one request, with a code and a state.

Other users of the computer reach the port, too. They do not know the state, and the kernel tells
whose connection it is.
"""

from __future__ import annotations

import hmac
import os
import socket
import sys
import time

from prism.annotations import Self
from prism.client.transport.listener import coded, socket_owners
from prism.client.transport.logins import NotLoggedIn

HOST = "127.0.0.1"
REQUEST_TIMEOUT = 5.0  # seconds for one request
MAX_REQUEST_BYTES = 8192
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Prism</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<body style="font-family:sans-serif;margin:3rem"><h1>{title}</h1><p>{text}</p></html>
"""
DONE = ("Back to the terminal", "Prism has what it needs. You can close this page.")
REFUSED = ("This is not the answer", "Prism waits for the answer to the login that it has begun.")


class LoopbackReceiver:
    """Listens on a free port of 127.0.0.1 for the answer with this state."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """It already listens."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop listening."""
        self._listener.close()

    def code(self, seconds: float) -> str:
        """The code of the answer; raises if none comes in time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._listener.settimeout(left)
            try:
                connection, peer = self._listener.accept()
            except TimeoutError:
                break
            with connection:
                if is_of_this_user(peer, connection.getsockname()) and (
                    code := self._answered(connection)
                ):
                    return code
        raise NotLoggedIn(
            details=f"no answer of the browser came in {seconds / 60:g} minutes",
            remediation="Without a browser on this computer: `prism login URL --device`",
        )

    def _answered(self, connection: socket.socket) -> str:
        """The code of this request; empty if it is not the answer."""
        connection.settimeout(REQUEST_TIMEOUT)
        try:
            code = code_of(_request_line(connection), self._state)
            status, (title, text) = ("200 OK", DONE) if code else ("404 Not Found", REFUSED)
            body = PAGE.format(title=title, text=text).encode()
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n"
                "Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'; "
                "style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
        except OSError:
            return ""  # it was no browser, or it has gone
        return code


def code_of(request_line: str, state: str) -> str:
    """The code in `GET /?code=…&state=… HTTP/1.1`; empty without the right state."""
    from urllib.parse import parse_qs, urlsplit  # noqa: PLC0415  cold start: only to log in

    words = request_line.split(" ")
    if len(words) != 3 or words[0] != "GET":
        return ""
    fields = parse_qs(urlsplit(words[1]).query)
    states, codes = fields.get("state", []), fields.get("code", [])
    if len(states) != 1 or len(codes) != 1:
        return ""
    return codes[0] if hmac.compare_digest(states[0].encode(), state.encode()) else ""


def is_of_this_user(peer: tuple[str, int], own: tuple[str, int]) -> bool:
    """Whether a program of this user has the other end; only Linux tells."""
    if sys.platform != "linux":
        return True
    return socket_owners(coded(peer), coded(own)) == {os.geteuid()}


def _request_line(connection: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received and len(received) < MAX_REQUEST_BYTES:
        piece = connection.recv(MAX_REQUEST_BYTES)
        if not piece:
            break
        received += piece
    return received.partition(b"\r\n")[0].decode("latin-1")
