"""Which rollbacks and launches from snapshots are refused, and how failed ones end."""

import pytest

from prism.budgets.model import BudgetExceeded
from prism.providers.aws.storage.offer import AwsStorageOffer
from prism.providers.local.storage.storage_offer import LocalStorageOffer
from prism.workspaces.model import LaunchRequest
from tests.conftest import ML, Http


@pytest.fixture
def mine(daemon, disks):
    """A running workspace, with its snapshot `before`."""
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    settle(daemon)
    disks.machines[daemon.workspaces.named("mine").machine_id] = "files"
    http = Http(daemon.app)
    http("POST", "/api/v1/snapshots", json={"name": "before", "instance": "mine"})
    settle(daemon)
    assert http("GET", "/api/v1/snapshots/before").json()["state"] == "completed"
    return http


def settle(daemon):
    """Reconciles what is due at once, and what is due some seconds later."""
    for _ in range(4):
        daemon.settle()
        daemon.clock.advance(seconds=2)


def rollback(http, name="mine", snapshot="before"):
    return http.post(name, "rollback", json={"snapshot": snapshot})


class Replacing:
    """Lets the simulated provider replace files, as `ports.ReplacesFiles`."""

    def __init__(self, failure=None):
        self.calls, self.failure = [], failure

    def __call__(self, id, snapshot, token):
        self.calls.append((id, snapshot, token))
        if self.failure:
            raise self.failure
        return len(self.calls) > 1


@pytest.fixture
def replacing(cloud):
    cloud.replace_files = Replacing()
    return cloud.replace_files


def test_rollback_stops_saves_replaces_and_starts(daemon, cloud, mine, replacing):
    cloud.calls.clear()
    answer = rollback(mine).json()
    assert answer["backup"] == "mine-before-rollback"
    assert (answer["previous_state"], answer["new_state"]) == ("running", "stopping")
    assert mine("GET", "/api/v1/instances/mine").json()["rolling_back"] is True
    settle(daemon)
    workspace = mine("GET", "/api/v1/instances/mine").json()
    assert (workspace["state"], workspace["rolling_back"]) == ("running", False)
    assert len(replacing.calls) == 2
    assert len({*replacing.calls}) == 1
    verbs = [call.split()[0] for call in cloud.calls if call.split()[0] in {"stop", "start"}]
    assert verbs == ["stop", "start"]
    states = {copy["name"]: copy["state"] for copy in mine("GET", "/api/v1/snapshots").json()}
    assert states == {"before": "completed", "mine-before-rollback": "completed"}


def test_backup_of_a_rollback_does_not_replace_the_backup_of_the_end(daemon, mine, replacing):
    rollback(mine)
    settle(daemon)
    body = {"confirm": "DELETE", "backup_ebs": True}
    mine("POST", "/api/v1/instances/mine/terminate", json=body)
    settle(daemon)
    names = {copy["name"] for copy in mine("GET", "/api/v1/snapshots").json()}
    assert names == {"before", "mine-before-rollback", "mine-backup"}


def test_provider_that_cannot_leaves_the_workspace_stopped_with_the_reason(daemon, mine):
    rollback(mine)
    settle(daemon)
    workspace = mine("GET", "/api/v1/instances/mine").json()
    assert (workspace["state"], workspace["rolling_back"]) == ("stopped", False)
    assert workspace["failure"]["code"] == "ROLLBACK_FAILED"
    assert "`prism start mine`" in workspace["failure"]["message"]
    assert mine.post("mine", "start", json={}).status_code == 200
    settle(daemon)
    assert mine.state() == "running"


def test_second_rollback_hibernated_and_foreign_snapshots_are_refused(daemon, mine, replacing):
    mine.launch("other")
    settle(daemon)
    refused = rollback(mine, "other").json()["error"]
    assert (refused["code"], "workspace 'mine'" in refused["details"]) == (
        "SNAPSHOT_OF_ANOTHER",
        True,
    )
    assert rollback(mine, snapshot="none").json()["error"]["code"] == "SNAPSHOT_NOT_FOUND"
    mine.post("mine", "hibernate")
    settle(daemon)
    refused = rollback(mine).json()["error"]
    assert (refused["code"], "`prism resume mine`" in refused["remediation"]) == (
        "INVALID_STATE",
        True,
    )
    mine.post("mine", "resume")
    settle(daemon)
    assert rollback(mine).status_code == 200
    assert "rollback of it is under way" in rollback(mine).json()["error"]["details"]


def test_restore_onto_the_name_of_a_workspace_is_refused(mine):
    answer = mine("POST", "/api/v1/snapshots/before/restore", json={"name": "mine"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NAME_OF_WORKSPACE")
    assert "`prism rollback mine before`" in answer.json()["error"]["remediation"]
    listed = mine("GET", "/api/v1/storage/volumes").json()
    assert listed == {"efs_volumes": [], "ebs_volumes": []}
    other = mine("POST", "/api/v1/snapshots/before/restore", json={"name": "mine-copy"})
    assert other.status_code == 201


def test_launch_from_a_snapshot_is_refused_before_a_row_exists(daemon, mine):
    mine("POST", "/api/v1/storage/volumes/create", json={"type": "efs", "name": "data"})
    settle(daemon)
    mine("POST", "/api/v1/snapshots", json={"name": "of-data", "volume": "data"})
    settle(daemon)
    for body in ({}, {"dry_run": True}):
        refused = mine.launch("other", from_snapshot="of-data", **body).json()["error"]
        assert (refused["code"], "volume" in refused["details"]) == ("SNAPSHOT_OF_ANOTHER", True)
        refused = mine.launch("other", from_snapshot="none", **body).json()["error"]
        assert refused["code"] == "SNAPSHOT_NOT_FOUND"
    assert mine("GET", "/api/v1/instances/other").status_code == 404


def test_aws_refuses_and_this_computer_does_not(tmp_path, mine, daemon, monkeypatch):
    aws = AwsStorageOffer("aws:1:us-east-1", "us-east-1", daemon.aws.prices)
    assert LocalStorageOffer("local:x", tmp_path).no_rollback() is None
    monkeypatch.setattr(daemon.storage, "_offer", lambda location: aws)
    refused = rollback(mine)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "NO_ROLLBACK")
    assert "`prism snapshot restore before VOLUME`" in refused.json()["error"]["remediation"]
    assert mine.state() == "running"


def test_launch_from_a_snapshot_whose_start_is_refused_is_stopped_with_the_reason(
    daemon, mine, replacing, monkeypatch
):
    def refuse(tx, workspace, **_):
        raise BudgetExceeded("Project 'lab' has used its budget")

    assert mine.launch("other", from_snapshot="before").status_code == 201
    monkeypatch.setattr(daemon.reservations, "allow", refuse)
    settle(daemon)
    workspace = mine("GET", "/api/v1/instances/other").json()
    assert (workspace["state"], workspace["rolling_back"]) == ("stopped", False)
    assert workspace["failure"]["code"] == "BUDGET_EXCEEDED"
    assert "has used its budget" in workspace["failure"]["message"]
    monkeypatch.undo()
    assert mine.post("other", "start", json={}).status_code == 200
    settle(daemon)
    assert mine("GET", "/api/v1/instances/other").json()["state"] == "running"
