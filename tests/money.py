"""A lab that spends simulated money: one daemon, its clock, and what one asks of it."""

from sqlalchemy import select

from prism.budgets import store as budgets
from prism.budgets.balances import Balances, every_cap
from prism.budgets.plan import ALWAYS, held, window
from prism.costs import store as ledger
from prism.costs.model import CostKind
from prism.costs.plan import second
from tests.conftest import Http

API = "/api/v1"


class Lab:
    """`clock` moves only when told to; `settle` lets the daemon notice."""

    def __init__(self, daemon, clock):
        self.daemon, self.clock, self.http = daemon, clock, Http(daemon.app)

    def post(self, path, **body):
        return self.http("POST", f"{API}/{path}", json=body)

    def put(self, path, **body):
        return self.http("PUT", f"{API}/{path}", json=body)

    def get(self, path):
        response = self.http("GET", f"{API}/{path}")
        assert response.status_code == 200, response.text
        return response.json()

    def made(self, path, **body):
        response = self.post(path, **body)
        assert response.status_code == 201, response.text
        return response.json()

    def project(self, name="lab", cap=None, **limits):
        money = {"total_allocated": cap, **limits} if cap is not None else None
        return self.made("projects", name=name, budget=money)

    def pool(self, name="grant", total=1000.0, period="project", **more):
        body = {"name": name, "total_amount": total, "period": period, "created_by": "pi@x.edu"}
        return self.made("budgets", **body, **more)

    def allocate(self, pool, project, amount, **more):
        body = {"budget_id": pool, "project_id": project, "allocated_amount": amount}
        return self.made("allocations", **body, allocated_by="pi@x.edu", **more)

    def launch(self, name="mine", size="M", **more):
        more.setdefault("storage", {"ebs_volume_size": 20})
        return self.http.launch(name, size=size, **more)

    def running(self, name="mine", **more):
        assert self.launch(name, **more).status_code == 201
        self.settle()
        assert self.state(name) == "running"

    def verb(self, name, verb, **body):
        return self.http.post(name, verb, **({"json": body} if body else {}))

    def state(self, name="mine"):
        return self.http.state(name)

    def settle(self, **delta):
        self.clock.advance(**delta)
        self.daemon.settle()

    def live(self, hours=0, minutes=0, step=15):
        """Time passes while the daemon looks every few minutes, and renews what it must."""
        for _ in range(0, 60 * hours + minutes, step):
            self.settle(minutes=step)

    def workspace(self, name="mine"):
        return self.daemon.workspaces.named(name)

    def events(self, kind):
        return [fact for fact in self.daemon.db.facts_after(0) if fact.event == kind]

    def reasons(self):
        """Why things went down that nobody had asked for."""
        asked = self.events("instance_asked")
        return [fact.data["reason"] for fact in asked if fact.data.get("reason")]

    # --------------------------------------------------------- what the books say

    @property
    def now(self):
        return second(self.clock.now())

    def segments(self):
        with self.daemon.db.read() as sql:
            query = ledger.SELECT.order_by(ledger.segments.c.id)
            return ledger._many(sql, query)

    def recount(self, start=0, end=None, **only):
        """Brute force, with fractions of a micro-dollar only where the contract floors them.

        Without an end it is all that is booked: also the rest of a minute that EC2 charges.
        """
        return sum(
            cost_by(it, (it.ended or self.now) if end is None else end) - cost_by(it, start)
            for it in self.segments()
            if it.kind is not CostKind.ASLEEP
            and all(getattr(it, field) == value for field, value in only.items())
        )

    def standings(self, name=None):
        """Every cap (or the one of that name): what is settled and set aside in its period."""
        books, found = Balances(self.clock), []
        with self.daemon.db.read() as sql:
            totals = books.totals(sql).read_all()
            for cap in every_cap(sql):
                if name not in {None, cap.title}:
                    continue
                within = ALWAYS if cap.pool is None else window(cap.pool, self.now)
                if within is None:
                    continue
                settled = self.recount(within.start, **{cap.column: cap.id})
                rows = budgets.reservations_of(sql, cap.column, cap.id)
                own = cap.column == "project"
                reserved = sum(held(it, self.now, within, own=own) for it in rows)
                assert books.settled(totals, cap, within) == settled, cap.words
                found.append((cap, settled, reserved))
        return found

    def keeps_every_cap(self):
        for cap, settled, reserved in self.standings():
            assert settled + reserved <= cap.amount, (cap.words, settled, reserved, cap.amount)

    def reservations(self):
        with self.daemon.db.read() as sql:
            ids = sql.execute(select(budgets.reservations.c.id)).scalars().all()
            return [budgets.reservation(sql, id) for id in ids]


def cost_by(segment, at):
    """One segment's cost by a moment, as the contract words it; independent of the code."""
    until = segment.counted if segment.ended is None else segment.ended
    end = at if until is None else min(at, until)
    seconds = max(0, end - segment.began)
    return 0 if segment.amount is None else segment.amount * seconds // (3600 * segment.hours)
