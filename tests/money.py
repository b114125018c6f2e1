"""A daemon with simulated prices and a stopped clock, for tests of money."""

from datetime import datetime, timedelta
from typing import Any, Protocol

import httpx

from prism.budgets import store as budgets
from prism.budgets.books import Books, every_cap
from prism.budgets.model import Cap, Reservation
from prism.budgets.plan import ALWAYS, window
from prism.budgets.plan import reserved as reserved_in
from prism.costs import store as ledger
from prism.costs.model import CostKind, Segment
from prism.costs.plan import unix_time
from prism.daemon.app import App
from prism.kit.clock import Clock
from prism.kit.events import RecordedEvent
from prism.kit.tables import structs_of
from prism.workspaces.model import Workspace
from tests.conftest import Http
from tests.months import month_seconds
from tests.optional import not_none

API = "/api/v1"
SHORT, LONG = 15, 45  # minutes between two settlements


class LabClock(Clock, Protocol):
    """A clock that the test advances."""

    def advance(self, **delta: float) -> None: ...


class ClockedDaemon:
    """`settle` advances the clock and reconciles."""

    def __init__(self, daemon: App, clock: LabClock) -> None:
        self.daemon, self.clock, self.http = daemon, clock, Http(daemon.app)

    def post(self, path: str, **body: object) -> httpx.Response:
        return self.http("POST", f"{API}/{path}", json=body)

    def put(self, path: str, **body: object) -> httpx.Response:
        return self.http("PUT", f"{API}/{path}", json=body)

    def get(self, path: str) -> Any:
        response = self.http("GET", f"{API}/{path}")
        assert response.status_code == 200, response.text
        return response.json()

    def made(self, path: str, **body: object) -> Any:
        response = self.post(path, **body)
        assert response.status_code == 201, response.text
        return response.json()

    def project(self, name: str = "lab", cap: float | None = None, **limits: object) -> Any:
        money = {"total_allocated": cap, **limits} if cap is not None else None
        return self.made("projects", name=name, budget=money)

    def pool(
        self, name: str = "grant", total: float = 1000.0, period: str = "project", **more: object
    ) -> Any:
        body = {"total_amount": total, "period": period, "created_by": "pi@x.edu"}
        return self.made("budgets", name=name, **body, **more)

    def allocate(self, pool: str, project: str, amount: float, **more: object) -> Any:
        body = {"budget_id": pool, "project_id": project, "allocated_amount": amount}
        return self.made("allocations", **body, allocated_by="pi@x.edu", **more)

    def launch(self, name: str = "mine", size: str = "M", **more: object) -> httpx.Response:
        more.setdefault("storage", {"ebs_volume_size": 20})
        return self.http.launch(name, size=size, **more)

    def running(self, name: str = "mine", **more: Any) -> None:
        assert self.launch(name, **more).status_code == 201
        self.settle()
        assert self.state(name) == "running"

    def verb(self, name: str, verb: str, **body: object) -> httpx.Response:
        return self.http.post(name, verb, **({"json": body} if body else {}))

    def state(self, name: str = "mine") -> Any:
        return self.http.state(name)

    def settle(self, **delta: float) -> None:
        self.clock.advance(**delta)
        self.daemon.settle()

    def live(self, hours: int = 0, minutes: int = 0, step: int | None = None) -> None:
        """Lets time pass; the daemon settles every few minutes and renews reservations."""
        left = -(-(60 * hours + minutes) // (step or SHORT)) * (step or SHORT)
        while left > 0:
            passing = min(left, step or self._until_renewal())
            self.settle(minutes=passing)
            left -= passing

    def _until_renewal(self) -> int:
        """Minutes until a reservation needs a settlement, rounded; a few if one is due soon."""
        ends = (
            reservation.until - self.now
            for reservation in self.reservations()
            if reservation.running
        )
        return max(SHORT, min(LONG, min(ends, default=86400) // 60 - SHORT) // SHORT * SHORT)

    def until_asleep(self, *expected: str | datetime, name: str = "mine") -> datetime:
        """Lives until the workspace sleeps; the time is exact to ten minutes near `expected`."""
        dates = [
            datetime.fromisoformat(date) if isinstance(date, str) else date for date in expected
        ]
        end = self.clock.now() + timedelta(days=40)
        while self.state(name) == "running":
            now = self.clock.now()
            assert now < end, "it never slept"
            near = any(abs(now - date) < timedelta(hours=1) for date in dates)
            renewed = (not_none(self.workspace(name).reserved_until) - now).total_seconds() - 30
            self.settle(seconds=min(600 if near else 3000, max(1, renewed)))
        return self.clock.now()

    def workspace(self, name: str = "mine") -> Workspace:
        return self.daemon.workspaces.named(name)

    def events(self, kind: str) -> list[RecordedEvent]:
        return [fact for fact in self.daemon.db.events_after(0) if fact.event == kind]

    def reasons(self) -> list[Any]:
        """The reasons of all requests that Prism made by itself."""
        events = self.events("instance_asked")
        return [fact.data["reason"] for fact in events if fact.data.get("reason")]

    # --------------------------------------------------------- what the books say

    @property
    def now(self) -> int:
        return unix_time(self.clock.now())

    def segments(self) -> list[Segment]:
        with self.daemon.db.read() as sql:
            query = ledger.SELECT.order_by(ledger.segments.c.id)
            return structs_of(sql, Segment, query)

    def recount(self, start: int = 0, end: int | None = None, **only: Any) -> int:
        """A recount of all segments, independent of the ledger's totals.

        Without an end it counts all that is booked, also the rest of a minute that EC2 charges.
        """
        return sum(
            cost_by(segment, (segment.ended or self.now) if end is None else end)
            - cost_by(segment, start)
            for segment in self.segments()
            if segment.kind is not CostKind.ASLEEP
            and all(getattr(segment, field) == value for field, value in only.items())
        )

    def balances(self, name: str | None = None) -> list[tuple[Cap, int, int]]:
        """Each cap, or those of that name, with the settled and reserved money of its period."""
        balances: list[tuple[Cap, int, int]] = []
        with self.daemon.db.read() as sql:
            books = Books(sql, self.now)
            for cap in every_cap(sql):
                if name not in {None, cap.title}:
                    continue
                within = ALWAYS if cap.pool is None else window(cap.pool, self.now)
                if within is None:
                    continue
                settled = self.recount(within.start, end=None, **{cap.column: cap.id})
                rows = budgets.reservations_of(sql, cap.column, cap.id)
                own = cap.column == "project"
                reserved = sum(reserved_in(row, self.now, within, own=own) for row in rows)
                assert books.settled(cap, within) == settled, cap.words
                balances.append((cap, settled, reserved))
        return balances

    def check_caps(self) -> None:
        for cap, settled, reserved in self.balances():
            assert settled + reserved <= cap.amount, (cap.words, settled, reserved, cap.amount)

    def reservations(self) -> list[Reservation]:
        with self.daemon.db.read() as sql:
            return budgets.every_reservation(sql)


def cost_by(segment: Segment, at: int) -> int:
    """The cost of one segment until a moment, independent of the code under test."""
    until = segment.counted if segment.ended is None else segment.ended
    end = at if until is None else min(at, until)
    seconds = max(0, end - segment.began)
    if segment.by_month and seconds:
        seconds = month_seconds(end) - month_seconds(segment.began)
    return 0 if segment.amount is None else segment.amount * seconds // (3600 * segment.hours)
