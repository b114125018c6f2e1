"""A database that is stopped, locked, away, full, empty or damaged never causes a 500."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from prism.kit.database.database_faults import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseFull,
    DatabaseLost,
    DatabaseReadOnly,
    DatabaseUnavailable,
    diagnose,
)
from prism.kit.database.postgres import plain
from prism.kit.http import WRITES
from prism.kit.idempotency import HandlerThreads
from prism.projects import store as projects
from tests.optional import not_none
from tests.waiting import eventually

pytestmark = pytest.mark.postgres

STATUS, LIST = "/api/v1/daemon/status", "/api/v1/instances"


def raised(url, *statements, prepare=()):
    """The error that SQLAlchemy raises for the last of these statements."""
    engine = create_engine(url)
    try:
        with engine.connect() as sql:
            for statement in prepare:
                sql.exec_driver_sql(statement)
            for statement in statements:
                sql.exec_driver_sql(statement)
    except SQLAlchemyError as error:
        return error
    finally:
        engine.dispose()
    raise AssertionError("nothing was wrong")


def sqlite_file(tmp_path, content=None):
    path = tmp_path / "state.db"
    if content is not None:
        path.write_bytes(content)
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("content", "prepare", "statement", "kind"),
    [
        (b"no database at all" * 100, (), "SELECT * FROM sqlite_master", DatabaseDamaged),
        (None, (), "SELECT * FROM workspaces", DatabaseLost),
        (
            None,
            ("CREATE TABLE t (x)", "PRAGMA max_page_count = 2"),
            "INSERT INTO t VALUES (randomblob(100000))",
            DatabaseFull,
        ),
        (
            None,
            ("CREATE TABLE t (x)", "PRAGMA query_only = ON"),
            "INSERT INTO t VALUES (1)",
            DatabaseReadOnly,
        ),
        (None, (), "SELEKT 1", None),
        (None, ("CREATE TABLE t (x PRIMARY KEY)", "INSERT INTO t VALUES (1)"), None, None),
    ],
)
def test_sqlite_error_is_diagnosed_with_details_and_remediation(
    tmp_path, content, prepare, statement, kind
):
    url = sqlite_file(tmp_path, content)
    error = raised(url, statement or "INSERT INTO t VALUES (1)", prepare=prepare)
    fault = diagnose(error, writing=True)
    assert (type(fault) if fault else None) is kind
    if fault:
        assert fault.details
        assert "prism" in fault.remediation or "Free space" in fault.remediation


def test_write_in_a_read_only_transaction_is_not_a_database_fault(tmp_path):
    prepare = ("CREATE TABLE t (x)", "PRAGMA query_only = ON")
    error = raised(sqlite_file(tmp_path), "INSERT INTO t VALUES (1)", prepare=prepare)
    assert diagnose(error, writing=False) is None


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("55P03", DatabaseBusy),
        ("57014", DatabaseBusy),
        ("25P03", DatabaseBusy),
        ("53300", DatabaseBusy),
        ("53100", DatabaseFull),
        ("57P01", DatabaseUnavailable),
        ("57P03", DatabaseUnavailable),
        ("08006", DatabaseUnavailable),
        ("28P01", DatabaseUnavailable),
        ("3D000", DatabaseLost),
        ("42P01", DatabaseLost),
        ("25006", DatabaseReadOnly),
        ("XX001", DatabaseDamaged),
        ("40001", DatabaseBusy),
        ("23505", None),
        ("42601", None),
    ],
)
def test_postgresql_error_is_diagnosed_by_its_sqlstate(state, kind):
    original = psycopg.errors.lookup(state)("said the server\nand more")
    fault = diagnose(DBAPIError("SELECT 1", {}, original), writing=True)
    assert (type(fault) if fault else None) is kind
    assert fault is None or fault.details == "said the server"


@contextlib.contextmanager
def stopped_writer(url):
    """Another process in the middle of a transaction, stopped as by `kill -STOP`."""
    program = (
        "import sys\n"
        "from prism.kit.clock import WallClock\n"
        "from prism.kit.db import Database\n"
        "from prism.kit.events import Bus\n"
        "db = Database(sys.argv[1], WallClock(), Bus(), float(sys.argv[2]))\n"
        "with db.write() as tx:\n"
        "    print('in it', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, url, "2"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert not_none(process.stdout).readline() == b"in it\n"
        process.send_signal(signal.SIGSTOP)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


@contextlib.contextmanager
def write_lock_held(url):
    """Holds the lock of all writers, without a time limit."""
    if url.startswith("sqlite"):
        lock = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        with contextlib.closing(lock):
            yield
    else:
        where = plain(url).render_as_string(hide_password=False)
        with psycopg.connect(where) as server:
            server.execute("SELECT pg_advisory_xact_lock(8947)")
            yield


def test_write_answers_database_busy_during_a_held_lock_while_reads_work(
    make_daemon, url, http_of
):
    daemon = make_daemon(database_timeout=1)
    http = http_of(daemon)
    assert http.launch("one").status_code == 201
    with write_lock_held(url):
        answer = http.launch("two")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "DATABASE_BUSY")
        assert int(answer.headers["retry-after"]) > 0
        keyed = http(
            "POST",
            "/api/v1/instances/launch",
            headers={"Idempotency-Key": "k"},
            json={"name": "two", "template": "Plain Shell"},
        )
        assert keyed.status_code == 503
        assert [entry["name"] for entry in http("GET", LIST).json()] == ["one"]
        assert http("GET", "/api/v1/projects").status_code == 200
        status = http("GET", STATUS).json()
        assert status["status"] == "degraded"
        assert "busy" in " ".join(status["reasons"])
    assert http.launch("two").status_code == 201
    assert http("GET", STATUS).json()["status"] == "healthy"


def test_status_reports_waiting_writes_and_the_holder_of_the_lock(
    make_daemon, url, http_of, monkeypatch
):
    monkeypatch.setattr("prism.kit.db.LONG_WAIT", 0.1)
    http = http_of(make_daemon())
    with ThreadPoolExecutor(1) as thread:
        with write_lock_held(url):
            waiting = thread.submit(http.launch, "one")
            reasons = eventually(lambda: " ".join(http("GET", STATUS).json()["reasons"]))
            assert "changes wait" in reasons
            if not url.startswith("sqlite"):
                assert "holds it for" in reasons
        assert waiting.result().status_code == 201


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_stopped_writer_loses_the_lock_on_postgresql(make_daemon, url, http_of):
    """A SQLite file has one daemon."""
    daemon = make_daemon(database_timeout=20)
    with stopped_writer(url):
        assert http_of(daemon).launch("one").status_code == 201


def test_reads_have_threads_of_their_own_while_all_writers_wait():
    lanes, free = HandlerThreads(2), threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        WRITES.set(True)
        waiting = [loop.run_in_executor(lanes, free.wait) for _ in range(4)]
        WRITES.set(False)
        assert await asyncio.wait_for(loop.run_in_executor(lanes, lambda: "read"), 120) == "read"
        free.set()
        await asyncio.gather(*waiting)

    asyncio.run(main())
    lanes.shutdown()


def test_requests_answer_database_lost_after_the_database_was_replaced(make_daemon, url, http_of):
    daemon = make_daemon()
    http = http_of(daemon)
    http.launch("one")
    assert [entry["name"] for entry in http("GET", LIST).json()] == ["one"]
    engine = create_engine(url)
    with engine.begin() as sql:
        sql.execute(text("ALTER TABLE events RENAME TO elsewhere"))
    engine.dispose()
    status = http("GET", STATUS).json()
    assert status["status"] == "degraded"
    assert "not the one" in " ".join(status["reasons"])
    for answer in (http("GET", LIST), http("GET", f"{LIST}/one"), http.launch("two")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "DATABASE_LOST")


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_unreachable_postgresql_is_reported_and_used_again_when_it_returns(
    make_daemon, url, copy_database, http_of
):
    daemon = make_daemon()
    http = http_of(daemon)
    http.launch("one")
    admin = create_engine(url.replace("/copy?", "/template1?"), isolation_level="AUTOCOMMIT")
    with admin.connect() as sql:
        sql.execute(text("ALTER DATABASE copy ALLOW_CONNECTIONS false"))
        sql.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'copy'")
        )
        try:
            answer = http.launch("two")
            assert answer.status_code == 503
            status = http("GET", STATUS).json()
            assert (status["status"], status["total_instances"]) == ("degraded", 1)
            assert [entry["name"] for entry in http("GET", LIST).json()] == ["one"]
        finally:
            sql.execute(text("ALTER DATABASE copy ALLOW_CONNECTIONS true"))
    admin.dispose()
    assert http.launch("two").status_code == 201
    assert http("GET", STATUS).json()["status"] == "healthy"


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_postgresql_restart_during_a_transaction_answers_database_unavailable(
    make_daemon, url, http_of, monkeypatch
):
    """A request with an idempotency key runs in a nested transaction on the same connection."""
    http, add = http_of(make_daemon()), projects.add_member
    order = {"json": {"name": "thesis"}, "headers": {"Idempotency-Key": "k"}}

    def cut_off(tx, *args):
        pid = tx.sql.execute(text("SELECT pg_backend_pid()")).scalar()
        where = plain(url).render_as_string(hide_password=False)
        with psycopg.connect(where, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        add(tx, *args)

    with monkeypatch.context() as patched:
        patched.setattr(projects, "add_member", cut_off)
        answer = http("POST", "/api/v1/projects", **order)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert http("POST", "/api/v1/projects", **order).status_code == 201
    assert [entry["name"] for entry in http("GET", "/api/v1/projects").json()] == ["thesis"]


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_table_that_another_session_locks_is_answered_in_bounded_time(make_daemon, url, http_of):
    """As during `VACUUM FULL`, or a migration by hand."""
    http = http_of(make_daemon(database_timeout=2))
    assert http.launch("one").status_code == 201
    where = plain(url).render_as_string(hide_password=False)
    with psycopg.connect(where) as other:
        other.execute("LOCK TABLE workspaces IN ACCESS EXCLUSIVE MODE")
        for answer in (http.launch("two"), http.post("one", "stop")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "DATABASE_BUSY")
        assert [entry["name"] for entry in http("GET", LIST).json()] == ["one"]
        assert http("GET", STATUS).json()["status"] == "degraded"
    assert http.launch("two").status_code == 201
    assert http.post("one", "stop").status_code == 200
    assert {entry["name"] for entry in http("GET", LIST).json()} == {"one", "two"}
