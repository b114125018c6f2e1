"""Limits of people and tokens are caps of the same admission."""

import pytest
from msgspec.structs import replace

from prism.budgets.model import Holder
from prism.limits.model import Limit
from prism.limits.plan import HeldLimit, refusal
from tests.months import january_up
from tests.optional import not_none
from tests.shapes import failed

DISK = {"storage": {"ebs_volume_size": 8}}
HOUR = -(-83_200 * 70 // 60)  # what an hour of M reserves
NEED = (HOUR + january_up(80_000 * 8, 0, 720)) / 1e6


def limit(clocked_daemon, **fields):
    answer = clocked_daemon.put("limits", **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def mine(clocked_daemon):
    return clocked_daemon.get("limits/mine")["limits"]


def test_refusal_names_the_limit_of_the_person(clocked_daemon):
    clocked_daemon.project("lab")
    limit(clocked_daemon, person="ada", monthly=1.0)
    assert clocked_daemon.launch("a", project="lab", **DISK, dry_run=True).status_code == 200
    refused = failed(
        clocked_daemon.launch("b", project="lab", size="L", ttl_hours=24, **DISK),
        403,
        "BUDGET_EXCEEDED",
    )
    assert refused["message"].startswith("The monthly limit of ada has not enough money left")
    assert refused["remediation"].startswith("See `prism limit mine`")
    assert refused["data"]["cap"] == 1.0


def test_limit_counts_what_a_person_has_in_all_projects(clocked_daemon):
    for name in ("lab", "reef"):
        clocked_daemon.project(name)
    limit(clocked_daemon, person="ada", monthly=round(1.5 * NEED, 2))
    assert clocked_daemon.launch("a", project="lab", **DISK).status_code == 201
    failed(clocked_daemon.launch("b", project="reef", **DISK), 403, "BUDGET_EXCEEDED")
    [use] = mine(clocked_daemon)
    assert use["spent"] == 0.0
    assert use["reserved"] == pytest.approx(NEED, abs=0.01)
    assert use["left"] == pytest.approx(1.5 * NEED - NEED, abs=0.02)


def test_limit_in_a_project_counts_only_what_the_project_pays(clocked_daemon):
    for name in ("lab", "reef"):
        clocked_daemon.project(name)
    limit(clocked_daemon, person="ada", project="lab", monthly=round(1.5 * NEED, 2))
    assert clocked_daemon.launch("a", project="reef", **DISK).status_code == 201
    assert clocked_daemon.launch("b", project="lab", **DISK).status_code == 201
    failed(clocked_daemon.launch("c", project="lab", **DISK), 403, "BUDGET_EXCEEDED")


def test_workspace_sleeps_before_its_owner_exceeds_the_limit(clocked_daemon):
    clocked_daemon.project("lab")
    limit(clocked_daemon, person="ada", monthly=1.5)
    clocked_daemon.running("a", project="lab", **DISK)
    clocked_daemon.until_asleep(name="a")
    [use] = mine(clocked_daemon)
    assert use["spent"] + use["reserved"] <= 1.5
    assert use["spent"] + use["reserved"] > 1.3
    assert "monthly limit of ada" in clocked_daemon.reasons()[-1]
    failed(clocked_daemon.verb("a", "start"), 403, "BUDGET_EXCEEDED")


def test_next_month_has_the_whole_limit_again(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.running("a", project="lab", **DISK)
    clocked_daemon.settle(minutes=50)
    assert clocked_daemon.verb("a", "terminate", confirm="DELETE").status_code == 200
    clocked_daemon.settle(minutes=1)
    limit(clocked_daemon, person="ada", monthly=5.0)
    assert mine(clocked_daemon)[0]["spent"] > 0.06, "what was spent before the limit counts"
    clocked_daemon.settle(days=31)
    assert mine(clocked_daemon)[0] | {"limit": None} == {
        "limit": None,
        "spent": 0.0,
        "reserved": 0.0,
        "left": 5.0,
        "workspaces_running": 0,
        "gpus_running": 0,
    }


def test_disk_must_fit_the_limit_of_each_later_month(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.settle(days=30)  # near the end of the month
    limit(clocked_daemon, person="ada", monthly=2.0)
    volume = {"type": "ebs", "name": "d", "project": "lab"}
    refused = clocked_daemon.post("storage/volumes/create", **volume, size_gb=100)
    assert failed(refused, 403, "BUDGET_EXCEEDED")["message"].startswith(
        "The monthly limit of ada"
    )
    assert clocked_daemon.post("storage/volumes/create", **volume, size_gb=10).status_code == 201


def test_workspaces_at_once(clocked_daemon):
    clocked_daemon.project("lab")
    limit(clocked_daemon, person="ada", workspaces=1)
    clocked_daemon.running("a", project="lab", **DISK)
    refused = failed(clocked_daemon.launch("b", project="lab", **DISK), 403, "LIMIT_REACHED")
    assert refused["data"] == {"limit": 1, "running": 1, "of": "workspaces"}
    failed(clocked_daemon.launch("b", project="lab", **DISK, dry_run=True), 403, "LIMIT_REACHED")
    failed(clocked_daemon.launch("b", **DISK), 403, "LIMIT_REACHED")
    assert clocked_daemon.verb("a", "extend", hours=1).status_code in {200, 204}
    assert clocked_daemon.verb("a", "stop").status_code == 200
    clocked_daemon.settle(minutes=1)
    clocked_daemon.running("b", project="lab", **DISK)
    failed(clocked_daemon.verb("a", "start"), 403, "LIMIT_REACHED")
    assert mine(clocked_daemon)[0]["workspaces_running"] == 1
    limit(clocked_daemon, person="ada", workspaces=2)
    assert clocked_daemon.verb("a", "start").status_code == 200


def test_gpus_at_once(clocked_daemon):
    """No machine of this computer has a GPU, so the types of rows are replaced."""
    clocked_daemon.project("lab")
    limit(clocked_daemon, person="ada", gpus=1)
    clocked_daemon.running("a", project="lab", **DISK)
    plain = clocked_daemon.workspace("a")
    gpu = replace(plain, instance_type="g4dn.xlarge")
    row = Limit(
        id="l",
        scope="person",
        subject="ada",
        by_operator=True,
        gpus=1,
        set_by="ada",
        set_at=plain.launched_at,
    )
    held = HeldLimit(row, Holder("person", "ada"))
    assert refusal(held, "ada", plain, [gpu]) is None, "a machine without a GPU needs none"
    assert refusal(held, "ada", gpu, [plain]) is None
    refused = not_none(refusal(held, "ada", gpu, [gpu]))
    assert refused.message == "The limit of ada is 1 GPUs at once"
    unknown = not_none(refusal(held, "ada", replace(plain, instance_type="p9.huge"), []))
    assert unknown.message == "How many GPUs p9.huge has is not known"


def test_removed_value_does_not_limit(clocked_daemon):
    clocked_daemon.project("lab")
    row = limit(clocked_daemon, person="ada", workspaces=0, monthly=50.0)
    failed(clocked_daemon.launch("a", project="lab", **DISK), 403, "LIMIT_REACHED")
    assert limit(clocked_daemon, person="ada", workspaces=None)["id"] == row["id"]
    assert clocked_daemon.launch("a", project="lab", **DISK).status_code == 201
    failed(clocked_daemon.put("limits", person="ada", monthly=None), 422, "VALIDATION_FAILED")
    removed = clocked_daemon.http("DELETE", f"/api/v1/limits/{row['id']}")
    assert removed.json() == {"message": "The limit of ada was removed"}
    assert mine(clocked_daemon) == []
    changed = clocked_daemon.events("limit_changed")
    assert [fact.data["after"] for fact in changed] == [
        {"monthly": 50_000_000, "workspaces": 0, "gpus": None},
        {"workspaces": None},
        None,
    ]
