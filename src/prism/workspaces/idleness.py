"""The idle rules that machines get, and the idleness that they report."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

Action = Literal["hibernate", "stop"]


class IdleRule(Struct, frozen=True, kw_only=True):
    """When a machine counts as idle, and what it does then; `limits` is by measurement."""

    profile: str
    minutes: int
    action: Action
    limits: dict[str, float]
    enabled: bool = True
    awake_until: datetime | None = None


class IdleAct(Struct, frozen=True, kw_only=True):
    """A machine's own action because of idleness; `note` says how it differs from the rule."""

    at: datetime
    action: Action
    seconds: float
    profile: str
    note: str | None = None


class Idleness(Struct, frozen=True, kw_only=True):
    """A machine's report about its own idleness.

    `since` is when it became idle or unknown, or was last active, as of `until`; `figures` are the
    last measurements; `acted` is the last time that the machine went to sleep because it was idle.
    `lacks` says which part of its rule the machine cannot carry out, and why.
    """

    state: Literal["active", "idle", "unknown"] | None = None
    since: datetime | None = None
    until: datetime | None = None
    because: tuple[str, ...] = ()
    figures: dict[str, float | None] = {}
    acted: IdleAct | None = None
    lacks: str | None = None
