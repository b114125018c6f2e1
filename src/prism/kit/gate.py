"""The gate: checks host and origin before HTTP, SSE and WebSocket.

Any page in a user's browser can reach 127.0.0.1. Two headers reveal it, which a page cannot
forge: the host name (`Host`, so DNS rebinding fails) and the page's own origin (`Origin`,
`Sec-Fetch-Site`). Other users of this machine are refused one step earlier
(`kit/peer_credentials.py`); the mode of the file protects the Unix socket. SSH may forward a
browser of another computer to it.

A reverse proxy that runs as the daemon's user passes both, so for the daemon everybody behind it
would be that user. What proxies add to a request reveals them.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any

from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.envelope import (
    EndpointNotFound,
    HostInvalid,
    HostRejected,
    OriginRejected,
    ProxyRejected,
)
from prism.kit.http import refuse

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.localhost")
NEVER_BY_LINK = {"api", "aws-proxy"}  # a link may lead to pages only
PROXY_HEADERS = frozenset(
    {b"forwarded", b"via", b"x-real-ip", b"true-client-ip", b"cf-connecting-ip"}
)  # and every x-forwarded-…
TAKE = "prism_take"  # in the scope of a WebSocket: the function that hands over its connection
NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'none'")
Headers = Iterable[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gate:
    """ASGI middleware around the whole application, and around workspaces' content."""

    def __init__(
        self,
        app: AsgiApp,
        port: int,
        clock: Clock,
        *,
        content: AsgiApp | None = None,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
        team: bool = False,
    ) -> None:
        """`content` answers to `LABEL.localhost`; `hosts`, `origins` come with a public URL.

        In team mode (`team`), requests may come through a proxy: each of them needs a token.
        """
        self._app, self._clock = app, clock
        self._content = content or self._no_workspace
        self._suffixes = (f":{port}", "") if port == 80 else (f":{port}",)
        own_hosts = {name + suffix for name in LOOPBACK for suffix in self._suffixes}
        self._hosts = own_hosts | {host.lower() for host in hosts}
        self._origins = {origin.lower() for origin in origins}
        self._team = team

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, or answer with a refusal."""
        if scope["type"] not in {"http", "websocket"}:
            return await self._app(scope, receive, send)
        hosts, is_socket = _values(scope["headers"], b"host"), _is_unix_socket(scope)
        content = len(hosts) == 1 and self._is_content(hosts[0], any_port=is_socket)
        judge = self._judge_socket if is_socket else self._judge
        if problem := judge(scope, hosts, content):
            return await refuse(scope, send, problem, self._clock.now())
        if content:
            return await self._content(scope, receive, _restrict_headers(send, pages=False))
        return await self._app(scope, receive, _restrict_headers(send, pages=True))

    def _judge(self, scope: Scope, hosts: list[str], content: bool) -> Problem | None:
        """The problem that refuses this request, or None."""
        if len(hosts) != 1:
            return HostInvalid(details=f"Host: {', '.join(hosts) or 'none'}")
        if problem := self._judge_proxy(scope):
            return problem
        if not content and hosts[0] not in self._hosts:
            return HostRejected(details=f"Host: {hosts[0]}")
        return self._judge_page(scope, hosts[0], content)

    def _judge_page(self, scope: Scope, host: str, content: bool) -> Problem | None:
        """The problem that refuses a request of another site's page, or None."""
        origins = _values(scope["headers"], b"origin")
        own = {f"http://{host}", *(() if content else self._origins)}
        if not own.issuperset(origins):
            return OriginRejected(details=f"Origin: {', '.join(origins)}")
        sites = _values(scope["headers"], b"sec-fetch-site")
        if all(site in {"same-origin", "none"} for site in sites):
            return None
        if not origins and _follows_a_link(scope) and (content or _is_page(scope["path"])):
            return None
        return OriginRejected(details=f"Sec-Fetch-Site: {', '.join(sites)}")

    def _judge_proxy(self, scope: Scope) -> Problem | None:
        """The problem that refuses a request that a proxy passed on, or None."""
        if self._team or not (names := proxy_headers(scope["headers"])):
            return None
        return ProxyRejected(
            details=f"It has {', '.join(names)}; everybody behind the proxy would be you",
            remediation="Share the daemon with tokens: `PRISM_AUTH=tokens prism daemon start`",
        )

    def _judge_socket(self, scope: Scope, hosts: list[str], content: bool) -> Problem | None:
        """The problem that refuses a request over the Unix socket, or None.

        `ssh -L PORT:SOCKET` lets a browser on another computer use it, with any port in `Host`.
        Then the browser's pages are checked as over TCP. A name that no browser sends, such as
        `prism` without a port, is not looked at, except in team mode: there, a request without a
        token is the operator's, and a proxy would make operators of all people.
        """
        if problem := self._judge_proxy(scope):
            return problem
        if len(hosts) == 1 and (content or _names_loopback(hosts[0])):
            return self._judge_page(scope, hosts[0], content)
        if not self._team and not any(set(".:") & set(host) for host in hosts):
            return None
        return HostRejected(
            details=f"Host: {', '.join(hosts)}, over the operator's Unix socket",
            remediation="Let the proxy connect to the daemon's port instead of its Unix socket",
        )

    def _is_content(self, host: str, *, any_port: bool) -> bool:
        name, colon, port = host.partition(":")
        suits = port.isdecimal() if any_port and colon else f"{colon}{port}" in self._suffixes
        return (suits or (any_port and not colon)) and bool(LABEL.fullmatch(name))

    async def _no_workspace(self, scope: Scope, receive: Receive, send: Send) -> None:
        [host] = _values(scope["headers"], b"host")
        problem = EndpointNotFound(details=f"No workspace is served at {host}")
        await refuse(scope, send, problem, self._clock.now())


def _follows_a_link(scope: Scope) -> bool:
    """Whether a browser opens a page, not a frame within another page."""
    mode = _values(scope["headers"], b"sec-fetch-mode")
    target = _values(scope["headers"], b"sec-fetch-dest")
    get = scope["type"] == "http" and scope["method"] == "GET"
    return get and mode == ["navigate"] and target == ["document"]


def _is_page(path: str) -> bool:
    # Like the router, which takes several slashes for one.
    first = path.strip("/").partition("/")[0]
    return first not in NEVER_BY_LINK


def proxy_headers(headers: Headers) -> list[str]:
    """The names of the headers that only proxies add."""
    names = {name.lower() for name, _ in headers}
    added = {name for name in names if name in PROXY_HEADERS or name.startswith(b"x-forwarded-")}
    return sorted(name.decode("latin-1") for name in added)


def _names_loopback(host: str) -> bool:
    """Whether a `Host` names this computer, with any port, or nothing."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in {"", *LOOPBACK}


def _restrict_headers(send: Send, pages: bool) -> Send:
    """Remove headers that allow other origins, and forbid other pages to frame ours."""

    async def send_restricted(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (k, v)
                for k, v in message["headers"]
                if not k.lower().startswith(b"access-control-")
            ]
            if pages and any(k.lower() == b"content-type" and b"html" in v for k, v in headers):
                headers.append(NO_FRAMES)
            message = {**message, "headers": headers}
        await send(message)

    return send_restricted


def _is_unix_socket(scope: Scope) -> bool:
    server: Any = scope.get("server")
    return bool(server) and server[1] is None


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for key, value in headers if key.lower() == name]
