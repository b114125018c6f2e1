"""A topic gets a new version with each transaction that changes its tables, and only then."""

import ast
import re
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, insert, select, update

import prism
from prism.kit.clock import WallClock
from prism.kit.database.versions import VersionedValue, once, topic
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.tables import metadata

private = MetaData()
notes = Table(
    "notes_of_this_test",
    private,
    Column("id", Integer, primary_key=True),
    Column("text", String),
    info=topic("notes"),
)
TEXT, WRITES = ("exec_driver_sql", "text"), re.compile(r"\b(INSERT|UPDATE|DELETE) ")


@pytest.fixture
def two_databases(url):
    """Two databases of two daemons, which are the same."""
    databases = [Database(url, WallClock(), Bus()) for _ in range(2)]
    metadata.create_all(databases[0].writer)
    with databases[0].writer.begin() as sql:
        private.drop_all(sql)
        private.create_all(sql)
    yield databases
    for db in databases:
        db.close()


def version(db):
    with db.read() as sql:
        return db.versions(sql).get("notes")


def change(db, *statements):
    with db.write() as tx:
        for statement in statements:
            tx.sql.execute(statement)


@pytest.mark.postgres
def test_each_change_gives_a_new_version_to_both_daemons(two_databases):
    versions = [version(two_databases[0])]
    for statement in (
        insert(notes).values(id=1, text="a"),
        update(notes).where(notes.c.id == 1).values(text="b"),
        delete(notes),
    ):
        change(two_databases[0], statement)
        assert version(two_databases[0]) == version(two_databases[1])
        versions.append(version(two_databases[1]))
    assert len(set(versions)) == 4


def test_statement_without_changes_gives_no_new_version(two_databases):
    change(two_databases[0], insert(notes).values(id=1, text="a"))
    before = version(two_databases[0])
    change(two_databases[0], update(notes).where(notes.c.id == 7).values(text="b"))
    change(two_databases[0], delete(notes).where(notes.c.id == 7))
    quiet = update(notes).values(text="c").execution_options(**topic(None))
    change(two_databases[0], quiet)
    other = update(notes).values(text="d").execution_options(**topic("others"))
    change(two_databases[0], other)
    assert version(two_databases[0]) == before


@pytest.mark.postgres
def test_rolled_back_change_gives_no_new_version(two_databases):
    before = version(two_databases[0])
    with pytest.raises(ZeroDivisionError), two_databases[0].write() as tx:
        tx.sql.execute(insert(notes).values(id=1, text="a"))
        raise ZeroDivisionError
    assert version(two_databases[1]) == before
    change(two_databases[0])
    assert version(two_databases[1]) == before, (
        "a rolled back change does not count for the next transaction"
    )


def test_write_transaction_has_no_version(two_databases):
    with two_databases[0].write() as tx:
        tx.sql.execute(insert(notes).values(id=1, text="a"))
        with two_databases[0].read() as sql:
            assert two_databases[0].versions(sql) is None


@pytest.mark.postgres
def test_transaction_caches_a_read_until_it_writes_the_topic(two_databases):
    [first, second], reads_done = two_databases, []

    def texts(sql):
        def read():
            reads_done.append(1)
            return list(sql.execute(select(notes.c.text).order_by(notes.c.id)).scalars())

        return once(sql, ("notes", "others"), "all", read)

    def reads(sql, expected, times):
        reads_done.clear()
        assert (texts(sql), texts(sql), len(reads_done)) == (expected, expected, times)

    with first.write() as tx:
        reads(tx.sql, [], 1)
        tx.sql.execute(insert(notes).values(id=1, text="a"))
        reads(tx.sql, ["a"], 1)
        tx.sql.execute(update(notes).where(notes.c.id == 7).values(text="b"))
        tx.sql.execute(update(notes).values(text="a").execution_options(**topic("else")))
        reads(tx.sql, ["a"], 0)
        with pytest.raises(ZeroDivisionError), first.write():
            tx.sql.execute(update(notes).values(text="c"))
            reads(tx.sql, ["c"], 1)
            raise ZeroDivisionError
        reads(tx.sql, ["a"], 1)  # the inner change was rolled back
    with first.read() as sql:
        reads(sql, ["a"], 1)
    change(second, update(notes).values(text="d"))
    with first.read() as sql:
        reads(sql, ["d"], 1)  # a new transaction sees what others have written


def test_cached_value_is_made_again_for_another_version_or_key():
    cache, values = VersionedValue[int]("a", "b"), list[int]()

    def make():
        values.append(len(values))
        return values[-1]

    assert cache.get({"a": "1"}, make) == cache.get({"a": "1", "c": "9"}, make) == 0
    assert cache.get({"a": "1", "b": "1"}, make) == 1
    assert cache.get({"a": "1", "b": "1"}, make, "second") == 2
    assert cache.get({"a": "1"}, make) == 3, "only the newest is kept"


def test_no_source_file_writes_with_sql_as_text():
    root = Path(prism.__file__).parent
    for file in sorted(root.rglob("*.py")):
        if "migrations" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in TEXT:
                words = ast.unparse(node).upper()
                assert not WRITES.search(words), (file, words)
