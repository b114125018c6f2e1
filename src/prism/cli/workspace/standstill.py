"""Finds out why a workspace makes no progress, from what the daemon says of its location."""

from __future__ import annotations

import time

from prism.annotations import Any
from prism.cli.output.terminal import clean
from prism.cli.workspace.locations import is_local, is_local_place
from prism.client.daemon import Daemon
from prism.client.names import unique_name
from prism.client.transport.wire import Wire
from prism.client.waiting import StillUnderWay, is_old
from prism.errors import Problem
from prism.lifecycle import UNDER_WAY

STANDSTILL_SECONDS, ASK_EVERY = (
    2.0,
    2.0,
)  # seconds without a change before we ask why, and before we ask again
GIVE_UP = 60.0  # seconds that a command waits for a location that does not answer


def reason(places: list[dict[str, Any]], workspace: dict[str, Any]) -> str | None:
    """Why the location of a workspace does not answer; None if it does, or if unknown."""
    local = is_local(workspace)
    for place in places:
        if place["reachable"] is not False or is_local_place(place) != local:
            continue
        name: str = place["place"]
        if local or name in {
            f"{place['provider']}:{workspace.get(of)}" for of in ("profile", "region")
        }:
            return f"{place['problem']}"
        if name.count(":") > 1 and name.endswith(f":{workspace.get('region')}"):
            return f"{place['problem']}"
    return None


def reasons(wire: Wire, workspaces: list[dict[str, Any]]) -> dict[str, str]:
    """By name, why workspaces that change state make no progress, or why their state is old.

    The workspace's own reason takes precedence over its location's. If the daemon
    does not answer, there are no reasons.
    """
    old = {unique_name(row): row["waiting"] for row in workspaces if is_old(row)}
    moving = [workspace for workspace in workspaces if workspace["state"] in UNDER_WAY]
    try:
        places = wire.call(Daemon.status)["places"] if moving else []
    except Problem:
        return old
    by_name = {
        unique_name(workspace): workspace.get("waiting") or reason(places, workspace)
        for workspace in moving
    }
    return old | {name: why for name, why in by_name.items() if why}


class Standstill:
    """Notices that a workspace makes no progress, for a command that waits."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._last = wire, ""
        self._changed_at = self._asked_at = time.monotonic()
        self._since: float | None = None
        self._reason: str | None = None

    def look(self, seen: dict[str, Any]) -> str | None:
        """Why the location does not answer, or None; raises `StillUnderWay` after `GIVE_UP`."""
        now = time.monotonic()
        state = str([seen.get(field) for field in ("state", "stage", "progress")])
        if state != self._last:
            self._last, self._changed_at = state, now
        if now - self._changed_at >= STANDSTILL_SECONDS and now - self._asked_at >= ASK_EVERY:
            self._asked_at = now
            row = seen if is_old(seen) else seen | {"waiting": None}
            self._reason = reasons(self._wire, [row]).get(unique_name(seen))
            self._since = (self._since or now) if self._reason else None
        if self._since is not None and now - self._since >= GIVE_UP:
            raise StillUnderWay(
                f"{seen['name']} is still {seen['state']}: {self._reason}",
                details=f"waited for {GIVE_UP:.0f} s; Prism keeps trying, and does it when "
                "the location answers again",
                remediation=f"See `prism doctor`; look again with `prism show {seen['name']}`",
            )
        return seen.get("waiting") or self._reason


def waiting_reason(why: str) -> str:
    """The reason as a part of a sentence, with a command that says more."""
    why = clean(why).rstrip(".")
    return why if "`" in why else f"{why}; see `prism doctor`"
