"""Logs over HTTP: which logs exist, and which requests are refused."""

import pytest

from tests.shapes import failed

TYPES = ["console", "cloud-init", "system", "application"]


def log(http, name="mine", **query):
    return http("GET", f"/api/v1/logs/{name}", params=query)


def test_list_of_logs_does_not_call_the_provider(http, daemon, cloud):
    http.launch()
    before = http("GET", "/api/v1/logs").json()
    assert before["available_log_types"] == TYPES
    assert [instance["logs_available"] for instance in before["instances"]] == [False]
    daemon.settle()
    call_count = len(cloud.calls)
    [instance] = http("GET", "/api/v1/logs").json()["instances"]
    assert instance == {
        "name": "mine",
        "id": instance["id"],
        "state": "running",
        "logs_available": True,
    }
    assert len(cloud.calls) == call_count


def test_terminated_workspace_has_only_the_system_log(http, daemon, clock):
    http.launch()
    daemon.settle()
    types = http("GET", "/api/v1/logs/mine/types").json()
    assert types["instance_name"] == "mine"
    assert types["available_log_types"] == TYPES
    assert http("GET", f"/api/v1/logs/{types['instance_id']}/types").json() == types
    http.post("mine", "terminate", json={"confirm": "DELETE"})
    daemon.settle()
    clock.advance(seconds=1)
    daemon.settle()
    left = http("GET", "/api/v1/logs/mine/types").json()
    assert left["available_log_types"] == ["system"], "the files of its machine are deleted"


def test_system_log_lists_the_events_of_the_workspace(http, daemon):
    http.launch()
    http.launch("other")
    daemon.settle()
    http.post("mine", "stop")
    answer = log(http, type="system", tail=2).json()
    assert answer["instance_name"] == "mine"
    assert (answer["log_type"], answer["tail"]) == ("system", 2)
    assert answer["timestamp"] == "2026-01-01T00:00:00Z"
    lines = answer["lines"]
    assert len(lines) == 2
    assert "instance_state_changed" in lines[0]
    line = "instance_asked verb=stop previous_state=running state=stopping by=ada"
    assert lines[1] == f"2026-01-01T00:00:00Z {line}"


def test_system_log_of_a_terminated_workspace_is_kept_if_its_name_is_used_again(
    http, daemon, clock
):
    http.launch()
    daemon.settle()
    id = http("GET", "/api/v1/instances/mine").json()["id"]
    http.post("mine", "terminate", json={"confirm": "DELETE"})
    daemon.settle()
    clock.advance(seconds=1)
    daemon.settle()
    before = log(http, id, type="system", tail=3).json()["lines"]
    assert http.launch().status_code == 201
    daemon.settle()
    http.post("mine", "stop")
    assert len(before) == 3
    assert log(http, id, type="system", tail=3).json()["lines"] == before


def test_default_log_is_the_last_hundred_lines_of_the_console(http, daemon):
    http.launch()
    daemon.settle()
    answer = log(http).json()
    assert (answer["log_type"], answer["tail"], answer["lines"]) == ("console", 100, [])


@pytest.mark.parametrize(
    "wrong",
    [{"type": "kernel"}, {"tail": 0}, {"tail": 10_001}, {"tail": "x"}, {"follow": "maybe"}],
)
def test_invalid_log_request_is_refused(http, daemon, wrong):
    http.launch()
    failed(log(http, **wrong), 422, "VALIDATION_FAILED")


def test_logs_of_a_missing_workspace_answer_404(http):
    for path in ("none", "none/types", "none?follow=true"):
        failed(http("GET", f"/api/v1/logs/{path}"), 404, "INSTANCE_NOT_FOUND")
