"""A workspace is a folder and a supervisor; hibernating freezes it with its memory.

Nothing here waits for a machine: the intent is written into its folder, its supervisor is started
or notified, and `survey` reads what the supervisor reports. Memory has only what files contained
when they were last read, so a daemon that dies loses nothing.
"""

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

from prism.agent.machine.slots import slot_of
from prism.agent.protocol import (
    ALIVE,
    INTENT,
    OBSERVED,
    PROTOCOL_VERSION,
    MachineIntent,
    ObservedMachine,
    SleepAction,
    Stamp,
    State,
    next_intent,
    poke,
    stamp,
    supervisor_pid,
)
from prism.catalog.plan import machine_type
from prism.connections.ports import Address
from prism.errors import Problem, Unavailable
from prism.kit.network.workspace_network import publish
from prism.kit.network.workspace_peers import WorkspacePeers
from prism.providers.local import folder as folders
from prism.providers.local import ports, supervision
from prism.providers.local.adoption import machine_of_folder
from prism.providers.local.folder_setup import (
    MachineOptions,
    change_template,
    change_type,
    describe,
    give_gpus,
    limits_of_type,
    make,
    remove_old,
    update_installation,
)
from prism.providers.local.gpus import granted_gpus
from prism.providers.local.offer import machine_id
from prism.providers.local.report_listener import ReportListener
from prism.providers.local.ssh.gate import FORWARDED_HOSTS, SshGate, SshSource
from prism.providers.local.storage.file_replacement import FileReplacements, FilesNotReplaced
from prism.providers.local.storage.mounted_folders import workspace_folder
from prism.providers.local.supervisor_server import SupervisorServer
from prism.providers.supervised import (
    HOST,
    is_pending,
    machine_of_report,
    without_supervisor,
)
from prism.recovery.model import FoundMachine
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import HibernationNotSupported, Observed
from prism.workspaces.ports import Access, Machine, MachineSpec, ProviderRefused, ServiceEndpoint

if TYPE_CHECKING:
    from asyncssh import SSHServerSession

log = logging.getLogger(__name__)
MACHINE_ID = re.compile(r"local-[0-9a-f]{17}")
DRAFT = re.compile(r"\.local-[0-9a-f]{17}-[0-9a-f]{8}")  # of a launch, or of a removal
REMEMBERED = timedelta(hours=1)  # also for drafts of a daemon that died
REVIVAL = timedelta(seconds=0.4)
LOOK_AT_ALL = 30.0


class FreezeRefused(HibernationNotSupported, ProviderRefused):
    """A process of the workspace could not be frozen."""


class CachedMachine(Struct, frozen=True):
    """A machine as read from its files, and the stamps of the files then."""

    stamps: tuple[Stamp | None, Stamp | None]
    machine: Machine
    name: str
    supervised: bool  # whether there must be a supervisor
    sandboxed: bool  # whether its programs run in a sandbox, or that is not known yet
    own_network: bool  # whether its sandboxed programs are known to have a network of their own


class PublishedPort(NamedTuple):
    """A port of a machine that its gateway publishes."""

    network: str  # the path of the gateway's socket
    began: Stamp | None  # of that file: a start makes it anew
    port: int


class LocalCompute:
    """Implements `workspaces.ports.Compute`, and `connections.ports.PortFinder`."""

    busy = timedelta(seconds=0.25)
    calm = timedelta(seconds=5)
    patience = timedelta(seconds=1)

    def __init__(
        self,
        root: Path,
        cache: Path | None = None,
        *,
        grace: float = 10,
        sandbox: bool = True,
        minute: float = 60,
        remembered: timedelta = REMEMBERED,
        environ: Mapping[str, str] = supervision.NO_VARIABLES,
    ) -> None:
        """`remembered` is how long a destroyed machine is surveyed; never more than an hour.

        `environ` has settings for supervisors, as variables.
        """
        self.environ = environ
        self.on_launch: Callable[[], None] = lambda: None
        """Called when a new machine was made."""
        self.on_news: Callable[[Sequence[Machine]], object] = lambda _: None
        """Called with machines whose supervisor reported something new, or was replaced."""
        self._root, self._minute = root.absolute(), minute
        self._remembered = min(remembered, REMEMBERED)
        cache = cache or self._root.parent / "cache"
        self._options = MachineOptions(cache=cache, grace=grace, sandbox=sandbox, minute=minute)
        self._replacements = FileReplacements(self._root.parent / "storage" / "snapshots")
        self._cached: dict[str, CachedMachine] = {}
        self.disk = workspace_folder(self._root)
        """Whether the disk with the workspaces is there."""
        self._surveyed = False
        self._look_at_all_at = 0.0  # when no machine is believed to be as it was
        self._writing = threading.Lock()
        self._reports = ReportListener(self._root.parent, self._has_news)
        self._server: SupervisorServer | None = None
        self._published: dict[tuple[str, int], PublishedPort] = {}  # by machine and its port
        self.peers = WorkspacePeers(self._sandboxed, self._supervisors, self._networked)
        """Tells which connections to the daemon come from a workspace."""
        self.ssh = SshGate(self._root.parent, self._ssh_source())
        """The SSH ports; the application opens them in its event loop."""

    def survey(self) -> Sequence[Machine]:
        """Every folder of a machine, also a destroyed one; starts supervisors that are missing."""
        try:
            self.disk.require()
        except Problem:
            self._look_at_all_at = 0.0
            raise
        names = [*self._machine_ids()]
        machines = self._unchanged(names)
        machines |= self._machines(name for name in names if name not in machines)
        for name, machine in machines.items():
            # A supervisor could still write its last report into the folder.
            path = self._root / name
            if machine.observed is Observed.GONE and not supervisor_pid(str(path)):
                remove_old(path, self._remembered)
        retained = {name: self._cached[name] for name in machines if name in self._cached}
        forgotten, self._cached = len(retained) < len(self._cached), retained
        self._surveyed = True
        if forgotten:
            self.ssh.look()
        return list(machines.values())

    def _machines(self, names: Iterable[str]) -> dict[str, Machine]:
        """Machines by name; starts supervisors that are missing."""
        machines, lost = {}, []
        for name in names:
            if (machine := self._look(name)) is None:
                lost.append(name)
            else:
                machines[name] = machine
        supervision.revive(
            [self._root / name for name in lost],
            REVIVAL.total_seconds(),
            self.environ,
            self._server,
        )
        for name in lost:
            if machine := self._look(name) or self._without_supervisor(name):
                machines[name] = machine
        return machines

    def _unchanged(self, names: Iterable[str]) -> dict[str, Machine]:
        """Those of these machines that are as they were last seen, because nothing else was heard.

        What is not told, such as figures of an idle machine, is read every `LOOK_AT_ALL` seconds.
        """
        if (now := time.monotonic()) >= self._look_at_all_at:
            self._look_at_all_at = now + LOOK_AT_ALL
            return {}
        cached = ((name, self._cached.get(name)) for name in names)
        return {
            name: entry.machine
            for name, entry in cached
            if entry is not None and entry.supervised and self._reports.follows(name)
        }

    def listen(self) -> None:
        """Hear of changes at once, and start supervisors fast, from now on until `close`."""
        self._server = SupervisorServer(self._root, len(machine_id("")))
        self._reports.start()

    def _has_news(self, names: Collection[str]) -> None:
        self.disk.require()
        present = [name for name in names if self._folder(name)]
        if machines := self._machines(present):
            self.on_news([*machines.values()])

    def folder_ids(self) -> set[str]:
        """The ids of all folders of machines."""
        return set(self._machine_ids())

    def look_at(self, id: str) -> Machine | None:
        """The machine of one folder; None without a supervisor, which a survey starts."""
        self.disk.require()
        return self._look(id) if self._folder(id) else None

    def launch(self, spec: MachineSpec) -> Machine:
        """Make the folder and its supervisor, unless they exist."""
        self.disk.require()
        id = machine_id(spec.key)
        if is_new := self._make(self._root / id, spec):
            self.disk.require()  # from now on it is known that the disk holds something
            self.on_launch()
        if self._look(id) is None:
            supervision.ensure(self._root / id, self.environ, self._server)
        starting = Machine(id=id, key=spec.key, observed=Observed.STARTING, progress=0)
        return structs.replace(self._look(id) or starting, has_rule=is_new)

    def start(self, id: str) -> None:
        """Request that a machine is on: resumed, or started from its disk."""
        if folder := self._folder(id):
            update_installation(folder, self._options.cache)
        self._request_state(id, "on")

    def stop(self, id: str) -> None:
        """Request that a machine is off."""
        self._request_state(id, "off")

    def hibernate(self, id: str) -> None:
        """Request that a machine is frozen; if that failed before, this raises."""
        if (folder := self._folder(id)) is None:
            return
        with self._writing:
            current, report = folders.read_intent(folder), folders.read_report(folder)
            if current and report and (why := _freeze_failure(current, report)):
                folders.write_intent(folder, {**current, "run": current["run"] + 1, "state": "on"})
                raise FreezeRefused(why)
        self._request_state(id, "asleep")

    def terminate(self, id: str) -> None:
        """Request that a machine is gone; this request is final."""
        self._request_state(id, "gone")

    def change_template(self, id: str, spec: MachineSpec) -> None:
        """Write the template into the machine's spec."""
        if folder := self._folder(id):
            change_template(folder, spec, self._options)

    def replace_files(self, id: str, snapshot: str, token: str) -> bool:
        """Implements `workspaces.ports.ReplacesFiles`: its files are its home."""
        if (folder := self._folder(id)) is None:
            raise FilesNotReplaced(f"There is no machine {id} here")
        try:
            return self._replacements.advance(folder, snapshot, token)
        except OSError as error:
            raise Unavailable(f"The files of {id} cannot be replaced: {error}") from error

    def close(self) -> None:
        """Stop copies, and hear nothing more; machines keep running."""
        self._reports.stop()
        if self._server:
            self._server.close()
        self._replacements.close()

    def expire(self, id: str, at: datetime | None, action: SleepAction) -> None:
        """Tell the supervisor when to stop the machine, also without a daemon."""
        with self._writing:
            if (folder := self._folder(id)) and (current := folders.read_intent(folder)):
                due = None if at is None else at.timestamp()
                intent: MachineIntent = {**current, "expires_at": due, "expire_action": action}
                if intent != current and current["state"] != "gone":
                    folders.write_intent(folder, intent)
                    poke(folder)

    def resize(self, id: str, instance_type: str) -> None:
        """Store new limits, which apply from the next start."""
        if folder := self._folder(id):
            change_type(folder, instance_type)

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Send the rule to the supervisor; a minute has fewer seconds in tests."""
        with self._writing, suppress(FileNotFoundError):  # its folder is being removed
            if (folder := self._folder(id)) and folders.write_rule(folder, rule, self._minute):
                poke(folder)

    def describe(self, id: str, spec: MachineSpec) -> None:
        """Write the metadata into the machine's spec."""
        if folder := self._folder(id):
            describe(folder, spec)

    def access(self, id: str) -> Access:
        """The services that answer now, with their secrets."""
        folder = self._folder(id)
        report = folders.read_report(folder) if folder else None
        if folder is None or report is None or report["phase"] != "on":
            raise Unavailable(f"Machine {id} is not on")
        secret = folders.read_token(folder)
        endpoints = {
            name: ServiceEndpoint(
                url=f"http://{HOST}:{port}", token=secret if service.get("token") else None
            )
            for name, service in report.get("services", {}).items()
            if service.get("answered")
            and (port := service.get("port"))
            and ports.address_of(folder, port)
        }
        return self.ssh.access(id, report["name"], endpoints)

    async def serve_ssh(self, id: str, connection: socket.socket) -> None:
        """Implements `connections.ports.ServesSsh`."""
        await self.ssh.serve(id, connection)

    def address_of(self, id: str, port: int) -> Address | None:
        """The address of a port, if programs of this machine listen there."""
        folder = self._folder(id)
        return ports.address_of(folder, port) if folder else None

    def found(self, ids: Collection[str]) -> Sequence[FoundMachine]:
        """Implements `RecoverableLocation`, from the specs of these machines."""
        cached = self._cached  # read once: a survey replaces it
        machines = {id: cached[id].machine for id in ids if id in cached}
        looked = [machine_of_folder(self._root / id, machine) for id, machine in machines.items()]
        return [machine for machine in looked if machine is not None]

    def _sandboxed(self) -> bool:
        """Whether anything runs in a sandbox; before the first survey, whether it might."""
        if not self._surveyed:
            return folders.LINUX and self._root.is_dir()
        cached = tuple(self._cached.values())
        return folders.LINUX and any(entry.supervised and entry.sandboxed for entry in cached)

    def _networked(self) -> bool:
        """Whether all sandboxed programs have a network of their own, by the current files."""
        for name in filter(MACHINE_ID.fullmatch, os.listdir(self._root)):
            cached_machine, stamps = self._cached.get(name), _stamps(f"{self._root}/{name}")
            if cached_machine is None or cached_machine.stamps != stamps:
                cached_machine = self._read(name, stamps)
            if cached_machine is None or not cached_machine.own_network:
                return False
        return True

    def _supervisors(self) -> set[int]:
        names = filter(MACHINE_ID.fullmatch, os.listdir(self._root))
        return {supervisor_pid(f"{self._root}/{name}") for name in names} - {0}

    def _running(self) -> dict[str, str]:
        """The names of the machines that were on at the last survey, by id."""
        cached = dict(self._cached)
        return {
            id: cached_machine.name
            for id, cached_machine in cached.items()
            if cached_machine.machine.observed is Observed.ON
        }

    def published(self, id: str, address: Address) -> int:
        """Implements `connections.ports.PublishesPorts`; a start publishes the services' ports."""
        folder = self._folder(id)
        report = folders.read_report(folder) if folder else None
        services = report.get("services", {}).values() if report else ()
        if any(service.get("port") == address.port for service in services):
            return address.port
        began, key = stamp(address.network), (id, address.port)
        with self._writing:
            known = self._published.get(key)
            if known is None or known.began != began:  # started anew, with another network
                port = publish(address.network, address.port)
                known = PublishedPort(address.network, began, port)
                self._published = {
                    **{k: v for k, v in self._published.items() if stamp(v.network) == v.began},
                    key: known,
                }
        return known.port

    def _ssh_source(self) -> SshSource:
        return SshSource(
            running=self._running,
            may_reach=self._target,
            folder=self._root,
            session=self._session,
        )

    def _session(self, id: str) -> "SSHServerSession[bytes]":
        from prism.providers.local.ssh.session import Session  # noqa: PLC0415  cold start: asyncssh

        return Session(self._root / id)

    def _target(self, id: str, host: str, port: int) -> Address | None:
        """The address to which an SSH client's forwarding leads: a port of this machine."""
        if host not in FORWARDED_HOSTS or (folder := self._folder(id)) is None:
            return None
        if (report := folders.read_report(folder)) and (spec := folders.read_spec(folder)):
            by_port = {
                service.get("port"): report.get("services", {}).get(name)
                for name, service in spec.get("services", {}).items()
            }
            port = (by_port.get(port) or {}).get("port") or port
        return self.address_of(id, port)

    def _request_state(self, id: str, state: State) -> None:
        if (folder := self._folder(id)) is None:
            return
        with self._writing:
            current, report = folders.read_intent(folder), folders.read_report(folder)
            if intent := next_intent(state, current, report):
                if state == "on":
                    self._give_gpus(folder, current, report)
                folders.write_intent(folder, intent)
        if intent or self._look(id) is None:
            supervision.ensure(folder, self.environ, self._server)
            self._look(id)

    def _make(self, folder: Path, spec: MachineSpec) -> bool:
        if not machine_type(spec.instance_type).gpus or folder.exists():
            return make(folder, spec, self._options)
        with self._writing:  # until it is there: no other one is given the same GPU
            limits = limits_of_type(spec.instance_type)
            gpus = granted_gpus(limits, self._folders()) if spec.starts else []
            return make(folder, spec, self._options, gpus)

    def _give_gpus(
        self, folder: Path, intent: MachineIntent | None, report: ObservedMachine | None
    ) -> None:
        """Choose GPUs for a machine that is down; call it under the lock."""
        spec = folders.read_spec(folder)
        if spec and slot_of(folder.name, spec, intent, report) is None:
            gpus = granted_gpus(spec.get("limits", {}), self._folders())
            if gpus is not None:
                give_gpus(folder, gpus)

    def _folders(self) -> Iterator[Path]:
        return (self._root / name for name in self._machine_ids())

    def _folder(self, id: str) -> Path | None:
        path = self._root / id
        return path if MACHINE_ID.fullmatch(id) and path.is_dir() else None

    def _machine_ids(self) -> Iterator[str]:
        try:
            with os.scandir(self._root) as entries:
                names = [entry.name for entry in entries]
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(f"The workspaces of this machine cannot be read: {error}") from error
        for name in names:
            if MACHINE_ID.fullmatch(name):
                yield name
            elif DRAFT.fullmatch(name):  # the folder may be a link to one with other things
                remove_old(self._root / name, REMEMBERED)

    def _look(self, name: str) -> Machine | None:
        """A machine as its supervisor reports it; None if the supervisor is missing."""
        path = f"{self._root}/{name}"
        stamps = _stamps(path)
        cached = self._cached.get(name)
        if cached is None or cached.stamps != stamps:
            if (cached := self._read(name, stamps)) is None:
                return None
            self._cached[name] = cached
            self.ssh.look()
        if cached.supervised:
            if not (process := supervisor_pid(path)):
                if stamps == _stamps(path):
                    return None
                return self._look(name)  # it ended normally between the two reads
            self._reports.follow(name, process)
        return cached.machine

    def _read(self, name: str, stamps: tuple[Stamp | None, Stamp | None]) -> CachedMachine | None:
        folder = self._root / name
        report, intent = folders.read_report(folder), folders.read_intent(folder)
        if report is None:
            return None
        if report.get("protocol", 0) > PROTOCOL_VERSION:
            log.warning("%s runs under a newer Prism, whose words may mean something else", name)
        phase, pending = report["phase"], is_pending(report, intent)
        machine = machine_of_report(name, report)
        supervised = phase in ALIVE or (pending and phase != "gone")
        sandboxed = not (report.get("sandbox") or "").startswith("none")
        own_network = not supervised or (not pending and is_networked(report))
        return CachedMachine(stamps, machine, report["name"], supervised, sandboxed, own_network)

    def _without_supervisor(self, name: str) -> Machine | None:
        """A machine whose supervisor died and was not replaced yet."""
        folder = self._root / name
        report = folders.read_report(folder) or folders.read_spec(folder)
        if report is None:
            return None
        return without_supervisor(name, report["key"], report["name"])


def is_networked(report: ObservedMachine) -> bool:
    """Whether the supervisor reports that no sandboxed program uses our network."""
    sandbox = report.get("sandbox")
    if report["phase"] not in ALIVE or sandbox is None:  # the report is about an earlier run
        return False
    return sandbox.startswith("none") or report.get("network") == "own"


def _stamps(path: str) -> tuple[Stamp | None, Stamp | None]:
    return stamp(f"{path}/{OBSERVED}"), stamp(f"{path}/{INTENT}")


def _freeze_failure(intent: MachineIntent, report: ObservedMachine) -> str | None:
    """Why the supervisor could not freeze the machine for the current intent."""
    tried = (
        intent["state"] == "asleep" and report["run"] >= intent["run"] and report["phase"] == "on"
    )
    error = report.get("failure")
    return error["message"] if tried and error and error["code"] == "CANNOT_HIBERNATE" else None
