"""Profiles, and requests and answers about them."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from prism.errors import AlreadyExists, Conflict, InUse, NotFound
from prism.profiles import providers

if TYPE_CHECKING:
    Provider = providers.Provider
else:
    Provider = Literal[*providers.TRAITS]  # one value of the API for each entry of the table

RESERVED_NAMES = frozenset({"current", "switch"})  # they are paths of other routes

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$(?!\n)",
        description="1-64 letters, digits, `.`, `_`, `@` and `-`; the first a letter or digit",
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Region = Annotated[
    str,
    Meta(
        pattern=r"^(local|[a-z]{2}(-[a-z]+)+-[0-9]+)$(?!\n)",
        max_length=40,
        description="a region of AWS such as `us-west-2`, or `local`",
    ),
]


Host = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9._-]{1,64}@)?[A-Za-z0-9][A-Za-z0-9._-]{0,252}(:[0-9]{1,5})?"
        r"(,([A-Za-z0-9._-]{1,64}@)?[A-Za-z0-9][A-Za-z0-9._-]{0,252}(:[0-9]{1,5})?){0,31}$(?!\n)",
        max_length=2000,
        description="a name of `~/.ssh/config`, or `USER@HOST`, or `USER@HOST:PORT`; several "
        "have commas between them",
    ),
]
Dollars = Annotated[float, Meta(ge=0, le=10_000, description="US dollars for an hour")]


class ProfileNotFound(NotFound, code="PROFILE_NOT_FOUND"):
    """There is no profile with that name."""


class ProfileExists(AlreadyExists):
    """A profile of that name already exists."""


class ProfileInUse(InUse):
    """The profile is active, or has workspaces."""


class ProfileFixed(Conflict, code="PROFILE_FIXED"):
    """The daemon was started with PRISM_PROFILE, which decides its profile."""


class Profile(Struct, frozen=True, kw_only=True):
    """Where workspaces are launched, and the default project of launches.

    `aws_profile` names a section of AWS's own files; null leaves the choice to boto3. `host` is
    the lab server of an ssh profile, where an hour of a CPU, of a GB of memory and of a GPU costs
    so many US dollars; without any of them, what runs there has no price. Several servers have
    commas between them.
    """

    name: str
    provider: Provider
    aws_profile: str | None = None
    region: str | None = None
    default_project: str | None = None
    host: str | None = None
    cpu_hour: float | None = None
    gb_hour: float | None = None
    gpu_hour: float | None = None
    created_at: datetime
    last_used: datetime | None = None


class ProfileShown(Struct, frozen=True, kw_only=True):
    """A profile as the wire shows it."""

    name: str
    provider: Provider
    aws_profile: str | None
    region: str | None
    default_project: str | None
    host: str | None
    cpu_hour: float | None
    gb_hour: float | None
    gpu_hour: float | None
    active: bool
    created_at: datetime
    last_used: datetime | None


class NewProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a new profile."""

    name: Name
    provider: Provider
    aws_profile: Text | None = None
    region: Region | None = None
    default_project: Text | None = None
    host: Host | None = None
    cpu_hour: Dollars | None = None
    gb_hour: Dollars | None = None
    gpu_hour: Dollars | None = None


class ProfileChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change a profile; fields that are not given stay as they are."""

    provider: Provider | UnsetType = UNSET
    aws_profile: Text | UnsetType | None = UNSET
    region: Region | UnsetType | None = UNSET
    default_project: Text | UnsetType | None = UNSET
    host: Host | UnsetType | None = UNSET
    cpu_hour: Dollars | UnsetType | None = UNSET
    gb_hour: Dollars | UnsetType | None = UNSET
    gpu_hour: Dollars | UnsetType | None = UNSET


class SwitchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to use another profile from now on."""

    profile_name: Text


class DeletedProfile(Struct, frozen=True):
    """The answer to a deletion."""

    message: str


class ServerTrial(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server to try; `accept_host_key` is the fingerprint of a key to add to `known_hosts`."""

    host: Host
    accept_host_key: Text | None = None


class ServerCheck(Struct, frozen=True):
    """One thing that a workspace needs or uses, and whether it is there."""

    name: str
    holds: bool
    message: str
    required: bool = False


class ServerTrialAnswer(Struct, frozen=True):
    """What holds on a server; it can be used if everything required does."""

    host: str
    usable: bool
    checks: tuple[ServerCheck, ...]
