"""Requests for copies, and what becomes of them."""

import pytest
from msgspec.structs import replace

from prism.copies import store
from prism.copies.model import CopyLabel, CopyState, RemoteCopy, SnapshotCopy
from prism.copies.ports import CopyStatus
from prism.copies.reconciler import CopyReconciler
from prism.storage.model import VolumeKind
from tests.conftest import LOCATION, Http
from tests.copies.conftest import FULL, with_copies
from tests.shapes import failed


def test_a_copy_is_made_and_listed(copying):
    copying.completed()
    answer = copying.copy()
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "pending"
    copying.settle()
    [copy] = copying.copies()
    assert (copy["snapshot"], copy["source"], copy["destination"]) == ("kept", "data", "/mnt/disk")
    assert (copy["state"], copy["total_bytes"], copy["added_bytes"]) == ("completed", 100, 60)
    assert copying.http("GET", f"/api/v1/copies/{copy['id']}").json() == copy
    [order] = copying.worker.orders
    assert (order.label.name, order.label.size_gb, order.is_known) == ("kept", 10, False)
    [*_, ended] = copying.events_of("snapshot_copy_state_changed")
    assert (ended.subject, ended.data["state"]) == ("kept", "completed")
    assert copying.worker.statuses == {}, "its end is recorded, and nothing remembers it"


def test_progress_is_shown_and_a_second_request_begins_nothing(copying):
    copying.completed()
    copying.worker.ends = None
    first = copying.copy().json()["id"]
    copying.settle()
    assert copying.copy().json()["id"] == first
    [copy] = copying.copies()
    assert (copy["state"], copy["progress"]) == ("copying", 40)
    assert len(copying.worker.orders) == 1


def test_a_failure_is_shown_and_a_later_request_tries_again(copying):
    copying.completed()
    copying.worker.ends = replace(copying.worker.ends, state=CopyState.FAILED, trouble=FULL)
    copying.copy()
    copying.settle()
    [copy] = copying.copies()
    assert (copy["state"], copy["failure"]["code"]) == ("failed", "DESTINATION_FULL")
    assert copy["ended_at"]
    copying.worker.ends = replace(copying.worker.ends, state=CopyState.COMPLETED, trouble=None)
    copying.copy()
    copying.settle()
    [copy] = copying.copies()
    assert (copy["state"], copy["failure"]) == ("completed", None)


def test_a_daemon_that_was_killed_begins_the_copy_again(copying, make_daemon):
    copying.completed()
    copying.worker.ends = None
    copying.copy()
    copying.settle()
    [order] = copying.worker.orders
    assert not order.is_repeated
    copying.worker.statuses.clear()
    copying.daemon = with_copies(make_daemon(), copying.worker)
    copying.http = Http(copying.daemon.app)
    copying.settle()
    assert [order.is_repeated for order in copying.worker.orders] == [False, True]


def test_a_cancelled_copy_is_stopped(copying):
    copying.completed()
    copying.worker.ends = None
    id = copying.copy().json()["id"]
    copying.settle()
    answer = copying.http("DELETE", f"/api/v1/copies/{id}")
    assert "cancelled" in answer.json()["message"]
    copying.settle()
    assert copying.copies() == []
    assert copying.worker.forgotten == [id]
    failed(copying.http("DELETE", f"/api/v1/copies/{id}"), 404, "COPY_NOT_FOUND")


def test_a_destination_with_earlier_copies_is_known(copying):
    copying.completed()
    copying.copy()
    copying.settle()
    copying.completed("second")
    copying.copy("second")
    copying.copy("second", "/mnt/other")
    copying.settle()
    known = {
        (order.label.name, order.destination): order.is_known for order in copying.worker.orders
    }
    assert known == {
        ("kept", "/mnt/disk"): False,
        ("second", "/mnt/disk"): True,
        ("second", "/mnt/other"): False,
    }


def test_a_deleted_snapshot_fails_its_copy_and_keeps_those_that_were_made(copying):
    copying.completed()
    copying.copy()
    copying.settle()
    copying.http("DELETE", "/api/v1/snapshots/kept")
    copying.settle()
    with copying.daemon.db.write() as tx:  # as if the deletion had come in between
        [copy] = store.every(tx.sql, SnapshotCopy)
        later = replace(copy, id="copy_2", destination="/mnt/other", state=CopyState.PENDING)
        store.add(tx, later, copying.clock.now())
    copying.settle()
    ends = {copy["destination"]: copy["failure"] for copy in copying.copies()}
    assert ends["/mnt/disk"] is None
    assert ends["/mnt/other"]["code"] == "SNAPSHOT_GONE"


def test_what_cannot_be_copied_is_refused(copying):
    copying.made()
    copying.take(volume="data")
    failed(copying.copy(), 409, "INVALID_STATE")
    failed(copying.copy("unknown"), 404, "SNAPSHOT_NOT_FOUND")
    failed(copying.copy(destination="relative"), 422, "DESTINATION_INVALID")
    failed(copying.copy(destination="/mnt/x", profile="default"), 422, "VALIDATION_FAILED")
    failed(copying.copy(destination="s3://bucket/x", profile="nope"), 404, "PROFILE_NOT_FOUND")


def test_snapshots_of_aws_are_refused_with_the_way_out(copying, monkeypatch):
    from prism.providers.aws.storage.offer import NO_COPIES_ELSEWHERE
    from prism.providers.local.storage.storage_offer import LocalStorageOffer

    copying.completed()
    monkeypatch.setattr(LocalStorageOffer, "no_copies_elsewhere", lambda _: NO_COPIES_ELSEWHERE)
    fault = failed(copying.copy(), 409, "NO_COPIES_ELSEWHERE")
    assert "aws ec2 copy-snapshot" in fault["details"]


def remote(taken_at, name="kept", id="a" * 64):
    label = CopyLabel(
        key="snapshot_far",
        name=name,
        source="workspace",
        source_id="ws_far",
        source_name="lab",
        kind=VolumeKind.EBS,
        size_gb=8,
        taken_at=taken_at,
    )
    return RemoteCopy(id=id, label=label, host="old-laptop", total_bytes=5)


def test_what_is_at_a_destination_is_listed_and_fetched(copying):
    now = copying.clock.now()
    copying.worker.remote = [remote(now), remote(now, "later", "b" * 64)]
    listed = copying.http("GET", "/api/v1/remote-copies?destination=/mnt/disk").json()
    assert [(each["snapshot"], each["source"], each["host"]) for each in listed] == [
        ("kept", "lab", "old-laptop"),
        ("later", "lab", "old-laptop"),
    ]
    body = {"destination": "/mnt/disk", "copy": "kept", "name": "back"}
    answer = copying.http("POST", "/api/v1/remote-copies/fetch", json=body)
    assert answer.status_code == 201, answer.text
    copying.settle()
    snapshot = copying.snapshot("back")
    assert (snapshot["state"], snapshot["source"], snapshot["size_gb"]) == ("error", "lab", 8)
    assert snapshot["fetched_from"] == "/mnt/disk"
    assert "cannot be fetched to this location" in snapshot["failure"]["message"]
    body = {"destination": "/mnt/disk", "copy": "unknown"}
    fault = failed(
        copying.http("POST", "/api/v1/remote-copies/fetch", json=body), 404, "COPY_NOT_FOUND"
    )
    assert "prism snapshot copies /mnt/disk" in fault["remediation"]


def test_a_destination_is_asked_outside_of_a_transaction(copying):
    copying.worker.remote = [remote(copying.clock.now())]
    body, key = {"destination": "/mnt/disk", "copy": "kept"}, {"Idempotency-Key": "once"}
    url = "/api/v1/remote-copies/fetch"
    assert copying.http("POST", url, json=body, headers=key).status_code == 201
    failed(copying.http("POST", url, json=body, headers=key), 409, "ALREADY_EXISTS")


def test_one_copy_at_a_destination_is_destroyed_by_its_id(copying):
    copying.completed()
    copying.copy()
    copying.settle()
    now, own_id = copying.clock.now(), copying.copies()[0]["remote_id"]
    copying.worker.remote = [
        remote(now, id=own_id),
        remote(now, id="b" * 64),
        remote(now, id="bc" * 32),
    ]
    query = "?destination=/mnt/disk"
    for id in ("kept", "b", "c" * 64):
        refused = copying.http("DELETE", f"/api/v1/remote-copies/{id}{query}")
        failed(refused, 404, "COPY_NOT_FOUND")
    answer = copying.http("DELETE", f"/api/v1/remote-copies/{'b' * 16}{query}")
    assert answer.json()["message"] == f"The copy {'b' * 16} of kept at /mnt/disk is destroyed"
    assert [copy.id for copy in copying.worker.remote] == [own_id, "bc" * 32]
    assert len(copying.copies()) == 1
    copying.http("DELETE", f"/api/v1/remote-copies/{own_id}{query}/.")
    assert copying.copies() == []
    assert [event.data["copy"] for event in copying.events_of("snapshot_copy_deleted")] == [
        "b" * 64,
        own_id,
    ]


def test_a_name_that_is_taken_is_refused(copying):
    copying.completed()
    copying.worker.remote = [remote(copying.clock.now())]
    body = {"destination": "/mnt/disk", "copy": "kept"}
    answer = copying.http("POST", "/api/v1/remote-copies/fetch", json=body)
    failed(answer, 409, "ALREADY_EXISTS")
    assert copying.snapshot()["fetched_from"] is None


@pytest.mark.parametrize("at", ["ids", "rows"])
def test_a_copy_that_begins_during_a_survey_goes_on(copying, monkeypatch, at):
    copying.completed()
    copying.worker.ends = None
    reconciler = CopyReconciler(copying.daemon.db, copying.clock, {LOCATION: copying.worker})
    steps = {"ids": copying.worker.ids, "rows": store.every}

    def begin_between(step):
        def call(*arguments):
            if step == at and not copying.worker.statuses:
                id = copying.copy().json()["id"]
                copying.worker.statuses[id] = CopyStatus(state=CopyState.COPYING)
            return steps[step](*arguments)

        return call

    monkeypatch.setattr(copying.worker, "ids", begin_between("ids"))
    monkeypatch.setattr(store, "every", begin_between("rows"))
    reconciler.mark_due()
    assert [*copying.worker.statuses] == [copy["id"] for copy in copying.copies()]
    assert copying.worker.forgotten == []


def test_a_repeated_copy_does_not_forget_that_the_destination_has_copies(copying):
    copying.completed()
    copying.copy()
    copying.settle()
    copying.worker.ends = replace(copying.worker.ends, state=CopyState.FAILED, trouble=FULL)
    for _ in range(2):
        copying.copy()
        copying.settle()
    assert [order.is_known for order in copying.worker.orders] == [False, True, True]
    assert [copy["state"] for copy in copying.copies()] == ["completed", "failed"]
    copying.worker.ends = replace(copying.worker.ends, state=CopyState.COMPLETED, trouble=None)
    copying.copy()
    copying.settle()
    assert [copy["state"] for copy in copying.copies()] == ["completed"]
