"""Workspaces, across the wire."""

import builtins
from collections import deque
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from prism.audit.model import AuditEntry
from prism.client.connection import connection
from prism.client.decoding import ask, understood
from prism.client.waiting import follow
from prism.client.wire import Wire, query, quoted
from prism.templates.model import Size
from prism.workspaces.model import (
    Changed,
    Connection,
    Extension,
    Hibernation,
    Instance,
    Launch,
    Launched,
    Moved,
    Moving,
    Plan,
    Resized,
    Resizing,
    StartRequest,
    State,
    Storage,
    Terminating,
    Termination,
    Update,
)

PATH = "/instances"
DiskType = Literal["gp3", "gp2", "io2", "st1"]


class LaunchOptions(TypedDict, total=False):
    """What a launch may say; what it does not say the template and the profile decide."""

    size: Size
    instance_type: str
    region: str
    spot: bool
    open_ports: bool
    unlimited: bool
    disk_gb: int
    disk_type: DiskType
    project: str
    budget: str
    parameters: dict[str, Any]
    volumes: tuple[str, ...]
    ttl_hours: float
    idle_profile: str
    hibernation: bool
    restart: bool


class Workspaces:
    """What you may ask about workspaces; `name` is a name or an instance id.

    Verbs say at once what is wanted and return; the workspace follows. `wait=SECONDS` (at
    most 300) lets the daemon answer when it is done or the time is over, and `wait` the
    method waits as long as one likes.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(
        self,
        *,
        state: State | str | None = None,
        template: str | None = None,
        project: str | None = None,
        owner: str | None = None,
    ) -> builtins.list[Instance]:
        """Every workspace, or those that fit; `owner` is who launched it, `me` whoever asks."""
        path = PATH + query(state=state, template=template, project=project, owner=owner)
        return ask(self._wire, "GET", path, builtins.list[Instance])

    def get(self, name: str) -> Instance:
        """One workspace."""
        return ask(self._wire, "GET", _path(name), Instance)

    def launch(
        self,
        template: str,
        name: str,
        *,
        wait: float = 0,
        key: str | None = None,
        **order: Unpack[LaunchOptions],
    ) -> Launched:
        """Ask for a new workspace.

        With a `key` of your own the request may be repeated after a lost answer, for 24
        hours: it launches once.
        """
        body = _launch(template, name, order)
        return ask(self._wire, "POST", f"{PATH}/launch", Launched, body, wait=wait, key=key)

    def plan(self, template: str, name: str, **order: Unpack[LaunchOptions]) -> Plan:
        """What such a launch would make, and what it would cost; makes nothing."""
        body = msgspec.structs.replace(_launch(template, name, order), dry_run=True)
        return ask(self._wire, "POST", f"{PATH}/launch", Plan, body)

    def stop(self, name: str, *, wait: float = 0) -> Changed:
        """Ask for it to be stopped, keeping its disk."""
        return self._change(name, "stop", wait)

    def start(self, name: str, *, template_again: bool = False, wait: float = 0) -> Changed:
        """Ask for one that is stopped, asleep or failed to run.

        `template_again` reads its template anew first, for one that was never ready.
        """
        body = StartRequest(template_again=True) if template_again else None
        return ask(self._wire, "POST", _path(name, "start"), Changed, body, wait=wait)

    def restart(self, name: str, *, wait: float = 0) -> Changed:
        """Ask for it to be stopped and started; one that is stopped is only started."""
        return self._change(name, "restart", wait)

    def hibernate(self, name: str, *, wait: float = 0) -> Changed:
        """Ask for it to sleep, keeping disk and memory."""
        return self._change(name, "hibernate", wait)

    def resume(self, name: str, *, wait: float = 0) -> Changed:
        """Ask for it to wake up."""
        return self._change(name, "resume", wait)

    def terminate(self, name: str, *, backup: bool = False, wait: float = 0) -> Terminating:
        """Ask for it to be destroyed, with all its data; `backup` takes a snapshot first."""
        body = Termination(confirm="DELETE", backup_ebs=backup)
        return ask(self._wire, "POST", _path(name, "terminate"), Terminating, body, wait=wait)

    def extend(self, name: str, hours: float | None = 4) -> None:
        """Let it run that many hours longer; with none it expires no more."""
        content = msgspec.json.encode(Extension(hours))
        self._wire.send("POST", _path(name, "extend"), content)

    def resize(
        self, name: str, *, instance_type: str | None = None, size: Size | None = None
    ) -> Resized:
        """Ask for a stopped workspace to be another type of machine; its disk stays."""
        body = Resizing(instance_type=instance_type, size=size)
        return ask(self._wire, "POST", _path(name, "resize"), Resized, body)

    def update(self, name: str, *, restart: bool) -> Instance:
        """Have it started again after its computer was restarted, or not."""
        return ask(self._wire, "PUT", _path(name), Instance, Update(restart=restart))

    def move(self, name: str, project: str, *, budget: str | None = None) -> Moved:
        """Have another project pay for it from now on."""
        body = Moving(project=project, budget=budget)
        return ask(self._wire, "POST", _path(name, "move"), Moved, body)

    def connect(self, name: str) -> Connection:
        """How to get into a running workspace, secrets included."""
        return understood(connection(self._wire, name), Connection, _path(name, "connect"))

    def hibernation_status(self, name: str) -> Hibernation:
        """Whether it can sleep, and since when it does."""
        return ask(self._wire, "GET", _path(name, "hibernation-status"), Hibernation)

    def events(self, name: str, last: int = 100) -> builtins.list[AuditEntry]:
        """The last of what happened to it, the newest first; at most 1,000."""
        path = f"{_path(name, 'events')}{query(limit=last)}"
        return ask(self._wire, "GET", path, builtins.list[AuditEntry])

    def wait(
        self, name: str, goal: State | str = State.RUNNING, seconds: float | None = None
    ) -> Instance:
        """Wait until it rests in that state; the workspace then.

        Raises `WorkspaceFailed` when it rests in another one, `StillUnderWay` when the
        time is over first (both in `prism.client.waiting`).
        """
        first = self._wire.ask("GET", _path(name))  # one that is gone leaves only its name
        last = deque(follow(self._wire, name, str(goal), seconds), maxlen=1).pop()
        return msgspec.convert({**first, **last}, Instance)

    def _change(self, name: str, verb: str, wait: float) -> Changed:
        return ask(self._wire, "POST", _path(name, verb), Changed, wait=wait)


def _path(name: str, *verb: str) -> str:
    return "/".join((PATH, quoted(name), *verb))


def _launch(template: str, name: str, order: LaunchOptions) -> Launch:
    fields: dict[str, Any] = dict(order)
    size, kind = fields.pop("disk_gb", None), fields.pop("disk_type", "gp3")
    disk = Storage(ebs_volume_size=size, ebs_volume_type=kind)
    return Launch(name=name, template=template, storage=disk, **fields)
