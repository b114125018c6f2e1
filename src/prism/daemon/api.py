"""The routes of the daemon itself: its status, and its shutdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from litestar import Response
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from msgspec import Struct
from msgspec.structs import replace

from prism import __version__
from prism.access.model import current
from prism.client.daemon_model import DaemonStatus, LocationStatus, ShutdownAnswer
from prism.kit.clock import Clock
from prism.kit.http import READS
from prism.kit.routes import Routes
from prism.profiles.model import ProfileShown
from prism.profiles.providers import AWS

GRACE = 30  # seconds that requests get to end at a shutdown
SECONDS_BY_UNIT = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class Counts(Struct, frozen=True):
    """How many workspaces are listed, how many run or will run, how many are changing."""

    total: int
    active: int
    changing: int


@dataclass(frozen=True, slots=True)
class DaemonControl:
    """The status of the daemon, and how to stop it; the composition root fills this in."""

    clock: Clock
    started_at: datetime
    user: str
    database: str
    counts: Callable[[], Counts]
    profiles: Callable[[], Sequence[ProfileShown]]
    locations: Callable[[], Sequence[LocationStatus]]
    troubles: Callable[[], Sequence[str]]
    stop: Callable[[], object]


Control = NamedDependency[DaemonControl]
router = Routes("/api/v1/daemon", tags=["daemon"])


@router.get("/status", sync_to_thread=True)
def show_status(control: Control) -> DaemonStatus:
    """The status of the daemon; degraded if a place or the database does not answer."""
    troubles = control.troubles()  # first: the others use its result from the database
    counts, profiles, locations = control.counts(), control.profiles(), control.locations()
    away = [
        f"{location.place}: {location.problem}"
        for location in locations
        if location.reachable is False
    ]
    reasons, caller = [*troubles, *away], current()
    return DaemonStatus(
        status="degraded" if reasons else "healthy",
        reasons=reasons,
        version=__version__,
        uptime=duration_text(control.clock.now() - control.started_at),
        api_version="v1",
        aws_connectivity=_aws_connectivity([profile.provider for profile in profiles], locations),
        active_profiles=len(profiles),
        total_instances=counts.total,
        active_instances=counts.active,
        user=caller.name if caller.known else control.user,
        database=control.database,
        places=locations if caller.operator else [*map(_without_identity, locations)],
    )


@router.post("/shutdown", status_code=200, sync_to_thread=True, opt={READS: True})
def shut_down(control: Control) -> Response[ShutdownAnswer]:
    """Answer, let requests end, stop; workspaces keep running."""
    changing = control.counts().changing
    answer = ShutdownAnswer("Daemon shutting down gracefully", changing, GRACE)
    return Response(answer, background=BackgroundTask(control.stop))


def _without_identity(location: LocationStatus) -> LocationStatus:
    """A location for users other than the operator: without the identity that reaches it."""
    return replace(location, identity=None, missing=None, checked_at=None)


def duration_text(time: timedelta) -> str:
    """A duration as text, such as `2h 45m 30s`."""
    left = max(0, int(time.total_seconds()))
    words: list[str] = []
    for unit, seconds in SECONDS_BY_UNIT.items():
        count, left = divmod(left, seconds)
        if count or words or unit == "s":
            words.append(f"{count}{unit}")
    return " ".join(words)


def _aws_connectivity(
    providers: Sequence[str], locations: Sequence[LocationStatus]
) -> Literal["connected", "disconnected", "not_configured"]:
    if AWS not in providers:
        return "not_configured"
    is_connected = any(location.provider == AWS and location.reachable for location in locations)
    return "connected" if is_connected else "disconnected"
