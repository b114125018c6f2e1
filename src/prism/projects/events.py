"""What can happen to a project; `subject` is its name, `project` its lasting id."""

from typing import Any, ClassVar

from prism.access.model import Role
from prism.kit.events import Event


class ProjectCreated(Event, frozen=True, kw_only=True):
    """There is a new one; `after` is what it began with, amounts in micro-dollars."""

    event: ClassVar[str] = "project_created"
    money: ClassVar[frozenset[str]] = frozenset({"cap"})
    project: str
    before: None = None
    after: dict[str, Any]


class ProjectChanged(Event, frozen=True, kw_only=True):
    """It is different now."""

    event: ClassVar[str] = "project_changed"
    money: ClassVar[frozenset[str]] = frozenset({"cap"})
    project: str
    fields: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]


class ProjectDeleted(Event, frozen=True, kw_only=True):
    """It is gone; what it has spent stays in the ledger."""

    event: ClassVar[str] = "project_deleted"
    project: str


class MemberJoined(Event, frozen=True, kw_only=True):
    """Somebody belongs to it now."""

    event: ClassVar[str] = "member_joined"
    project: str
    email: str
    role: str


class MemberChanged(Event, frozen=True, kw_only=True):
    """Somebody has another role in it now."""

    event: ClassVar[str] = "member_changed"
    project: str
    email: str
    previous_role: Role
    role: Role


class MemberLeft(Event, frozen=True, kw_only=True):
    """Somebody does not belong to it any more."""

    event: ClassVar[str] = "member_left"
    project: str
    email: str
    previous_role: Role
