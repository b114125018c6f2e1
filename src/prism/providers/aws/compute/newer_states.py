"""What calls have answered about machines, for as long as EC2 may describe what was before.

EC2 is eventually consistent (EC2 Developer Guide, "Eventual consistency in the Amazon EC2 API"):
after `StopInstances` has answered `stopping`, `DescribeInstances` may still say `running`. Taken
for the truth, a start that follows would count as done, and so would a stop right after a start.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from prism.kit.clock import Clock
from prism.providers.aws.api.written_tags import CONSISTENT_AFTER
from prism.providers.aws.compute.instance import HIBERNATED, Ec2Instance

ANSWERS = ("StartingInstances", "StoppingInstances", "TerminatingInstances")
STOPPED_BY_API = "Client.UserInitiatedShutdown"
Version = tuple[str, datetime, str, datetime | None]


class Newer(Struct):
    """What is known of one machine beyond its descriptions; `old` are those that are outdated."""

    old: set[Version]
    now: Ec2Instance
    until: datetime


class NewerStates:
    """The states that calls of this daemon have answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: dict[str, Newer] = {}

    def note(
        self, before: Ec2Instance, answer: dict[str, Any], hibernate: bool
    ) -> Ec2Instance | None:
        """A call has changed a machine that was known as `before`: how it is since then.

        None where the answer names no other state. Since when is not in the answer: until the
        change is described, it is the time of the call.
        """
        state = _answered(before.id, answer)
        if state is None or state == before.state:
            return None
        at = self._clock.now()
        changed = {"reason": "", "changed": None, "launched": at}
        if state != "pending":
            reason = HIBERNATED if hibernate else STOPPED_BY_API
            changed = {"reason": reason, "changed": at, "launched": before.launched}
        after = replace(before, state=state, **changed)
        known = self._of.get(before.id)
        old = {_version(before)} | (known.old if known is not None else set())
        self._of[before.id] = Newer(old, after, at + CONSISTENT_AFTER)
        return after

    def over(self, instance: Ec2Instance) -> Ec2Instance:
        """A machine as it was described, or as it is known to be where that is outdated."""
        if (newer := self._of.get(instance.id)) is None:
            return instance
        if newer.until <= self._clock.now():
            self._of.pop(instance.id, None)
            return instance
        if _version(instance) in newer.old:
            return replace(newer.now, tags=instance.tags, key=instance.key)
        newer.now = instance
        return instance


def _version(instance: Ec2Instance) -> Version:
    """What a change of state changes: no two states of a machine agree in all of it."""
    return instance.state, instance.launched, instance.reason, instance.changed


def _answered(id: str, answer: dict[str, Any]) -> str | None:
    for name in ANSWERS:
        for change in answer.get(name) or ():
            if change["InstanceId"] == id:
                return str(change["CurrentState"]["Name"])
    return None
