"""Decides which call goes wrong, and how: by action, by count, by the seed."""

import random
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aws_double.rules import Fault


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, as far as faults and the log are concerned."""

    number: int
    account: str
    region: str
    service: str
    action: str
    values: str


@dataclass(slots=True)
class _Ordered:
    fault: Fault
    met: int = 0


class Faults:
    """The faults that are ordered, and how often each was met."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self._faults = [_Ordered(fault) for fault in faults]
        self._random = random.Random(f"faults:{seed}")

    @property
    def remember(self) -> bool:
        """Whether answers must be kept, to be given again."""
        return any(ordered.fault.do == "stale" for ordered in self._faults)

    def add(self, fault: Fault) -> None:
        """One more; what the others have counted stays."""
        self._faults.append(_Ordered(fault))

    def hit(self, asked: Asked) -> Fault | None:
        """The first fault that this call meets; every one that it matches counts it."""
        found = None
        for ordered in self._faults:
            if not _matches(ordered.fault, asked):
                continue
            ordered.met += 1
            if found is None and self._strikes(ordered.fault, ordered.met - 1):
                found = ordered.fault
        return found

    def _strikes(self, fault: Fault, met: int) -> bool:
        if met < fault.skip:
            return False
        if fault.times is not None and met >= fault.skip + fault.times:
            return False
        return fault.chance == 1 or self._random.random() < fault.chance


def _matches(fault: Fault, asked: Asked) -> bool:
    return (
        named(fault.action, asked.service, asked.action)
        and fnmatchcase(asked.account, fault.account)
        and fnmatchcase(asked.region, fault.region)
        and (fault.call is None or fault.call == asked.number)
        and fault.about in asked.values
    )


def named(pattern: str, service: str, action: str) -> bool:
    """Whether `RunInstances`, `ec2:Run*` and the like mean this action."""
    full = f"{service}:{action}"
    return fnmatchcase(full, pattern if ":" in pattern else f"*:{pattern}")
