"""The status of the daemon does not wait for a database that is frozen."""

import threading
import time

import psycopg
import pytest

from prism.daemon.database_probe import DatabaseProbe
from prism.kit.database.postgres import plain
from tests.waiting import eventually


def test_probe_waits_shortly_and_asks_once_at_a_time():
    answers, calls = threading.Event(), []

    def ask():
        calls.append(time.monotonic())
        answers.wait(60)
        return ["it is full"]

    probe = DatabaseProbe(ask)
    [silent] = probe.troubles()
    assert silent.startswith("The database has not answered for ")
    assert len(probe.troubles()) == 1
    assert len(calls) == 1
    answers.set()
    assert eventually(lambda: probe.troubles() == ["it is full"])


@pytest.mark.postgres
def test_status_answers_while_the_database_is_frozen(make_daemon, url, http_of):
    if url.startswith("sqlite"):
        pytest.skip("a SQLite file does not freeze")
    daemon = make_daemon(database_timeout=240)
    http = http_of(daemon)
    assert http.launch("mine").status_code == 201
    assert http("GET", "/api/v1/daemon/status").json()["total_instances"] == 1
    where = plain(url).render_as_string(hide_password=False)
    with psycopg.connect(where) as server:
        server.execute("LOCK TABLE events, profiles IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        status = http("GET", "/api/v1/daemon/status").json()
        assert time.monotonic() - began < 120, "less than the timeout of the database"
        assert (status["status"], status["total_instances"]) == ("degraded", 1)
        assert "has not answered" in status["reasons"][0]
        assert status["active_profiles"] == 1
    eventually(lambda: http("GET", "/api/v1/daemon/status").json()["status"] == "healthy")
