"""Waits until a volume or a snapshot has the requested state."""

from __future__ import annotations

import time

from prism.annotations import Any, Callable, Iterator
from prism.cli.output.progress import Progress
from prism.client.transport.wire import Wire
from prism.client.waiting import FIRST_POLL_DELAY, GROWTH, MAX_POLL_DELAY, StillUnderWay
from prism.errors import Conflict, NotFound

MOVES = {"creating", "attaching", "detaching", "deleting", "pending", "copying", "verifying"}
WAIT_SECONDS = 60.0  # seconds without a change before waiting for an attachment ends
FAILING = 15.0  # seconds before waiting ends if there is a reason why it takes long


class StorageFailed(Conflict, code="STORAGE_FAILED"):
    """The volume or snapshot did not reach the requested state."""


def wait_until_settled(
    wire: Wire,
    get: Callable[[Any, str], object],
    name: str,
    command: str,
    *,
    silent: bool,
    patience: float | None = None,
    title: str | None = None,
) -> dict[str, Any] | None:
    """Wait until no change is under way; returns the resource, or None if it is gone.

    `command` shows the resource; `title` is what people call it, if not `name`. Raises
    `StorageFailed` if it ends in an error, and `StillUnderWay` if its state does not change for
    `patience` seconds.
    """
    resource = None
    try:
        with Progress(title or name, command) as progress:
            for resource in _poll(wire, get, name, command, patience):
                progress.state = resource["state"]
                if not silent and progress.state in MOVES:
                    percent = resource.get("progress")
                    share = "" if percent is None else f" {percent}%"
                    progress.show({"state": f"{progress.state}{share}"})
    except NotFound:
        return None
    if resource is not None and resource["state"] in {"error", "failed"}:
        why = (resource.get("failure") or {}).get("message", "the reason is unknown")
        raise StorageFailed(f"{title or name} failed: {why}", remediation=f"See `{command}`")
    return resource


def _poll(
    wire: Wire, get: Callable[[Any, str], object], name: str, command: str, patience: float | None
) -> Iterator[dict[str, Any]]:
    pause, last, since = FIRST_POLL_DELAY, "", time.monotonic()
    while True:
        resource: dict[str, Any] = wire.call(get, name)
        yield resource
        if resource["state"] not in MOVES:
            return
        if resource["state"] != last:
            last, since = resource["state"], time.monotonic()
        why = _hindrance(resource)
        limit = FAILING if why else patience
        waited = time.monotonic() - since
        if limit is not None and waited > limit:
            why = why or "; ".join(resource.get("notes") or [])
            raise StillUnderWay(
                f"{name} is still {resource['state']}" + (f": {why}" if why else ""),
                details=f"waited {waited:.0f} s; the work continues",
                remediation=f"Look again: `{command}`",
            )
        time.sleep(pause)
        pause = min(pause * GROWTH, MAX_POLL_DELAY)


def _hindrance(resource: dict[str, Any]) -> str:
    """Why a request takes long: the last attempt failed, or nothing is carried out now."""
    return (resource.get("failure") or {}).get("message") or resource.get("waiting") or ""
