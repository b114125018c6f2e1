"""Limits of people, roles and tokens, and the requests and answers about them."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from prism.budgets.model import Word
from prism.errors import Denied, NotFound
from prism.kit.money import Micros
from prism.projects.model import Usd

EVERYBODY = "*"
Count = Annotated[int, Meta(ge=0, le=100_000, description="how many at once")]
LimitScope = Literal["person", "token", "role"]


class LimitNotFound(NotFound, code="LIMIT_NOT_FOUND"):
    """There is no limit with that id."""


class LimitReached(Denied, code="LIMIT_REACHED"):
    """As many workspaces or GPUs run as the limit of a person or a token allows."""


class Limit(Struct, frozen=True, kw_only=True):
    """What somebody may use at most; a value that is null is not limited.

    `subject` is the address of a person (`*`: of everybody who has none), the id of a token, or a
    role. `project` is the id of the only project in which it counts. The operator's limits and
    those of a project's owners are separate rows, which all apply.
    """

    id: str
    scope: LimitScope
    subject: str
    project: str | None = None
    by_operator: bool
    monthly: Micros | None = None
    workspaces: int | None = None
    gpus: int | None = None
    set_by: str
    set_at: datetime


class LimitChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to set a limit of a person, a token or a role; values not given stay as they are.

    `person` is an address, or `*` for everybody without a limit of their own. Without `project`,
    it counts in all projects, and only the operator can set it. A null value is not limited.
    """

    person: Word | None = None
    token: Word | None = None
    role: Literal["viewer", "member", "admin", "owner"] | None = None
    project: Word | None = None
    monthly: Usd | UnsetType | None = UNSET
    workspaces: Count | UnsetType | None = UNSET
    gpus: Count | UnsetType | None = UNSET


class LimitShown(Struct, frozen=True, kw_only=True):
    """A limit in the API; `monthly` is in USD, for each calendar month in UTC."""

    id: str
    scope: LimitScope
    subject: str
    project: str | None
    project_name: str | None
    by_operator: bool
    monthly: float | None
    workspaces: int | None
    gpus: int | None
    set_by: str
    set_at: datetime


class LimitList(Struct, frozen=True):
    """The limits that somebody has set."""

    limits: tuple[LimitShown, ...]
    count: int


class LimitUse(Struct, frozen=True, kw_only=True):
    """A limit that applies to you, and how much of it is used.

    `spent`, `reserved` and `left` are of this month, in USD, and null if dollars are not limited.
    `workspaces_running` and `gpus_running` are what runs now.
    """

    limit: LimitShown
    spent: float | None
    reserved: float | None
    left: float | None
    workspaces_running: int
    gpus_running: int


class OwnLimits(Struct, frozen=True):
    """All limits that apply to the caller."""

    person: str
    limits: tuple[LimitUse, ...]


class RemovedLimit(Struct, frozen=True):
    """The answer to a deletion."""

    message: str
