"""The caller: a context variable that the middleware sets for each request.

Threads of handlers copy the context, so services can read it wherever they run. Outside a
request there is no caller, and the daemon's own name is used.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeAlias

from msgspec import Struct

Who: TypeAlias = Callable[[], str]


class Actor(Struct, frozen=True, kw_only=True):
    """A caller; packages that know more about callers extend it."""

    name: str


CURRENT_ACTOR: ContextVar[Actor | None] = ContextVar("CURRENT_ACTOR", default=None)


def actor_or(default: str) -> Who:
    """A function that returns the present caller's name, or `default` outside a request."""

    def who() -> str:
        actor = CURRENT_ACTOR.get()
        return default if actor is None else actor.name

    return who
