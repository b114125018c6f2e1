"""`/healthz` and `/readyz`: what they say, to whom, and that neither waits for a database."""

import asyncio
import json
import signal
import threading

import httpx
import pytest
from sqlalchemy import text

from prism.daemon import migrations
from prism.daemon.watching import readiness
from prism.daemon.watching.readiness import ServiceReadiness
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.database.migrate import revisions
from tests.conftest import LOCATION, Http
from tests.daemon.test_main import Daemon
from tests.waiting import eventually

NEWEST = revisions(migrations.MIGRATIONS_FOLDER)[-1]


@pytest.fixture(autouse=True)
def each_request_asks(monkeypatch):
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)


@pytest.fixture
def team(make_daemon):
    daemon = make_daemon(auth="tokens", public_url="https://prism.example.org")
    at_revision(daemon, NEWEST)
    return daemon


def at_revision(daemon, revision):
    with daemon.db.writer.begin() as sql:
        sql.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32))"))
        sql.execute(text("DELETE FROM alembic_version"))
        sql.execute(text(f"INSERT INTO alembic_version VALUES ('{revision}')"))


def asked(daemon, path="/readyz", method="GET", **headers):
    """The status and the text of an answer to somebody without a token, by an address."""
    headers.setdefault("host", "10.0.0.7:8947")
    answer = Http(daemon.app)(method, path, headers)
    return answer.status_code, answer.text


@pytest.mark.postgres
def test_a_daemon_that_serves_is_ready(team):
    assert asked(team) == (200, "ok\n")
    assert asked(team, "/healthz") == (200, "ok\n")
    assert asked(team, method="HEAD") == (200, "")


@pytest.mark.parametrize("revision", ["0001", "9999"])
def test_a_database_of_another_version_is_not_ready(team, revision):
    at_revision(team, revision)
    assert asked(team) == (503, "not ready: the database is not at the version of this daemon\n")
    assert asked(team, "/healthz") == (200, "ok\n")


def test_a_database_that_is_away_is_not_ready_and_nothing_of_it_is_told(team, monkeypatch):
    def read():
        raise DatabaseUnavailable(details="ada:secret@10.0.0.9")

    monkeypatch.setattr(team.db, "read", read)
    assert asked(team) == (503, "not ready: the database does not answer\n")
    assert asked(team, "/healthz") == (200, "ok\n")


def test_a_frozen_database_holds_up_nobody(monkeypatch):
    frozen = threading.Event()
    monkeypatch.setattr("prism.daemon.database_probe.PROBE_TIMEOUT_SECONDS", 0.01)
    checked = ServiceReadiness(lambda: [] if frozen.wait(60) else ["late"], lambda: False)
    assert asyncio.run(checked.reasons()) == ["the database does not answer"]
    frozen.set()
    eventually(lambda: asyncio.run(checked.reasons()) == [])
    checked.close()


def test_it_is_ready_after_the_first_survey(team):
    team.first_surveys.begin([LOCATION])
    assert asked(team) == (503, "not ready: the machines are not surveyed yet\n")
    team.first_surveys.surveyed(LOCATION, ())
    assert asked(team) == (200, "ok\n")


def test_a_location_that_does_not_answer_leaves_it_ready(team):
    team.first_surveys.begin([LOCATION])
    team.first_surveys.failed(LOCATION)
    assert asked(team) == (200, "ok\n")


def test_a_thousand_questions_at_once_ask_the_database_once(monkeypatch):
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 60.0)
    questions = []

    def database():
        questions.append("ready?")
        return []

    checked = ServiceReadiness(database, lambda: False)

    async def ask():
        return await asyncio.gather(*(checked.reasons() for _ in range(1000)))

    assert asyncio.run(ask()) == [[]] * 1000
    assert len(questions) == 1
    checked.close()


def test_a_browser_and_a_foreign_host_of_a_daemon_of_one_person_are_refused(daemon, team):
    assert asked(team, **{"sec-fetch-site": "none"})[0] == 421
    assert asked(daemon)[0] == 421
    assert asked(daemon, "/healthz", host="127.0.0.1:8947") == (200, "ok\n")


def test_other_methods_and_paths_are_not_answered_by_them(team):
    for method in ("POST", "PUT", "DELETE"):
        assert asked(team, method=method)[0] == 421
        assert asked(team, method=method, host="localhost:8947")[0] in {401, 404, 405}


def test_told_to_stop_it_says_so_and_still_serves(tmp_path):
    daemon = Daemon(tmp_path / "home")
    with daemon.running(PRISM_DRAIN="600") as process:
        address = f"http://localhost:{daemon.about['port']}"
        assert daemon.ask("GET", "/readyz") == (200, b"ok\n")
        with httpx.stream("GET", f"{address}/api/v1/events", timeout=120) as events:
            process.send_signal(signal.SIGTERM)
            stopping = (503, b"not ready: the daemon is about to stop\n")
            eventually(lambda: daemon.ask("GET", "/readyz") == stopping)
            assert daemon.ask("GET", "/healthz") == (200, b"ok\n")
            assert daemon.ask("GET", "/api/v1/instances") == (200, b"[]")
            process.send_signal(signal.SIGTERM)  # now at once, and streams end
            assert "retry: 1000" in "".join(events.iter_text())
        assert process.wait(120) == 0
    messages = [json.loads(line)["message"] for line in daemon.log.splitlines()]
    assert "told to stop; still serves for 600 s" in messages


def test_it_stops_when_the_time_has_passed(tmp_path):
    daemon = Daemon(tmp_path / "home")
    with daemon.running(PRISM_DRAIN="1") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
