"""The caller: a context variable that the middleware sets for each request.

Threads that handlers run in copy the context, so services read it wherever they run. Outside a
request nobody is asking, and the daemon's own name stands.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeAlias

from msgspec import Struct

Who: TypeAlias = Callable[[], str]


class Actor(Struct, frozen=True, kw_only=True):
    """A caller; packages that know more about callers extend it."""

    name: str


CURRENT: ContextVar[Actor | None] = ContextVar("ACTOR", default=None)


def asking(otherwise: str) -> Who:
    """A callable that says who is asking now, and `otherwise` where nobody is."""

    def who() -> str:
        actor = CURRENT.get()
        return otherwise if actor is None else actor.name

    return who
