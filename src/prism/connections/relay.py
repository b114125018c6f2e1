"""HTTP through to a service and back, as it streams: nothing is kept, and nobody is hurried.

Each side is read only as fast as the other one takes it. Who hangs up takes the other
side with him.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from prism.connections import splice
from prism.connections.headers import Header, to_client, to_service, wrong
from prism.connections.model import CertificateChanged
from prism.kit.limits import PATIENT
from prism.kit.raw_response import BYPASS, RawConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

    from prism.connections.proxied_request import ProxiedRequest
    from prism.connections.tls import Pins

DIAL = 5.0  # seconds to connect; an answer may take as long as it takes
# Shorter than any server waits for a next request, so none closes on us as we send it one.
IDLE = 1.5
PIECE = 256 * 1024
LONGEST_LINE = 64 * 1024
UNREAD = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})
BODILESS = (b"0", b"")


class Gone(Exception):
    """The client has hung up."""


class Relay:
    """Carries requests to services; connections to them are kept for the next request."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        self._sessions: dict[str, ClientSession] = {}  # one for each network
        self._endless: set[asyncio.Task[object]] = set()
        self._home = False  # whether the daemon is on its way there

    async def carry(self, request: ProxiedRequest) -> None:
        """One request there, and its answer back."""
        client = _Client(request)
        try:
            async with self._asked(request, client) as answer:
                if answer.content_type == "text/event-stream":
                    self._endless.add(client.task)
                await _tell(request, answer)
        except Gone:
            pass
        except asyncio.CancelledError:
            if not client.gone and not self._home:
                raise
            client.task.uncancel()
            client.forget()
            if not client.gone:
                await _cut(request)
        finally:
            self._endless.discard(client.task)
            client.forget()

    def hang_up(self) -> None:
        """End what would never end by itself; everything else gets its time."""
        self._home = True
        for task in self._endless:
            task.cancel()

    async def close(self) -> None:
        """Let go of every connection."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()

    @contextlib.asynccontextmanager
    async def _asked(
        self, request: ProxiedRequest, client: _Client
    ) -> AsyncIterator[ClientResponse]:
        import aiohttp  # noqa: PLC0415  cold start: 150 ms that only the first request pays

        lines = to_service(request.scope["headers"], request.route)
        try:
            pin = await self._pins.of(request.target) if request.target.tls else None
            answer = await self._opened(request.target.spot.network).request(
                request.scope["method"],
                _url(request),
                headers=[(name.decode(), _text(value)) for name, value in lines],
                data=client.body,
                ssl=aiohttp.Fingerprint(pin) if pin else True,
                allow_redirects=False,
            )
        except aiohttp.ServerFingerprintMismatch as error:
            raise CertificateChanged(details=str(error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if client.gone:
                raise Gone from error
            raise request.broken(error) from error
        try:
            yield answer
        finally:
            # What was not read to its end would be found there by the next request.
            answer.release() if answer.content.at_eof() else answer.close()

    def _opened(self, network: str) -> ClientSession:
        """What has connections of that network, and of no other."""
        if (known := self._sessions.get(network)) is None:
            import aiohttp  # noqa: PLC0415  cold start: as above

            from prism.connections.connector import NetworkConnector  # noqa: PLC0415  cold start

            known = self._sessions[network] = aiohttp.ClientSession(
                auto_decompress=False,
                connector=NetworkConnector(network, limit=0, keepalive_timeout=IDLE),
                cookie_jar=aiohttp.DummyCookieJar(),
                max_field_size=LONGEST_LINE,
                max_line_size=LONGEST_LINE,
                read_bufsize=PIECE,
                skip_auto_headers=UNREAD,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=DIAL),
            )
        return known


class _Client:
    """Who asks: what they send, when it is taken, and whether they are still there."""

    def __init__(self, request: ProxiedRequest) -> None:
        task = asyncio.current_task()
        assert task is not None, "an application runs in a task"
        self.task, self.gone = task, False
        self._receive = request.receive
        self._watch: asyncio.Task[None] | None = None
        self.body = None if _bodiless(request.scope["headers"]) else self._pieces()
        if self.body is None:
            self._watch = asyncio.create_task(self._until_gone())

    def forget(self) -> None:
        """The answer is told, or nobody wants it any more."""
        if self._watch is not None:
            self._watch.cancel()

    async def _pieces(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise Gone
            more = message.get("more_body", False)
            if piece := message.get("body"):
                yield piece
        self._watch = asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self.task.cancel()


async def _tell(request: ProxiedRequest, answer: ClientResponse) -> None:
    import aiohttp  # noqa: PLC0415  cold start: it is there by now

    if why := wrong(answer.status, answer.raw_headers):
        raise request.unfit(why)
    if patient := request.scope.get(PATIENT):
        patient()
    headers = to_client(answer.raw_headers, request.route)
    await request.send(
        {"type": "http.response.start", "status": answer.status, "headers": headers}
    )
    try:
        if not await _moved(request, answer):
            async for piece in answer.content.iter_any():
                await request.send(
                    {"type": "http.response.body", "body": piece, "more_body": True}
                )
    except (aiohttp.ClientError, OSError):
        return await _cut(request)
    return await request.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cut(request: ProxiedRequest) -> None:
    """What was begun cannot be taken back: the client must see that it is not whole."""
    request.scope["prism_abort"]()
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _moved(request: ProxiedRequest, answer: ClientResponse) -> bool:
    """Whether the body was large enough to pass inside the kernel, and has."""
    service = answer.connection and answer.connection.transport
    plain = splice.POSSIBLE and not request.target.tls and request.scope["method"] == "GET"
    size, bypass = answer.content_length or 0, request.scope.get(BYPASS)
    if not (plain and service and bypass and size >= splice.WORTH) or service.is_closing():
        return False
    early = answer.content.read_nowait()
    service.pause_reading()  # from here on the rest stays in the kernel
    await request.send({"type": "http.response.body", "body": early, "more_body": True})
    left = size - len(early)
    past: RawConnection | None = await bypass() if left else None
    if past is not None:
        source, target = (
            transport.get_extra_info("socket") for transport in (service, past.transport)
        )
        with contextlib.suppress(splice.CannotSplice):
            await splice.move(source.fileno(), target.fileno(), left)
            past.wrote(left)
            return True
    service.resume_reading()
    return False


def _url(request: ProxiedRequest) -> URL:
    from yarl import URL  # noqa: PLC0415  cold start: as aiohttp, whose it is

    path, _, query = request.path.decode("latin-1").partition("?")
    scheme = "https" if request.target.tls else "http"
    return URL.build(
        scheme=scheme, authority=request.target.netloc, path=path, query_string=query, encoded=True
    )


def _bodiless(headers: list[Header]) -> bool:
    named = dict(headers)
    return named.get(b"content-length", b"") in BODILESS and b"transfer-encoding" not in named


def _text(value: bytes) -> str:
    """A header's value so that it goes out as the bytes that came in, where they are UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
