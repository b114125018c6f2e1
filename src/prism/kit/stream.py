"""Streams events to many readers as they happen: server-sent events and WebSocket.

One task, the hub, reads committed events once, encodes them once and passes the bytes to
every reader. A reader that resumes first reads the journal page by page, then joins the
hub without a gap. Each reader has a queue and a task of its own: a slow one does not delay
others, and one that is too far behind is disconnected; it resumes where it was.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import msgspec
from litestar import Request, WebSocket, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.handlers import websocket
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ASGIApp

from prism.errors import ValidationFailed
from prism.kit.clock import Clock
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.db import Database
from prism.kit.event_ids import PLAIN_IDS, EventIds, IdsOfCaller
from prism.kit.events import RESYNC, RecordedEvent, SentEvent, id_of, sent_event
from prism.kit.http import PARAMETERS, check_parameters, refuse
from prism.kit.journal import EVENTS_AT_ONCE

Reply = TypeVar("Reply")


class EventFilter(Protocol):
    """What a reader may see, and how long."""

    def __call__(self, event: RecordedEvent) -> bool | None:
        """Whether they may see it; None if their rights have changed: the stream ends."""

    def is_over(self) -> bool:
        """Whether their token or session has ended by itself, which is no event."""


EventFilters: TypeAlias = Callable[[], EventFilter | None]
"""Made for each reader; None for one that may see everything."""
log = logging.getLogger(__name__)
LAST_EVENT_ID = "last_event_id"
RESUMES = {PARAMETERS: (LAST_EVENT_ID,)}
POLL = 1.0  # seconds until the hub notices what another daemon committed
KEEP_ALIVE = (
    15.0  # seconds between keepalives, whatever else is sent: events of others do not show
)
MOST_BEHIND = 1000  # events
PER_READER, MAX_DELAY = (
    0.00005,
    0.1,
)  # seconds for which events are gathered: a round takes as long
GRACE = 1.0  # seconds until readers that have not ended are cut off
TOO_SLOW, GOING_AWAY = 1013, 1001  # codes of a WebSocket that is closed
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Batch:
    """Events that are sent together, encoded once for all readers; without any, a keepalive."""

    def __init__(self, events: Sequence[RecordedEvent], ids: EventIds = PLAIN_IDS) -> None:
        self.events = events
        sent = [sent_event(event, ids.of_event(event)) for event in events]
        self.frames = [msgspec.json.encode(event) for event in sent]
        self.sse = b"".join(map(_sse_block, sent, self.frames)) or b":\n\n"

    def after(self, number: int) -> "Batch":
        """The events after that number."""
        if not self.events or self.events[0].id > number:
            return self
        return Batch([event for event in self.events if event.id > number])


class StreamReader:
    """One reader's queue."""

    def __init__(self, rights: EventFilter | None) -> None:
        self.position, self.rights = 0, rights
        self.live = False  # else it reads the journal, and the hub gives it nothing yet
        self.cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: deque[Batch] = deque()
        self._behind, self._ended = 0, False
        self._woken = asyncio.Event()

    def give(self, batch: Batch) -> None:
        """Put events into the queue; disconnect the reader if it is too far behind."""
        if not self.live or self._ended:
            return
        self._waiting.append(new := batch.after(self.position))
        self._behind += len(new.frames)
        if self._behind > MOST_BEHIND:
            self.drop()
        self._woken.set()

    def end(self) -> None:
        """End after the queued events."""
        self._ended = True
        self._woken.set()

    def drop(self) -> None:
        """Disconnect the reader at once."""
        self.end()
        if not self.cut.done():
            self.cut.set_result(None)

    async def take(self) -> Batch | None:
        """The next events, as soon as there are some; None at the end."""
        while not self._waiting:
            if self._ended:
                return None
            self._woken.clear()
            await self._woken.wait()
        batch = self._waiting.popleft()
        self._behind -= len(batch.frames)
        return batch


class Hub:
    """Reads each new event once and gives it to every reader of this process."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self.clock = db, clock
        self._readers: set[StreamReader] = set()
        self._threads = ThreadPoolExecutor(2, "events")
        self._position, self._started = 0, asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    @property
    def readers(self) -> int:
        """How many read now."""
        return len(self._readers)

    @asynccontextmanager
    async def reading(
        self, after: int | None, rights: EventFilter | None = None
    ) -> AsyncIterator[StreamReader]:
        """A reader of all events after that number, or from now on; the hub runs meanwhile."""
        self._readers.add(reader := StreamReader(rights))
        if self._work is None or self._work.done():
            self._started = asyncio.Event()
            self._work = asyncio.create_task(self._run())
        try:
            await self._started.wait()
            reader.position = self._position if after is None else after
            reader.live = after is None
            if self._db.bus.closed:
                reader.end()
            yield reader
        finally:
            self._readers.discard(reader)
            if not self._readers and self._work is not None:
                self._work.cancel()
                self._work = None

    async def batches(self, reader: StreamReader) -> AsyncIterator[Batch]:
        """The events for that reader, without gaps and repetitions."""
        ahead = reader.position > self._position
        if ahead and await self._ask(self._db.events_after, reader.position - 1) == []:
            yield self._resync(reader)  # an id of a database that was replaced
        while not reader.live and not self._db.bus.closed:
            page = await self._page(reader.position)
            if page and page[0].event == RESYNC:
                yield self._resync(reader)
            elif page:
                reader.position = page[-1].id
                yield Batch(page)
            # Nothing can come between this look and the next line: they share a thread.
            reader.live = reader.position >= self._position
        while (batch := await reader.take()) is not None:
            yield batch

    def _resync(self, reader: StreamReader) -> Batch:
        reader.position = self._position
        now = self.clock.now()
        return Batch([RecordedEvent(self._position, RESYNC, now, "prism", "events", {})])

    async def _run(self) -> None:
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def callback() -> None:
            with suppress(RuntimeError):  # the loop is closed: so is every reader
                loop.call_soon_threadsafe(woken.set)

        with self._db.bus.listening(callback):
            await self._begin()
            keepalive_at = loop.time() + KEEP_ALIVE
            while not self._db.bus.closed:
                woken.clear()
                if page := await self._page(self._position):
                    self._publish(Batch(page))
                    await asyncio.sleep(min(PER_READER * len(self._readers), MAX_DELAY))
                if (late := loop.time() - keepalive_at) >= 0:
                    self._publish(Batch([]))
                    keepalive_at += KEEP_ALIVE * (1 + late // KEEP_ALIVE)
                if len(page) < EVENTS_AT_ONCE:
                    remaining = max(keepalive_at - loop.time(), 0)
                    await _wait_at_most(min(POLL, remaining), woken.wait())
                for reader in tuple(self._readers):
                    if reader.rights is not None and reader.rights.is_over():
                        reader.end()
        for reader in tuple(self._readers):
            reader.end()
        await asyncio.sleep(GRACE)  # cancelled when the last reader leaves
        for reader in tuple(self._readers):
            reader.drop()

    def _publish(self, batch: Batch) -> None:
        if batch.events:
            self._position = batch.events[-1].id
        for reader in self._readers:
            reader.give(batch)

    async def _begin(self) -> None:
        while (newest := await self._ask(self._db.newest_event)) is None:
            pass
        self._position = newest
        self._started.set()

    async def _page(self, after: int) -> list[RecordedEvent]:
        return await self._ask(self._db.events_after, after) or []

    async def _ask(self, question: Callable[..., Reply], *arguments: int) -> Reply | None:
        """The result of a query; None, after a pause, while the database is away."""
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, question, *arguments)
        except DatabaseUnavailable as error:
            log.warning("cannot read events: %s", type(error).__name__)
            await asyncio.sleep(POLL)
            return None


def hub_of(state: State, db: NamedDependency[Database], clock: NamedDependency[Clock]) -> Hub:
    """The application's one hub, made for its first reader."""
    if "hub" not in state:
        state.hub = Hub(db, clock)
    return cast("Hub", state.hub)


def readers_of(state: State) -> int:
    """How many streams of events are open."""
    return cast("Hub", state.hub).readers if "hub" in state else 0


HUB = {"hub": Provide(hub_of, sync_to_thread=False)}


@get(
    "/api/v1/events",
    dependencies=HUB,
    opt=RESUMES,
    tags=["events"],
    responses={
        200: ResponseSpec(
            str,
            description="Facts, as they happen",
            media_type="text/event-stream",
            generate_examples=False,  # they are random words
        )
    },
)
async def events(
    request: Request[Any, Any, Any],
    hub: NamedDependency[Hub],
    visibility: NamedDependency[EventFilters],
    event_ids: NamedDependency[IdsOfCaller],
) -> ASGIApp:
    """Send events from now on, or from `Last-Event-ID` on without a gap."""
    is_visible, ids = visibility(), event_ids()
    after = _resume_after(ids, request.headers.get("last-event-id"), request.query_params)

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})

        async def send_batch(batch: Batch) -> None:
            await send({"type": "http.response.body", "body": batch.sse, "more_body": True})

        async def closed() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async with hub.reading(after, is_visible) as reader:
            # The id alone: a reader that is cut off before the first event resumes from here.
            first = f"retry: 1000\nid: {ids.of_position(reader.position)}\n\n".encode()
            await send({"type": "http.response.body", "body": first, "more_body": True})
            batches = _visible(hub.batches(reader), is_visible, ids)
            ended = await _send_all(batches, send_batch, closed, reader, scope.get("prism_abort"))
        if ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return stream


@websocket("/api/v1/ws", dependencies=HUB, opt=RESUMES)
async def listen(
    socket: WebSocket[Any, Any, Any],
    hub: NamedDependency[Hub],
    visibility: NamedDependency[EventFilters],
    event_ids: NamedDependency[IdsOfCaller],
) -> None:
    """Send events over WebSocket, each as one text frame; `?last_event_id=` resumes."""
    is_visible, ids = visibility(), event_ids()
    try:
        check_parameters(socket.scope)
        after = _resume_after(ids, None, socket.query_params)
    except ValidationFailed as problem:
        await refuse(socket.scope, socket.send, problem, hub.clock.now())
        return
    await socket.accept()

    async def send_batch(batch: Batch) -> None:
        for frame in batch.frames:
            await socket.send({"type": "websocket.send", "bytes": None, "text": frame.decode()})

    async def closed() -> None:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass

    async with hub.reading(after, is_visible) as reader:
        ended = await _send_all(
            _visible(hub.batches(reader), is_visible, ids), send_batch, closed, reader, None
        )
    if ended or reader.cut.done():
        code = GOING_AWAY if ended else TOO_SLOW
        await _wait_at_most(GRACE, socket.close(code=code, reason="resume with last_event_id"))


async def _send_all(
    batches: AsyncIterator[Batch],
    send_batch: Callable[[Batch], Awaitable[None]],
    closed: Callable[[], Awaitable[None]],
    reader: StreamReader,
    abort: Callable[[], object] | None,
) -> bool:
    """Send everything until the end (then true), or until the client is gone."""

    async def write() -> None:
        async for batch in batches:
            await send_batch(batch)

    writer, watcher = asyncio.ensure_future(write()), asyncio.ensure_future(closed())
    try:
        ends = {writer, watcher, reader.cut}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if reader.cut.done() and abort is not None and not writer.done():
            abort()  # what it did not read will never be read
            await watcher
        if not writer.done():
            return False
        with suppress(OSError):  # it disconnected while it was written to
            await writer
            return not reader.cut.done()
        return False
    finally:
        for task in (writer, watcher):
            task.cancel()
        await asyncio.gather(writer, watcher, return_exceptions=True)


async def _visible(
    batches: AsyncIterator[Batch], is_visible: EventFilter | None, ids: EventIds
) -> AsyncIterator[Batch]:
    """The events that the reader may see, and keepalives; ends when their rights have changed."""
    async for batch in batches:
        verdicts = [True if is_visible is None else is_visible(event) for event in batch.events]
        if None in verdicts:
            return
        if all(verdicts) and (ids is PLAIN_IDS or not batch.events):
            yield batch
        elif any(verdicts):
            pairs = zip(batch.events, verdicts, strict=True)
            yield Batch([event for event, may in pairs if may], ids)


async def _wait_at_most(seconds: float, awaitable: Awaitable[object]) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(awaitable, seconds)


def _resume_after(ids: EventIds, header: str | None, query: Any) -> int | None:
    """The event to resume after, from the header or the query; None for new events only."""
    name, id = "Last-Event-ID", header
    if id is None:
        name, id = LAST_EVENT_ID, query.get(LAST_EVENT_ID)
    if id is None:
        return None
    if (number := ids.number(id)) is None:
        raise ValidationFailed.of((name, "is not the id of an event, such as " + id_of(42)))
    return number


def _sse_block(event: SentEvent, frame: bytes) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        event.id.encode(),
        event.event.encode(),
        frame,
    )


routes = (events, listen)
