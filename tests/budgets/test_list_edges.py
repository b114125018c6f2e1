"""Attacks on the sums of lists: at edges of time, lists and requests show the same numbers."""

from datetime import timedelta

from prism.costs.model import DAY
from prism.costs.plan import moment
from tests.budgets.test_cached_lists import answers, assert_exact_balances, computed


def assert_same_around(lab, at):
    """Lists equal what requests read, at each second around a moment, forwards and back."""
    seconds = [*range(-3, 4), *range(3, -4, -1)]
    for second in seconds:
        lab.clock.time = moment(at) + timedelta(seconds=second)
        assert answers(lab.daemon) == computed(lab.daemon), lab.clock.time
        assert_exact_balances(lab.daemon)
    lab.clock.time = moment(at)


def test_lists_equal_requests_at_each_second_around_every_edge(clocked_daemon):
    """Where a reservation, a period or a month ends, and where the month time stands still."""
    lab = clocked_daemon
    lab.pool("grant", 90.0, "daily", time_zone="Asia/Kolkata")
    for name, size in (("one", "M"), ("two", "XS")):
        lab.project(name, 40.0)
        lab.allocate("grant", name, 30.0)
        lab.running(f"w-{name}", size=size, project=name, budget="grant", ttl_hours=3)
    begin = lab.now
    ends = [end for row in lab.reservations() for end in (row.until, row.until + row.stopping)]
    midnight = (begin // DAY + 1) * DAY
    month = (begin // DAY + 31) * DAY  # the clock of the tests begins with a month of 31 days
    disks = [end for row in lab.reservations() for end in (row.disk_until, row.part_until)]
    for at in sorted({*ends, *disks, midnight, midnight - 19_800, month, begin + 4}):
        assert_same_around(lab, at)


def test_lists_equal_requests_when_only_some_runs_are_surveyed(clocked_daemon):
    """A survey of one workspace moves it only; a clock that is set back changes no sum."""
    lab = clocked_daemon
    lab.project("one", 40.0)
    for name in ("a", "b"):
        lab.running(name, project="one")
    ids = [row.id for row in lab.reservations()]
    assert_same_around(lab, lab.now + 60)
    for seen in (ids[:1], ids, ids[1:], ids):
        lab.clock.advance(seconds=50)
        with lab.daemon.db.write() as tx:
            for follower in (lab.daemon.ledger, lab.daemon.reservations):
                follower.confirmed(tx, seen, lab.clock.now())
        assert_same_around(lab, lab.now)


def test_list_and_budget_of_a_project_without_a_limit_reserve_the_same(clocked_daemon, http_of):
    lab = clocked_daemon
    lab.project("free")
    lab.running("w", project="free", ttl_hours=3)
    http = http_of(lab.daemon)
    [listed] = http("GET", "/api/v1/projects").json()
    budget = http("GET", "/api/v1/projects/free/budget").json()
    assert listed["budget"]["reserved"] == budget["reserved"] > 0
    assert http("GET", "/api/v1/projects/free").json()["budget"]["reserved"] == budget["reserved"]
