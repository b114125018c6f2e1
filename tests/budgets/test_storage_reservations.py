"""Volumes and snapshots are reserved in advance, as root disks are."""

from datetime import UTC, datetime, timedelta

import pytest

from prism.catalog import table
from tests.months import january, january_up
from tests.shapes import failed

MONTH = january_up(8_000_000, 0, 720)  # 30 days of 100 GB of gp3
COPY = january_up(5_000_000, 0, 720)  # 30 days of 100 GB of a snapshot
VOLUMES = "/api/v1/storage/volumes"


@pytest.fixture
def capped_project(clocked_daemon):
    """A project that can pay for one such volume, and not for two."""
    clocked_daemon.project("lab", 15.0)
    return clocked_daemon


def create(clocked_daemon, name="data", **more):
    order = {"type": "ebs", "name": name, "size_gb": 100, "project": "lab"} | more
    return clocked_daemon.http("POST", f"{VOLUMES}/create", json=order)


def balance_of(clocked_daemon):
    [(_, settled, reserved)] = clocked_daemon.balances("lab")
    return settled, reserved


def test_volume_is_reserved_before_creation_and_refused_beyond_the_cap(capped_project):
    assert create(capped_project).status_code == 201
    assert balance_of(capped_project) == (0, MONTH)
    money = failed(create(capped_project, "more"), 403, "BUDGET_EXCEEDED")
    both = dict.fromkeys(("reserved", "needed"), MONTH / 1e6)
    assert money["data"] == {"cap": 15.0, "settled": 0.0} | both
    assert "what is left pays for 28.1 of its 30 days" in money["details"]
    assert capped_project.http("GET", f"{VOLUMES}/more").status_code == 404
    assert create(capped_project, "free", project=None).status_code == 201
    assert len(capped_project.reservations()) == 1


def test_volume_costs_in_the_ledger_are_not_reserved_again(capped_project):
    create(capped_project)
    capped_project.settle()
    capped_project.settle(hours=72)
    settled, reserved = balance_of(capped_project)
    assert settled == january(8_000_000, 0, 72)
    assert settled + reserved <= 15_000_000
    assert reserved == pytest.approx(MONTH, abs=MONTH // 30), "renewed every day for 30 days"
    capped_project.check_caps()


def test_deleted_volume_releases_its_reservation(capped_project):
    create(capped_project)
    capped_project.settle()
    assert capped_project.http("DELETE", f"{VOLUMES}/data").status_code == 200
    capped_project.settle()
    capped_project.settle(hours=1)
    assert capped_project.reservations() == []
    assert create(capped_project, "other").status_code == 201


def test_failed_volume_releases_its_reservation(capped_project, disks):
    disks.faults.full = True
    create(capped_project)
    assert len(capped_project.reservations()) == 1
    capped_project.settle()
    assert capped_project.http("GET", f"{VOLUMES}/data").json()["state"] == "error"
    assert capped_project.reservations() == []


def test_unpaid_volume_remains_and_is_shown_as_overrun(capped_project):
    create(capped_project)
    capped_project.settle()
    for _ in range(14):
        capped_project.settle(hours=120)
    assert capped_project.http("GET", f"{VOLUMES}/data").json()["state"] == "available"
    budget = capped_project.get("projects/lab/budget")
    assert budget["overrun"] == 3.84  # two months and 11 days of March cost $18.84
    ran_out = datetime(2026, 2, 25, 12, tzinfo=UTC)  # after 7/8 of February
    ended = datetime.fromisoformat(budget["runs_out_on"])
    assert abs(ended - ran_out) < timedelta(hours=1), "when it ran out, not now"
    failed(create(capped_project, "more", size_gb=1), 403, "BUDGET_EXCEEDED")


def test_volume_is_reserved_for_as_long_as_its_cap_pays(capped_project):
    """The cap no longer pays for all of 30 days."""
    create(capped_project)
    capped_project.settle()
    for _ in range(10):
        capped_project.settle(hours=96)
    settled, reserved = balance_of(capped_project)
    assert reserved < MONTH
    assert 0 <= 15_000_000 - settled - reserved < 10


def test_volume_of_unknown_price_is_refused_only_with_a_cap(capped_project, monkeypatch):
    """A price list without the price of provisioned IOPS."""
    monkeypatch.delitem(table.STORAGE, "gp3-iops")
    fast = {"iops": 6000, "throughput": 250}
    error = failed(create(capped_project, **fast), 403, "BUDGET_EXCEEDED")
    assert "price of 'data' is not known" in error["message"]
    capped_project.project("open")
    assert create(capped_project, project="open", **fast).status_code == 201


def test_snapshot_is_reserved_at_full_size_until_measured(capped_project, disks):
    create(capped_project)
    capped_project.settle()
    take = {"name": "copy", "volume": "data"}
    assert capped_project.post("snapshots", **take).status_code == 201
    assert balance_of(capped_project)[1] == MONTH + COPY
    failed(capped_project.post("snapshots", name="more", volume="data"), 403, "BUDGET_EXCEEDED")
    capped_project.settle()
    capped_project.settle(hours=1)
    assert balance_of(capped_project)[1] < MONTH + COPY // 2
    restored = capped_project.post("snapshots/copy/restore", name="back")
    failed(restored, 403, "BUDGET_EXCEEDED")


def test_backup_before_termination_is_reserved_beyond_the_cap(clocked_daemon):
    clocked_daemon.project("lab", 1.8)
    clocked_daemon.running("mine", project="lab")
    assert (
        clocked_daemon.verb("mine", "terminate", confirm="DELETE", backup_ebs=True).status_code
        == 200
    )
    names = {reservation.name for reservation in clocked_daemon.reservations()}
    assert names == {"mine", "mine-backup"}


def test_snapshot_before_a_rollback_must_fit_the_limit(clocked_daemon, disks):
    """Else one member rolls back again and again, and the project pays for all the snapshots."""
    clocked_daemon.project("lab")
    clocked_daemon.running("mine", project="lab")
    disks.machines[clocked_daemon.daemon.workspaces.named("mine").machine_id] = "files"
    assert clocked_daemon.post("snapshots", name="first", instance="mine").status_code == 201
    clocked_daemon.settle()
    clocked_daemon.settle(minutes=1)
    assert clocked_daemon.put("limits", person="ada", monthly=0.01).status_code == 200
    refused = failed(
        clocked_daemon.verb("mine", "rollback", snapshot="first"), 403, "BUDGET_EXCEEDED"
    )
    assert "mine-before-rollback" in refused["message"]
    assert [row["name"] for row in clocked_daemon.get("snapshots")] == ["first"]


class SizedContents:
    """Contents of a file system that have only a size."""

    def __init__(self, gigabytes):
        self.gigabytes = gigabytes

    def __len__(self):
        return self.gigabytes << 30


def test_file_system_reservation_grows_with_its_size(capped_project, disks):
    assert create(capped_project, type="efs", size_gb=None).status_code == 201
    assert balance_of(capped_project) == (0, 0)
    capped_project.settle()
    [disk] = disks.disks.values()
    disk.holds = SizedContents(40)
    capped_project.settle(minutes=5)
    assert balance_of(capped_project)[1] == pytest.approx(january(40 * 300_000, 0, 720), rel=0.01)
    failed(create(capped_project, "more"), 403, "BUDGET_EXCEEDED")
    assert capped_project.events("budget_overcommitted") == []
    for gigabytes in (400, 500):
        disk.holds = SizedContents(gigabytes)
        capped_project.settle(minutes=5)
        [event] = capped_project.events("budget_overcommitted")
        assert (event.subject, event.data["resource"]) == ("lab", "data")
        assert event.data["settled"] + event.data["reserved"] > event.data["cap"] == 15_000_000
    assert sum(balance_of(capped_project)) > 15_000_000, "the growth exceeds the cap and is shown"
    assert capped_project.get("projects/lab/budget")["reserved"] == pytest.approx(
        150 * 30 / 31, rel=0.01
    )
