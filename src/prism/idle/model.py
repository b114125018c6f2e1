"""The structs of idle profiles, and the requests and answers about idleness."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from prism.costs.model import UsageStatistics
from prism.errors import InUse
from prism.kit.money import Micros
from prism.workspaces.idleness import Action, Idleness, IdleRule
from prism.workspaces.model import WorkspaceState

MEASURED = {"cpu": "cpu", "memory": "resident", "network": "network", "gpu": "gpu"}
"""The names of hourly sums, and the machine's figure for each."""
SHOWN_FIGURES = {
    "cpu": "cpu",
    "memory": "resident",
    "network": "network",
    "disk": "disk",
    "gpu": "gpu",
}
"""The names of the figures of an activity chart, and the machine's figure for each."""
STEP_SECONDS = 600  # seconds that one point of an activity chart stands for
MEASUREMENT_UNITS = {
    "cpu": "% of a core",
    "memory": "%",
    "network": "KB/s",
    "disk": "KB/s",
    "gpu": "%",
}


class IdleProfileInUse(InUse):
    """A workspace uses the profile, or it is built in."""


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
    """When a workspace counts as idle, and what happens then; only given thresholds count.

    CPU is percent of one core, memory the growth between two measurements in percent of what the
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
    """A request for a new idle profile."""

    name: Name
    idle_threshold_minutes: Minutes
    action: Action
    description: Annotated[str, Meta(max_length=500)] = ""
    cpu_threshold: Percent | None = None
    memory_threshold: Percent | None = None
    network_threshold: Rate | None = None
    disk_threshold: Rate | None = None
    gpu_threshold: Percent | None = None


class ConfigureIdleRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to choose a workspace's idle profile."""

    profile: Annotated[str, Meta(min_length=1, max_length=64)]
    enabled: bool = True
    custom_threshold_minutes: Minutes | None = None


class KeepAwakeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to keep a workspace awake for a number of minutes from now; 0 ends it."""

    minutes: Annotated[int, Meta(ge=0, le=10080)]


class WatchedWorkspace(Struct, frozen=True, kw_only=True):
    """A workspace's idle rules, and those that were sent to its machine."""

    id: str
    location: str
    machine: str | None = None
    profile: str | None = None
    enabled: bool = True
    custom_minutes: int | None = None
    awake_until: datetime | None = None
    told: str | None = None


class EffectiveIdleRules(Struct, frozen=True, kw_only=True):
    """The idle rules that count for a workspace now."""

    instance_name: str
    profile: str
    enabled: bool
    idle_threshold_minutes: int
    action: Action
    notes: tuple[str, ...] = ()


class KeepAwakeAnswer(Struct, frozen=True, kw_only=True):
    """Until when a workspace is kept awake; `notes` say what may end it sooner."""

    instance_name: str
    keep_awake_until: datetime | None
    notes: tuple[str, ...] = ()


class MeasuredFigure(Struct, frozen=True, kw_only=True):
    """A figure, and the limit up to which it counts as idle; null if it was not measured."""

    what: str
    value: float | None
    limit: float
    unit: str


class IdleStatus(Struct, frozen=True, kw_only=True):
    """Why a workspace is awake or asleep.

    `since` is when it became idle, or was last active, as of `judged_at`; `acts_at` is when it
    goes to sleep if it stays idle.
    """

    instance_name: str
    state: WorkspaceState
    profile: str | None
    enabled: bool
    idle_threshold_minutes: int | None
    action: Action | None
    verdict: str | None
    since: datetime | None
    idle_minutes: int | None
    because: tuple[str, ...]
    measured: tuple[MeasuredFigure, ...]
    judged_at: datetime | None
    keep_awake_until: datetime | None
    acts_at: datetime | None
    last: "IdleAction | None"


class IdleAction(Struct, frozen=True, kw_only=True):
    """An action on an idle workspace; savings until now, null without a price."""

    instance_name: str
    action: Action
    trigger_time: datetime
    idle_duration: str
    profile: str
    estimated_savings: float | None
    note: str | None = None
    workspace: str


class TriggeredAction(Struct, frozen=True, kw_only=True):
    """An action of a machine because of idleness, as the database stores it."""

    workspace: str
    instance_name: str
    action: Action
    trigger_time: datetime
    seconds: int
    profile: str
    rate: Micros | None
    note: str | None = None
    woken_at: datetime | None = None


class FigureSum(Struct, frozen=True):
    """A figure over some seconds: its sum and its highest value."""

    seconds: int = 0
    sum: float = 0.0
    max: float = 0.0

    def more(self, seconds: int, value: float) -> "FigureSum":
        """The sum with a number of seconds more at that value."""
        return FigureSum(self.seconds + seconds, self.sum + seconds * value, max(self.max, value))

    def plus(self, other: "FigureSum") -> "FigureSum":
        """The sum of both."""
        most = max(self.max, other.max)
        return FigureSum(self.seconds + other.seconds, self.sum + other.sum, most)

    def usage(self) -> UsageStatistics | None:
        """The mean and the maximum; None if nothing was measured."""
        if not self.seconds:
            return None
        mean = round(self.sum / self.seconds, 2)
        return UsageStatistics(round(self.seconds / 3600, 2), mean, round(self.max, 2))


class ActivityStep(Struct, frozen=True, kw_only=True):
    """What a workspace did in ten minutes: `number` counts such steps since 1970.

    `seconds` and `reasons` are by verdict; `began` and `until` are the first and last measurement.
    """

    number: int
    began: int
    until: int
    seconds: dict[str, int]
    reasons: dict[str, tuple[str, ...]]
    figures: dict[str, FigureSum]

    def joined(self, later: "ActivityStep") -> "ActivityStep":
        """Both steps joined; time that another daemon has also watched counts once."""
        if later.began < self.until:
            return self
        names = self.figures.keys() | later.figures.keys()
        return ActivityStep(
            number=self.number,
            began=self.began,
            until=later.until,
            seconds=dict(Counter(self.seconds) + Counter(later.seconds)),
            reasons=self.reasons | later.reasons,
            figures={
                name: self.figures.get(name, FigureSum()).plus(
                    later.figures.get(name, FigureSum())
                )
                for name in names
            },
        )


class ActivityFigure(Struct, frozen=True, kw_only=True):
    """A figure of an activity chart; it counts as idle up to `limit`."""

    name: str
    unit: str
    limit: float | None


class ActivityPoint(Struct, frozen=True, kw_only=True):
    """Ten minutes of a workspace; `verdict` lasted longest, `because` are its reasons.

    The seconds are those that were measured. `figures` are means over the time in which each was
    measured; null was not measured.
    """

    at: datetime
    verdict: Literal["active", "idle", "unknown"]
    because: tuple[str, ...]
    active_seconds: int
    idle_seconds: int
    unknown_seconds: int
    figures: dict[str, float | None]


class Activity(Struct, frozen=True, kw_only=True):
    """The activity of the last 24 hours; a step without measurements has no point."""

    instance_name: str
    state: WorkspaceState
    profile: str | None
    since: datetime
    until: datetime
    step_seconds: int
    figures: tuple[ActivityFigure, ...]
    points: tuple[ActivityPoint, ...]
    acted: tuple["IdleAction", ...]


class DeletedIdleProfile(Struct, frozen=True):
    """The answer to a deletion."""

    message: str


class ActivityReader(Protocol):
    """Reads the idleness that machines report."""

    def of(self, workspace: str) -> Idleness | None:
        """The idleness that this workspace's machine reports."""


def limits_of(profile: IdleProfile) -> dict[str, float]:
    """The limits that a profile sets."""
    thresholds = {name: getattr(profile, f"{name}_threshold") for name in MEASUREMENT_UNITS}
    return {name: float(limit) for name, limit in thresholds.items() if limit is not None}


def sent_rule_text(machine: str, rule: IdleRule | None) -> str:
    """The rule that was sent to a machine, as `Watched.told` stores it."""
    return f"{machine} {msgspec.json.encode(rule).decode()}"


def rule_of(watched: WatchedWorkspace, profile: IdleProfile, hibernates: bool) -> IdleRule:
    """The rule for the machine."""
    return IdleRule(
        profile=profile.name,
        minutes=watched.custom_minutes or profile.idle_threshold_minutes,
        action=profile.action if hibernates else "stop",
        limits=limits_of(profile),
        enabled=watched.enabled,
        awake_until=watched.awake_until,
    )
