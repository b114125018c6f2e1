"""A daemon with money that can be killed at any commit and any call to its cloud.

It is started once and has everything imported. Each job that it reads, a line of JSON, is a
fork of it with a home of its own, and its answer is a line of JSON. The cloud is a file in
that home, so it outlives the daemon. So does its history of what really ran when.

Points are not listed anywhere: while a verb is requested and carried out, each commit and each
call that changes something announces a point before and after. The clock is stopped meanwhile.
"""

import contextlib
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prism.daemon.app import App
from prism.errors import Problem
from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.tables import metadata
from prism.settings import Settings
from prism.workspaces.model import Observed
from tests.budgets.lives import LIVES, State
from tests.deaths import announced_write, arm, disarm, passed, point
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes
from tests.forks import serve, tell
from tests.money import ClockedDaemon
from tests.optional import not_none
from tests.rows import every_workspace

LOCATION = "local:there:home"
AWAY = timedelta(minutes=7)  # between a death and the next daemon
KEPT = ("_specs", "_born", "_changes", "_expiry", "_rules", "_idle", "history")


class FileCompute(MemoryCompute):
    """A cloud in a file; `history` is what each machine became, and when."""

    clock: StoppedClock

    def open(self, file):
        self.file, self.history = file, []
        if file.exists():
            time, contents = pickle.loads(file.read_bytes())
            self.clock.time = time
            vars(self).update(contents)

    def save(self):
        contents = {name: getattr(self, name) for name in KEPT}
        fresh = self.file.with_suffix(".new")
        fresh.write_bytes(pickle.dumps((self.clock.now(), contents)))
        fresh.replace(self.file)

    @contextlib.contextmanager
    def _record_call(self, call):
        if call != "survey":
            point(f"before {call.partition(' ')[0]}")
        with super()._record_call(call):
            yield
            self.save()
        if call != "survey":
            point(f"after {call.partition(' ')[0]}")

    def _change(self, id, meanwhile, then, failure=None):
        super()._change(id, meanwhile, then, failure)
        self.history.append((self._specs[id].key, self.clock.now(), then))

    def _expire(self, id, now):
        at = self._expiry.get(id, (None, None))[0]
        super()._expire(id, now)
        if at is not None and id not in self._expiry:
            self.history.append((self._specs[id].key, at, self._changes[id].then))


class World:
    """One daemon of a home, and its cloud."""

    def __init__(self, home):
        self.home = Path(home)
        self.home.mkdir(exist_ok=True)
        self.clock = StoppedClock(datetime(2026, 1, 1, 9, tzinfo=UTC))
        self.cloud = FileCompute(self.clock, busy=timedelta(0))
        self.cloud.open(self.home / "cloud")
        settings = Settings(home=home, user="ada", local_prices="aws")
        volumes = {LOCATION: MemoryVolumes(self.clock)}
        # Without the web application, which `build` adds: it takes a second and is not used.
        self.daemon = App(settings, {LOCATION: self.cloud}, self.clock, lambda: None, volumes)
        self.wiring = self.daemon
        self.wiring.here = LOCATION
        metadata.create_all(self.daemon.db.writer)
        self.wiring.profiles.first_start({})
        self.lab = ClockedDaemon.__new__(ClockedDaemon)
        self.lab.daemon, self.lab.clock = self.daemon, self.clock

    def settle(self, later=timedelta(0)):
        self.clock.time += later
        self.daemon.settle(40)
        self.cloud.save()

    def inherit(self):
        """Take over the claims of the killed daemon, as the only one that exists."""
        for loop in self.wiring.loops:
            loop.inherit()

    def state(self):
        with self.daemon.db.read():
            return State(self.wiring, self.clock)


def prepare(job):
    """Take the steps before the verb."""
    world = World(job["home"])
    for step in LIVES[job["life"]].before:
        step(world.state())
        world.settle()
    tell(done=True)


def live(job):
    """Request the verb and carry it out, with the points armed."""
    world, life = World(job["home"]), LIVES[job["life"]]
    world.clock.time += life.later
    if life.looked:
        world.settle()
    world.cloud.save()
    arm(job["at"])
    life.ask(world.state())
    for _ in range(2):  # the second settles what the first observed
        world.settle()
    disarm()
    tell(passed=passed, wrong=all_faults(world, life))


def come_back(job):
    """Start the next daemon of that home, and repeat the request."""
    world, life = World(job["home"]), LIVES[job["life"]]
    world.clock.time += AWAY
    world.inherit()
    if life.looked:
        world.settle()
    with contextlib.suppress(Problem):
        not_none(life.again)(world.state())
    for _ in range(2):
        world.settle()
    tell(wrong=all_faults(world, life))


def all_faults(world, life):
    """All faults, now and in the hour that follows, as sentences."""
    faults = [*ledger_faults(world), *machine_faults(world, life)]
    for _ in range(6):
        world.settle(timedelta(minutes=10))
        faults += ledger_faults(world)
    return faults


def ledger_faults(world):
    """Exceeded caps, and segments that differ from what really ran."""
    now = world.clock.now()
    try:
        for cap, settled, reserved in world.lab.balances():
            if settled + reserved > cap.amount:
                yield f"{now} {cap.words}: {settled} settled, {reserved} reserved"
    except AssertionError as error:
        yield f"{now} the sums are not the recount: {error}"
    segments = world.lab.segments()
    for id in sorted({key for key, *_ in world.cloud.history}):
        mine = [segment for segment in segments if segment.resource == id]
        changes = [(at, seen) for key, at, seen in world.cloud.history if key == id]
        for kind, when in (
            ("compute", {Observed.ON}),
            ("asleep", {Observed.ASLEEP}),
            ("root", ALL),
        ):
            counted = [(segment.began, segment.ended) for segment in mine if segment.kind == kind]
            if joined(counted) != (real := spans(changes, when)):
                yield f"{now} {id} {kind}: counted {counted}, but it really was {real}"


ALL = {
    Observed.ON,
    Observed.ASLEEP,
    Observed.OFF,
    Observed.STARTING,
    Observed.STOPPING,
    Observed.BROKEN,
}


def joined(counted):
    """Adjacent segments as one span; overlapping ones are not merged."""
    merged: list[tuple[int, int]] = []
    for began, ended in sorted(counted, key=lambda it: it[0]):
        if began == ended:
            continue
        if merged and merged[-1][1] == began:
            merged[-1] = (merged[-1][0], ended)
        else:
            merged.append((began, ended))
    return merged


def spans(changes, when):
    """The intervals in which a machine was in one of these states."""
    intervals: list[tuple[int, int | None]] = []
    since = None
    for at, seen in sorted(changes, key=lambda it: it[0]):
        at = int(at.timestamp())
        if seen in when and since is None:
            since = at
        elif seen not in when and since is not None:
            intervals, since = [*intervals, (since, at)] if at > since else intervals, None
    return intervals if since is None else [*intervals, (since, None)]


def machine_faults(world, life):
    """Whether there is one machine, one reservation, and the requested state."""
    existing = [
        machine for machine in world.cloud.survey() if machine.observed is not Observed.GONE
    ]
    listed = {entry.name: entry for entry in every_workspace(world.wiring.db)}
    living = {entry.id for entry in listed.values() if entry.ended_at is None}
    if {machine.key for machine in existing} != living or len(existing) != len(living):
        yield f"machines {existing}, workspaces {living}"
    held = [reservation.id for reservation in world.lab.reservations()]
    if sorted(held) != sorted(living):
        yield f"reservations for {held}, workspaces {living}"
    state = world.state().state("mine")
    if life.state != state:
        yield f"the workspace is {state}, not {life.state}"
    yield from life.more(world.state())


JOBS = {"prepare": prepare, "live": live, "come back": come_back}


if __name__ == "__main__":
    Database.write = announced_write  # type: ignore[method-assign]
    serve(JOBS)
