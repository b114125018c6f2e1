"""A small application with the middleware of the kit and without the wiring of the daemon."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import httpx
from litestar import Litestar, Request, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct
from sqlalchemy import Column, Integer, String, Table, func, select

from prism.errors import Conflict, Unavailable
from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.events import Event
from prism.kit.http import PARAMETERS, RequestValidation, StrictRequest, problems
from prism.kit.idempotency import Idempotency
from prism.kit.tables import metadata

WAITS = {PARAMETERS: ("wait",)}

BASE = "http://localhost:8947"
notes = Table(
    "test_notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("text", String, nullable=False),
)


class Noted(Event, frozen=True, kw_only=True):
    event: ClassVar[str] = "noted"
    number: int = 0


Colour = Annotated[
    str, Meta(pattern=r"""^(#[0-9a-f]{6}|"\w'+")$""", description="a colour such as `#00ff00`")
]


class Disk(Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=100)]
    paint: Colour | None = None


class Note(Struct, forbid_unknown_fields=True):
    text: str
    disk: Disk | None = None
    copies: list[Disk] = []
    loud: bool = False
    colour: Colour | None = None
    code: Annotated[str, Meta(pattern="^[A-Z]$")] = "A"


class Full(Conflict, code="TEST_FULL"):
    """Refuses a change after it was made."""


class Away(Unavailable, code="TEST_AWAY"):
    """A dependency is unreachable."""


def noted(db: Database, number: int = 0, subject: str = "n") -> None:
    with db.write() as tx:
        tx.happened(Noted(actor="ada", subject=subject, number=number))


def texts(db: Database) -> list[str]:
    with db.read() as sql:
        return list(sql.execute(select(notes.c.text).order_by(notes.c.id)).scalars())


InjectedDatabase = NamedDependency[Database]


@post("/api/v1/notes", sync_to_thread=True)
def write(data: JSONBody[Note], db: InjectedDatabase) -> dict[str, Any]:
    with db.write() as tx:
        tx.sql.execute(notes.insert().values(text=data.text))
        tx.happened(Noted(actor="ada", subject=data.text))
        count = tx.sql.execute(select(func.count()).select_from(notes)).scalar_one()
    if data.text == "too much":
        raise Full(details="after the effect", data={"most": 3})
    if data.text == "broken":
        raise RuntimeError("secret words")
    return {"count": count, "text": data.text, "token": "clear"}


@post("/api/v1/notes/{name:str}/poke", sync_to_thread=True, status_code=200, opt=WAITS)
def poke(name: FromPath[str], db: InjectedDatabase) -> dict[str, str]:
    with db.write() as tx:
        tx.sql.execute(notes.insert().values(text=name))
    return {"name": name}


@get("/api/v1/notes/{number:str}", sync_to_thread=False)
def show(number: FromPath[int], limit: FromQuery[int] = 10) -> dict[str, int]:
    return {"number": number, "limit": limit}


@get("/api/v1/search", sync_to_thread=False)
def search(word: FromQuery[str]) -> str:
    return word


@put("/api/v1/away", sync_to_thread=False)
def away() -> None:
    raise Away(data={"retry_after": 7})


@post("/api/v1/raw", opt={"raw": True})
async def raw(request: Request[Any, Any, Any]) -> str:
    return str(sum([len(piece) async for piece in request.stream()]))


@dataclass
class NotesApp:
    """An application, and a function that sends requests to it."""

    app: Any
    db: Database

    def __call__(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        return asyncio.run(self.ask(method, path, headers, **body))

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as to:
            return await to.request(method, path, headers=headers, **body)


def application(db: Database, clock: StoppedClock, actor: str = "ada") -> NotesApp:
    """The application with notes, behind the middleware of the kit."""
    keep = Idempotency(db, clock, actor=lambda scope: actor, redact={"/api/v1/notes": redacted})
    app = Litestar(
        [write, poke, show, search, away, raw],
        dependencies={"db": Provide(lambda: db, use_cache=True, sync_to_thread=False)},
        exception_handlers=problems(clock),
        logging_config=None,
        middleware=[RequestValidation(), keep],
        openapi_config=None,
        request_class=StrictRequest,
    )
    return NotesApp(app, db)


def redacted(body: bytes) -> bytes:
    return body.replace(b'"clear"', b"null")


def failed(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    fault: dict[str, Any] = answer.json()["error"]
    assert fault["code"] == code, fault
    assert set(fault) - {"data"} == {"code", "message", "details", "remediation", "timestamp"}
    return fault
