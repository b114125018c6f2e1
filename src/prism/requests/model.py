"""Requests for more, and what the API asks and answers about them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from prism.access.model import RankedEnum
from prism.errors import Conflict, NotFound
from prism.kit.money import Micros
from prism.projects.model import Usd
from prism.templates.model import Size

MAX_PENDING = 20  # requests of one person
Reason = Annotated[str, Meta(max_length=1000, description="why")]
ObjectName = Annotated[str, Meta(min_length=1, max_length=254)]
MoreHours = Annotated[float, Meta(gt=0, le=8760, description="hours")]
More = Annotated[int, Meta(ge=1, le=100_000, description="how many more at once")]


class RequestNotFound(NotFound, code="REQUEST_NOT_FOUND"):
    """There is no request with that id."""


class RequestDecided(Conflict, code="REQUEST_DECIDED"):
    """The request was answered or withdrawn."""


class TooManyRequests(Conflict, code="TOO_MANY_REQUESTS"):
    """You have as many requests without an answer as a person may have."""


class NothingToRaise(Conflict, code="NOTHING_TO_RAISE"):
    """Nothing limits what was requested."""


class MoreKind(StrEnum):
    """What more is requested."""

    MONEY = "money"
    TIME = "time"
    SIZE = "size"
    WORKSPACES = "workspaces"
    GPUS = "gpus"


class MoreState(StrEnum):
    """What became of a request."""

    PENDING = "pending"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Decider(RankedEnum):
    """Who may grant a request, each with those who follow."""

    MANAGERS = "managers"
    OWNERS = "owners"
    OPERATOR = "operator"


class MoreRequest(Struct, frozen=True, kw_only=True):
    """A request as it is stored.

    It is about a project's money, a limit of the person, or a workspace; the others are null.
    `project` is also that of the limit or the workspace.
    """

    id: str
    kind: MoreKind
    person: str
    decider: Decider
    project: str | None = None
    limit: str | None = None
    workspace: str | None = None
    usd: Micros | None = None
    hours: float | None = None
    size: str | None = None
    count: int | None = None
    summary: str
    reason: str = ""
    state: MoreState = MoreState.PENDING
    made_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    answer: str = ""


class NewMoreRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for more of one kind.

    `money` needs `usd`, for a `project` or a `limit` of yours; `time` needs `hours` and `size` a
    `size`, both for a `workspace`; `workspaces` and `gpus` need `count`, for a `limit` of yours.
    Without `limit`, it is the only limit of yours that limits this.
    """

    kind: MoreKind
    usd: Usd | None = None
    hours: MoreHours | None = None
    size: Size | None = None
    count: More | None = None
    project: ObjectName | None = None
    limit: ObjectName | None = None
    workspace: ObjectName | None = None
    reason: Reason = ""


class Refusal(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to refuse somebody's request."""

    reason: Reason = ""


class MoreRequestShown(Struct, frozen=True, kw_only=True):
    """A request for more in the API; `usd` is in USD. `may_decide` is whether you may answer."""

    id: str
    kind: MoreKind
    person: str
    decider: Decider
    project: str | None
    project_name: str | None
    limit: str | None
    workspace: str | None
    usd: float | None
    hours: float | None
    size: str | None
    count: int | None
    summary: str
    reason: str
    state: MoreState
    made_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    answer: str
    may_decide: bool


class MoreRequestList(Struct, frozen=True):
    """Your requests, and those that you may answer; without an answer first, then the newest."""

    requests: tuple[MoreRequestShown, ...]
    count: int
