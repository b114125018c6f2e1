"""Connections to PostgreSQL with limits for every wait.

The server ends waits that it knows of: for a lock, a statement that takes too long, a
transaction whose client does nothing (it may have been stopped, and holds the one lock of all
writers). Other waits end here, because the server may be stopped or the network broken:
keepalives find a dead peer, and a call without an answer in time closes its connection.
"""

import os
from socket import gethostname
from typing import Any, NamedTuple

import psycopg
from psycopg import errors
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url

from prism.kit.database.database_faults import DatabaseNotUnicode

SLACK = 5.0  # seconds that the server has on top of its own limits to tell us of them
CONNECT = 5


class DatabaseTimeouts(NamedTuple):
    """How long, in seconds, a connection waits: for a lock, a statement, its own client."""

    lock: float
    statement: float
    idle: float

    @property
    def options(self) -> str:
        """The limits as options of a new session."""
        limits = {
            "lock_timeout": self.lock,
            "statement_timeout": self.statement,
            "idle_in_transaction_session_timeout": self.idle,
        }
        return " ".join(f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items())


def writing(patience: float) -> DatabaseTimeouts:
    """The limits of writers, which share one lock: an idle holder loses the lock first."""
    return DatabaseTimeouts(patience, patience * 1.5, patience * 0.8)


def reading(patience: float) -> DatabaseTimeouts:
    """The limits of readers, for which nothing waits."""
    return DatabaseTimeouts(patience, patience * 1.5, patience * 6)


class TimeLimitedConnection(psycopg.Connection[Any]):
    """A connection that closes when the server does not answer within `limit` seconds."""

    limit: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for a call to the server, up to the limit."""
        allowed = self.limit if timeout is None else timeout
        try:
            return super().wait(gen, interval, allowed)
        except errors._WaitTimeout as late:
            if timeout is not None:
                raise
            self.close()
            raise psycopg.OperationalError(
                f"the server did not answer within {allowed:g} s"
            ) from late


def engine(url: str, limits: DatabaseTimeouts, **pool: Any) -> Engine:
    """An engine whose connections keep the limits."""
    engine = create_engine(url, **pool)

    @event.listens_for(engine, "do_connect")
    def connect(
        _: Any, __: Any, args: list[Any], parameters: dict[str, Any]
    ) -> TimeLimitedConnection:
        merged = keepalives(parameters)
        merged["options"] = f"{limits.options} {parameters.get('options', '')}".strip()
        connection = TimeLimitedConnection.connect(*args, **merged)
        require_unicode(connection)
        connection.limit = limits.statement + SLACK
        return connection

    return engine


def require_unicode(connection: psycopg.Connection[Any]) -> None:
    """Close the connection and raise `DatabaseNotUnicode` if the database is not UTF-8."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding == "UTF8":
        return
    name = connection.info.dbname
    connection.close()
    raise DatabaseNotUnicode(
        f"The encoding of the database {name!r} is {encoding}, and Prism needs UTF8",
        remediation="Make another database, and name it in PRISM_DATABASE_URL: "
        f"`createdb --template template0 --encoding UTF8 {name}_utf8`",
    )


def plain(url: str) -> URL:
    """The address in the form that the driver and PostgreSQL's own programs accept."""
    return make_url(url).set(drivername="postgresql")


def keepalives(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a connection, with defaults that detect a dead peer."""
    defaults = {
        "connect_timeout": CONNECT,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": f"prism {gethostname()} {os.getpid()}",
    }
    return defaults | parameters
