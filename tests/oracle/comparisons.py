"""Compares amounts in the API that have to be equal on several pages."""

from datetime import date, timedelta
from typing import Any

from tests.money import ClockedDaemon

START = "2026-01-01"
SHARED_FIELDS = (
    "spent", "reserved", "left", "no_launches", "runs_out_on", "because", "caps", "unpriced",
    "not_limited", "as_of",
)  # fmt: skip
CENT = 0.0101  # the tolerance for two amounts that are rounded separately


class Comparisons:
    """Requests all pages of a daemon, and counts the compared values."""

    def __init__(self, lab: ClockedDaemon) -> None:
        self.lab, self.count = lab, 0

    def same(
        self, subject: str, first: float | None, other: float | None, within: float = 1e-6
    ) -> None:
        """Assert that two amounts are equal."""
        self.count += 1
        same = first is other if first is None or other is None else abs(first - other) <= within
        assert same, (subject, first, other, str(self.lab.clock.now()))

    def all(self) -> None:
        """Make all comparisons at the present time."""
        today = self.lab.clock.now().date()
        self.period = f"start_date={START}&end_date={today}"
        lines = self.lab.get(f"costs/export?{self.period}")
        self.paid = [line for line in lines if line["kind"] != "asleep"]
        self.slept = [line for line in lines if line["kind"] == "asleep"]
        self.projects = {project["name"]: project for project in self.lab.get("projects")}
        self.pools = {budget["name"]: budget for budget in self.lab.get("budgets")["budgets"]}
        self.parts: dict[str, Any] = {}
        self.charts()
        for name, pool in self.pools.items():
            self.pool(name, pool)
            self.statements(name, pool)
        for name, page in self.projects.items():
            self.project(name, page)
            self.reports(name, page)
        self.now()

    def charts(self) -> None:
        """The bars of each granularity add up to the export."""
        exact = sum(segment["micros"] for segment in self.paid)
        for width in ("daily", "weekly", "monthly"):
            chart = self.lab.get(f"costs/history?{self.period}&granularity={width}")
            bars = chart["daily_costs"]
            self.same(width, sum(bar["micros"] for bar in bars), exact)
            for total in (
                sum(bar["cost"] for bar in bars),
                sum(group["cost"] for group in self.paid),
            ):
                self.same(f"{width} in cents", total, chart["total_cost"])
            saved = sum(bar["hibernation_savings"] for bar in bars)
            self.same(f"{width} saved", saved, sum(group["saved"] for group in self.slept))

    def pool(self, name: str, pool: Any) -> None:
        """The list, the summary and the allocations of a pool."""
        summary = self.lab.get(f"budgets/{name}/summary")
        assert summary["budget"] == pool
        parts = summary["allocations"]
        assert parts == self.lab.get(f"budgets/{name}/allocations")["allocations"]
        self.parts |= {part["id"]: part for part in parts}
        several = CENT * (len(parts) + 1)
        allocated = sum(part["allocated_amount"] for part in parts)
        self.same("allocated", pool["allocated_amount"], allocated, several)
        spenders = summary["top_spending_projects"]
        self.same(
            "spenders", sum(spender["spent"] for spender in spenders), pool["spent"], several
        )
        former = sum(spender["spent"] for spender in spenders if spender["formerly"])
        spent = sum(part["spent"] for part in parts)
        self.same("spent of a pool", pool["spent"], spent + former, several)
        reserved = sum(part["reserved"] for part in parts)
        self.same("reserved of a pool", pool["reserved"], reserved, several)

    def statements(self, name: str, pool: Any) -> None:
        """The present statement shows what the page does, and all periods add up to the export."""
        if pool["start_date"] > self.lab.clock.now().isoformat():
            return
        answer = self.lab.get(f"budgets/{name}/statement")
        for word in ("spent", "reserved", "spent_after_end"):
            self.same(f"{word} of a statement", answer[word], pool[word])
        if pool["period_start"] and not pool["overrun"]:
            self.same("closing", max(0, answer["closing"]), pool["left"])
        total = 0
        while True:
            changes = sum(change["change"] for change in answer["changes"])
            rest = answer["spent"] + answer["reserved"] + answer["closing"]
            self.same("a statement", answer["opening"] + changes, rest)
            for table in ("projects", "by_person", "by_kind"):
                self.same(table, sum(line["micros"] for line in answer[table]), answer["micros"])
            paid = sum(line["spent"] for line in answer["projects"])
            self.same("projects of a statement", paid, answer["spent"])
            total += answer["micros"]
            if answer["previous"] is None:
                break
            answer = self.lab.get(f"budgets/{name}/statement?period={answer['previous']}")
            assert answer["is_over"]
        ever = sum(line["micros"] for line in self.paid if line["budget"] == pool["id"])
        self.same("all statements", total, ever)

    def project(self, name: str, page: Any) -> None:
        """The list, page, budget, forecast, analysis and caps of a project."""
        budget = self.lab.get(f"projects/{name}/budget")
        forecast = self.lab.get(f"projects/{name}/forecast")
        analysis = self.lab.get(f"projects/{name}/cost-analysis")
        assert self.lab.get(f"projects/{name}") == page
        for word in SHARED_FIELDS:
            assert budget[word] == forecast[word], word
        money = page["budget"]
        for word in ("total_allocated", "current_spend", "spent", "reserved", "left", "remaining"):
            self.same(f"{word} of {name}", money[word], budget[word])
        self.same("burn", money["monthly_burn_rate"], analysis["current_monthly_burn"])
        self.same("pace", analysis["projected_monthly_burn"], forecast["monthly"])
        ever = sum(segment["micros"] for segment in self.paid if segment["project"] == page["id"])
        self.same("spent ever", budget["current_spend"], round(ever, -4) / 1e6)
        kinds = [cost for cost in budget["cost_breakdown"].values() if cost is not None]
        self.same("breakdown", sum(kinds), budget["current_spend"])
        spenders = budget["top_spending_instances"]
        if len(spenders) < 10:
            self.same(
                "on what", sum(spender["cost"] for spender in spenders), budget["current_spend"]
            )
        self.caps(budget)

    def caps(self, budget: Any) -> None:
        """Each cap equals its own page, and the totals of the budget follow from the caps."""
        caps, live = budget["caps"], []
        own = [cap for cap in caps if cap["scope"] == "project"]
        for part, pool in zip(caps[len(own) :: 2], caps[len(own) + 1 :: 2], strict=True):
            page = self.pools[pool["cap"].split("'")[1]]
            for word in ("spent", "reserved", "spent_after_end"):
                self.same(f"{word} of an allocation", part[word], self.parts[part["id"]][word])
                self.same(f"{word} of a pool", pool[word], page[word])
            self.same("left of a pool", pool["left"], page["left"])
            left = min(part["left"], pool["left"])
            self.same("left of an allocation", self.parts[part["id"]]["left"], left)
            if page["period_start"]:
                live.append((part, left))
        for cap in caps:
            assert cap["runs_out_on"] is None or cap["runs_out_on"] >= budget["as_of"], cap
            if cap["left"]:
                self.same("a cap", cap["spent"] + cap["reserved"] + cap["left"], cap["amount"])
        if caps:
            granted = [sum(left for _, left in live)] if len(caps) > len(own) else []
            self.same("left", budget["left"], min([*(cap["left"] for cap in own), *granted]))
            counted = own or [part for part, _ in live]
            for word in ("spent", "reserved"):
                total = sum(limit[word] for limit in counted)
                self.same(word, budget[word], total, CENT * (len(live) + 1))

    def reports(self, name: str, project: Any) -> None:
        """The months add up to all costs, and the tables of a month to the month."""
        month, total = date(2025, 12, 1), 0
        while month <= self.lab.clock.now().date() + timedelta(days=1):
            page = self.lab.get(f"projects/{name}/report?month={month:%Y-%m}")
            total += page["micros"]
            for table in ("by_kind", "by_workspace", "by_user", "by_budget"):
                self.same(table, sum(group["cost"] for group in page[table]), page["total"])
                self.same(table, sum(segment["micros"] for segment in page[table]), page["micros"])
            month = (month + timedelta(days=32)).replace(day=1)
        ever = sum(
            segment["micros"] for segment in self.paid if segment["project"] == project["id"]
        )
        self.same("months", total, ever)

    def now(self) -> None:
        """The present costs are those of all forecasts, and of segments without a project."""
        current = self.lab.get("costs/current")
        forecasts = [self.lab.get(f"projects/{name}/forecast") for name in self.projects]
        without_project = [
            segment
            for segment in self.paid
            if segment["project"] is None and segment["ended"] is None
        ]
        monthly = sum(
            segment["rate"] * (720 // segment["rate_hours"]) for segment in without_project
        )
        monthly += sum(forecast["monthly"] or 0 for forecast in forecasts)
        several = CENT * (len(forecasts) + 1)
        self.same("a month", current["total_monthly_projection"], monthly, several)
        parts = sum(current["cost_breakdown"].values())
        self.same("an hour", current["total_current_hourly"], parts)
