"""Many launches at once through one or two daemons: caps are filled and never exceeded."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from prism.budgets.model import BudgetExceeded
from prism.workspaces.model import LaunchRequest, RootDisk
from tests.conftest import ML
from tests.money import ClockedDaemon
from tests.months import january_up
from tests.proofs import record

pytestmark = pytest.mark.postgres

RATES = {"S": 41_600, "M": 83_200, "L": 166_400}
DISK = january_up(80_000 * 20, 0, 720)  # what 30 days reserve


def need(size):
    return -(-RATES[size] * 70 // 60) + DISK


def launch_concurrently(labs, sizes, **more):
    """Launch all at once, in turn through every daemon; return the sizes of those granted."""
    turns = itertools.cycle(labs)

    def ask(numbered):
        number, size = numbered
        lab = next(turns)
        order = LaunchRequest(
            name=f"w{number}",
            template=ML,
            size=size,
            project="lab",
            storage=RootDisk(ebs_volume_size=20),
            **more,
        )
        try:
            lab.daemon.workspaces.launch(order)
        except BudgetExceeded:
            return None
        return size

    with ThreadPoolExecutor(16) as threads:
        return [size for size in threads.map(ask, enumerate(sizes)) if size]


def test_concurrent_launches_fill_one_cap_exactly(clocked_daemon):
    fill_one_cap(clocked_daemon, "pool", 60, fit=20)


@pytest.mark.slow
@pytest.mark.parametrize("tight", ["project", "allocation", "pool"])
def test_200_concurrent_launches_fill_one_cap_exactly(clocked_daemon, tight):
    took = fill_one_cap(clocked_daemon, tight, 200, fit=30)
    where = "PostgreSQL" if clocked_daemon.daemon.db.shared else "SQLite"
    record(
        f"Two hundred launches race: one {tight}, {where}",
        f"30 granted of 30 that fit, 170 refused; {took:.1f} s",
    )


def fill_one_cap(clocked_daemon, tight, launches, fit):
    """Launch concurrently on one cap in which `fit` launches fit; return the seconds."""
    caps = dict.fromkeys(("project", "allocation", "pool"), 10_000.0)
    caps[tight] = fit * need("M") / 1e6
    caps["allocation"] = min(caps["allocation"], caps["pool"])
    clocked_daemon.project("lab", caps["project"])
    clocked_daemon.pool("grant", caps["pool"])
    clocked_daemon.allocate("grant", "lab", caps["allocation"])
    began = time.monotonic()
    granted = launch_concurrently([clocked_daemon], ["M"] * launches)
    took = time.monotonic() - began
    assert len(granted) == fit, "exactly the launches that fit are granted"
    clocked_daemon.check_caps()
    clocked_daemon.settle()
    clocked_daemon.settle(minutes=30)
    clocked_daemon.check_caps()
    return took


def test_concurrent_launches_through_two_daemons_never_exceed_a_cap(
    make_daemon, clock, cloud, url
):
    fill_through_two_daemons(make_daemon, clock, cloud, url, 60, money=24.0)


@pytest.mark.slow
def test_200_concurrent_launches_through_two_daemons_never_exceed_a_cap(
    make_daemon, clock, cloud, url
):
    granted, promised = fill_through_two_daemons(make_daemon, clock, cloud, url, 200, money=40.0)
    if "postgres" in url:
        record(
            "Two daemons on one PostgreSQL race for one pool",
            f"200 launches of three sizes through two daemons: {len(granted)} granted, "
            f"${promised / 1e6:.2f} of $40.00 reserved. No cap was exceeded while both renewed "
            "reservations for 56 minutes.",
        )


def fill_through_two_daemons(make_daemon, clock, cloud, url, launches, money):
    """Launch concurrently on an allocation of `money` dollars; return the grants and their sum."""
    cloud.busy = timedelta(0)
    daemons = [make_daemon(local_prices="aws") for _ in range(2 if "postgres" in url else 1)]
    labs = [ClockedDaemon(daemon, clock) for daemon in daemons]
    labs[0].project("lab", 60.0)
    labs[0].pool("grant", 50.0)
    labs[0].allocate("grant", "lab", money)
    granted = launch_concurrently(labs, ["S", "M", "L", "M"] * (launches // 4))
    promised = sum(need(size) for size in granted)
    assert promised <= money * 1e6 < promised + need("L")
    for _ in range(4):
        for lab in labs:
            lab.settle(minutes=7)
            lab.check_caps()
    return granted, promised
