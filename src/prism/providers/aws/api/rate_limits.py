"""Token buckets: the process delays its calls, so that AWS does not throttle them.

EC2 has a bucket per account, region and action. Ours are a little smaller, because the network
changes the time between two calls.
"""

import threading
import time
from collections.abc import Callable
from fnmatch import fnmatchcase

from msgspec import Struct

from prism.providers.aws.api.faults import AwsThrottled


class BucketSize(Struct, frozen=True):
    """How many calls may be made at once, and how many tokens are added per second."""

    calls: float
    refill: float


DEPTHS = (
    ("ec2:RunInstances", BucketSize(4, 1.9)),
    ("ec2:StartInstances", BucketSize(4, 1.9)),
    ("ec2:*Tags", BucketSize(80, 9)),
    ("ec2:Describe*", BucketSize(90, 19)),
    ("ec2:Get*", BucketSize(90, 19)),
    ("*", BucketSize(40, 4.5)),
)


class TokenBucket:
    """Tokens for one action, given out in the order of the requests."""

    def __init__(self, depth: BucketSize, now: Callable[[], float]) -> None:
        self._depth, self._now = depth, now
        self._lock, self._tokens, self._at = threading.Lock(), depth.calls, now()

    def reserve(self, most: float) -> float | None:
        """Take a token: how long to wait for it, or None if that would be longer than `most`."""
        with self._lock:
            self._fill()
            wait = max(0.0, (1 - self._tokens) / self._depth.refill)
            if wait > most:
                return None
            self._tokens -= 1
            return wait

    def drain(self) -> None:
        """Empty the bucket after AWS has throttled: other programs use AWS's bucket too."""
        with self._lock:
            self._fill()
            self._tokens = min(self._tokens, 0)

    def _fill(self) -> None:
        now = self._now()
        gained = (now - self._at) * self._depth.refill
        self._tokens, self._at = min(self._depth.calls, self._tokens + gained), now


class RateLimiter:
    """The buckets of one account and region, for the whole process."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._now, self._sleep = now, sleep
        self._lock = threading.Lock()
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, name: str, most: float) -> None:
        """Wait for a token of `service:Action`; raises `AwsThrottled` if that takes too long."""
        wait = self._bucket(name).reserve(most)
        if wait is None:
            raise AwsThrottled(details=f"{name}: more than {most:.0f} s of calls are waiting")
        if wait > 0:
            self._sleep(wait)

    def drain(self, name: str) -> None:
        """Empty the bucket of `service:Action`, because AWS has throttled it."""
        self._bucket(name).drain()

    def _bucket(self, name: str) -> TokenBucket:
        with self._lock:
            if name not in self._buckets:
                depth = next(depth for like, depth in DEPTHS if fnmatchcase(name, like))
                self._buckets[name] = TokenBucket(depth, self._now)
            return self._buckets[name]
