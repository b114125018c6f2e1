"""The events of requests for more; `subject` is what is requested. They have no reasons."""

from typing import ClassVar

from prism.kit.events import Event


class _MoreRequestEvent(Event, frozen=True, kw_only=True):
    request: str
    kind: str
    project: str | None
    user: str
    """The person who requests more."""


class MoreRequested(_MoreRequestEvent, frozen=True, kw_only=True):
    """A person requested more; `decider` says who may grant it."""

    event: ClassVar[str] = "more_requested"
    decider: str


class MoreGranted(_MoreRequestEvent, frozen=True, kw_only=True):
    """A request for more was granted, and carried out."""

    event: ClassVar[str] = "more_granted"


class MoreRefused(_MoreRequestEvent, frozen=True, kw_only=True):
    """A request for more was refused."""

    event: ClassVar[str] = "more_refused"


class MoreWithdrawn(_MoreRequestEvent, frozen=True, kw_only=True):
    """A person withdrew a request for more."""

    event: ClassVar[str] = "more_withdrawn"
