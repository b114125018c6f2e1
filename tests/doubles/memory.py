"""Machines in a dictionary, at a provider that fails as tests request."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from msgspec.structs import replace

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.recovery.model import FoundMachine
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.model import Observed, WorkspaceFailure
from prism.workspaces.ports import Access, Machine, MachineSpec, ProviderRefused, ServiceEndpoint

NOW = timedelta(0)
STAGES = ("environment", "packages", "post_install", "services")
HOST = "10.0.0.1"
LOOKS = {"survey", "look_at"}
CHANGING = ("owner", "project", "allocation", "budget", "idle_profile", "ends_at")


@dataclass
class Faults:
    """How the provider misbehaves."""

    down: bool = False  # does not answer and does not act
    lose_replies: int = 0  # acts, then the connection drops, this many times
    full: bool = False  # refuses launches, because it has no capacity
    broken: WorkspaceFailure | None = None  # starting ends in BROKEN, with this failure
    hidden_for: timedelta = NOW  # a new machine is not listed at first
    slow: timedelta = NOW  # how long a state change takes


@dataclass(frozen=True)
class Change:
    """The state that a machine changes to, and since when."""

    began: datetime
    ends: datetime
    meanwhile: Observed
    then: Observed
    failure: WorkspaceFailure | None = None

    def since(self, now: datetime) -> datetime:
        """The time since which the machine has the state of that moment."""
        return self.ends if now >= self.ends else self.began

    def at(
        self, now: datetime
    ) -> tuple[Observed, str | None, int | None, WorkspaceFailure | None]:
        """State, stage, progress and failure at that moment."""
        if now >= self.ends:
            return self.then, None, 100 if self.then is Observed.ON else None, self.failure
        if self.meanwhile is not Observed.STARTING:
            return self.meanwhile, None, None, None
        took = self.ends - self.began  # 0 if the clock was put back
        done = max(0.0, (now - self.began) / took) if took else 0.0
        return self.meanwhile, STAGES[int(done * len(STAGES))], int(done * 100), None

    def is_hibernating(self, now: datetime) -> bool:
        """Whether it is hibernating at that moment, which costs as much as running."""
        way = (self.meanwhile, self.then)
        return now < self.ends and way == (Observed.STOPPING, Observed.ASLEEP)


@dataclass
class MemoryCompute:
    """Implements `workspaces.ports.Compute`; `calls` lists the calls in order."""

    clock: Clock
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)
    at_home: bool = True  # whether this home has the keys to its machines
    reports_times: bool = True  # whether it reports the time of state changes
    has_rule: bool = False  # whether a machine is made with the idle rule of its spec
    busy: timedelta = timedelta(seconds=0.02)
    calm: timedelta = timedelta(seconds=5)
    patience: timedelta = timedelta(minutes=2)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._specs: dict[str, MachineSpec] = {}
        self._born: dict[str, datetime] = {}
        self._changes: dict[str, Change] = {}
        self._up: dict[str, datetime] = {}
        self._expiry: dict[str, tuple[datetime, Observed]] = {}
        self._rules: dict[str, IdleRule | None] = {}
        self._idle: dict[str, Idleness] = {}
        self.notes: dict[str, tuple[str, ...]] = {}  # what machines lack, by id
        self._interrupted: set[str] = set()

    def survey(self) -> list[Machine]:
        """Every machine that is not hidden."""
        with self._record_call("survey"):
            visible = self.clock.now() - self.faults.hidden_for
            return [self.machine(id) for id, born in self._born.items() if born <= visible]

    def launch(self, spec: MachineSpec) -> Machine:
        """Makes a machine, or returns the machine of this key."""
        with self._record_call(f"launch {spec.name}"):
            if self.faults.full:
                raise ProviderRefused("Insufficient capacity in every zone")
            id = f"i-{sha256(spec.key.encode()).hexdigest()[:17]}"
            is_set = self.has_rule and id not in self._specs
            if is_set:
                self._rules[id] = spec.idle
            if id not in self._specs:
                now = self.clock.now()
                self._born[id], self._specs[id] = now, spec
                if spec.starts:
                    self._come_up(id)
                else:
                    self._changes[id] = Change(now, now, Observed.OFF, Observed.OFF)
            if spec.expires_at and id not in self._expiry:
                down = Observed.ASLEEP if spec.hibernation else Observed.OFF
                self._expiry[id] = (spec.expires_at, down)
            return replace(self.machine(id), has_rule=is_set)

    def start(self, id: str) -> None:
        """Starts or resumes a machine; a broken machine is tried once more."""
        with self._record_call(f"start {id}"):
            if self._seen(id) in {
                Observed.OFF,
                Observed.ASLEEP,
                Observed.BROKEN,
                Observed.STOPPING,
            }:
                self._come_up(id)

    def stop(self, id: str) -> None:
        """Stops a machine."""
        with self._record_call(f"stop {id}"):
            self._go_down(id, Observed.OFF)

    def hibernate(self, id: str) -> None:
        """Hibernates a machine."""
        with self._record_call(f"hibernate {id}"):
            self._go_down(id, Observed.ASLEEP)

    def terminate(self, id: str) -> None:
        """Terminates a machine; it stays listed as gone."""
        with self._record_call(f"terminate {id}"):
            change = self._changes.get(id)
            if change is not None and change.then is not Observed.GONE:
                self._change(id, Observed.STOPPING, Observed.GONE)

    def expire(self, id: str, at: datetime | None, action: Literal["hibernate", "stop"]) -> None:
        """Sets when it stops or hibernates by itself."""
        with self._record_call(f"expire {id}"):
            if at is None:
                self._expiry.pop(id, None)
            elif id in self._specs:
                self._expiry[id] = (at, Observed.ASLEEP if action == "hibernate" else Observed.OFF)

    def resize(self, id: str, instance_type: str) -> None:
        """Changes its type; the machine must be off."""
        with self._record_call(f"resize {id} {instance_type}"):
            if self._seen(id) is not Observed.OFF:
                raise ProviderRefused(f"{id} is not off")
            self._specs[id] = replace(self._specs[id], instance_type=instance_type)

    def change_template(self, id: str, spec: MachineSpec) -> None:
        """Sets the template and parameters of its next start."""
        with self._record_call(f"change_template {id}"):
            if id in self._specs:
                changed = {"template": spec.template, "parameters": spec.parameters}
                self._specs[id] = replace(self._specs[id], **changed)

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Sets its idle rule."""
        with self._record_call(f"watch {id}"):
            if id in self._specs:
                self._rules[id] = rule

    def describe(self, id: str, spec: MachineSpec) -> None:
        """Sets its metadata that can change."""
        with self._record_call(f"describe {id}"):
            if id in self._specs:
                facts = {name: getattr(spec, name) for name in CHANGING}
                self._specs[id] = replace(self._specs[id], **facts)

    def access(self, id: str) -> Access:
        """The endpoints of a machine that is on."""
        with self._record_call(f"access {id}"):
            if self._seen(id) is not Observed.ON:
                raise Unavailable(f"Machine {id} is not on")
            services = self._specs[id].template.services
            endpoints = {
                name: ServiceEndpoint(
                    url=f"http://{HOST}:{service.port}", token=f"token-of-{name}"
                )
                for name, service in services.items()
            }
            return Access(host=HOST, user="researcher", endpoints=endpoints)

    def found(self, ids: Collection[str]) -> list[FoundMachine]:
        """Implements `recovery.ports.Recoverable`."""
        with self._lock:
            return [self._found_machine(id) for id in ids if id in self._specs]

    def _found_machine(self, id: str) -> FoundMachine:
        spec, machine = self._specs[id], self.machine(id)
        up = machine.observed in {Observed.ON, Observed.STARTING}
        return FoundMachine(
            id=id,
            key=spec.key,
            observed=machine.observed,
            name=spec.name,
            owner=spec.owner,
            profile=spec.profile,
            template=spec.template.name,
            parameters=spec.parameters,
            instance_type=spec.instance_type,
            spot=spec.spot,
            root_gb=spec.root_gb,
            root_type=spec.root_type,
            hibernation=spec.hibernation,
            project=spec.project,
            budget=spec.budget,
            idle_profile=spec.idle_profile,
            launched_at=spec.launched_at,
            started_at=machine.since if up else None,
            ends_at=spec.ends_at,
            stops_at=self.expiry(id),
            at_home=self.at_home,
        )

    # Changes that tests make without the daemon.

    def change_type(self, id: str, instance_type: str) -> None:
        """Changes its type, as a user of the provider's own tools does."""
        with self._lock:
            self._specs[id] = replace(self._specs[id], instance_type=instance_type)

    def machine(self, id: str) -> Machine:
        """The machine as it is now, even if surveys hide it."""
        with self._lock:
            now = self.clock.now()
            self._expire(id, now)
            seen, stage, progress, failure = self._changes[id].at(now)
            return Machine(
                id=id,
                key=self._specs[id].key,
                observed=seen,
                private_ip=HOST if seen is Observed.ON else None,
                stage=stage,
                progress=progress,
                failure=failure,
                idle=self._idle.get(id),
                interrupted=seen is Observed.OFF and id in self._interrupted,
                charged=self._changes[id].is_hibernating(now),
                since=self._changes[id].since(now) if self.reports_times else None,
                started=self._came_up(id, now) if self.reports_times else None,
                type=self._specs[id].instance_type,
                notes=self.notes.get(id, ()),
            )

    def _came_up(self, id: str, now: datetime) -> datetime | None:
        up = self._up.get(id)
        return up if up is not None and up <= now else None

    def set_state(
        self,
        id: str,
        seen: Observed,
        failure: WorkspaceFailure | None = None,
        at: datetime | None = None,
    ) -> None:
        """Changes its state from outside, such as by its console or a failure."""
        with self._lock:
            now = self.clock.now()
            was = self._changes[id].at(now)[0]
            at = at or now
            self._changes[id] = Change(now, at, was if at > now else seen, Observed(seen), failure)
            self._interrupted.discard(id)

    def reboot(self, id: str, failure: WorkspaceFailure) -> None:
        """Restarts its computer while it runs."""
        with self._lock:
            self.set_state(id, Observed.OFF, failure)
            self._interrupted.add(id)

    def vanish(self, id: str) -> None:
        """Removes it from all surveys."""
        with self._lock:
            del self._specs[id], self._born[id], self._changes[id]
            self._expiry.pop(id, None)

    def report_idleness(self, id: str, idle: Idleness) -> None:
        """Sets the idleness that the machine reports."""
        with self._lock:
            self._idle[id] = idle

    def rule(self, id: str) -> IdleRule | None:
        """Its idle rule."""
        return self._rules.get(id)

    def ordered(self, id: str) -> MachineSpec:
        """Its spec."""
        return self._specs[id]

    def expiry(self, id: str) -> datetime | None:
        """The time at which it stops or hibernates by itself."""
        at, _ = self._expiry.get(id, (None, None))
        return at

    def _seen(self, id: str) -> Observed:
        return self.machine(id).observed if id in self._specs else Observed.GONE

    def _come_up(self, id: str) -> None:
        broken = self.faults.broken
        self._interrupted.discard(id)
        self._change(id, Observed.STARTING, Observed.BROKEN if broken else Observed.ON, broken)
        if not broken:
            self._up[id] = self._changes[id].ends

    def _go_down(self, id: str, then: Observed) -> None:
        if self._seen(id) in {Observed.ON, Observed.STARTING}:
            self._change(id, Observed.STOPPING, then)

    def _change(
        self, id: str, meanwhile: Observed, then: Observed, failure: WorkspaceFailure | None = None
    ) -> None:
        now = self.clock.now()
        self._changes[id] = Change(now, now + self.faults.slow, meanwhile, then, failure)

    def _expire(self, id: str, now: datetime) -> None:
        at, then = self._expiry.get(id, (None, Observed.OFF))
        if at and now >= at and self._changes[id].at(now)[0] is Observed.ON:
            self._changes[id] = Change(at, at, then, then)
            del self._expiry[id]

    @contextmanager
    def _record_call(self, call: str) -> Iterator[None]:
        with self._lock:
            self.calls.append(call)
            if self.faults.down:
                raise Unavailable("The cloud does not answer")
            yield
            if self.faults.lose_replies and call.partition(" ")[0] not in LOOKS:
                self.faults.lose_replies -= 1
                raise Unavailable("The connection dropped")


@dataclass
class MemoryComputer(MemoryCompute):
    """As this computer: it looks at a single machine, and creates it with its idle rule."""

    has_rule: bool = True

    def look_at(self, id: str) -> Machine | None:
        """The machine, or None if only a survey can find it."""
        with self._record_call(f"look_at {id}"):
            return self.machine(id) if id in self._specs else None
