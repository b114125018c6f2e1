"""What an idle profile is, and what you may ask about idleness."""

from datetime import datetime
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from prism.costs.model import Usage
from prism.errors import InUse
from prism.kit.money import Micros
from prism.workspaces.idleness import Action, Idleness, IdleRule
from prism.workspaces.model import State

MEASURED = {"cpu": "cpu", "memory": "resident", "network": "network", "gpu": "gpu"}
"""What is kept hour by hour, and which figure of a machine that is."""
SHOWN_FIGURES = {
    "cpu": "cpu",
    "memory": "resident",
    "network": "network",
    "disk": "disk",
    "gpu": "gpu",
}
"""What an activity chart shows, and which figure of a machine that is."""
STEP = 600  # seconds that one point of an activity chart stands for
LIMITS = ("cpu", "memory", "network", "disk", "gpu")
UNITS = {"cpu": "% of a core", "memory": "%", "network": "KB/s", "disk": "KB/s", "gpu": "%"}


class IdleProfileInUse(InUse):
    """Some workspace is watched by it, or it is built in."""


Minutes = Annotated[int, Meta(ge=1, le=10080)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Rate = Annotated[int, Meta(ge=0, le=100_000_000, description="KB/s")]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$(?!\n)",
        description="1-64 of letters, digits and ._- inside",
    ),
]


class IdleProfile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a workspace counts as idle, and what is done then; no threshold, no judgement.

    CPU is percent of one core, memory the growth between two looks in percent of what the
    workspace may use, GPU percent of the busiest; network and disk are KB/s.
    """

    name: str
    description: str
    idle_threshold_minutes: int
    action: Action
    cpu_threshold: float | None = None
    memory_threshold: float | None = None
    network_threshold: int | None = None
    disk_threshold: int | None = None
    gpu_threshold: float | None = None


class NewIdleProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a profile of one's own."""

    name: Name
    idle_threshold_minutes: Minutes
    action: Action
    description: Annotated[str, Meta(max_length=500)] = ""
    cpu_threshold: Percent | None = None
    memory_threshold: Percent | None = None
    network_threshold: Rate | None = None
    disk_threshold: Rate | None = None
    gpu_threshold: Percent | None = None


class Configuration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to watch a workspace by a profile."""

    profile: Annotated[str, Meta(min_length=1, max_length=64)]
    enabled: bool = True
    custom_threshold_minutes: Minutes | None = None


class Wakefulness(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to keep a workspace awake for so many minutes from now; 0 ends it."""

    minutes: Annotated[int, Meta(ge=0, le=10080)]


class Watched(Struct, frozen=True, kw_only=True):
    """What a workspace's owner makes of its idleness, and what its machine was told."""

    id: str
    place: str
    machine: str | None = None
    profile: str | None = None
    enabled: bool = True
    custom_minutes: int | None = None
    awake_until: datetime | None = None
    told: str | None = None


class Effective(Struct, frozen=True, kw_only=True):
    """What holds for a workspace from now on."""

    instance_name: str
    profile: str
    enabled: bool
    idle_threshold_minutes: int
    action: Action
    notes: tuple[str, ...] = ()


class Awake(Struct, frozen=True, kw_only=True):
    """Until when a workspace is kept awake; `notes` say what may end it sooner."""

    instance_name: str
    keep_awake_until: datetime | None
    notes: tuple[str, ...] = ()


class Measured(Struct, frozen=True, kw_only=True):
    """One figure, and the limit under which it counts as idle; null was not measured."""

    what: str
    value: float | None
    limit: float
    unit: str


class IdleStatus(Struct, frozen=True, kw_only=True):
    """Why a workspace is awake or asleep.

    `since` is when it became idle, or was active last, as was known `judged_at`; `acts_at`
    is when it goes down if nothing happens.
    """

    instance_name: str
    state: State
    profile: str | None
    enabled: bool
    idle_threshold_minutes: int | None
    action: Action | None
    verdict: str | None
    since: datetime | None
    idle_minutes: int | None
    because: tuple[str, ...]
    measured: tuple[Measured, ...]
    judged_at: datetime | None
    keep_awake_until: datetime | None
    acts_at: datetime | None
    last: "IdleAction | None"


class IdleAction(Struct, frozen=True, kw_only=True):
    """Something that was done about idleness; savings are those by now, null without a price."""

    instance_name: str
    action: Action
    trigger_time: datetime
    idle_duration: str
    profile: str
    estimated_savings: float | None
    note: str | None = None


class Triggered(Struct, frozen=True, kw_only=True):
    """What a machine did about its idleness, as it is kept."""

    workspace: str
    instance_name: str
    action: Action
    trigger_time: datetime
    seconds: int
    profile: str
    rate: Micros | None
    note: str | None = None
    woken_at: datetime | None = None


class Used(Struct, frozen=True):
    """One figure over some seconds: what it summed up to, and its highest value."""

    seconds: int = 0
    sum: float = 0.0
    max: float = 0.0

    def more(self, seconds: int, value: float) -> "Used":
        """The same, and so many seconds more at that value."""
        return Used(self.seconds + seconds, self.sum + seconds * value, max(self.max, value))

    def plus(self, other: "Used") -> "Used":
        """Both together."""
        most = max(self.max, other.max)
        return Used(self.seconds + other.seconds, self.sum + other.sum, most)

    def usage(self) -> Usage | None:
        """What it was, where it was measured at all."""
        if not self.seconds:
            return None
        mean = round(self.sum / self.seconds, 2)
        return Usage(round(self.seconds / 3600, 2), mean, round(self.max, 2))


class ActivityStep(Struct, frozen=True, kw_only=True):
    """What a workspace did in ten minutes: `number` counts such steps since 1970.

    `seconds` and `reasons` are by verdict; `began` and `until` are what was watched of it.
    """

    number: int
    began: int
    until: int
    seconds: dict[str, int]
    reasons: dict[str, tuple[str, ...]]
    figures: dict[str, Used]

    def joined(self, later: "ActivityStep") -> "ActivityStep":
        """Both as one; what another daemon has seen already counts once."""
        if later.began < self.until:
            return self
        names = self.figures.keys() | later.figures.keys()
        verdicts = self.seconds.keys() | later.seconds.keys()
        return ActivityStep(
            number=self.number,
            began=self.began,
            until=later.until,
            seconds={
                verdict: self.seconds.get(verdict, 0) + later.seconds.get(verdict, 0)
                for verdict in verdicts
            },
            reasons=self.reasons | later.reasons,
            figures={
                name: self.figures.get(name, Used()).plus(later.figures.get(name, Used()))
                for name in names
            },
        )


class ActivityFigure(Struct, frozen=True, kw_only=True):
    """A figure that an activity chart shows; `limit` is up to where it counts as idle."""

    name: str
    unit: str
    limit: float | None


class ActivityPoint(Struct, frozen=True, kw_only=True):
    """Ten minutes of a workspace; `verdict` is the one that lasted longest, `because` its reasons.

    The seconds are those that were watched. `figures` are means over the time in which each
    was measured; null was not measured.
    """

    at: datetime
    verdict: Literal["active", "idle", "unknown"]
    because: tuple[str, ...]
    active_seconds: int
    idle_seconds: int
    unknown_seconds: int
    figures: dict[str, float | None]


class Activity(Struct, frozen=True, kw_only=True):
    """What a workspace did in the last 24 hours; a step in which nobody looked has no point."""

    instance_name: str
    state: State
    profile: str | None
    since: datetime
    until: datetime
    step_seconds: int
    figures: tuple[ActivityFigure, ...]
    points: tuple[ActivityPoint, ...]
    acted: tuple["IdleAction", ...]


class DeletedIdleProfile(Struct, frozen=True):
    """It is gone."""

    message: str


class ActivityReader(Protocol):
    """Whoever knows what machines found out about themselves."""

    def of(self, workspace: str) -> Idleness | None:
        """What the machine of this workspace knows of its idleness."""


def limits_of(profile: IdleProfile) -> dict[str, float]:
    """What a profile sets a limit for."""
    found = {name: getattr(profile, f"{name}_threshold") for name in LIMITS}
    return {name: float(limit) for name, limit in found.items() if limit is not None}


def message(machine: str, rule: IdleRule | None) -> str:
    """What a machine was told, as it is kept in `Watched.told`."""
    return f"{machine} {msgspec.json.encode(rule).decode()}"


def rule_of(watched: Watched, profile: IdleProfile, hibernates: bool) -> IdleRule:
    """What the machine is told."""
    return IdleRule(
        profile=profile.name,
        minutes=watched.custom_minutes or profile.idle_threshold_minutes,
        action=profile.action if hibernates else "stop",
        limits=limits_of(profile),
        enabled=watched.enabled,
        awake_until=watched.awake_until,
    )
