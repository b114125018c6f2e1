"""Volumes and snapshots are paid in advance as root disks are."""

import pytest

from tests.shapes import failed

MONTH = 8_000_000  # 100 GB of gp3
COPY = 5_000_000  # 100 GB of a snapshot
VOLUMES = "/api/v1/storage/volumes"


@pytest.fixture
def capped_project(clocked_daemon):
    """A project that can pay for one such volume, and not for two."""
    clocked_daemon.project("lab", 15.0)
    return clocked_daemon


def create(clocked_daemon, name="data", **more):
    order = {"type": "ebs", "name": name, "size_gb": 100, "project": "lab"} | more
    return clocked_daemon.http("POST", f"{VOLUMES}/create", json=order)


def standing(clocked_daemon):
    [(_, settled, reserved)] = clocked_daemon.standings("lab")
    return settled, reserved


def test_a_volume_is_reserved_before_it_is_made(capped_project):
    assert create(capped_project).status_code == 201
    assert standing(capped_project) == (0, MONTH)
    money = failed(create(capped_project, "more"), 403, "BUDGET_EXCEEDED")
    assert money["data"] == {"cap": 15.0, "settled": 0.0, "reserved": 8.0, "needed": 8.0}
    assert "what is left pays for 26.2 of its 30 days" in money["details"]
    assert capped_project.http("GET", f"{VOLUMES}/more").status_code == 404
    assert create(capped_project, "free", project=None).status_code == 201
    assert len(capped_project.reservations()) == 1


def test_what_the_ledger_counts_is_not_reserved_too(capped_project):
    create(capped_project)
    capped_project.settle()
    capped_project.settle(hours=72)
    settled, reserved = standing(capped_project)
    assert settled == MONTH // 10
    assert settled + reserved <= 15_000_000
    assert reserved == pytest.approx(MONTH, abs=MONTH // 30), "renewed every day for 30 days"
    capped_project.keeps_every_cap()


def test_what_was_deleted_is_given_back(capped_project):
    create(capped_project)
    capped_project.settle()
    assert capped_project.http("DELETE", f"{VOLUMES}/data").status_code == 200
    capped_project.settle()
    capped_project.settle(hours=1)
    assert capped_project.reservations() == []
    assert create(capped_project, "other").status_code == 201


def test_what_could_not_be_made_is_given_back(capped_project, disks):
    disks.faults.full = True
    create(capped_project)
    assert len(capped_project.reservations()) == 1
    capped_project.settle()
    assert capped_project.http("GET", f"{VOLUMES}/data").json()["state"] == "error"
    assert capped_project.reservations() == []


def test_a_volume_that_cannot_be_paid_any_more_stays_and_is_said(capped_project):
    create(capped_project)
    capped_project.settle()
    for _ in range(14):
        capped_project.settle(hours=120)
    assert capped_project.http("GET", f"{VOLUMES}/data").json()["state"] == "available"
    assert capped_project.get("projects/lab/budget")["overrun"] == 3.67
    failed(create(capped_project, "more", size_gb=1), 403, "BUDGET_EXCEEDED")


def test_a_volume_is_reserved_for_as_long_as_its_cap_pays(capped_project):
    """To the second, though not for all of 30 days any more."""
    create(capped_project)
    capped_project.settle()
    for _ in range(10):
        capped_project.settle(hours=96)
    settled, reserved = standing(capped_project)
    assert reserved < MONTH
    assert 0 <= 15_000_000 - settled - reserved < 10


def test_a_price_that_nobody_knows_is_refused_where_there_is_a_cap(capped_project):
    fast = {"iops": 6000, "throughput": 250}
    error = failed(create(capped_project, **fast), 403, "BUDGET_EXCEEDED")
    assert "price of 'data' is not known" in error["message"]
    capped_project.project("open")
    assert create(capped_project, project="open", **fast).status_code == 201


def test_a_snapshot_is_paid_as_if_it_were_full_until_it_is_measured(capped_project, disks):
    create(capped_project)
    capped_project.settle()
    take = {"name": "copy", "volume": "data"}
    assert capped_project.post("snapshots", **take).status_code == 201
    assert standing(capped_project)[1] == MONTH + COPY
    failed(capped_project.post("snapshots", name="more", volume="data"), 403, "BUDGET_EXCEEDED")
    capped_project.settle()
    capped_project.settle(hours=1)
    assert standing(capped_project)[1] < MONTH + COPY // 2
    restored = capped_project.post("snapshots/copy/restore", name="back")
    failed(restored, 403, "BUDGET_EXCEEDED")


def test_a_backup_before_the_end_is_never_refused(clocked_daemon):
    clocked_daemon.project("lab", 1.8)
    clocked_daemon.running("mine", project="lab")
    assert (
        clocked_daemon.verb("mine", "terminate", confirm="DELETE", backup_ebs=True).status_code
        == 200
    )
    names = {reservation.name for reservation in clocked_daemon.reservations()}
    assert names == {"mine", "mine-backup"}


class Holding:
    """What a file system holds, as far as it is only weighed."""

    def __init__(self, gigabytes):
        self.gigabytes = gigabytes

    def __len__(self):
        return self.gigabytes << 30


def test_a_file_system_is_paid_as_it_grows(capped_project, disks):
    assert create(capped_project, type="efs", size_gb=None).status_code == 201
    assert standing(capped_project) == (0, 0)
    capped_project.settle()
    [disk] = disks.disks.values()
    disk.holds = Holding(40)
    capped_project.settle(minutes=5)
    assert standing(capped_project)[1] == pytest.approx(40 * 300_000, rel=0.01)
    failed(create(capped_project, "more"), 403, "BUDGET_EXCEEDED")
    disk.holds = Holding(400)
    capped_project.settle(minutes=5)
    assert sum(standing(capped_project)) > 15_000_000, "it grew by itself, and that is shown"
    assert capped_project.get("projects/lab/budget")["reserved"] == pytest.approx(120, rel=0.01)
