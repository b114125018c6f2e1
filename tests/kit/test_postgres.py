"""No connection to PostgreSQL waits longer than its limits."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from prism.kit.postgres import DatabaseTimeouts, engine, keepalives, plain, reading, writing


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
