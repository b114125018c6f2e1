"""Commands that wait print why a workspace makes no progress."""

import time
from typing import Any

import pytest

from prism.cli.run import EXIT
from prism.cli.workspace import standstill
from prism.cli.workspace.standstill import (
    ASK_EVERY,
    GIVE_UP,
    STANDSTILL_SECONDS,
    Standstill,
    reason,
)
from prism.client.daemon import Daemon
from prism.client.transport.wire import Wire
from prism.client.waiting import StillUnderWay
from prism.providers.aws.api.pending_calls import SLOW_CALL
from prism.workspaces.surveys.first_surveys import NOT_SEEN
from tests.cli.shown import changed, workspace

WHY = "No credentials were found for profile 'lab'"
IN_OHIO = {"region": "us-east-2", "profile": "lab"}


def place(name, reachable=False, problem=WHY):
    return {
        "place": name,
        "provider": name.partition(":")[0],
        "reachable": reachable,
        "problem": None if reachable else problem,
    }


@pytest.mark.parametrize(
    ("name", "location", "is_reported"),
    [
        ("aws:lab", IN_OHIO, True),
        ("aws:123456789012:us-east-2", IN_OHIO, True),
        ("aws:123456789012:us-east-1", IN_OHIO, False),
        ("aws:other", IN_OHIO, False),
        ("aws:lab", {"region": "local", "profile": "lab"}, False),
        ("local", {"region": "local", "profile": "local"}, True),
        ("local", IN_OHIO, False),
    ],
)
def test_reason_is_that_of_the_location_of_the_workspace(name, location, is_reported):
    assert (reason([place(name)], location) == WHY) is is_reported
    assert reason([place(name, reachable=True), place(name, reachable=None)], location) is None


class StatusWire(Wire):
    """Answers `GET /daemon/status` and counts the requests."""

    def __init__(self):
        self.places, self.asked = [place("aws:lab")], 0

    def call(self, method: object, *args: Any, **kwargs: Any) -> Any:
        assert method is Daemon.status
        self.asked += 1
        return {"places": self.places}


def test_wait_shows_the_reason_and_ends_after_the_limit(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    wire = StatusWire()
    watcher = Standstill(wire)
    seen = workspace(state="stopping", **IN_OHIO)
    assert (watcher.look(seen), wire.asked) == (None, 0)
    now[0] += STANDSTILL_SECONDS
    assert watcher.look(seen) == WHY
    wire.places = []
    now[0] += STANDSTILL_SECONDS
    assert watcher.look(seen) is None
    wire.places = [place("aws:lab")]
    while now[0] < 100 + GIVE_UP:
        now[0] += STANDSTILL_SECONDS
        assert watcher.look(seen) == WHY
    now[0] += 3 * STANDSTILL_SECONDS
    with pytest.raises(StillUnderWay, match=f"mine is still stopping: {WHY}") as ended:
        watcher.look(seen)
    assert "waited for 60 s; Prism keeps trying, and does it when" in ended.value.details
    assert (
        next(EXIT[error_type] for error_type in type(ended.value).__mro__ if error_type in EXIT)
        == 1
    )


def test_reason_is_requested_within_five_seconds():
    """The time until the request, and the time until the daemon reports a slow AWS call."""
    assert STANDSTILL_SECONDS + ASK_EVERY < 5
    assert SLOW_CALL.total_seconds() < 5


def test_reason_is_not_requested_during_progress(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    wire = StatusWire()
    watcher = Standstill(wire)
    for percent in range(0, 100, 5):
        now[0] += STANDSTILL_SECONDS - 0.1
        watcher.look(workspace(state="launching", progress=percent, stage="packages"))
    assert wire.asked == 0


def test_verb_prints_the_reason_while_it_waits(prism, server):
    server.on("POST /instances/mine/stop", changed("running", "stopping"))
    server.on("GET /daemon/status", {"places": [place("aws:lab")]})
    going = workspace(state="stopping", **IN_OHIO)
    server.on("GET /instances/mine", *[going] * 14, workspace(state="stopped", **IN_OHIO))
    done = prism("stop", "mine")
    assert (done.returncode, done.stdout) == (0, "mine is stopped\n")
    assert f"mine: stopping, waiting: {WHY}; see `prism doctor`\n" in done.stderr


def test_show_and_list_print_the_reason(prism, server):
    server.on("GET /daemon/status", {"places": [place("aws:lab")]})
    going = workspace(state="stopping", **IN_OHIO)
    server.on("GET /instances/mine", going).on("GET /instances", [going])
    assert f"{WHY}\n" in prism("show", "mine").stdout
    assert f"mine waits: {WHY}; see `prism doctor`" in prism("list").stderr
    server.on("GET /instances", [workspace(**IN_OHIO)])
    assert "waits" not in prism("list").stderr


THROTTLED = "AWS throttles ec2:StopInstances since 10:04:05 UTC"
SLOW = (
    "its boot has been at 'packages' since 10:04:05 UTC; see what it does with `prism logs mine`"
)


def test_waiting_reason_of_the_workspace_is_printed_at_once(prism, server):
    server.on("POST /instances/mine/stop", changed("running", "stopping"))
    server.on("GET /daemon/status", {"places": []})
    going = workspace(state="stopping", waiting=THROTTLED, **IN_OHIO)
    server.on("GET /instances/mine", going, workspace(state="stopped", **IN_OHIO))
    done = prism("stop", "mine")
    assert done.stderr == f"mine: stopping, waiting: {THROTTLED}; see `prism doctor`\n"
    server.on("GET /instances/mine", going).on("GET /instances", [going])
    assert f"{THROTTLED}\n" in prism("show", "mine").stdout
    assert f"mine waits: {THROTTLED}; see `prism doctor`" in prism("list").stderr


def test_slow_boot_is_reported_and_does_not_end_the_wait(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    wire = StatusWire()
    wire.places = []
    watcher = Standstill(wire)
    seen = workspace(state="launching", stage="packages", waiting=SLOW, **IN_OHIO)
    while now[0] < 100 + 3 * GIVE_UP:
        assert watcher.look(seen) == SLOW
        now[0] += STANDSTILL_SECONDS
    assert standstill.waiting_reason(SLOW) == SLOW, "the reason already names a command"


def test_start_waits_while_nobody_has_looked_at_the_machine(prism, server):
    """The last known state is the wanted one, and it is wrong."""
    old = workspace(state="running", waiting=f"{NOT_SEEN}: {WHY}", **IN_OHIO)
    server.on("POST /instances/mine/start", changed("running", "running"))
    server.on("GET /instances/mine", old, old, workspace(state="starting"), workspace())
    done = prism("start", "mine")
    assert (done.returncode, done.stdout) == (0, "mine is running\n")
    assert f"mine: running, waiting: {NOT_SEEN}: {WHY}; see `prism doctor`\n" in done.stderr


def test_list_and_show_say_which_states_are_old(prism, server):
    old = workspace(state="running", waiting=f"{NOT_SEEN}: {WHY}", **IN_OHIO)
    server.on("GET /instances", [old, workspace("other")])
    server.on("GET /instances/mine", old)
    assert prism("list").stderr == f"mine is running: {NOT_SEEN}: {WHY}; see `prism doctor`\n"
    assert prism("show", "mine").stdout.splitlines()[0].split("  ")[-1].strip() == (
        f"{NOT_SEEN}: {WHY}"
    )
