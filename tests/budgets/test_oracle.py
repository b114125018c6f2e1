"""Random sequences of requests are granted exactly when the oracle predicts that they fit."""

import itertools
import time
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from prism.costs.plan import unix_time
from tests.budgets.oracle import UP, ModelWorkspace, Oracle
from tests.money import ClockedDaemon
from tests.optional import not_none
from tests.proofs import record

RATES = {"XS": 20_800, "S": 41_600, "M": 83_200, "L": 166_400}
DISK = 1_600_000
CAP = 7_000_000
STORIES, MINUTES = 100, 12  # limits of the long run
numbers = itertools.count()
# A history costs a second, so a failing one is reported as it is and not shrunk.
QUICK = settings(deadline=None, database=None, phases=[Phase.generate])


class Spending(RuleBasedStateMachine):
    """Requests for workspaces of one project with a cap of seven dollars."""

    names = Bundle("names")
    lab: ClockedDaemon  # set by the test: one daemon for all histories, a new project for each
    told: ClassVar = {"granted": 0, "refused": 0, "steps": 0, "stories": 0}

    def __init__(self):
        super().__init__()
        self.oracle = Oracle(CAP)
        self.project = f"p{next(numbers)}"
        self.lab.project(self.project, CAP / 1e6)
        self.told["stories"] += 1

    @property
    def now(self):
        return unix_time(self.lab.clock.now())

    @rule(target=names, size=st.sampled_from(sorted(RATES)), ttl=st.sampled_from((None, 1, 5, 40)))
    def launch(self, size, ttl):
        name, thing = f"w{next(numbers)}", ModelWorkspace(RATES[size], DISK)
        expires = None if ttl is None else self.now + 3600 * ttl
        fits = self.oracle.fits(name, thing, self.now, expires)
        answer = self.lab.launch(name, size=size, project=self.project, ttl_hours=ttl)
        self.assert_answer(answer, fits, 201)
        if fits:
            self.oracle.things[name] = thing
            self.settle()
        return name

    @rule(name=names)
    def start(self, name):
        thing = self.oracle.things.get(name)
        if thing is None or self.lab.state(name) not in {"stopped", "hibernated"}:
            return
        workspace = self.lab.workspace(name)
        expires = None if workspace.expires_at is None else unix_time(workspace.expires_at)
        if expires is not None and expires <= self.now:
            expires = self.now + 4 * 3600
        fits = self.oracle.fits(name, thing, self.now, expires)
        self.assert_answer(self.lab.verb(name, "start"), fits, 200)
        self.settle()

    @rule(name=names, hours=st.integers(1, 30))
    def extend(self, name, hours):
        thing = self.oracle.things.get(name)
        if thing is None or self.lab.state(name) != "running":
            return
        workspace = self.lab.workspace(name)
        expires = unix_time(workspace.expires_at or self.lab.clock.now()) + 3600 * hours
        fits = self.oracle.fits(name, thing, self.now, expires)
        self.assert_answer(self.lab.verb(name, "extend", hours=hours), fits, 204)
        self.settle()

    @rule(name=names, verb=st.sampled_from(("stop", "hibernate")))
    def down(self, name, verb):
        if name in self.oracle.things and self.lab.state(name) == "running":
            assert self.lab.verb(name, verb).status_code == 200
            self.settle()

    @rule(name=consumes(names))
    def terminate(self, name):
        if name in self.oracle.things:
            assert self.lab.verb(name, "terminate", confirm="DELETE").status_code == 200
            self.settle()

    @rule(minutes=st.integers(1, 19))
    def minutes_pass(self, minutes):
        """The daemon runs every few minutes, as usual."""
        self.settle(minutes=minutes)

    @rule(hours=st.integers(1, 48))
    def hours_pass(self, hours):
        """The computer sleeps, and the daemon does not run."""
        self.settle(hours=hours)

    @invariant()
    def balances_equal_the_oracle(self):
        self.told["steps"] += 1
        reserved = {
            cap.title: (settled, held) for cap, settled, held in self.lab.balances(self.project)
        }
        settled = sum(thing.settled(self.now) for thing in self.oracle.things.values())
        held = sum(thing.held(self.now) for thing in self.oracle.things.values())
        assert reserved[self.project] == (settled, held)
        compute = sum(
            thing.rate * ((end or self.now) - begin) // 3600
            for thing in self.oracle.things.values()
            for begin, end in thing.runs
        )
        assert compute <= CAP, "compute never exceeds a cap"
        if all(thing.disk_until >= self.now for thing in self.oracle.things.values()):
            assert settled + held <= CAP

    def teardown(self):
        for name, thing in self.oracle.things.items():
            if not thing.ended:
                self.lab.verb(name, "terminate", confirm="DELETE")
        self.lab.settle()

    def assert_answer(self, answer, fits, good):
        assert answer.status_code == (good if fits else 403), answer.text
        self.told["granted" if fits else "refused"] += 1
        if not fits:
            assert answer.json()["error"]["code"] == "BUDGET_EXCEEDED"

    def settle(self, **delta):
        """Let time pass, and record the states that the API shows then."""
        living = {name: thing for name, thing in self.oracle.things.items() if not thing.ended}
        lapses = {name: self.earliest_deadline(name) for name in living}
        self.lab.settle(**delta)
        for name, thing in living.items():
            self.record_state(name, thing, lapses[name])

    def earliest_deadline(self, name):
        workspace = self.lab.workspace(name)
        known = [
            unix_time(at)
            for at in (workspace.expires_at, workspace.reserved_until)
            if at is not None
        ]
        return min(known, default=None)

    def record_state(self, name, thing, lapse):
        state, now = self.lab.state(name), self.now
        running = bool(thing.runs) and thing.runs[-1][1] is None
        if running and state != "running":  # at its expiry, or on request
            thing.runs[-1][1] = now if lapse is None else min(now, lapse)
        elif state == "running" and not running:
            thing.runs.append([now, None])
            thing.since = now
        if state in UP and not thing.kept:
            thing.kept.append([now, None])
        if state == "terminated":
            thing.ended = True
            if thing.kept:
                thing.kept[-1][1] = now
        held = {reservation.name: reservation for reservation in self.lab.reservations()}.get(name)
        up = state == "running"
        thing.until = (
            unix_time(not_none(self.lab.workspace(name).reserved_until)) if up else thing.since
        )
        thing.disk_since = thing.kept[0][0] if thing.kept else 0
        thing.disk_until = held.disk_until if held else thing.disk_since


def test_grants_and_refusals_equal_those_of_the_oracle(clocked_daemon):
    Spending.lab = clocked_daemon
    steps = settings(QUICK, max_examples=3, stateful_step_count=15)
    run_state_machine_as_test(Spending, settings=steps)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_grants_and_refusals_equal_those_of_the_oracle_in_many_histories(clocked_daemon):
    Spending.lab, Spending.told = clocked_daemon, dict.fromkeys(Spending.told, 0)
    counts, until = Spending.told, time.monotonic() + MINUTES * 60
    steps = settings(QUICK, max_examples=10, stateful_step_count=40)
    while counts["stories"] < STORIES and time.monotonic() < until:
        run_state_machine_as_test(Spending, settings=steps)
    where = "PostgreSQL" if clocked_daemon.daemon.db.shared else "SQLite"
    record(
        f"Requests for money against a sequential model: {where}",
        f"{counts['stories']:,} histories, {counts['steps']:,} states; {counts['granted']:,} "
        f"requests granted, {counts['refused']:,} refused",
    )
    assert counts["granted"]
    assert counts["refused"]
