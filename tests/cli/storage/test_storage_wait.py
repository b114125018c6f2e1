"""Commands for volumes and snapshots wait for the final state."""

import json
import time
from typing import Any

import pytest

from prism.cli.storage.storage_wait import FAILING, WAIT_SECONDS, wait_until_settled
from prism.client.storage import Volumes
from prism.client.transport.wire import Wire
from prism.client.waiting import StillUnderWay
from tests.cli.shown import workspace
from tests.cli.storage.test_volumes import EBS, KEPT
from tests.client.scripted import problem

DATA = "GET /storage/volumes/data"
GONE = problem(404, "VOLUME_NOT_FOUND", "no")


def volume(state, **more):
    return EBS | {"state": state, "notes": [], "failure": None} | more


def test_volume_create_waits_until_the_volume_is_available(prism, server):
    server.on("POST /storage/volumes/create", volume("creating"))
    server.on(DATA, volume("creating"), volume("creating"), volume("available"))
    done = prism("volume", "create", "data", "--size", "50")
    assert (done.returncode, done.stdout) == (0, "data is available\n")
    assert "data: creating\n" in done.stderr
    server.on(DATA, volume("creating"), volume("available"))
    created_volume = json.loads(prism("volume", "create", "data", "--size", "50", "--json").stdout)
    assert created_volume["state"] == "available"


def test_storage_commands_with_no_wait_send_no_get_request(prism, server):
    server.on("POST /storage/volumes/create", volume("creating"))
    server.on("POST /snapshots", KEPT | {"state": "pending"})
    server.on("DELETE /storage/volumes/data", {"message": "m"})
    for words, message in (
        (("volume", "create", "data", "--size", "50"), "data is creating\n"),
        (("snapshot", "create", "kept", "--volume", "data"), "kept is pending\n"),
        (("volume", "delete", "data", "--yes"), "data is deleting\n"),
    ):
        assert prism(*words, "--no-wait").stdout == message
    assert all(request.method != "GET" for request in server.asked)


def test_volume_create_fails_if_the_volume_fails(prism, server):
    failure = {"code": "VOLUME_FAILED", "message": "EC2 has no room"}
    server.on("POST /storage/volumes/create", volume("creating"))
    server.on(DATA, volume("error", failure=failure))
    done = prism("volume", "create", "data", "--size", "50")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: data failed: EC2 has no room" in done.stderr


@pytest.mark.parametrize("state", ["running", "starting"])
def test_volume_attach_waits_if_the_workspace_is_on(prism, server, state):
    server.on("POST /storage/volumes/data/attach", volume("attaching"))
    server.on("GET /instances/mine", workspace(state=state))
    server.on(DATA, volume("attaching"), volume("in-use"))
    done = prism("volume", "attach", "data", "mine")
    assert (done.returncode, done.stdout) == (0, "data is in-use\n")
    assert "In mine it is at ~/volumes/data\n" in done.stderr


@pytest.mark.parametrize("state", ["stopped", "hibernated", "failed"])
def test_volume_attach_does_not_wait_if_the_workspace_is_off(prism, server, state):
    server.on("POST /storage/volumes/data/attach", volume("attaching"))
    server.on("GET /instances/mine", workspace(state=state))
    done = prism("volume", "attach", "data", "mine")
    assert (done.returncode, done.stdout) == (0, "data is attaching\n")
    assert "In mine it is at ~/volumes/data, once that runs" in done.stderr


def test_snapshot_create_prints_progress(prism, server):
    server.on("POST /snapshots", KEPT | {"state": "pending", "progress": 0})
    pending = [KEPT | {"state": "pending", "progress": share} for share in (10, 60)]
    server.on("GET /snapshots/kept", *pending, KEPT)
    done = prism("snapshot", "create", "kept", "--volume", "data")
    assert (done.returncode, done.stdout) == (0, "kept is completed\n")
    assert "kept: pending 10%\nkept: pending 60%\n" in done.stderr


def test_volume_and_snapshot_delete_wait_until_deleted(prism, server):
    server.on("DELETE /storage/volumes/data", {"message": "m"})
    server.on(DATA, volume("deleting"), GONE)
    assert prism("volume", "delete", "data", "--yes").stdout == "data is deleted\n"
    server.on("DELETE /snapshots/kept", {"message": "m"})
    server.on("GET /snapshots/kept", KEPT | {"state": "deleting"}, KEPT | {"state": "deleted"})
    assert prism("snapshot", "delete", "kept", "--yes").stdout == "kept is deleted\n"


class StuckVolumeWire(Wire):
    """A volume that stays `detaching`, and a clock that `sleep` advances."""

    def __init__(self, monkeypatch, **more):
        self.now, self.shown = 0.0, volume("detaching", **more)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.passes)

    def passes(self, seconds):
        self.now += seconds

    def call(self, method: object, *args: Any, **kwargs: Any) -> Any:
        return self.shown


@pytest.mark.parametrize(
    ("fields", "reason", "limit"),
    [
        ({}, "", WAIT_SECONDS),
        (
            {"failure": {"code": "IN_USE", "message": "`python` writes"}},
            "`python` writes",
            FAILING,
        ),
        ({"waiting": "the database is older"}, "the database is older", FAILING),
    ],
)
def test_wait_for_a_stuck_volume_ends_with_an_error(monkeypatch, fields, reason, limit):
    stuck = StuckVolumeWire(monkeypatch, **fields)
    show = "prism volume show data"
    with pytest.raises(StillUnderWay) as caught:
        wait_until_settled(stuck, Volumes.get, "data", show, silent=True, patience=WAIT_SECONDS)
    assert limit < stuck.now < limit + 2
    assert "data is still detaching" in caught.value.message
    assert reason in caught.value.message
