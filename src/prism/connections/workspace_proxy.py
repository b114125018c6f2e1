"""Serves the ports of workspaces at `NAME.localhost` and below paths of the daemon.

The gate has already checked the request. A page of a workspace has its own origin, so browsers
are redirected there; other clients may use the path, since they run no scripts.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from prism.access.model import tunnel_only
from prism.connections import websockets
from prism.connections.headers import Route, without_port
from prism.connections.model import PortRequest
from prism.connections.plan import only_port, port_request, port_suffix
from prism.connections.proxied_request import ProxiedRequest
from prism.connections.relay import Relay
from prism.connections.routing import PortRouter, PortTarget
from prism.connections.tls import CertificatePins
from prism.connections.waking import AddressWaking
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.events import Bus
from prism.kit.gate import Receive, Scope, Send
from prism.kit.http import header, refuse

UNQUOTED_CHARACTERS = "/?&=%~!$'()*+,;:@-._[]|^`{}\"<>\\"  # not escaped in a target


class WorkspaceProxy:
    """Serves the ports of all workspaces; a daemon has one."""

    def __init__(
        self,
        finder: PortRouter,
        clock: Clock,
        waking: AddressWaking | None = None,
        *,
        team: bool = False,
    ) -> None:
        """`team`: this daemon is shared, and workspaces have no origins of their own."""
        self._waking = waking
        self._finder, self._clock, self._pins = finder, clock, CertificatePins()
        self._team = team
        self.relay = Relay(self._pins)

    @asynccontextmanager
    async def open(self, bus: Bus) -> AsyncIterator[None]:
        """Run while the daemon serves; endless answers are cut off at a shutdown."""
        loop = asyncio.get_running_loop()

        def on_event() -> None:
            if bus.closed:
                loop.call_soon_threadsafe(self.relay.hang_up)

        with bus.listening(on_event):
            try:
                yield
            finally:
                await self.relay.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answer a request to a workspace's own origin."""
        host, link, comes_up = header(scope, b"host").lower(), None, False
        try:
            request = port_request(host.decode("latin-1").partition(".localhost")[0])
            link = self._gui_page(request.name, host)
            if self._team:
                raise tunnel_only(request.name)
            if self._waking is not None:
                comes_up = await self._waking.wake(scope, request.name)
            await self.at_origin(scope, receive, send, request)
        except Problem as problem:
            await refuse(scope, send, problem, self._clock.now(), link, again=comes_up)

    async def at_origin(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request: PortRequest,
        *,
        is_secure: bool = False,
    ) -> None:
        """Pass on a request to a workspace's own origin; raises a `Problem` before the answer."""
        target = await self._finder.target(request)
        route = _route(scope, target, header(scope, b"host").lower(), is_secure=is_secure)
        await self._forward(ProxiedRequest(scope, receive, send, target, route, _target(scope)))

    async def on_path(
        self, scope: Scope, receive: Receive, send: Send, name: str, *, tls: int = 0
    ) -> None:
        """Answer a request for a path of the daemon's, `/…-proxy/NAME/REST?port=PORT&QUERY`.

        `tls` is the default port of a service that speaks TLS; 0 for one that does not.
        """
        try:
            query, ports = without_port(scope["query_string"])
            port = only_port([*ports])
            request = PortRequest(name, port or tls or None, tls=bool(tls))
            prefix, rest = _split(scope)
            path = rest + (b"?" + _escaped(query, b"") if query else b"")
            if _is_browser(scope) and self._team and self._finder.apps is None:
                raise tunnel_only(request.name)
            if _is_browser(scope):
                host = header(scope, b"host").decode("latin-1")
                return await self._redirect(send, request, path, host)
            target = await self._finder.target(request)
            port_query = b"" if port is None else b"port=%d" % port
            route = _route(scope, target, header(scope, b"host").lower(), prefix, port_query)
            await self._forward(ProxiedRequest(scope, receive, send, target, route, path))
        except Problem as problem:
            link = self._gui_page(name, header(scope, b"host"))
            await refuse(scope, send, problem, self._clock.now(), link)

    def _gui_page(self, name: str, host: bytes) -> str | None:
        """The workspace's page in the GUI, which a shared daemon does not serve yet."""
        if self._team:
            return None
        port = port_suffix(host.decode("latin-1"), self._finder.suffix)
        return f"http://localhost{port}/workspaces/{quote(name, safe='')}"

    async def _forward(self, request: ProxiedRequest) -> None:
        if request.scope["type"] == "websocket":
            await websockets.forward(request, self._pins)
        else:
            await self.relay.forward(request)

    async def _redirect(self, send: Send, request: PortRequest, path: bytes, host: str) -> None:
        """Redirect to the workspace's own origin, at the port that the browser uses."""
        suffix = port_suffix(host, self._finder.suffix)
        location = self._finder.address(request, suffix).encode() + path
        lines = [
            (b"location", location),
            (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 307, "headers": lines})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _route(
    scope: Scope,
    target: PortTarget,
    host: bytes,
    prefix: bytes = b"",
    query: bytes = b"",
    *,
    is_secure: bool = False,
) -> Route:
    client = scope.get("client") or ("",)
    return Route(
        netloc=target.netloc.encode(),
        scheme=b"https" if target.tls else b"http",
        host=host,
        client=str(client[0]).encode(),
        prefix=prefix,
        query=query,
        is_secure=is_secure,
    )


def _target(scope: Scope) -> bytes:
    """The raw target of the request, which always begins with a slash."""
    path, query = scope["raw_path"], scope["query_string"]
    return _escaped(path) + (b"?" + _escaped(query, b"") if query else b"")


def _escaped(text: bytes, start: bytes = b"/") -> bytes:
    """The text with everything escaped that a URL may not contain."""
    if not text.isascii() or b"#" in text:
        text = quote(text, safe=UNQUOTED_CHARACTERS).encode()
    return text if text.startswith(start) else start + text


def _split(scope: Scope) -> tuple[bytes, bytes]:
    """`/web-proxy/NAME/REST` before and after the slash behind the name."""
    path = _escaped(scope["raw_path"])
    first, _, rest = path[1:].partition(b"/")
    name, _, rest = rest.partition(b"/")
    return b"/" + first + b"/" + name, b"/" + rest


def _is_browser(scope: Scope) -> bool:
    """Whether the client is a browser, by headers that other programs do not send."""
    if scope["type"] != "http":
        return False
    names = {name for name, _ in scope["headers"]}
    agent = header(scope, b"user-agent").startswith(b"Mozilla/")
    return agent or any(name.startswith(b"sec-fetch-") or name == b"origin" for name in names)
