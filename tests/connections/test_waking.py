"""A hibernated workspace wakes when a person opens its address, and for nobody else."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from prism.connections.waking import AddressWaking, WakingMode, is_own_navigation
from prism.kit.events import Bus
from prism.workspaces.model import WorkspaceState
from tests.waiting import eventually

TYPED = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"}
LINKED = TYPED | {"sec-fetch-site": "cross-site"}
PICTURE = TYPED | {"sec-fetch-dest": "image", "sec-fetch-mode": "no-cors"}
PROGRAM = {"accept": "text/html"}
REFUSED = {
    "a link on another site": LINKED,
    "a link of another port or host of this computer": TYPED | {"sec-fetch-site": "same-site"},
    "a picture": PICTURE,
    "a program": PROGRAM,
    "nothing": {},
}


def scope_of(headers, method="GET", path="/lab"):
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


def test_only_a_browser_that_says_that_a_person_went_there_counts():
    assert is_own_navigation(scope_of(TYPED))
    assert is_own_navigation(scope_of(TYPED | {"sec-fetch-site": "same-origin"}))
    assert not is_own_navigation(scope_of(TYPED, "POST"))
    assert not is_own_navigation(scope_of(TYPED, "HEAD"))
    for source, headers in REFUSED.items():
        assert not is_own_navigation(scope_of(headers)), source


@dataclass
class FakeRow:
    hourly_rate: int | None = 0


@dataclass
class FakeModel:
    """One workspace, whose states follow one another each time it is looked at."""

    states: list[WorkspaceState]
    workspace: FakeRow = field(default_factory=FakeRow)

    @property
    def pages(self):
        return self

    def named(self, name):
        return self

    @property
    def state(self):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def wake(mode: WakingMode, model: FakeModel, headers=TYPED) -> tuple[bool, list[str]]:
    resumed: list[str] = []
    waking = AddressWaking(mode, cast(Any, model), Bus(), resumed.append)
    return asyncio.run(waking.wake(scope_of(headers), "mine")), resumed


@pytest.mark.parametrize(
    ("mode", "rate", "woken"),
    [
        ("free", 0, True),
        ("free", 1, False),
        ("free", None, False),  # unknown is not free
        ("all", 0, True),
        ("all", 1, False),  # the address that was typed may have led here
        ("all", None, False),
        ("off", 0, False),
    ],
)
def test_mode_says_which_workspaces_wake(mode, rate, woken):
    states = [WorkspaceState.HIBERNATED, WorkspaceState.RUNNING]
    comes_up, resumed = wake(mode, FakeModel(states, FakeRow(rate)))
    assert (comes_up, resumed) == (False, ["mine"] if woken else [])


@pytest.mark.parametrize(("mode", "woken"), [("free", False), ("all", True)])
def test_what_costs_money_wakes_from_its_own_page_only(mode, woken):
    states = [WorkspaceState.HIBERNATED, WorkspaceState.RUNNING]
    own_page = TYPED | {"sec-fetch-site": "same-origin"}
    comes_up, resumed = wake(mode, FakeModel(states, FakeRow(1)), own_page)
    assert (comes_up, resumed) == (False, ["mine"] if woken else [])


@pytest.mark.parametrize("state", [WorkspaceState.STOPPED, WorkspaceState.FAILED])
def test_stopped_workspace_is_not_started(state):
    assert wake("all", FakeModel([state])) == (False, [])


def test_page_tries_again_while_it_still_comes_up(monkeypatch):
    monkeypatch.setattr("prism.connections.waking.WAKE_SECONDS", 0)
    states = [WorkspaceState.HIBERNATED, WorkspaceState.RESUMING]
    assert wake("all", FakeModel(states)) == (True, ["mine"])
    assert wake("free", FakeModel([WorkspaceState.RESUMING])) == (True, [])


@pytest.mark.timeout(120)
def test_opened_address_wakes_the_workspace_and_shows_its_page(served_daemon):
    site, client = served_daemon, served_daemon.home.client.workspaces
    before = site.received_request("GET", "/", "other")
    client.hibernate("other", wait=30)
    try:
        for source, headers in REFUSED.items():
            answer = site.ask("GET", "/", "other", headers)
            assert answer.status_code in {403, 409}, source
        assert client.get("other").state == "hibernated"
        answer = site.ask("GET", "/", "other", TYPED)
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == before.keys()
        assert client.get("other").state == "running"
    finally:
        client.start("other", wait=30)
    eventually(lambda: client.get("other").state == "running")
