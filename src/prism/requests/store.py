"""The table of requests for more, and all SQL about it."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    String,
    Table,
    func,
    or_,
    select,
    update,
)

from prism.kit.db import Tx
from prism.kit.tables import Utc, metadata, select_struct, structs_of
from prism.requests.model import MoreRequest, MoreState, RequestNotFound

more_requests = Table(
    "more_requests",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("person", String, nullable=False, index=True),
    Column("decider", String, nullable=False),
    Column("project", String, index=True),
    Column("limit", String),
    Column("workspace", String),
    Column("usd", BigInteger),
    Column("hours", Float),
    Column("size", String),
    Column("count", Integer),
    Column("summary", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("state", String, nullable=False),
    Column("made_at", Utc, nullable=False),
    Column("decided_by", String),
    Column("decided_at", Utc),
    Column("answer", String, nullable=False),
)
SELECT_REQUESTS = select_struct(more_requests, MoreRequest)
MAX_LISTED = 500


def add(tx: Tx, request: MoreRequest) -> None:
    """Add a request."""
    tx.sql.execute(more_requests.insert().values(**msgspec.structs.asdict(request)))


def find(sql: Connection, id: str) -> MoreRequest | None:
    """The request with that id, if there is one."""
    query = SELECT_REQUESTS.where(more_requests.c.id == id)
    return next(iter(structs_of(sql, MoreRequest, query)), None)


def named(sql: Connection, id: str) -> MoreRequest:
    """The request with that id; raises if there is none."""
    if (request := find(sql, id)) is not None:
        return request
    raise not_found(id)


def not_found(id: str) -> RequestNotFound:
    """The problem if there is no request with that id."""
    return RequestNotFound(
        f"Request {id!r} not found", remediation="Use `prism request list` to see requests"
    )


def listed(
    sql: Connection, state: MoreState | None, person: str, projects: Collection[str] | None
) -> list[MoreRequest]:
    """Requests of a person and about these projects (None: all); those without an answer first.

    Nobody has many of those, so nobody hides them by making and withdrawing others.
    """
    r = more_requests.c
    query = SELECT_REQUESTS if state is None else SELECT_REQUESTS.where(r.state == state)
    if projects is not None:
        query = query.where(or_(r.person == person, r.project.in_([*projects])))
    is_answered = r.state != MoreState.PENDING
    ordered = query.order_by(is_answered, r.made_at.desc(), r.id.desc())
    return structs_of(sql, MoreRequest, ordered.limit(MAX_LISTED))


def pending_of(sql: Connection, person: str) -> int:
    """How many requests of a person have no answer."""
    query = select(func.count()).select_from(more_requests)
    open_ones = query.where(
        more_requests.c.person == person, more_requests.c.state == MoreState.PENDING
    )
    return int(sql.execute(open_ones).scalar_one())


def decide(
    tx: Tx, request: MoreRequest, state: MoreState, *, by: str, at: datetime, answer: str
) -> MoreRequest:
    """Record the answer to a request; the request with it."""
    values = {"state": state, "decided_by": by, "decided_at": at, "answer": answer}
    condition = more_requests.c.id == request.id
    tx.sql.execute(update(more_requests).where(condition).values(**values))
    return named(tx.sql, request.id)
