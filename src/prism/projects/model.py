"""Projects, and requests and answers about them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from prism.access.model import Name, Role, User
from prism.errors import AlreadyExists, Conflict, InUse, NotFound
from prism.kit.money import Micros
from prism.kit.transaction import Rows, Tx

Text = Annotated[str, Meta(max_length=2000)]
Usd = Annotated[float, Meta(gt=0, lt=1e12, description="an amount in USD")]
Percent = Annotated[float, Meta(gt=0, le=100, description="percent of the budget")]


EndTime = Annotated[
    datetime, Meta(tz=True, description="when the membership ends; at most ten years from now")
]
Heir = Annotated[
    str,
    Meta(min_length=1, max_length=254, description="who gets the workspaces with `hand_over`"),
]


class ProjectNotFound(NotFound, code="PROJECT_NOT_FOUND"):
    """There is no project with that name."""


class ProjectExists(AlreadyExists):
    """A project of that name already exists."""


class ProjectInUse(InUse):
    """The project still has workspaces, or money is allocated to it."""


class MemberNotFound(NotFound, code="MEMBER_NOT_FOUND"):
    """The project has no member with that address."""


class MemberExists(AlreadyExists):
    """A person with that address already belongs to the project."""


class LastOwner(Conflict, code="LAST_OWNER"):
    """A project needs at least one owner."""


class Leftover(StrEnum):
    """What happens to the workspaces of a member who leaves."""

    KEEP = "keep"
    STOP = "stop"
    HAND_OVER = "hand_over"


AtEnd = Annotated[
    Leftover,
    Meta(description="what happens to the member's workspaces then: by default, they stop"),
]


class Member(Struct, frozen=True):
    """Somebody who belongs to a project: forever, or before `until`.

    `at_end` says what happens then to the member's workspaces, `to` who gets them if they are
    handed over.
    """

    email: str
    role: Role
    join_date: datetime
    until: datetime | None = None
    at_end: Leftover | None = None
    to: str | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether the membership has ended, although its row may still be there."""
        return self.until is not None and self.until <= now


class Project(Struct, frozen=True, kw_only=True):
    """Work that is paid for together; `cap` is its own budget, null if it has none.

    `set_by_owner` says that an owner set it, where the operator had set none: owners may raise it.

    Thresholds are percent of that cap, or, without one, of all that pools allocate to the project
    in their present periods: alert, put workspaces to sleep, refuse launches.
    """

    id: str
    name: str
    description: str = ""
    cap: Micros | None = None
    set_by_owner: bool = False
    alert_threshold: float = 80.0
    auto_hibernate_threshold: float | None = None
    prevent_launch_threshold: float = 100.0
    created_by: str
    created_at: datetime


class ProjectName(Struct, frozen=True):
    """The name and id of a project, also of a deleted one."""

    id: str
    name: str


class NewMember(Struct, frozen=True, forbid_unknown_fields=True):
    """A member to begin with."""

    email: User
    role: Role = Role.MEMBER


class NewMembership(NewMember, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member to add, forever or until a time."""

    until: EndTime | None = None
    at_end: AtEnd | None = None
    to: Heir | None = None


class MemberChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change the role or the end of a membership; null removes the end.

    `at_end` and `to` stay as they are if only the time is given.
    """

    role: Role | UnsetType = UNSET
    until: EndTime | UnsetType | None = UNSET
    at_end: AtEnd | UnsetType = UNSET
    to: Heir | UnsetType | None = UNSET


class NewBudget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A project's budget, and its thresholds."""

    total_allocated: Usd | None = None
    alert_threshold: Percent = 80.0
    auto_hibernate_threshold: Percent | None = None
    prevent_launch_threshold: Percent = 100.0


class NewProject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a new project."""

    name: Name
    description: Text = ""
    budget: NewBudget | None = None
    members: Annotated[tuple[NewMember, ...], Meta(max_length=500)] = ()


class BudgetChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of the given fields of a budget; a null total removes the cap."""

    total_allocated: Usd | UnsetType | None = UNSET
    alert_threshold: Percent | UnsetType = UNSET
    auto_hibernate_threshold: Percent | UnsetType | None = UNSET
    prevent_launch_threshold: Percent | UnsetType = UNSET


class ProjectChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change the given fields of a project."""

    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    budget: BudgetChange | UnsetType = UNSET


class Budget(Struct, frozen=True, kw_only=True):
    """A project's money in the API; null without a cap, or if nothing is known.

    `spent`, `reserved` and `left` are as docs/money.md defines them; `remaining` is the total
    minus what is spent.
    """

    total_allocated: float | None
    current_spend: float | None
    remaining: float | None
    spent: float | None
    reserved: float
    left: float | None
    monthly_burn_rate: float | None
    alert_threshold: float
    auto_hibernate_threshold: float | None
    prevent_launch_threshold: float


class ProjectShown(Struct, frozen=True, kw_only=True):
    """A project as the reference's list shows it."""

    id: str
    name: str
    description: str
    budget: Budget
    members: tuple[Member, ...]
    active_instances: int
    total_instances: int
    created_at: datetime


class DeletedProject(Struct, frozen=True):
    """The answer to a deletion."""

    message: str


class Spending(Struct, frozen=True):
    """What a project may spend, has spent, and spends in a month.

    `used` is the spent part of `allocated`: less than `spent` if allocations have periods. `left`
    is what every cap that applies can still pay for. A sum without any known price is null.
    """

    allocated: Micros | None = None
    spent: Micros | None = Micros(0)
    monthly: Micros | None = None
    used: Micros | None = Micros(0)
    reserved: Micros = Micros(0)
    left: Micros | None = None

    @property
    def remaining(self) -> Micros | None:
        """What the project can still spend now; None if unknown."""
        if self.used is None or self.allocated is None:
            return None
        return Micros(self.allocated - self.used)


class WorkspaceCounts(Struct, frozen=True):
    """How many workspaces a project has: active, and in total."""

    active: int = 0
    total: int = 0


class SpendingReader(Protocol):
    """Reads the spending of projects, in the given transaction."""

    def spending(self, sql: Rows, projects: Sequence[Project]) -> Mapping[str, Spending]:
        """Each project's money, by its id."""

    def check_cap_change(self, tx: Tx, before: Project, after: Project) -> None:
        """Check a change of the cap; raises a `Problem` if more is spent and reserved."""


class ProjectUse(Struct, frozen=True):
    """Why a project cannot be deleted, and the command that helps."""

    reason: str
    remediation: str


class ProjectDependent(Protocol):
    """A package that refers to projects; called inside the transaction."""

    def use_of_project(self, tx: Tx, project: Project) -> ProjectUse | None:
        """The use for which the project must stay, or None."""

    def renamed_project(self, tx: Tx, project: Project) -> None:
        """The project was renamed."""


class LeftWorkspace(Struct, frozen=True):
    """A workspace of a member who left, and its owner now."""

    name: str
    state: str
    owner: str


class RemovedMember(Struct, frozen=True, kw_only=True):
    """The result of removing a member.

    `tokens_revoked` counts the tokens that opened only this project, and those made with them.
    """

    message: str
    workspaces: tuple[LeftWorkspace, ...] = ()
    tokens_revoked: int = 0


class MembershipListener(Protocol):
    """Follows who belongs to projects, in the transaction that changes it."""

    def joined(self, tx: Tx, project: Project, email: str) -> None:
        """Somebody becomes a member without an invitation."""

    def demoted(self, tx: Tx, project: Project, email: str, role: Role | None) -> None:
        """A member gets a lower role, or leaves (None)."""


class GroupMembers(Protocol):
    """Gives and takes memberships that follow from groups elsewhere."""

    def set_by_group(self, tx: Tx, project: str, email: str, role: Role | None) -> None:
        """Give a person this role in the project with that id; None removes the person."""


class MemberWorkspaces(Protocol):
    """Handles a member's workspaces, in the transaction that removes the member."""

    def keep(self, tx: Tx, project: Project, email: str) -> list[LeftWorkspace]:
        """Leave the workspaces as they are."""

    def stop(self, tx: Tx, project: Project, email: str) -> list[LeftWorkspace]:
        """Stop the workspaces; they keep their owner."""

    def hand_over(
        self, tx: Tx, project: Project, email: str, to: str, *, else_stop: bool = False
    ) -> list[LeftWorkspace]:
        """Make another member the owner of the workspaces.

        Of a name that the other one has already, it raises `NameTaken`, or stops the workspace.
        """
