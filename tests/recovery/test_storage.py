"""Volumes and snapshots without rows are listed, and recovered."""

from datetime import timedelta

import pytest

from prism.costs import store as ledger
from prism.recovery.storage_scanner import StorageScanner
from prism.storage import store as storage
from prism.storage.model import Volume
from prism.storage.survey import LazySurvey
from tests.conftest import LOCATION
from tests.money import ClockedDaemon


@pytest.fixture
def lost_storage(make_daemon, start_on_empty_database, clock, cloud, disks, operator_type):
    """An attached volume, a shared volume and a snapshot; the database is lost."""
    cloud.busy = timedelta(0)
    lab = ClockedDaemon(make_daemon(local_prices="aws"), clock)
    lab.project("reef")
    lab.running()
    lab.made("storage/volumes/create", type="ebs", name="data", size_gb=10, project="reef")
    lab.made("storage/volumes/create", type="efs", name="shared")
    settle(lab.daemon, clock)
    for path, body in (
        ("storage/volumes/data/attach", {"instance": "mine"}),
        ("snapshots", {"name": "first", "volume": "data"}),
    ):
        answer = lab.post(path, **body)
        assert answer.status_code in {200, 201}, answer.text
    settle(lab.daemon, clock)
    before = lab.get("storage/volumes")
    after = operator_type(start_on_empty_database(lab.daemon, local_prices="aws"))
    after.before = before
    settle(after.daemon, clock)
    return after


def settle(daemon, clock, seconds=60):
    for _ in range(4):
        clock.advance(seconds=seconds / 4)
        daemon.settle()


def shown(operator):
    return {orphan["name"]: orphan for orphan in operator.get("orphans")["storage"]}


def test_orphaned_storage_is_listed_with_size_age_and_cost(lost_storage, disks):
    calls_before = len(disks.calls)
    orphans = shown(lost_storage)
    assert len(disks.calls) == calls_before, "a request does not call the provider"
    assert {name: orphan["kind"] for name, orphan in orphans.items()} == {
        "data": "ebs",
        "shared": "efs",
        "first": "snapshot",
    }
    data = orphans["data"]
    assert (data["size_gb"], data["owner"], data["project"]) == (10, "ada", "reef")
    assert data["monthly_cost"] == pytest.approx(0.8)
    assert data["age_seconds"] >= 120


def test_recover_restores_volumes_with_their_attachments(lost_storage, clock, disks):
    lost_storage.post("projects", 201, name="reef")
    create_calls = [
        call for call in disks.calls if call.startswith(("create", "snapshot", "attach"))
    ]
    assert len(lost_storage.recover(dry_run=True)["storage"]) == 3
    assert lost_storage.get("storage/volumes")["ebs_volumes"] == []
    recovery = lost_storage.recover()
    assert {resource["name"] for resource in recovery["storage"]} == {"data", "shared", "first"}
    assert lost_storage.get("instances/mine")["attached_ebs_volumes"] == ["data"], (
        "before the next survey"
    )
    settle(lost_storage.daemon, clock)
    after = lost_storage.get("storage/volumes")
    vary = {"project", "creation_time"}  # the provider's creation time
    for kind in ("ebs_volumes", "efs_volumes"):
        [now], [was] = after[kind], lost_storage.before[kind]
        assert {k: v for k, v in now.items() if k not in vary} == {
            k: v for k, v in was.items() if k not in vary
        }
    assert after["ebs_volumes"][0]["attached_instance"] == "mine"
    again = [call for call in disks.calls if call.startswith(("create", "snapshot", "attach"))]
    assert again == create_calls, "no volume or snapshot is made again"
    assert shown(lost_storage) == {}
    assert lost_storage.recover()["storage"] == []
    [first] = lost_storage.get("snapshots")
    assert (first["name"], first["state"], first["source"]) == ("first", "completed", "data")


def test_volume_from_a_recovered_efs_snapshot_has_the_price_of_efs(
    make_daemon, start_on_empty_database, clock, cloud, disks, operator_type
):
    lab = ClockedDaemon(make_daemon(local_prices="aws"), clock)
    lab.made("storage/volumes/create", type="efs", name="shared")
    settle(lab.daemon, clock)
    lab.made("snapshots", name="first", volume="shared")
    settle(lab.daemon, clock)
    lab.made("snapshots/first/restore", name="before")
    with lab.daemon.db.read() as sql:
        expected = storage.named(sql, Volume, "before")
    after = operator_type(start_on_empty_database(lab.daemon, local_prices="aws"))
    settle(after.daemon, clock)
    after.recover()
    after.post("snapshots/first/restore", 201, name="again")
    with after.daemon.db.read() as sql:
        restored = storage.named(sql, Volume, "again")
    assert (restored.volume_type, restored.gb_month) == (None, expected.gb_month)


def test_recovered_storage_is_booked_in_the_ledger(lost_storage, clock):
    lost_storage.recover()
    with lost_storage.daemon.db.read() as sql:
        open_now = {period.name for period in ledger.open_now(sql)}
    assert {"data", "first"} <= open_now


def test_recovered_storage_notes_a_missing_project_and_a_used_name(lost_storage, clock, disks):
    lost_storage.post("storage/volumes/create", 201, type="ebs", name="data", size_gb=1)
    taken = {resource["id"]: resource for resource in lost_storage.recover()["storage"]}
    [data] = [resource for resource in taken.values() if resource["kind"] == "ebs"]
    assert data["name"].startswith("data-")
    assert any("'reef' does not exist" in note for note in data["notes"])
    assert any("it was called 'data'" in note for note in data["notes"])


def test_deleted_volume_is_not_an_orphan_before_the_next_look(daemon, clock, disks):
    lab, scanner = ClockedDaemon(daemon, clock), StorageScanner(daemon.db, clock)
    lab.made("storage/volumes/create", type="ebs", name="data", size_gb=10)
    settle(daemon, clock)
    scanner.look(LazySurvey({LOCATION: disks}), [LOCATION])
    assert lab.http("DELETE", "/api/v1/storage/volumes/data").status_code == 200
    settle(daemon, clock)
    assert lab.get("storage/volumes")["ebs_volumes"] == []
    assert list(scanner.orphans()) == []


def test_orphaned_storage_of_an_unreachable_location_stays_listed(lost_storage, clock, disks):
    disks.faults.down = True
    settle(lost_storage.daemon, clock)
    assert shown(lost_storage).keys() == {"data", "shared", "first"}
