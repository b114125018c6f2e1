"""Decides from samples whether a machine is idle. It reads no clock and no machine.

A sample contains the measurements between two times. A figure above its limit, work in progress,
or an action of a person makes the machine active. If something could not be measured, or no sample
was taken, the state is unknown, which never counts as idle. A figure without a limit does not
count.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from math import inf
from typing import Final, NamedTuple

from prism.agent.protocol import IdleSettings, IdleState

ACTIVE: Final = "active"
IDLE_STATE: Final = "idle"
UNKNOWN_STATE: Final = "unknown"
GAP = 90.0  # seconds between two samples; a longer gap counts as unknown
FIGURES = {
    "cpu": ("the processor was busy", "% of a core"),
    "memory": ("memory grew by", "% of what it may use"),
    "network": ("the network carried", "KB/s"),
    "disk": ("the disk moved", "KB/s"),
    "gpu": ("the GPU was busy", "%"),
}
Limits = Mapping[str, float]
Touch = tuple[float, str]


class Sample(NamedTuple):
    """The measurements between two times.

    `work` says what is in progress, `doubts` what could not be measured, `touches` when a person
    last did something, and what.
    """

    began: float
    ended: float
    figures: Mapping[str, float | None]
    work: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    touches: tuple[Touch, ...] = ()


class Verdict(NamedTuple):
    """The verdict at `until`, and why: idle or unknown `since`, or last active at `since`."""

    state: IdleState
    since: float
    until: float
    because: tuple[str, ...]


def verdict(samples: Iterable[Sample], limits: Limits) -> Verdict | None:
    """The verdict from samples in chronological order; None without samples."""
    first: Verdict | None = None
    return reduce(lambda before, sample: judge(before, sample, limits), samples, first)


def judge(before: Verdict | None, sample: Sample, limits: Limits) -> Verdict:
    """The verdict after one more sample."""
    now = sample.ended
    if work := (*sample.work, *_exceeded(sample, limits)):
        return Verdict(ACTIVE, now, now, work)
    if doubts := (*sample.doubts, *_unmeasured(sample, limits)):
        return Verdict(UNKNOWN_STATE, _unknown_since(before, sample), now, doubts)
    since, because = _quiet_since(before, sample), ""
    for at, reason in sample.touches:
        if min(at, now) > since:
            since, because = min(at, now), reason
    if not because and before is not None and before.state == IDLE_STATE and before.since == since:
        return Verdict(IDLE_STATE, since, now, before.because)
    return Verdict(IDLE_STATE, since, now, (because or "nothing is going on",))


def is_due(known: Verdict | None, rule: IdleSettings, now: float) -> bool:
    """Whether the machine has been idle for long enough to act."""
    if known is None or known.state != IDLE_STATE or not rule.get("enabled", True):
        return False
    awake_until = rule.get("awake_until")
    if now - known.until > GAP or (awake_until is not None and now < awake_until):
        return False
    return now - known.since >= rule["seconds"]


def due_in(known: Verdict | None, rule: IdleSettings, now: float) -> float:
    """Seconds until the machine may have been idle for long enough, by what is known now."""
    if known is None or known.state != IDLE_STATE or not rule.get("enabled", True):
        return inf
    at = max(known.since + rule["seconds"], rule.get("awake_until") or 0.0)
    return at - now if at > now else inf  # else it is due, or needs another sample first


def _unknown_since(before: Verdict | None, sample: Sample) -> float:
    """Since when the verdict is unknown; a gap between samples starts the time again."""
    if before is None or before.state != UNKNOWN_STATE:
        return sample.ended
    return before.since if 0 <= sample.began - before.until <= GAP else sample.ended


def _quiet_since(before: Verdict | None, sample: Sample) -> float:
    """Since when the machine is idle; a gap between samples does not count."""
    if not 0 <= sample.ended - sample.began <= GAP:
        return sample.ended
    if before is None or not 0 <= sample.began - before.until <= GAP:
        return sample.began
    return before.until if before.state == UNKNOWN_STATE else before.since


def _exceeded(sample: Sample, limits: Limits) -> tuple[str, ...]:
    reasons = []
    for name, limit in limits.items():
        figure = sample.figures.get(name)
        if figure is not None and figure > limit:
            phrase, unit = FIGURES[name]
            reasons.append(f"{phrase}: {figure:.1f} {unit}, above {limit:g}")
    return tuple(reasons)


def _unmeasured(sample: Sample, limits: Limits) -> tuple[str, ...]:
    missing = (name for name in limits if sample.figures.get(name) is None)
    return tuple(f"{name} cannot be measured here, so it stays awake" for name in missing)
