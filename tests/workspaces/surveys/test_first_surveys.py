"""After a start of the daemon, states are old until the machines were surveyed."""

import asyncio
import threading
import time
from typing import Any

import pytest

from prism.workspaces.model import ExtendRequest, LaunchRequest, LifecycleVerb, WorkspaceFailure
from prism.workspaces.plan import state_of
from prism.workspaces.surveys.first_survey_wait import FirstSurveyWait
from prism.workspaces.surveys.first_surveys import NOT_SEEN, FirstSurveys
from tests.conftest import LOCATION, ML
from tests.waiting import eventually

REBOOT = WorkspaceFailure("MACHINE_DIED", "the computer was restarted. Start it")
PATHS = (
    ("GET", "/api/v1/instances"),
    ("GET", "/api/v1/instances/mine"),
    ("GET", "/api/v1/instances/mine/connect"),
    ("GET", "/api/v1/instances/mine/ports"),
    ("GET", "/web-proxy/mine/"),
    *(("POST", f"/api/v1/instances/mine/{verb}") for verb in ("stop", "hibernate", "restart")),
)


@pytest.fixture
def rebooted(daemon, cloud):
    """A daemon of which nobody knows yet that the machine of its workspace died."""
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    daemon.settle()
    cloud.reboot(daemon.workspaces.named("mine").machine_id, REBOOT)
    daemon.first_surveys.begin(daemon.read_model.pages.locations)
    return daemon


def settle(daemon):
    """Reconciles what is due at once, and what is due some seconds later."""
    for _ in range(3):
        daemon.settle()
        daemon.clock.advance(seconds=2)


def survey(daemon):
    """Surveys once, and records the rows that differ."""
    daemon.loop.mark_due()
    daemon.loop.once()


@pytest.mark.parametrize(("method", "path"), PATHS, ids=lambda it: it.rpartition("/")[2])
def test_first_request_waits_for_the_survey_and_its_rows(rebooted, http, method, path):
    answers = []
    asking = threading.Thread(target=lambda: answers.append(http(method, path)))
    asking.start()
    eventually(lambda: rebooted.first_surveys._changed._callbacks)
    rebooted.loop.mark_due()
    assert not rebooted.first_surveys.is_complete, "the row is not recorded yet"
    assert asking.is_alive()
    rebooted.loop.once()
    asking.join(60)
    [answer] = answers
    assert "running" not in answer.text.replace("while it is running", "").replace(
        "while it runs", ""
    ), answer.text
    if path.endswith(("connect", "ports", "stop", "hibernate", "web-proxy/mine/")):
        assert "stopped" in answer.text


def test_start_after_the_survey_is_carried_out(rebooted, http):
    survey(rebooted)
    answer = http("POST", "/api/v1/instances/mine/start", json={}).json()
    assert (answer["previous_state"], answer["new_state"]) == ("stopped", "starting")
    settle(rebooted)
    assert http.state() == "running"


@pytest.mark.parametrize("verb", [LifecycleVerb.START, LifecycleVerb.RESUME])
def test_start_before_the_survey_is_recorded_and_carried_out(rebooted, verb):
    previous, after = rebooted.workspaces.ask("mine", verb)
    assert (previous, after.verb, after.generation) == ("running", verb, 2)
    settle(rebooted)
    assert state_of(rebooted.workspaces.named("mine")) == "running"
    assert rebooted.workspaces.named("mine").failure is None


def test_start_of_a_machine_that_runs_changes_nothing(daemon, cloud):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    daemon.settle()
    daemon.first_surveys.begin(daemon.read_model.pages.locations)
    cloud.calls.clear()
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    daemon.settle()
    assert state_of(daemon.workspaces.named("mine")) == "running"
    assert not [call for call in cloud.calls if call.startswith("start")]


def test_location_that_does_not_answer_delays_nothing_and_old_states_say_so(rebooted, cloud, http):
    cloud.faults.down = True
    rebooted.loop.mark_due()
    [row] = http("GET", "/api/v1/instances").json()
    assert row["state"] == "running"
    assert row["waiting"] == f"{NOT_SEEN}: The cloud does not answer"
    assert http("GET", "/api/v1/instances/mine").json()["waiting"] == row["waiting"]
    cloud.faults.down = False
    survey(rebooted)
    [row] = http("GET", "/api/v1/instances").json()
    assert (row["state"], row["waiting"]) == ("stopped", None)


def test_row_that_changes_before_the_survey_is_not_shown_as_old_after_it(daemon, cloud, http):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    daemon.settle()
    daemon.first_surveys.begin(daemon.read_model.pages.locations)
    daemon.workspaces.extend("mine", ExtendRequest(hours=4))  # encodes the row, with the reason
    assert NOT_SEEN.encode() in daemon.read_model.pages.body
    survey(daemon)
    assert NOT_SEEN not in http("GET", "/api/v1/instances").text


def test_wait_ends_at_the_timeout_of_the_location():
    surveys = FirstSurveys({"cloud": 0.05, "elsewhere": None}.get)
    surveys.begin(["cloud", "elsewhere"])
    began = time.monotonic()
    asyncio.run(surveys.wait(["cloud", "elsewhere"]))
    assert 0.04 < time.monotonic() - began < 30
    assert not surveys.has_compared("cloud")
    assert surveys.has_compared("elsewhere"), "another daemon serves it"
    surveys.surveyed("cloud", ["row"])
    assert not surveys.has_compared("cloud")
    surveys.recorded("row")
    assert surveys.is_complete


def test_row_that_is_recorded_before_the_survey_counts():
    surveys = FirstSurveys(lambda _: 60.0)
    surveys.begin(["cloud"])
    surveys.recorded("row")
    surveys.surveyed("cloud", ["row"])
    assert surveys.is_complete


def test_page_of_a_workspace_waits_whatever_its_path(rebooted):
    called = []

    async def page(scope, receive, send):
        called.append(scope["path"])

    wait = FirstSurveyWait(page, rebooted.first_surveys, rebooted.read_model, every_path=True)

    unused: Any = None

    async def visit():
        task = asyncio.create_task(wait({"type": "http", "path": "/lab"}, unused, unused))
        await asyncio.sleep(0)
        assert not called
        await asyncio.to_thread(survey, rebooted)
        await task

    asyncio.run(visit())
    assert called == ["/lab"]


def test_status_does_not_wait_and_says_what_is_not_looked_at(rebooted, http):
    [place] = http("GET", "/api/v1/daemon/status").json()["places"]
    assert (place["place"], place["reachable"]) == (LOCATION, None)
    survey(rebooted)
    [place] = http("GET", "/api/v1/daemon/status").json()["places"]
    assert place["reachable"] is True
