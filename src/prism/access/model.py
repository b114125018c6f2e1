"""Callers, their rights, and tokens."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from prism.errors import Denied, NotFound, Problem
from prism.kit.actor import CURRENT_ACTOR, Actor
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
WORKSPACE_NAME = re.compile(r"[a-z0-9-]{1,63}")
LIFE = 90  # days, unless a request says otherwise


class PermissionDenied(Denied, code="PERMISSION_DENIED"):
    """Your role does not allow that."""


class TunnelNeeded(Denied, code="TUNNEL_NEEDED"):
    """A browser cannot open workspaces of a shared daemon."""


class TokenNotFound(NotFound, code="TOKEN_NOT_FOUND"):
    """There is no token with that id."""


class RankedEnum(StrEnum):
    """Values in an order, from the lowest."""

    @property
    def rank(self) -> int:
        """The position in this order."""
        return list(type(self)).index(self)


class Role(RankedEnum):
    """What a member may do; each role includes the rights of those before."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


class AccessVerb(StrEnum):
    """A kind of action in the permission matrix."""

    ANY = "use what needs no token"
    LOOK = "see what everybody may see"
    USE = "switch profiles, answer invitations, leave projects, see own tokens and sessions"
    READ = "see the project, its workspaces, storage and costs"
    LAUNCH = "launch"
    MANAGE_OWN = "manage and enter own workspaces"
    MANAGE = "manage and enter all workspaces"
    STORE = "manage storage"
    INVITE = "invite, resend, revoke"
    BUDGET = "change the project and its budget"
    MEMBERS = "add and remove members, change roles and ends"
    DELETE = "delete the project"
    FOUND = "make projects, and tokens and webhooks for oneself"
    WATCH = "read the metrics of the daemon"
    SERVE = "manage profiles, pools, the daemon; see everything"


class Scope(RankedEnum):
    """How many of its owner's rights a token gives.

    One for the metrics gives none of them, so only the operator makes such tokens.
    """

    METRICS = "metrics"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


class Subject(Struct, frozen=True):
    """The project and the owner of the object that a request is about.

    A `personal` object, such as an invitation, belongs to its owner, whatever the role.
    """

    project: str | None = None
    owner: str | None = None
    personal: bool = False


class ResourceLookup(Struct, frozen=True):
    """How to find an object of one kind, and the problem if it does not exist."""

    find: Callable[[str], Subject | None]
    missing: Callable[[str], Problem]


class RouteRule(Struct, frozen=True):
    """The rights that a route needs: a verb on one kind of object, whose name is at `where`.

    The owner of the object needs `own` only; `also` is a second object of the request. An
    `optional` name may be missing. For objects without a project, a token for one project is
    enough only if the rule is `narrow`, and the service then checks the token. `whole` is the verb
    for all objects of the kind; `whose` is where the request names the person who needs `own`.
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
    """The caller of a request, with everything that decides about rights."""

    scope: Scope = Scope.ADMIN
    operator: bool = False
    roles: Mapping[str, Role] = {}
    known: bool = True
    team: bool = False
    """Whether the daemon is shared, so that rights matter."""
    token: str | None = None
    """The id of the token; null in local mode and for the owner of the Unix socket."""
    token_project: str | None = None
    """The only project for which the token is valid; null for all."""
    token_expires_at: datetime | None = None
    session: str | None = None
    """The id of the session of a browser or a command line; null with a token."""
    session_ends_at: datetime | None = None
    role_ends: Mapping[str, datetime] = {}
    """When a role ends, by the id of the project; without those that have no end."""
    is_terminal: bool = False
    """Whether the session is that of a command line, which allows no other login."""

    @property
    def roles_end_at(self) -> datetime | None:
        """When the next of the roles ends; None if none does."""
        return min(self.role_ends.values(), default=None)


# Only the operator can make a token for somebody who has none, on the daemon's computer.
NEW_TOKEN = "Ask the operator for a new one: `prism token create NAME --user YOU@EXAMPLE.ORG`"
COSTS_OF_PROJECT = (
    "See what a project of yours costs: `prism cost history --project NAME`; "
    "`prism project list` shows which you have"
)
OPERATOR = Caller(name="prism", operator=True)


def current() -> Caller:
    """The caller of this request; outside of requests, the daemon itself."""
    actor = CURRENT_ACTOR.get()
    return actor if isinstance(actor, Caller) else OPERATOR


class Token(Struct, frozen=True, kw_only=True):
    """A token as it is stored: only the hash of its secret."""

    id: str
    name: str
    user: str
    scope: Scope
    project: str | None = None
    hash: str
    created_by: str
    parent: str | None = None
    """The token that made it; if that ends, it ends too."""
    created_at: datetime
    expires_at: datetime
    last_used: datetime | None = None


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a token; `user` is its owner, by default the caller."""

    name: Name
    user: User | None = None
    scope: Scope = Scope.OPERATE
    project: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    days: Days = LIFE


class TokenShown(Struct, frozen=True, kw_only=True):
    """A token in a list."""

    id: str
    name: str
    user: str
    scope: Scope
    project: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used: datetime | None


class CreatedToken(TokenShown, frozen=True, kw_only=True):
    """A new token with its secret; null in a repeated answer."""

    token: str | None


class RevokedToken(Struct, frozen=True):
    """The answer to a revocation."""

    message: str


class PersonRoles(Struct, frozen=True):
    """The present roles of a person by the id of the project, and their ends, if they have one."""

    roles: Mapping[str, Role] = {}
    ends: Mapping[str, datetime] = {}


class Memberships(Protocol):
    """Finds the projects and roles of people."""

    def roles_of(self, sql: Rows, email: str) -> PersonRoles:
        """A person's role in each of their projects."""

    def id_of(self, sql: Rows, project: str) -> str:
        """The id of a project, by id or name; raises if there is none."""


def tunnel_only(name: str) -> TunnelNeeded:
    """The problem if you open a workspace of a shared daemon in a browser."""
    argument = name if WORKSPACE_NAME.fullmatch(name) else "NAME"
    return TunnelNeeded(
        details="Their addresses for browsers are below the daemon's domain for apps, if it has "
        "one (`PRISM_APPS_DOMAIN`). "
        f"On your computer, `prism tunnel {argument}` gives the pages of the workspace an address "
        f"for a browser, and `prism ssh {argument}` opens a shell.",
        remediation=f"Run `prism tunnel {argument}`, and open the address that it prints",
    )
