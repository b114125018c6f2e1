"""Token buckets, as EC2 throttles: per account, region and family of actions."""

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from aws_double.refusals import Refusal
from aws_double.rules import Bucket

Scope = tuple[str, str]  # account, region


def too_often(service: str) -> Refusal:
    """A service's refusal of too many requests."""
    if service == "ec2":
        return Refusal("RequestLimitExceeded", "Request limit exceeded.", 503)
    if service in {"sts", "iam"}:
        return Refusal("Throttling", "Rate exceeded")
    return Refusal("ThrottlingException", "Rate exceeded")


@dataclass(slots=True)
class _Level:
    tokens: float
    at: datetime


class Throttle:
    """All buckets of the double, full at first."""

    def __init__(self, buckets: tuple[Bucket, ...]) -> None:
        self._buckets = buckets
        self._levels: dict[tuple[Scope, int, str], _Level] = {}

    def take(self, scope: Scope, action: str, resources: int, now: datetime) -> None:
        """Take what the call costs from the first bucket of each sort, or refuse it."""
        costs: list[tuple[_Level, int]] = []
        counted: set[str] = set()
        for index, bucket in enumerate(self._buckets):
            if bucket.counts in counted or not any(
                fnmatchcase(action, pattern) for pattern in bucket.actions
            ):
                continue
            counted.add(bucket.counts)
            key = (scope, index, action if bucket.each else "")
            cost = resources if bucket.counts == "resources" else 1
            costs.append((self._level(key, bucket, now), cost))
        if any(level.tokens < cost for level, cost in costs):
            raise too_often("ec2")
        for level, cost in costs:
            level.tokens -= cost

    def _level(self, key: tuple[Scope, int, str], bucket: Bucket, now: datetime) -> _Level:
        level = self._levels.setdefault(key, _Level(float(bucket.depth), now))
        passed = (now - level.at).total_seconds()
        level.tokens, level.at = min(bucket.depth, level.tokens + passed * bucket.refill), now
        return level
