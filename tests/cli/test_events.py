"""`prism events`."""

import json

import pytest

from tests.client.scripted import problem

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

pytestmark = pytest.mark.timeout(60)  # in case a command never ends


def event(number, subject="mine"):
    body = {"id": number, "event": "workspace_asked", "at": "2026-01-01T00:00:00Z"}
    body |= {"actor": "ada", "subject": subject, "data": {"verb": "stop", "why": None}}
    return f"id: {number}\ndata: {json.dumps(body)}\n\n".encode()


def test_events_prints_one_line_per_event_and_reconnects(begin_command, server):
    server.on("GET /events", HEAD + event(1), HEAD + event(2, "other") + event(3))
    child = begin_command("events", "mine", "--since", "0", TZ="UTC")
    lines = [child.stdout.readline() for _ in range(2)]
    assert lines[0] == "2026-01-01 00:00 UTC  1  workspace_asked  mine  verb=stop\n"
    assert lines[1].split("  ")[1] == "3"
    child.send_signal(2)
    assert child.wait(120) == 130
    assert [request.headers["last-event-id"] for request in server.asked[:2]] == ["0", "1"]


def test_events_json_prints_one_json_object_per_line(begin_command, server):
    server.on("GET /events", HEAD + event(1))
    child = begin_command("events", "--json")
    assert json.loads(child.stdout.readline())["data"]["verb"] == "stop"


def test_events_last_prints_the_newest_events_of_a_workspace_in_order(prism, server):
    events = [json.loads(event(number).split(b"data: ")[1]) for number in (3, 2, 1)]
    server.on("GET /instances/mine/events?limit=3", events)
    done = prism("events", "mine", "--last", "3", TZ="UTC")
    assert done.returncode == 0
    assert [line.split("  ")[1] for line in done.stdout.splitlines()] == ["1", "2", "3"]
    assert json.loads(prism("events", "mine", "--last", "3", "--json").stdout) == events[::-1]
    assert prism("events", "--last", "3").returncode == 2


def test_events_exits_if_the_request_is_refused(prism, server):
    server.on("GET /events", problem(401, "UNAUTHENTICATED", "who are you"))
    done = prism("events")
    assert (done.returncode, done.stderr) == (1, "error: who are you\n")
