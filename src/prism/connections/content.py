"""Workspaces' content: what answers at `NAME.localhost`, and on the daemon's own paths.

The gate has let the request in. A page of a workspace lives on an origin of its own, so
browsers are sent there; other clients may use the path, where nothing comes alive.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from urllib.parse import quote

from prism.connections import sockets
from prism.connections.exchange import Exchange
from prism.connections.finding import Finder, Target
from prism.connections.headers import Route, without_port
from prism.connections.model import Asked
from prism.connections.plan import asked, only_port, origin
from prism.connections.relay import Relay
from prism.connections.tls import Pins
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.envelope import headers_of, status_of
from prism.kit.events import Bus
from prism.kit.gate import Receive, Scope, Send
from prism.kit.http import header, refuse

SAFE = "/?&=%~!$'()*+,;:@-._[]|^`{}\"<>\\"  # what may stand in a target as it came
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto; }}
code {{ font: 0.9em ui-monospace, monospace; }} h1 {{ font-size: 1.3rem; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6edf3; background: #0d1117; }} }}
</style><h1>{title}</h1><p>{details}<p>{remediation}</html>"""
POLICY = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


class Content:
    """Serves workspaces' ports; one for the whole daemon."""

    def __init__(self, finder: Finder, clock: Clock) -> None:
        self._finder, self._clock, self._pins = finder, clock, Pins()
        self.relay = Relay(self._pins)

    @asynccontextmanager
    async def open(self, bus: Bus) -> AsyncIterator[None]:
        """For as long as the daemon serves; when it goes home, endless answers end."""
        loop = asyncio.get_running_loop()

        def bell() -> None:
            if bus.closed:
                loop.call_soon_threadsafe(self.relay.hang_up)

        with bus.listening(bell):
            try:
                yield
            finally:
                await self.relay.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: what answers on a workspace's own origin."""
        host = header(scope, b"host").lower()
        try:
            it = asked(host.decode("latin-1").partition(".localhost")[0])
            target = await self._finder.target(it)
            route = _route(scope, target, host)
            await self._carry(Exchange(scope, receive, send, target, route, _target(scope)))
        except Problem as problem:
            await self._refuse(scope, send, problem)

    async def on_path(
        self, scope: Scope, receive: Receive, send: Send, name: str, *, tls: int = 0
    ) -> None:
        """A path of the daemon's: `/…-proxy/NAME/REST?port=PORT&QUERY`.

        `tls` is the port that is meant when none is given, of a service that speaks TLS.
        """
        try:
            query, ports = without_port(scope["query_string"])
            port = only_port([*ports])
            it = Asked(name, port or tls or None, tls=bool(tls))
            prefix, rest = _split(scope)
            path = rest + (b"?" + _clean(query, b"") if query else b"")
            if _is_browser(scope):
                return await self._send_away(send, it, path)
            target = await self._finder.target(it)
            ours = b"" if port is None else b"port=%d" % port
            route = _route(scope, target, header(scope, b"host").lower(), prefix, ours)
            await self._carry(Exchange(scope, receive, send, target, route, path))
        except Problem as problem:
            await self._refuse(scope, send, problem)

    async def _carry(self, it: Exchange) -> None:
        if it.scope["type"] == "websocket":
            await sockets.carry(it, self._pins)
        else:
            await self.relay.carry(it)

    async def _send_away(self, send: Send, it: Asked, path: bytes) -> None:
        """To the workspace's own origin, by the name that it is known by."""
        name = self._finder.named(it.name)
        where = origin(Asked(name, it.port, it.tls), self._finder.suffix).encode() + path
        lines = [
            (b"location", where),
            (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 307, "headers": lines})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _refuse(self, scope: Scope, send: Send, problem: Problem) -> None:
        """A page for who looks at it, the envelope for everybody else."""
        looked_at = header(scope, b"sec-fetch-dest") == b"document"
        if scope["type"] != "http" or not looked_at:
            return await refuse(scope, send, problem, self._clock.now())
        words = (problem.message, problem.details, problem.remediation)
        title, details, remediation = (_marked(text) for text in words)
        body = PAGE.format(title=title, details=details, remediation=remediation).encode()
        headers = {"Content-Length": str(len(body)), **headers_of(problem)}
        lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        lines += [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
        lines += [(b"content-security-policy", POLICY)]
        await send({"type": "http.response.start", "status": status_of(problem), "headers": lines})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _route(
    scope: Scope, target: Target, host: bytes, prefix: bytes = b"", query: bytes = b""
) -> Route:
    client = scope.get("client") or ("",)
    return Route(
        netloc=target.netloc.encode(),
        scheme=b"https" if target.tls else b"http",
        host=host,
        client=str(client[0]).encode(),
        prefix=prefix,
        query=query,
    )


def _target(scope: Scope) -> bytes:
    """The request's target, byte for byte, but never without its first slash."""
    path, query = scope["raw_path"], scope["query_string"]
    return _clean(path) + (b"?" + _clean(query, b"") if query else b"")


def _clean(text: bytes, start: bytes = b"/") -> bytes:
    """What is no ASCII is escaped: a target has none, and a URL must end where it ends."""
    if not text.isascii() or b"#" in text:
        text = quote(text, safe=SAFE).encode()
    return text if text.startswith(start) else start + text


def _split(scope: Scope) -> tuple[bytes, bytes]:
    """`/web-proxy/NAME/REST` before and after the slash behind the name."""
    path = _clean(scope["raw_path"])
    first, _, rest = path[1:].partition(b"/")
    name, _, rest = rest.partition(b"/")
    return b"/" + first + b"/" + name, b"/" + rest


def _is_browser(scope: Scope) -> bool:
    """Whether a page could come alive there; programs say none of this."""
    if scope["type"] != "http":
        return False
    told = {name for name, _ in scope["headers"]}
    agent = header(scope, b"user-agent").startswith(b"Mozilla/")
    return agent or any(name.startswith(b"sec-fetch-") or name == b"origin" for name in told)


def _marked(text: str) -> str:
    """A text as HTML, its commands in type."""
    parts = escape(text).split("`")
    return "".join(f"<code>{it}</code>" if n % 2 else it for n, it in enumerate(parts))
