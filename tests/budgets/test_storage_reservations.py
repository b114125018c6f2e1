"""Volumes and snapshots are paid in advance as root disks are."""

import pytest

from tests.shapes import failed

MONTH = 8_000_000  # 100 GB of gp3
COPY = 5_000_000  # 100 GB of a snapshot
VOLUMES = "/api/v1/storage/volumes"


@pytest.fixture
def capped(lab):
    """A project that can pay for one such volume, and not for two."""
    lab.project("lab", 15.0)
    return lab


def create(lab, name="data", **more):
    order = {"type": "ebs", "name": name, "size_gb": 100, "project": "lab"} | more
    return lab.http("POST", f"{VOLUMES}/create", json=order)


def standing(lab):
    [(_, settled, reserved)] = lab.standings("lab")
    return settled, reserved


def test_a_volume_is_set_aside_before_it_is_made(capped):
    assert create(capped).status_code == 201
    assert standing(capped) == (0, MONTH)
    money = failed(create(capped, "more"), 403, "BUDGET_EXCEEDED")
    assert money["data"] == {"cap": 15.0, "settled": 0.0, "reserved": 8.0, "needed": 8.0}
    assert "what is left pays for 26.2 of its 30 days" in money["details"]
    assert capped.http("GET", f"{VOLUMES}/more").status_code == 404
    assert create(capped, "free", project=None).status_code == 201
    assert len(capped.reservations()) == 1


def test_what_the_ledger_counts_is_not_set_aside_twice(capped):
    create(capped)
    capped.settle()
    capped.settle(hours=72)
    settled, reserved = standing(capped)
    assert settled == MONTH // 10
    assert settled + reserved <= 15_000_000
    assert reserved == pytest.approx(MONTH, abs=MONTH // 30), "renewed every day for 30 days"
    capped.keeps_every_cap()


def test_what_was_deleted_is_given_back(capped):
    create(capped)
    capped.settle()
    assert capped.http("DELETE", f"{VOLUMES}/data").status_code == 200
    capped.settle()
    capped.settle(hours=1)
    assert capped.reservations() == []
    assert create(capped, "other").status_code == 201


@pytest.mark.postgres
def test_what_could_not_be_made_is_given_back(capped, disks):
    disks.faults.full = True
    create(capped)
    assert len(capped.reservations()) == 1
    capped.settle()
    assert capped.http("GET", f"{VOLUMES}/data").json()["state"] == "error"
    assert capped.reservations() == []


def test_a_volume_that_cannot_be_paid_any_more_stays_and_is_said(capped):
    create(capped)
    capped.settle()
    for _ in range(70):
        capped.settle(hours=24)
    assert capped.http("GET", f"{VOLUMES}/data").json()["state"] == "available"
    assert capped.get("projects/lab/budget")["overrun"] == 3.67
    failed(create(capped, "more", size_gb=1), 403, "BUDGET_EXCEEDED")


def test_a_price_that_nobody_knows_is_refused_where_there_is_a_cap(capped):
    fast = {"iops": 6000, "throughput": 250}
    error = failed(create(capped, **fast), 403, "BUDGET_EXCEEDED")
    assert "price of 'data' is not known" in error["message"]
    capped.project("open")
    assert create(capped, project="open", **fast).status_code == 201


def test_a_snapshot_is_paid_as_if_it_were_full_until_it_is_measured(capped, disks):
    create(capped)
    capped.settle()
    take = {"name": "copy", "volume": "data"}
    assert capped.post("snapshots", **take).status_code == 201
    assert standing(capped)[1] == MONTH + COPY
    failed(capped.post("snapshots", name="more", volume="data"), 403, "BUDGET_EXCEEDED")
    capped.settle()
    capped.settle(hours=1)
    assert standing(capped)[1] < MONTH + COPY // 2
    restored = capped.post("snapshots/copy/restore", name="back")
    failed(restored, 403, "BUDGET_EXCEEDED")


def test_a_backup_before_the_end_is_never_refused(lab):
    lab.project("lab", 1.8)
    lab.running("mine", project="lab")
    assert lab.verb("mine", "terminate", confirm="DELETE", backup_ebs=True).status_code == 200
    names = {it.name for it in lab.reservations()}
    assert names == {"mine", "mine-backup"}


class Holding:
    """What a file system holds, as far as it is only weighed."""

    def __init__(self, gigabytes):
        self.gigabytes = gigabytes

    def __len__(self):
        return self.gigabytes << 30


def test_a_file_system_is_paid_as_it_grows(capped, disks):
    assert create(capped, type="efs", size_gb=None).status_code == 201
    assert standing(capped) == (0, 0)
    capped.settle()
    [disk] = disks.disks.values()
    disk.holds = Holding(40)
    capped.settle(minutes=5)
    assert standing(capped)[1] == pytest.approx(40 * 300_000, rel=0.01)
    failed(create(capped, "more"), 403, "BUDGET_EXCEEDED")
    disk.holds = Holding(400)
    capped.settle(minutes=5)
    assert sum(standing(capped)) > 15_000_000, "it grew by itself, and that is shown"
    assert capped.get("projects/lab/budget")["reserved"] == pytest.approx(120, rel=0.01)
