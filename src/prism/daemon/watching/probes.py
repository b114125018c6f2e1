"""Answers `/healthz` and `/readyz`, which need no token.

Neither uses a thread of handlers, so both answer while all of these wait. `/healthz` asks nothing:
what answers lives. A restart brings no database back, so only `/readyz` asks it.
"""

from prism.daemon.watching.readiness import ServiceReadiness
from prism.kit.gate import ROUTE, Receive, Scope, Send

READY_PATH = "/readyz"


class Probes:
    """The ASGI application behind these two paths; the gate lets only GET and HEAD in."""

    def __init__(self, readiness: ServiceReadiness) -> None:
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in one line of text."""
        scope[ROUTE] = scope["path"]
        reasons = await self._readiness.reasons() if scope["path"] == READY_PATH else []
        text = f"not ready: {'; '.join(reasons)}" if reasons else "ok"
        body = f"{text}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"content-length", str(len(body)).encode()),
        ]
        status = 503 if reasons else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": body})
