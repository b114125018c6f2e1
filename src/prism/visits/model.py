"""Visits, as they are stored and shown."""

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

VISIT_PAUSE = timedelta(minutes=5)  # without a request, after which a visit has ended
VISIT_HISTORY = timedelta(days=90)  # that visits are listed
MOST_VISITS_SHOWN = 100


class WayIn(StrEnum):
    """How somebody enters a workspace."""

    TERMINAL = "terminal"
    SSH = "ssh"
    PORT = "port"
    APP = "app"
    FILES = "files"
    LOGS = "logs"
    SECRETS = "secrets"


CONNECTIONS = frozenset({WayIn.TERMINAL, WayIn.SSH, WayIn.PORT})
"""The ways whose visits end with their last connection; others end after `VISIT_PAUSE`."""


class Visit(Struct, frozen=True, kw_only=True):
    """A visit; `ended_at` is null while it lasts, and `last_at` the last time it was seen."""

    id: str
    workspace: str
    person: str
    way: WayIn
    began_at: datetime
    last_at: datetime
    ended_at: datetime | None = None


class VisitShown(Struct, frozen=True, kw_only=True):
    """A visit in the API; `ended_at` is null while it lasts.

    `way` is `terminal`, `ssh` (also `exec` and `cp`), `port`, `app`, `files`, `logs`, or `secrets`
    for who was told how to connect.
    """

    person: str
    way: WayIn
    began_at: datetime
    ended_at: datetime | None


class VisitList(Struct, frozen=True):
    """The visits of other people to a workspace, the newest first."""

    visits: tuple[VisitShown, ...]
    count: int
