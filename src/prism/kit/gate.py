"""The gate: checks host and origin before HTTP, SSE and WebSocket.

Any page in a user's browser can reach 127.0.0.1. Two headers reveal it, which a page cannot
forge: the host name (`Host`, so DNS rebinding fails) and the page's own origin (`Origin`,
`Sec-Fetch-Site`). Other users of this machine are refused one step earlier
(`kit/network/peer_credentials.py`); the mode of the file protects the Unix socket. SSH may forward
a browser of another computer to it.

A reverse proxy that runs as the daemon's user passes both, so for the daemon everybody behind it
would be that user. What proxies add to a request reveals them.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from enum import StrEnum
from typing import Any

from prism.errors import Problem
from prism.kit import gui_origin
from prism.kit.clock import Clock
from prism.kit.envelope import (
    EndpointNotFound,
    HostInvalid,
    HostRejected,
    HttpsRequired,
    OriginRejected,
    ProxyRejected,
)
from prism.kit.http import refuse

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.localhost")
NEVER_BY_LINK = {"api", "aws-proxy"}  # a link may lead to pages only
PROXY_HEADERS = frozenset(
    {b"forwarded", b"via", b"x-real-ip", b"true-client-ip", b"cf-connecting-ip"}
)  # and every x-forwarded-…
TAKE = "prism_take"  # in the scope of a WebSocket: the function that hands over its connection
ROUTE = "prism_route"  # in the scope: what a request is counted as, if it has no route of the API
PROBES = frozenset({"/healthz", "/readyz"})
METRICS_PATH = "/metrics"
NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'none'")
FRAMED_BY_ITSELF = (b"content-security-policy", b"frame-ancestors 'self'")
Headers = Iterable[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class HostKind(StrEnum):
    """What a host name stands for."""

    API = "api"  # this computer, for programs and in the address bar
    PUBLIC = "public"  # the address for people on other computers
    GUI = "gui"
    FORMER_GUI = "former gui"  # of an earlier start of the daemon
    CONTENT = "content"  # a workspace
    APP = "app"  # a workspace of a shared daemon, at its own public origin


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
        gui: str = "",
        https_only: bool = False,
        apps: AsgiApp | None = None,
        apps_suffix: str = "",
        probes: AsgiApp | None = None,
    ) -> None:
        """`content` answers to `LABEL.localhost`; `hosts`, `origins` come with a public URL.

        In team mode (`team`), requests may come through a proxy: each of them needs a token or a
        session. `gui` is the label of the only origin from which browsers of this computer may use
        the API. `https_only`: the scheme of a request is known, so that the public address is
        answered only by TLS. `apps` answers to hosts with a label before `apps_suffix`.
        `probes` answers to the paths of `PROBES` at the daemon's own hosts.
        """
        self._probes = probes or app
        self._apps, self._apps_suffix = apps or self._no_workspace, apps_suffix
        self._https_only = https_only
        self._app, self._clock = app, clock
        self._content = content or self._no_workspace
        self._suffixes = (f":{port}", "") if port == 80 else (f":{port}",)
        own_hosts = {name + suffix for name in LOOPBACK_NAMES for suffix in self._suffixes}
        self._hosts, self._public = own_hosts, {host.lower() for host in hosts} - own_hosts
        self._origins = {origin.lower() for origin in origins}
        self._team, self._gui = team, gui

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, or answer with a refusal."""
        if scope["type"] not in {"http", "websocket"}:
            return await self._app(scope, receive, send)
        hosts = _values(scope["headers"], b"host")
        over_socket = _is_unix_socket(scope)
        site = self._site(hosts[0] if hosts else "", over_socket)
        if self._team and not over_socket and len(hosts) == 1 and _is_of_watcher(scope, site):
            return await self._serve(scope, receive, send, HostKind.API)
        if problem := self._judge(scope, hosts, site, over_socket):
            if isinstance(problem, HttpsRequired) and is_navigation(scope):
                return await gui_origin.send_redirect(send, _secure_address(scope, hosts[0]))
            return await refuse(scope, send, problem, self._clock.now())
        if site in {HostKind.API, HostKind.FORMER_GUI} and self._leads(scope, over_socket):
            return await self._lead_to_gui(scope, send, hosts[0] if hosts else "")
        return await self._serve(scope, receive, send, site)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, site: HostKind | None
    ) -> None:
        """Call what answers at this host."""
        is_script = gui_origin.is_worker_script(scope)
        if site in {HostKind.CONTENT, HostKind.APP}:
            scope[ROUTE] = "workspace"
            # A frame whose page comes by its worker looks like a page that is opened.
            is_framed = site is HostKind.APP or is_by_worker(scope)
            answer = _restrict_headers(send, FRAMED_BY_ITSELF if is_framed else None)
            if is_script:
                answer = gui_origin.unregister_unless_served(answer)
            return await (self._apps if site is HostKind.APP else self._content)(
                scope, receive, answer
            )
        if is_script:
            return await gui_origin.send_unregister(send)
        app = self._probes if _is_probe(scope) else self._app
        return await app(scope, receive, _restrict_headers(send, NO_FRAMES))

    def _leads(self, scope: Scope, over_socket: bool) -> bool:
        """Whether it comes from a browser at an address that other programs share.

        In team mode, the Unix socket serves at no other address, and only the operator reaches it.
        """
        is_shared = bool(self._gui) and not (self._team and over_socket)
        return is_shared and gui_origin.is_of_browser(scope)

    async def _lead_to_gui(self, scope: Scope, send: Send, host: str) -> None:
        """Answer a browser that is not at the GUI's origin."""
        if gui_origin.is_worker_script(scope):
            return await gui_origin.send_unregister(send)
        if is_navigation(scope):
            location = gui_origin.address(scope, self._gui, host)
            return await gui_origin.send_redirect(send, location)
        problem = OriginRejected(
            details=f"A page at http://{host} may not use the API",
            remediation="Open the web GUI: `prism gui`",
        )
        return await refuse(scope, send, problem, self._clock.now())

    def _site(self, host: str, over_socket: bool) -> HostKind | None:
        """What this host name stands for; None for a foreign one.

        `ssh -L PORT:SOCKET` lets a browser on another computer use the Unix socket, with any port.
        A name that no browser sends, such as `prism` without a port, is a program's there, except
        in team mode: a request without a token is the operator's, and a proxy would make
        operators of all people.
        """
        if not over_socket and (site := self._configured(host)):
            return site
        name, colon, port = gui_origin.host_parts(host)
        if not over_socket and f"{colon}{port}" not in self._suffixes:
            return None
        if LABEL.fullmatch(name) and (not colon or port.isdecimal()):
            label = name.partition(".")[0]
            if self._gui and label.startswith(gui_origin.ORIGIN_PREFIX):
                return HostKind.GUI if label == self._gui else HostKind.FORMER_GUI
            return HostKind.CONTENT
        is_local = name in LOOPBACK_NAMES or not (self._team or set(".:") & set(host))
        return HostKind.API if over_socket and (not name or is_local) else None

    def _configured(self, host: str) -> HostKind | None:
        """What a host name stands for that is known from the settings."""
        if host in self._public:
            return HostKind.PUBLIC
        if self._apps_suffix and host.endswith(self._apps_suffix):
            is_app = DNS_LABEL.fullmatch(host.removesuffix(self._apps_suffix))
            return HostKind.APP if is_app else None
        return HostKind.API if host in self._hosts else None

    def _judge(
        self, scope: Scope, hosts: list[str], site: HostKind | None, over_socket: bool
    ) -> Problem | None:
        """The problem that refuses this request, or None."""
        if len(hosts) > 1 or not (hosts or over_socket):
            return HostInvalid(details=f"Host: {', '.join(hosts) or 'none'}")
        if problem := self._judge_proxy(scope):
            return problem
        if site is None or (over_socket and self._team and site is not HostKind.API):
            return _host_rejected(hosts[0], over_socket)
        is_public = site in {HostKind.PUBLIC, HostKind.APP}
        if is_public and self._https_only and not is_secure(scope):
            return HttpsRequired(
                details=f"the request to {hosts[0]} came without TLS",
                remediation="Use `https://`; a proxy must be in PRISM_TRUSTED_PROXIES and send "
                "X-Forwarded-Proto",
            )
        if site is HostKind.FORMER_GUI and not (
            is_navigation(scope) or gui_origin.is_worker_script(scope)
        ):
            return _host_rejected(hosts[0], over_socket)
        return self._judge_page(scope, hosts[0] if hosts else "", site)

    def _judge_page(self, scope: Scope, host: str, site: HostKind) -> Problem | None:
        """The problem that refuses a request of another site's page, or None."""
        origins = _values(scope["headers"], b"origin")
        own = {f"http://{host}", *(() if site is HostKind.CONTENT else self._origins)}
        if site is HostKind.PUBLIC:  # not the page that a network put in place of `https://`
            own = self._origins
        elif site is HostKind.APP:
            own = {f"https://{host}"}
        if not own.issuperset(origins):
            return OriginRejected(details=f"Origin: {', '.join(origins)}")
        sites = _values(scope["headers"], b"sec-fetch-site")
        if all(value in {"same-origin", "none"} for value in sites):
            return None
        is_of_workspace = site in {HostKind.CONTENT, HostKind.APP}
        may_link = is_of_workspace or _is_page(scope["path"])
        is_opened = is_navigation(scope) or (is_of_workspace and is_by_worker(scope))
        if not origins and is_opened and may_link:
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

    async def _no_workspace(self, scope: Scope, receive: Receive, send: Send) -> None:
        [host] = _values(scope["headers"], b"host")
        problem = EndpointNotFound(details=f"No workspace is served at {host}")
        await refuse(scope, send, problem, self._clock.now())


def _host_rejected(host: str, over_socket: bool) -> HostRejected:
    if not over_socket:
        return HostRejected(details=f"Host: {host}")
    return HostRejected(
        details=f"Host: {host}, over the Unix socket",
        remediation="Use localhost; let a proxy connect to the daemon's port instead",
    )


def _is_probe(scope: Scope) -> bool:
    reads = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
    return reads and scope["path"] in PROBES


def _is_of_watcher(scope: Scope, site: HostKind | None) -> bool:
    """Whether a program asks a shared daemon how it is, by any name or address, also without TLS.

    Balancers and Prometheus know their targets by address. The answer of a probe is the same for
    everybody and holds no secret, and the metrics need a token, which no page has; everything else
    needs the right host. The apps of workspaces may have such paths of their own. A daemon of one
    person keeps to its host names, or any page in the browser could find out that it runs.
    """
    is_read = scope["type"] == "http" and scope["method"] == "GET"
    is_watched = _is_probe(scope) or (is_read and scope["path"] == METRICS_PATH)
    is_ours = site in {None, HostKind.API, HostKind.PUBLIC}
    return is_ours and is_watched and not gui_origin.is_of_browser(scope)


def is_navigation(scope: Scope) -> bool:
    """Whether a browser opens a page, not a frame within another page."""
    return _opens(scope, "document")


def is_by_worker(scope: Scope) -> bool:
    """Whether the service worker of this origin passes on that a browser opens a page or a frame.

    Chromium then says no other target. No script can make such a request by itself.
    """
    return _opens(scope, "empty")


def _opens(scope: Scope, target: str) -> bool:
    mode = _values(scope["headers"], b"sec-fetch-mode")
    get = scope["type"] == "http" and scope["method"] == "GET"
    return (
        get and mode == ["navigate"] and _values(scope["headers"], b"sec-fetch-dest") == [target]
    )


def _is_page(path: str) -> bool:
    # Like the router, which takes several slashes for one.
    first = path.strip("/").partition("/")[0]
    return first not in NEVER_BY_LINK


def proxy_headers(headers: Headers) -> list[str]:
    """The names of the headers that only proxies add."""
    names = {name.lower() for name, _ in headers}
    added = {name for name in names if name in PROXY_HEADERS or name.startswith(b"x-forwarded-")}
    return sorted(name.decode("latin-1") for name in added)


def _restrict_headers(send: Send, framing: tuple[bytes, bytes] | None) -> Send:
    """Remove headers that allow other origins, and say which pages may frame ours."""

    async def send_restricted(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (k, v)
                for k, v in message["headers"]
                if not k.lower().startswith(b"access-control-")
            ]
            if framing and any(k.lower() == b"content-type" and b"html" in v for k, v in headers):
                headers.append(framing)
            message = {**message, "headers": headers}
        await send(message)

    return send_restricted


def is_secure(scope: Scope) -> bool:
    """Whether the request came by TLS, to this daemon or to a trusted proxy."""
    return scope.get("scheme") in {"https", "wss"}


def _secure_address(scope: Scope, host: str) -> bytes:
    """The requested address with TLS."""
    query = b"?" + scope["query_string"] if scope.get("query_string") else b""
    path: bytes = scope.get("raw_path") or scope["path"].encode("ascii", "ignore")
    return f"https://{host}".encode() + path + query


def _is_unix_socket(scope: Scope) -> bool:
    server: Any = scope.get("server")
    return bool(server) and server[1] is None


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for key, value in headers if key.lower() == name]
