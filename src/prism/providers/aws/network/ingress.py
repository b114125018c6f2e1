"""Whoever comes from another address than before is let in anew, behind the scenes.

Security groups open machines to one address, and a laptop takes another one with each network.
What is known of that is a connection that nobody answers. It is met where people wait for an
answer, so AWS is never asked there: it is asked in a thread of ours, once a minute at most.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from prism.errors import Problem
from prism.kit.clock import Clock
from prism.providers.aws.api import tags as names

if TYPE_CHECKING:  # machines need networks, so `compute` may import this package
    from prism.providers.aws.compute.parts import PrerequisitesByProfile
    from prism.providers.aws.compute.survey import InstanceCache

log = logging.getLogger(__name__)
AGAIN = timedelta(minutes=1)


class IngressUpdater:
    """Opens the groups of a profile to where we are now, for machines that do not answer.

    Each profile has groups of its own, so each has its own minute: a machine that is broken
    does not keep those of others shut.
    """

    def __init__(
        self,
        instances: "InstanceCache",
        prerequisites_of: "PrerequisitesByProfile",
        clock: Clock,
        executor: Executor | None = None,
    ) -> None:
        self._instances, self._prerequisites_of, self._clock = instances, prerequisites_of, clock
        self._executor = executor or ThreadPoolExecutor(1, "aws ingress")
        self._lock = threading.Lock()
        self._next: dict[str, datetime] = {}
        self.listeners: list[Callable[[], object]] = []
        """Called when machines may be reached again, in the thread that saw to it."""

    def request(self, id: str) -> None:
        """A machine does not answer, or is about to come up; waits for nobody."""
        instance = self._instances.known(id)
        if instance is None or (profile := instance.tags.get(names.PROFILE)) is None:
            return
        now = self._clock.now()
        with self._lock:
            if now < self._next.get(profile, now):
                return
            self._next[profile] = now + AGAIN
        with suppress(RuntimeError):  # closed meanwhile
            self._executor.submit(self._let_in, profile, instance.key_name)

    def close(self) -> None:
        """Ask nobody any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _let_in(self, profile: str, key: str | None) -> None:
        try:
            prerequisites = self._prerequisites_of(profile)
            if not prerequisites.holds(key):  # another computer's: its address is none of ours
                return
            cidr = prerequisites.open_ingress()
            log.info("machines of profile %s are open to %s", profile, cidr)
            for listen in self.listeners:
                listen()
        except Problem as problem:
            log.warning("machines of profile %s stay shut: %s", profile, problem)
