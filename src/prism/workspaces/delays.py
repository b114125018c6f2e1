"""Why a workspace that is under way does not move on, as far as the daemon knows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from prism.kit.clock import Clock
from prism.workspaces.model import Seen, Workspace
from prism.workspaces.plan import IN_BETWEEN, state_of

SLOW = timedelta(minutes=1)
"""From then on a boot that stays at the same step is worth a word."""
Reason = Callable[[Workspace], str | None]


class Step(NamedTuple):
    """A step of a boot, and since when it is known to have gone no further."""

    stage: str
    progress: int
    since: datetime


class Delays:
    """Asks for the reason, and watches how long a boot stays at the same step."""

    def __init__(self, clock: Clock, reason: Reason) -> None:
        """`reason` is what a failed or pending call says about a workspace's location."""
        self._clock, self._reason = clock, reason
        self._steps: dict[str, Step] = {}

    def of(self, it: Workspace) -> str | None:
        """Why it does not move on; none where it moves, or rests."""
        slow = self._slow(it)
        return (self._reason(it) or slow) if state_of(it) in IN_BETWEEN else None

    def _slow(self, it: Workspace) -> str | None:
        if it.seen is not Seen.STARTING or it.stage is None:
            self._steps.pop(it.id, None)
            return None
        now, known = self._clock.now(), self._steps.get(it.id)
        if known is None or (known.stage, known.progress) != (it.stage, it.progress):
            known = self._steps[it.id] = Step(it.stage, it.progress, now)
        if now - known.since < SLOW:
            return None
        return (
            f"its boot has been at {it.stage!r} since {known.since:%H:%M:%S} UTC; see what it "
            f"does with `prism logs {it.name}`"
        )
