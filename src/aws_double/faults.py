"""Decides which call goes wrong, and how: by action, by count, by the seed."""

import random
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aws_double.rules import Fault


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call, as far as faults and the log are concerned."""

    number: int
    account: str
    region: str
    service: str
    action: str
    values: str


@dataclass(slots=True)
class _CountedFault:
    fault: Fault
    met: int = 0


class Faults:
    """The faults in force, and how many calls each has matched."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self._faults = [_CountedFault(fault) for fault in faults]
        self._random = random.Random(f"faults:{seed}")

    @property
    def remember(self) -> bool:
        """Whether answers must be kept, since a fault repeats an old one."""
        return any(counted.fault.do == "stale" for counted in self._faults)

    def add(self, fault: Fault) -> None:
        """Add a fault; the others keep their counts."""
        self._faults.append(_CountedFault(fault))

    def hit(self, call: IncomingCall) -> Fault | None:
        """The first fault that is due for this call; each fault that matches counts the call."""
        fault = None
        for counted in self._faults:
            if not _matches(counted.fault, call):
                continue
            counted.met += 1
            if fault is None and self._is_due(counted.fault, counted.met - 1):
                fault = counted.fault
        return fault

    def _is_due(self, fault: Fault, count: int) -> bool:
        if count < fault.skip:
            return False
        if fault.times is not None and count >= fault.skip + fault.times:
            return False
        return fault.chance == 1 or self._random.random() < fault.chance


def _matches(fault: Fault, call: IncomingCall) -> bool:
    return (
        named(fault.action, call.service, call.action)
        and fnmatchcase(call.account, fault.account)
        and fnmatchcase(call.region, fault.region)
        and (fault.call is None or fault.call == call.number)
        and fault.about in call.values
    )


def named(pattern: str, service: str, action: str) -> bool:
    """Whether `RunInstances`, `ec2:Run*` and the like mean this action."""
    full = f"{service}:{action}"
    return fnmatchcase(full, pattern if ":" in pattern else f"*:{pattern}")
