"""The routes of the daemon: status and shutdown."""

import asyncio
from datetime import timedelta

import httpx
import pytest

import prism
from prism.daemon.api import duration_text
from prism.daemon.app import build
from prism.kit.tables import metadata
from prism.settings import Settings
from tests.conftest import LOCATION
from tests.shapes import shaped_like

STATUS, SHUTDOWN = "/api/v1/daemon/status", "/api/v1/daemon/shutdown"


def test_status_matches_the_spec_example(http, daemon, clock, url):
    http.launch("one")
    http.launch("two")
    daemon.settle()
    clock.advance(hours=2, minutes=45, seconds=30)
    status = shaped_like("GET daemon/status", http("GET", STATUS))
    [place] = status.pop("places")
    assert status == {
        "status": "healthy",
        "reasons": [],
        "version": prism.__version__,
        "uptime": "2h 45m 30s",
        "api_version": "v1",
        "aws_connectivity": "not_configured",
        "active_profiles": 1,
        "total_instances": 2,
        "active_instances": 2,
        "user": "ada",
        "database": url.partition(":")[0].partition("+")[0],
    }
    assert (place["place"], place["provider"], place["reachable"]) == (LOCATION, "local", True)


def test_location_has_unknown_reachability_before_the_first_survey(http):
    [place] = http("GET", STATUS).json()["places"]
    assert (place["reachable"], place["looked_at"], place["problem"]) == (None, None, None)


def test_status_is_degraded_while_a_location_does_not_answer(http, daemon, cloud):
    cloud.faults.down = True
    daemon.settle()
    status = http("GET", STATUS).json()
    assert status["status"] == "degraded"
    assert status["places"][0]["reachable"] is False
    assert status["places"][0]["problem"]
    cloud.faults.down = False
    daemon.settle()
    assert http("GET", STATUS).json()["status"] == "healthy"


def test_aws_connectivity_is_disconnected_before_the_first_survey(http):
    answer = http("POST", "/api/v1/profiles", json={"name": "lab", "provider": "aws"})
    assert answer.status_code == 201
    status = http("GET", STATUS).json()
    assert (status["aws_connectivity"], status["active_profiles"]) == ("disconnected", 2)


def test_shutdown_is_answered_before_the_daemon_stops(tmp_path, cloud, clock):
    stopped: list[int] = []
    order: list[object] = []
    settings = Settings(home=str(tmp_path), user="ada")
    daemon = build(settings, {LOCATION: cloud}, clock, stop=lambda: stopped.append(len(order)))
    metadata.create_all(daemon.db.writer)

    async def watched(scope, receive, send):
        async def sent(message):
            order.append(message["type"])
            await send(message)

        await daemon.app(scope, receive, sent)

    async def ask():
        transport = httpx.ASGITransport(watched)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8947"
        ) as http:
            return await http.post(SHUTDOWN)

    answer = asyncio.run(ask())
    daemon.close()
    assert shaped_like("POST daemon/shutdown", answer) == {
        "message": "Daemon shutting down gracefully",
        "active_operations": 0,
        "shutdown_timeout": 30,
    }
    assert stopped == [len(order)] != [0], "stopped once, after the whole answer was sent"


def test_shutdown_answer_counts_active_operations(http):
    http.launch()
    assert http("POST", SHUTDOWN).json()["active_operations"] == 1


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ({}, "0s"),
        ({"seconds": 59.9}, "59s"),
        ({"minutes": 1}, "1m 0s"),
        ({"hours": 1, "seconds": 5}, "1h 0m 5s"),
        ({"days": 2, "hours": 3, "minutes": 4, "seconds": 5}, "2d 3h 4m 5s"),
        ({"seconds": -3}, "0s"),
    ],
)
def test_duration_is_formatted(time, words):
    assert duration_text(timedelta(**time)) == words
