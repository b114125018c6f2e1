"""Why a workspace that is starting or stopping makes no progress, or why its state is old."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from prism.kit.clock import Clock
from prism.workspaces.model import Observed, Workspace
from prism.workspaces.plan import IN_BETWEEN, state_of

SLOW = timedelta(minutes=1)
"""A boot that stays at one step for longer is reported."""
Reason = Callable[[Workspace], str | None]


class BootStep(NamedTuple):
    """A step of a boot, and since when the boot has been at this step."""

    stage: str
    progress: int
    since: datetime


class Delays:
    """Finds the reason for a delay, and watches how long a boot stays at the same step."""

    def __init__(self, clock: Clock, reason: Reason, not_seen: Reason = lambda _: None) -> None:
        """`reason` is what a failed or pending call says about a workspace's location.

        `not_seen` is why its state may be older than the daemon.
        """
        self._clock, self._reason, self._not_seen = clock, reason, not_seen
        self._steps: dict[str, BootStep] = {}

    def of(self, workspace: Workspace) -> str | None:
        """Why a workspace makes no progress, or why its state may be old; None if neither."""
        if not_seen := self._not_seen(workspace):
            return not_seen
        slow = self._slow_boot(workspace)
        return (self._reason(workspace) or slow) if state_of(workspace) in IN_BETWEEN else None

    def _slow_boot(self, workspace: Workspace) -> str | None:
        if workspace.observed is not Observed.STARTING or workspace.stage is None:
            self._steps.pop(workspace.id, None)
            return None
        now, known = self._clock.now(), self._steps.get(workspace.id)
        if known is None or (known.stage, known.progress) != (workspace.stage, workspace.progress):
            known = self._steps[workspace.id] = BootStep(workspace.stage, workspace.progress, now)
        if now - known.since < SLOW:
            return None
        return (
            f"its boot has been at {workspace.stage!r} since {known.since:%H:%M:%S} UTC; "
            f"see what it does with `prism logs {workspace.name}`"
        )
