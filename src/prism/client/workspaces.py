"""Workspaces, across the wire."""

from __future__ import annotations

import builtins

from prism.client.models import audit, templates, workspaces
from prism.client.request import UNSET, Noun, UnsetType, given
from prism.client.wire import query, quoted

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from typing import Any, Unpack

    from prism.client.launch_options import LaunchOptions

PATH = "/instances"


class Workspaces(Noun):
    """What you may ask about workspaces; `name` is a name or an instance id.

    Verbs say at once what is wanted and return; the workspace follows. `wait=SECONDS` (at
    most 300) lets the daemon answer when it is done or the time is over, and `wait` the
    method waits as long as one likes.
    """

    def list(
        self,
        *,
        state: workspaces.State | str | None = None,
        template: str | None = None,
        project: str | None = None,
        owner: str | None = None,
    ) -> builtins.list[workspaces.Instance]:
        """Every workspace, or those that fit; `owner` is who launched it, `me` whoever asks."""
        path = listing(state=state, template=template, project=project, owner=owner)
        return self._ask("GET", path, builtins.list[workspaces.Instance])

    def get(self, name: str) -> workspaces.Instance:
        """One workspace."""
        return self._ask("GET", _path(name), workspaces.Instance)

    def launch(
        self,
        template: str,
        name: str,
        *,
        wait: float = 0,
        key: str | None = None,
        **order: Unpack[LaunchOptions],
    ) -> workspaces.Launched:
        """Ask for a new workspace; repeated with the same `key` within 24 h it launches once."""
        body = _launch(template, name, **order)
        return self._ask("POST", f"{PATH}/launch", workspaces.Launched, body, wait=wait, key=key)

    def plan(self, template: str, name: str, **order: Unpack[LaunchOptions]) -> workspaces.Plan:
        """What such a launch would make, and what it would cost; makes nothing."""
        body = _launch(template, name, **order, dry_run=True)
        return self._ask("POST", f"{PATH}/launch", workspaces.Plan, body)

    def stop(self, name: str, *, wait: float = 0) -> workspaces.Changed:
        """Ask for it to be stopped, keeping its disk."""
        return _change(self, name, "stop", wait)

    def start(
        self, name: str, *, template_again: bool = False, wait: float = 0
    ) -> workspaces.Changed:
        """Ask for it to run; `template_again` rereads its template, if it was never ready."""
        body = workspaces.StartRequest(template_again=True) if template_again else None
        return self._ask("POST", _path(name, "start"), workspaces.Changed, body, wait=wait)

    def restart(self, name: str, *, wait: float = 0) -> workspaces.Changed:
        """Ask for it to be stopped and started; one that is stopped is only started."""
        return _change(self, name, "restart", wait)

    def hibernate(self, name: str, *, wait: float = 0) -> workspaces.Changed:
        """Ask for it to sleep, keeping disk and memory."""
        return _change(self, name, "hibernate", wait)

    def resume(self, name: str, *, wait: float = 0) -> workspaces.Changed:
        """Ask for it to wake up."""
        return _change(self, name, "resume", wait)

    def terminate(
        self, name: str, *, backup: bool = False, wait: float = 0
    ) -> workspaces.Terminating:
        """Ask for it to be destroyed, with all its data; `backup` takes a snapshot first."""
        body = workspaces.Termination(confirm="DELETE", backup_ebs=backup)
        return self._ask("POST", _path(name, "terminate"), workspaces.Terminating, body, wait=wait)

    def extend(self, name: str, hours: float | UnsetType | None = UNSET) -> None:
        """Let it run that many hours longer (4 by default); with `None` it expires no more."""
        body = None if hours is UNSET else workspaces.Extension(hours=hours)
        self._wire.ask("POST", _path(name, "extend"), body)

    def resize(
        self, name: str, *, instance_type: str | None = None, size: templates.Size | None = None
    ) -> workspaces.Resized:
        """Ask for a stopped workspace to be another type of machine; its disk stays."""
        body = given(workspaces.Resizing(instance_type=instance_type, size=size))
        return self._ask("POST", _path(name, "resize"), workspaces.Resized, body)

    def update(self, name: str, *, restart: bool) -> workspaces.Instance:
        """Have it started again after its computer was restarted, or not."""
        return self._ask(
            "PUT", _path(name), workspaces.Instance, workspaces.Update(restart=restart)
        )

    def move(self, name: str, project: str, *, budget: str | None = None) -> workspaces.Moved:
        """Have another project pay for it from now on."""
        body = given(workspaces.Moving(project=project, budget=budget))
        return self._ask("POST", _path(name, "move"), workspaces.Moved, body)

    def connect(self, name: str) -> workspaces.Connection:
        """How to get into a running workspace, secrets included."""
        from prism.client.connection import connection  # noqa: PLC0415  cold start: it brings re

        answer = connection(self._wire, name)
        return self._wire.converted(answer, workspaces.Connection, _path(name, "connect"))

    def hibernation_status(self, name: str) -> workspaces.Hibernation:
        """Whether it can sleep, and since when it does."""
        return self._ask("GET", _path(name, "hibernation-status"), workspaces.Hibernation)

    def events(self, name: str, last: int = 100) -> builtins.list[audit.AuditEntry]:
        """The last of what happened to it, the newest first; at most 1,000."""
        path = f"{_path(name, 'events')}{query(limit=last)}"
        return self._ask("GET", path, builtins.list[audit.AuditEntry])

    def wait(
        self, name: str, goal: workspaces.State | str = "running", seconds: float | None = None
    ) -> workspaces.Instance:
        """Wait until it rests in that state; the workspace then.

        Raises `WorkspaceFailed` when it rests in another one, `StillUnderWay` when the
        time is over first (both in `prism.client.waiting`).
        """
        from prism.client.waiting import follow  # noqa: PLC0415  cold start: not every command waits

        first = self._wire.ask("GET", _path(name))  # one that is gone leaves only its name
        *_, last = follow(self._wire, name, str(goal), seconds)
        return self._wire.converted({**first, **last}, workspaces.Instance, _path(name))


def listing(**filters: str | None) -> str:
    """The path of the workspaces that fit."""
    return PATH + query(**filters)


def _change(noun: Noun, name: str, verb: str, wait: float) -> workspaces.Changed:
    return noun._ask("POST", _path(name, verb), workspaces.Changed, wait=wait)


def _path(name: str, *verb: str) -> str:
    return "/".join((PATH, quoted(name), *verb))


def _launch(template: str, name: str, **fields: Any) -> workspaces.Launch:
    size, kind = fields.pop("disk_gb", UNSET), fields.pop("disk_type", UNSET)
    if (size, kind) != (UNSET, UNSET):
        fields["storage"] = workspaces.Storage(ebs_volume_size=size, ebs_volume_type=kind)
    return workspaces.Launch(name=name, template=template, **fields)
