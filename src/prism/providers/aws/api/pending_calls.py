"""Calls to AWS that take long or fail, so that Prism can show why a workspace waits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from prism.errors import Problem
from prism.kit.clock import Clock
from prism.providers.aws.api.faults import (
    AccountPending,
    AwsThrottled,
    AwsUnavailable,
    CredentialsMissing,
)

SLOW_CALL = timedelta(seconds=2)
"""After this time, a call without an answer is reported."""
FAILURE_REPORTED_FOR = timedelta(minutes=6)
"""How long a failure is reported unless the call is repeated; loops pause at most 5 min."""
NOBODY_WAITS_FOR = ("pricing:", "ec2:DescribeSpotPriceHistory")


@dataclass(slots=True)
class PendingCall:
    """A call under way; `problem` is the error of its last try."""

    action: str
    began: datetime
    problem: Problem | None = None
    in_queue: bool = False  # it waits for Prism's own rate limit


@dataclass(slots=True)
class FailedCall:
    """An action that has failed each time since `since`."""

    since: datetime
    last: datetime
    problem: Problem


class PendingCalls:
    """The calls of one account and region that take long or fail."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._pending: dict[int, PendingCall] = {}
        self._failed: dict[str, FailedCall] = {}

    @contextmanager
    def asking(self, action: str) -> Iterator[PendingCall]:
        """Count a call as pending until it ends, and record whether it failed."""
        call = PendingCall(action, self._clock.now())
        if action.startswith(NOBODY_WAITS_FOR):
            yield call
            return
        with self._lock:
            self._pending[id(call)] = call
        failure: Problem | None = None
        try:
            yield call
        except (AccountPending, AwsThrottled, AwsUnavailable, CredentialsMissing) as away:
            failure = away
            raise
        finally:
            self._record_end(call, failure)

    def reason(self) -> str | None:
        """The longest wait, as a sentence; None if no call waits or fails."""
        now = self._clock.now()
        with self._lock:
            pending, failed = list(self._pending.values()), dict(self._failed)
        reasons = [
            (pending_call.began, _pending_reason(pending_call))
            for pending_call in pending
            if pending_call.problem or now - pending_call.began >= SLOW_CALL
        ]
        reasons += [
            (failed_call.since, _sentence(action, failed_call.problem, failed_call.since))
            for action, failed_call in failed.items()
            if now - failed_call.last < FAILURE_REPORTED_FOR
        ]
        return min(reasons)[1] if reasons else None

    def _record_end(self, call: PendingCall, problem: Problem | None) -> None:
        now = self._clock.now()
        with self._lock:
            self._pending.pop(id(call))
            if problem is None:
                self._failed.pop(call.action, None)
            elif (before := self._failed.get(call.action)) is not None:
                before.last, before.problem = now, problem
            else:
                self._failed[call.action] = FailedCall(call.began, now, problem)


def _pending_reason(call: PendingCall) -> str:
    if call.problem is None and call.in_queue:
        return (
            f"{call.action} has been queued since {_time(call.began)}: AWS allows only some such "
            "calls a second"
        )
    return _sentence(call.action, call.problem, call.began)


def _sentence(action: str, problem: Problem | None, since: datetime) -> str:
    if isinstance(problem, AwsThrottled):
        return (
            f"AWS throttles {action} since {_time(since)}: the account makes too many calls. "
            "Prism repeats it"
        )
    if isinstance(problem, AccountPending):
        return f"{problem.message}, since {_time(since)}"
    if isinstance(problem, CredentialsMissing):
        sentence = f"{problem.message.rstrip('.')}, since {_time(since)}"
        return f"{sentence}. {problem.remediation}" if problem.remediation else sentence
    return f"AWS has not answered {action} since {_time(since)}"


def _time(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"
