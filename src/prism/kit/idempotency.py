"""`Idempotency-Key`: a request that is sent twice happens once.

The middleware opens the transaction, the handler's own `db.write()` joins it, and the
answer is stored in it: effect and answer commit together or not at all. A repeat waits for
the first request, because there is one writer; then it finds the answer. A refused request
is undone, and its answer is not stored.

Opening, closing and the handlers inside have threads of their own (`HandlerThreads`): a request
that holds the one writer never waits for a thread behind requests that wait for the
writer.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    delete,
    select,
)

from prism.errors import Conflict, ValidationFailed
from prism.kit.clock import Clock
from prism.kit.database.database_faults import RETRY_HINT, DatabaseBusy
from prism.kit.db import CURRENT_TX, Database, Tx
from prism.kit.http import BODY, RAW, WITHOUT_KEY, WRITES
from prism.kit.routes import HandlerRoutes
from prism.kit.tables import Utc, metadata

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(hours=24)
WORKER_THREADS = 32  # for handlers
Redact = Callable[[bytes], bytes]

keys = Table(
    "idempotency_keys",
    metadata,
    Column("id", String(64), primary_key=True),  # a hash of the user, the route and the key
    Column("body", String(64), nullable=False),  # a hash of what was sent
    Column("kept_at", Utc, nullable=False, index=True),
    Column("status", Integer, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("answer", LargeBinary, nullable=False),
)


class IdempotencyConflict(Conflict, code="IDEMPOTENCY_CONFLICT"):
    """That Idempotency-Key was used for a different request."""


class HandlerThreads(ThreadPoolExecutor):
    """Threads for handlers; the loop's default executor.

    Handlers inside an open transaction have threads of their own. If they queued behind
    handlers that wait for the writer, each would wait for the other. Handlers that write have
    their own too: while all of them wait, reads are answered.
    """

    def __init__(self, threads: int = WORKER_THREADS) -> None:
        super().__init__(threads, "handler")
        self._holder = ThreadPoolExecutor(4, "writer")
        self._writers = ThreadPoolExecutor(threads, "changes")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in a thread of the right kind."""
        if CURRENT_TX.get() is not None:
            return self._holder.submit(fn, *args, **kwargs)
        if WRITES.get():
            return self._writers.submit(fn, *args, **kwargs)
        return super().submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all threads."""
        for executor in (self._holder, self._writers):
            executor.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)


class RecordedAnswer(msgspec.Struct):
    """An application's answer that is kept back."""

    status: int = 0
    headers: list[tuple[str, str]] = []
    body: bytes = b""

    async def record(self, message: Any) -> None:
        """Record a piece of it; a `send` for the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            pairs = message.get("headers", [])
            self.headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in pairs]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def send_to(self, send: Any, *more: tuple[str, str]) -> None:
        """Send the answer."""
        lines = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in (*self.headers, *more)]
        await send({"type": "http.response.start", "status": self.status, "headers": lines})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def takes_key(routes: HandlerRoutes) -> bool:
    """Whether a handler's requests may have a key."""
    return "POST" in routes.methods and not routes.options.get(RAW)


class RequestRefused(Exception):
    """Undoes a transaction whose request was answered with a refusal."""


class Idempotency(ASGIMiddleware):
    """Middleware after `RequestValidation`; `redact` belongs to path templates."""

    scopes = (ScopeType.HTTP,)

    def __init__(
        self,
        db: Database,
        clock: Clock,
        actor: Callable[[Scope], str],
        redact: Mapping[str, Redact] | None = None,
        waits: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        """`waits`, by path template, are called first: they wait in place of the handler.

        The transaction opens afterwards, so that other writers do not wait meanwhile.
        """
        self._db, self._clock, self._actor = db, clock, actor
        self._redact, self._waits = redact or {}, waits or {}
        self._opening = ThreadPoolExecutor(1, "idempotency-open")
        self._closing = ThreadPoolExecutor(1, "idempotency-close")

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer, or repeat the stored answer."""
        values = [v for k, v in scope["headers"] if k == HEADER.lower().encode()]
        if not values or scope.get("method") != "POST":
            return await next_app(scope, receive, send)
        key = _key(values)
        if scope["route_handler"].opt.get(WITHOUT_KEY):
            return await next_app(scope, receive, send)
        # If the client disconnects, the transaction still ends.
        work = asyncio.ensure_future(self._once(key, scope, receive, next_app))
        answer, replayed = await asyncio.shield(work)
        await answer.send_to(send, *([("Idempotency-Replayed", "true")] if replayed else []))
        return None

    async def _once(
        self, key: str, scope: Scope, receive: Receive, app: ASGIApp
    ) -> tuple[RecordedAnswer, bool]:
        id = _hash([self._actor(scope), "POST", scope["path"], key])
        sent = cast("dict[str, Any]", scope)[BODY]
        body = _hash(msgspec.json.decode(sent or b"{}"))
        loop, answer = asyncio.get_running_loop(), RecordedAnswer()
        if wait := self._waits.get(str(scope.get("path_template", ""))):
            await loop.run_in_executor(None, copy_context().run, wait)
        # Whichever thread enters or leaves it, the block lives in one context.
        block, run = self._db.write(), copy_context().run
        began = time.monotonic()
        tx: Tx = await loop.run_in_executor(self._opening, run, self._enter, block, began)
        try:
            recorded = await loop.run_in_executor(self._closing, self._recorded, tx.sql, id, body)
            if recorded is None:
                CURRENT_TX.set(tx)  # threads that handlers run in copy it
                await app(scope, receive, answer.record)
                CURRENT_TX.set(None)
                # Nothing has been sent yet: if the commit fails, that is the answer.
                ScopeState.from_scope(scope).response_started = False
                if not 200 <= answer.status < 300:
                    raise RequestRefused
                redact = self._redact.get(str(scope.get("path_template", "")))
                keep = (tx.sql, id, body, answer, redact)
                await loop.run_in_executor(self._closing, self._record_answer, *keep)
        except BaseException as error:
            CURRENT_TX.set(None)
            await loop.run_in_executor(self._closing, run, _undo, block, error)
            if not isinstance(error, RequestRefused):
                raise
            return answer, False
        await loop.run_in_executor(self._closing, run, block.__exit__, None, None, None)
        return recorded or answer, recorded is not None

    def _enter(self, block: AbstractContextManager[Tx], asked_at: float) -> Tx:
        """Open the transaction, unless earlier requests took longer than the patience."""
        if time.monotonic() - asked_at > self._db.patience:
            raise DatabaseBusy(
                details="earlier requests wait for their turn to write",
                remediation=RETRY_HINT,
            )
        return block.__enter__()

    def _recorded(self, sql: Connection, id: str, body: str) -> RecordedAnswer | None:
        prune(sql, self._clock.now())
        row = sql.execute(select(keys).where(keys.c.id == id)).one_or_none()
        if row is None:
            return None
        if row.body != body:
            raise IdempotencyConflict(
                details=f"The first request with this {HEADER} had another body",
                remediation="Send the same body again, or another key",
            )
        return RecordedAnswer(
            row.status, [(name, value) for name, value in row.headers], row.answer
        )

    def _record_answer(
        self, sql: Connection, id: str, body: str, answer: RecordedAnswer, redact: Redact | None
    ) -> None:
        stored_body, headers = answer.body, answer.headers
        if redact:
            stored_body = redact(stored_body)
            length = ("content-length", str(len(stored_body)))
            headers = [length if pair[0].lower() == "content-length" else pair for pair in headers]
        row = {"id": id, "body": body, "kept_at": self._clock.now(), "status": answer.status}
        sql.execute(keys.insert().values(**row, headers=headers, answer=stored_body))


def prune(sql: Connection, now: datetime) -> None:
    """Delete answers that were kept long enough."""
    sql.execute(delete(keys).where(keys.c.kept_at <= now - KEPT_FOR))


def _undo(block: AbstractContextManager[Tx], error: BaseException) -> None:
    """Leave the block as if `error` had been raised in it; the block raises it again."""
    try:
        block.__exit__(type(error), error, error.__traceback__)
    except type(error):
        return


def _key(values: list[bytes]) -> str:
    text = values[0].decode("latin-1")
    if len(values) == 1 and 1 <= len(text) <= 255 and text.isascii() and text.isprintable():
        return text
    raise ValidationFailed.of((HEADER, "one key of 1 to 255 printable ASCII characters"))


def _hash(value: object) -> str:
    # Two bodies are the same if they say the same, in whatever order and spacing.
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
