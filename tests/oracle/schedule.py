"""A random schedule of launches, suspended computers and prices, checked after each step."""

import random
from datetime import timedelta
from typing import Any

from prism.workspaces.model import Observed
from tests.oracle.ledger import DAY, HOUR, Account, Thing, needs, period, usd

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
SIZES = ("XS", "S", "M", "L")
PERIODS = ("project", "monthly", "weekly", "daily")
MOVES = (
    ("launch", 5), ("down", 3), ("start", 3), ("extend", 2), ("terminate", 1), ("move", 2),
    ("volume", 1), ("drop", 1), ("wait", 6), ("gap", 2), ("blind", 2), ("price", 1),
    ("restart", 1),
)  # fmt: skip


class Schedule:
    """A schedule for one daemon with two projects and a pool; `counts` has what was compared."""

    def __init__(self, lab, cloud, prices, seed):
        self.lab, self.cloud, self.prices = lab, cloud, prices
        self.random, self.account = random.Random(seed), Account()
        self.counts = {"values": 0, "steps": 0, "granted": 0, "refused": 0}
        self.number = 0
        self.setting()

    # ------------------------------------------------------------------ the world

    def setting(self):
        r = self.random
        self.lab.clock.advance(days=r.randrange(330), seconds=r.randrange(DAY))
        self.cloud.faults.slow = timedelta(minutes=r.choice((0, 0, 4)))
        self.caps = {"one": r.choice((6.0, 12.0, 60.0)), "two": None}
        self.ids = {name: self.lab.project(name, cap)["id"] for name, cap in self.caps.items()}
        self.pool = {"kind": r.choice(PERIODS), "zone": r.choice(ZONES), "start": self.now}
        self.pool["end"] = self.now + r.choice((3, 9, 400)) * DAY
        total = r.choice((6.0, 15.0, 90.0))
        at = {"start": self.lab.clock.now(), "end": self.lab.clock.now()}
        at["end"] += timedelta(seconds=self.pool["end"] - self.now)
        dates = {f"{name}_date": f"{date:%Y-%m-%dT%H:%M:%SZ}" for name, date in at.items()}
        self.lab.pool("grant", total, self.pool["kind"], time_zone=self.pool["zone"], **dates)
        parts = {"one": round(total * 0.5, 2), "two": round(total * 0.4, 2)}
        self.amounts = {"pool": total, **parts}
        self.given = {name: self.lab.allocate("grant", name, part) for name, part in parts.items()}

    @property
    def now(self):
        return self.lab.now

    def named(self, prefix):
        self.number += 1
        return f"{prefix}{self.number}"

    def pick(self, states):
        known = [name for name in self.account.things if name.startswith("w")]
        fitting = [name for name in known if self.state(name) in states]
        return self.random.choice(fitting) if fitting else None

    def state(self, name):
        answer = self.lab.http("GET", f"/api/v1/instances/{name}")
        return answer.json()["state"] if answer.status_code == 200 else "terminated"

    def settle(self, **delta):
        """Advance the clock, let the daemon survey, and update the account."""
        self.lab.settle(**delta)
        self.observe()

    def observe(self):
        """Update the account after a survey: the states of machines are known until now."""
        self.account.looked = self.now
        for name, thing in self.account.things.items():
            if not name.startswith("w"):
                continue
            phases = self.cloud.phases(name)
            thing.ran = runs(phases)
            # The daemon cannot know later phases, although the cloud has planned them.
            begun = [phase for phase in phases if phase[0] <= self.now]
            thing.slept = [(a, b) for a, b, seen, _ in begun if seen is Observed.ASLEEP]
            nothing = (Observed.STARTING, Observed.GONE)
            first = next((a for a, _, seen, _ in begun if seen not in nothing), None)
            gone = next((a for a, _, seen, _ in begun if seen is Observed.GONE), None)
            if first is not None:
                thing.kept = [(first, gone)]
            hourly = self.rate_of(name)
            if hourly is not None and hourly != thing.now.hourly:
                thing.cut(self.now, hourly=hourly)

    def rate_of(self, name):
        answer = self.lab.http("GET", f"/api/v1/instances/{name}")
        return round(answer.json()["hourly_rate"] * 1e6) if answer.status_code == 200 else None

    # ------------------------------------------------------------------ the steps

    def run(self, steps):
        names, weights = zip(*MOVES, strict=True)
        for _ in range(steps):
            getattr(self, self.random.choices(names, weights)[0])()
            self.counts["steps"] += 1
            self.compare()

    def launch(self):
        r = self.random
        size, hours = r.choice(SIZES), r.choice((None, 1, 5, 30, 200))
        project, gigabytes = r.choice(("one", "two", None)), r.choice((8, 20, 100))
        order: dict[str, Any] = {"size": size, "storage": {"ebs_volume_size": gigabytes}}
        name = self.named("w")
        if project:
            order["project"] = project
        if hours:
            order["ttl_hours"] = hours
        plan = self.lab.launch(name, dry_run=True, **order)
        answer = self.lab.launch(name, **order)
        assert (plan.status_code == 200) == (answer.status_code == 201), "plan and admission agree"
        disk = gigabytes * 80_000
        hourly = self.prices[size]
        if answer.status_code == 403:
            return self.refused(answer.json()["error"], hourly, disk, hours, project)
        assert answer.status_code == 201, answer.text
        self.counts["granted"] += 1
        thing = self.account.things[name] = Thing(name, disk)
        pool = "grant" if project else None
        thing.cut(self.now, project=project, pool=pool, hourly=hourly)
        return self.settle()

    def refused(self, error, hourly, disk, hours, project):
        """Assert that the launch exceeds the named cap, in whole micro-dollars."""
        self.counts["refused"] += 1
        assert error["code"] == "BUDGET_EXCEEDED", error
        if "has ended" in error["message"]:
            assert self.period() is None
            return
        if "is about to end" in error["message"] or "no more launches" in error["message"]:
            return
        figures = {name: round(value * 1e6) for name, value in error["data"].items()}
        assert figures["settled"] + figures["reserved"] + figures["needed"] > figures["cap"], error
        if "in the period that begins" in error["details"]:
            return
        of, within = self.meant(error["message"], project)
        assert figures["settled"] == self.account.cost(self.now, *within, **of), error
        endless = of.get("pool") is None or "also after the end" in error["details"]
        end = None if endless else within[1]
        assert figures["needed"] <= needs(hourly, disk, hours, self.now, end), error
        self.counts["values"] += 3

    def meant(self, message, project):
        """The part of the account, and the time, that a message is about."""
        if message.startswith("The project"):
            return {"project": project}, (0, self.now)
        within = self.period()
        of = {"pool": "grant"}
        return of | ({"project": project} if "allocation" in message else {}), within

    def down(self):
        if name := self.pick({"running"}):
            answer = self.lab.verb(name, self.random.choice(("stop", "hibernate")))
            assert answer.status_code == 200, answer.text
            self.settle()

    def start(self):
        if name := self.pick({"stopped", "hibernated"}):
            assert self.lab.verb(name, "start").status_code in {200, 403}
            self.settle()

    def extend(self):
        if name := self.pick({"running"}):
            hours = self.random.choice((1, 8, 40))
            assert self.lab.verb(name, "extend", hours=hours).status_code in {204, 403}
            self.settle()

    def terminate(self):
        if name := self.pick({"running", "stopped", "hibernated"}):
            assert self.lab.verb(name, "terminate", confirm="DELETE").status_code == 200
            self.settle()

    def move(self):
        """Move a workspace; the other project pays from this second on."""
        if name := self.pick({"running", "stopped", "hibernated"}):
            to = self.random.choice(("one", "two"))
            answer = self.lab.verb(name, "move", project=to)
            assert answer.status_code in {200, 403}, answer.text
            if answer.status_code == 200 and self.account.things[name].now.project != to:
                self.account.things[name].cut(self.now, project=to, pool="grant")
            self.settle()

    def volume(self):
        name, project = self.named("v"), self.random.choice(("one", "two"))
        body = {"type": "ebs", "name": name, "size_gb": 25, "project": project}
        answer = self.lab.post("storage/volumes/create", **body)
        assert answer.status_code in {201, 403}, answer.text
        if answer.status_code == 201:
            thing = self.account.things[name] = Thing(name, 25 * 80_000)
            thing.cut(self.now, project=project, pool="grant")
            thing.kept = [(self.now, None)]
            self.settle()

    def drop(self):
        volumes = [thing for thing in self.account.things.values()
                if thing.name.startswith("v") and thing.kept[0][1] is None]  # fmt: skip
        if volumes:
            volume = self.random.choice(volumes)
            answer = self.lab.http("DELETE", f"/api/v1/storage/volumes/{volume.name}")
            assert answer.status_code == 200, answer.text
            volume.kept = [(volume.kept[0][0], self.now)]
            self.settle()

    def wait(self):
        for _ in range(self.random.randrange(1, 8)):
            self.settle(minutes=self.random.randrange(1, 19), seconds=self.random.randrange(60))

    def gap(self):
        """The computer is suspended; the first survey comes after it resumes."""
        hours = self.random.choice((0.3, 2, 9, 30, 100))
        self.lab.clock.advance(seconds=int(hours * HOUR) + self.random.randrange(60))
        self.compare()
        self.settle()

    def blind(self):
        """The computer is suspended, and all budget decisions are made before a survey."""
        self.lab.clock.advance(hours=self.random.choice((1, 5, 50)), seconds=7)
        if name := self.pick({"running"}):
            answer = self.lab.verb(name, "move", project="two")
            assert answer.status_code in {200, 503}, answer.text
            if answer.status_code == 200:
                assert self.account.things[name].now.project == "two", "moved before a survey"
        self.lab.daemon.prices.look_soon()
        budget_loop = self.lab.daemon.budget_loop
        budget_loop.mark_due()
        budget_loop.once()
        self.compare()
        self.settle()

    def price(self):
        """AWS changes its prices; running workspaces get the new price at the next survey."""
        factor = self.random.choice((0.5, 2.0, 1.0))
        self.prices.factor = factor
        self.lab.daemon.prices.look_soon()
        self.settle(seconds=31)

    def restart(self):
        """The daemon is down for some hours; another one replaces it."""
        self.lab.clock.advance(minutes=self.random.randrange(1, 500))
        self.lab.again()
        self.compare()
        self.settle()

    # --------------------------------------------------------------- comparisons

    def period(self):
        pool = self.pool
        return period(pool["kind"], pool["zone"], pool["start"], pool["end"], self.now)

    def last_period(self):
        """The begin of the present period, or of the last one if all have ended."""
        if (present := self.period()) is not None:
            return present[0]
        pool = self.pool
        last = period(pool["kind"], pool["zone"], pool["start"], pool["end"], pool["end"] - 1)
        assert last is not None
        return last[0]

    def same(self, number, meant, subject):
        self.counts["values"] += 1
        assert number == meant, (subject, number, meant, self.lab.clock.now())

    def compare(self):
        """Compare every sum in the API with the sum of the account."""
        cost, now = self.account.cost, self.now
        whole, since = cost(now), self.last_period()
        lines = self.lab.get(f"costs/export?start_date=2026-01-01&end_date={self.day()}")
        paid = [line for line in lines if line["kind"] != "asleep"]
        self.same(sum(segment["micros"] for segment in paid), whole, "export")
        saved = sum(line["saved_micros"] for line in lines)
        self.same(saved, cost(now, kinds=("asleep",)), "saved")
        self.same(
            sum(round(100 * group["cost"]) for group in paid), round(100 * usd(whole)), "cents"
        )
        pool = self.lab.get("budgets/grant")
        self.cap(pool, cost(now, since, pool="grant"), self.amounts["pool"], "pool")
        for part in self.lab.get("budgets/grant/allocations")["allocations"]:
            name = part["project_name"]
            spent = cost(now, since, pool="grant", project=name)
            self.same(part["spent"], usd(spent), f"allocation to {name}")
            self.same(part["overrun"], usd(max(0, spent - micros(self.amounts[name]))), name)
        for name in self.caps:
            self.project(name, since)

    def project(self, name, since):
        cost, now = self.account.cost, self.now
        budget = self.lab.get(f"projects/{name}/budget")
        forecast = self.lab.get(f"projects/{name}/forecast")
        for word in ("spent", "reserved", "left", "runs_out_on", "caps"):
            self.same(budget[word], forecast[word], word)
        ever = cost(now, project=name)
        self.same(budget["current_spend"], usd(ever), f"{name} ever")
        parts = budget["cost_breakdown"]
        cents = sum(round(100 * parts[name]) for name in ("compute", "storage"))
        self.same(cents, round(100 * usd(ever)), f"{name} breakdown")
        compute = cost(now, kinds=("compute",), project=name)
        assert abs(parts["compute"] - compute / 1e6) < 0.01, name
        self.same(budget["hibernation_savings"], usd(cost(now, kinds=("asleep",), project=name)),
                  f"{name} saved")  # fmt: skip
        capped = self.caps[name]
        present = self.period()
        spent = ever if capped else cost(now, since, pool="grant", project=name)
        self.same(budget["spent"], usd(spent if capped or present else 0), f"{name} spent")
        for cap in budget["caps"]:
            amount = {"project": capped, "pool": self.amounts["pool"]}
            meant = {
                "project": ever,
                "allocation": cost(now, since, pool="grant", project=name),
                "pool": cost(now, since, pool="grant"),
            }[cap["scope"]]
            self.cap(cap, meant, amount.get(cap["scope"], self.amounts[name]), cap["cap"])
        self.same(budget["left"], min_left(budget["caps"]), f"{name} left")
        if budget["current_spend"]:
            assert budget["budget_alerts"]["overspend_risk"] in risks(budget["caps"]), name
        page = self.lab.get(f"projects/{name}")["budget"]
        for word in ("spent", "reserved", "left", "current_spend", "remaining"):
            self.same(page[word], budget[word], f"{name} {word}")

    def cap(self, figures, spent, amount, subject):
        """Spent equals the account; spent, reserved and left add up to the cap, to the cent."""
        self.same(figures["spent"], usd(spent), subject)
        if figures["left"]:
            whole = round(figures["spent"] + figures["reserved"] + figures["left"], 2)
            self.same(whole, amount, f"{subject} adds up")

    def day(self):
        return f"{self.lab.clock.now() + timedelta(days=1):%Y-%m-%d}"


def runs(phases):
    """The spans that compute is paid for; a hibernation in progress belongs to the run before."""
    spans: list[tuple[int, int]] = []
    for start, end, seen, dozes in phases:
        if dozes and spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], end)
        elif dozes or seen is Observed.ON:
            spans.append((start, end))
    return spans


def risks(caps):
    """The risk that follows from what the caps show; two if it is too close to tell from cents."""
    own = [cap for cap in caps if cap["amount"] and cap["scope"] != "pool"]
    now = [cap for cap in own if cap["scope"] == "project" or cap["period_end"]]
    if not now:
        return {None}
    worst = max(cap["projected"] / cap["amount"] for cap in now)
    near = {worst - 0.01, worst + 0.01}
    return {"low" if part < 0.8 else "medium" if part < 1 else "high" for part in near}


def min_left(caps):
    """The least amount left of the caps of a project."""
    left = {cap["scope"]: cap["left"] for cap in caps}
    return min(left.values())


def micros(dollars):
    return round(dollars * 1e6)
