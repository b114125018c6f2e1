"""The workspaces of one lab server: each request is one command there."""

import logging
import re
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, structs, to_builtins

from prism.agent.protocol import (
    ALIVE,
    MachineIntent,
    ObservedMachine,
    Room,
)
from prism.catalog.plan import machine_type
from prism.connections.ports import Address
from prism.errors import Problem, Unavailable
from prism.kit.clock import WallClock
from prism.providers.idle_documents import encoded
from prism.providers.local.adoption import LaunchRecord, SpecRecord, found_machine
from prism.providers.local.ssh.gate import FORWARDED_HOSTS, SshGate
from prism.providers.ssh.commands import AnswerInvalid
from prism.providers.ssh.server import LabServer
from prism.providers.supervised import (
    CHANGING,
    FROM_TEMPLATE,
    HOST,
    first_intent,
    is_pending,
    limits_of,
    machine_of_report,
    supervised_spec,
    without_supervisor,
)
from prism.providers.tunnels.forwards import Forwards, ForwardTarget
from prism.recovery.model import FoundMachine
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import Observed
from prism.workspaces.ports import Access, Machine, MachineSpec, ServiceEndpoint

log = logging.getLogger(__name__)
MACHINE_ID = re.compile(r"ssh-[0-9a-f]{17}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{20,200}")
MOST_MACHINES = 2000
GPUS_FRESH = 20.0  # seconds after which a survey asks for GPUs again
PORTS_FRESH, MOST_REACHED = 1.5, 1000  # seconds for which a port is known; how many are
# A clock there that differs less than this counts as right: the network takes time too.
CLOCK_TOLERANCE, CLOCK_STEP = 20.0, 10.0
MOST_CLOCK_DIFFERENCE = 100 * 366 * 86400.0  # a clock that was never set is in 1970
# What a document may have instead of what is expected; such a machine is skipped.
ABSURD_DOCUMENT = (ArithmeticError, LookupError, TypeError, ValueError)
WORKSPACE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
SERVICE_NAME = re.compile(r"[a-z0-9-]{1,64}")
MOST_SERVICES = 32  # of one machine
MINUTE = 60.0


class SurveyedMachine(Struct, frozen=True):
    """A machine as the server reports it; each document is checked by itself."""

    id: str
    alive: bool
    report: Any = None
    intent: Any = None
    spec: Any = None


class LabLaunchAnswer(Struct, frozen=True):
    """A machine that is there now, and whether this launch made it."""

    is_new: bool
    machine: SurveyedMachine


class MachineReport(Struct, frozen=True):
    """The services of a machine that is on, and their secret."""

    report: ObservedMachine
    token: str


class ReachedPort(Struct, frozen=True):
    """Where a tunnel reaches a port of a machine, on the server's loopback."""

    host: Literal["127.0.0.1", "::1"]
    port: Annotated[int, Meta(ge=1, le=65535)]
    listener: Annotated[str, Meta(max_length=40)]


class KnownPort(Struct, frozen=True):
    """What the server said of a port, for a moment."""

    until: float
    end: ReachedPort | None


class SurveyAnswer(Struct, frozen=True):
    """All machines, the clock of the server, and what is free there."""

    time: float
    machines: list[SurveyedMachine]
    room: Any = None
    identity: str = ""


class LabCompute:
    """Implements `workspaces.ports.Compute`, `connections.ports.PortFinder` and `ServesSsh`."""

    busy = timedelta(seconds=1)
    calm = timedelta(seconds=30)
    patience = timedelta(seconds=30)

    def __init__(
        self,
        server: LabServer,
        gate: SshGate,
        ports: Path,
        *,
        remembered: timedelta,
        forwards: Forwards,
        minute: float = MINUTE,
    ) -> None:
        """`gate` serves SSH into its machines, and keeps their last ports in the folder `ports`.

        A `minute` of idle rules has fewer seconds in tests.
        """
        self._gate, self._port_files = gate, ports
        self._server, self._remembered, self._minute = server, remembered, minute
        self.forwards = forwards
        self._found: Mapping[str, FoundMachine] = {}
        self._running: Mapping[str, str] = {}
        self._reached: dict[tuple[str, int], KnownPort] = {}
        self.room: Room | None = None
        """What the server had, and what was held, at the last survey; makes no call."""
        self.identity: str | None = None
        """What no other server has, at the last survey."""
        self.is_away = False
        """Whether the last survey failed."""
        self._gpus_due = 0.0  # when the next survey also asks for GPUs, which takes a while
        self._offset = 0.0  # how much the server's clock is ahead of ours

    def survey(self) -> Sequence[Machine]:
        """Every machine; the server starts supervisors that are missing. One command."""
        answer = self._surveyed()
        self._offset = _clock_offset(answer.time - WallClock().now().timestamp())
        machines: list[Machine] = []
        records, running = {}, {}
        for surveyed in answer.machines[:MOST_MACHINES]:
            if MACHINE_ID.fullmatch(surveyed.id) is None:
                continue
            try:
                machine, spec, record = self._read(surveyed)
            except ABSURD_DOCUMENT as why:
                log.warning("%s: %s cannot be read: %s", self._server.name, surveyed.id, why)
                continue
            machines.append(machine)
            if record is not None:
                records[machine.id] = record
            if machine.observed is Observed.ON and spec is not None:
                running[machine.id] = spec.name
        self._found = records
        self.forwards.settle(running)
        self._keep_port_files({machine.id for machine in machines}, running)
        changed, self._running = running != self._running, running
        if changed:
            self._gate.look()
        return machines

    def launch(self, spec: MachineSpec) -> Machine:
        """Make the folder and its supervisor on the server, unless they exist."""
        id = machine_id(spec.key)
        record = {field: getattr(spec, field) for field in LaunchRecord.__struct_fields__}
        intent = first_intent(spec)
        answer = self._server.call(
            "launch",
            kind=LabLaunchAnswer,
            uv=self._server.uv(),
            id=id,
            spec=supervised_spec(spec, self._limits(spec.instance_type), record),
            intent={**intent, "expires_at": self._there(intent.get("expires_at"))},
            rule=self._rule(spec.idle),
        )
        starting = Machine(id=id, key=spec.key, observed=Observed.STARTING, progress=0)
        if not answer.is_new and answer.machine.id == id:
            with suppress(*ABSURD_DOCUMENT):  # the next survey says so
                return self._read(answer.machine)[0]
        return structs.replace(starting, has_rule=answer.is_new)

    def start(self, id: str) -> None:
        """Request that a machine is on, started from its disk."""
        self._request(id, "on")

    def stop(self, id: str) -> None:
        """Request that a machine is off."""
        self._request(id, "off")

    def hibernate(self, id: str) -> None:
        """Request that its programs are frozen with their memory, which stays the server's."""
        self._request(id, "asleep")

    def terminate(self, id: str) -> None:
        """Request that a machine is gone; this request is final."""
        self._request(id, "gone")

    def change_template(self, id: str, spec: MachineSpec) -> None:
        """Write the template into the machine's spec."""
        written = supervised_spec(spec, self._limits(spec.instance_type), {})
        fields = {name: value for name, value in written.items() if name in FROM_TEMPLATE}
        self._describe(id, fields, {})

    def expire(self, id: str, at: datetime | None, action: Literal["hibernate", "stop"]) -> None:
        """Tell the supervisor when and how to end its run, also without a daemon."""
        due = self._there(None if at is None else at.timestamp())
        self._server.call("expire", kind=type(None), id=id, at=due, action=action)

    def resize(self, id: str, instance_type: str) -> None:
        """Store new limits, which apply from the next start."""
        limits = self._limits(instance_type)
        self._describe(id, {"limits": limits}, {"instance_type": instance_type})

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Send the rule to the supervisor, which follows it without a daemon."""
        self._server.call("watch", kind=type(None), id=id, rule=self._rule(rule))

    def describe(self, id: str, spec: MachineSpec) -> None:
        """Write the metadata into the machine's spec."""
        self._describe(id, {}, {field: to_builtins(getattr(spec, field)) for field in CHANGING})

    def access(self, id: str) -> Access:
        """The services that answer now, at ports of this computer, with their secrets."""
        [machine] = self._server.call("access", kind=tuple[MachineReport | None], id=id)
        if machine is None:
            raise Unavailable(f"Machine {id} is not on")
        if WORKSPACE_NAME.fullmatch(machine.report["name"]) is None:
            raise AnswerInvalid(f"{self._server.name} names a workspace as Prism names none")
        secret = machine.token if TOKEN.fullmatch(machine.token) else None
        endpoints: dict[str, ServiceEndpoint] = {}
        for name, service in machine.report.get("services", {}).items():
            port, is_named = service.get("port"), SERVICE_NAME.fullmatch(name) is not None
            if len(endpoints) == MOST_SERVICES or not is_named:
                continue
            if service.get("answered") and port is not None and 0 < port < 1 << 16:
                endpoints[name] = ServiceEndpoint(
                    url=f"http://{HOST}:{self._tunnel(id, port)}",
                    port=port,
                    token=secret if service.get("token") else None,
                )
        return self._gate.access(id, machine.report["name"], endpoints)

    async def serve_ssh(self, id: str, connection: socket.socket) -> None:
        """Implements `connections.ports.ServesSsh`."""
        await self._gate.serve(id, connection)

    def address_of(self, id: str, port: int) -> Address | None:
        """The local end of a tunnel to a port on which something of that machine listens."""
        if MACHINE_ID.fullmatch(id) is None:
            return None
        known = self._reached.get((id, port))
        if known is None or time.monotonic() > known.until:
            if len(self._reached) > MOST_REACHED:
                self._reached.clear()
            [end] = self._server.call("reach", kind=tuple[ReachedPort | None], id=id, port=port)
            if known is not None and known.end is not None and known.end != end:
                self.forwards.forget(_target(id, known.end))
            known = self._reached[id, port] = KnownPort(time.monotonic() + PORTS_FRESH, end)
        if (end := known.end) is None:
            return None
        local = self.forwards.port(_target(id, end))
        return Address(host=HOST, port=local, listener=f"{id} {end.listener}")

    def target(self, id: str, host: str, port: int) -> Address | None:
        """The address to which an SSH client's forwarding leads: a port of this machine."""
        return self.address_of(id, port) if host in FORWARDED_HOSTS else None

    def found(self, ids: Collection[str]) -> Sequence[FoundMachine]:
        """Implements `RecoverableLocation`, from the specs on the server."""
        known = self._found
        return [known[id] for id in ids if id in known]

    def running(self) -> Mapping[str, str]:
        """The names of the machines that were on at the last survey, by id."""
        return self._running

    def _surveyed(self) -> SurveyAnswer:
        """Ask the server, and note what it is and what is free there."""
        if with_gpus := (now := time.monotonic()) >= self._gpus_due:
            self._gpus_due = now + GPUS_FRESH
        seconds = self._remembered.total_seconds()
        try:
            answer = self._server.call(
                "survey", kind=SurveyAnswer, remembered=seconds, with_gpus=with_gpus
            )
        except Problem:
            self.is_away, self._gpus_due = True, 0.0
            raise
        self.is_away, self.identity = False, answer.identity or None
        self._note_room(answer.room, with_gpus=with_gpus)
        return answer

    def _note_room(self, document: Any, *, with_gpus: bool) -> None:
        room, before = _decoded(document, Room), self.room
        if room and before and "gpus" in before and not with_gpus:
            given_back = _held_gpus(before) - _held_gpus(room)
            room["gpus"] = [
                {**gpu, "is_used": gpu["is_used"] and gpu["id"] not in given_back}
                for gpu in before["gpus"]
            ]
            if given_back:  # whether they are really free is asked again
                self._gpus_due = 0.0
        self.room = room

    def _keep_port_files(self, ids: Collection[str], running: Collection[str]) -> None:
        """A folder for the last SSH port of each machine."""
        for id in running:
            (self._port_files / id).mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._port_files.is_dir():
            for path in self._port_files.iterdir():
                if path.name not in ids:
                    with suppress(OSError):
                        (path / "ssh_port").unlink(missing_ok=True)
                        path.rmdir()

    def _read(
        self, surveyed: SurveyedMachine
    ) -> tuple[Machine, SpecRecord | None, FoundMachine | None]:
        """A machine with its spec and its record; raises `ABSURD_DOCUMENT`."""
        machine, spec = self._machine(surveyed)
        if machine is None:
            raise ValueError("it has neither a report nor a spec")
        if any(machine_id(known.key) != surveyed.id for known in (machine, spec) if known):
            raise ValueError("it is the copy of another folder, or has the key of another one")
        if spec is None:
            return machine, None, None
        return (
            machine,
            spec,
            found_machine(machine, spec, _decoded(surveyed.intent, MachineIntent)),
        )

    def _machine(self, surveyed: SurveyedMachine) -> tuple[Machine | None, SpecRecord | None]:
        """A machine from its documents; without a report or a spec it cannot be known."""
        spec = _decoded(surveyed.spec, SpecRecord)
        report = _decoded(surveyed.report, ObservedMachine)
        intent = _decoded(surveyed.intent, MachineIntent)
        if report is None:
            if spec is None:
                return None, None
            if surveyed.alive:
                starting = Machine(id=surveyed.id, key=spec.key, observed=Observed.STARTING)
                return starting, spec
            return without_supervisor(surveyed.id, spec.key, spec.name), spec
        phase = report["phase"]
        needs = phase in ALIVE or (is_pending(report, intent) and phase != "gone")
        if needs and not surveyed.alive:
            return without_supervisor(surveyed.id, report["key"], report["name"]), spec
        machine = machine_of_report(surveyed.id, report)
        return structs.replace(
            machine, since=self._here(machine.since), started=self._here(machine.started)
        ), spec

    def _request(self, id: str, state: str) -> None:
        if MACHINE_ID.fullmatch(id):
            uv = self._server.uv()
            self._server.call("request", kind=type(None), uv=uv, id=id, state=state)

    def _describe(self, id: str, fields: Any, launched: Any) -> None:
        self._server.call("describe", kind=type(None), id=id, fields=fields, launched=launched)

    def _limits(self, instance_type: str) -> dict[str, int]:
        return limits_of(machine_type(instance_type))

    def _rule(self, rule: IdleRule | None) -> Any:
        settings = msgspec.json.decode(encoded(rule, self._minute))
        if settings:
            settings["awake_until"] = self._there(settings.get("awake_until"))
        return settings

    def _tunnel(self, id: str, port: int) -> int:
        return self.forwards.port(ForwardTarget(id, HOST, port))

    def _there(self, at: float | None) -> float | None:
        """A time by the server's clock."""
        return None if at is None else at + self._offset

    def _here(self, at: datetime | None) -> datetime | None:
        return None if at is None else at - timedelta(seconds=self._offset)


def machine_id(key: str) -> str:
    """The id of the machine with this key; always the same."""
    return f"ssh-{sha256(key.encode()).hexdigest()[:17]}"


def _target(id: str, end: ReachedPort) -> ForwardTarget:
    return ForwardTarget(id, end.host, end.port)


def _held_gpus(room: Room) -> set[str]:
    return {gpu for holder in room["holders"] for gpu in holder["gpus"]}


def _clock_offset(difference: float) -> float:
    """How much another clock is ahead, in steps, so that it is the same at each look."""
    if not CLOCK_TOLERANCE <= abs(difference) <= MOST_CLOCK_DIFFERENCE:  # NaN is not, either
        return 0.0
    return round(difference / CLOCK_STEP) * CLOCK_STEP


def _decoded(document: Any, kind: Any) -> Any:
    """A document of the server; None if it is missing or no such document."""
    try:
        return msgspec.convert(document, kind, strict=False)
    except msgspec.ValidationError:
        return None
