"""Waits until a workspace has the requested state."""

from __future__ import annotations

import time

from prism.annotations import Any, Iterator
from prism.client.errors import DaemonUnreachable
from prism.client.transport.wire import Wire, quoted
from prism.errors import Conflict, NotFound, ValidationFailed
from prism.lifecycle import COMES_UP, UNDER_WAY, VERBS

GOALS = {"launch": "running"} | {name: verb.goal for name, verb in VERBS.items()}
FIRST_POLL_DELAY, MAX_POLL_DELAY, GROWTH = 0.05, 1.0, 1.3
ANSWER_WITHIN = 1  # seconds until the daemon answers, though the change is still under way
# Seconds without a daemon until we give up: enough for a restart. And seconds until a failure that
# existed at first counts: it may be the reason for the request.
FAILURE_SECONDS = 15.0


class WorkspaceFailed(Conflict, code="WORKSPACE_FAILED"):
    """The workspace did not reach the requested state."""


class StillUnderWay(Conflict, code="STILL_UNDER_WAY"):
    """The time to wait is over; the work continues."""


def follow(
    wire: Wire, name: str, goal: str, seconds: float | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the workspace until no change is under way; raises if it missed `goal`."""
    until = None if seconds is None else time.monotonic() + seconds
    pause = FIRST_POLL_DELAY
    workspace = look(wire, name, goal)
    old, fades = workspace.get("failure"), time.monotonic() + FAILURE_SECONDS
    while True:
        yield workspace
        if workspace["state"] not in UNDER_WAY and not is_old(workspace):
            return judge(workspace, goal)
        if _is_refused(workspace) and (workspace["failure"] != old or time.monotonic() >= fades):
            return judge(workspace, goal)
        if until is not None and time.monotonic() >= until:
            raise StillUnderWay(
                f"{name} is still {workspace['state']}",
                details=f"waited {seconds:g} s; the work continues",
                remediation=f"Look again: `prism show {name}`",
            )
        began, waits = time.monotonic(), wire.holds and workspace["state"] in UNDER_WAY
        if not waits:
            time.sleep(pause)
        workspace = _fetch(wire, name, goal, until, ANSWER_WITHIN if waits else 0)
        if waits and workspace["state"] in UNDER_WAY:  # it answers early while it ends
            time.sleep(max(0.0, pause - (time.monotonic() - began)))
        pause = min(pause * GROWTH, MAX_POLL_DELAY)


def is_old(workspace: dict[str, Any]) -> bool:
    """Whether its state may be older than the daemon, as while its location does not answer."""
    return workspace["state"] not in UNDER_WAY and bool(workspace.get("waiting"))


def _is_refused(workspace: dict[str, Any]) -> bool:
    """Whether the provider refuses until somebody acts; Prism retries all the same."""
    return workspace["state"] == "terminating" and bool(workspace.get("failure"))


def stage_of(workspace: dict[str, Any]) -> tuple[str | None, int | None]:
    """Its stage and percent; only workspaces that start have these."""
    progress = workspace.get("progress")
    if workspace["state"] not in COMES_UP or progress == 100:  # 100: of the last time
        return None, None
    return workspace.get("stage"), progress


def look(wire: Wire, name: str, goal: str, wait: int = 0) -> dict[str, Any]:
    """One workspace; after `terminate`, a missing one counts as terminated.

    With `wait`, the daemon answers when no change is under way, or after so many seconds.
    """
    try:
        workspace: dict[str, Any] = wire.ask("GET", f"/instances/{quoted(name)}", wait=wait)
    except ValidationFailed:  # an older daemon has no `?wait=` there
        if not wait:
            raise
        wire.holds = False
        return look(wire, name, goal)
    except NotFound:
        if goal == "terminated":
            return {"name": name, "state": "terminated"}
        raise
    return workspace


def _fetch(wire: Wire, name: str, goal: str, until: float | None, wait: int) -> dict[str, Any]:
    """Fetch the workspace again; waits while the daemon restarts, but does not start it."""
    patient = time.monotonic() + FAILURE_SECONDS
    while True:
        try:
            return look(wire, name, goal, wait)
        except DaemonUnreachable:
            if time.monotonic() >= min(patient, until or patient):
                raise
        time.sleep(MAX_POLL_DELAY)


def _template_hint(workspace: dict[str, Any]) -> str:
    """A hint about corrected templates, which count until the workspace was ready once."""
    if workspace.get("launch_progress", 100) == 100:
        return ""
    return f", with a corrected template `prism start {workspace['name']} --template-again`"


def judge(workspace: dict[str, Any], goal: str) -> None:
    """Raise unless the workspace reached the requested state."""
    name, state, failure = workspace["name"], workspace["state"], workspace.get("failure")
    if state == goal:
        return
    if state == "failed":
        hint = f"Try again: `prism start {name}`{_template_hint(workspace)}; "
        hint += f"give it up: `prism terminate {name}`"
    else:
        hint = f"See what happened: `prism show {name}`"
    if failure:
        problem = WorkspaceFailed(
            f"{name} is {state}: {failure['message']}", remediation=hint, details=failure["code"]
        )
        problem.data = {"failure": failure}
        raise problem
    raise WorkspaceFailed(f"{name} is {state}, not {goal}", remediation=hint)
