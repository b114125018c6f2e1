"""HTTP connections whose peer is checked; a refused peer gets an answer with the reason."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.envelope import (
    HeadTooLarge,
    InvalidRequest,
    PeerRejected,
    RequestTooSlow,
    TooManyConnections,
    status_of,
    to_wire,
)
from prism.kit.limits import PATIENT, ConnectionCounter, RequestLimits, peer_of
from prism.kit.network.peer_credentials import PeerCheck, SocketDiagnostics
from prism.kit.network.raw_response import RawResponseProtocol

if TYPE_CHECKING:
    from prism.kit.network.websocket_upgrade import WebSockets

LINGER = 1.0  # seconds for a refusal to be read before the connection is torn down
THROWN_AWAY = 1024 * 1024  # bytes that a refused connection may still send
OWN_USER = "Use Prism as the user who started its daemon, outside of workspaces"
MOST_SEARCHES = 256  # connections whose peer is being searched for
NORMAL = RequestLimits()
Decide: TypeAlias = Callable[[asyncio.Transport, bool], object]
Gone: TypeAlias = Callable[[Exception | None], object]


def web_sockets(**arguments: Any) -> "WebSockets":
    """The protocol class for connections that become WebSockets."""
    from prism.kit.network.websocket_upgrade import WebSockets  # noqa: PLC0415  cold start: 10 ms

    return WebSockets(**arguments)


def http_protocol(
    peers: PeerCheck | None,
    clock: Clock,
    limits: RequestLimits = NORMAL,
    diagnosis: SocketDiagnostics | None = None,
) -> type[HttpToolsProtocol]:
    """The HTTP protocol class for connections that `peers` admits; None admits all.

    With a `diagnosis`, connections of this computer are counted by user, else by address.
    """
    connections = ConnectionCounter(limits)
    refuser = ConnectionRefuser(limits, clock)
    searches: set[asyncio.Task[None]] = set()

    class CheckedProtocol(HeldProtocol):
        """Checks the peer of a connection before it handles any byte."""

        def connection_made(  # type: ignore[override]
            self, transport: asyncio.Transport
        ) -> None:
            """Serve the connection, or refuse it."""
            verdict = peers.judge(transport.get_extra_info("socket")) if peers else True
            if peers is None or isinstance(verdict, bool):
                return self.decide(transport, bool(verdict))
            return self.hold(transport, peers.admitted(verdict), searches, self.decide)

        def decide(self, transport: asyncio.Transport, is_admitted: bool) -> None:
            """Serve the connection, or refuse it."""
            if not is_admitted:
                return refuser.refuse(transport, PeerRejected(remediation=OWN_USER))
            peer = peer_of(transport.get_extra_info("socket"), diagnosis)
            try:
                connections.open(peer)
            except TooManyConnections as problem:
                return refuser.refuse(transport, problem)
            self.limits, self.refuser = limits, refuser
            self.on_lost = lambda: connections.close(peer)
            return super().connection_made(transport)

    return CheckedProtocol


class LimitedProtocol(RawResponseProtocol):
    """Uvicorn's protocol, with limits for the size and the time of an incomplete request.

    The size is the number of bytes since the last useful ones: the end of a head, a piece of
    a body. So it limits headers, trailers and the framing of chunks alike.
    """

    limits: RequestLimits
    refuser: "ConnectionRefuser"
    on_lost: Callable[[], object]
    _head = True  # a head is being read, or awaited
    _whole = True  # no message is incomplete
    _idle = 0  # bytes since the last useful ones
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _patient = False  # the client may read as slowly as it likes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve the connection, if its request arrives in time."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection as ended."""
        self._cancel_timer()
        self._stop_watching()
        self.on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read more, up to the limit for a request."""
        while data and not self.transport.is_closing():
            rest = b""
            if self._head:
                self._start_timer()
                room = self.limits.head - self._idle
                data, rest = data[:room], data[room:]
            self._idle += len(data)
            super().data_received(data)
            if self.transport.get_protocol() is not self:
                return None  # a WebSocket by now, or refused
            if self._idle > self.limits.head or (rest and self._idle == self.limits.head):
                return self._refuse(HeadTooLarge(remediation="Send fewer and shorter headers"))
            data = rest
        return None

    def on_message_begin(self) -> None:
        """Let a stream abort a connection whose client does not read."""
        super().on_message_begin()
        self._head, self._whole = True, False
        scope = cast("dict[str, object]", self.scope)
        scope["prism_abort"], scope[PATIENT] = self.transport.abort, self._set_patient

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are ignored."""
        if self._head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse a complete head that is ambiguous."""
        self._cancel_timer()
        self._head, self._idle = False, 0
        if why := ambiguous(self.url, self.headers, self.parser.get_http_version()):
            raise ValueError(why)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._idle = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._head, self._whole, self._idle = True, True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Expect the rest of the request soon, since it was answered."""
        super().on_response_complete()
        if not self._whole and self.parser is not None and not self.transport.is_closing():
            self._start_timer()

    def handle_websocket_upgrade(self) -> None:
        """Pass the connection to the WebSocket protocol; it still counts."""
        self._cancel_timer()
        super().handle_websocket_upgrade()
        cast("WebSockets", self.transport.get_protocol()).on_lost = self.on_lost

    def send_400_response(self, msg: str) -> None:
        """Answer that the request is not valid HTTP, as a problem."""
        self._refuse(InvalidRequest(details=msg))

    def pause_writing(self) -> None:
        """Limit the time until the client reads more."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """End the time limit: the client has read more."""
        self._stop_watching()
        super().resume_writing()

    def _watch(self) -> None:
        self._stop_watching()
        waits = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self.limits.stall, self._check_stalled, waits)

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _check_stalled(self, before: int) -> None:
        if self._patient or self.transport.get_write_buffer_size() < before:
            return self._watch()
        return self.transport.abort()

    def _set_patient(self) -> None:
        self._patient = True

    def _refuse(self, problem: Problem) -> None:
        """Answer in place of the application, and close the connection.

        If an answer is being sent, only close: a second answer would look like a part of it.
        """
        self._cancel_timer()
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            return self.transport.abort()
        if cycle is not None:
            cycle.disconnected = True  # ignore what the application still sends
            cycle.message_event.set()
        return self.refuser.refuse(self.transport, problem, self)

    def _start_timer(self) -> None:
        """Start the time limit for the rest of a request, unless it is running."""
        if self._timer is None:
            self._timer = self.loop.call_later(self.limits.head_timeout, self._head_timed_out)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_timed_out(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._start_timer()  # an answer is under way: its client may be silent
        elif self._idle and self._head:
            self._refuse(RequestTooSlow(remediation="Send the whole request at once"))
        else:
            self.transport.close()


def ambiguous(target: bytes, headers: Iterable[tuple[bytes, bytes]], version: str) -> str:
    """The part of a head that another parser, such as a proxy, may read differently; or empty."""
    named = [(name, value.strip().lower()) for name, value in headers]
    if version not in {"1.0", "1.1"}:
        return f"HTTP/{version}"
    codings = [value for name, value in named if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):
        return "a transfer coding other than chunked"
    lengths = [value for name, value in named if name == b"content-length"]
    if codings and lengths:
        return "a length and a transfer coding"
    # Such a body would never be read, but its length be passed on.
    if (codings or lengths not in ([], [b"0"])) and any(name == b"upgrade" for name, _ in named):
        return "a body in a request for an upgrade"
    if target.startswith(b"/") or target == b"*":
        return ""
    # In absolute form it names a host of its own, which others heed instead of `Host`.
    hosts = [value for name, value in named if name == b"host"]
    authority = target.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
    return "" if hosts == [authority.lower()] else "a target that names another host"


class HeldProtocol(LimitedProtocol):
    """Keeps what a connection sends until its peer is known."""

    is_held = False
    _early = b""
    _held: asyncio.Transport

    def hold(
        self,
        transport: asyncio.Transport,
        search: Coroutine[object, object, bool],
        searches: set[asyncio.Task[None]],
        decide: Decide,
    ) -> None:
        """Handle nothing of the connection until the search has ended, then `decide`."""
        self.is_held, self._held = True, transport
        transport.pause_reading()
        if len(searches) >= MOST_SEARCHES:
            search.close()
            return transport.abort()
        task = asyncio.get_running_loop().create_task(self._wait_for(search, decide))
        searches.add(task)
        return task.add_done_callback(searches.discard)

    async def _wait_for(self, search: Awaitable[bool], decide: Decide) -> None:
        is_admitted, transport = await search, self._held
        if not self.is_held:  # it has ended meanwhile
            return
        self.is_held = False
        decide(transport, is_admitted)
        transport.resume_reading()
        if self._early and transport.get_protocol() is self:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        """Keep the first piece: uvloop begins to read after `connection_made`."""
        if self.is_held:
            self._early += data
            self._held.pause_reading()
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection that has ended before it was admitted."""
        if self.is_held:
            self.is_held = False
        else:
            super().connection_lost(exc)


class ConnectionRefuser:
    """Answers a connection with a refusal, and discards what arrives meanwhile.

    Closing at once would reset the connection, and the answer might be lost with it. If too
    many are open, further ones get no answer.
    """

    def __init__(self, limits: RequestLimits, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._refused: set[asyncio.BaseTransport] = set()

    def refuse(
        self,
        transport: asyncio.Transport,
        problem: Problem,
        former: asyncio.Protocol | None = None,
    ) -> None:
        """Answer with the problem; `former.connection_lost` is called at the end."""
        if len(self._refused) >= self._limits.turned_away:
            return transport.abort()
        self._refused.add(transport)

        def gone(exc: Exception | None) -> None:
            self._refused.discard(transport)
            if former is not None:
                former.connection_lost(exc)

        transport.set_protocol(_DiscardProtocol(transport, gone))
        transport.write(_answer(problem, self._clock))
        if transport.can_write_eof():
            transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER, transport.abort)
        return None


class _DiscardProtocol(asyncio.Protocol):
    """Discards what a refused connection sends."""

    def __init__(self, transport: asyncio.Transport, ended: Gone) -> None:
        self._transport, self._ended, self._left = transport, ended, THROWN_AWAY

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)


def _answer(problem: Problem, clock: Clock) -> bytes:
    """A whole HTTP answer, for connections that do not reach the application."""
    body = to_wire(problem, clock.now())
    head = (
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return STATUS_LINE[status_of(problem)] + head.encode() + body
