"""Client methods for workspaces."""

from __future__ import annotations

import builtins

from prism.annotations import TYPE_CHECKING, datetime
from prism.client.models import audit, templates, visits, workspaces
from prism.client.transport.request import UNSET, Noun, UnsetType, trim
from prism.client.transport.wire import query, quoted

if TYPE_CHECKING:
    from typing import Any, Unpack

    from prism.client.launch_options import LaunchOptions

WORKSPACES_PATH = "/instances"


class Workspaces(Noun):
    """Methods for workspaces; `name` is a name or an instance id.

    Verbs return at once; the daemon then carries out the request. With `wait=SECONDS` (at most
    300) the daemon answers when it is done or the time is over. The method `wait` has no limit.
    """

    def list(
        self,
        *,
        state: workspaces.WorkspaceState | str | None = None,
        template: str | None = None,
        project: str | None = None,
        owner: str | None = None,
    ) -> builtins.list[workspaces.Instance]:
        """Every workspace, or those that match; `owner` is who launched it, or `me`."""
        path = listing(state=state, template=template, project=project, owner=owner)
        return self._ask("GET", path, builtins.list[workspaces.Instance])

    def get(self, name: str) -> workspaces.Instance:
        """One workspace, by name or instance id."""
        return self._ask("GET", _path(name), workspaces.Instance)

    def launch(
        self,
        template: str,
        name: str,
        *,
        wait: float = 0,
        key: str | None = None,
        **options: Unpack[LaunchOptions],
    ) -> workspaces.LaunchAnswer:
        """Launch a workspace; repeated with the same `key` within 24 h, it launches once."""
        body = _launch(template, name, **options)
        return self._ask(
            "POST", f"{WORKSPACES_PATH}/launch", workspaces.LaunchAnswer, body, wait=wait, key=key
        )

    def plan(
        self, template: str, name: str, **options: Unpack[LaunchOptions]
    ) -> workspaces.LaunchEstimate:
        """What a launch would make and cost; launches nothing."""
        body = _launch(template, name, **options, dry_run=True)
        return self._ask("POST", f"{WORKSPACES_PATH}/launch", workspaces.LaunchEstimate, body)

    def stop(self, name: str, *, wait: float = 0) -> workspaces.LifecycleAnswer:
        """Stop it, and keep its disk."""
        return _change(self, name, "stop", wait)

    def start(
        self, name: str, *, template_again: bool = False, wait: float = 0
    ) -> workspaces.LifecycleAnswer:
        """Start a workspace; `template_again` rereads its template, if it was never ready."""
        body = workspaces.StartRequest(template_again=True) if template_again else None
        return self._ask("POST", _path(name, "start"), workspaces.LifecycleAnswer, body, wait=wait)

    def restart(self, name: str, *, wait: float = 0) -> workspaces.LifecycleAnswer:
        """Stop and start it; a stopped workspace is only started."""
        return _change(self, name, "restart", wait)

    def hibernate(self, name: str, *, wait: float = 0) -> workspaces.LifecycleAnswer:
        """Hibernate it, and keep its disk and memory."""
        return _change(self, name, "hibernate", wait)

    def resume(self, name: str, *, wait: float = 0) -> workspaces.LifecycleAnswer:
        """Resume it."""
        return _change(self, name, "resume", wait)

    def terminate(
        self, name: str, *, backup: bool = False, wait: float = 0
    ) -> workspaces.TerminateAnswer:
        """Destroy it with all its data; `backup` takes a snapshot first."""
        body = workspaces.TerminateRequest(confirm="DELETE", backup_ebs=backup)
        return self._ask(
            "POST", _path(name, "terminate"), workspaces.TerminateAnswer, body, wait=wait
        )

    def extend(
        self,
        name: str,
        hours: float | UnsetType | None = UNSET,
        *,
        expires_at: datetime | UnsetType = UNSET,
    ) -> None:
        """Move its expiry by that many hours (default: 4), or to a time with its time zone.

        `hours=None` removes the expiry.
        """
        request = workspaces.ExtendRequest(hours=hours, expires_at=expires_at)
        body = None if hours is UNSET and expires_at is UNSET else request
        self._wire.ask("POST", _path(name, "extend"), body)

    def resize(
        self, name: str, *, instance_type: str | None = None, size: templates.Size | None = None
    ) -> workspaces.ResizeAnswer:
        """Change the machine type of a stopped workspace; its disk stays."""
        body = trim(workspaces.ResizeRequest(instance_type=instance_type, size=size))
        return self._ask("POST", _path(name, "resize"), workspaces.ResizeAnswer, body)

    def rollback(
        self, name: str, snapshot: str, *, of_another: bool = False
    ) -> workspaces.RollbackAnswer:
        """Replace its files by those of a snapshot; the present ones are saved first.

        `of_another` allows a snapshot of another workspace, if you manage that one.
        """
        body = workspaces.RollbackRequest(snapshot=snapshot)
        if of_another:
            body = workspaces.RollbackRequest(snapshot=snapshot, of_another=True)
        return self._ask("POST", _path(name, "rollback"), workspaces.RollbackAnswer, body)

    def update(self, name: str, *, restart: bool) -> workspaces.Instance:
        """Set whether it starts again after a reboot of its computer."""
        body = workspaces.UpdateRequest(restart=restart)
        return self._ask("PUT", _path(name), workspaces.Instance, body)

    def move(self, name: str, project: str, *, budget: str | None = None) -> workspaces.MoveAnswer:
        """Let another project pay for a workspace from now on."""
        body = trim(workspaces.MoveRequest(project=project, budget=budget))
        return self._ask("POST", _path(name, "move"), workspaces.MoveAnswer, body)

    def connect(self, name: str) -> workspaces.WorkspaceConnection:
        """How to connect to a running workspace, with secrets."""
        from prism.client.transport.connection import connection  # noqa: PLC0415  cold start: it brings re

        answer = connection(self._wire, name)
        return self._wire.converted(answer, workspaces.WorkspaceConnection, _path(name, "connect"))

    def hibernation_status(self, name: str) -> workspaces.HibernationStatus:
        """Whether it can hibernate, and since when it does."""
        return self._ask("GET", _path(name, "hibernation-status"), workspaces.HibernationStatus)

    def events(self, name: str, last: int = 100) -> builtins.list[audit.AuditEntry]:
        """Its last events, the newest first; at most 1,000."""
        path = f"{_path(name, 'events')}{query(limit=last)}"
        return self._ask("GET", path, builtins.list[audit.AuditEntry])

    def visits(self, name: str) -> visits.VisitList:
        """Who else is in a workspace, or was there in the last 90 days."""
        return self._ask("GET", _path(name, "visits"), visits.VisitList)

    def wait(
        self,
        name: str,
        goal: workspaces.WorkspaceState | str = "running",
        seconds: float | None = None,
    ) -> workspaces.Instance:
        """Wait until a workspace has that state; returns the workspace.

        Raises `WorkspaceFailed` if it ends in another state, `StillUnderWay` after `seconds` (both
        in `prism.client.waiting`).
        """
        from prism.client.waiting import follow  # noqa: PLC0415  cold start: not every command waits

        first = self._wire.ask("GET", _path(name))  # after it is gone, only its name is known
        *_, last = follow(self._wire, name, str(goal), seconds)
        return self._wire.converted({**first, **last}, workspaces.Instance, _path(name))


def listing(**filters: str | None) -> str:
    """The path of a filtered list of workspaces."""
    return WORKSPACES_PATH + query(**filters)


def _change(noun: Noun, name: str, verb: str, wait: float) -> workspaces.LifecycleAnswer:
    return noun._ask("POST", _path(name, verb), workspaces.LifecycleAnswer, wait=wait)


def _path(name: str, *verb: str) -> str:
    return "/".join((WORKSPACES_PATH, quoted(name), *verb))


def _launch(template: str, name: str, **fields: Any) -> workspaces.LaunchRequest:
    size, kind = fields.pop("disk_gb", UNSET), fields.pop("disk_type", UNSET)
    if (size, kind) != (UNSET, UNSET):
        fields["storage"] = workspaces.RootDisk(ebs_volume_size=size, ebs_volume_type=kind)
    return workspaces.LaunchRequest(name=name, template=template, **fields)
