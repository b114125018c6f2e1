"""A whole daemon and a real machine that nobody uses."""

import pytest

from prism.daemon.app import build
from prism.kit import journal
from prism.providers.local.compute import LocalCompute
from prism.providers.local.location import location_of
from prism.settings import Settings
from tests.conftest import Http
from tests.waiting import eventually

MINUTE = 3.0
TEMPLATE = """
name: Page
description: Serves its home
packages: {pip: []}
ports: [8888]
services:
  page: {command: "python -m http.server {port} --bind 127.0.0.1", port: 8888, health: /}
"""


@pytest.fixture
def daemon(tmp_path):
    settings = Settings(home=str(tmp_path), user="ada", local_prices="aws")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.yml").write_text(TEMPLATE)
    compute = LocalCompute(settings.workspaces, grace=1, minute=MINUTE)
    daemon = build(settings, {location_of(settings.folder): compute})
    daemon.prepare()
    yield daemon
    for machine in compute.survey():
        compute.terminate(machine.id)
    eventually(lambda: all(m.observed == "gone" for m in compute.survey()))
    daemon.close()


def test_idle_machine_stops_itself_and_the_daemon_records_the_action(daemon):
    http = Http(daemon.app)
    order = {"name": "mine", "template": "Page", "idle_profile": "gpu"}
    assert http("POST", "/api/v1/instances/launch", json=order).status_code == 201
    wait_for_state(daemon, http, "running")
    gpu = {"profile": "gpu", "custom_threshold_minutes": 2}
    assert http("POST", "/api/v1/idle/instances/mine/configure", json=gpu).status_code == 200

    def idle():
        daemon.settle()
        explanation = http("GET", "/api/v1/instances/mine").json()["idle"]
        return explanation if explanation["verdict"] == "idle" else None

    explanation = eventually(idle)
    assert (explanation["profile"], explanation["never_used"]) == ("gpu", True)
    wait_for_state(daemon, http, "stopped")

    def written():
        daemon.settle()
        return http("GET", "/api/v1/idle/history").json()

    [past] = eventually(written)
    assert (past["action"], past["instance_name"], past["profile"]) == ("stop", "mine", "gpu")
    with daemon.db.read() as sql:
        facts = [
            event for event in journal.after(sql, 0) if event.event == "hibernation_triggered"
        ]
    assert [fact.data["estimated_savings"] for fact in facts] == [0.08], "t3.large, an hour"
    why = http("GET", "/api/v1/idle/instances/mine").json()
    assert (why["state"], why["verdict"], why["last"]["action"]) == ("stopped", None, "stop")
    console = http("GET", "/api/v1/logs/mine").json()["lines"]
    assert any("under profile gpu: stopped" in line for line in console)


def wait_for_state(daemon, http, state):
    def there():
        daemon.settle()
        return http.state() == state

    eventually(there, 120)


@pytest.mark.slow
def test_idle_machine_stops_itself_without_a_daemon(daemon):
    http = Http(daemon.app)
    order = {"name": "mine", "template": "Page", "idle_profile": "gpu"}
    assert http("POST", "/api/v1/instances/launch", json=order).status_code == 201
    soon = {"profile": "gpu", "custom_threshold_minutes": 1}
    assert http("POST", "/api/v1/idle/instances/mine/configure", json=soon).status_code == 200
    [compute] = daemon.computes.values()
    assert compute.survey() == []
    assert daemon.loop.once() == 1
    # Nothing of the daemon moves from here on.
    acted = eventually(lambda: (idleness := compute.survey()[0].idle) and idleness.acted, 120)
    assert (acted.profile, acted.action) == ("gpu", "stop")
    assert eventually(lambda: compute.survey()[0].observed == "off", 120)
