"""A random schedule with several pools, whose money is moved and changed."""

import re
from datetime import timedelta
from typing import Any

from tests.oracle.comparisons import CENT, Comparisons
from tests.oracle.ledger import Thing
from tests.oracle.schedule import MOVES, PERIODS, ZONES, Schedule

HOURS = re.compile(r"pays for ([\d.]+) h")
WITH_MONEY = (*MOVES, ("money", 5))


class Changes(Schedule):
    """Two projects, and three pools that may end, shrink, and be reallocated."""

    def setting(self) -> None:
        r = self.random
        self.comparisons = Comparisons(self.lab)
        self.lab.clock.advance(days=r.randrange(330), seconds=r.randrange(86400))
        self.cloud.faults.slow = timedelta(minutes=r.choice((0, 0, 4)))
        sleeps, ends = r.choice((None, 30.0, 90.0)), r.choice((100.0, 60.0))
        limits = {"auto_hibernate_threshold": sleeps, "prevent_launch_threshold": ends}
        self.lab.project("one", r.choice((8.0, 40.0)), **limits)
        self.lab.project("two")
        for pool in "abc":
            end = r.choice((None, None, 2, 5, 20))
            body = {} if end is None else {"end_date": self.moment(end)}
            amount, kind = r.choice((3.0, 10.0, 50.0)), r.choice(PERIODS)
            self.lab.pool(pool, amount, kind, time_zone=r.choice(ZONES), **body)
        for project in ("one", "two"):
            for pool in r.sample("abc", r.choice((1, 2))):
                self.allocate(pool, project)

    def run(self, steps: int) -> None:
        names, weights = zip(*WITH_MONEY, strict=True)
        for _ in range(steps):
            getattr(self, self.random.choices(names, weights)[0])()
            self.counts["steps"] += 1
            self.settle(seconds=31)
            self.comparisons.all()
        self.counts["values"] = self.comparisons.count

    def compare(self) -> None:
        """Do nothing: comparisons are made between steps, after a survey."""

    def observe(self) -> None:
        """Do nothing: this schedule compares pages with each other, not with an account."""

    def moment(self, days: float) -> str:
        return f"{self.lab.clock.now() + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"

    def allocate(self, pool: str, project: str) -> None:
        page = self.lab.get(f"budgets/{pool}")
        free = page["total_amount"] - page["allocated_amount"]
        if free >= 0.02:
            amount = round(free * self.random.choice((0.5, 0.9)), 2)
            request = {"project_id": project, "allocated_by": "pi@x.edu"}
            answer = self.lab.post(
                "allocations", budget_id=pool, allocated_amount=amount, **request
            )
            assert answer.status_code in {201, 409}, answer.text

    def payer(self, project: str | None) -> dict[str, Any]:
        """One of the pools that the project has an allocation of, if any."""
        caps = self.lab.get(f"projects/{project}/budget")["caps"]
        pools = [cap["cap"].split("'")[1] for cap in caps if cap["scope"] == "pool"]
        return {"budget": self.random.choice(pools)} if pools else {}

    def ordered(self) -> dict[str, Any]:
        r = self.random
        project, hours = r.choice(("one", "two")), r.choice((None, 1, 5, 30, 200))
        disk = {"ebs_volume_size": r.choice((8, 20, 100))}
        order = {"size": r.choice(("S", "L", "XL")), "project": project, "storage": disk}
        order |= self.payer(project)
        return order if hours is None else order | {"ttl_hours": hours}

    def launch(self) -> None:
        """Launch, and compare the plan or the refusal with the budget."""
        name, order = self.named("w"), self.ordered()
        page = f"projects/{order['project']}/budget"
        before = self.lab.get(page)
        plan = self.lab.launch(name, dry_run=True, **order)
        answer = self.lab.launch(name, **order)
        assert (plan.status_code == 200) == (answer.status_code == 201), "plan and admission agree"
        if answer.status_code == 403:
            self.counts["refused"] += 1
            self.denied(answer.json()["error"], before, order)
            return
        assert answer.status_code == 201, answer.text
        assert before["no_launches"] is None
        self.counts["granted"] += 1
        self.account.things[name] = Thing(name, 0)
        self.planned(plan.json(), before, self.lab.get(page))
        self.settle()

    def planned(self, plan: Any, before: Any, after: Any) -> None:
        was, now = ({cap["cap"]: cap for cap in page["caps"]} for page in (before, after))
        for cap in plan["caps"]:
            name = cap["cap"]
            self.comparisons.same("leaves", cap["leaves"], now[name]["left"])
            rise = now[name]["reserved"] - was[name]["reserved"]
            self.comparisons.same("reserves", cap["reserves"], rise, CENT)
        dates = [now[cap["cap"]]["runs_out_on"] for cap in plan["caps"]]
        least = min((date for date in dates if date), default=None)
        asleep = any("sleep at" in note for note in plan["notes"])
        assert asleep or plan["lasts_until"] == least, (plan, dates)

    def denied(self, error: Any, before: Any, order: dict[str, Any] | None = None) -> None:
        """Compare a refusal with the named cap; a launch for its proposed hours is accepted."""
        figures, caps = error["data"], {cap["cap"]: cap for cap in before["caps"]}
        named = next((cap for cap in caps if error["message"].startswith(f"The {cap} ")), None)
        if named and "has not enough" in error["message"] and "period" not in error["details"]:
            self.comparisons.same("cap", figures["cap"], caps[named]["amount"], CENT)
            self.comparisons.same("settled", figures["settled"], caps[named]["settled"], CENT)
            self.comparisons.same("reserved", figures["reserved"], caps[named]["reserved"], CENT)
        hours = HOURS.search(error["details"])
        if order is not None and hours and (whole := int(float(hours[1]))):
            for ttl, status in ((whole, 200), (whole + 1, 403)):
                launch = order | {"ttl_hours": ttl}
                assert self.lab.launch("again", dry_run=True, **launch).status_code == status, (
                    error
                )

    def volume(self) -> None:
        project, name = self.random.choice(("one", "two")), self.named("v")
        before = self.lab.get(f"projects/{project}/budget")
        size = self.random.choice((5, 25, 200))
        body = {"type": "ebs", "name": name, "size_gb": size, "project": project}
        answer = self.lab.post("storage/volumes/create", **body, **self.payer(project))
        if answer.status_code == 403:
            self.denied(answer.json()["error"], before)
            return
        assert answer.status_code == 201, answer.text
        self.account.things[name] = Thing(name, 0, kept=[(self.now, None)])
        self.settle()

    def move(self) -> None:
        if name := self.pick({"running", "stopped", "hibernated"}):
            to = self.random.choice(("one", "two"))
            answer = self.lab.verb(name, "move", project=to, **self.payer(to))
            assert answer.status_code in {200, 403}, answer.text
            self.settle()

    def blind(self) -> None:
        """All budget decisions are made before a survey."""
        self.lab.clock.advance(hours=self.random.choice((1, 5, 50)), seconds=7)
        self.lab.daemon.prices.look_soon()
        self.lab.daemon.budget_loop.mark_due()
        self.lab.daemon.budget_loop.once()
        self.settle()

    def money(self) -> None:
        """Allocate, change, move or end money; the daemon may refuse."""
        r = self.random
        pool = r.choice("abc")
        parts = self.lab.get(f"budgets/{pool}/allocations")["allocations"]
        action = r.choice(("give", "take", "move", "change", "total", "end", "cap"))
        if action == "give":
            self.allocate(pool, r.choice(("one", "two")))
        elif action in {"take", "change"} and parts:
            self.changed(r.choice(parts), action)
        elif action == "move" and len(parts) > 1:
            first, other = r.sample(parts, 2)
            ends = {"source_allocation_id": first["id"], "destination_allocation_id": other["id"]}
            self.lab.post("reallocations", amount=max(0.01, round(first["left"] / 3, 2)), **ends)
        elif action == "total":
            self.lab.put(f"budgets/{pool}", total_amount=r.choice((2.0, 10.0, 60.0)))
        elif action == "end":
            self.lab.put(f"budgets/{pool}", end_date=self.moment(r.choice((-3, 0.2, 2, 30))))
        elif action == "cap":
            self.lab.put("projects/one", budget={"total_allocated": r.choice((None, 5.0, 50.0))})
        self.settle()

    def changed(self, part: Any, action: str) -> None:
        if action == "take":
            self.lab.http("DELETE", f"/api/v1/allocations/{part['id']}")
        else:
            amount = max(0.01, round(part["allocated_amount"] * self.random.choice((0.5, 1.3)), 2))
            self.lab.put(f"allocations/{part['id']}", allocated_amount=amount)
