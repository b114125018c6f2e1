"""The web GUI's files, as `make gui` built them, served at `/`.

They contain no secrets and need no token: their data comes from the API, which requires one.
`site.json`, written by the build, lists the files and the sections of the GUI whose addresses are
answered with `index.html`; every other path is the application's.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from prism.kit.clock import Clock
from prism.kit.envelope import MethodNotAllowed
from prism.kit.gate import ROUTE, AsgiApp, Receive, Scope, Send
from prism.kit.http import header, refuse

BUILT = Path(__file__).parents[1] / "web"
INDEX = "index.html"
CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
FOR_EVER, NO_CACHE = b"public, max-age=31536000, immutable", b"no-cache"
ENCODINGS = ((b"br", "br"), (b"gzip", "gz"))  # the best first, with the suffix of its files
HTML = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Prism</title>
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<h1>The web GUI is not built</h1>
<p>Run <code>make gui</code> in Prism's folder, then reload this page.</p>
<p>Everything else works: the command line (<code>prism --help</code>), the Python client, and
<a href="/docs">the API</a>.</p></html>
"""
Headers: TypeAlias = list[tuple[bytes, bytes]]


class BuiltFile(Struct, frozen=True):
    """One file of the build."""

    type: str
    etag: str
    encodings: tuple[str, ...]
    immutable: bool


class Site(Struct, frozen=True):
    """A build: its files by path, and the first segments of the GUI's addresses."""

    files: Mapping[str, BuiltFile]
    sections: frozenset[str]


class Website:
    """ASGI middleware that answers for the GUI's files and passes everything else on."""

    def __init__(self, app: AsgiApp, clock: Clock, folder: Path = BUILT) -> None:
        self.app, self._clock, self._folder = app, clock, folder
        self._site, self._build_time = read_site(folder), _build_time(folder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file, or let the application answer."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        name = file_of(scope["path"], self._site)
        if name == INDEX or self._site is None:
            await asyncio.to_thread(self._look_again)
            name = file_of(scope["path"], self._site)
        if name is None:
            return await self.app(scope, receive, send)
        if scope["method"] not in {"GET", "HEAD"}:
            problem = MethodNotAllowed(details="Allowed: GET, HEAD")
            return await refuse(scope, send, problem, self._clock.now())
        if self._site is None:
            return await _answer(scope, send, 503, HTML, NOT_BUILT.encode())
        return await self._send(scope, send, name, self._site.files[name])

    def _look_again(self) -> None:
        """Read the built files again if they have changed."""
        if (written := _build_time(self._folder)) != self._build_time:
            self._site, self._build_time = read_site(self._folder), written

    async def _send(self, scope: Scope, send: Send, name: str, file: BuiltFile) -> None:
        scope[ROUTE] = "gui"
        encoding, suffix = _best_encoding(header(scope, b"accept-encoding"), file.encodings)
        etag = f'"{file.etag}{suffix}"'.encode()
        headers = [
            (b"content-type", file.type.encode()),
            (b"cache-control", FOR_EVER if file.immutable else NO_CACHE),
            (b"etag", etag),
            (b"vary", b"accept-encoding"),
        ]
        if etag in [tag.strip() for tag in header(scope, b"if-none-match").split(b",")]:
            return await _answer(scope, send, 304, headers, b"")
        if encoding:
            headers.append((b"content-encoding", encoding))
        body = await asyncio.to_thread((self._folder / f"{name}{suffix}").read_bytes)
        return await _answer(scope, send, 200, headers, body)


def read_site(folder: Path) -> Site | None:
    """The build in a folder; None if there is none."""
    with suppress(FileNotFoundError):
        return msgspec.json.decode((folder / "site.json").read_bytes(), type=Site)
    return None


def _build_time(folder: Path) -> int | None:
    """When the build was written; None if there is none."""
    with suppress(FileNotFoundError):
        return (folder / "site.json").stat().st_mtime_ns
    return None


def file_of(path: str, site: Site | None) -> str | None:
    """The file for an address; None if the GUI has no such file."""
    name = path.removeprefix("/")
    if site is None:
        return INDEX if name in {"", INDEX} else None
    if name in site.files:
        return name
    return INDEX if name == "" or name.partition("/")[0] in site.sections else None


def _best_encoding(accepted: bytes, built: tuple[str, ...]) -> tuple[bytes, str]:
    """The best encoding that the client accepts and the build has, and its file's suffix."""
    words = accepted.decode("latin-1").lower().split(",")
    known = {
        word.partition(";")[0].strip() for word in words if "q=0" not in word.replace("q=0.", "")
    }
    for name, suffix in ENCODINGS:
        if name.decode() in known and suffix in built:
            return name, f".{suffix}"
    return b"", ""


async def _answer(scope: Any, send: Send, status: int, headers: Headers, body: bytes) -> None:
    lines = [*headers, *SECURITY_HEADERS]
    if status != 304:
        lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
