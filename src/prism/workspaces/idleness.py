"""What a machine is told about idleness, and what it reports."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

Action = Literal["hibernate", "stop"]


class IdleRule(Struct, frozen=True, kw_only=True):
    """What a machine is to make of its own idleness; `limits` by what is measured."""

    profile: str
    minutes: int
    action: Action
    limits: dict[str, float]
    enabled: bool = True
    awake_until: datetime | None = None


class IdleAct(Struct, frozen=True, kw_only=True):
    """What a machine did about its idleness, by itself; `note` says what was different."""

    at: datetime
    action: Action
    seconds: float
    profile: str
    note: str | None = None


class Idleness(Struct, frozen=True, kw_only=True):
    """What a machine knows of its own idleness.

    `since` when it is idle or unknown, or was last active, as was known at `until`; `figures`
    is what was measured last; `acted` is the last time that it went down because of it. `lacks`
    says what it cannot do about its idleness by itself, and why.
    """

    state: Literal["active", "idle", "unknown"] | None = None
    since: datetime | None = None
    until: datetime | None = None
    because: tuple[str, ...] = ()
    figures: dict[str, float | None] = {}
    acted: IdleAct | None = None
    lacks: str | None = None
