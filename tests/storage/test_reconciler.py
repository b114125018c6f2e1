"""Faults of the provider and concurrent requests, on SQLite and on PostgreSQL."""

from datetime import timedelta
from itertools import pairwise

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from prism.providers.local.storage.storage_offer import LocalStorageOffer
from prism.storage.model import StorageFailure
from prism.storage.reconciler import VolumeReconciler
from prism.storage.store import volumes
from prism.workspaces import store as workspaces
from prism.workspaces.attachment_hosts import zone_of
from tests.shapes import failed
from tests.storage.conftest import SNAPSHOTS


def calls(storage, verb):
    return [call for call in storage.disks.calls if call.startswith(verb)]


def test_lost_answer_to_create_makes_one_volume(storage):
    storage.disks.faults.lose_replies = 1
    storage.create()
    storage.settle(seconds=60)
    assert storage.state() == "available"
    assert len(storage.disks.disks) == 1


def test_lost_answers_to_create_make_one_volume_while_it_is_hidden(storage):
    storage.disks.faults.lose_replies = 2
    storage.disks.faults.hidden_for = timedelta(seconds=90)
    storage.create()
    storage.settle(seconds=300)
    assert storage.state() == "available"
    assert (len(storage.disks.disks), len(calls(storage, "create"))) == (1, 2)


def test_lost_answer_to_attach_records_one_attachment(storage):
    storage.made()
    storage.launched()
    storage.disks.faults.lose_replies = 1
    storage.attach()
    storage.settle(seconds=60)
    assert storage.state() == "in-use"
    assert len(storage.events_of("volume_attached")) == 1


def test_volume_is_created_after_the_provider_was_unavailable(storage):
    storage.disks.faults.down = True
    storage.create()
    storage.settle()
    assert (storage.state(), storage.disks.disks) == ("creating", {})
    storage.disks.faults.down = False
    storage.settle(seconds=600)
    assert storage.state() == "available"


def test_volume_that_is_hidden_at_first_is_not_made_twice(storage):
    storage.disks.faults.hidden_for = timedelta(seconds=20)
    storage.create()
    storage.settle(seconds=4)
    assert storage.state() == "available", "the answer to create counts"
    storage.settle(seconds=60)
    assert (storage.state(), len(calls(storage, "create"))) == ("available", 1)


def test_refused_volume_shows_the_reason_and_can_be_deleted(storage, http):
    storage.disks.faults.full = True
    storage.create()
    storage.settle()
    volume = storage.show()
    assert (volume["state"], volume["failure"]["code"]) == ("error", "STORAGE_REFUSED")
    storage.launched()
    failed(storage.attach(), 409, "INVALID_STATE")
    storage.delete()
    storage.settle()
    assert http("GET", "/api/v1/storage/volumes").json()["ebs_volumes"] == []


def test_failed_attachment_is_given_up_with_the_reason(storage):
    storage.made()
    storage.launched()
    storage.disks.faults.out_of_reach = True
    storage.attach()
    storage.settle(seconds=60)
    volume = storage.show()
    assert (volume["state"], volume["attached_instance"]) == ("available", None)
    assert volume["failure"]["code"] == "VOLUME_ELSEWHERE"
    assert len(calls(storage, "attach")) == 1, "a refusal is not retried"
    storage.disks.faults.out_of_reach = False
    assert storage.attach().json()["state"] == "attaching"
    storage.settle()
    volume = storage.show()
    assert (volume["state"], volume["failure"]) == ("in-use", None)


def test_busy_volume_is_detached_once_it_is_free(storage):
    storage.made()
    storage.launched(volumes=["data"])
    storage.disks.faults.busy = True
    storage.detach()
    storage.settle(seconds=20)
    volume = storage.show()
    assert (volume["state"], volume["failure"]["message"]) == ("detaching", "Somebody uses it")
    assert len(calls(storage, "detach")) == 1, "the detachment is not retried at once"
    storage.disks.faults.busy = False
    storage.settle(seconds=120)
    volume = storage.show()
    assert (volume["state"], volume["failure"]) == ("available", None)


def test_workspace_accepts_only_volumes_of_one_zone(storage):
    for name in ("here", "there", "anywhere"):
        storage.made(name)
    storage.disk("here").zone, storage.disk("there").zone = "a", "b"
    storage.settle()
    assert [storage.show(name)["zone"] for name in ("here", "there", "anywhere")] == [
        "a",
        "b",
        None,
    ]
    wish = {"volumes": ["anywhere", "here", "there"]}
    failed(storage.http.launch("mine", **wish), 409, "VOLUME_ELSEWHERE")
    storage.launched("mine", volumes=["anywhere", "here"])
    assert [spec.zone for spec in storage.cloud._specs.values()] == ["a"]
    error = failed(storage.attach("there"), 409, "VOLUME_ELSEWHERE")
    assert "in b" in error["message"]
    with storage.daemon.db.read() as sql:
        [mine] = workspaces.every(sql)
        assert zone_of(sql, mine) == "a"
    storage.detach("here")
    with storage.daemon.db.read() as sql:
        assert zone_of(sql, mine) is None


def test_snapshot_is_refused_at_once_if_the_provider_has_none(storage, monkeypatch):
    storage.made("all", type="efs")
    why = "this provider takes none"
    monkeypatch.setattr(LocalStorageOffer, "no_copies", lambda self, kind: why)
    failed(storage.take(volume="all"), 409, "NO_SNAPSHOTS")
    assert storage.http("GET", SNAPSHOTS).json() == []


def test_location_without_storage_is_surveyed_rarely(storage):
    storage.disks.calm = timedelta(seconds=60)
    storage.settle(seconds=600)
    assert len(calls(storage, "survey")) == 3, "one survey of each part, to find orphans"
    storage.made()
    before = len(calls(storage, "survey"))
    for _ in range(100):
        storage.clock.advance(seconds=6)
        storage.daemon.settle()
    assert 9 <= len(calls(storage, "survey")) - before <= 14


def test_volume_deleted_outside_prism_is_not_made_again(storage):
    storage.made()
    storage.disks.disks.clear()
    storage.settle(seconds=300)
    volume = storage.show()
    assert (volume["state"], volume["failure"]["code"]) == ("error", "VANISHED")
    assert len(calls(storage, "create")) == 1, "an empty volume would look like the lost one"
    storage.delete()
    storage.settle()
    assert storage.create().status_code == 201


def test_volume_detached_outside_prism_is_attached_again(storage):
    storage.made()
    storage.launched(volumes=["data"])
    storage.disk().attached.clear()
    storage.settle()
    assert storage.state() == "in-use"
    events = [event.event for event in storage.daemon.db.events_after(0)]
    events = [event for event in events if event in {"volume_attached", "volume_detached"}]
    assert events == ["volume_attached", "volume_detached", "volume_attached"]


def test_machine_in_two_outdated_surveys_long_apart_gets_no_attachment(storage):
    """A provider may list a detached volume as attached for a while."""
    storage.made()
    for _ in range(2):
        storage.disk().attached.add("local-0123456789abcdef0")
        storage.settle()
        assert storage.show()["attached_instance"] is None
        storage.disk().attached.clear()
        storage.settle(seconds=2 * storage.disks.patience.total_seconds())
    storage.disk().attached.add("local-0123456789abcdef0")
    storage.settle(seconds=2 * storage.disks.patience.total_seconds())
    assert storage.show()["attached_instance"] == "local-0123456789abcdef0"


def test_volume_in_another_location_is_refused_with_both_locations(storage):
    storage.made()
    storage.launched()
    [location] = storage.daemon.local.locations
    with storage.daemon.db.write() as tx:
        tx.sql.execute(update(volumes).values(location="aws:123456789012:us-west-2"))
    error = failed(storage.attach(), 409, "VOLUME_ELSEWHERE")
    assert "us-west-2" in error["details"]
    assert location in error["details"]
    assert "prism volume create" in error["remediation"]


def test_terminated_workspace_leaves_its_volumes_with_their_data(storage):
    storage.made()
    storage.made("all", type="efs")
    for name in ("data", "all"):
        storage.disk(name).holds = "precious"
    storage.launched(volumes=["data", "all"])
    storage.terminate()
    storage.settle()
    for name in ("data", "all"):
        assert (storage.state(name), storage.disk(name).holds) == ("available", "precious")
        assert not storage.disk(name).attached
    assert storage.show()["attached_instance"] is None
    failed(storage.attach(), 409, "INVALID_STATE")


def test_volume_of_a_pruned_workspace_is_detached(storage):
    storage.made()
    storage.launched(volumes=["data"])
    storage.disks.faults.down = True
    storage.terminate()
    storage.settle(seconds=2000)
    assert storage.http("GET", "/api/v1/instances").json() == []
    storage.disks.faults.down = False
    storage.settle(seconds=2000)
    assert (storage.state(), storage.disk().attached) == ("available", set())


def test_volume_stays_attached_to_a_stopped_or_hibernated_workspace(storage):
    storage.made()
    storage.launched(volumes=["data"])
    for verb in ("hibernate", "resume", "stop", "start"):
        storage.http.post("mine", verb)
        storage.settle()
        assert (storage.state(), storage.workspace()["attached_ebs_volumes"]) == (
            "in-use",
            ["data"],
        ), verb


def test_request_during_reconciliation_is_not_lost(storage, monkeypatch):
    storage.made()
    storage.launched()
    storage.attach()
    original = VolumeReconciler._record

    def detached_meanwhile(self, tx, id, facts, links):
        if storage.events_of("volume_asked")[-1].data["verb"] != "detach":
            storage.daemon.storage.detach("data")
        original(self, tx, id, facts, links)

    monkeypatch.setattr(VolumeReconciler, "_record", detached_meanwhile)
    storage.settle()
    assert (storage.state(), storage.disk().attached) == ("available", set())


@pytest.mark.postgres
def test_two_daemons_make_one_volume(storage, make_daemon):
    other = make_daemon()
    storage.create()
    for _ in range(4):
        storage.clock.advance(seconds=1)
        other.settle()
        storage.daemon.settle()
    assert (storage.state(), len(calls(storage, "create"))) == ("available", 1)


def test_deletion_with_a_lost_answer_is_completed(storage, http):
    storage.made()
    storage.disks.faults.lose_replies = 1
    storage.delete()
    storage.settle(seconds=60)
    failed(http("GET", "/api/v1/storage/volumes/data"), 404, "VOLUME_NOT_FOUND")
    assert storage.disks.disks == {}


def test_each_change_of_a_volume_is_recorded_once(storage):
    storage.made()
    storage.launched(volumes=["data"])
    storage.terminate()
    storage.settle()
    storage.delete()
    storage.settle()
    states = [message.data["state"] for message in storage.events_of("volume_state_changed")]
    assert states == ["available", "in-use", "available", "deleted"]
    for kind in ("volume_attached", "volume_detached"):
        [fact] = storage.events_of(kind)
        assert fact.data["instance"] == "mine"
        assert fact.data["workspace"].startswith("ws_")


def test_used_size_is_measured_in_the_background(storage):
    volume = storage.made("all", type="efs")
    assert volume["size_gb"] == 0
    storage.disk("all").holds = "x" * 3_000_000
    assert storage.show("all")["size_gb"] == 0, "a read measures nothing"
    storage.settle()
    assert storage.show("all")["size_gb"] == 0.003
    assert len(storage.events_of("volume_measured")) == 1


class Counting:
    """Records the changes that it is notified of."""

    def __init__(self):
        self.seen = []

    def changed(self, tx, before, after, at):
        self.seen.append((before, after))


def test_listener_gets_every_change_of_volumes_and_snapshots(storage):
    meter = Counting()
    storage.daemon.storage_changes._listeners = [meter]
    storage.made()
    storage.take(volume="data")
    storage.settle()
    storage.delete()
    storage.http("DELETE", f"{SNAPSHOTS}/kept")
    storage.settle()
    assert [event for event in meter.seen if event[0] is None and event[1].name == "data"]
    for name in ("data", "kept"):
        mine = [event for event in meter.seen if (event[0] or event[1]).name == name]
        assert mine[0][0] is None
        assert mine[-1][1] is None
        for (_, first), (other, _) in pairwise(mine):
            # The time of the request is written before the call, without a notification.
            first = replace(first, provider_called_at=other.provider_called_at)
            assert first == other, "each change starts from the result of the previous one"


def test_failed_snapshot_shows_the_reason_and_can_be_deleted(storage):
    storage.made()
    storage.disks.faults.copy_failure = StorageFailure("DISK_FULL", "The disk is full: make room")
    storage.take(volume="data")
    storage.settle()
    snapshot = storage.snapshot()
    assert (snapshot["state"], snapshot["failure"]["code"]) == ("error", "DISK_FULL")
    failed(storage.restore(), 409, "INVALID_STATE")
    assert len(calls(storage, "snapshot")) == 1
    storage.http("DELETE", f"{SNAPSHOTS}/kept")
    storage.settle()
    assert storage.http("GET", SNAPSHOTS).json() == []


def test_lost_answers_to_a_snapshot_request_make_one_snapshot(storage):
    storage.made()
    storage.disks.faults.lose_replies = 2
    storage.take(volume="data")
    storage.settle(seconds=60)
    assert (storage.snapshot()["state"], len(storage.disks.copies)) == ("completed", 1)


def test_detached_volumes_are_remembered_for_a_day_only(storage):
    """A map that grew with each volume that was ever detached would never end."""
    storage.launched()
    for name in ("one", "two", "three"):
        storage.made(name)
        storage.attach(name)
        storage.settle()
        storage.detach(name)
        storage.settle()
        storage.clock.advance(days=1, seconds=1)
    [reconciler] = [
        loop._work for loop in storage.daemon.loops if isinstance(loop._work, VolumeReconciler)
    ]
    assert len(reconciler._detached_at) == 1
