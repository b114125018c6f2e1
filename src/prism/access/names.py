"""Which object a name means: names belong to people, so several objects may have the same one.

`NAME` is first the caller's own object, then the only other one that the caller may see.
`NAME--HANDLE` is the one of the person with that handle (docs/decisions/063).
"""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from prism.access.model import Caller, Subject, current
from prism.access.plan import sees
from prism.errors import Conflict
from prism.kit.actor import CURRENT_ACTOR

SEPARATOR = "--"
Resolved = MutableMapping[tuple[str, str], str]
# What names of this request mean, by kind and name: the same object until the request has ended,
# so that nobody acts on another one than the one whose rights were checked. None in local mode.
RESOLVED: ContextVar[Resolved | None] = ContextVar("RESOLVED", default=None)
SHOW = {
    "workspace": "prism workspace show",
    "volume": "prism volume show",
    "snapshot": "prism snapshot show",
}
SCOPE_KEY = "prism_names"  # of a request's scope, for checks after its beginning


class AmbiguousName(Conflict, code="AMBIGUOUS_NAME"):
    """Several people have one of that name."""


class OwnedObject(Protocol):
    """What decides whether a name means an object."""

    @property
    def id(self) -> str:
        """The permanent id, which sorts by age."""

    @property
    def name(self) -> str:
        """The name that its owner gave it."""

    @property
    def owner(self) -> str:
        """The address of its owner."""

    @property
    def project(self) -> str | None:
        """The id of its project."""


Owned = TypeVar("Owned", bound=OwnedObject)


@contextmanager
def names_of_request(scope: MutableMapping[str, Any], caller: Caller) -> Iterator[None]:
    """Let names mean what they mean in this request to this caller."""
    resolved: Resolved = scope.setdefault(SCOPE_KEY, {})
    before, names_before = CURRENT_ACTOR.set(caller), RESOLVED.set(resolved)
    try:
        yield
    finally:
        RESOLVED.reset(names_before)
        CURRENT_ACTOR.reset(before)


def let_mean(kind: str, name: str, id: str) -> None:
    """Let a name mean this object in the rest of this request, whoever may see it.

    Only for who has found out by another right than a role that the caller may use the object.
    """
    if (resolved := RESOLVED.get()) is not None:
        resolved[kind, name] = id


def full_name(name: str, handle: str) -> str:
    """The name that means the same to everybody."""
    return f"{name}{SEPARATOR}{handle}"


def named(
    kind: str,
    name: str,
    candidates: Sequence[Owned],
    ended: Callable[[Owned], bool],
    full_names: Callable[[Sequence[Owned]], Sequence[str]],
) -> Owned | None:
    """The one that `name` means to the caller; None if there is none that the caller may see.

    Raises `AmbiguousName`, which lists the full names, if several people have one.
    """
    resolved, key = RESOLVED.get(), (kind, name)
    if resolved is not None and key in resolved:
        return next((row for row in candidates if row.id == resolved[key]), None)
    row = _chosen(kind, name, candidates, ended, full_names)
    if resolved is not None and row is not None:
        resolved[key] = row.id
    return row


def _chosen(
    kind: str,
    name: str,
    candidates: Sequence[Owned],
    ended: Callable[[Owned], bool],
    full_names: Callable[[Sequence[Owned]], Sequence[str]],
) -> Owned | None:
    caller = current()
    rows = [row for row in candidates if sees(caller, Subject(row.project, row.owner))]
    if (
        caller.team
    ):  # one's own comes first, also after its end: else a repeated request met others
        rows = _own(rows, caller) or rows
        rows = [row for row in rows if not ended(row)] or rows
    else:
        living = [row for row in rows if not ended(row)]
        rows = (_own(living, caller) or living) or [max(rows, key=_age)] if rows else []
    if len({row.owner.lower() for row in rows}) > 1:
        raise ambiguous(kind, name, full_names(rows))
    return max(rows, key=_age, default=None)


def _age(row: OwnedObject) -> str:
    return row.id


def _own(rows: Sequence[Owned], caller: Caller) -> list[Owned]:
    return [row for row in rows if row.owner.lower() == caller.name.lower()]


def ambiguous(kind: str, name: str, full_names: Sequence[str]) -> AmbiguousName:
    """The problem if several people, whom the caller sees, have an object of that name."""
    names = sorted(set(full_names))
    example = names[0] if names else f"{name}{SEPARATOR}PERSON"
    return AmbiguousName(
        f"Several people have a {kind} called {name!r}",
        details=f"they are {', '.join(names)}" if names else "",
        remediation=f"Name one in full, such as `{SHOW[kind]} {example}`",
        data={"full_names": names},
    )
