"""`backup_ebs`: a workspace is terminated only after a snapshot of its disk."""

from datetime import timedelta

import pytest

from prism.storage.model import StorageFailure
from prism.workspaces.ports import ProviderRefused
from tests.shapes import failed

FULL = StorageFailure("DISK_FULL", "The disk is full: make room")


@pytest.fixture
def workspace(storage):
    workspace = storage.launched()
    storage.disks.machines[workspace["id"]] = "thesis"
    return workspace


def backup(storage):
    [snapshot] = storage.http("GET", "/api/v1/snapshots").json()
    return snapshot


def calls(storage, machine):
    return [call.split()[0] for call in storage.cloud.calls if machine in call]


def test_terminate_with_backup_takes_the_snapshot_first(storage, workspace):
    storage.disks.faults.slow = timedelta(seconds=60)
    answer = storage.terminate(backup_ebs=True)
    assert answer.json()["state"] == "terminating"
    assert "snapshot" in answer.json()["message"]
    storage.settle()
    assert calls(storage, workspace["id"])[-1] == "stop", "the machine is stopped before the copy"
    assert (storage.workspace()["state"], backup(storage)["state"]) == ("terminating", "pending")
    storage.settle(seconds=120)
    snapshot = backup(storage)
    assert (snapshot["state"], snapshot["name"], snapshot["source"]) == (
        "completed",
        "mine-backup",
        "mine",
    )
    assert storage.workspace()["state"] == "terminated"
    assert calls(storage, workspace["id"])[-1] == "terminate"


def test_backup_is_restored_in_another_workspace(storage, workspace):
    storage.terminate(backup_ebs=True)
    storage.settle()
    assert storage.restore("mine-backup").status_code == 201
    again = storage.launched("again", volumes=["back"])
    assert again["attached_ebs_volumes"] == ["back"]
    assert storage.disk("back").holds == "thesis"


def test_failed_backup_keeps_the_workspace(storage, workspace):
    storage.disks.faults.copy_failure = FULL
    storage.terminate(backup_ebs=True)
    storage.settle()
    tested_workspace = storage.workspace()
    assert (tested_workspace["state"], tested_workspace["failure"]["code"]) == (
        "terminating",
        "BACKUP_FAILED",
    )
    assert "prism workspace terminate mine --backup" in tested_workspace["failure"]["message"]
    storage.disks.faults.copy_failure = None
    assert storage.terminate(backup_ebs=True).status_code == 200
    storage.settle()
    assert (storage.workspace()["state"], backup(storage)["state"]) == ("terminated", "completed")


def test_refused_stop_for_a_backup_keeps_the_machine_known(storage, workspace, monkeypatch):
    def refuse(id):
        raise ProviderRefused("UnauthorizedOperation")

    storage.disks.faults.slow = timedelta(seconds=60)
    with monkeypatch.context() as patched:
        patched.setattr(storage.cloud, "stop", refuse)
        storage.terminate(backup_ebs=True)
        storage.settle()
        tested_workspace = storage.workspace()
        assert (tested_workspace["state"], tested_workspace["failure"]["message"]) == (
            "terminating",
            "UnauthorizedOperation",
        )
    for _ in range(2):
        storage.settle(seconds=120)
    assert storage.workspace()["state"] == "terminated"
    assert calls(storage, workspace["id"])[-1] == "terminate"


def test_terminate_without_backup_gives_up_a_failed_backup(storage, workspace):
    storage.disks.faults.copy_failure = FULL
    storage.terminate(backup_ebs=True)
    storage.settle()
    storage.terminate()
    storage.settle()
    assert storage.workspace()["state"] == "terminated"
    assert storage.http("DELETE", "/api/v1/snapshots/mine-backup").status_code == 200


def test_backup_in_progress_cannot_be_deleted(storage, workspace):
    storage.disks.faults.slow = timedelta(seconds=60)
    storage.terminate(backup_ebs=True)
    storage.settle()
    fault = failed(storage.http("DELETE", "/api/v1/snapshots/mine-backup"), 409, "IN_USE")
    assert "mine" in fault["message"]
    assert storage.workspace()["state"] == "terminating"


def test_repeated_terminate_with_backup_takes_one_snapshot(storage, workspace):
    for _ in range(3):
        assert storage.terminate(backup_ebs=True).status_code == 200
        storage.settle(seconds=1)
    assert backup(storage)["state"] == "completed"


def test_terminate_repeated_during_the_termination_takes_no_second_snapshot(storage, workspace):
    storage.cloud.faults.slow = timedelta(minutes=10)
    storage.terminate(backup_ebs=True)
    storage.settle(seconds=900)  # it stops, and its snapshot completes
    storage.settle(seconds=1)
    assert calls(storage, workspace["id"])[-1] == "terminate"
    assert storage.workspace()["state"] == "terminating"
    assert storage.terminate(backup_ebs=True).status_code == 200
    assert backup(storage)["state"] == "completed"


def test_backups_of_workspaces_with_the_same_name_have_different_names(storage, workspace):
    storage.terminate(backup_ebs=True)
    storage.settle()
    second = storage.launched()
    storage.disks.machines[second["id"]] = "second thesis"
    storage.terminate(backup_ebs=True)
    storage.settle()
    names = [entry["name"] for entry in storage.http("GET", "/api/v1/snapshots").json()]
    assert names == ["mine-backup", "mine-backup-2"]


def test_failed_launch_terminates_without_a_backup(storage):
    storage.cloud.faults.full = True
    storage.http.launch()
    storage.settle()
    assert storage.workspace()["state"] == "failed"
    storage.terminate(backup_ebs=True)
    storage.settle(seconds=60)
    assert storage.workspace()["state"] == "terminated"


def test_hibernated_workspace_is_backed_up_without_a_stop(storage, workspace):
    storage.http.post("mine", "hibernate")
    storage.settle()
    storage.terminate(backup_ebs=True)
    storage.settle()
    assert "stop" not in calls(storage, workspace["id"])
    assert (storage.workspace()["state"], backup(storage)["state"]) == ("terminated", "completed")


def test_snapshot_of_a_running_workspace_keeps_it_running(storage, workspace):
    assert storage.take(instance="mine").status_code == 201
    storage.settle()
    snapshot = storage.snapshot()
    assert (snapshot["state"], snapshot["source_type"]) == ("completed", "workspace")
    assert storage.workspace()["state"] == "running"
    storage.terminate()
    storage.settle()
    failed(storage.take("late", instance="mine"), 409, "INVALID_STATE")


def test_disk_being_copied_cannot_be_terminated_or_resized(storage, workspace):
    storage.disks.faults.slow = timedelta(seconds=60)
    order = {"name": "monday", "instance": "mine"}
    assert storage.http("POST", "/api/v1/snapshots", json=order).status_code == 201
    storage.settle()
    answer = storage.terminate()
    failed(answer, 409, "IN_USE")
    assert "monday" in answer.json()["error"]["details"]
    failed(storage.terminate(backup_ebs=True), 409, "IN_USE")
    storage.http("POST", "/api/v1/instances/mine/stop")
    storage.settle()
    size = {"size": "L"}
    resized = storage.http("POST", "/api/v1/instances/mine/resize", json=size)
    failed(resized, 409, "IN_USE")
    storage.settle(seconds=120)
    assert backup(storage)["state"] == "completed"
    assert storage.http("POST", "/api/v1/instances/mine/resize", json=size).status_code == 200
    assert storage.terminate().status_code == 200
    storage.settle()
    assert storage.workspace()["state"] == "terminated"


def test_deleted_snapshot_in_progress_does_not_block_the_termination(storage, workspace):
    storage.disks.faults.slow = timedelta(seconds=60)
    storage.http("POST", "/api/v1/snapshots", json={"name": "monday", "instance": "mine"})
    storage.settle()
    failed(storage.terminate(), 409, "IN_USE")
    storage.http("DELETE", "/api/v1/snapshots/monday")
    assert storage.terminate().status_code == 200
