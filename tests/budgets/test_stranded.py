"""What no daemon serves has no reserved money, and gets it back with its home."""

from datetime import timedelta

import pytest

from prism.providers.local.location import location_of
from tests.conftest import HOME
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes
from tests.money import ClockedDaemon


def reserved(lab):
    [project] = lab.get("projects")
    return lab.get(f"projects/{project['id']}/budget")["reserved"]


@pytest.fixture
def make_lab(make_daemon, clock):
    """Makes a daemon of a home elsewhere, and later one here with the same database."""

    def make(name):
        location = location_of(HOME / name)
        compute, disks = MemoryCompute(clock), MemoryVolumes(clock)
        compute.busy = disks.busy = timedelta(0)
        daemon = make_daemon(
            {location: compute},
            disks_by_location={location: disks},
            home=str(HOME / name),
            local_prices="aws",
        )
        daemon.homes.begin()
        return ClockedDaemon(daemon, clock)

    return make


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_unreachable_rows_reserve_nothing_until_their_home_is_served(make_lab):
    elsewhere = make_lab("elsewhere")
    elsewhere.project(cap=500.0)
    elsewhere.running(project="lab")
    body = {"type": "ebs", "name": "data", "size_gb": 100, "project": "lab"}
    elsewhere.made("storage/volumes/create", **body)
    elsewhere.settle()
    before = reserved(elsewhere)
    assert before > 7.7
    present = make_lab("here")
    assert reserved(present) == 0
    present.live(hours=3)
    project = present.get("projects")[0]["id"]
    present.put(f"projects/{project}/budget", total_allocated=400.0)
    present.settle(minutes=5)
    assert reserved(present) == 0, "also after a change that makes reservations due"
    [location] = present.daemon.homes.unserved
    present.post("recover", adopt_home=location)
    present.settle(minutes=1)
    assert reserved(present) == 1.55, "the disk of the workspace; the volume is not here"
