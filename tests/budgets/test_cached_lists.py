"""Lists read all money at once; they equal what requests read, at every second."""

import random

import pytest

from prism.budgets.books import every_cap
from prism.kit.database import versions
from prism.projects import store as projects
from tests.money import ClockedDaemon

STEPS = 7
MOVES = ("launch", "down", "up", "end", "move", "give", "recap", "name", "wait", "long", "keep")


class CacheComparison:
    """Two daemons of one database; the first makes the changes, and both answer."""

    def __init__(self, daemons, clock, seed):
        self.daemons, self.clock, self.random = daemons, clock, random.Random(seed)
        self.lab, self.number, self.compared = ClockedDaemon(daemons[0], clock), 0, 0

    def begin(self):
        start = {"start_date": f"{self.clock.now():%Y-%m-%dT%H:%M:%SZ}"}
        self.lab.project("one", 50.0)
        self.lab.project("two")
        zone = {"time_zone": "Asia/Kolkata", **start}
        self.lab.pool("grant", 90.0, self.random.choice(("daily", "monthly")), **zone)
        self.lab.pool("gift", 9.0, "project", **start)
        self.parts = [self.lab.allocate("grant", name, 30.0)["id"] for name in ("one", "two")]
        self.launch()

    def name(self):
        """Another project and another member."""
        self.number += 1
        self.lab.project(f"p{self.number}")
        body = {"email": "eve@x.edu", "role": "member"}
        assert self.lab.post(f"projects/p{self.number}/members", **body).status_code == 201

    def launch(self):
        self.number += 1
        more = self.random.choice(({}, {"ttl_hours": 30}, {"size": "XS"}))
        project = self.random.choice(("one", "two"))
        budget = {"project": project, "budget": "grant"}
        self.lab.launch(f"w{self.number}", **budget, **more)
        self.lab.settle(minutes=2)

    def any(self, verb, **body):
        known = self.lab.get("instances")
        if known:
            self.lab.verb(self.random.choice(known)["name"], verb, **body)
            self.lab.settle(seconds=self.random.randrange(90))

    def down(self):
        self.any(self.random.choice(("stop", "hibernate")))

    def up(self):
        self.any("start")

    def end(self):
        self.any("terminate", confirm="DELETE")

    def move(self):
        self.any("move", project=self.random.choice(("one", "two")))

    def give(self):
        amount = self.random.choice((20.0, 25.0, 40.0))
        self.lab.put(f"allocations/{self.parts[1]}", allocated_amount=amount)

    def recap(self):
        self.lab.put("projects/one", budget={"total_allocated": self.random.choice((40.0, 70.0))})

    def wait(self):
        self.lab.settle(minutes=self.random.randrange(1, 50), seconds=self.random.randrange(60))

    def long(self):
        """The daemon does not run for up to four days."""
        self.clock.advance(hours=self.random.choice((3, 20, 90)), seconds=7)
        self.compare()
        self.lab.settle()

    def keep(self):
        """The second daemon settles."""
        self.daemons[1].ledger.roll()
        self.clock.advance(minutes=17)
        self.daemons[1].settle()

    def look(self):
        """A survey confirms every run within a second in which lists were read already."""
        self.clock.advance(minutes=9)
        self.compare()
        daemon = self.daemons[0]
        with daemon.db.write() as tx:
            ids = [row.id for row in self.lab.reservations()]
            for follower in (daemon.ledger, daemon.reservations):
                follower.confirmed(tx, ids, self.clock.now())

    def compare(self):
        at = self.clock.time
        for daemon in self.daemons:
            served, meant = answers(daemon), computed(daemon)
            for cached, fresh in zip(served, meant, strict=True):
                assert cached == fresh, self.clock.now()
                self.compared += 1
            assert_exact_balances(daemon)
            self.clock.advance(seconds=1)
        self.clock.time = at

    def run(self, steps):
        self.begin()
        self.compare()
        for _ in range(steps):
            getattr(self, self.random.choice(MOVES))()
            self.compare()


def answers(daemon):
    """The answers of `GET /projects`, `/budgets` and `/costs/current`."""
    wiring = daemon
    rows = [*wiring.projects.every(), *wiring.budgets.pools(), wiring.costs.current()]
    with daemon.db.read() as sql:
        every = projects.every(sql)
        exact = wiring.spending.spending(sql, every)
    return [*rows, *(exact[project.id] for project in every)]


def computed(daemon):
    """The same, each payer read by itself, as in a write transaction."""
    with daemon.db.write():
        return answers(daemon)


def assert_exact_balances(daemon):
    """The balance of every cap in lists equals that for a request, to the micro-dollar."""
    with daemon.db.read() as sql:
        whole, books = daemon.books.open_whole(sql), daemon.books.open(sql)
        for cap in every_cap(sql):
            assert whole.priced(cap) == books.priced(cap)


@pytest.fixture
def make_comparison(make_daemon, clock, cloud, disks):
    def make(seed):
        daemons = [make_daemon(local_prices="aws") for _ in range(2)]
        return CacheComparison(daemons, clock, seed)

    return make


def test_cached_lists_equal_the_tables_after_every_step(make_comparison):
    comparison = make_comparison(1)
    comparison.run(STEPS)
    assert comparison.compared > 50


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_cached_lists_equal_the_tables_in_many_histories(make_comparison, seed):
    make_comparison(seed).run(30)


@pytest.mark.parametrize(
    "topic",
    ["ledger", "counted", "reservations", "budgets", "projects"],
)
def test_missing_version_renewal_makes_a_cached_list_stale(make_comparison, topic, monkeypatch):
    """Each topic invalidates a cached list: without its new version the comparison fails."""
    comparison = make_comparison(3)
    comparison.begin()
    comparison.compare()
    changes = {
        "ledger": comparison.down,
        "counted": comparison.look,
        "reservations": lambda: comparison.lab.verb("w1", "extend", hours=9),
        "budgets": lambda: comparison.lab.put(
            f"allocations/{comparison.parts[1]}", allocated_amount=11.0
        ),
        "projects": lambda: comparison.lab.project("three"),
    }
    changes[topic]()
    comparison.compare()
    give = versions.renew

    def but_one(sql):
        changed = sql.info.get(versions.TOPICS, set())
        changed -= {
            name for name in changed if name == topic or name.startswith(versions.PART_PREFIX)
        }
        give(sql)

    monkeypatch.setattr(versions, "renew", but_one)
    again = {
        "ledger": lambda: comparison.any("start"),
        "projects": lambda: comparison.lab.project("four"),
    }
    again["budgets"] = lambda: comparison.lab.put(
        f"allocations/{comparison.parts[1]}", allocated_amount=12.0
    )
    with pytest.raises(AssertionError):
        again.get(topic, changes[topic])()
        comparison.compare()
