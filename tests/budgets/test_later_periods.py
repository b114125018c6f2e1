"""What was granted never passes a cap, now or in any later period that it touches.

Random histories of pools that roll over. After each granted request, this adds up for each cap
and period what was spent, what is granted to running workspaces, and what all disks cost: apart
from `prism.budgets`, after docs/money.md. In rough histories computers are suspended, so that ends
are learned late, and shared volumes grow. Then disks cost more than a pool has reserved for them,
because Prism deletes no data: so there, disks count only in later periods.
"""

import random

import pytest

from tests.months import month_cost
from tests.optional import not_none
from tests.oracle.ledger import DAY, HOUR, STOPPING, period

RATES = {"XS": 20_800, "S": 41_600, "M": 83_200, "L": 166_400}
DISK, SHARED = 80_000, 300_000  # micro-dollars for a month of a GB, and of a shared GiB
TOTALS = {"daily": 0.8, "weekly": 5.0, "monthly": 20.0}
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
LATER = 13  # periods
NEW = ("launch", "volume", "share")  # their disks must fit every later period
STEPS = (*NEW, *NEW, "launch", "start", "extend", "move", "down", "terminate", "wait")


class History:
    """Two projects that share a pool; `granted` and `refused` count their requests."""

    def __init__(self, lab, disks, kind, seed, *, rough):
        self.lab, self.disks, self.rough = lab, disks, rough
        self.random = dice = random.Random(seed)
        lab.clock.advance(days=dice.randrange(330), seconds=dice.randrange(DAY))
        self.kind, self.zone = kind, dice.choice(ZONES)
        self.begin, total = lab.now, round(TOTALS[kind] * dice.uniform(0.5, 2), 2)
        date = f"{lab.clock.now():%Y-%m-%dT%H:%M:%SZ}"
        pool = lab.pool("grant", total, self.kind, time_zone=self.zone, start_date=date)
        self.caps = {"pool": {"pool": (pool["id"], total)}, "allocation": {}}
        for name, share in (("one", 0.6), ("two", 0.4)):
            lab.project(name)
            part = lab.allocate("grant", name, round(total * share, 2))
            self.caps["allocation"][name] = (part["id"], round(total * share, 2))
        self.rates, self.things, self.number, self.paying = {}, {}, 0, ""
        self.granted = self.refused = self.later = 0
        _, end = self.period(self.begin)
        near = end - lab.now - dice.randrange(1, 30) * HOUR  # what fits now may not fit later
        lab.settle(seconds=max(0, near))

    def run(self, steps):
        for _ in range(steps):
            step = self.random.choice((*STEPS, "share", "grow", "sleep") if self.rough else STEPS)
            if (answer := getattr(self, step)()) is None:
                continue
            assert answer.status_code in {200, 201, 204, 403, 503}, answer.text
            if answer.status_code < 300:
                self.granted += 1
                self.check(every=step in (*NEW, "move"))
            else:
                self.refused += 1
            self.lab.settle()

    # ------------------------------------------------------------------ steps

    def launch(self):
        size, gigabytes = self.random.choice(sorted(RATES)), self.random.choice((8, 20, 60))
        hours, project = self.random.choice((None, 2, 20, 60, 200)), self.payer()
        name = self.named("w")
        more = {} if hours is None else {"ttl_hours": hours}
        storage = {"ebs_volume_size": gigabytes}
        answer = self.lab.launch(name, size=size, project=project, storage=storage, **more)
        if answer.status_code == 201:
            self.rates[name], self.things[name] = RATES[size], [project, DISK * gigabytes]
        return answer

    def volume(self):
        return self.stored(DISK * (gigabytes := self.random.choice((20, 100, 250))), gigabytes)

    def share(self):
        return self.stored(0, None) if self.rough else None

    def stored(self, rate, gigabytes):
        name, project = self.named("v" if gigabytes else "s"), self.payer()
        body = {"type": "ebs" if gigabytes else "efs", "name": name, "size_gb": gigabytes}
        answer = self.lab.post("storage/volumes/create", project=project, **body)
        if answer.status_code == 201:
            self.things[name] = [project, rate]
        return answer

    def start(self):
        name = self.pick("stopped", "hibernated")
        return self.asked(name, "start") if name else None

    def extend(self):
        hours = self.random.choice((1, 8, 100))
        return self.asked(name, "extend", hours=hours) if (name := self.pick("running")) else None

    def asked(self, name, verb, **body):
        self.paying = self.things[name][0]
        return self.lab.verb(name, verb, **body)

    def move(self):
        if (name := self.pick("running", "stopped")) is None:
            return None
        project = self.payer()
        answer = self.lab.verb(name, "move", project=project)
        if answer.status_code == 200:
            self.things[name][0] = project
        return answer

    def down(self):
        if name := self.pick("running"):
            assert self.lab.verb(name, self.random.choice(("stop", "hibernate"))).is_success
            self.lab.settle()

    def terminate(self):
        if name := self.pick("running", "stopped", "hibernated"):
            assert self.lab.verb(name, "terminate", confirm="DELETE").is_success
            self.lab.settle()
            del self.things[name], self.rates[name]

    def wait(self):
        self.lab.live(hours=self.random.randrange(1, 12))

    def sleep(self):
        """The computer is suspended; machines sleep at the end of their money, seen later."""
        self.lab.settle(hours=self.random.randrange(1, 90))

    def grow(self):
        """A shared volume grows, which is never refused."""
        names = [name for name in self.things if name.startswith("s")]
        if names:
            name, gib = self.random.choice(names), self.random.randrange(1, 40)
            [id] = [row.id for row in self.lab.reservations() if row.name == name]
            [disk] = [disk for disk in self.disks.disks.values() if disk.key == id]
            disk.holds = range(gib << 30)
            self.lab.settle(minutes=6)
            self.things[name][1] = SHARED * gib

    # ------------------------------------------------------------------ checks

    def check(self, *, every):
        """No cap of the paying project is passed, while something runs or in all periods."""
        ends = {name: self.until(name) for name in self.rates}
        now, last = self.lab.now, max(ends.values(), default=0)
        start, end = self.period(now)
        for _ in range(LATER):
            if start > now and not every and start >= last:
                break
            for column, caps in self.caps.items():
                for project, (id, amount) in caps.items():
                    if project not in {"pool", self.paying}:
                        continue
                    spent = self.lab.recount(start, end=max(now, start), **{column: id})
                    payer = None if column == "pool" else project
                    more = self.committed(ends, payer, start, end)
                    where = f"{column} {project}, {self.kind}, {start} to {end}, at {now}"
                    assert spent + more <= amount * 1e6 + len(self.things), where
                    self.later += start > now
            start, end = self.period(end)

    def committed(self, ends, payer, begin, end):
        """What runs and what is kept costs between two moments, from now on."""
        total, start = 0, max(begin, self.lab.now)
        is_present = begin < start
        for name, (project, disk) in self.things.items():
            if payer not in {None, project}:
                continue
            total += max(0, min(end, ends.get(name, 0)) - start) * self.rates.get(name, 0) // HOUR
            if not (self.rough and is_present):
                until = min(end, start + 30 * DAY) if is_present else end
                total += month_cost(disk, start, until)
        return total

    def period(self, at):
        start, end = not_none(period(self.kind, self.zone, self.begin, None, at))
        return start, not_none(end)

    def until(self, name):
        """Until when a workspace may run with its money, and stop."""
        workspace = self.lab.workspace(name)
        active = self.lab.state(name) in {"launching", "running", "starting", "resuming"}
        if not active or workspace.reserved_until is None:
            return 0
        return int(workspace.reserved_until.timestamp()) + STOPPING

    def named(self, prefix):
        self.number += 1
        return f"{prefix}{self.number}"

    def payer(self):
        self.paying = self.random.choice(("one", "two"))
        return self.paying

    def pick(self, *states):
        fitting = [name for name in self.rates if self.lab.state(name) in states]
        return self.random.choice(fitting) if fitting else None


@pytest.mark.parametrize("rough", [False, True], ids=["calm", "rough"])
@pytest.mark.parametrize("kind", sorted(TOTALS))
@pytest.mark.parametrize("seed", range(2))
def test_granted_requests_fit_every_period_that_they_touch(
    clocked_daemon, disks, kind, seed, rough
):
    history = History(clocked_daemon, disks, kind, seed, rough=rough)
    history.run(25)
    assert history.granted
    assert history.later
