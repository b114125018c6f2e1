"""Counts calls to AWS by operation and result, in this process."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from prism.providers.aws.api.faults import (
    AwsDenied,
    AwsThrottled,
    AwsUnavailable,
    CredentialsMissing,
)

OK = "ok"
RESULTS: dict[type[Exception], str] = {
    AwsThrottled: "throttled",
    AwsUnavailable: "unavailable",
    CredentialsMissing: "no_credentials",
    AwsDenied: "denied",
}
REFUSED = "refused"  # any other answer of AWS that is an error


class CallKind(NamedTuple):
    """What calls are counted by; `operation` as in `ec2:RunInstances`."""

    operation: str
    result: str


class CallCounts:
    """The calls so far; each try of a call counts. Any number of threads may use it."""

    def __init__(self) -> None:
        self._lock, self._counts = threading.Lock(), Counter[CallKind]()

    def add(self, operation: str, error: Exception | None = None) -> None:
        """Count a call that was answered, or that failed with `error`."""
        result = OK if error is None else RESULTS.get(type(error), REFUSED)
        with self._lock:
            self._counts[CallKind(operation, result)] += 1

    def snapshot(self) -> Mapping[CallKind, int]:
        """The counts now."""
        with self._lock:
            return dict(self._counts)


AWS_CALLS = CallCounts()
"""Those of all accounts and regions of this process."""
