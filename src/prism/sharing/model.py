"""Shares of workspaces, and the requests and answers about them."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from prism.errors import Conflict, NotFound

FOR_EVERYBODY, OF_PROJECT = "everybody", "project:"
Guest = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=254,
        description="an address, `project:NAME`, or `everybody` who belongs to any project",
    ),
]
ServiceName = Annotated[str, Meta(min_length=1, max_length=100)]
LONGEST_SHARE = timedelta(days=366)


class ShareNotFound(NotFound, code="SHARE_NOT_FOUND"):
    """There is no share with that id."""


class ShareImpossible(Conflict, code="SHARE_IMPOSSIBLE"):
    """The workspace cannot be shared so."""


class SharedThing(StrEnum):
    """What of a workspace is shared."""

    APP = "app"
    TERMINAL = "terminal"


class ShareAudience(StrEnum):
    """With whom something is shared."""

    PERSON = "person"
    PROJECT = "project"
    EVERYBODY = "everybody"


class Share(Struct, frozen=True, kw_only=True):
    """A share, as it is stored; its row is deleted when it ends.

    `guest` is the address of a person, or the id of a project; null for everybody. It ends if the
    workspace gets another owner than `owner`, who has made it.
    """

    id: str
    workspace: str
    kind: SharedThing
    service: str | None
    port: int | None
    audience: ShareAudience
    guest: str | None
    may_wake: bool
    owner: str
    created_at: datetime
    until: datetime


class NewShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to share one app, or what the owner's terminal shows, until a time.

    `app` is a service of the template; `terminal` is read-only. With `may_wake`, guests may start
    and resume the workspace, which its project pays for.
    """

    app: ServiceName | None = None
    terminal: bool = False
    guest: Guest
    until: Annotated[datetime, Meta(tz=True)]
    may_wake: bool = False


class ShareShown(Struct, frozen=True, kw_only=True):
    """A share in the API; `guest` is null for everybody, and a project's name for a project."""

    id: str
    workspace: str
    name: str
    owner: str
    kind: SharedThing
    app: str | None
    audience: ShareAudience
    guest: str | None
    may_wake: bool
    created_at: datetime
    until: datetime
    state: str
    """The state of the workspace."""


class ShareList(Struct, frozen=True):
    """Shares of one workspace."""

    shares: tuple[ShareShown, ...]
    count: int


class OwnShares(Struct, frozen=True):
    """What the caller has shared, and what others share with the caller."""

    given: tuple[ShareShown, ...]
    received: tuple[ShareShown, ...]


class EndedShare(Struct, frozen=True):
    """The answer to the end of a share."""

    message: str


class ShareWoken(Struct, frozen=True):
    """The answer to a guest who starts a shared workspace."""

    message: str
    state: str


class OpenedShare(Struct, frozen=True):
    """Where a guest opens a shared app; `kind` is `app`."""

    url: str
    kind: Literal["app"] = "app"
