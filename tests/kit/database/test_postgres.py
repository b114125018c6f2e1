"""No connection to PostgreSQL waits longer than its limits."""

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from prism.daemon.migrations import MIGRATIONS_FOLDER
from prism.kit.database.database_faults import DatabaseNotUnicode
from prism.kit.database.migrate import upgrade
from prism.kit.database.postgres import (
    DatabaseTimeouts,
    engine,
    keepalives,
    plain,
    reading,
    writing,
)


def test_connection_options_detect_a_dead_peer_within_about_ten_seconds():
    """A network that drops all packets sends no end of a connection."""
    options = keepalives({})
    idle = (
        options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"]
    )
    assert idle <= 12, "of an idle connection"
    assert options["tcp_user_timeout"] <= 10_000, "of a connection that sends"
    assert options["connect_timeout"] <= 10
    assert keepalives({"keepalives_idle": 60})["keepalives_idle"] == 60, "a given option is kept"


@pytest.fixture
def engine_with_limits(copy_database):
    """Engines on PostgreSQL with the given limits."""
    url, engines = copy_database("template1"), []

    def make(limits):
        engines.append(engine(url, limits))
        return engines[-1]

    yield make
    for made_engine in engines:
        made_engine.dispose()


@pytest.mark.parametrize("of", [writing, reading])
def test_timeouts_are_set_on_the_server(engine_with_limits, of):
    limits = of(7)
    timeouts = {
        "lock_timeout": limits.lock,
        "statement_timeout": limits.statement,
        "idle_in_transaction_session_timeout": limits.idle,
    }
    with engine_with_limits(limits).connect() as sql:
        for name, seconds in timeouts.items():
            query = text("SELECT setting FROM pg_settings WHERE name = :name")
            assert int(sql.execute(query, {"name": name}).scalar_one()) == round(seconds * 1000)


def test_statement_that_takes_too_long_is_ended(engine_with_limits):
    with (
        engine_with_limits(DatabaseTimeouts(5, 0.2, 5)).connect() as sql,
        pytest.raises(DBAPIError) as late,
    ):
        sql.execute(text("SELECT pg_sleep(60)"))
    assert "statement timeout" in str(late.value)


def test_plain_url_has_no_driver_name(copy_database):
    assert str(plain(copy_database("template1"))).startswith("postgresql://")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_database_that_is_not_utf_8_is_refused_in_words(postgres, encoding):
    name = encoding.lower()
    server = create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as sql:
        sql.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        how = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        sql.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 {how}"))
    with pytest.raises(DatabaseNotUnicode) as raised:
        upgrade(postgres.replace("/postgres?", f"/{name}?"), MIGRATIONS_FOLDER)
    assert raised.value.message == (
        f"The encoding of the database '{name}' is {encoding}, and Prism needs UTF8"
    )
    assert f"createdb --template template0 --encoding UTF8 {name}_utf8" in raised.value.remediation
