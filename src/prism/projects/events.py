"""The events of projects; `subject` is the name, `project` the permanent id."""

from datetime import datetime
from typing import Any, ClassVar

from prism.access.model import Role
from prism.kit.events import Event
from prism.projects.model import Leftover, Project


def about(project: Project, actor: str) -> dict[str, Any]:
    """The fields that all of these events have."""
    return {"actor": actor, "subject": project.name, "project": project.id}


class ProjectCreated(Event, frozen=True, kw_only=True):
    """A project was created; `after` has its values, amounts in micro-dollars."""

    event: ClassVar[str] = "project_created"
    money: ClassVar[frozenset[str]] = frozenset({"cap"})
    project: str
    before: None = None
    after: dict[str, Any]


class ProjectChanged(Event, frozen=True, kw_only=True):
    """A project was changed."""

    event: ClassVar[str] = "project_changed"
    money: ClassVar[frozenset[str]] = frozenset({"cap"})
    project: str
    fields: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]


class ProjectDeleted(Event, frozen=True, kw_only=True):
    """A project was deleted; what it has spent stays in the ledger."""

    event: ClassVar[str] = "project_deleted"
    project: str


class MemberJoined(Event, frozen=True, kw_only=True):
    """A person became a member of the project, until a time if there is one."""

    event: ClassVar[str] = "member_joined"
    project: str
    email: str
    role: str
    until: datetime | None = None
    at_end: Leftover | None = None
    to: str | None = None


class MemberChanged(Event, frozen=True, kw_only=True):
    """A member got another role in the project, or the membership another end."""

    event: ClassVar[str] = "member_changed"
    project: str
    email: str
    previous_role: Role
    role: Role
    previous_until: datetime | None = None
    until: datetime | None = None
    at_end: Leftover | None = None
    to: str | None = None


class MemberLeft(Event, frozen=True, kw_only=True):
    """A person is not a member of the project any more.

    If the membership has ended by itself, `until` says when that was decided to happen, `at_end`
    what was done with the workspaces, and `to` who got those that were handed over.
    """

    event: ClassVar[str] = "member_left"
    project: str
    email: str
    previous_role: Role
    until: datetime | None = None
    at_end: Leftover | None = None
    to: str | None = None
