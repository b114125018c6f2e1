"""Raw ASGI requests, as uvicorn passes them on, which no client would send."""

import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from prism.kit.gate import AsgiApp
from tests.shapes import ISO

JSON = ((b"content-type", b"application/json"),)


@dataclass
class Answer:
    """The answer to a request."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> Any:
        """The code of a refusal; asserts that it has the error envelope."""
        fault = json.loads(self.body)["error"]
        assert {"code", "message", "details", "remediation", "timestamp"} <= set(fault)
        assert ISO.fullmatch(fault["timestamp"])
        assert self.headers[b"content-type"] == b"application/json"
        return fault["code"]


def send_requests(app: AsgiApp, *requests: Any) -> list[Answer]:
    """The answers to requests `(method, target, headers, body)`."""
    return asyncio.run(_all(app, requests))


async def _all(app: AsgiApp, requests: Any) -> list[Answer]:
    return [await _answer(app, *request) for request in requests]


async def _answer(
    app: AsgiApp, method: str, target: str | bytes, headers: Any = (), body: bytes = b""
) -> Answer:
    target = target if isinstance(target, bytes) else target.encode()
    path, _, query = target.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [
            (b"host", b"localhost:8947"),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ],
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8947),
    }
    answer, is_received = Answer(), False

    async def receive() -> dict[str, Any]:
        nonlocal is_received
        if is_received:
            return {"type": "http.disconnect"}
        is_received = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], dict(message["headers"])
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer
