"""States of machines from answers of calls, used while EC2 may still describe older ones.

EC2 is eventually consistent (EC2 Developer Guide, "Eventual consistency in the Amazon EC2 API"):
after `StopInstances` has answered `stopping`, `DescribeInstances` may still say `running`. A start
that follows would then count as done, and so would a stop right after a start.
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


class NewerState(Struct):
    """The newest known state of one machine; `old` are outdated states."""

    old: set[Version]
    now: Ec2Instance
    until: datetime


class NewerStates:
    """The newest states from the answers of this daemon's calls."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newer: dict[str, NewerState] = {}

    def note(
        self, before: Ec2Instance, answer: dict[str, Any], hibernate: bool
    ) -> Ec2Instance | None:
        """The machine's state after a call that changed it; `before` is its last known state.

        None if the answer contains no new state. The answer does not say when the state changed,
        so the time of the call is used until EC2 describes the change.
        """
        state = _answered_state(before.id, answer)
        if state is None or state == before.state:
            return None
        at = self._clock.now()
        changed = {"reason": "", "changed": None, "launched": at}
        if state != "pending":
            reason = HIBERNATED if hibernate else STOPPED_BY_API
            changed = {"reason": reason, "changed": at, "launched": before.launched}
        after = replace(before, state=state, **changed)
        known = self._newer.get(before.id)
        old = {_version(before)} | (known.old if known is not None else set())
        self._newer[before.id] = NewerState(old, after, at + CONSISTENT_AFTER)
        return after

    def over(self, instance: Ec2Instance) -> Ec2Instance:
        """The described machine, or its newer known state if the description is outdated."""
        if (newer := self._newer.get(instance.id)) is None:
            return instance
        if newer.until <= self._clock.now():
            self._newer.pop(instance.id, None)
            return instance
        if _version(instance) in newer.old:
            return replace(newer.now, tags=instance.tags, key=instance.key)
        newer.now = instance
        return instance


def _version(instance: Ec2Instance) -> Version:
    """The fields that identify one state of a machine."""
    return instance.state, instance.launched, instance.reason, instance.changed


def _answered_state(id: str, answer: dict[str, Any]) -> str | None:
    for name in ANSWERS:
        for change in answer.get(name) or ():
            if change["InstanceId"] == id:
                return str(change["CurrentState"]["Name"])
    return None
