"""Nested transactions: an inner one commits with the outer one or not at all."""

import asyncio
import contextlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from prism.kit import journal
from prism.kit.database.pg_notify import CommitListener
from prism.kit.db import CURRENT_TX
from prism.kit.events import Event
from tests.waiting import eventually

pytestmark = pytest.mark.postgres


class Counted(Event, frozen=True, kw_only=True):
    event: ClassVar[str] = "counted"
    number: int


@pytest.fixture
def db(daemon):
    return daemon.db


def count(db, number):
    with db.write() as tx:
        tx.happened(Counted(actor="ada", subject="n", number=number))


def numbers(db):
    return [fact.data["number"] for fact in db.events_after(0) if fact.event == "counted"]


def test_cached_rows_of_a_rolled_back_inner_transaction_are_restored(db):
    with db.write() as tx:
        tx.rows["a"] = 1
        with pytest.raises(ZeroDivisionError), db.write():
            tx.rows |= {"a": 2, "b": 2}
            raise ZeroDivisionError
        with db.write():
            tx.rows["c"] = 3
        assert tx.rows == {"a": 1, "c": 3}


def test_inner_transaction_commits_with_the_outer_one(db):
    events = []
    db.committed.append(lambda _: events.append(numbers(db)))
    with db.write():
        count(db, 1)
        count(db, 2)
        assert events == []
    assert events == [[1, 2]]


def test_inner_transaction_is_rolled_back_with_the_outer_one(db):
    with contextlib.suppress(RuntimeError), db.write():
        count(db, 1)
        raise RuntimeError
    assert numbers(db) == []
    count(db, 2)
    assert numbers(db) == [2], "the next transaction has no rest of it"


def test_failed_inner_transaction_is_rolled_back_alone(db):
    def cross(scope):
        with db.write() as tx:
            tx.happened(Counted(actor="ada", subject=scope, number=len(scope)))
            row = f"('{scope}', '1', '2026-01-01 00:00:00')"
            tx.sql.execute(text(f"INSERT INTO crossings (scope, threshold, at) VALUES {row}"))
            if scope == "half":
                raise LookupError

    with db.write():
        cross("a")
        for wrong, error in (("half", LookupError), ("a", DBAPIError)):
            with pytest.raises(error):
                cross(wrong)
        cross("abc")
    assert numbers(db) == [1, 3]
    with db.read() as sql:
        assert set(sql.execute(text("SELECT scope FROM crossings")).scalars()) == {"a", "abc"}


def test_read_inside_a_transaction_sees_its_writes(db):
    with db.write() as tx:
        tx.sql.execute(text("DELETE FROM active_profiles"))
        with db.read() as sql:
            assert sql.execute(text("SELECT count(*) FROM active_profiles")).scalar() == 0


def test_transaction_can_be_opened_and_closed_in_other_threads(db):
    async def middleware():
        transaction = db.write()
        tx = await asyncio.to_thread(transaction.__enter__)
        CURRENT_TX.set(tx)
        try:
            await asyncio.to_thread(count, db, 5)
        finally:
            CURRENT_TX.set(None)
            await asyncio.to_thread(transaction.__exit__, None, None, None)

    asyncio.run(middleware())
    assert numbers(db) == [5]


def test_read_transaction_cannot_write(db):
    with pytest.raises(DBAPIError), db.read() as sql:
        sql.execute(text("DELETE FROM active_profiles"))


def test_connection_in_use_while_the_database_closes_ends_with_its_block(db):
    with db.read() as sql:
        db.close()
        sql.execute(text("SELECT 1"))
        raw = sql.connection.dbapi_connection
    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
        raw.execute("SELECT 1")


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_commit_listener_goes_on_after_an_error_of_a_listener(db):
    announced, failures, listener = threading.Event(), list[Exception](), CommitListener(db)

    def refresh(_):
        if not failures:
            failures.append(RuntimeError("a bug"))
            raise failures[0]
        announced.set()

    db.committed.append(refresh)
    listener.start()
    try:
        assert eventually(announced.is_set)
    finally:
        listener.stop()


# A SQLite file has one daemon.
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_commit_of_another_daemon_notifies_the_bus(make_daemon):
    first, two = make_daemon(), make_daemon()
    heard, listener = threading.Event(), CommitListener(two.db)

    def on_commit():
        if numbers(two.db):
            heard.set()

    listener.start()
    try:
        with two.db.bus.listening(on_commit):
            count(first.db, 7)
            assert eventually(heard.is_set, 120)
    finally:
        listener.stop()


def test_commit_during_a_check_of_the_database_is_no_loss(db, monkeypatch):
    read, threads = journal.newest, ThreadPoolExecutor(1)
    interruptions = iter([lambda: threads.submit(count, db, 1).result()])

    def newest_before_a_commit(sql):
        newest = read(sql)
        next(interruptions, lambda: None)()
        return newest

    monkeypatch.setattr(journal, "newest", newest_before_a_commit)
    with threads:
        db.look()
    assert numbers(db) == [1] and not db.lost
