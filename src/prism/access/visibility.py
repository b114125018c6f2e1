"""Which events a caller may see: those of their projects, and their own actions.

An event belongs to the project that the object had at that time. If the object moves to another
project or is deleted, its history stays.
"""

import hmac
from collections.abc import Callable
from pathlib import Path

from prism.access.model import Caller, Subject, current
from prism.access.plan import sees
from prism.access.service import expired
from prism.kit.clock import Clock
from prism.kit.event_ids import (
    KEY_BYTES,
    PLAIN_IDS,
    EventIds,
    IdsOfCaller,
    OpaqueEventIds,
    secret_in,
)
from prism.kit.events import RESYNC, RecordedEvent
from prism.kit.stream import EventFilter, EventFilters

# The former owner sees a transfer too, and both projects see the attachment of a volume.
PROJECTS = ("project", "previous_project", "instance_project")
MEMBERSHIP = {"member_joined", "member_changed", "member_left"}
FindSubject = Callable[[str], Subject | None]


def event_filters(
    newest: Callable[[], int], find_workspace: FindSubject, clock: Clock
) -> EventFilters:
    """Makes event filters; `newest` is the number of the last event when rights were read."""

    def filter_of_the_caller() -> EventFilter | None:
        caller = current()
        if caller.operator and caller.token is None and caller.session is None:
            return None  # the socket's, which no right is needed for
        return CallerFilter(caller, newest(), find_workspace, clock)

    return filter_of_the_caller


class CallerFilter:
    """What a caller may see, whose rights were read after the event `read`."""

    def __init__(
        self, caller: Caller, read: int, find_workspace: FindSubject, clock: Clock
    ) -> None:
        self._caller, self._read = caller, read
        self._find_workspace, self._clock = find_workspace, clock

    def __call__(self, event: RecordedEvent) -> bool | None:
        """Implements `EventFilter`."""
        is_later = event.id > self._read
        if self.is_over() or (is_later and changes_rights(self._caller, event)):
            return None
        return may_see(self._caller, event, self._find_workspace)

    def is_over(self) -> bool:
        """Implements `EventFilter`."""
        return expired(self._caller, self._clock.now())


def ids_of_caller(secret: Path) -> IdsOfCaller:
    """Gives a caller the ids of events: opaque ones to who is no operator; `secret` is a file."""

    def of_the_caller() -> EventIds:
        caller = current()
        if caller.operator:
            return PLAIN_IDS
        person = caller.name.lower().encode()
        return OpaqueEventIds(hmac.digest(secret_in(secret), person, "sha256")[:KEY_BYTES])

    return of_the_caller


def changes_rights(caller: Caller, event: RecordedEvent) -> bool:
    """Whether this event changes the caller's rights."""
    if event.event == "token_revoked":
        return bool(event.data.get("token") == caller.token)
    if event.event == "session_ended":
        return bool(event.data.get("session") == caller.session)
    return event.event in MEMBERSHIP and event.data.get("email") == caller.name.lower()


def may_see(caller: Caller, event: RecordedEvent, find_workspace: FindSubject) -> bool:
    """Whether the caller may see the event."""
    if caller.operator or event.event == RESYNC:
        return True
    whole = caller.token_project is None  # else the caller's actions in other projects are hidden
    if whole and event.actor.lower() == caller.name.lower():
        return True
    named = [project_id for name in PROJECTS if (project_id := event.data.get(name)) is not None]
    if any(sees(caller, Subject(project)) for project in named):
        return True
    if event.data.get("project") is not None:
        return False
    if (id := event.data.get("workspace")) is not None:
        subject = find_workspace(id)
        if subject is not None and "project" in event.data:  # it had none: it was its owner's
            subject = Subject(owner=subject.owner)
        return subject is not None and sees(caller, subject)
    return whole and bool(event.data.get("user") == caller.name.lower())
