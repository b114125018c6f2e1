"""Who asks, what they may, and the tokens that prove it."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from prism.errors import Denied, NotFound, Problem
from prism.kit.actor import CURRENT, Actor
from prism.kit.transaction import Rows

Name = Annotated[
    str, Meta(pattern=r"^\S(.{0,98}\S)?$(?!\n)", description="1-100 characters, no blank ends")
]
User = Annotated[
    str,
    Meta(
        pattern=r"^[^@\s]+@[^@\s]+$(?!\n)",
        max_length=254,
        description="a mail address such as `ada@example.org`",
    ),
]
Days = Annotated[int, Meta(ge=1, le=366, description="1 to 366 days")]
WORKSPACE_NAME = re.compile(r"[a-z0-9-]{1,48}")
LIFE = 90  # days, unless a request says otherwise


class PermissionDenied(Denied, code="PERMISSION_DENIED"):
    """Your role does not allow that."""


class TunnelNeeded(Denied, code="TUNNEL_NEEDED"):
    """A browser cannot open workspaces of a shared daemon."""


class TokenNotFound(NotFound, code="TOKEN_NOT_FOUND"):
    """There is no token with that id."""


class Role(StrEnum):
    """What a member may do; each may also do what those before may."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """How far up it is."""
        return list(Role).index(self)


class AccessVerb(StrEnum):
    """What one may want to do, as the matrix knows it."""

    ANY = "ask without a token"
    LOOK = "look at what is everybody's"
    USE = "switch profiles, answer invitations, leave projects, see own tokens"
    READ = "see the project, its workspaces, storage and costs"
    LAUNCH = "launch"
    MANAGE_OWN = "manage and enter own workspaces"
    MANAGE = "manage and enter all workspaces"
    STORE = "manage storage"
    INVITE = "invite, resend, revoke"
    BUDGET = "change the project and its budget"
    MEMBERS = "add and remove members, change roles"
    DELETE = "delete the project"
    FOUND = "make projects and own tokens"
    SERVE = "manage profiles, pools, the daemon; see everything"


class Scope(StrEnum):
    """How much of its owner's rights a token lends."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """How far up it is."""
        return list(Scope).index(self)


class Subject(Struct, frozen=True):
    """The project and the owner of the thing that a request is about.

    A `personal` thing, such as an invitation, is its owner's whatever role she has in the project.
    """

    project: str | None = None
    owner: str | None = None
    personal: bool = False


class ResourceLookup(Struct, frozen=True):
    """How to find the things of one kind, and what to say when there is none."""

    find: Callable[[str], Subject | None]
    missing: Callable[[str], Problem]


class RouteRule(Struct, frozen=True):
    """What a route needs: a verb, on which kind of thing, where its name stands.

    `own` is the verb that is enough for whoever the thing belongs to; `also` is what else the
    request touches. What is `optional` need not be named. For what is nobody's project a token
    for one is enough only where the rule is `narrow`, and the service looks at that token too.
    `whole` is the verb that reaches all things of the kind, named or not; `whose` is where the
    person stands that the request is about: to whom `own` is enough.
    """

    verb: AccessVerb
    kind: str = ""
    where: str = "name"
    own: AccessVerb | None = None
    also: "RouteRule | None" = None
    optional: bool = False
    narrow: bool = False
    whole: AccessVerb | None = None
    whose: str = ""


class Caller(Actor, frozen=True, kw_only=True):
    """Somebody who asks, and all that decides what they may."""

    scope: Scope = Scope.ADMIN
    operator: bool = False
    roles: Mapping[str, Role] = {}
    known: bool = True
    team: bool = False
    """Whether others may ask as well, so that it matters who does."""
    token: str | None = None
    """The id of the token that says so, the project it is for, and how long it is good."""
    only: str | None = None
    until: datetime | None = None


OPERATOR = Caller(name="prism", operator=True)


def current() -> Caller:
    """Who is asking; the daemon itself where nobody is."""
    actor = CURRENT.get()
    return actor if isinstance(actor, Caller) else OPERATOR


class Token(Struct, frozen=True, kw_only=True):
    """A token as it is kept: never itself, only its hash."""

    id: str
    name: str
    user: str
    scope: Scope
    project: str | None = None
    hash: str
    created_by: str
    parent: str | None = None
    """The token that it was made with; it ends with it."""
    created_at: datetime
    expires_at: datetime
    last_used: datetime | None = None


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a token; `user` is whose it will be, by default the caller's own."""

    name: Name
    user: User | None = None
    scope: Scope = Scope.OPERATE
    project: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    days: Days = LIFE


class ShownToken(Struct, frozen=True, kw_only=True):
    """A token as lists show it."""

    id: str
    name: str
    user: str
    scope: Scope
    project: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used: datetime | None


class Minted(ShownToken, frozen=True, kw_only=True):
    """The one answer that shows a token itself; null when it is repeated."""

    token: str | None


class RevokedToken(Struct, frozen=True):
    """The answer to a revocation."""

    message: str


class Memberships(Protocol):
    """Whoever knows who belongs to which project."""

    def roles_of(self, sql: Rows, email: str) -> Mapping[str, Role]:
        """Somebody's role in each of their projects, by its id."""

    def id_of(self, sql: Rows, project: str) -> str:
        """The id of a project that is named by id or name; raises where there is none."""


def tunnel_only(name: str) -> TunnelNeeded:
    """What a person is told who opens a workspace's address of a shared daemon in a browser."""
    shown = name if WORKSPACE_NAME.fullmatch(name) else "NAME"
    return TunnelNeeded(
        details="It knows people by tokens, which a browser does not send; your own programs can. "
        f"On the computer where the daemon runs, `prism tunnel {shown}` gives the pages of the "
        f"workspace an address for a browser, and `prism ssh {shown}` opens a shell.",
        remediation=f"Run `prism tunnel {shown}` there, and open the address that it prints",
    )
